"""Keeps what jobs have measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from ...._core.jobs import JobRecord
from ...._threads.locks import Lock
from ....child.capture.series import Metrics, Point, Points, readable

POINT_BYTES = 150  # of one in memory, about


class KeptMetrics:
    """The series that the latest attempt of a job has reported. Any thread."""

    def __init__(self, load: Callable[[], str | None] | None = None) -> None:
        self._lock = Lock()
        self._attempt = 0
        self._metrics = Metrics()
        self._load = load  # what stands in a journal; None: nothing, or it is in memory

    def take(self, attempt: int, told: Points, *, anew: bool = False) -> None:
        """Append points, or put them in the place of all there were."""
        with self._lock.held:
            if anew or attempt != self._attempt:
                self._attempt, self._metrics, self._load = attempt, Metrics(), None
            self._metrics.add(told)

    def __contains__(self, name: str) -> bool:
        return name in self._metrics.series

    def read(self) -> dict[str, list[Point]]:
        """Return the points that are kept, by name."""
        with self._lock.held:
            return self._now().points()

    @property
    def names(self) -> list[str]:
        """The names of what was measured."""
        with self._lock.held:
            return [*self._now().series]

    def _now(self) -> Metrics:
        return self._metrics if self._load is None else _from_json(self._load())

    def keep(self) -> None:
        """Read from the journal what it is about to forget."""
        with self._lock.held:
            self._metrics, self._load = self._now(), None

    @property
    def size(self) -> int:
        """About how many bytes they take."""
        with self._lock.held:
            return POINT_BYTES * sum(one.count for one in self._metrics.series.values())

    def shorten(self, count: int) -> None:
        """Keep at most so many points of each series."""
        with self._lock.held:
            short = Metrics(count)
            short.add(self._metrics.points())
            self._metrics = short

    def as_json(self) -> str | None:
        """Return them as they stand in a journal; None: there are none."""
        points = self.read()
        return json.dumps(points) if points else None


def _from_json(text: str | None) -> Metrics:
    """Read what `as_json` wrote; nothing if somebody else wrote there."""
    found = Metrics()
    with suppress(ValueError, TypeError, RecursionError):
        found.add(readable(json.loads(text or "{}")))
    return found


def metric_names_of(job: JobRecord) -> list[str]:
    """Return the names of what a job has measured."""
    return job.metrics.names if isinstance(job.metrics, KeptMetrics) else []


def metrics_of(job: JobRecord) -> dict[str, list[Point]]:
    """Return what a job has measured, by name."""
    return job.metrics.read() if isinstance(job.metrics, KeptMetrics) else {}
