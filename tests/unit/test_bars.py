"""Bars that stand for several attempts cover the same time, and their counts add up."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jobqueue_widget._core.lanes.bars import UNKNOWN, Span, TimelineBar, bars_of, placed

STATUSES = ("completed", "failed", "cancelled")
TENTHS = st.integers(0, 40).map(lambda tenths: tenths / 8)  # exact in binary


@st.composite
def lanes(draw: st.DrawFn) -> list[Span]:
    """Attempts of some lanes, one after the other on each; the last of a lane may still run."""
    found: list[Span] = []
    for lane in range(draw(st.integers(0, 5))):
        at = draw(TENTHS)
        for _ in range(draw(st.integers(0, 12))):
            start = at + draw(TENTHS)
            at = start + draw(TENTHS)
            status = draw(st.sampled_from(STATUSES))
            found.append(
                Span(lane, start, at, status, f"job-{len(found)}", draw(st.integers(1, 3)))
            )
        if found and found[-1].lane == lane and draw(st.booleans()):
            found[-1] = found[-1]._replace(status="running")
    return draw(st.permutations(found))


def inside(span: Span, bar: TimelineBar, last_row: int) -> bool:
    row = min(span.lane, last_row)
    return row == bar.lane and bar.start <= span.start and span.end <= bar.end


@given(lanes(), st.integers(1, 40))
def test_bars_cover_the_same_time_and_counts_add_up(spans: list[Span], limit: int) -> None:
    bars = bars_of(spans, limit)
    assert len(bars) == min(limit, len(spans))
    assert sum(bar.attempts for bar in bars) == len(spans)
    assert sum(bar.failed for bar in bars) == sum(span.status == "failed" for span in spans)
    assert math.fsum(bar.busy for bar in bars) == math.fsum(s.end - s.start for s in spans)
    last_row = limit - 1
    assert all(any(inside(span, bar, last_row) for bar in bars) for span in spans)
    ends = {x for span in spans for x in (span.start, span.end)}
    assert all({bar.start, bar.end} <= ends for bar in bars), "no bar reaches into nothing"
    if max((span.lane for span in spans), default=0) < limit:
        for before, after in pairwise(bars):
            assert before.lane < after.lane or before.end <= after.start, "none covers another"
        for bar in bars:
            held = [span for span in spans if inside(span, bar, last_row)]
            statuses = {span.status for span in held}
            assert bar.status == (statuses.pop() if len(statuses) == 1 else "mixed")
            if bar.attempts == 1:
                (only,) = (span for span in held if span.job_id == bar.job_id)
                assert bar[:6] == only
            else:
                assert (bar.job_id, bar.attempt) == ("", 0)


@given(lanes())
def test_with_room_for_all_each_attempt_is_its_own_bar(spans: list[Span]) -> None:
    bars = bars_of(spans, max(1, len(spans)) + max((s.lane for s in spans), default=0))
    assert sorted(Span._make(bar[:6]) for bar in bars) == sorted(spans)


def test_what_is_short_and_near_is_joined_first_and_what_runs_last() -> None:
    spans = [
        Span(0, 0, 100, "completed", "long", 1),
        Span(0, 200, 201, "completed", "short", 1),
        Span(0, 202, 203, "failed", "short too", 1),
        Span(0, 203, 204, "running", "now", 1),
    ]
    told = [(bar.start, bar.end, bar.status, bar.attempts, bar.failed) for bar in bars_of(spans, 3)]
    assert told == [
        (0, 100, "completed", 1, 0),
        (200, 203, "mixed", 2, 1),
        (203, 204, "running", 1, 0),
    ]
    assert [bar.attempts for bar in bars_of(spans, 2)] == [3, 1]
    (whole,) = bars_of(spans, 1)
    assert (whole.attempts, whole.failed, whole.busy, whole.status) == (4, 1, 103, "mixed")


@given(lanes(), st.booleans())
def test_attempts_without_a_lane_get_as_few_as_their_times_allow(
    spans: list[Span], some: bool
) -> None:
    lost = [
        span._replace(lane=UNKNOWN) if not some or span.attempt == 1 else span for span in spans
    ]
    found = placed(lost)
    by_id = {span.job_id: span for span in found}
    assert by_id.keys() == {span.job_id for span in spans}
    new = sorted(by_id[span.job_id] for span in lost if span.lane == UNKNOWN)
    for before, after in pairwise(new):
        assert before.lane < after.lane or before.end <= after.start
    at_once = max((sum(s.start <= x.start < s.end or s == x for s in new) for x in new), default=0)
    assert len({span.lane for span in new}) <= max(at_once, 1)
    assert all(by_id[span.job_id] == span for span in lost if span.lane != UNKNOWN)
