"""The groups of a queue: who is in them, and what a retry and the end of keeping change there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol, cast

from .. import effects as fx
from ..jobs import JobRecord, JobStatus
from .group import Group
from .membership import is_grouped


class GroupsOfQueue:
    """The groups of one queue that have a name in it, in the order in which they came to be."""

    __slots__ = ("last_number", "named")

    def __init__(self) -> None:
        self.named: dict[str, Group] = {}
        self.last_number = 0  # of all that ever had a name

    def join(self, job: JobRecord, name: str) -> None:
        """Add a job to the group of this name, unless it is there."""
        group = self.named.get(name)
        if group is None:
            self.last_number += 1
            group = self.named[name] = Group(name, is_known=True, number=self.last_number)
        if group not in job.groups:
            group.add(job)

    def let_go(self, job: JobRecord) -> None:
        """Let go of a job that the queue keeps no longer, and of groups of which none is left."""
        for group in job.groups:
            group.let_go(job)
            self.drop_empty(group)
        job.groups = tuple(group for group in job.groups if group.items is None)

    def drop_empty(self, group: Group) -> None:
        """Forget a group that has a name here, no jobs and none to come."""
        if not (group.items or group.drawings) and self.named.get(group.name) is group:
            del self.named[group.name]

    def validate(self, jobs: Iterable[JobRecord]) -> None:
        """Raise AssertionError if a count is wrong, or a job is in a group that lacks it."""
        members: dict[Group, list[JobRecord]] = {}
        for job in jobs:
            assert job.retried_by is None or not job.groups, f"{job} was tried again, and counts"
            for group in job.groups:
                if self.named.get(group.name) is group:
                    members.setdefault(group, []).append(job)
        assert set(members) == {group for group in self.named.values() if group.items}
        for group, found in members.items():
            assert self.named[group.name] is group
            assert sorted(found) == sorted(jobs_of(group)), f"{group} has other jobs"
            told = {status: count for status, count in group.counts.items() if count}
            assert told == Counter(job.status for job in found), f"{group}: {told}"
            assert group.held_count == sum(job.held for job in found), f"{group}: held"


class HasPending(Protocol):
    """What they use of the order of pending jobs."""

    def note_group(self, record: JobRecord) -> None:
        """Note that a pending job has come into a group."""


class HasEnded(Protocol):
    """What they use of the ended jobs that lists show."""

    def note_group(self, job: JobRecord) -> None:
        """Note that a job, which may have ended, has come into a group."""


class HasGroups(Protocol):
    """What the rules of groups use of a queue's state."""

    groups: GroupsOfQueue
    jobs: dict[str, JobRecord]

    @property
    def shelf(self) -> HasEnded:
        """The ended jobs that lists show."""

    @property
    def order(self) -> HasPending:
        """The order of pending jobs."""

    def note_retry(self, job: JobRecord, *, hides: bool) -> None:
        """Note that a later try stands for an ended job; `hides`: it is listed no more."""


def jobs_of(group: Group) -> list[JobRecord]:
    """List the latest try of each item that a named group still has, in the order of submits."""
    return cast("list[JobRecord]", group.latest())


def latest(job: JobRecord) -> JobRecord:
    """Return the last of the tries that began with this job."""
    while job.retried_by is not None:
        job = job.retried_by
    return job


def moved(job: JobRecord, was: JobStatus) -> None:
    """Count a job where it is now instead of where it was."""
    for group in job.groups:
        group.counts[was] -= 1
        group.counts[job.status] += 1


def set_held(job: JobRecord, is_held: bool) -> None:
    """Hold a pending job, or not, and count it so."""
    for group in job.groups:
        group.held_count += is_held - job.held
    job.held = is_held


def enrol(
    state: HasGroups, job: JobRecord, repeated: JobRecord | None, out: list[fx.Effect]
) -> None:
    """Count a new job in its groups: as an item, or instead of the item that it is a retry of.

    It takes the place of the latest try, if that has ended and is in the same group.
    """
    own, job.groups = job.groups, ()
    name = job.spec.options.group
    last = None if repeated is None else latest(repeated)
    if last is not None and last.status.ended and last.spec.options.group == name:
        last.retried_by = job
        stood_below = is_grouped(last)
        job.groups, last.groups = last.groups, ()
        for group in job.groups:
            group.replace(last, job)
        state.note_retry(last, hides=stood_below and bool(job.groups))
        if last.id in state.jobs:
            out.append(fx.Superseded(last))
        elif name is not None and name in state.groups.named:
            state.groups.named[name].comes_back(last.status)
    for group in own:
        group.add(job)
    if name is not None:
        state.groups.join(job, name)


def join(state: HasGroups, job: JobRecord, group: Group | str) -> None:
    """Add a job that was there before to a group, and to the one that the queue has by its name.

    A group that is given by its name is only the latter.
    """
    job = latest(job)
    if not isinstance(group, str):
        group.add(job)
        group = group.name
    if job.id in state.jobs:
        state.groups.join(job, group)
        if job.entry is not None:
            state.order.note_group(job)
        state.shelf.note_group(job)
