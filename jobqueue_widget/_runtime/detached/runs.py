"""Follows again, from each start of a queue to its stop, the jobs that need no kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from ..engine_view import EngineView
from ..runner import Run, RunsJobs

if TYPE_CHECKING:
    from ..._core.jobs import JobRecord
    from ...protocols import Executor
    from ..dispatcher import Dispatcher
    from ..queue_resources import QueueResources
    from ..storage.spans import Spans


class Follows(RunsJobs, EngineView, Protocol):
    """What this uses of its engine besides."""

    dispatcher: Dispatcher
    resources: QueueResources
    runs: dict[str, Run]
    spans: Spans


def goes_on(job: JobRecord) -> bool:
    """True for a job that needs no kernel."""
    return bool(job.spec.options.detached)


def others(engine: EngineView) -> list[JobRecord]:
    """List what runs and needs this process."""
    return [job for job in list(engine.state.running.values()) if not goes_on(job)]


def follow_all(engine: Follows) -> None:
    """Follow what runs and has no run here: since a restore, or since a stop. Owner loop."""
    for job in list(engine.state.running.values()):
        if not goes_on(job) or job.id in engine.runs:
            continue
        executor = cast("Executor", job.spec.executor)
        problem = engine.dispatcher.open(executor)
        if problem is not None:
            engine.logger.error("%s cannot be followed: %s", job.id, problem)
            continue
        engine.resources.take_over(job)
        run = Run(engine, job)
        with engine.lock.held:
            run.lane = engine.spans.begin()
            engine.runs[job.id] = run
        run.adopt(executor)


def leave_all(engine: Follows) -> list[JobRecord]:
    """Let all go on that needs no kernel; return what does."""
    with engine.lock.held:
        runs = [run for run in engine.runs.values() if goes_on(run.job)]
        for run in runs:
            del engine.runs[run.job_id]
            engine.spans.end(run.job, run.lane, run.attempt, None, engine.now())
    for run in runs:
        run.leave()
    return [run.job for run in runs]
