"""Tells front ends how groups stand: a bounded number of them, the liveliest, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from ..jobs import JobRecord, JobStatus
from .group import Group

if TYPE_CHECKING:
    from ..state import QueueState

STATUSES = tuple(status.value for status in JobStatus)
UNKNOWN = -1  # of `more`: nobody knows how many items are still to come


class Coming(Protocol):
    """What is told of a long map that is not submitted whole."""

    group: Group

    @property
    def left(self) -> int | None:
        """How many items are no jobs yet; None while nobody knows."""


def liveliest(state: QueueState, jobs: Iterable[JobRecord], most: int) -> list[Group]:
    """Choose groups: first those of these jobs, then the newest. Under the lock; not all are read.

    Those that are not done come first, in the order in which they came to be; then the others, the
    newest first.
    """
    named = state.groups.named
    chosen: dict[int, Group] = {}
    of_jobs = (group for job in jobs for group in job.groups if group.number)
    for group in chain(of_jobs, reversed(named.values())):
        if len(chosen) == most:
            break
        chosen[group.number] = group
    at_work: list[Group] = []
    others: list[Group] = []
    for number in sorted(chosen):
        group = chosen[number]
        (at_work if group.open_count else others).append(group)
    return at_work + others[::-1]


def standings(groups: Iterable[Group], drawings: Sequence[Coming]) -> list[dict[str, Any]]:
    """Return groups as plain values, without what is zero. Under the lock."""
    rows = [standing(group) for group in groups]
    for drawing in drawings:
        for row in rows:
            if row["name"] == drawing.group.name:
                add_what_comes(row, drawing)
    return rows


def standing(group: Group) -> dict[str, Any]:
    """Return one group: its number, its name, its items by status, how many could be retried."""
    row: dict[str, Any] = {"id": group.number, "name": group.name}
    counts = zip(STATUSES, group.counts.values(), strict=True)  # quicker than to look each one up
    row |= {name: count for name, count in counts if count}
    if "failed" in row:
        row["retriable"] = row["failed"]
    for status, count in group.gone.items():
        if count:
            row[status.value] = row.get(status.value, 0) + count
    return row


def add_what_comes(row: dict[str, Any], drawing: Coming) -> None:
    """Add how many items of a long map are no jobs yet; unknown is more than any number."""
    left, known = drawing.left, row.get("more", 0)
    row["more"] = UNKNOWN if left is None or known == UNKNOWN else known + left
