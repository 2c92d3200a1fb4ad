"""The order of pending jobs: (-priority, rank), with position, slice and move in O(log n)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice

from sortedcontainers import SortedList

from .jobs import JobRecord
from .sweeps.membership import is_grouped

RANK_STEP = 1 << 32
_LEAST_GAP = 1 << 8

Entry = tuple[int, int, JobRecord]


class PendingOrder:
    """Pending jobs in dispatch order; each is either `ready` to start or `waiting` (held, …).

    Two sorted lists instead of one keep the head startable in O(1) however many jobs are held;
    their union is never built: `position` adds two bisections, `slice` finds its start by one.
    """

    def __init__(self) -> None:
        self._ready: SortedList[Entry] = SortedList()
        self._waiting: SortedList[Entry] = SortedList()
        self._let: SortedList[Entry] = SortedList()  # those of `_ready` that pass a review
        self.let_only = False  # only these may start
        self._grouped: set[JobRecord] = set()  # those that a list shows below their group

    def __len__(self) -> int:
        return len(self._ready) + len(self._waiting)

    @property
    def ready_count(self) -> int:
        """Count the jobs that nothing of their own keeps from starting."""
        return len(self._ready)

    @property
    def let_count(self) -> int:
        """Count the jobs of `ready_count` that may start though the queue is in review."""
        return len(self._let)

    def add(self, record: JobRecord) -> None:
        """Insert a job at its priority and rank."""
        entry = record.entry = (-record.priority, record.rank, record)
        if record.startable:
            self._ready.add(entry)
            if record.let_through:
                self._let.add(entry)
        else:
            self._waiting.add(entry)
        if is_grouped(record):
            self._grouped.add(record)

    def remove(self, record: JobRecord) -> None:
        """Take a job out; its `startable` may have changed since `add`."""
        entry = record.entry
        assert entry is not None, f"{record} is not pending"
        try:
            self._ready.remove(entry)
        except ValueError:
            self._waiting.remove(entry)
        if self._let:
            self._let.discard(entry)
        if self._grouped:
            self._grouped.discard(record)
        record.entry = None

    def refile(self, record: JobRecord) -> None:
        """Put a job where its priority, rank and `startable` say now."""
        self.remove(record)
        self.add(record)

    @property
    def single_count(self) -> int:
        """Count the pending jobs that are in no group."""
        return len(self) - len(self._grouped)

    def note_group(self, record: JobRecord) -> None:
        """Note that a pending job has come into a group."""
        self._grouped.add(record)

    def singles(self, start: int, stop: int) -> list[JobRecord]:
        """Return the pending jobs at places start ≤ i < stop among those that are in no group."""
        grouped = self._grouped
        if not grouped:
            return self.slice(start, stop)
        if start >= self.single_count:
            return []
        merged = heapq.merge(self._ready, self._waiting) if self._waiting else self._ready
        alone = (entry[2] for entry in merged if entry[2] not in grouped)
        return list(islice(alone, max(0, start), max(0, stop)))

    def first_ready(self) -> JobRecord | None:
        """Return the next job to start; None if none may."""
        try:
            return (self._let if self.let_only else self._ready)[0][2]
        except IndexError:
            return None

    def ready(self) -> Iterator[JobRecord]:
        """Iterate over jobs that may start, in order, which must not change meanwhile."""
        return (entry[2] for entry in (self._let if self.let_only else self._ready))

    def waiting(self) -> Iterator[JobRecord]:
        """Iterate over jobs that are held, back off or wait for a parent, in order."""
        return (entry[2] for entry in self._waiting)

    def position(self, record: JobRecord) -> int:
        """Return the 0-based place of a job among all pending jobs."""
        entry = record.entry
        assert entry is not None, f"{record} is not pending"
        return self._ready.bisect_left(entry) + self._waiting.bisect_left(entry)

    def slice(self, start: int, stop: int | None = None) -> list[JobRecord]:
        """Return the pending jobs at places start ≤ i < stop."""
        total = len(self)
        start = max(0, min(start, total))
        stop = total if stop is None else max(start, min(stop, total))
        ready, waiting = self._ready, self._waiting
        if not waiting:
            return [entry[2] for entry in ready.islice(start, stop)]
        low, high = max(0, start - len(waiting)), min(start, len(ready))
        while low < high:  # how many of the first `start` come from `ready`
            middle = (low + high) // 2
            if ready[middle] < waiting[start - middle - 1]:
                low = middle + 1
            else:
                high = middle
        merged = heapq.merge(ready.islice(low), waiting.islice(start - low))
        return [entry[2] for entry in islice(merged, stop - start)]

    def first(self) -> JobRecord | None:
        """Return the first pending job, startable or not."""
        heads = [entries[0] for entries in (self._ready, self._waiting) if entries]
        return min(heads)[2] if heads else None

    def last(self) -> JobRecord | None:
        """Return the last pending job, startable or not."""
        tails = [entries[-1] for entries in (self._ready, self._waiting) if entries]
        return max(tails)[2] if tails else None

    def place_beside(
        self, record: JobRecord, anchor: JobRecord, *, before: bool
    ) -> list[JobRecord]:
        """Move `record` next to `anchor` with its priority; return jobs that got new ranks."""
        self.remove(record)
        record.priority = anchor.priority
        spread: list[JobRecord] = []
        record.rank = self._rank_beside(anchor, before, spread)
        self.add(record)
        return spread

    def _rank_beside(self, anchor: JobRecord, before: bool, spread: list[JobRecord]) -> int:
        place = self.position(anchor)
        beyond = self._neighbour(place + (-1 if before else 1), anchor.priority)
        if beyond is None:  # just beyond the last, so that what is submitted later comes behind
            return anchor.rank + (-RANK_STEP if before else _LEAST_GAP)
        if abs(anchor.rank - beyond.rank) < 2:
            spread += self._spread_around(place, anchor.priority)
        return (anchor.rank + beyond.rank) // 2

    def _neighbour(self, place: int, priority: int) -> JobRecord | None:
        if not 0 <= place < len(self):
            return None
        record = self.slice(place, place + 1)[0]
        return record if record.priority == priority else None

    def _spread_around(self, place: int, priority: int) -> list[JobRecord]:
        """Give as few neighbours of `place` as make room evenly spaced ranks."""
        reach = 8
        while True:
            start = max(0, place - reach)
            window = [r for r in self.slice(start, place + reach) if r.priority == priority]
            first, last = self.position(window[0]), self.position(window[-1])
            below, above = self._neighbour(first - 1, priority), self._neighbour(last + 1, priority)
            room = (len(window) + 1) * RANK_STEP
            high = above.rank if above is not None else window[-1].rank + _LEAST_GAP
            low = below.rank if below is not None else high - room
            gap = (high - low) // (len(window) + 1)
            if gap >= _LEAST_GAP:
                break
            reach *= 2
        for record in window:
            self.remove(record)
        for number, record in enumerate(window, 1):
            record.rank = low + number * gap
            self.add(record)
        return window
