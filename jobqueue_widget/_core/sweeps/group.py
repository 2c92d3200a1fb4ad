"""One group: counts items by their status, each of which is the latest try of something."""

from __future__ import annotations

from typing import Protocol

from ..outcomes import PENDING, RUNNING, JobStatus


class Counted(Protocol):
    """What a group uses of a job."""

    number: int
    status: JobStatus
    held: bool
    groups: tuple[Group, ...]


class Group:
    """Exact counts of some jobs by their status.

    A group that has a name in its queue keeps its items, too, as long as the queue keeps the jobs.
    One of a map has them all, also those that the queue has let go; whoever holds it has the jobs.
    """

    __slots__ = (
        *("__weakref__", "_roots", "counts", "counts_gone", "gone", "held_count"),
        *("drawings", "first_ended", "items", "last_ended", "name", "number"),
    )

    def __init__(
        self, name: str, *, is_known: bool = False, counts_gone: bool = False, number: int = 0
    ) -> None:
        self.name = name
        self.number = number  # among the groups that have a name in the queue, from 1 on
        self.gone: dict[JobStatus, int] = {}  # items that are not counted any more, as they ended
        self.counts_gone = counts_gone  # whether it counts, too, what the queue has let go
        self.first_ended = self.last_ended = 0  # `ended_number` of its jobs; 0: none has ended
        self.drawings = 0  # maps of which more items are to come
        self.counts: dict[JobStatus, int] = dict.fromkeys(JobStatus, 0)
        self.held_count = 0  # of its pending jobs
        self.items: dict[int, Counted] | None = {} if is_known else None
        self._roots: dict[int, int] = {}  # number of an item's latest try: that of its first one

    @property
    def open_count(self) -> int:
        """Count the items that have not ended; all that are to come count as one."""
        return self.counts[PENDING] + self.counts[RUNNING] + bool(self.drawings)

    def add(self, job: Counted) -> None:
        """Count one more item."""
        self.counts[job.status] += 1
        self.held_count += job.held
        job.groups = (*job.groups, self)
        if self.items is not None:
            self.items[job.number] = job

    def replace(self, last: Counted, job: Counted) -> None:
        """Count another try of an item instead of the one before."""
        self.counts[last.status] -= 1
        self.counts[job.status] += 1
        self.held_count += job.held
        if self.items is not None:
            root = self._roots.pop(last.number, None)
            if root is None:  # it is the first try, or stands for several items
                root = self._roots.get(job.number, last.number)
            self._roots[job.number] = root
            self.items[root] = job

    def let_go(self, job: Counted) -> None:
        """Count an item no longer, which the queue does not keep any more."""
        if self.items is not None:
            if not self.counts_gone:
                self.counts[job.status] -= 1
                self.gone[job.status] = self.gone.get(job.status, 0) + 1
            self.items.pop(self._roots.pop(job.number, job.number), None)

    def comes_back(self, status: JobStatus) -> None:
        """Note that an item that was let go with this status is tried again, and counts again."""
        if self.gone.get(status):
            self.gone[status] -= 1

    def place_of(self, job: Counted) -> int:
        """Return the number by which a job is sorted among the others."""
        return self._roots.get(job.number, job.number)

    def latest(self) -> list[Counted]:
        """List the latest try of each item, in the order of their first submits."""
        items = self.items or {}
        return [items[number] for number in sorted(items)]

    def __repr__(self) -> str:
        return f"Group({self.name!r}, {sum(self.counts.values())})"
