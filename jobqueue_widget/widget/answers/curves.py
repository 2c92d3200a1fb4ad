"""Makes the curves of one job for a page: what it has measured, and what it has used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...child.capture.series import POINTS, Metrics
from ...job import Job
from ..texts import visible

MOST_POINTS = 5_000  # of one answer: a message has 256 KiB at most

Points = Sequence[tuple[float, float | None]]


def curves_of(job: Job) -> dict[str, Any]:
    """Return the curves of a job, by name, thinned so that all of them have room in one answer."""
    metrics, usage = job.metrics, job.usage
    limit = min(POINTS, MOST_POINTS // max(1, len(metrics) + len(usage)))
    return {
        "metrics": [[visible(name), told] for name, told in _thinned(metrics, limit)],
        "usage": [[name, told] for name, told in _thinned(usage, limit)],
    }


def _thinned(curves: Mapping[str, Points], limit: int) -> list[tuple[str, list[list[Any]]]]:
    thin = Metrics(limit)
    thin.add(curves)
    return [
        (name, [[x if isinstance(x, int) else round(x, 3), value] for x, value in points])
        for name, points in thin.points().items()
    ]
