"""JobGroup: the handle of what was submitted together; every read is current."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, SupportsIndex, overload

from ..._core.jobs import JobRecord, JobStatus
from ..._core.sweeps.groups import jobs_of, latest
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
from .arrivals import Arrivals
from .forecasts import forecast_of
from .references import Handle
from .table import table_of

if TYPE_CHECKING:
    from ..._core.sweeps.group import Group
    from ..._runtime.engine import Engine
    from .drawing import Drawing

Errors = Literal["raise", "return", "skip"]
Then = Literal["release", "cancel"]
OF_LISTS = frozenset(
    {"append", "clear", "copy", "extend", "insert", "pop", "remove", "reverse", "sort"}
)


class ControlView(Protocol):
    """What a group asks of the queue that has its jobs (`_api/control.py`)."""

    engine: Engine
    drawings: list[Drawing]
    queue: Callable[[], object | None]

    def handle(self, record: JobRecord) -> Job:
        """Return the handle of a job."""

    def cancel_several(
        self, records: Sequence[JobRecord], force: bool, timeout: float | None, reason: str
    ) -> int:
        """Cancel jobs; return how many are cancelled or asked to stop."""

    def hold_several(
        self,
        records: Callable[[], Sequence[JobRecord]],
        seconds: float | None,
        then: Then,
        drawings: Sequence[Drawing],
    ) -> int:
        """Hold pending jobs, and what would still be drawn of them; return how many."""

    def release_several(self, records: Sequence[JobRecord]) -> int:
        """Release held jobs; return how many were pending."""

    def as_completed(
        self, records: Sequence[JobRecord], timeout: float | None, drawing: Drawing | None
    ) -> Arrivals:
        """Give each of these jobs, or of those of a long map, when it has ended."""

    def retry_several(self, records: Sequence[JobRecord], name: str) -> JobGroup:
        """Submit the same again, all or none."""

    async def wait_for_group(
        self, group: Group, records: Sequence[JobRecord], timeout: float | None
    ) -> None:
        """Wait until all of these jobs, which are the group's, have ended; on any loop."""

    def wait_for_group_blocking(
        self,
        group: Group,
        records: Callable[[], Sequence[JobRecord]],
        timeout: float | None,
        drawing: Drawing | None,
    ) -> None:
        """Do the same in a plain cell, callback or thread."""


