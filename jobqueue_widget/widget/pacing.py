"""The one thread that keeps all widgets of this kernel in step; there is none while none is live.

A widget says when it wants its next turn. Whoever asks while no thread can be started is not lost:
the next one who asks tries again.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import Protocol

logger = logging.getLogger(__name__)

LINGER = 5.0  # seconds for which the thread stays for the live ones when nothing is due


class Paced(Protocol):
    """Something that has turns."""

    def turn(self) -> float | None:
        """Take one; returns the seconds until the next, None: not until it is asked for."""
        ...


class Pacer:
    """Gives turns when they are due, one at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[Paced, float] = {}  # by `time.monotonic`
        self._live: set[Paced] = set()  # those that may ask at any time: a thread is kept for them
        self._at_work: Paced | None = None
        self._thread: threading.Thread | None = None

    def join(self, one: Paced) -> None:
        """It is going to ask again and again."""
        with self._changed:
            self._live.add(one)

    def leave(self, one: Paced) -> None:
        """It asks no more, or now and then."""
        with self._changed:
            self._live.discard(one)
            self._changed.notify_all()

    def ask(self, one: Paced, at: float) -> None:
        """Let it have a turn at that time, or earlier if it has asked for that before."""
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
        """Give it no turn any more; waits for one that it has just now."""
        self.leave(one)
        with self._changed:
            self._due.pop(one, None)
            self._wait_until_idle(one, patience)
            self._due.pop(one, None)
            self._changed.notify_all()
            thread = None if self._live or self._due else self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience)

    def hurry(self, one: Paced, patience: float) -> None:
        """Give it the turn that it has asked for now; waits for that, so many seconds at most."""
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
                self._at_work = None
                if patience is not None:
                    at = time.monotonic() + patience
                    self._due[one] = min(at, self._due.get(one, math.inf))
                self._changed.notify_all()

    def _next(self) -> Paced | None:
        """Wait for who is due; None when nobody was for a while, and the thread ends."""
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


PACER = Pacer()
