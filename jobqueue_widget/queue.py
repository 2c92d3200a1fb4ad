"""JobQueue, the public door: checks what it is given and hands it to the engine."""

from __future__ import annotations

import inspect
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from ._api import rows
from ._api.callers.decorated import Decorating
from ._api.callers.futures import QueueExecutor
from ._api.callers.targets import MISSING, target_of
from ._api.callers.with_joblib import offer
from ._api.control import Control, OptionsView, Scope
from ._api.displayed import Displayed
from ._api.forgetting import Forgetting
from ._api.journaled import Journaled, give_journal, queue_of
from ._api.lookback.looking_back import LookingBack
from ._api.options import (
    PARAMETERS,
    check_callback,
    check_choice,
    check_priority,
    check_seconds,
    check_text,
    make_options,
    make_settings,
    spelling,
)
from ._api.reference_names import ReferenceNames
from ._api.rerun_warning import warn_if_replaced, warn_of_unused
from ._api.submission import Submission
from ._api.sweeps.collected import Collected
from ._api.sweeps.labels import taken_label
from ._api.unawaited import to_be_awaited
from ._core import events as ev
from ._core.jobs import JobStatus
from ._core.spec import DEFAULT_OPTIONS
from ._machine.shared import shared_admission
from ._runtime.detached.runs import until_told, until_told_blocking
from ._runtime.engine import Engine, Settings
from ._runtime.publish import EventStream, Subscriber
from ._runtime.storage.data_frame import data_frame
from .errors import InvalidOptionError, InvalidTargetError, UnsupportedLoopError
from .job import Job
from .protocols import OffersResources

if TYPE_CHECKING:
    from ._api.sweeps.group import JobGroup
    from .protocols import Executor


class QueueNotStartedWarning(UserWarning):
    """A job was submitted to a queue that was never started; it waits."""


