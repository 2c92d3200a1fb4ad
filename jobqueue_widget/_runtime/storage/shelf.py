"""How many bytes of one kind jobs have left, and which of them is the oldest."""

from __future__ import annotations

from ..._core.jobs import JobRecord


class Shelf:
    """What some jobs have left, oldest first, and how many bytes that is."""

    def __init__(self) -> None:
        self.total = 0
        self._sizes: dict[JobRecord, int] = {}

    def __contains__(self, job: JobRecord) -> bool:
        return job in self._sizes

    def put(self, job: JobRecord, size: int) -> None:
        """Put it on the shelf, as the newest."""
        self.take(job)
        self._sizes[job] = size
        self.total += size

    def take(self, job: JobRecord) -> int:
        """Take it off the shelf; returns its size, 0 if it was not there."""
        size = self._sizes.pop(job, 0)
        self.total -= size
        return size

    def jobs(self) -> list[JobRecord]:
        """Oldest first."""
        return list(self._sizes)

    def size(self, job: JobRecord) -> int:
        """0 if it is not there."""
        return self._sizes.get(job, 0)
