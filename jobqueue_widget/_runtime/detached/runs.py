"""Follows again, from each start of a queue to its stop, the jobs that need no kernel."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol, cast

from ..._core import events as ev
from ...errors import JobQueueError
from ..engine_view import EngineView, do_all
from ..runner import Run, RunsJobs

if TYPE_CHECKING:
    from ..._core.jobs import JobRecord
    from ...protocols import Executor
    from ..dispatcher import Dispatcher
    from ..queue_resources import QueueResources
    from ..storage.spans import Spans
    from ..waiting import Waiters
END_PATIENCE = 2.0  # seconds for what ended before to be told as ended
FORCE_PATIENCE = 6.0  # seconds for what is forced to be gone, or to be told as still there


class Follows(RunsJobs, EngineView, Protocol):
    """What this uses of its engine besides."""

    dispatcher: Dispatcher
    resources: QueueResources
    left_behind: bool
    runs: dict[str, Run]
    waiters: Waiters
    spans: Spans


def goes_on(job: JobRecord) -> bool:
    """True for a job that needs no kernel."""
    return bool(job.spec.options.detached)


def others(engine: EngineView) -> list[JobRecord]:
    """List what runs and needs this process."""
    return [job for job in list(engine.state.running.values()) if not goes_on(job)]


def follow_all(engine: Follows) -> None:
    """Follow what runs and has no run here: since a restore, or since a stop. Owner loop."""
    engine.left_behind = False
    for job in list(engine.state.running.values()):
        if not goes_on(job) or job.id in engine.runs:
            continue
        executor = cast("Executor", job.spec.executor)
        problem = engine.dispatcher.open(executor)
        if problem is not None:
            engine.logger.error("%s cannot be followed: %s", job.id, problem)
            continue
        engine.resources.take_over(job, devices_of(engine, job))
        run = Run(engine, job)
        with engine.lock.held:
            run.lane = engine.spans.begin()
            engine.runs[job.id] = run
        if is_gone(engine, job):
            engine.waiters.unseen.append(job)
        run.adopt(executor)


async def until_told(engine: Follows) -> None:
    """Wait until the ends that came before this start are told; for 2 s at most."""
    jobs, engine.waiters.unseen = engine.waiters.unseen, []
    with contextlib.suppress(JobQueueError):  # the queue was stopped meanwhile
        await engine.waiters.until_ended(jobs, engine.monotonic() + END_PATIENCE)


def until_told_blocking(engine: Follows) -> None:
    """Do the same in a thread without a loop."""
    jobs, engine.waiters.unseen = engine.waiters.unseen, []
    deadline = engine.monotonic() + END_PATIENCE
    for job in jobs:
        waiter = engine.waiters.for_job(job)
        with contextlib.suppress(JobQueueError):
            if not waiter.wait_blocking(max(0.0, deadline - engine.monotonic())):
                engine.waiters.forget(waiter, job)


def is_gone(engine: Follows, job: JobRecord) -> bool:
    """True if the process of a job that was left running lives no more."""
    from ...workers.detached.folders import Folders  # where there are processes

    folders = engine.context.detached
    return isinstance(folders, Folders) and folders.attempt(job.id, job.attempt).process() is None


def devices_of(engine: Follows, job: JobRecord) -> tuple[str, ...]:
    """Return the GPUs that an earlier kernel has reserved for a job, as CUDA names them."""
    from ...workers.detached.folders import Folders  # where there are processes

    folders = engine.context.detached
    return folders.attempt(job.id, job.attempt).devices() if isinstance(folders, Folders) else ()


async def end_all(engine: Follows) -> None:
    """Cancel all that needs no kernel, and wait until it is gone, or could not be ended."""
    jobs = [job for job in list(engine.state.running.values()) if goes_on(job)]
    grace = engine.settings.cancel_timeout
    do_all(engine, (ev.CancelRequested(job, False, grace, "queue closed") for job in jobs))
    await engine.waiters.until_ended(jobs, engine.monotonic() + grace + FORCE_PATIENCE)


def leave_all(engine: Follows) -> None:
    """Let all go on that needs no kernel, and say so."""
    with engine.lock.held:
        runs = [run for run in engine.runs.values() if goes_on(run.job)]
        for run in runs:
            del engine.runs[run.job_id]
            engine.spans.end(run.job, run.lane, run.attempt, None, engine.now())
        engine.left_behind = bool(runs)
    for run in runs:
        run.leave()


def sentence(engine: EngineView) -> str:
    """Say what becomes of jobs without this kernel: some go on, others wait; "" if there are none.

    Under the lock. Of a queue with a journal.
    """
    count = sum(map(goes_on, engine.state.running.values()))
    waiting = len(engine.state.order)
    goes = "1 job goes" if count == 1 else f"{count:,} jobs go"
    waits = "1 pending waits" if waiting == 1 else f"{waiting:,} pending wait"
    told = (
        f"{goes} on without this kernel" if count else "",
        f"{waits} for the next kernel" if waiting else "",
    )
    return "; ".join(filter(None, told))
