"""Tells when jobs will start and all be done, as far as that can be known now."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..._core.sweeps.eta import Forecast, Run, forecast

if TYPE_CHECKING:
    from ..._core.jobs import JobRecord
    from ..._runtime.engine import Engine
    from ...job import Job
    from ..control import Control


class Forecasting:
    """The part of `JobQueue` that looks ahead."""

    _engine: Engine
    _control: Control

    @property
    def eta(self) -> float | None:
        """Seconds until all jobs are done, by how long their like have taken; None: unknown.

        Unknown while the queue is paused, a job is held, or none of a function has ended yet.
        """
        return forecast_of(self._engine).done

    def starts_in(self, job: str | Job) -> float | None:
        """Return the seconds until a pending job starts; None: unknown, or it is not pending."""
        record = self._control.find(job)
        return None if record is None else forecast_of(self._engine).starts.get(record.id)


def forecast_of(engine: Engine) -> Forecast:
    """Estimate from now; nothing while the queue is paused or does not run. Any thread."""
    now = engine.now()
    with engine.lock.held:
        state = engine.state
        if state.pause is not None or not engine.accepts_dispatch:
            return Forecast()
        running = list(state.running.values())
        ready, waiting = list(state.order.ready()), list(state.order.waiting())
        lanes = engine.max_running
    known: dict[object, Sequence[float]] = {}  # one list for all of a kind, as `forecast` wants it

    def run(job: JobRecord) -> Run:
        kind = job.spec.kind, job.spec.name
        seen = known.get(kind)
        if seen is None:
            seen = known[kind] = engine.learning.durations(job.spec)
        elapsed = 0.0 if job.started_at is None else max(0.0, now - job.started_at)
        return Run(job.id, seen, elapsed=elapsed, progress=job.progress)

    def later(job: JobRecord) -> Run:
        told = run(job)
        told.after = [parent.id for parent in job.parents if not parent.status.ended]
        if job.held:
            told.not_before = math.inf
        elif job.starts_at is not None:
            told.not_before = max(0.0, job.starts_at - now)
        return told

    begun = [run(job) for job in running]
    for one, job in zip(begun, running, strict=True):
        if not one.seen and one.left is not None:  # the first of its kind tells of the others
            known[job.spec.kind, job.spec.name] = [one.elapsed + one.left]
    return forecast(begun, [*map(run, ready)], [*map(later, waiting)], lanes)
