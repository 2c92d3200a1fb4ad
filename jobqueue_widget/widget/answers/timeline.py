"""Makes the timeline of a queue for a page: bars of its lanes as short lists."""

from __future__ import annotations

from typing import Any

from ..._api.lookback.timeline import MOST_BARS, Timeline
from ..._core.lanes.bars import TimelineBar
from ..._runtime.storage.spans import QueuePause
from ...queue import JobQueue
from ..model import shorten

MOST_TITLED = 400  # bars whose titles are sent: a message has 256 KiB at most
MOST_PAUSES = 200
TITLE, REASON = 40, 80  # characters


def timeline_of(queue: JobQueue, start: float, end: float, limit: int) -> dict[str, Any]:
    """Return what ran between two instants; times are seconds since `zero`."""
    told: Timeline = queue.timeline(start, end, limit=min(limit, MOST_BARS))
    titled = len(told.bars) <= MOST_TITLED
    return {
        "zero": start,
        "now": _since(told.now, start),
        "lanes": told.lanes,
        "bars": [_bar(bar, start, _title(queue, bar) if titled else "") for bar in told.bars],
        "pauses": [_pause(pause, start) for pause in told.pauses[-MOST_PAUSES:]],
    }


def _since(instant: float, zero: float) -> float:
    return round(instant - zero, 3)


def _title(queue: JobQueue, bar: TimelineBar) -> str:
    job = queue.get_job(bar.job_id) if bar.job_id else None
    return "" if job is None else shorten(job.title, TITLE)


def _bar(bar: TimelineBar, zero: float, title: str) -> list[Any]:
    told = [bar.lane, _since(bar.start, zero), _since(bar.end, zero), bar.status]
    if bar.attempts == 1:
        return [*told, bar.job_id, bar.attempt, title]
    return [*told, "", 0, "", bar.attempts, bar.failed, round(bar.busy, 3)]


def _pause(pause: QueuePause, zero: float) -> list[Any]:
    times = _since(pause.start, zero), _since(pause.end, zero)
    return [*times, shorten(pause.reason, REASON), pause.away]
