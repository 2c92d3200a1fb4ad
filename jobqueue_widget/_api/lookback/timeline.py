"""Makes the timeline of a queue: bars of lanes, and pauses."""

from __future__ import annotations

from dataclasses import dataclass

from ..._core.lanes.bars import Span, TimelineBar, bars_of
from ..._runtime.engine import Engine
from ..._runtime.storage.spans import QueuePause

MOST_BARS = 2_000


@dataclass(frozen=True, slots=True)
class Timeline:
    """What ran on which lane between two instants.

    Attributes:
        start: epoch seconds.
        end: the same.
        now: the queue's clock; what still runs ends there.
        lanes: how many lanes there are bars of, or were.
        bars: by lane and start. Several attempts may be one bar: see `TimelineBar`.
        pauses: when nothing new was started, oldest first.

    """

    start: float
    end: float
    now: float
    lanes: int
    bars: tuple[TimelineBar, ...]
    pauses: tuple[QueuePause, ...]


def timeline(engine: Engine, start: float | None, end: float | None, limit: int) -> Timeline:
    """Return the timeline of a queue; all of it without `start` and `end`."""
    with engine.lock.held:
        now = engine.now()
        spans = engine.spans.read()
        running = list(engine.runs.values())
        spans += [
            Span(run.lane, begun, max(begun, now), run.job.status.value, run.job_id, run.attempt)
            for run in running
            if (begun := run.job.started_at) is not None
        ]
        pauses = engine.spans.pauses(now)
    lanes = max((span.lane for span in spans), default=-1) + 1
    ends = [span.end for span in spans] + [pause.end for pause in pauses]
    starts = [span.start for span in spans] + [pause.start for pause in pauses]
    first = min(starts, default=now) if start is None else start
    last = max([*ends, now]) if end is None else end
    shown = [span for span in spans if span.end >= first and span.start <= last]
    kept = engine.state.jobs
    bars = tuple(
        bar if not bar.job_id or bar.job_id in kept else bar._replace(job_id="")
        for bar in bars_of(shown, limit)
    )
    told = tuple(one for one in pauses if one.end >= first and one.start <= last)
    return Timeline(first, last, now, min(lanes, limit), bars, told)
