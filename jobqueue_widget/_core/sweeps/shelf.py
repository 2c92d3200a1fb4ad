"""The ended jobs that lists show: how many of each status, and those that are in no group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from ..jobs import JobRecord, JobStatus
from .membership import is_grouped


class Shelf:
    """Follows the ended jobs that are kept, but for tries that a later one stands for in a group.

    What has a number up to `hidden_to` is hidden: it is kept and not counted. Failed jobs that were
    tried again are not counted among the failed ones, but in `retried`.
    """

    def __init__(self) -> None:
        self.hidden_to = 0
        self.counts: Counter[JobStatus] = Counter()
        self.retried = 0
        self._singles: dict[JobRecord, None] = {}  # oldest first, hidden or not
        self._hidden = 0  # how many of these are hidden
        self._replaced: set[JobRecord] = set()
        self._taken_to = 0  # the number of the last one that was let go

    def put(self, job: JobRecord) -> None:
        """Add a job that has ended."""
        self._count(job, 1)
        for group in job.groups:
            group.last_ended = job.ended_number
            group.first_ended = group.first_ended or job.ended_number
        if not is_grouped(job):
            self._singles[job] = None
            self._hidden += job.ended_number <= self.hidden_to

    def take(self, job: JobRecord) -> None:
        """Remove a job that is not kept any more: the oldest of all."""
        self.take_all((job,))
        self._taken_to = job.ended_number

    def take_all(self, jobs: Iterable[JobRecord]) -> None:
        """Remove jobs that are not kept any more."""
        for job in jobs:
            self.note_group(job)
            self._count(job, -1)
            self._replaced.discard(job)

    def hide(self, up_to: int, ended: Iterable[JobRecord]) -> None:
        """Hide jobs up to this number, and no others."""
        self.hidden_to = up_to
        self.counts.clear()
        self.retried = 0
        for job in ended:
            self._count(job, 1)
        self._hidden = sum(job.ended_number <= up_to for job in self._singles)

    def note_group(self, job: JobRecord) -> None:
        """Note that a job, which may have ended, is none by itself any more."""
        if job in self._singles:
            del self._singles[job]
            self._hidden -= job.ended_number <= self.hidden_to

    def replace(self, job: JobRecord, *, hides: bool) -> None:
        """Note that a later try stands for this one, as its `retried_by` says since just now.

        `hides`: in its group, where an item is listed once.
        """
        if job.ended_number <= self._taken_to:
            return
        if self.is_shown(job):
            self.counts[job.status] -= 1
        if hides:
            self._replaced.add(job)
        self._count(job, 1)

    @property
    def single_count(self) -> int:
        """Count the jobs that are shown and in no group."""
        return len(self._singles) - self._hidden

    def singles(self, start: int, stop: int) -> list[JobRecord]:
        """Return those at places start ≤ i < stop, newest first."""
        stop = min(stop, self.single_count)
        return list(islice(reversed(self._singles), start, max(start, stop)))

    def is_shown(self, job: JobRecord) -> bool:
        """True if lists show this job, which may not have ended."""
        return not 0 < job.ended_number <= self.hidden_to and job not in self._replaced

    def shown(self, ended: Iterable[JobRecord]) -> Iterator[JobRecord]:
        """Choose what lists show of these jobs."""
        return filter(self.is_shown, ended)

    def validate(self, ended: Collection[JobRecord]) -> None:
        """Raise AssertionError if it does not follow these jobs."""
        shown = list(self.shown(ended))
        assert self.retried == sum(job.is_retried for job in shown)
        assert +self.counts == Counter(job.status for job in shown if not job.is_retried)
        assert [job for job in ended if not is_grouped(job) and self.is_shown(job)] == [
            job for job in self._singles if self.is_shown(job)
        ]
        assert self._hidden == sum(not self.is_shown(job) for job in self._singles)

    def _count(self, job: JobRecord, by: int) -> None:
        if job.ended_number <= self.hidden_to or job in self._replaced:
            return
        if job.is_retried:
            self.retried += by
        else:
            self.counts[job.status] += by
