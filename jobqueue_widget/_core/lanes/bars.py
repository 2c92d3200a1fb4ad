"""Makes bars of attempts: one each, or if there are more than wanted, one for some neighbours."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

FAILED, RUNNING, MIXED = "failed", "running", "mixed"
UNKNOWN = -1  # a lane that nobody has noted, as of an earlier kernel


class Span(NamedTuple):
    """One attempt on its lane; instants are epoch seconds."""

    lane: int
    start: float
    end: float
    status: str
    job_id: str
    attempt: int


class TimelineBar(NamedTuple):
    """One attempt on its lane, or several that follow one another there.

    Attributes:
        lane: its number, from 0.
        start: epoch seconds.
        end: the same; of what still runs: now.
        status: "completed", "failed", "cancelled" or "running"; "mixed" for several that differ.
        job_id: of a single attempt whose job is still kept; else "".
        attempt: its number; 0 for several.
        attempts: how many attempts it stands for.
        failed: how many of them failed.
        busy: seconds in which the lane was taken between start and end.

    """

    lane: int
    start: float
    end: float
    status: str
    job_id: str
    attempt: int
    attempts: int
    failed: int
    busy: float


def bars_of(spans: Iterable[Span], limit: int) -> list[TimelineBar]:
    """Return at most `limit` bars, by lane and start; O(n log n).

    Where there are more attempts, neighbours become one bar: first the shortest ones that are the
    nearest to one another, and those that run last. With more lanes than `limit` the last row has
    those of all further lanes.
    """
    ordered = sorted(span if span.lane < limit else span._replace(lane=limit - 1) for span in spans)
    surplus = len(ordered) - limit
    if surplus <= 0:
        return [_bar([span]) for span in ordered]
    costs = (
        (_cost(before, after), at)
        for at, (before, after) in enumerate(pairwise(ordered), 1)
        if before.lane == after.lane
    )
    joined = {at for _, at in heapq.nsmallest(surplus, costs)}
    bars: list[TimelineBar] = []
    together: list[Span] = []
    for at, span in enumerate(ordered):
        if together and at not in joined:
            bars.append(_bar(together))
            together = []
        together.append(span)
    bars.append(_bar(together))
    return bars


def _cost(before: Span, after: Span) -> float:
    """Return how many seconds would be drawn otherwise if these two were one bar."""
    if RUNNING in (before.status, after.status):
        return math.inf
    gap = max(0.0, after.start - before.end)
    return gap + min(before.end - before.start, after.end - after.start)


def _bar(spans: list[Span]) -> TimelineBar:
    first, statuses = spans[0], {span.status for span in spans}
    single = len(spans) == 1
    return TimelineBar(
        first.lane,
        first.start,
        max(span.end for span in spans),
        first.status if len(statuses) == 1 else MIXED,
        first.job_id if single else "",
        first.attempt if single else 0,
        len(spans),
        sum(span.status == FAILED for span in spans),
        math.fsum(span.end - span.start for span in spans),
    )


def placed(spans: Iterable[Span]) -> list[Span]:
    """Give those without a lane one each, as few as their times allow; all by their ends."""
    found: list[Span] = []
    free: list[tuple[float, int]] = []  # until when each lane is taken
    lanes = 0
    for span in sorted(spans, key=lambda span: span.start):
        if span.lane == UNKNOWN:
            if free and free[0][0] <= span.start:
                lane = heapq.heappop(free)[1]
            else:
                lane, lanes = lanes, lanes + 1
            heapq.heappush(free, (span.end, lane))
            span = span._replace(lane=lane)
        found.append(span)
    return sorted(found, key=lambda span: span.end)
