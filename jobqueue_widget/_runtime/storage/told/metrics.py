"""Keeps what jobs have measured."""

from __future__ import annotations

from ...._core.jobs import JobRecord
from ...._threads.locks import Lock
from ....child.capture.series import Metrics, Point, Points

POINT_BYTES = 150  # of one in memory, about


class KeptMetrics:
    """The series that the latest attempt of a job has reported. Any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._attempt = 0
        self._metrics = Metrics()

    def take(self, attempt: int, told: Points, *, anew: bool = False) -> None:
        """Append points, or put them in the place of all there were."""
        with self._lock.held:
            if anew or attempt != self._attempt:
                self._attempt = attempt
                self._metrics = Metrics()
            self._metrics.add(told)

    def read(self) -> dict[str, list[Point]]:
        """Return the points that are kept, by name."""
        with self._lock.held:
            return self._metrics.points()

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


def metrics_of(job: JobRecord) -> dict[str, list[Point]]:
    """Return what a job has measured, by name."""
    return job.metrics.read() if isinstance(job.metrics, KeptMetrics) else {}
