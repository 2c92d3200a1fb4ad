"""Holds Ctrl-C back while something that was begun must be finished."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` is made of, without enums
import functools
import threading
import time
from _thread import get_ident
from collections.abc import Callable
from types import FrameType
from typing import Any, ParamSpec, TypeVar

SIGINT = int(_signal.SIGINT)
Given = ParamSpec("Given")
Returned = TypeVar("Returned")
MAIN_THREAD = threading.main_thread().ident  # the same in a child that the main thread has forked
PATIENCE = 1.0  # seconds after which a second Ctrl-C gets through: what should be quick hangs


class _Uninterrupted:
    """For `with UNINTERRUPTED:` on any thread, also nested.

    Python raises KeyboardInterrupt between any two steps of the main thread: between the two halves
    of a change as well. Here it comes after the block. On other threads it never comes.
    """

    def __init__(self) -> None:  # all of it belongs to the main thread
        self._depth = 0
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        self._held_back: tuple[int, FrameType | None] | None = None
        self._since = 0.0

    def __enter__(self) -> None:
        if get_ident() != MAIN_THREAD:
            return
        if self._depth == 0:
            handler = _signal.getsignal(SIGINT)
            if callable(handler):
                try:
                    _signal.signal(SIGINT, self._hold_back)
                except ValueError:
                    pass  # not the main interpreter: none comes here
                else:
                    self._handler = handler
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        if get_ident() != MAIN_THREAD:
            return
        self._depth -= 1
        if self._depth or self._handler is None:
            return
        handler, self._handler = self._handler, None
        came, self._held_back = self._held_back, None
        _signal.signal(SIGINT, handler)
        if came is not None:
            handler(*came)

    def _hold_back(self, number: int, frame: FrameType | None) -> None:
        if self._held_back is None:
            self._held_back, self._since = (number, frame), time.monotonic()
        elif time.monotonic() - self._since > PATIENCE and self._handler is not None:
            self._held_back = None
            self._handler(number, frame)


UNINTERRUPTED = _Uninterrupted()


def uninterrupted(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Make a function or method one such block."""

    @functools.wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
        with UNINTERRUPTED:
            return function(*args, **kwargs)

    return call
