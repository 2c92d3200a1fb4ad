"""Finds groups by name, gives jobs as they end, and tells when a queue will be done."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ..._core.texts.fitting import fit
from ...errors import InvalidOptionError, UnknownGroupError
from ...job import Job
from ..control import Control
from .arrivals import Arrivals
from .forecasts import NOTHING, Estimate, forecast_of
from .group import JobGroup


class Collected:
    """The part of `JobQueue` that is about many jobs. Any thread."""

    _control: Control

    def groups(self) -> list[JobGroup]:
        """List the groups of the jobs that the queue keeps, in the order of their first jobs.

        There is one for each `map`, and one for each name of `options(group=…)`.
        """
        engine = self._control.engine
        with engine.lock.held:
            names = list(engine.state.groups.named)
        return [JobGroup(self._control, name, None, None) for name in names]

    def as_completed(self, jobs: Iterable[Job | str], timeout: float | None = None) -> Arrivals:
        """Give each of these jobs when it has ended. See `JobGroup.as_completed`.

        Args:
            jobs: jobs of this queue, or their ids; a group, or any others.
            timeout: seconds from now, for all of them.

        Raises:
            InvalidOptionError: it is one job, and not several.
            UnknownJobError: one is no job of this queue.
            JobEvictedError: one is not kept any more.
        """
        if isinstance(jobs, (Job, str)):
            raise InvalidOptionError("as_completed takes several jobs or ids: of one, [job]")
        records = [self._control.record(job) for job in jobs]
        return self._control.as_completed(records, timeout)

    def group(self, name: str) -> JobGroup:
        """Return all jobs of one name: of `options(group=name)`, or of a `map` that is called so.

        Raises:
            UnknownGroupError: the queue keeps no job of such a group.
        """
        engine = self._control.engine
        with engine.lock.held:
            names = list(engine.state.groups.named)
        if name in names:
            return JobGroup(self._control, name, None, None)
        close = difflib.get_close_matches(str(name), names, 1) or names[-3:]
        hint = f"; there are: {', '.join(map(repr, close))}" if close else "; there are none"
        raise UnknownGroupError(f"{fit(repr(name), 60)} is no group of this queue{hint}")

    def _group_of_number(self, number: int) -> JobGroup | None:
        """Return the group of a row in the widget; None if it has no job any more."""
        engine = self._control.engine
        with engine.lock.held:
            names = [one.name for one in engine.state.groups.named.values() if one.number == number]
        return JobGroup(self._control, names[0], None, None) if names else None

    @property
    def _estimate(self) -> Estimate:
        """The latest forecast for the widget; nothing while the queue is paused."""
        if self._control.engine.state.pause is not None:
            return NOTHING
        return self._control.estimates.latest

    def _renew_estimate(self) -> bool:
        """Make a new forecast for the widget if one is due; True if it shows anything else."""
        return self._control.estimates.renew(self._control)

    @property
    def eta(self) -> float | None:
        """Seconds until all jobs are done, by how long their like have taken; None: unknown.

        Unknown while the queue is paused, a job is held, or none of a function has ended yet.
        """
        return forecast_of(self._control).done

    def starts_in(self, job: str | Job) -> float | None:
        """Return the seconds until a pending job starts; None: unknown, or it is not pending."""
        record = self._control.find(job)
        return None if record is None else forecast_of(self._control).starts.get(record.id)
