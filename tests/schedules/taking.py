"""Results of jobs among the arguments of others: what is handed over, and what must arrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobqueue_widget._core.jobs import JobStatus, NotKept

from .model import chained

if TYPE_CHECKING:
    import random

    from .executor import Attempt
    from .world import Tracked, World

CHAINED = ("dependency ", "result not kept: ")


@dataclass(frozen=True)
class Handed:
    """The arguments of a job as its user sees them, with a `Tracked` where it hands over a job."""

    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = field(default_factory=dict)

    @property
    def jobs(self) -> tuple[Tracked, ...]:
        """The jobs whose results it takes, each once."""
        found: dict[int, Tracked] = {}

        def note(tracked: Tracked) -> None:
            found[tracked.number] = tracked

        self.with_each(note)
        return tuple(found.values())

    def with_each(self, replace: Callable[[Tracked], Any]) -> tuple[tuple[Any, ...], Any]:
        """The arguments with something else in the place of each job."""
        return _replaced(self.args, replace), _replaced(self.kwargs, replace)


def _replaced(value: Any, replace: Callable[[Tracked], Any]) -> Any:
    from .world import Tracked

    if isinstance(value, Tracked):
        return replace(value)
    if isinstance(value, dict):
        return {name: _replaced(one, replace) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_replaced(one, replace) for one in value])
    return value


def thrown(dice: random.Random, one: Tracked, other: Tracked) -> Handed:
    """Arguments with results in some of the places where a result may stand."""
    shapes = (
        Handed((one,)),
        Handed((one, other)),
        Handed(([one, "between", other],)),
        Handed(((other, {"deep": [one]}),)),
        Handed(("plain",), {"named": one}),
        Handed((one,), {"named": {"deep": (other, one)}}),
    )
    return dice.choice(shapes)


def note_submit(world: World, tracked: Tracked) -> None:
    """What the queue keeps now of what a new job takes it must keep as long as that has not ended.

    What had left the queue before is kept by whoever holds its handle.
    """
    known = world.engine.state.jobs
    tracked.relies_on = tuple(one for one in tracked.handed.jobs if one.record.id in known)


# -- the promises ------------------------------------------------------------------------------


def check_launch(world: World, tracked: Tracked, attempt: Attempt) -> None:
    """A job is given exactly what the jobs returned that it takes the results of."""
    if not tracked.handed.jobs:
        return
    if any(type(one.value) is NotKept for one in tracked.handed.jobs):
        world.complain(f"job {tracked.number} was launched, and a result that it takes is lost")
    expected = tracked.handed.with_each(lambda one: one.value)
    found = attempt.spec.args, dict(attempt.spec.kwargs)
    if not _same(found, expected):
        world.complain(f"job {tracked.number} was given {found}, and right was {expected}")


def _same(found: Any, expected: Any) -> bool:
    if type(found) is not type(expected):
        return False
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            _same(found[name], one) for name, one in expected.items()
        )
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(_same, found, expected))
    return found is expected or bool(found == expected)


def check_moment(world: World) -> None:
    """Who waits for whom is counted exactly, and what is still to be taken is kept."""
    needed: Counter[int] = Counter()
    taken: Counter[int] = Counter()
    known = world.engine.state.jobs
    for tracked in world.jobs.values():
        if tracked.record.status.ended or not tracked.parents:
            continue
        needed.update(one.number for one in tracked.parents)
        taken.update(one.number for one in tracked.handed.jobs)
        for one in tracked.relies_on:
            if one.record.id not in known and one.number not in world.forgotten:
                world.complain(f"job {one.number} is gone, and {tracked.number} is to take it")
        if tracked.record.status is JobStatus.pending:
            _check_waiting(world, tracked)
    if world.engine.state.totals.accepted != world.accepted:
        return  # a submit is under way, and its user does not know the job yet
    for tracked in world.jobs.values():
        record = tracked.record
        counted = record.needed_by, record.taken_by
        if counted != (needed[tracked.number], taken[tracked.number]):
            world.complain(
                f"job {tracked.number} is needed by {needed[tracked.number]} and taken by "
                f"{taken[tracked.number]}, counted as {counted}"
            )


def _check_waiting(world: World, tracked: Tracked) -> None:
    left = [one for one in tracked.parents if not one.record.status.ended]
    if tracked.record.parents_left != len(left):
        world.complain(
            f"job {tracked.number} waits for {len(left)}, counted as {tracked.record.parents_left}"
        )
    for one in tracked.parents:
        if one.record.status.ended and not gives(one, tracked) and not _is_unread(one):
            world.complain(f"job {tracked.number} waits, and {one.number} gave it nothing")


def gives(parent: Tracked, child: Tracked) -> bool:
    """True if a job that has ended gives the other one what that waits for."""
    if parent.record.status is not JobStatus.completed:
        return False
    return parent not in child.handed.jobs or type(parent.value) is not NotKept


def _is_unread(parent: Tracked) -> bool:
    """True if only a look into the journal tells that its result was lost: before the launch."""
    return parent.ended_at_restart and parent.record.status is JobStatus.completed


def check_ending(world: World, tracked: Tracked) -> None:
    """Whoever is cancelled because of another is told of it, and of what that was told."""
    record = tracked.record
    if record.status is not JobStatus.cancelled:
        return
    failed = [one for one in tracked.parents if one.record.status.ended]
    failed = [one for one in failed if one.record.ended_number < record.ended_number]
    failed = [one for one in failed if not gives(one, tracked)]
    right = {_reason(one) for one in failed}
    is_told = record.cancel_reason.startswith(CHAINED)
    must = any(not _is_unread(one) for one in failed)
    if must and record.cancel_reason not in right:
        world.complain(f"job {tracked.number} was told {record.cancel_reason!r}, right: {right}")
    elif is_told and record.cancel_reason not in right:
        world.complain(f"job {tracked.number} was told {record.cancel_reason!r} of nobody")


def _reason(parent: Tracked) -> str:
    record, title = parent.record, parent.record.spec.title
    if record.status is JobStatus.completed:
        value = parent.value
        assert isinstance(value, NotKept)
        return f"result not kept: {title}: {value.reason}"
    told = f"dependency {record.status.value}: {title}"
    if record.status is not JobStatus.cancelled or not record.cancel_reason.startswith(CHAINED):
        return told
    return chained(told, record.cancel_reason)
