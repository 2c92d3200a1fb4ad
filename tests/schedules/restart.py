"""A kernel that dies at any moment, and the next one over its journal: what must come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobqueue_widget._core.jobs import JobStatus
from jobqueue_widget._core.stored import Session
from jobqueue_widget.testing import MemoryJournal, inspect

from .taking import Handed

if TYPE_CHECKING:
    from .executor import Attempt
    from .world import Tracked, World


OPEN = (JobStatus.pending, JobStatus.running)


class Killed(BaseException):
    """The kernel dies here, or its loop."""


class Journal(MemoryJournal):
    """What is written of a queue, and a copy of it as it is at one moment."""

    def standing(self, job_id: str) -> tuple[str, int] | None:
        """The status and attempt that are written of a job."""
        found = self._states.get(job_id)
        return None if found is None else (found.status, found.attempt)

    def copy(self) -> Journal:
        """What the next kernel finds."""
        other = Journal()
        for name, value in vars(self).items():
            setattr(other, name, value.copy() if isinstance(value, (dict, list)) else value)
        other._sessions = [_without_workers(session) for session in other._sessions]
        other._open = False
        return other


def _without_workers(session: Session) -> Session:
    """A kernel whose workers nobody has to look for: there are none here."""
    return session._replace(ended_at=session.seen_at)


class Soon:
    """Stands for `Thread` where the queue reads results aside: runs it on the other thread."""

    def __init__(self, world: Callable[[], World]) -> None:
        self._world = world

    def __call__(
        self, target: Callable[..., object], args: tuple[object, ...], name: str, daemon: bool
    ) -> _Later:
        """What runs after some time, when it is started."""
        self._world().read_aside.add(name.removeprefix("results-"))
        return _Later(self._world(), target, args)


class _Later:
    def __init__(
        self, world: World, target: Callable[..., object], args: tuple[object, ...]
    ) -> None:
        self._world, self._target, self._args = world, target, args

    def start(self) -> None:
        """Not at once; perhaps the loop ends meanwhile."""
        world = self._world
        seconds = world.dice.choice((0.0, 0.0, 0.1, 1.0, 3.0))
        world.outside.call_later(seconds, self._target, *self._args)
        if world.ends_with_a_reading:
            world.turns_left = world.dice.choice((1, 2, 5))


def sometimes_quick(world: Callable[[], World], is_quick: property) -> property:
    """Whether results are at hand: now and then they are read aside all the same."""
    return property(lambda self: world().dice.random() < 0.5 and is_quick.__get__(self))


# -- what is written before anything comes of it ------------------------------------------------


def check_launch(world: World, attempt: Attempt) -> None:
    """R8: that a job runs is written before it does."""
    if world.journal is None:
        return
    written = world.journal.standing(attempt.spec.id)
    if written != ("running", attempt.number):
        number = world.number_of(attempt.spec.id)
        world.complain(f"job {number} was launched, and its journal has {written}")


def check_told(world: World, job_id: str) -> None:
    """Of no end anybody is told before it is written."""
    record = world.engine.state.jobs.get(job_id)
    if world.journal is None or record is None:
        return
    written = world.journal.standing(job_id)
    if written is None or not JobStatus(written[0]).ended:
        world.complain(f"the end of {record.number} is told, and its journal has {written}")


# -- what comes back ---------------------------------------------------------------------------


def note_death(world: World) -> None:
    """Write down how all is at the moment of death, which what follows must not change."""
    for tracked in world.jobs.values():
        record = tracked.record
        asked = record.cancel_phase is not None and not record.limit_hit
        tracked.at_death = (record.status, asked)


def bring_back(world: World, before: World) -> None:
    """Compare what the journal gave with what there was, and go on with the same jobs."""
    handles = {job.id: job for job in inspect(world.queue).records.values()}
    again: dict[int, Tracked] = {}
    for old in before.jobs.values():
        record = handles.get(old.record.id)
        if record is None:
            right = _right_status(old)
            world.not_back[right.value] += 1
            if not right.ended:
                world.complain(f"job {old.number} was {right.value}, and did not come back")
            continue
        again[old.number] = world.came_back(old, world.queue[record.id])
    if extra := set(handles) - {old.record.id for old in before.jobs.values()}:
        world.complain(f"{extra} came back from nowhere")
    for number, tracked in again.items():
        old = before.jobs[number]
        tracked.after = tuple(again[one.number] for one in old.after if one.number in again)
        args, kwargs = old.handed.with_each(lambda one: again.get(one.number, one))
        tracked.handed = Handed(args, kwargs)
        tracked.relies_on = tuple(
            again[one.number] for one in old.handed.jobs if one.number in again
        )
        tracked.knows_parents = all(one.number in again for one in old.parents)
        tracked.cannot_run = not _may_run(old, again)
    by_id = {tracked.job.id: tracked for tracked in again.values()}
    for tracked in again.values():  # a copy of what was still open is a retry of it from now on
        tracked.next = by_id.get(tracked.job.retried_by or "")
    for same in world.by_text.values():
        same.sort(key=_place)
    for tracked in again.values():
        _check_status(world, tracked)
    _check_totals(world)


def _place(tracked: Tracked) -> tuple[int, int]:
    """The order in which jobs come back, as far as it counts: what had ended, ran and waited."""
    was = tracked.before_status
    return (was is JobStatus.pending) + (was in OPEN), tracked.number


def _may_run(old: Tracked, again: dict[int, Tracked]) -> bool:
    """What ran in an object of the kernel cannot, nor what takes a result that is gone."""
    if old.record.spec.options.executor is not None or old.cannot_run:
        return False
    return all(one.number in again for one in old.handed.jobs)


def _check_status(world: World, tracked: Tracked) -> None:
    """R8: what ran has failed, and what had ended has ended as it had."""
    assert tracked.before is not None
    status, right = tracked.record.status, _right_status(tracked.before)
    if status is not right:
        world.complain(f"job {tracked.number} came back {status.value}, and right was {right}")


def _right_status(old: Tracked) -> JobStatus:
    """What ran has failed, or was asked to stop; what waited for it is cancelled with it."""
    was, asked = old.at_death
    if was is JobStatus.running:
        return JobStatus.cancelled if asked else JobStatus.failed
    if was is JobStatus.pending and any(map(_fails, old.parents)):
        return JobStatus.cancelled
    return was


def _fails(parent: Tracked) -> bool:
    was = parent.at_death[0]
    return was in OPEN and _right_status(parent).ended


def _check_totals(world: World) -> None:
    totals = world.engine.state.totals
    found = Counter(one.record.status.value for one in world.jobs.values())
    for status in (JobStatus.completed, JobStatus.failed, JobStatus.cancelled):
        right = found[status.value] + world.not_back[status.value]
        if getattr(totals, status.value) != right:
            world.complain(f"{right} {status.value} before the restart, counted otherwise")


def check_results(world: World) -> None:
    """What had come back as completed has the value that it had returned."""
    for tracked in world.jobs.values():
        if tracked.before_status is not JobStatus.completed:
            continue
        if tracked.job.result != tracked.value:
            world.complain(
                f"job {tracked.number} came back with {tracked.job.result}, not {tracked.value}"
            )


def check_review(world: World) -> None:
    """A queue that waits for a review goes on once all that it has brought back was asked for."""
    state = world.engine.state
    if not state.in_review:
        return
    waits = [one for one in world.jobs.values() if one.record.entry is not None]
    if all(one.was_asked_for or one.record.held for one in waits):
        world.complain("all that came back was asked for again, and the queue is in review")
