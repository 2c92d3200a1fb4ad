"""Tells when jobs will start and all be done, as far as that can be known now."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Protocol

from ..._core.sweeps.eta import Forecast, Run, forecast
from ..._runtime.storage.learning import Kind, kind_of

if TYPE_CHECKING:
    from ..._core.jobs import JobRecord
    from ..._core.sweeps.group import Group
    from ..._runtime.engine import Engine
    from .drawing import Drawing


class HasDrawings(Protocol):
    """What an estimate uses of `Control`."""

    engine: Engine
    drawings: list[Drawing]


def forecast_of(control: HasDrawings) -> Forecast:
    """Estimate from now; nothing while the queue is paused or does not run. Any thread."""
    engine = control.engine
    now = engine.now()
    with engine.lock.held:
        state = engine.state
        if state.pause is not None or not engine.accepts_dispatch:
            return Forecast()
        running = list(state.running.values())
        ready, waiting = list(state.order.ready()), list(state.order.waiting())
        lanes = engine.max_running
        drawings = [
            (drawing, {drawing.group, state.groups.named.get(drawing.group.name)})
            for drawing in control.drawings
        ]
    known: dict[Kind, Sequence[float]] = {}  # one list for all of a kind, as `forecast` wants it

    def run(job: JobRecord) -> Run:
        kind = kind_of(job.spec)
        seen = known.get(kind)
        if seen is None:
            seen = known[kind] = engine.learning.durations(job.spec)
        elapsed = 0.0 if job.started_at is None else max(0.0, now - job.started_at)
        return Run(job.id, seen, tuple(dict.fromkeys(job.groups)), elapsed, job.progress)

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
            known[kind_of(job.spec)] = [one.elapsed + one.left]
    told = forecast(begun, [*map(run, ready)], [*map(later, waiting)], lanes)
    for drawing, groups in drawings:
        _add_what_is_not_drawn(told, drawing, groups, known, lanes)
    return told


def _add_what_is_not_drawn(
    told: Forecast,
    drawing: Drawing,
    groups: Set[Group | None],
    known: Mapping[Kind, Sequence[float]],
    lanes: int,
) -> None:
    """Add the items of a long map that are no jobs yet; as if they came behind all others."""
    seen, left = known.get(drawing.kind), drawing.left
    if seen and left is not None:
        more = left * sum(seen) / len(seen) / lanes
        told.done = None if told.done is None else told.done + more
        for group in groups & told.groups.keys():
            told.groups[group] += more
    else:
        told.done = None
        for group in groups:
            told.groups.pop(group, None)
