"""What is submitted so far of a long map: its jobs by their places, and who is told of more."""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from ..._core.jobs import JobRecord
from ..._core.sweeps.groups import latest
from ...errors import JobEvictedError, JobNotFinishedError, NotDrawnError

if TYPE_CHECKING:
    from ..._core.sweeps.group import Group
    from ..._runtime.engine import Engine
    from ...job import Job

MOST_HELD = 20_000  # items of a map up to which its group keeps all jobs, as those of a short one


class Follower(Protocol):
    """Who is told of what is drawn, as long as somebody else holds it."""

    def add(self, records: Sequence[JobRecord]) -> None:
        """Take these, too; none: no more are to come. Under the queue's lock."""


class Drawn:
    """The items of one map that are jobs by now. Any thread.

    Of a job that is not shown any more only its number stays here. `total`: how many items there
    are in all; None: nobody knows.
    """

    def __init__(self, engine: Engine, group: Group, total: int | None) -> None:
        self._numbers = array("Q")  # of all jobs drawn, in the order of their items
        self._held: list[Job] | None = [] if total is not None and total <= MOST_HELD else None
        self.error: Exception | None = None  # why not all could be drawn
        self.is_over = False
        self._total = total
        self._engine = engine
        self.group = group
        self._followers: weakref.WeakSet[Follower] = weakref.WeakSet()

    @property
    def total(self) -> int | None:
        """How many items there are; None while nobody knows."""
        drawn = len(self._numbers)
        if self.is_over:
            return drawn
        return None if self._total is None else max(self._total, drawn)

    def __len__(self) -> int:
        total = self.total
        if total is None:
            raise TypeError(
                f"nobody knows how many items the iterable of {self.group.name!r} has; "
                f"{len(self._numbers):,} are drawn (`counts`), `await group.wait_drawn()` waits"
            )
        return total

    def records(self) -> list[JobRecord]:
        """List the latest try of each item that is drawn and kept."""
        with self._engine.lock.held:
            return self._kept()

    def _kept(self) -> list[JobRecord]:  # under the lock
        found = (self._found(place) for place in range(len(self._numbers)))
        return [record for record in found if record is not None]

    def record(self, place: int) -> JobRecord:
        """Return the latest try of one item, by its place.

        Raises:
            NotDrawnError: it is not submitted yet.
            JobEvictedError: the queue does not keep it any more.
            IndexError: there is no such item.
            TypeError: it is counted from an end that nobody knows.
        """
        with self._engine.lock.held:
            place = place + len(self) if place < 0 else place
            total, drawn = self.total, len(self._numbers)
            if place < 0 or (total is not None and place >= total):
                raise IndexError(f"{self.group.name!r} has {total:,} items")
            if place >= drawn:
                raise NotDrawnError(
                    f"item {place:,} of {self.group.name!r} is not drawn yet, {drawn:,} are; "
                    "`await group.wait_drawn()` waits for all of them"
                )
            record = self._found(place)
        if record is None:
            raise JobEvictedError(self._evicted(f"item {place:,} of"))
        return record

    def _found(self, place: int) -> JobRecord | None:
        if self._held is not None:
            return latest(self._held[place]._record)
        items = cast("dict[int, JobRecord]", self.group.items)
        return items.get(self._numbers[place])

    def _evicted(self, what: str) -> str:
        return (
            f"{what} {self.group.name!r} ended long ago and is no longer kept (keep_ended); "
            f"the group of a map of more than {MOST_HELD:,} items keeps what the queue keeps"
        )

    def __iter__(self) -> Iterator[JobRecord]:
        place = 0
        while not (self.is_over and place == len(self._numbers)):
            yield self.record(place)
            place += 1

    def follow(self, follower: Follower) -> list[JobRecord]:
        """List what is drawn and kept, and add all that is drawn later."""
        with self._engine.lock.held:
            if not self.is_over:
                self._followers.add(follower)
            return self._kept()

    def check_drawn(self) -> None:
        """Raise JobNotFinishedError if there is more to come, or why there is no more."""
        if not self.is_over:
            raise JobNotFinishedError(
                f"{self.group.name!r} is not drawn to its end: {len(self._numbers):,} items so far"
            )
        if self.error is not None:
            raise self.error

    def check_whole(self) -> None:
        """Raise JobEvictedError if a job is no longer kept."""
        gone = len(self._numbers) - len(self.records())
        if gone:
            raise JobEvictedError(self._evicted(f"the result of {gone:,} items of"))

    @property
    def left(self) -> int | None:
        """How many items are no jobs yet; None while nobody knows."""
        total = self.total
        return None if total is None else total - len(self._numbers)

    @property
    def drawn(self) -> int:
        """How many items are jobs by now."""
        return len(self._numbers)
