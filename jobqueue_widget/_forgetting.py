"""What a queue does with jobs that have ended: hides them, or deletes them for good."""

from __future__ import annotations

from ._control import Control
from ._runtime.engine import Engine
from .job import Job


class Forgetting:
    """The part of `JobQueue` that is about what is over. Any thread."""

    _engine: Engine
    _control: Control

    def clear_history(self) -> int:
        """Show the ended jobs no more: neither in the widget nor in `get_state()`. Any thread.

        They are only hidden, and stay so when their journal is opened again. `get_job`, `jobs()`,
        `find()`, `to_pandas()` and `export()` give them as before; `forget` deletes them.

        Returns:
            How many were hidden now.

        """
        return self._engine.history.clear()

    def _undo_clear(self) -> int:
        """For the widget: show again what was hidden in the last ten seconds; how many jobs."""
        return self._engine.history.undo()

    def _shown(self, jobs: list[Job]) -> list[Job]:
        """For the widget: those that were not hidden."""
        hidden_to = self._engine.state.cleared_to
        return [job for job in jobs if not 0 < job._record.ended_number <= hidden_to]
