"""Carries calls from any thread to the owner loop, once each and in order."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import Callable

from .interrupts import UNINTERRUPTED, uninterrupted

Callback = Callable[..., object]


def give_up(task: asyncio.Task[None]) -> None:
    """Let go of a task of ours whose loop was closed under it, so that nobody reports it as lost.

    It can never end; asyncio has no public way to say that this is known.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    body = task.get_coro()
    if inspect.iscoroutine(body) and inspect.getcoroutinestate(body) == inspect.CORO_CREATED:
        body.close()


class LoopBridge:
    """The one door to an event loop. A burst of calls from other threads costs one wake-up.

    Calls run in the context in which this was made: they are the queue's, whoever posts them. A job
    that posts one would else have in its log what they say.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._thread = threading.get_ident()
        self._calls: deque[tuple[Callback, tuple[object, ...]]] = deque()
        self._scheduled = False
        self._lock = threading.RLock()  # a finalizer may post, too
        self._variables = contextvars.copy_context()

    @property
    def is_here(self) -> bool:
        """True on the loop's own thread."""
        return threading.get_ident() == self._thread

    @uninterrupted  # what is scheduled is on its way
    def post(self, callback: Callback, *args: object) -> bool:
        """Run the callback on the loop soon. Any thread. False if the loop is closed."""
        with self._lock:
            self._calls.append((callback, args))
            if self._scheduled:
                return not self.loop.is_closed()
            self._scheduled = True
        try:
            self._schedule()
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _schedule(self) -> None:
        variables = self._variables.copy()  # the loop may run nested, in none twice
        if self.is_here:
            self.loop.call_soon(self._drain, context=variables)
        else:
            self.loop.call_soon_threadsafe(self._drain, context=variables)

    def _drain(self) -> None:
        with UNINTERRUPTED:
            with self._lock:
                count = len(self._calls)
                self._scheduled = count > 1  # if not: what is posted now has its own wake-up
            if count > 1:  # for those behind one that is interrupted, or that runs the loop nested
                self._schedule()
            self._make_one_call()
        for _ in range(count - 1):
            with UNINTERRUPTED:  # a call that has left the line is made
                self._make_one_call()

    def _make_one_call(self) -> None:
        if not self._calls:  # a nested run has made them
            return
        callback, args = self._calls.popleft()
        try:
            callback(*args)
        except Exception as error:
            message = f"{callback!r} failed on the queue's loop"
            self.loop.call_exception_handler({"message": message, "exception": error})
