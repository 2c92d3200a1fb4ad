"""Hides jobs that have ended, or deletes them for good."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from .._core.jobs import ENDED, JobRecord, JobStatus
from .._runtime.engine import Engine
from ..errors import InvalidOptionError, JobEvictedError, JobNotFinishedError, JournalError
from ..job import Job
from .control import Control
from .lookback.instants import instant

_WORDS = ", ".join(f'"{status.value}"' for status in JobStatus if status.ended)


class Forgetting:
    """The part of `JobQueue` that hides or deletes ended jobs. Any thread."""

    _engine: Engine
    _control: Control

    def clear_history(self) -> int:
        """Hide the ended jobs, in the widget and in `get_state()`. Any thread.

        They are only hidden, and stay so when their journal is opened again. `get_job`, `jobs()`,
        `find()`, `to_pandas()` and `export()` give them as before; `forget` deletes them.

        Returns:
            How many were hidden now.
        """
        return self._engine.history.clear()

    def forget(
        self,
        *jobs: Job | str,
        before: float | datetime | None = None,
        status: str | JobStatus | Iterable[str | JobStatus] | None = None,
    ) -> int:
        """Delete ended jobs for good, here and in the journal. Any thread.

        Their rows, arguments, results, errors, logs and files go, hidden ones too, and what is
        deleted in the journal is overwritten there. Handles keep what they hold, and a job that
        waits for others still runs; counts of what has ended stay.

        Args:
            jobs: which ones, as handles or ids; none: all that have ended and fit the rest.
            before: only those that ended before that instant (epoch seconds or a datetime, which
                is local time if it has no zone).
            status: only those that ended so: "completed", "failed", "cancelled", or some of them.

        Returns:
            How many were deleted.

        Raises:
            InvalidOptionError: nothing is selected, or not by what selects.
            JobNotFinishedError: one has not ended.
            UnknownJobError: one is no job of this queue.
            JobEvictedError: one is not kept any more.
            JournalError: the journal cannot be written. After each of these nothing has changed.
        """
        if not jobs and before is None and status is None:
            raise InvalidOptionError(
                "forget deletes nothing without a selection: name jobs, before= or status=; "
                f"all that have ended are status=[{_WORDS}]"
            )
        limit = None if before is None else instant("before", before)
        wanted = ENDED if status is None else _statuses(status)
        chosen = dict.fromkeys(map(self._ended, jobs))
        if not jobs:
            with self._engine.lock.held:
                chosen = dict.fromkeys(self._engine.state.ended)
        leaving = [
            job
            for job in chosen
            if job.status in wanted
            and (limit is None or (job.completed_at is not None and job.completed_at < limit))
        ]
        try:
            return self._engine.history.forget(leaving) if leaving else 0
        except JournalError as error:
            raise JournalError(f"no job was forgotten: {error}") from error

    def _ended(self, job: object) -> JobRecord:
        if not isinstance(job, (Job, str)):
            raise InvalidOptionError(
                f"forget takes jobs or their ids, one by one, not {type(job).__name__}; "
                "of a list: forget(*jobs)"
            )
        record = self._control.record(job)
        if not record.status.ended:
            raise JobNotFinishedError(
                f"job {record.spec.title!r} is {record.status.value}, and only ended jobs can be "
                "forgotten: cancel it first"
            )
        if record.id not in self._engine.state.jobs:
            raise JobEvictedError(
                f"job {record.spec.title!r} ({record.id}) is no longer kept, so there is nothing "
                "to forget: leave it out"
            )
        return record

    def _undo_clear(self) -> int:
        """Show again what was hidden in the last ten seconds; return how many. For the widget."""
        return self._engine.history.undo()

    def _shown(self, jobs: list[Job]) -> list[Job]:
        """Return those jobs that are not hidden. For the widget."""
        hidden_to = self._engine.state.cleared_to
        return [job for job in jobs if not 0 < job._record.ended_number <= hidden_to]


def _statuses(given: object) -> frozenset[JobStatus]:
    """Check one or several statuses that an ended job can have."""
    names = [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    known = {status.value: status for status in ENDED}
    if not names or any(not isinstance(name, str) or name not in known for name in names):
        raise InvalidOptionError(
            f"status must be one or some of {_WORDS}: only ended jobs can be forgotten"
        )
    return frozenset(known[str(name)] for name in names)