class JobQueue(
    Decorating, Forgetting, LookingBack, Collected, Journaled, Displayed, ReferenceNames
):
    """A queue of heavy jobs in this process: strict priority, then first in first out.

    Args:
        manager: a plugin host (anything with `get_plugin`, `execute_plugin_async`,
            `reload_plugin`); only needed to submit plugin names.
        max_history: how many ended jobs `get_history()` shows; the widget lists all that are kept.
        cancel_timeout: seconds between asking a job to stop and forcing it (0: force at once).
        progress_poll_interval: seconds between polls of a plugin's progress.
        name: shown in titles and thread names.
        executor: where plain functions run: "process" (default), "thread" or an executor object
            (a `FuturesExecutor`, `DaskExecutor` or `RayExecutor`, or one of your own).
        max_running: how many jobs run at a time (lanes); default 1, or with an executor object
            as many as it says that it can run, now and whenever that changes.
        keep_ended: how many ended jobs can be fetched by id.
        keep_bytes: how much ended jobs may leave in memory, results and arguments together. Above
            it results move into files, and arguments of completed jobs are let go.
        spool_bytes: how much of results may stand in files; None = a tenth of what is free on the
            disk, at most 20 GiB. Above it the oldest that nobody holds a handle of are let go.
        loop: "current" = the loop that runs `start()`; "thread" = a private loop in a thread.
        backfill: let later jobs pass one that waits for resources, for at most `max_bypass` s.
        max_bypass: seconds; see `backfill`.
        max_result_bytes: results of functions above this are not kept (`NotKept`); None = no cap.
        env: environment variables added for function workers.
        recycle_after: a function worker is replaced after so many jobs; None = never.
        keep_kernel_alive: while jobs run, keep a notebook server from culling the kernel as idle.
        journal: a path ("runs.db") or a `SqliteJournal`: what is accepted there survives the
            kernel. The same line after a restart brings history, results and pending jobs back.
        detached: jobs go on when their kernel ends, and the next queue of the journal has them
            again; as the option of that name, for all jobs that do not say otherwise.
        on_restore: "pause" = restored jobs wait for `resume()`; "run" = they go on by themselves.

    Raises:
        InvalidOptionError: a value is of the wrong type or out of range.
        QueueExistsError: a living queue of this kernel has that journal; see `JobQueue.open`.
        JournalError: the journal cannot be used; the message says why and what to do.

    Example:
        ```python
        queue = JobQueue(max_running=2)
        await queue.start()
        job = queue.submit_nowait(pow, 2, 10)
        assert await job == 1024
        await queue.stop()
        ```
    """

    def __init__(
        self,
        manager: object = None,
        max_history: int = 100,
        cancel_timeout: float = 3.0,
        progress_poll_interval: float = 1.0,
        *,
        name: str | None = None,
        executor: object = None,
        max_running: int | None = None,
        keep_ended: int = 10_000,
        keep_bytes: int = 256 * 1024 * 1024,
        spool_bytes: int | None = None,
        loop: Literal["current", "thread"] = "current",
        backfill: bool = False,
        max_bypass: float = 120.0,
        max_result_bytes: int | None = None,
        env: Mapping[str, str] | None = None,
        recycle_after: int | None = None,
        keep_kernel_alive: bool = True,
        journal: object = None,
        on_restore: Literal["pause", "run"] = "pause",
        detached: bool = False,
    ) -> None:
        settings = make_settings(
            name=name,
            max_history=max_history,
            keep_ended=keep_ended,
            keep_bytes=keep_bytes,
            spool_bytes=spool_bytes,
            cancel_timeout=cancel_timeout,
            progress_poll_interval=progress_poll_interval,
            max_running=max_running,
            loop=loop,
            backfill=backfill,
            max_bypass=max_bypass,
            max_result_bytes=max_result_bytes,
            env=env,
            recycle_after=recycle_after,
            keep_kernel_alive=keep_kernel_alive,
            detached=detached,
        )
        if executor is not None:
            make_options({"executor": executor})
            if executor == "coroutine":
                raise InvalidOptionError('executor: plain functions cannot run as "coroutine"')
        self.manager = manager
        self._engine = self._make_engine(settings)
        if executor is not None and not isinstance(executor, str):
            self._engine.main_executor = cast("Executor", executor)
        self._submission = Submission(self._engine, manager, executor)
        self._control = Control(self._engine, self._submission, weakref.ref(self))
        self._warned = False
        check_choice("on_restore", on_restore, ("pause", "run"))
        if journal is not None:
            give_journal(self, self._submission, journal, on_restore)
        else:
            warn_if_replaced(JobQueue)
        self._dropped = weakref.finalize(self, self._engine.life.abandon)
        self._dropped.atexit = False
        offer()

    @classmethod
    @spelling(
        one
        for one in inspect.signature(__init__).parameters.values()
        if one.name not in ("self", "journal")
    )
    def open(cls, journal: object, *args: Any, **kwargs: Any) -> Self:
        """Return the living queue of this kernel that has this journal; else make one.

        For a cell that may run again. A queue that lives stays as it was made: if other options are
        given, a warning names them.

        Args:
            journal: as in the constructor.
            args: of the constructor, without the journal; only used if a queue is made.
            kwargs: the same.
        """
        if isinstance(found := queue_of(journal), cls):
            warn_of_unused(inspect.signature(cls.open).bind(journal, *args, **kwargs), found)
            return found
        return cls(*args, journal=journal, **kwargs)

    def _make_engine(self, settings: Settings) -> Engine:
        """Make the engine; tests put another clock under the queue here."""
        return Engine(settings, admission=shared_admission())

    # -- running and stopping --------------------------------------------------------------

    @to_be_awaited("await it")
    async def start(self) -> JobQueue:
        """Begin to run jobs. Idempotent; may follow a `stop`, also on another loop.

        Raises:
            QueueClosedError: the queue was closed for good.
        """
        await self._engine.life.start_after_stop()
        await until_told(self._engine)
        return self

    @to_be_awaited("await it")
    async def stop(
        self, running: Literal["cancel", "wait"] = "cancel", timeout: float = 5.0
    ) -> None:
        """Stop the queue: nothing executes any more; pending jobs run after the next `start`.

        Args:
            running: "cancel" asks running jobs to stop, then forces them; "wait" lets them end.
            timeout: seconds for that; what is not over then is forced. Work that cannot be
                forced (threads, coroutines) is declared failed and keeps its lane.

        Raises:
            InvalidOptionError: an argument is out of range.
        """
        check_choice("running", running, ("cancel", "wait"))
        await self._engine.life.stop(running, check_seconds("timeout", timeout))

    @to_be_awaited("await it")
    async def close(self, *, detached: Literal["leave", "cancel"] = "leave") -> None:
        """Stop the queue for good: cancel pending jobs and refuse further submits. Idempotent.

        Args:
            detached: "cancel" ends jobs that would go on without this kernel.
        """
        if check_choice("detached", detached, ("leave", "cancel")) == "cancel":
            await self._engine.life.end_detached()
        self._engine.life.refuse()
        await self.stop()
        self._engine.life.close()
        self._control.close_drawings()
        self._dropped.detach()  # or it would keep what holds the queue itself: a clock, an executor

    async def __aenter__(self) -> JobQueue:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> JobQueue:
        if self._engine.settings.loop != "thread":
            raise UnsupportedLoopError(
                'plain `with` needs a loop of its own: use JobQueue(loop="thread"), '
                "or `async with` in a coroutine"
            )
        while not self._engine.life.start():
            self._engine.life.stop_blocking("cancel", 5.0)  # the one that is under way
        until_told_blocking(self._engine)
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.life.stop_blocking("cancel", 5.0)

    def __bool__(self) -> bool:
        return True

    # -- submitting --------------------------------------------------------------------------

    @to_be_awaited("await it, or use submit_nowait")
    async def submit(
        self, target: object = MISSING, /, *args: Any, priority: int = 0, **kwargs: Any
    ) -> str:
        """Enqueue a job and return its id. See `submit_nowait`."""
        target = target_of(target, kwargs)
        return self._control.submit(target, args, kwargs, DEFAULT_OPTIONS, priority).id

    def submit_nowait(
        self, target: object = MISSING, /, *args: Any, priority: int = 0, **kwargs: Any
    ) -> Job:
        """Enqueue a job. Any thread.

        Args:
            target: a plugin name, a coroutine function (runs on the queue's loop) or a plain
                callable (runs in a worker process; its arguments are pickled now).
            args: passed to the target.
            priority: an integer; higher runs earlier.
            kwargs: passed to the target; everything but `priority` goes through.

        Returns:
            The job's handle; `await` it for the result.

        Raises:
            InvalidTargetError: the target cannot be run.
            UnpicklableJobError: a function or its arguments cannot be sent to a worker.
            NotSupportedError: it needs a thread or a process, and the browser's Python has none.
            QueueClosedError: the queue was closed for good.
        """
        if self._engine.life.phase == "not started" and not self._warned:
            self._warned = True
            text = "the queue is not started: the job waits until `await queue.start()`"
            warnings.warn(text, QueueNotStartedWarning, stacklevel=2)
        target = target_of(target, kwargs)
        return self._control.submit(target, args, kwargs, DEFAULT_OPTIONS, priority)

    def map(self, function: object, iterable: Iterable[Any], *more: Iterable[Any]) -> JobGroup:
        """Enqueue a job per item, in order; with `more` iterables per tuple of items, as `map`.

        The first 1,000 (`options(ahead=…)`) are enqueued at once, the others as there is room.

        Args:
            function: as in `submit_nowait`; `functools.partial` gives it arguments for all items.
            iterable: the items; it may be endless.
            more: iterables for further arguments; the shortest one ends it.

        Returns:
            The jobs as a group, which is used like a list of them; `await` it for the results.

        Raises:
            JobQueueError: one of the first cannot be submitted; then none is.
        """
        return self._control.map(function, (iterable, *more), DEFAULT_OPTIONS, 0)

    @spelling(PARAMETERS)
    def options(self, **options: Any) -> OptionsView:
        """Return the same queue with options for what is submitted through the result.

        Args:
            options: those that the signature names; docs/reference/options.md says what each does,
                and in which unit.

        Raises:
            InvalidOptionError: an unknown option or a bad value.
        """
        label = taken_label(options)
        checked, priority = make_options(options)
        self._submission.check(checked)
        return OptionsView(self._control, checked, priority or 0, label)

    def as_executor(self, **options: Any) -> QueueExecutor:
        """Return a `concurrent.futures.Executor` whose calls are jobs with these options.

        Its futures cancel a job that has not started; a running one goes on, as in executors of the
        standard library. Its `shutdown` waits for its own jobs; the queue goes on.

        Raises:
            InvalidOptionError: as `options`.
        """
        return QueueExecutor(self.options(**options).submit_nowait)

    def retry(self, job_id: str | Job, *, latest: bool = False) -> Job:
        """Submit the same target, arguments and options again. Any thread. See `Job.retry`."""
        return self._control.retry(self._control.record(job_id), latest)

    # -- changing what is queued -------------------------------------------------------------

    @to_be_awaited("await it, or use cancel_nowait")
    async def cancel(
        self,
        job_id: str | Job,
        *,
        force: bool = False,
        timeout: float | None = None,
        reason: str = "",
    ) -> bool:
        """Cancel a job; returns at once. See `cancel_nowait` for the meaning of the answer.

        Args:
            job_id: the job or its id.
            force: do not wait for it to stop by itself.
            timeout: seconds to wait for that, instead of the queue's `cancel_timeout`.
            reason: shown and kept with the job.
        """
        return self.cancel_nowait(job_id, force=force, timeout=timeout, reason=reason)

    def cancel_nowait(
        self,
        job_id: str | Job,
        *,
        force: bool = False,
        timeout: float | None = None,
        reason: str = "",
    ) -> bool:
        """Cancel a job. Any thread. True: cancelled or under way; False: unknown or ended."""
        record = self._control.find(job_id)
        return record is not None and self._control.cancel(record, force, timeout, reason)

    def cancel_all(self, scope: Scope, tag: str | None = None) -> int:
        """Cancel every job in `scope` ("pending", "running", "all"), or those with `tag`.

        Returns:
            How many were cancelled or are being so.
        """
        check_choice("scope", scope, ("pending", "running", "all"))
        return self._control.cancel_all(scope, tag)

    def reorder(self, job_id: str | Job, new_priority: int) -> bool:
        """Give a pending job another priority. Any thread. False unless it is pending."""
        priority = check_priority(new_priority)
        record = self._control.find(job_id)
        return record is not None and self._engine.do(ev.Reprioritized(record, priority))

    def move(
        self,
        job_id: str | Job,
        *,
        before: str | Job | None = None,
        after: str | Job | None = None,
        to: Literal["top", "bottom"] | None = None,
    ) -> bool:
        """Move a pending job beside another pending one, whose priority it takes, or to an end.

        Any thread. False unless both are pending.
        """
        if sum(place is not None for place in (before, after, to)) != 1:
            raise InvalidOptionError('move needs exactly one of before=, after=, to="top"/"bottom"')
        if to is not None:
            check_choice("to", to, ("top", "bottom"))
        record = self._control.find(job_id)
        anchor = None if to else self._control.find(before if before is not None else after)
        if record is None or (not to and (anchor is None or anchor.entry is None)):
            return False
        where = to or ("after" if before is None else "before")
        return self._engine.do(ev.Moved(record, anchor, where))

    def hold(
        self,
        job_id: str | Job,
        seconds: float | None = None,
        then: Literal["release", "cancel"] = "release",
    ) -> bool:
        """Hold a pending job: it keeps its place and does not start. Any thread.

        Args:
            job_id: the job or its id.
            seconds: until when; None = until `release`.
            then: what happens after that.
        """
        record = self._control.find(job_id)
        records = [] if record is None else [record]
        return self._control.hold_several(lambda: records, seconds, then, ()) > 0

    def release(self, job_id: str | Job) -> bool:
        """End the hold of a job. Any thread. False unless the job is pending."""
        record = self._control.find(job_id)
        return record is not None and self._engine.do(ev.Released(record))

    def pause(self, reason: str = "") -> None:
        """Start nothing new; what runs goes on. Any thread."""
        self._engine.set_pause(check_text("reason", reason))

    def resume(self) -> None:
        """Start jobs again. Any thread."""
        self._engine.set_pause(None)

    @property
    def paused(self) -> bool:
        """True between `pause` and `resume`."""
        return self._engine.state.pause is not None

    def restart_workers(self) -> None:
        """Replace the warm workers of plain functions (after editing a module). Any thread."""
        self._submission.restart_workers()

    def unload(self, plugin: str) -> bool:
        """Free what an idle plugin holds; it is loaded again when it is next used.

        Blocks until that is done. Any thread.

        Returns:
            False if it is at work, or was not loaded.

        Raises:
            InvalidTargetError: the manager of this queue cannot unload plugins.
        """
        manager = self.manager
        if not isinstance(manager, OffersResources):
            raise InvalidTargetError(
                f"this queue cannot unload {plugin!r}: its manager has no evict(name)"
            )
        if all(loaded.name != plugin for loaded in manager.loaded()):
            return False
        return manager.evict(plugin) is None

    # -- looking ------------------------------------------------------------------------------

    def get_job(self, job_id: str) -> Job | None:
        """Return the job, or None if it is unknown or no longer kept."""
        record = self._control.find(job_id)
        return None if record is None else Job(record, self._control)

    def jobs(self, status: JobStatus | str | None = None) -> list[Job]:
        """List running, pending (in order) and ended (newest first) jobs, or one status of them.

        Failed ones that were tried again are among them: see `Job.retried_by`.
        """
        return self._control.all_jobs(status)

    def __getitem__(self, key: str) -> Job:
        return self._control.named(key)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs())

    def __len__(self) -> int:
        return len(self._control.all_records())

    def __contains__(self, job: object) -> bool:
        return isinstance(job, (Job, str)) and self._control.find(job) is not None

    def _ipython_key_completions_(self) -> list[str]:
        """List what may stand in the brackets: labels that one job has, and short ids."""
        return self._control.keys()

    def find(self, text: str) -> list[Job]:
        """Find jobs whose id, name, label, tag, status or error contains `text`, in any case."""
        return self._control.search(text)

    def position(self, job: str | Job) -> int | None:
        """Return the place of a job among the pending ones, from 0; None if it is not pending."""
        record = self._control.find(job)
        with self._engine.lock.held:
            if record is None or record.entry is None:
                return None
            return self._engine.state.order.position(record)

    def window(self, which: rows.WindowName, start: int, stop: int) -> rows.Rows:
        """Return rows of "running", "pending" or "history" and their total, of one moment."""
        return rows.window(self._engine, which, start, stop)

    def get_state(self) -> dict[str, Any]:
        """Return all of the queue as plain values.

        Its keys are `running` (the job started first, or None), `running_all`, `pending`, `history`
        (the last 20 ended ones, newest first), `stats` (exact totals), `paused`, `phase` and
        `revision`.
        """
        return rows.state_dict(self._engine)

    def get_job_logs(self, job_id: str | Job, lines: int = 100) -> str:
        """Return the last `lines` lines of the job's output; "" for an unknown id."""
        record = self._control.find(job_id)
        return "" if record is None else Job(record, self._control).logs(lines)

    def to_pandas(self) -> Any:
        """Return all kept jobs as a pandas DataFrame, one row per job.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return data_frame([job.as_dict() for job in self.jobs()])

    def __reduce__(self) -> str:
        raise TypeError(
            "a JobQueue stays in its process and cannot be pickled, nor used in a worker"
        )

    def __repr__(self) -> str:
        state = self._engine.state
        name = f" {self._engine.settings.name!r}" if self._engine.settings.name else ""
        paused = ", paused" if state.pause else ""
        return (
            f"<JobQueue{name} {self._engine.life.phase}{paused}: {len(state.running)} running, "
            f"{len(state.order)} pending, {state.totals.ended} ended>"
        )

    # -- waiting ------------------------------------------------------------------------------

    @to_be_awaited("await it, or use wait(job)")
    async def wait_for_job(self, job_id: str | Job, timeout: float | None = None) -> Job:
        """Wait until the job has ended, however; on any loop.

        Raises:
            WaitTimeoutError: after `timeout` seconds; the job goes on.
            UnknownJobError: this queue never had such a job.
            JobEvictedError: it ended long ago and is no longer kept.
            QueueStoppedError: the queue stopped and the job will not run.
        """
        record = self._control.record(job_id)
        await self._control.wait_for(record, timeout)
        return Job(record, self._control)

    @to_be_awaited("await it, or use wait()")
    async def join(self, timeout: float | None = None) -> None:
        """Wait until nothing is pending or running; on any loop.

        Raises:
            WaitTimeoutError: after `timeout` seconds; the jobs go on.
            QueueIdleError: what is left cannot start by itself (held, paused, not started).
        """
        await self._control.join(timeout)

    def wait(self, *jobs: str | Job, timeout: float | None = None) -> None:
        """Wait in a plain cell, callback or thread: for these jobs, or until nothing is left.

        An interrupt ends the waiting, never the jobs. In a coroutine use `await queue.join()`.

        Raises:
            WaitTimeoutError: after `timeout` seconds.
            UnsupportedLoopError: no loop runs that could run the jobs meanwhile.
        """
        records = [self._control.record(job) for job in jobs]
        self._control.wait_blocking(records, timeout)

    # -- events -------------------------------------------------------------------------------

    def events(self, job_id: str | Job | None = None) -> EventStream:
        """Stream what happens from now on: `async for event in queue.events()`; running loop.

        With a job, the stream ends with it. Bounded: `dropped` of the result counts losses.
        """
        record = None if job_id is None else self._control.record(job_id)
        with self._engine.lock.held:
            stream = self._engine.publisher.stream(None if record is None else record.id)
        if record is not None and record.status.ended:
            stream.close()
        return stream

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call `callback(event)` on the queue's loop for each event; returns what ends it.

        One that raises is logged, and dropped after three times.

        Raises:
            InvalidOptionError: it cannot be called, or is an `async def`: nothing would await it.
        """
        check_callback(callback)
        with self._engine.lock.held:
            return self._engine.publisher.subscribe(callback)
