"""Tells front ends how groups stand: a bounded number of them, the liveliest, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..jobs import RUNNING, JobRecord, JobStatus
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


Sections = tuple[list[Group], list[Group], list[Group]]


def sections_of(state: QueueState) -> Sections:
    """Sort groups by where lists show them: with what runs, waits or has ended. Under the lock.

    Those that are not done stand in the order in which they came to be, the others the newest
    first; one of which all jobs are hidden is left out.
    """
    running: list[Group] = []
    waiting: list[Group] = []
    over: list[Group] = []
    hidden_to = state.cleared_to
    for group in state.groups.named.values():
        if group.counts[RUNNING]:
            running.append(group)
        elif group.open_count:
            waiting.append(group)
        elif group.last_ended > hidden_to:
            over.append(group)
    over.reverse()
    return running, waiting, over


def listed(state: QueueState, group: Group) -> list[JobRecord]:
    """List what is shown of a group: the latest try of each item, in their order. Locked."""
    items = cast("list[JobRecord]", group.latest())
    if not _may_hide(state, group):
        return items
    return [job for job in items if state.shelf.is_shown(job)]


def listed_count(state: QueueState, group: Group) -> int:
    """Count what is shown of a group. Under the lock."""
    if _may_hide(state, group):
        return len(listed(state, group))
    return len(group.items or ())


def _may_hide(state: QueueState, group: Group) -> bool:
    return 0 < group.first_ended <= state.cleared_to


def standings(
    state: QueueState, groups: Iterable[Group], drawings: Sequence[Coming]
) -> list[dict[str, Any]]:
    """Return groups as plain values, without what is zero. Under the lock."""
    rows = [{**standing(group), "listed": listed_count(state, group)} for group in groups]
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
