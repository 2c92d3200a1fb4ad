"""Tells a page what a job has measured: a table of all metrics, and the points of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...child.capture.series import Point
from ..texts import visible

DIGITS = 7  # a curve shows no more
Answer = dict[str, Any]


def told_metrics(metrics: dict[str, list[Point]]) -> Answer:
    """Return for each metric its name, the last, least and greatest value, and a mark.

    The mark differs whenever its points do. `by` says what the abscissas are: steps are whole
    numbers, else they are seconds.
    """
    series = []
    for name, points in metrics.items():
        values = [value for _, value in points if value is not None]
        last = next((value for _, value in reversed(points) if value is not None), None)
        amounts = [last, min(values, default=None), max(values, default=None)]
        mark = f"{len(points)} {points[-1][0] if points else ''}"
        series.append([visible(name), *map(_rounded, amounts), len(points), mark])
    steps = all(type(x) is int for points in metrics.values() for x, _ in points)
    return {"series": series, "by": "step" if steps else "seconds"}


def told_curve(points: Sequence[Point]) -> Answer:
    """Return the points of one metric: abscissas, and values with None for each gap."""
    return {"x": [_rounded(x) for x, _ in points], "y": [_rounded(value) for _, value in points]}


def _rounded(value: float | None) -> float | None:
    """Return a number as it is sent: JSON has none beyond those of a double."""
    if value is None or isinstance(value, int):
        return value if value is None or abs(value) < 2**53 else float(f"{value:.{DIGITS}g}")
    return float(f"{value:.{DIGITS}g}")
