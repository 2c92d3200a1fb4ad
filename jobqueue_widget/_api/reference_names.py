"""Names that users of the reference system and its later versions look for on a queue."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.jobs import JobStatus
from .._runtime.engine import Engine
from ..errors import InvalidOptionError
from .control import Control
from .options import check_count, check_seconds

if TYPE_CHECKING:
    from ..job import Job

HOOKS = frozenset(
    {
        *("_execute_job", "_execute_with_cancellation", "_move_to_history"),
        *("_poll_progress", "_process_loop", "_signal_job_completed"),
    }
)
"""Private methods of the reference queue that its subclasses override."""


@dataclass(frozen=True, slots=True)
class QueueStats:
    """How many jobs wait now, and how many have ended how since the queue was made."""

    total_pending: int
    total_completed: int
    total_failed: int
    total_cancelled: int


class ReferenceNames:
    """The part of `JobQueue` with these names. Any thread."""

    _engine: Engine
    _control: Control

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hooks := sorted(HOOKS & vars(cls).keys()):
            text = (
                f"{cls.__name__}.{hooks[0]} is never called: this queue has no such step. "
                "Use queue.subscribe(callback) or queue.events() to follow jobs"
            )
            warnings.warn(text, UserWarning, stacklevel=2)

    # -- settings, as attributes ---------------------------------------------------------------

    @property
    def max_history(self) -> int:
        """How many ended jobs are shown. Can be set: it holds at once.

        Raises:
            InvalidOptionError: it is set to no integer, or to less than 0.
        """
        return self._engine.settings.max_history

    @max_history.setter
    def max_history(self, value: int) -> None:
        self._engine.change_settings(max_history=check_count("max_history", value, 0))

    @property
    def cancel_timeout(self) -> float:
        """Seconds between asking and forcing. Can be set: it holds for what is cancelled next.

        Raises:
            InvalidOptionError: it is set to no number of seconds.
        """
        return self._engine.settings.cancel_timeout

    @cancel_timeout.setter
    def cancel_timeout(self, value: float) -> None:
        self._engine.change_settings(cancel_timeout=check_seconds("cancel_timeout", value))

    @property
    def progress_poll_interval(self) -> float:
        """Seconds between polls of a plugin's progress. Can be set: it holds from the next poll on.

        Raises:
            InvalidOptionError: it is set to no number of seconds, or to 0.
        """
        return self._engine.settings.progress_poll_interval

    @progress_poll_interval.setter
    def progress_poll_interval(self, value: float) -> None:
        seconds = check_seconds("progress_poll_interval", value, zero=False)
        self._engine.change_settings(progress_poll_interval=seconds)

    @property
    def logger(self) -> logging.Logger:
        """The logger of what goes wrong in the queue itself. Can be set.

        Raises:
            InvalidOptionError: it is set to no logger.
        """
        return self._engine.logger

    @logger.setter
    def logger(self, value: logging.Logger) -> None:
        if not isinstance(value, (logging.Logger, logging.LoggerAdapter)):
            raise InvalidOptionError(f"logger must be a logging.Logger, not {value!r}")
        self._engine.logger = value

    # -- lists, as later versions have them ------------------------------------------------------

    def get_pending(self) -> list[Job]:
        """List the pending jobs in dispatch order."""
        return self._control.all_jobs(JobStatus.pending)

    def get_running_jobs(self) -> list[Job]:
        """List the running jobs, in the order in which they were started."""
        return self._control.all_jobs(JobStatus.running)

    def get_history(self, limit: int | None = None) -> list[Job]:
        """List the ended jobs that are shown (`max_history`), newest first; at most `limit`."""
        shown = self._control.history()
        return shown if limit is None else shown[: check_count("limit", limit, 0)]

    def get_stats(self) -> QueueStats:
        """Return the totals of `get_state()["stats"]` as attributes."""
        with self._engine.lock.held:
            state = self._engine.state
            totals = state.totals
            return QueueStats(len(state.order), totals.completed, totals.failed, totals.cancelled)
