"""Keeps all live widgets of this kernel in step, in one thread that ends with the last.

A widget says when it wants its next turn. Whoever asks while no thread can be started is not lost:
the next one who asks tries again.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Protocol

from .._threads.listeners import nothing
from .._threads.threadless import HAS_THREADS, LoopIo

logger = logging.getLogger(__name__)

LINGER = 5.0  # seconds for which the thread stays for the live ones when nothing is due


class Paced(Protocol):
    """Something whose turn comes again and again."""

    def turn(self) -> float | None:
        """Do what is due; return seconds until the next turn; None: not before it is asked for."""


class Pacer:
    """Gives turns when they are due, one at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[Paced, float] = {}  # by `time.monotonic`
        self._live: set[Paced] = set()  # those that may ask at any time: a thread is kept for them
        self._at_work: Paced | None = None
        self._thread: threading.Thread | None = None

    def join(self, one: Paced) -> None:
        """Count this one among those that keep the thread alive."""
        with self._changed:
            self._live.add(one)

    def leave(self, one: Paced) -> None:
        """Count this one no more among those that keep the thread alive."""
        with self._changed:
            self._live.discard(one)
            self._changed.notify_all()

    def ask(self, one: Paced, at: float) -> None:
        """Schedule a turn at that time, or leave it where an earlier one is scheduled."""
        with self._changed:
            if at >= self._due.get(one, math.inf) and self._thread is not None:
                return
            self._due[one] = min(at, self._due.get(one, math.inf))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="jobqueue-widget", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # of the system: no more threads; later, perhaps
                    return
                self._thread = thread
            self._changed.notify_all()

    def forget(self, one: Paced, patience: float = 2.0) -> None:
        """Give this one no further turn, and wait for one that is under way."""
        self.leave(one)
        with self._changed:
            self._due.pop(one, None)
            self._wait_until_idle(one, patience)
            self._due.pop(one, None)
            if self._at_work is one:  # its turn takes too long, or is what forgets it
                self._at_work = None
            self._changed.notify_all()
            thread = None if self._live or self._due else self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience)

    def hurry(self, one: Paced, patience: float) -> None:
        """Bring a scheduled turn forward to now, and wait for that at most so many seconds."""
        with self._changed:
            if one in self._due:
                self._due[one] = 0.0
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._due.get(one) != 0.0, patience)
            self._wait_until_idle(one, patience)

    def _wait_until_idle(self, one: Paced, patience: float) -> None:
        if threading.current_thread() is not self._thread:
            self._changed.wait_for(lambda: self._at_work is not one, patience)

    def _run(self) -> None:
        while (one := self._next()) is not None:
            try:
                patience = one.turn()
            except Exception:  # the others go on
                logger.exception("a widget could not be brought up to date")
                patience = None
            with self._changed:
                forgotten = self._at_work is not one
                self._at_work = None
                if patience is not None and not forgotten:
                    at = time.monotonic() + patience
                    self._due[one] = min(at, self._due.get(one, math.inf))
                self._changed.notify_all()

    def _next(self) -> Paced | None:
        """Wait for the next due turn; None when there was none for a while, and the thread ends."""
        with self._changed:
            while True:
                if not self._due:
                    self._changed.wait_for(lambda: self._due or not self._live, LINGER)
                if not self._due:
                    self._thread = None
                    return None
                one = min(self._due, key=self._due.__getitem__)
                rest = self._due[one] - time.monotonic()
                if rest <= 0:
                    del self._due[one]
                    self._at_work = one
                    return one
                self._changed.wait(rest)


class LoopPacer(Pacer):
    """Does the same on the event loop, where there are no threads."""

    def __init__(self) -> None:
        super().__init__()
        self._io = LoopIo("jobqueue-widget")
        self._cancel: dict[Paced, Callable[[], None]] = {}

    def ask(self, one: Paced, at: float) -> None:
        """Schedule a turn at that time, or leave it where an earlier one is scheduled."""
        if at < self._due.get(one, math.inf):
            self._cancel.get(one, nothing)()
            self._due[one] = at
            self._cancel[one] = self._io.call_later(at - time.monotonic(), self._turn, one)

    def forget(self, one: Paced, patience: float = 2.0) -> None:
        """Give this one no further turn."""
        self.leave(one)
        self._due.pop(one, None)
        self._cancel.pop(one, nothing)()

    def hurry(self, one: Paced, patience: float) -> None:
        """Give it a scheduled turn now."""
        if one in self._due:
            self._turn(one)

    def _turn(self, one: Paced) -> None:
        del self._due[one]
        self._cancel.pop(one)()
        try:
            patience = one.turn()
        except Exception:
            logger.exception("a widget could not be brought up to date")
            return
        if patience is not None:
            self.ask(one, time.monotonic() + patience)


PACER: Pacer = Pacer() if HAS_THREADS else LoopPacer()
