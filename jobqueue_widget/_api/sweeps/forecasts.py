"""Tells when jobs will start and all be done, as far as that can be known now.

For those who show it the latest forecast is kept: it is made so seldom that it costs little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ..._core.sweeps.eta import Forecast, Run, forecast
from ..._core.sweeps.group import Group
from ..._runtime.storage.learning import Kind, kind_of
from ..._threads.locks import Lock

if TYPE_CHECKING:
    from ..._core.jobs import JobRecord
    from ..._runtime.engine import Engine
    from .drawing import Drawing

EVERY = 2.0  # seconds between two forecasts, at least
SHARE = 100  # a forecast is this many times as old as it took to make, at least


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


@dataclass(frozen=True, slots=True)
class Estimate:
    """A forecast with the moment that it counts from, in epoch seconds."""

    at: float = 0.0
    told: Forecast = field(default_factory=Forecast)
    ends: Mapping[int, float] = field(default_factory=dict)  # of groups, by their numbers

    @classmethod
    def of(cls, at: float, told: Forecast) -> Estimate:
        """Return a forecast of that moment."""
        ends = {
            group.number: round(at + end, 1)
            for group, end in told.groups.items()
            if isinstance(group, Group) and group.number
        }
        return cls(at, told, ends)

    @property
    def done_at(self) -> float | None:
        """When all jobs are done, in epoch seconds; None: unknown."""
        return self._instant(self.told.done)

    def start_of(self, job_id: str) -> float | None:
        """When a pending job starts."""
        return self._instant(self.told.starts.get(job_id))

    def end_of(self, group: Group | None) -> float | None:
        """When a group is done."""
        return self._instant(self.told.groups.get(group))

    def _instant(self, seconds: float | None) -> float | None:
        return None if seconds is None else round(self.at + seconds, 1)

    @property
    def is_empty(self) -> bool:
        """True if nothing is known."""
        told = self.told
        return told.done is None and not told.starts and not told.groups


NOTHING = Estimate()


class Estimates:
    """The latest forecast of one queue, for all who show it. Any thread."""

    def __init__(self) -> None:
        self._due_at = 0.0
        self._lock = Lock()
        self.latest = NOTHING

    def renew(self, control: HasDrawings) -> bool:
        """Make a new forecast if it is time for one; True if there is something else to show."""
        engine = control.engine
        began = engine.monotonic()
        with self._lock.held:
            if began < self._due_at:
                return False
            self._due_at = began + EVERY
        before = self.latest
        self.latest = Estimate.of(engine.now(), forecast_of(control))
        took = engine.monotonic() - began
        self._due_at = began + max(EVERY, SHARE * took)
        return not (before.is_empty and self.latest.is_empty)
