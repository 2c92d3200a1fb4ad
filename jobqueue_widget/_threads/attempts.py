"""Starts threads of a queue, also where the machine has no room for one just now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from .timers import CallLater

AGAIN = 1.0  # seconds until the next try


class HasClock(Protocol):
    """Whose threads they are. `accepts_dispatch`: its clock runs."""

    monotonic: Callable[[], float]

    @property
    def accepts_dispatch(self) -> bool: ...


class Threads:
    """Starts them, and calls back in a second for those that could not be had. Any thread."""

    def __init__(self, owner: HasClock, call_later: CallLater) -> None:
        self._owner = owner
        self._call_later = call_later
        self._waiting: dict[Callable[[], object], None] = {}
        self._due = 0.0

    def start(self, thread: threading.Thread, again: Callable[[], object]) -> bool:
        """Start a thread. False: there is none now, and `again` will be called.

        A queue that is stopped has no clock: there its next change must try again.
        """
        try:
            thread.start()
        except RuntimeError:
            self._waiting[again] = None
            now = self._owner.monotonic()
            if self._due <= now and self._owner.accepts_dispatch:
                self._due = now + AGAIN
                self._call_later(AGAIN, self._try_again)
            return False
        return True

    def _try_again(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._due = 0.0
        for again in waiting:
            again()
