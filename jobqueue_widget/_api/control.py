"""Does what a queue, its options views and its jobs are asked: submit, find, cancel, wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from .._core import events as ev
from .._core.jobs import JobRecord, JobStatus
from .._core.spec import JobOptions
from .._core.texts.fitting import fit
from .._core.texts.words import cancel_text, error_text
from .._persistence.warnings import warn
from .._runtime.engine import Engine
from .._runtime.engine_view import do_all
from .._runtime.waiting import Waiter
from .._runtime.waits import WAITS
from .._secrets.arguments import quiet_line
from .._threads.kernel import run_nested
from ..child.job_context import current_job
from ..errors import (
    AmbiguousJobError,
    InvalidOptionError,
    JobEvictedError,
    QueueStoppedError,
    UnknownJobError,
    WaitTimeoutError,
    WouldDeadlockError,
)
from ..job import Job
from .callers.changes import with_changes
from .callers.futures import JobFuture
from .callers.stack import stack_of
from .callers.targets import MISSING, target_of
from .options import check_callback, check_priority, check_status, check_text, seconds_or_none
from .outlook import outlook
from .rows import WILL_NOT_SURVIVE, add_arguments, row
from .submission import Submission
from .sweeps.acts import Acts, told_text
from .sweeps.arrivals import countdown, within
from .sweeps.drawing import Drawing
from .sweeps.forecasts import Estimates
from .sweeps.group import JobGroup
from .sweeps.labels import LabelFunction, Labels
from .sweeps.latest import changed_text, differs_now
from .unawaited import to_be_awaited

Scope = Literal["pending", "running", "all"]
CURE = "options(secret=False) keeps it"
ENDS = {JobStatus.failed: "has failed", JobStatus.cancelled: "was cancelled"}


class Control(Acts):
    """Acts on records of one engine. Holds no reference to the user's JobQueue object."""

    def __init__(
        self, engine: Engine, submission: Submission, queue: Callable[[], object | None]
    ) -> None:
        self.engine = engine
        engine.keeper.describe = quiet_line
        self.submission = submission
        self.queue = queue
        self.estimates = Estimates()
        self.drawings: list[Drawing] = []  # of maps that are not submitted whole yet
        self._said: set[tuple[str, str]] = set()  # warnings given: name of the target, text

    # -- submitting ----------------------------------------------------------------------------

    def submit(
        self,
        target: object,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: JobOptions,
        priority: object,
    ) -> Job:
        """Check, pack and enqueue one job."""
        checked = check_priority(priority)
        self.engine.life.check_open()
        if options.key is not None:
            return self.submit_keyed(target, args, kwargs, options, checked)
        record, parents = self.submission.record(target, args, kwargs, options, checked)
        self._say_what_is_lost([record])
        self.engine.submit([(record, parents)])
        return Job(record, self)

    def retry(self, record: JobRecord, with_latest: bool = False) -> Job:
        """Submit the same again, as a new job; or with the function as it is now."""
        while True:
            jobs = self._retry([record], with_latest, None)
            if jobs is not None:
                return jobs[0]

    def retry_with(self, record: JobRecord, changes: Mapping[str, object]) -> Job:
        """Submit the same again with other values of some arguments, as a new job."""
        make = partial(with_changes, self.submission, changes=changes)
        while True:
            jobs = self._retry([record], False, None, make)
            if jobs is not None:
                return jobs[0]

    def _told_of_retry(self, record: JobRecord, again: JobRecord, latest: bool) -> Iterator[str]:
        if not latest and differs_now(record.spec):
            yield changed_text(record.spec)
        for job_id in record.spec.options.after:
            parent = self.engine.state.jobs.get(job_id)
            if job_id in again.spec.options.after or (parent and parent.status not in ENDS):
                continue
            what = ENDS[parent.status] if parent else "is no longer kept"
            yield f"it does not wait for {parent.spec.title if parent else job_id}, which {what}"

    def _say_what_is_lost(self, records: Sequence[JobRecord]) -> None:
        """Warn, with a journal, that a job will not survive because a name of it looks secret."""
        if self.engine.recorder is None:
            return
        for record in records:
            spec = record.spec
            if spec.secrets is not None and spec.secrets.warning:
                said = (spec.name, spec.secrets.warning)
                if said not in self._said:
                    self._said.add(said)
                    warn(f"{spec.secrets.warning}, so this job {WILL_NOT_SURVIVE}; {CURE}")

    # -- finding -------------------------------------------------------------------------------

    def find(self, job: object) -> JobRecord | None:
        """Return the record of a handle or an id of this queue, or None.

        Raises:
            InvalidOptionError: it is a group, a list or a set.
        """
        if isinstance(job, Job):
            return job._record if job._control is self else None
        if isinstance(job, str):
            return self.engine.state.jobs.get(job)
        if isinstance(job, (Sequence, Set)):
            raise InvalidOptionError(
                f"one job or its id is needed here, not a {type(job).__name__}: of a list name one "
                "by one; a group has cancel(), hold(), release(), wait() and retry_failed() itself"
            )
        return None

    def record(self, job: object) -> JobRecord:
        """Return the record of a handle or an id.

        Raises:
            UnknownJobError: this queue never had such a job.
            JobEvictedError: it had, and keeps it no longer.
        """
        record = self.find(job)
        if record is not None:
            return record
        runs = self.engine.earlier_runs | {self.engine.run_id}
        number = self.engine.ids.number_of(job, runs) if isinstance(job, str) else None
        if number is not None and 0 < number <= self.engine.numbers_given:
            raise JobEvictedError(
                f"job {job} has ended and is no longer kept: the newest keep_ended="
                f"{self.engine.settings.keep_ended} are, but for what was forgotten; "
                "hold its Job to keep a result"
            )
        if isinstance(job, Job):
            raise UnknownJobError(f"{job.title!r} ({job.id}) is a job of another queue")
        if not isinstance(job, str):
            raise UnknownJobError(f"{fit(repr(job), 60)} is no job: pass a Job or its id")
        raise UnknownJobError(f"{job!r} is no job of this queue; pass an id that submit returned")

    def all_records(self) -> list[JobRecord]:
        """List records: running ones, pending in order, ended newest first."""
        with self.engine.lock.held:
            state = self.engine.state
            return [*state.running.values(), *state.order.slice(0), *reversed(state.ended)]

    def handle(self, record: JobRecord) -> Job:
        """Return the handle of a job."""
        return Job(record, self)

    def all_jobs(self, status: JobStatus | str | None = None) -> list[Job]:
        """List handles of all records, or of those of one status.

        Raises:
            InvalidOptionError: it is no status.
        """
        status = None if status is None else check_status(status)
        records = self.all_records()
        return [Job(record, self) for record in records if status in (None, record.status)]

    def history(self) -> list[Job]:
        """List the ended jobs that are shown, newest first."""
        with self.engine.lock.held:
            return [Job(record, self) for record in self.engine.state.history()]

    def named(self, key: str) -> Job:
        """Return the job with this id, or the only one with this label or first part of its id.

        Raises:
            AmbiguousJobError: there is none, or more than one.
        """
        record = self.find(key)
        if record is not None:
            return Job(record, self)
        matches = [job for job in self.all_jobs() if key in (job.label, job.id.partition("-")[0])]
        if not matches:
            raise AmbiguousJobError(
                f"{key!r} is no id, label or short id of a job of this queue; find({key!r}) looks "
                "into all words, and group(…) has groups"
            )
        if len(matches) > 1:
            raise AmbiguousJobError(
                f"{len(matches):,} jobs have the label or short id {key!r}; take one of their ids: "
                f"{', '.join(job.id for job in matches[:10])}"
            )
        return matches[0]

    def keys(self) -> list[str]:
        """Return the keys under which `named` finds one job: labels of one job, then short ids."""
        jobs = self.all_jobs()
        labels = Counter(job.label for job in jobs if job.label is not None)
        unique = [label for label, count in labels.items() if count == 1]
        return unique + [job.id.partition("-")[0] for job in jobs]

    def search(self, text: str) -> list[Job]:
        """Find jobs with `text` in any of their words."""
        wanted = text.casefold()
        return [Job(record, self) for record in self.all_records() if wanted in searchable(record)]

    def stack(self, record: JobRecord) -> str:
        """Return where a job is right now."""
        self.engine.life.handle_lost_loop()
        return stack_of(self.engine, record)

    # -- cancelling, logs ----------------------------------------------------------------------

    def cancel(self, record: JobRecord, force: bool, timeout: float | None, reason: str) -> bool:
        """Cancel a job; True if that is done or under way."""
        limit = seconds_or_none("timeout", timeout)
        if limit is None:
            limit = self.engine.settings.cancel_timeout
        check_text("reason", reason)
        return self.engine.do(ev.CancelRequested(record, force, limit, told_text(record, reason)))

    def cancel_all(self, scope: Scope, tag: str | None) -> int:
        """Cancel all jobs of the scope and tag; return how many are cancelled or asked to stop.

        Pending jobs come first, so that none of them takes the lane of a cancelled one. That the
        loop was closed is noticed before the first job, so that all that ran on it end alike.
        """
        self.engine.life.handle_lost_loop()
        while True:
            self.end_drawings(scope, tag)
            with self.engine.lock.held:
                if self.drawings_of(scope, tag):
                    continue  # a map that has come meanwhile
                state = self.engine.state
                records = [] if scope == "running" else state.order.slice(0)
                records += [] if scope == "pending" else state.running.values()
                break
        chosen = [r for r in records if tag is None or tag in r.spec.options.tags]
        limit = self.engine.settings.cancel_timeout
        commands = (ev.CancelRequested(record, False, limit, "cancel all") for record in chosen)
        return do_all(self.engine, commands)

    def write_log(self, record: JobRecord, text: str) -> None:
        """Append to a job's log, also after its end."""
        self.engine.log_of(record).write(text)

    def row(self, record: JobRecord) -> dict[str, Any]:
        """Return one job as plain values."""
        with self.engine.lock.held:
            place = None if record.entry is None else self.engine.state.order.position(record)
            shown = row(self.engine, record, place)
        add_arguments([shown], [record])
        return shown

    # -- waiting -------------------------------------------------------------------------------

    async def wait_for(
        self, record: JobRecord, timeout: float | None, told: float | None = None
    ) -> None:
        """Wait until a job has ended; on any loop. Cancelling the wait leaves the job alone.

        `told` is the limit that the user gave, if `timeout` is what is left of it.
        """
        timeout = seconds_or_none("timeout", timeout)
        engine = self.engine
        if record.status.ended:
            engine.keep()
            return
        engine.life.handle_lost_loop()
        self.check_can_wait(record)
        waiter = engine.waiters.for_job(record)
        try:
            with WAITS.entered(engine, record, waiter, timeout):
                await within(timeout, waiter)
        except TimeoutError:
            raise WaitTimeoutError(
                f"job {record.spec.title!r} is still {record.status.value} after "
                f"{timeout if told is None else told:g} s; {outlook(engine, [record])}"
            ) from None
        finally:
            engine.waiters.forget(waiter, record)

    def future(self, job: Job) -> JobFuture:
        """Make a future of the standard library for a job."""
        return JobFuture(job, self.engine, self.wait_blocking)

    def at_end(self, job: Job, callback: Callable[[Job], object]) -> None:
        """Call back on the owner loop when a job has ended; where there is none, in a thread."""
        check_callback(callback)
        engine = self.engine

        def call() -> None:
            try:
                callback(job)
            except Exception:
                engine.logger.exception("a callback of job %r failed", job.title)

        def post() -> None:
            if not engine.life.post(call):
                engine.aside.call(call)

        engine.waiters.at_end(job._record, post)

    async def join(self, timeout: float | None, told: float | None = None) -> None:
        """Wait until nothing is pending or running; on any loop. `told` as in `wait_for`."""
        timeout = seconds_or_none("timeout", timeout)
        self._check_not_inside()
        self.engine.life.handle_lost_loop()
        waiter = self.engine.waiters.for_all()
        try:
            await within(timeout, waiter)
        except TimeoutError:
            state = self.engine.state
            raise WaitTimeoutError(
                f"{len(state.order)} pending and {len(state.running)} running after "
                f"{timeout if told is None else told:g} s; {outlook(self.engine)}"
            ) from None
        finally:
            self.engine.waiters.forget(waiter)

    def wait_blocking(self, records: list[JobRecord], timeout: float | None) -> None:
        """Wait for these jobs, or all, in a thread or in a plain cell of the loop's own thread."""
        timeout = seconds_or_none("timeout", timeout)
        if not records:
            self._check_not_inside()
        engine = self.engine
        engine.life.handle_lost_loop()
        left = countdown(timeout, engine.monotonic)
        if self.runs_here():

            async def wait_here() -> None:
                for record in records:
                    await self.wait_for(record, left(), timeout)
                if not records:
                    await self.join(left(), timeout)

            run_nested(wait_here)
            return
        for record in records:
            self.check_can_wait(record)
        waiters: list[tuple[Waiter, JobRecord | None]]
        waiters = [(engine.waiters.for_job(record), record) for record in records]
        for waiter, awaited in waiters or [(engine.waiters.for_all(), None)]:
            try:
                with WAITS.entered(engine, awaited, waiter, timeout) if awaited else nullcontext():
                    is_over = waiter.wait_blocking(left())
                if not is_over:
                    raise WaitTimeoutError(
                        f"still not over after {timeout:g} s; {outlook(engine, records or None)}"
                    )
            finally:
                engine.waiters.forget(waiter, awaited)

    def _check_not_inside(self) -> None:
        if current_job().id in self.engine.state.running:
            raise WouldDeadlockError(
                "a job cannot wait for its own queue: it would wait for itself; "
                "use options(after=…) for work that must come later"
            )

    def check_can_wait(self, record: JobRecord) -> None:
        """Raise why this job will not end while somebody waits for it here, if it will not."""
        engine = self.engine
        if record.id in engine.state.running and current_job().id == record.id:
            raise WouldDeadlockError(f"job {record.spec.title!r} would wait for itself")
        if engine.life.phase in ("stopped", "closed") and record.entry is not None:
            raise QueueStoppedError(
                f"the queue is {engine.life.phase} and job {record.spec.title!r} will not run; "
                "`await queue.start()` lets it"
            )