class JobGroup(Sequence[Job], Handle):
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

    __hash__ = None  # type: ignore[assignment]  # as a list: it equals one
    __slots__ = ("__weakref__", "_control", "_drawing", "_group", "_jobs", "_name")

    def __init__(
        self,
        control: ControlView,
        name: str,
        group: Group | None,
        jobs: Sequence[Job] | None,
        drawing: Drawing | None = None,
    ) -> None:
        self._control = control
        self._name = name
        self._group = group  # counts these jobs; None: the one that the queue has by this name
        self._jobs = None if jobs is None else tuple(jobs)  # held, so that their results are kept
        self._drawing = drawing  # of a long map, whose jobs are kept as the queue keeps them

    # -- as a sequence ---------------------------------------------------------------------------

    def _records(self) -> list[JobRecord]:
        """List the latest try of each item."""
        if self._jobs is not None:
            return [latest(job._record) for job in self._jobs]
        if self._drawing is not None:
            return self._drawing.records()
        with self._control.engine.lock.held:
            group = self._named()
            return [] if group is None else jobs_of(group)

    def _members(self) -> Sequence[Job]:
        if self._drawing is not None:
            self._drawing.check_drawn()
            self._drawing.check_whole()
        return self._handles()

    def _counted(self) -> Group | None:
        """Return what counts its jobs; None: the queue keeps none of this name."""
        return self._group or self._named()

    def _drawings(self) -> list[Drawing]:
        """List the long maps whose items are jobs of this group and are not all submitted yet."""
        if self._group is not None:
            return [] if self._drawing is None else [self._drawing]
        with self._control.engine.lock.held:
            return [one for one in self._control.drawings if one.group.name == self._name]

    def _named(self) -> Group | None:
        return self._control.engine.state.groups.named.get(self._name)

    def _handles(self, records: Iterable[JobRecord] | None = None) -> list[Job]:
        handle = self._control.handle
        return [handle(record) for record in (self._records() if records is None else records)]

    @overload
    def __getitem__(self, index: SupportsIndex) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Job | list[Job]:
        if isinstance(index, slice):
            return self._handles(self._records()[index])
        if isinstance(index, str):
            raise TypeError("a group has its jobs by their place, like runs[3]; queue[…] takes ids")
        if self._drawing is not None:
            return self._control.handle(self._drawing.record(operator.index(index)))
        try:
            if self._jobs is None:
                return self._control.handle(self._records()[index])
            return self._control.handle(latest(self._jobs[index]._record))
        except IndexError:
            raise IndexError(
                f"{index} is no item of {self._name!r}, which has {len(self):,} (from 0 on)"
            ) from None

    def __len__(self) -> int:
        if self._drawing is not None:
            return len(self._drawing)
        return len(self._records() if self._jobs is None else self._jobs)

    def __iter__(self) -> Iterator[Job]:
        if self._drawing is not None:
            return map(self._control.handle, self._drawing)
        return iter(self._handles())

    def __reversed__(self) -> Iterator[Job]:
        return reversed(self._handles())

    def __contains__(self, job: object) -> bool:
        return isinstance(job, Job) and any(one is job._record for one in self._records())

    def __add__(self, other: object) -> list[Job]:
        if not isinstance(other, (list, JobGroup)):
            return NotImplemented
        return [*self, *other]

    def __radd__(self, other: object) -> list[Any]:
        return [*other, *self] if isinstance(other, list) else NotImplemented

    def __mul__(self, times: SupportsIndex) -> list[Job]:
        return self._handles() * times

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, JobGroup)):
            return NotImplemented
        return self is other or self._handles() == list(other)

    def index(self, value: object, start: int = 0, stop: int | None = None) -> int:
        """Return the place of a job.

        Raises:
            ValueError: it is not in the group.
            TypeError: it is no job.

        """
        jobs = self._handles()
        return jobs.index(_checked(value, "index"), start, len(jobs) if stop is None else stop)

    def count(self, value: object) -> int:
        """Return how often a job is in the group; `counts` says how many have which status.

        Raises:
            TypeError: it is no job.

        """
        return self._handles().count(_checked(value, "count"))

    def __getattr__(self, name: str) -> NoReturn:
        hint = ""
        if name in OF_LISTS:
            hint = ": a group does not change by itself; list(group) gives a list"
        raise AttributeError(f"a JobGroup has no {name!r}{hint}")

    def __copy__(self) -> JobGroup:
        return self

    def __deepcopy__(self, memo: object) -> JobGroup:
        return self

    def __reduce__(self) -> str:
        raise TypeError(
            "a JobGroup stays in its process and cannot be pickled: pass its results, `await group`"
        )

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
            total = 0 if group is None else sum(group.counts.values())
            if group is None or not total:
                return 1.0
            reached = float(
                total - group.counts[JobStatus.pending] - group.counts[JobStatus.running]
            )
            if self._drawing is not None and self._drawing.total is not None:
                total = self._drawing.total
            for job in self._control.engine.state.running.values():
                if job.progress:
                    reached += job.progress * job.groups.count(group)
        return min(1.0, reached / total)

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
                found.setdefault(_kind(record), []).append(self._control.handle(record))
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
        if errors not in ("raise", "return", "skip"):
            raise InvalidOptionError(f'errors must be "raise", "return" or "skip", not {errors!r}')
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
            drawing, known = self._drawing, 0 if self._drawing is None else self._drawing.drawn
            yield from self._wait().__await__()
            if drawing is not None and not self.done:  # in a job, which waits for each as it comes
                yield from drawing.more(known).wait().__await__()
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
        if self._drawing is not None:
            await self._drawing.wait()
            self._drawing.check_drawn()

    def wait(self, timeout: float | None = None) -> None:
        """Wait in a plain cell, callback or thread until all have ended, however they end.

        An interrupt ends the waiting, never the jobs. In a coroutine use `await group`.

        Raises:
            WaitTimeoutError: after `timeout` seconds; the jobs go on.
            QueueIdleError: what is left cannot start by itself (held, paused, not started).

        """
        group = self._counted()
        if group is not None:
            self._control.wait_for_group_blocking(group, self._records, timeout, self._drawing)

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

        Its columns are the parameters, the result (of a dictionary one column for each key),
        `status`, `error_type`, `error`, `seconds` (of the latest attempt), `memory_mib` (the most
        that was seen), `attempt`, `retry_of`, `started` and `ended` (UTC).

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

    def retry_failed(self, kind: str | type[BaseException] | None = None) -> JobGroup:
        """Submit its failed jobs again; each takes the place of the one that it repeats.

        Args:
            kind: only those that failed of this: a key of `failures()`, or the exception's class.

        Returns:
            The new jobs, as a group of their own; they are counted in this group, too.

        Raises:
            InvalidOptionError: `kind` is something else, or none of the failed jobs is of it.
            NotRestorableError: one cannot run again; then none does.

        """
        if isinstance(kind, type) and issubclass(kind, BaseException):
            kind = kind.__name__
        if not isinstance(kind, str | None):
            raise InvalidOptionError(
                f"kind must be a key of failures() or an exception class, not {kind!r}"
            )
        failed = [record for record in self._records() if record.status is JobStatus.failed]
        chosen = [record for record in failed if kind is None or _kind(record) == kind]
        if failed and not chosen:
            counted = Counter(map(_kind, failed)).most_common()
            there = ", ".join(f"{one!r} ({count:,})" for one, count in counted)
            raise InvalidOptionError(
                f"no job of {self.title!r} has failed of {kind!r}, so that none is tried again; "
                f"there are: {there}. An exception counts by its own class; without a kind all are"
            )
        return self._control.retry_several(list(dict.fromkeys(chosen)), self._name)

    # -- shown -------------------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: Any) -> MimeBundle:
        return {"text/plain": repr(self), "text/html": provider().group_html(self)}, {}

    def _repr_html_(self) -> str:
        return provider().group_html(self)

    def _ipython_display_(self) -> None:
        queue = self._control.queue()
        if queue is None:
            raise NotImplementedError  # IPython's way to say: show the bundle instead
        provider().show_group(queue, self)

    def __repr__(self) -> str:
        counts = self.counts
        total = sum(counts.values())
        told = [f"{counts[name]:,} {name}" for name in _TOLD if counts[name]]
        return f"<JobGroup {fit(self.title, 40)!r} of {total:,}: {', '.join(told) or 'no jobs'}>"


_TOLD = ("completed", "failed", "cancelled", "running", "pending")


def _kind(record: JobRecord) -> str:
    return "UnknownFailure" if record.failure is None else record.failure.kind


def _checked(value: object, method: str) -> Job:
    if not isinstance(value, Job):
        raise TypeError(
            f"{method} takes a job, not {type(value).__name__}; "
            "`counts` of a group says how many jobs have which status"
        )
    return value
