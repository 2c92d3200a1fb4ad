"""What a job measures is thinned, and never loses an extreme."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue_widget.child.capture.series import (
    NAMES,
    POINTS,
    Measured,
    Metrics,
    Point,
    Series,
    readable,
)

VALUES = st.one_of(st.none(), st.floats(-10, 10), st.just(0.0))


@given(st.lists(VALUES, max_size=400), st.integers(10, 120), st.integers(1, 40))
def test_extremes_ends_and_order_stay_within_the_limit(
    values: list[float | None], limit: int, times: int
) -> None:
    told: list[Point] = [*enumerate(values * times)]
    series = Series(limit)
    for point in told:
        series.add(point)
    kept = series.points()
    assert len(kept) <= limit
    steps = [int(step) for step, _ in kept]
    assert steps == sorted(set(steps))
    assert set(kept) <= set(told)
    if len(told) <= limit:
        assert kept == told
    if told:
        assert (kept[0], kept[-1]) == (told[0], told[-1])
    finite = [value for _, value in told if value is not None]
    assert [value for _, value in kept if value in (max(finite), min(finite))] if finite else True
    for extreme in (max, min):
        if finite:
            assert extreme(v for _, v in kept if v is not None) == extreme(finite)


@pytest.mark.parametrize("count", [POINTS, POINTS + 1, 5_000, 123_456])
def test_all_parts_are_thinned_alike(count: int) -> None:
    series = Series()
    for step in range(count):
        series.add((step, math.sin(step)))
    parts = [0] * 10
    for at, _ in series.points():
        parts[int(at) * 10 // count] += 1
    assert min(parts) * 2.5 >= max(parts)
    assert sum(parts) >= POINTS / 4


class Tensor:
    """As those of other libraries."""

    def __float__(self) -> float:
        return 0.5


class Broken:
    def __float__(self) -> float:
        raise RuntimeError("on a device that is gone")

    def __repr__(self) -> str:
        raise RuntimeError("nor can it be shown")


NUMBERS: list[tuple[Any, float | None]] = [
    *((1, 1.0), (0.25, 0.25), (True, 1.0), (Tensor(), 0.5)),
    *((math.nan, None), (math.inf, None), (-math.inf, None)),
]
NO_NUMBERS = ["0.5", b"1", None, [1.0], 1j, 10**400, Broken(), object()]


@pytest.mark.parametrize(("value", "expected"), NUMBERS)
def test_a_number_is_kept_and_what_is_not_finite_is_a_gap(
    value: object, expected: float | None
) -> None:
    measured = Measured(0.0)
    assert measured.note(3, {"loss": value}) == []
    assert measured.take() == {"loss": [(3, expected)]}
    assert measured.take() == {}


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_said_once_and_the_others_are_kept(value: object) -> None:
    measured = Measured(0.0)
    (said,) = measured.note(0, {"loss": value, "acc": 1})
    assert "is no number" in said
    assert measured.note(1, {"loss": value}) == []
    assert measured.take() == {"acc": [(0, 1.0)]}


@pytest.mark.parametrize("step", ["one", math.nan, [1], Broken()])
def test_a_step_that_is_no_number_is_said_and_time_stands_in_its_place(step: object) -> None:
    measured = Measured(0.0)
    (said,) = measured.note(step, {"loss": 1})
    assert "step" in said
    assert measured.take()["loss"][0][0] > 0


def test_a_job_has_so_many_names_and_no_more() -> None:
    measured = Measured(0.0)
    assert measured.note(0, {f"m{number}": 0 for number in range(NAMES)}) == []
    (said,) = measured.note(0, {"m0": 1, "more": 0, "and more": 0})
    assert "at most 50 metrics" in said
    assert "'more'" in said or "'and more'" in said
    assert measured.note(0, {"more": 0}) == []
    assert len(measured.take()["m0"]) == 2
    kept = Metrics()
    kept.add({f"m{number}": [(0, 0.0)] for number in range(NAMES + 10)})
    assert len(kept.points()) == NAMES


@pytest.mark.parametrize(
    "told",
    [None, 3, [], {"loss": 1}, {"loss": [1]}, {"loss": [[1, "x"]]}, {"loss": [["x", 1]]}, "loss"],
)
def test_what_is_no_series_is_refused(told: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        readable(told)
