"""JobGroup: the handle of what was submitted together; every read is current."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..._core.jobs import JobRecord, JobStatus
from ..._core.sweeps.group import Group
from ..._core.sweeps.standing import add_what_comes, standing
from ..._core.texts.fitting import fit
from ...errors import (
    InvalidOptionError,
    JobCancelledError,
    JobFailedError,
    JobNotFinishedError,
    JobQueueError,
    ResultNotKeptError,
)
from ...job import Job
from ...protocols import MimeBundle
from ..display_hook import provider
from ..options import check_choice
from .arrivals import Arrivals
from .forecasts import forecast_of
from .members import HasJobs, Members
from .table import table_of

if TYPE_CHECKING:
    from .drawing import Drawing

Errors = Literal["raise", "return", "skip"]
Then = Literal["release", "cancel"]


class ControlView(HasJobs, Protocol):
    """What a group asks of the queue that has its jobs (`_api/control.py`)."""

    queue: Callable[[], object | None]

    def cancel_several(
        self, records: Sequence[JobRecord], force: bool, timeout: float | None, reason: str
    ) -> int: ...
    def hold_several(
        self,
        records: Callable[[], Sequence[JobRecord]],
        seconds: float | None,
        then: Then,
        drawings: Sequence[Drawing],
    ) -> int: ...
    def release_several(self, records: Sequence[JobRecord]) -> int: ...
    def as_completed(
        self, records: Sequence[JobRecord], timeout: float | None, drawing: Drawing | None
    ) -> Arrivals: ...
    def retry_several(
        self, records: Sequence[JobRecord], name: str, with_latest: bool
    ) -> JobGroup: ...
    async def wait_for_group(
        self, group: Group, records: Sequence[JobRecord], timeout: float | None
    ) -> None: ...
    def wait_for_group_blocking(
        self,
        group: Group,
        records: Callable[[], Sequence[JobRecord]],
        timeout: float | None,
        drawings: Callable[[], Sequence[Drawing]],
    ) -> None: ...


class JobGroup(Members):
    """The jobs of a `map`, or all jobs of one `options(group=…)`; counted, shown and acted on.

    A sequence of jobs, which never changes by itself: `group[3]` is the latest try of its fourth
    item, also after a retry. Slices and `+` give lists, and it equals a list of the same jobs.
    `await group` gives the results in order. Any thread.

    A group that was looked up by its name has the jobs that the queue still keeps, and those that
    are submitted with that name later.

    Example:
        ```python
        async with JobQueue() as queue:
            squares = queue.map(pow, [1, 2, 3], [2, 2, 2])
            assert await squares == [1, 4, 9]
            assert squares.counts["completed"] == 3
        ```
    """

    __slots__ = ()
    _control: ControlView

    # -- how it stands ---------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name given by `options(group=…)`, or one that was made up.

        `queue.group(name)` has all jobs of that name: of several maps, too, and of other tries.
        """
        return self._name

    @property
    def title(self) -> str:
        """The name, and whether these are the jobs that `retry_failed` has submitted."""
        return self._name if self._group is None else self._group.name

    @property
    def counts(self) -> dict[str, int]:
        """How many items are "pending", "running", "completed", "failed" and "cancelled".

        An item that was tried again counts once, by its latest try.
        """
        with self._control.engine.lock.held:
            group = self._counted()
            if group is None:
                return {status.value: 0 for status in JobStatus}
            return {status.value: count for status, count in group.counts.items()}

    @property
    def done(self) -> bool:
        """True once all of its jobs have ended, however; also if there are none."""
        with self._control.engine.lock.held:
            group = self._counted()
            return group is None or not group.open_count

    @property
    def progress(self) -> float:
        """Progress from 0.0 to 1.0: the share of what has ended, and what running jobs report."""
        with self._control.engine.lock.held:
            group = self._counted()
            drawn = 0 if group is None else sum(group.counts.values())
            if group is None or not drawn:
                return 1.0
            reached = float(
                drawn - group.counts[JobStatus.pending] - group.counts[JobStatus.running]
            )
            total = drawn + (self._left() or 0)
            for job in self._control.engine.state.running.values():
                if job.progress:
                    reached += job.progress * job.groups.count(group)
        return min(1.0, reached / total)

    @property
    def total(self) -> int | None:
        """How many items there are, also those that are no jobs yet; None: nobody knows."""
        with self._control.engine.lock.held:
            group, left = self._counted(), self._left()
            drawn = 0 if group is None else sum(group.counts.values())
            return None if left is None else drawn + left

    def _left(self) -> int | None:  # under the lock
        """Count the items of long maps that are no jobs yet; None while nobody knows."""
        left = [drawing.left for drawing in self._drawn_on()]
        return None if None in left else sum(one or 0 for one in left)

    @property
    def eta(self) -> float | None:
        """Seconds until all of its jobs are done, as `JobQueue.eta`; None: unknown."""
        return 0.0 if self.done else forecast_of(self._control).groups.get(self._counted())

    def failures(self) -> dict[str, list[Job]]:
        """Return the failed jobs by what they failed of, the most frequent kind first.

        A kind is the name of the exception, or "worker died", "time limit", "deadline".
        """
        found: dict[str, list[Job]] = {}
        for record in self._records():
            if record.status is JobStatus.failed:
                found.setdefault(kind_of(record), []).append(self._control.handle(record))
        return dict(sorted(found.items(), key=lambda kind: -len(kind[1])))

    # -- results ---------------------------------------------------------------------------------

    def results(self, errors: Errors = "raise") -> list[Any]:
        """Return the results in order, without waiting.

        Args:
            errors: "raise" raises the first failure, or else the first cancellation; "return" puts
                the exception in the place of the result; "skip" leaves that place out.

        Raises:
            JobNotFinishedError: some have not ended; it says how many.
            JobFailedError, JobCancelledError, ResultNotKeptError: with "raise".
            InvalidOptionError: `errors` is something else.
        """
        check_choice("errors", errors, ("raise", "return", "skip"))
        if self._drawing is not None:
            self._drawing.check_drawn()
        jobs = self._handles()
        left = sum(not job.done for job in jobs)
        if left:
            raise JobNotFinishedError(
                f"{left:,} of {len(jobs):,} jobs of {self._name!r} have not ended; "
                "`await group` or group.wait() waits for them"
            )
        if errors == "raise" and self._drawing is not None:
            self._drawing.check_whole()
        told = [(job, job.exception()) for job in jobs]
        if errors == "raise":
            for kind in (JobFailedError, JobCancelledError, ResultNotKeptError):
                for _, error in told:
                    if isinstance(error, kind):
                        raise error
        found: list[Any] = []
        for job, error in told:
            value: Any = error
            if error is None:
                try:
                    value = job.get_result()
                except JobQueueError as late:  # it could not be read back
                    if errors == "raise":
                        raise
                    value = error = late
            if error is None or errors == "return":
                found.append(value)
        return found

    def __await__(self) -> Generator[Any, None, list[Any]]:
        state = self._control.engine.state
        while not self.done and (state.open_count or state.drawings):  # one may be retried
            known = [(drawing, drawing.drawn) for drawing in self._drawings()]
            yield from self._wait().__await__()
            if known and not self.done:  # in a job, which waits for each as it comes
                drawing, drawn = known[0]
                yield from drawing.more(drawn).wait().__await__()
        return self.results()

    async def _wait(self) -> None:
        group = self._counted()
        if group is not None:
            await self._control.wait_for_group(group, self._records(), None)

    async def wait_drawn(self) -> None:
        """Wait until all items of a long map are submitted; at once for any other group.

        Raises:
            DrawingFailedError: the iterable has failed.
            QueueClosedError: the queue was closed before.
            QueueIdleError: there is no room, as what is pending cannot start by itself.
            QueueStoppedError: the queue was stopped meanwhile.
        """
        for drawing in self._drawings():
            await drawing.wait()
            drawing.check_drawn()

    def wait(self, timeout: float | None = None) -> None:
        """Wait in a plain cell, callback or thread until all have ended, however they end.

        An interrupt ends the waiting, never the jobs. In a coroutine use `await group`.

        Raises:
            WaitTimeoutError: after `timeout` seconds; the jobs go on.
            QueueIdleError: what is left cannot start by itself (held, paused, not started).
        """
        group = self._counted()
        if group is not None:
            self._control.wait_for_group_blocking(group, self._records, timeout, self._drawings)

    def as_completed(self, timeout: float | None = None) -> Arrivals:
        """Give each of its jobs when it has ended, those that have already first.

        `async for job in group.as_completed()` in a coroutine; in a plain cell or a thread a plain
        `for`, during which the widget's buttons work.

        Args:
            timeout: seconds from now, for all of them.

        Raises:
            WaitTimeoutError: raised by the loop, after `timeout` seconds; the jobs go on.
            QueueIdleError: raised by the loop; what is left cannot start by itself.
        """
        records = [] if self._drawing is not None else self._records()
        return self._control.as_completed(records, timeout, self._drawing)

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with one row per item, by its job's id.

        Its columns are the parameters, the result (of a dictionary one column for each key), of
        each metric the last, the least and the greatest value (`loss`, `loss.min`, `loss.max`),
        `status`, `error_type`, `error`, `seconds` (of the latest attempt), `memory_mib` (the most
        that was seen), `attempt`, `retry_of`, `started` and `ended` (UTC). What has the name of
        another column is called `parameter.id`, `result.rate` or `metric.loss`.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return table_of(self._handles())

    # -- acts --------------------------------------------------------------------------------------

    def cancel(self, *, force: bool = False, timeout: float | None = None, reason: str = "") -> int:
        """Cancel what has not ended, and draw no more items; see `JobQueue.cancel`.

        Returns:
            How many are cancelled, or asked to stop.
        """
        for drawing in self._drawings():
            drawing.end()
        return self._control.cancel_several(self._records(), force, timeout, reason)

    def hold(self, seconds: float | None = None, then: Then = "release") -> int:
        """Hold its pending jobs; see `JobQueue.hold`. Returns how many.

        Of a long map no more items are submitted until that is over.
        """
        return self._control.hold_several(self._records, seconds, then, self._drawings())

    def release(self) -> int:
        """End the hold of its pending jobs; returns how many are pending."""
        count = self._control.release_several(self._records())
        drawings = self._drawings()  # now: what is held takes no room, so more would be drawn
        for drawing in drawings:
            drawing.release()
        if drawings:  # what has come meanwhile came held
            self._control.release_several([job for job in self._records() if job.held])
        return count

    def retry_failed(
        self, kind: str | type[BaseException] | None = None, *, latest: bool = False
    ) -> JobGroup:
        """Submit its failed jobs again; each takes the place of the one that it repeats.

        Args:
            kind: only those that failed of this: a key of `failures()`, or the exception's class.
            latest: run the function that its name stands for now; see `Job.retry`.

        Returns:
            The new jobs, as a group of their own; they are counted in this group, too.

        Raises:
            InvalidOptionError: `kind` is something else, or none of the failed jobs is of it.
            InvalidTargetError: with `latest`, no name tells what a function is now; then none runs.
            NotRestorableError: one cannot run again; then none does.
        """
        if isinstance(kind, type) and issubclass(kind, BaseException):
            kind = kind.__name__
        if not isinstance(kind, str | None):
            raise InvalidOptionError(
                f"kind must be a key of failures() or an exception class, not {kind!r}"
            )
        failed = [record for record in self._records() if record.status is JobStatus.failed]
        chosen = [record for record in failed if kind is None or kind_of(record) == kind]
        if failed and not chosen:
            counted = Counter(map(kind_of, failed)).most_common()
            there = ", ".join(f"{one!r} ({count:,})" for one, count in counted)
            raise InvalidOptionError(
                f"no job of {self.title!r} has failed of {kind!r}, so that none is tried again; "
                f"there are: {there}. An exception counts by its own class; without a kind all are"
            )
        return self._control.retry_several(list(dict.fromkeys(chosen)), self._name, latest)

    def _standing(self) -> dict[str, Any]:
        """Return how it stands as plain values, for its live cell; its number is 0."""
        with self._control.engine.lock.held:
            row = standing(self._counted() or Group(self._name))
            for drawing in self._drawn_on():
                add_what_comes(row, drawing)
            return row | {"id": 0}

    # -- shown -------------------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: Any) -> MimeBundle:
        return {"text/plain": repr(self), "text/html": provider().group_html(self)}, {}

    def _repr_html_(self) -> str:
        return provider().group_html(self)

    def _ipython_display_(self) -> None:
        queue = self._control.queue()
        if queue is None:
            raise NotImplementedError  # IPython's way to say: show the bundle instead
        provider().shown_group(queue, self).outputs.show()

    def __repr__(self) -> str:
        counts, total = self.counts, self.total
        told = [f"{counts[name]:,} {name}" for name in _TOLD if counts[name]]
        told += left_of(counts, total)
        of = size_of(counts, total)
        return f"<JobGroup {fit(self.title, 40)!r} of {of}: {', '.join(told) or 'no jobs'}>"


_TOLD = ("completed", "failed", "cancelled", "running", "pending")


def size_of(counts: Mapping[str, int], total: int | None) -> str:
    """Return in words how many items a group with these counts has."""
    drawn = sum(counts.values())
    return f"{drawn:,} so far" if total is None else f"{max(total, drawn):,}"


def left_of(counts: Mapping[str, int], total: int | None) -> list[str]:
    """Return in words how many of them are no jobs yet, if any are."""
    left = (total or 0) - sum(counts.values())
    return [f"{left:,} not drawn yet"] if left > 0 else []


def kind_of(record: JobRecord) -> str:
    """Return what a failed job is sorted by."""
    return "UnknownFailure" if record.failure is None else record.failure.kind
