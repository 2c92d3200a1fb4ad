"""Jobs that have ended: hidden, which can be undone for a while, or deleted for good."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..._core.jobs import JobRecord
from ..._threads.interrupts import uninterrupted

if TYPE_CHECKING:
    from ..engine_view import EngineView

UNDO_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Cleared:
    """`before`: up to which number ended jobs were hidden already; `until`: monotonic seconds."""

    before: int
    until: float


class History:
    """Hides and deletes the ended jobs of one queue. Any thread, without the engine's lock."""

    def __init__(self, engine: EngineView) -> None:
        self._engine = engine
        self._cleared: _Cleared | None = None

    @uninterrupted
    def clear(self) -> int:
        """Hide all ended jobs; how many were not hidden before."""
        engine = self._engine
        with engine.lock.held:
            state = engine.state
            before = state.cleared_to
            count = state.count_after(before)
            if count:
                state.clear_history()
                self._cleared = _Cleared(before, engine.monotonic() + UNDO_SECONDS)
                self._tell("history_cleared", count)
        engine.perform([])
        return count

    @uninterrupted
    def undo(self) -> int:
        """Show again what the last `clear` has hidden; 0 if that is too long ago."""
        engine = self._engine
        with engine.lock.held:
            undoable = self.undoable()
            if undoable is None:
                return 0
            assert self._cleared is not None
            engine.state.clear_history(self._cleared.before)
            self._cleared = None
            self._tell("history_restored", undoable[0])
        engine.perform([])
        return undoable[0]

    def undoable(self) -> tuple[int, float] | None:
        """How many jobs `undo` would show again, and for how many seconds. Under the lock."""
        cleared, state = self._cleared, self._engine.state
        if cleared is None:
            return None
        left = cleared.until - self._engine.monotonic()
        count = state.count_after(cleared.before) - state.count_after(state.cleared_to)
        if left > 0 and count:
            return count, left
        self._cleared = None
        return None

    @uninterrupted
    def forget(self, jobs: Collection[JobRecord]) -> int:
        """Delete ended jobs, from the journal first; how many there were.

        Raises:
            JournalError: they cannot be deleted there; then nothing was.
        """
        engine = self._engine
        if engine.recorder is not None:
            engine.recorder.erase(jobs)
        with engine.lock.held:
            effects = engine.perform_inside(engine.state.forget(jobs))
            engine.publish("jobs_forgotten", {"count": len(effects)})
        engine.perform(effects)
        return len(effects)

    def _tell(self, event: str, count: int) -> None:
        engine = self._engine
        engine.publish(event, {"count": count})
        if engine.recorder is not None:
            engine.recorder.note_cleared()
