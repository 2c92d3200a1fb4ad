"""Notices an event loop that does not answer (a blocking cell) and says so, with the cure."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._threads.timers import CallLater
    from .engine_view import EngineView, LifeView

logger = logging.getLogger(__name__)

TICK = 1.0
CURE = (
    "a cell or callback blocks it. Worker processes go on, but nothing new starts and coroutine "
    'jobs wait. Use `await`, or JobQueue(loop="thread")'
)


class LoopWatch:
    """A named tick of 1 s, only while jobs run: a ping over the bridge that must come back."""

    def __init__(self, engine: EngineView, life: LifeView, call_later: CallLater) -> None:
        self._engine = engine
        self._life = life
        self._call_later = call_later
        self._ticking = False
        self._sent: float | None = None
        self._told = False

    @property
    def lag(self) -> float:
        """Seconds since a ping that has not come back; 0.0 if it did within a tick."""
        sent = self._sent
        waited = 0.0 if sent is None else self._engine.monotonic() - sent
        return waited if waited > TICK else 0.0

    def begin(self) -> None:
        """Tick from now on, until no job runs."""
        if not self._ticking:
            self._call_later(TICK, self._tick)
            self._ticking = True

    def end(self) -> None:
        """Forget the tick, which has ended with the timers of the I/O thread."""
        self._ticking = self._told = False
        self._sent = None

    def _tick(self) -> None:
        engine = self._engine
        if not engine.state.running:
            self._ticking = False
            self._sent = None
            return
        if self._sent is None:
            self._sent = engine.monotonic()
            if not self._life.post(self._answer):
                self._life.handle_lost_loop()
                return
        elif not self._told:
            self._told = True
            logger.warning("the event loop has not answered for %.1f s: %s", self.lag, CURE)
            with engine.lock.held:
                engine.publish("loop_blocked", {"seconds": self.lag, "cure": CURE})
        self._call_later(TICK, self._tick)

    def _answer(self) -> None:
        self._sent = None
        if self._told:
            self._told = False
            with self._engine.lock.held:
                self._engine.publish("loop_unblocked")
