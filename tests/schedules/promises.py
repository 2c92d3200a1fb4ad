"""The promises of the queue as checks: at each launch, each turn, at rest and at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from jobqueue_widget._core.jobs import JobStatus, NotKept
from jobqueue_widget._core.state import QueueState

from . import keyed, restart, taking
from .executor import Attempt, DicedExecutor

if TYPE_CHECKING:
    from .world import Tracked, World

BACKOFF = {2: 1.0, 3: 2.0, 4: 4.0}  # attempt: seconds before it
LATEST = 0.3  # seconds that a timer may be late in this world


def check_launch(world: World, tracked: Tracked, attempt: Attempt) -> None:
    """R3, R5, R8: nothing starts out of order, too often, too early or beside too many."""
    record, queue = tracked.record, world.queue
    what = f"job {tracked.number} was launched"
    if len(world.alive) >= world.max_running:
        world.complain(f"{what} beside {len(world.alive)} others")
    if record.status is not JobStatus.running:
        world.complain(f"{what} and is {record.status}")
    if record.cancel_phase is not None or record.limit_hit:
        world.complain(f"{what} with the request of an earlier attempt")
    if record.held or record.parents_left:
        world.complain(f"{what} though it is held or waits for a parent")
    if any(parent.record.status is not JobStatus.completed for parent in tracked.parents):
        world.complain(f"{what} before its parents were completed")
    reads_first = record.id in world.read_aside  # so it may have had its lane for a while
    may_pass = world.engine.state.in_review and tracked.was_asked_for
    is_paused = queue.paused and not may_pass
    if (is_paused or world.engine.life.phase != "started") and not reads_first:
        world.complain(f"{what} while the queue is paused or {world.engine.life.phase}")
    if attempt.number <= tracked.last_attempt:
        world.complain(f"{what} as attempt {attempt.number} once more")
    if attempt.number > record.spec.options.retries + 1:
        world.complain(f"{what} more often than its retries allow")
    if tracked.attempts:
        _check_backoff(world, tracked, attempt)
    taking.check_launch(world, tracked, attempt)
    keyed.check_launch(world, tracked)
    if not reads_first:
        _check_order(world, tracked)


def _check_backoff(world: World, tracked: Tracked, attempt: Attempt) -> None:
    before = tracked.attempts[-1].gone_at
    if before is None:
        world.complain(f"attempt {attempt.number} of {tracked.number} beside the one before")
    elif attempt.launched_at < before + BACKOFF[attempt.number] / 2 - 1e-6:
        world.complain(f"attempt {attempt.number} of {tracked.number} did not wait")


def _check_order(world: World, tracked: Tracked) -> None:
    mine = _place(tracked)
    for other in world.jobs.values():
        record = other.record
        if record.status is not JobStatus.pending or _place(other) > mine:
            continue
        if record.held or record.backing_off or record.parents_left:
            continue
        if world.engine.state.in_review and not other.was_asked_for:
            continue
        if not _may_be_passed(world, other):
            world.complain(f"job {tracked.number} was launched before {other.number}")


def _place(tracked: Tracked) -> tuple[int, int, int]:
    return (-tracked.record.priority, tracked.record.rank, tracked.number)


def _may_be_passed(world: World, tracked: Tracked) -> bool:
    reason = blocked(tracked)
    return reason is not None and (reason or world.engine.settings.backfill)


def blocked(tracked: Tracked) -> bool | None:
    """None: its executor would take it. Else whether it may be passed."""
    executor = tracked.record.spec.executor
    if not isinstance(executor, DicedExecutor):
        return None
    try:
        reason = executor.reason_for(tracked.record.spec)
    except Exception:
        return False
    return None if reason is None else reason.may_be_passed


def check_moment(world: World) -> None:
    """R1, R2 at any moment: all numbers add up, and what has ended stays as it ended."""
    engine = world.engine
    try:
        with engine.lock.held:
            engine.state.validate()
    except AssertionError as error:
        world.complain(f"the state contradicts itself: {error}")
    if engine.state.totals.accepted < world.accepted:
        world.complain(f"{world.accepted} accepted, {engine.state.totals.accepted} counted")
    for group in world.groups:
        counted = {status: count for status, count in group.counts.items() if count}
        found = Counter(job.status.value for job in group)
        if counted != found:
            world.complain(f"{group.name} is counted as {counted}, and is {dict(found)}")
    for tracked in world.jobs.values():
        record = tracked.record
        result = None if tracked.ended_at_restart else record.result  # it is read when asked for
        final = (record.status, result, record.completed_at, record.attempt)
        if tracked.final is None:
            if record.status.ended:
                tracked.final = final
                if tracked.knows_parents:
                    taking.check_ending(world, tracked)
                if not tracked.ended_at_restart:
                    _check_ending(world, tracked)
        elif tracked.final != final:
            world.complain(f"job {tracked.number} ended as {tracked.final} and became {final}")
    taking.check_moment(world)


def _check_ending(world: World, tracked: Tracked) -> None:
    """R1, R4: how it ended is what really happened, and what cancel() said."""
    record = tracked.record
    name = f"job {tracked.number}"
    unforced = record.failure is not None and record.failure.type_name == "CouldNotBeEnded"
    last = tracked.attempts[-1] if tracked.attempts else None
    outcome = last.outcome if last is not None else None
    if record.cancel_phase is not None:
        world.complain(f"{name}: a request outlives its job")
    if record.status is JobStatus.completed:
        if outcome is not None and outcome.noticed:
            world.complain(f"{name} completed, but its work had noticed that it was to stop")
        if outcome is None or outcome.kind != "value" or not _is(record.result, outcome.value):
            world.complain(f"{name} completed, but its work ended as {outcome}")
        if tracked.told_asked and not record.finished_before_cancel:
            world.complain(f"{name}: asked to stop, completed, and does not say so")
    elif record.status is JobStatus.failed:
        if not tracked.job.error or tracked.job.error.endswith(": "):
            world.complain(f"{name} failed without a word: {tracked.job.error!r}")
        if tracked.told_asked and not unforced:
            world.complain(f"{name}: cancel() said True, and it failed: {tracked.job.error}")
        if outcome is not None and outcome.kind == "value" and not outcome.noticed:
            world.complain(f"{name} failed ({record.failure}), but its work returned a value")
    elif last is not None and outcome is not None and outcome.kind == "value":
        if not outcome.noticed:
            world.complain(f"{name} cancelled, but its work returned a value")
        if not _is(record.result, outcome.value):
            world.complain(f"{name} cancelled, and the part that it returned is lost")
    if unforced and (last is None or not last.alive):
        world.complain(f"{name} could not be ended, it says, and is gone")
    if not unforced and last is not None and last.alive and not _lost_its_loop(tracked):
        world.complain(f"{name} has ended while its work is alive")


def _is(result: object, returned: object) -> bool:
    """True for the very object that was returned, or what was said of one that was not kept."""
    return result is returned or (type(returned) is NotKept and result == returned)


def _lost_its_loop(tracked: Tracked) -> bool:
    failure = tracked.record.failure
    return failure is not None and failure.type_name == "EventLoopClosed"


def check_turn(world: World) -> None:
    """R1, R4 between two acts: what is to stop was asked to, and nobody waits for what is over."""
    engine = world.engine
    for attempt in world.alive:
        record = engine.state.running.get(attempt.spec.id)
        if record is None or record.cancel_phase is None or record.attempt != attempt.number:
            continue
        is_told = attempt.asked_at is not None or attempt.killed_at is not None
        if isinstance(record.spec.executor, DicedExecutor) and not is_told:
            world.complain(f"job {record.number} is to stop, and was never asked to")
    for group in engine.waiters._by_group:
        if not group.open_count:
            world.complain(f"somebody waits for {group}, all of which has ended")


def check_rest(world: World) -> None:
    """R1, R3, R5 when nothing is in flight: nobody sleeps who should not, no lane is lost."""
    engine, state = world.engine, world.engine.state
    free_at_start = state.lanes_taken - len(world.alive)  # of work that went with its loop
    is_lost = engine.life.loop_is_closed  # which is noticed when somebody next does something
    if free_at_start < 0 or (free_at_start and engine.life.phase == "started" and not is_lost):
        world.complain(f"{state.lanes_taken} lanes taken by {len(world.alive)} executions")
    if engine.life.phase == "started" and not state.starts_nothing and not is_lost:
        _check_dispatcher_is_not_asleep(world, state)
    for job_id, waiters in engine.waiters._by_job.items():
        record = next(t.record for t in world.jobs.values() if t.record.id == job_id)
        if record.status.ended or (engine.life.phase == "stopped" and waiters):
            world.complain(f"somebody waits for {record.number}, which is {record.status}")
    _check_joiners(world, state)
    for tracked in world.jobs.values():
        by = None if tracked.next is None else tracked.next.job.id
        may_be_gone = tracked.before is not None and by is None  # the other one is not kept
        if tracked.job.retried_by != by and not may_be_gone:
            world.complain(f"job {tracked.number} says it was retried by another one")
    for attempt in world.alive:
        _check_grace(world, attempt)
        if engine.life.phase == "stopped" and attempt.can_kill and attempt.killed_at is None:
            world.complain(f"{attempt.spec.id} outlives the stop, and nobody forced it")


def _check_dispatcher_is_not_asleep(world: World, state: QueueState) -> None:
    if state.lanes_taken >= world.max_running:
        return
    for tracked in sorted(world.jobs.values(), key=_place):
        if tracked.record.entry is None or not tracked.record.startable:
            continue
        if state.in_review and not tracked.was_asked_for:
            continue
        reason = blocked(tracked)
        if reason is None:
            world.complain(f"job {tracked.number} could start and a lane is free")
        if not reason and not world.engine.settings.backfill:
            return


def _check_joiners(world: World, state: QueueState) -> None:
    if not world.engine.waiters._joiners or state.running:
        return
    stuck = state.starts_nothing or world.engine.life.phase != "started"
    stuck = stuck or not state.order.ready_count
    timers = {"hold", "backoff"}
    armed = any(kind in timers for _, kind in world.engine.timers._armed)
    if stuck and not (armed and world.engine.life.phase == "started"):
        world.complain("somebody joins a queue in which nothing will ever happen")


def _check_grace(world: World, attempt: Attempt) -> None:
    """R4: a time limit is noticed, and what was asked in vain is forced."""
    now = world.outside.now
    limit = attempt.spec.options.timeout
    state = world.engine.state
    record = state.running.get(attempt.spec.id)
    if record is None or world.engine.life.phase != "started":
        return
    late = limit is not None and now > attempt.launched_at + limit + 1.0 + LATEST
    if late and record.cancel_phase is None:
        world.complain(f"{attempt.spec.id} runs past its limit of {limit} s")
    if not attempt.can_kill or attempt.asked_at is None or attempt.killed_at is not None:
        return
    if now > attempt.asked_at + 3.0 + LATEST:
        world.complain(f"{attempt.spec.id} was asked {now - attempt.asked_at} s ago")


def check_end(world: World) -> None:
    """R1-R8 when all is over and the queue has stopped."""
    engine, state = world.engine, world.engine.state
    if engine.bugs:
        world.complain(f"{engine.bugs} events did not fit the table")
    for tracked in world.jobs.values():
        if not tracked.record.status.ended:
            world.complain(f"job {tracked.number} never ended: {tracked.record}")
        told = world.events.get(tracked.number, [])
        is_right = told.count("ended") == 1 and told[-1] == "ended"
        is_right = is_right and (tracked.before is not None or told[0] == "submitted")
        if not is_right and not tracked.ended_at_restart:
            world.complain(f"job {tracked.number} was told of as {told}")
        if told.count("started") < len(tracked.attempts):
            world.complain(f"job {tracked.number} started {len(tracked.attempts)} times")
        _check_fate_of_children(world, tracked)
    statuses = [tracked.record.status for tracked in world.jobs.values()]
    for status in (JobStatus.completed, JobStatus.failed, JobStatus.cancelled):
        count = statuses.count(status) + world.not_back[status.value]
        if getattr(state.totals, status.value) != count:
            world.complain(f"{count} {status.value}, counted otherwise")
    if state.totals.accepted != world.accepted:
        world.complain(f"{world.accepted} accepted, {state.totals.accepted} counted")
    restart.check_results(world)
    if world.alive:
        world.complain(f"alive after the end: {world.alive}")
    leftovers = (
        engine.runs,
        engine.waiters._by_job,
        engine.waiters._by_group,
        engine.waiters._joiners,
        engine._tasks,
    )
    if any(leftovers) or state.lanes_taken or engine.timers._armed:
        armed = list(engine.timers._armed)
        world.complain(f"left behind: {leftovers}, {state.lanes_taken} lanes, {armed}")
    if world.outside.next_due() is not None:
        world.complain("a timer is left behind")


def _check_fate_of_children(world: World, tracked: Tracked) -> None:
    failed = [one for one in tracked.parents if not taking.gives(one, tracked)]
    if failed and tracked.record.status is not JobStatus.cancelled:
        world.complain(f"job {tracked.number} is {tracked.record.status}, its parent failed")