class OptionsView:
    """A queue with options for what is submitted through it; reserves no keyword of the target."""

    def __init__(
        self,
        control: Control,
        options: JobOptions,
        priority: int,
        label: LabelFunction | None = None,
    ) -> None:
        self._control = control
        self._options = options
        self._priority = priority
        self._label = label

    @to_be_awaited("await it, or use submit_nowait")
    async def submit(self, target: object = MISSING, /, *args: Any, **kwargs: Any) -> str:
        """Enqueue a job with these options and return its id."""
        return self.submit_nowait(target, *args, **kwargs).id

    def submit_nowait(self, target: object = MISSING, /, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a job with these options. Any thread."""
        target = target_of(target, kwargs)
        options = self._options
        if self._label is not None:
            label = Labels(partial(self._label, **kwargs), target, len(args))
            options = replace(options, label=label.of(args))
        return self._control.submit(target, args, kwargs, options, self._priority)

    def map(self, function: object, iterable: Iterable[Any], *more: Iterable[Any]) -> JobGroup:
        """Enqueue a job per item, all with these options. See `JobQueue.map`."""
        given = (iterable, *more)
        return self._control.map(function, given, self._options, self._priority, self._label)


def searchable(job: JobRecord) -> str:
    """Return the words of a job in which is searched, casefolded; its arguments are not there."""
    options = job.spec.options
    parts = (job.id, job.spec.name, options.label or "", *options.tags, job.status)
    return "\n".join((*parts, error_text(job) or cancel_text(job) or "")).casefold()
