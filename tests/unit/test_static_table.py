"""What stands in the static table beside a job: a small curve, which tells no lie."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue_widget import JobQueue, current_job
from jobqueue_widget.widget.static_table import COLOURS, curve_of

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 1e308, -1e308])
SERIES = st.lists(st.none() | NUMBERS, min_size=1, max_size=1000)
POINT = re.compile(r"([ML])(\S+) ([\d.]+)")


class Measured:
    """As much of a job as a curve is drawn from."""

    def __init__(self, **series: list[float | None]) -> None:
        self.metrics = {name: list(enumerate(values)) for name, values in series.items()}


def drawn(html: str) -> list[tuple[str, float, float]]:
    (path,) = re.findall(r' d="([^"]*)"', html)
    found = POINT.findall(path)
    assert "".join(f"{pen}{x} {y}" for pen, x, y in found) == path, "nothing else stands there"
    return [(pen, float(x), float(y)) for pen, x, y in found]


@given(SERIES)
def test_a_curve_has_its_extremes_and_at_most_40_points_in_its_box(
    values: list[float | None],
) -> None:
    html = curve_of(cast(Any, Measured(loss=values)))
    known = [value for value in values if value is not None]
    if not known:
        assert html == ""
        return
    points = drawn(html)
    assert 1 <= len(points) <= 40
    assert points[0][0] == "M"
    assert all(0 <= x <= 100 and 3 <= y <= 17 for _, x, y in points)
    assert all(one[1] <= next_one[1] for one, next_one in pairwise(points))
    heights = [y for _, _, y in points]
    if max(known) > min(known):
        assert (max(heights), min(heights)) == (17, 3)  # the greatest value stands highest
    assert f"loss {known[-1]:.4g}" in html


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_a_gap_is_not_drawn_over(there: list[bool]) -> None:
    values = [float(place) if one else None for place, one in enumerate(there)]
    html = curve_of(cast(Any, Measured(loss=values)))
    stretches = sum(one and not before for before, one in pairwise([False, *there]))
    assert [pen for pen, _, _ in drawn(html)].count("M") == stretches if any(there) else not html


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", '"><script>', "\u202elive", "&lt;"]
)
async def test_a_name_of_a_series_is_text(name: str) -> None:
    def measures() -> None:
        current_job().report(**{name: 1.0})

    async with JobQueue() as queue:
        job = queue.submit_nowait(measures)
        await job
        html = queue.to_html()
    assert "<img" not in html
    assert "<script" not in html
    assert "\u202e" not in html
    assert "</svg>" in html
    assert curve_of(job) in html


async def test_a_table_without_measurements_has_no_column_for_them() -> None:
    async with JobQueue() as queue:
        await queue.submit_nowait(sum, [1])
        assert queue.to_html().count("<th ") == 4
        assert "svg" not in queue.to_html()


async def test_a_job_with_a_label_is_told_by_it_and_any_other_by_its_arguments() -> None:
    async with JobQueue() as queue:
        queue.pause()
        queue.options(label="the sum").submit_nowait(sum, [1, 2])
        queue.submit_nowait(sum, [3, 4])
        cells = re.findall(r"<tr><td[^>]*>(.*?)</td>", queue.to_html())
    assert cells == ["<b>the sum</b>", "<b>sum</b> [3, 4]"]


@pytest.mark.parametrize("ground", ["#e7e7e7", "#292929"])  # of a bar on white and on #111
def test_the_colours_of_a_bar_are_seen_on_any_page(ground: str) -> None:
    for colour in COLOURS.values():
        darker, lighter = sorted((luminance(ground), luminance(colour)))
        assert (lighter + 0.05) / (darker + 0.05) >= 3, colour


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
