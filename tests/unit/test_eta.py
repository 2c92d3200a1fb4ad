"""How far an estimate is off, and of what nothing is said."""

from __future__ import annotations

import heapq
import math
import random
import statistics
from collections.abc import Callable

import pytest

from jobqueue_widget._core.sweeps.eta import MOST_SEEN, Durations, Forecast, Run, forecast

JOBS = 80
Draw = Callable[[random.Random], float]
SHAPES: dict[str, tuple[Draw, float]] = {  # a duration; how far off half the estimates may be
    "even": (lambda _: 10.0, 0.001),
    "about ten": (lambda dice: max(0.1, dice.gauss(10.0, 2.0)), 0.08),
    "exponential": (lambda dice: dice.expovariate(0.1), 0.3),
    "a few long ones": (lambda dice: dice.lognormvariate(2.0, 1.0), 0.35),
}


def halfway(draw: Draw, lanes: int, dice: random.Random) -> tuple[float, float]:
    """Play a sweep to the moment at which half is done: what is estimated then, and the truth."""
    spans = [draw(dice) for _ in range(JOBS)]
    free, starts = [0.0] * lanes, []
    for span in spans:
        starts.append(free[0])
        heapq.heapreplace(free, free[0] + span)
    ends = [start + span for start, span in zip(starts, spans, strict=True)]
    now = sorted(ends)[JOBS // 2]
    seen = Durations()
    for end, span in sorted(zip(ends, spans, strict=True)):
        if end <= now:
            seen.note("f", span)
    like = seen.of("f")
    begun = [i for i in range(JOBS) if starts[i] <= now]
    running = [Run(str(i), like, ("g",), now - starts[i]) for i in begun if ends[i] > now]
    ready = [Run(str(i), like, ("g",)) for i in range(JOBS) if starts[i] > now]
    told = forecast(running, ready, (), lanes)
    assert told.done is not None
    assert told.groups == {"g": pytest.approx(told.done)}
    return told.done, max(ends) - now


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_half_of_the_estimates_are_that_near(
    shape: str, lanes: int, note: Callable[[str], None]
) -> None:
    draw, allowed = SHAPES[shape]
    played = [halfway(draw, lanes, random.Random(seed)) for seed in range(100)]
    off = statistics.median(abs(told - true) / true for told, true in played)
    drift = statistics.mean(told - true for told, true in played) / statistics.mean(
        true for _, true in played
    )
    note(f"half of {shape}, {lanes} lanes: {off:.0%} off, on average {drift:+.0%}")
    assert off <= allowed
    assert abs(drift) <= allowed / 2


ONE = (10.0,)


def test_starts_are_when_a_lane_is_free() -> None:
    running = [Run("a", ONE, elapsed=4.0), Run("b", ONE, elapsed=9.0)]
    ready = [Run(name, ONE) for name in "cde"]
    told = forecast(running, ready, (), 2)
    assert told.starts == {"c": 1.0, "d": 6.0, "e": 11.0}
    assert told.done == 21.0


def test_a_job_waits_for_its_parents_and_its_time() -> None:
    ready = [Run("a", ONE), Run("b", ONE)]
    waiting = [Run("c", ONE, after=("a", "b", "gone")), Run("d", ONE, not_before=50.0)]
    told = forecast((), ready, [*waiting, Run("e", ONE, after=("d",))], 4)
    assert told.starts == {"a": 0.0, "b": 0.0, "c": 10.0, "d": 50.0, "e": 60.0}


PACES = {
    (100.0, 0.25): 300.0,
    (100.0, 1.0): 0.0,
    (9.0, 0.5): None,  # it has just begun
    (100.0, 0.01): None,
    (100.0, None): None,
}


@pytest.mark.parametrize("pace", PACES, ids=str)
def test_what_runs_goes_on_at_its_pace(pace: tuple[float, float | None]) -> None:
    elapsed, progress = pace
    first = Run("a", (), elapsed=elapsed, progress=progress)
    assert forecast([first], (), (), 1).done == PACES[pace]
    like = Run("a", (1_000.0,), elapsed=elapsed, progress=progress)
    left = PACES[pace]
    assert forecast([like], (), (), 1).done == (1_000.0 - elapsed if left is None else left)


def test_nothing_is_left() -> None:
    assert forecast((), (), (), 2) == Forecast({}, {}, 0.0)


DARK = {
    "no like of one that runs": ([Run("a", (), ("x",))], [Run("b", ONE, ("y",))], []),
    "no like of one that is ready": ([], [Run("a", (), ("x",)), Run("b", ONE, ("y",))], []),
    "no like of one that waits": ([], [], [Run("a", (), ("x",)), Run("b", ONE, ("y",), after="a")]),
    "its user": ([], [], [Run("a", ONE, ("x",), not_before=math.inf)]),
    "a parent that waits for its user": (
        [],
        [],
        [Run("a", ONE, ("x",), not_before=math.inf), Run("b", ONE, ("y",), after="a")],
    ),
}


@pytest.mark.parametrize("why", DARK)
def test_nothing_is_said_while_nothing_is_known(why: str) -> None:
    assert forecast(*DARK[why], 1) == Forecast()


def test_what_is_known_is_said_beside_what_is_not() -> None:
    running = [Run("a", ONE, ("x", "all"), elapsed=4.0)]
    ready = [Run("b", ONE, ("y",)), Run("c", (), ("z", "all")), Run("d", ONE, ("z",))]
    waiting = [Run("e", ONE, ("w",), not_before=math.inf)]
    told = forecast(running, ready, waiting, 1)
    assert told == Forecast({"b": 6.0}, {"x": 6.0, "y": 16.0}, None)


def test_no_lane_no_estimate() -> None:
    assert forecast((), [Run("a", ONE, ("x",))], (), 0) == Forecast()


def test_the_latest_durations_count_and_the_first_known_key() -> None:
    seen = Durations()
    assert seen.of("f") == ()
    for seconds in range(MOST_SEEN + 5):
        seen.note("f", float(seconds))
    seen.note("g", -3.0)  # the clock was set back
    assert list(seen.of("new", "f", "g")) == [float(one) for one in range(5, MOST_SEEN + 5)]
    assert list(seen.of("g")) == [0.0]


def test_keys_unused_for_long_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobqueue_widget._core.sweeps.eta.MOST_KEYS", 2)
    seen = Durations()
    for key in ("a", "b", "a", "c"):
        seen.note(key, 1.0)
    assert [bool(seen.of(key)) for key in "abc"] == [True, False, True]
