"""Takes a job off its lane: back to its place for another attempt, or ended for good."""

from __future__ import annotations

from collections.abc import Mapping

from . import effects as fx
from .jobs import CANCELLED, COMPLETED, PENDING, JobFailure, JobRecord, JobStatus, NotKept
from .state import QueueState
from .sweeps.groups import moved, set_held

Out = list[fx.Effect]
LINK = " ← "
CHAINED = ("dependency ", "result not kept: ")


def arm(job: JobRecord, kind: fx.TimerKind, seconds: float, out: Out) -> None:
    """Have the core told, after `seconds`, of what this kind of timer stands for."""
    job.timers |= fx.TIMER_BITS[kind]
    out.append(fx.ArmTimer(job, kind, seconds))


def disarm(job: JobRecord, kind: fx.TimerKind, out: Out) -> None:
    """Cancel the job's timer of this kind, if it is armed."""
    if job.timers & fx.TIMER_BITS[kind]:
        job.timers &= ~fx.TIMER_BITS[kind]
        out.append(fx.DisarmTimer(job, kind))


def free_lane(state: QueueState, job: JobRecord, out: Out) -> None:
    """Release the job's lane, if it has one."""
    if job.lane_taken:
        job.lane_taken = False
        state.lanes_taken -= 1
        state.running.pop(job.id, None)
        state.zombies.pop(job.id, None)
        state.resting.pop(job.id, None)
        out.append(fx.Wake(job))


def clear_block_reason(job: JobRecord, out: Out) -> None:
    """Clear the reason why a job is blocked, and have the dispatcher look at those behind it."""
    if job.block_reason is not None:
        job.block_reason = None
        out.append(fx.Wake(job))


def back_off(state: QueueState, job: JobRecord, seconds: float, out: Out) -> None:
    """Keep a job from starting for `seconds`: before its next attempt, or before its first."""
    job.backing_off = True
    job.starts_at = state.now + seconds
    arm(job, "backoff", seconds, out)


def wait_again(state: QueueState, job: JobRecord, out: Out) -> None:
    """Put a running job back into its place in the order; the caller arms what ends the wait."""
    for kind in fx.TIMER_BITS:
        if kind != "deadline":  # which counts from the submit
            disarm(job, kind, out)
    was, job.status = job.status, PENDING
    if job.groups:
        moved(job, was)
    job.cancel_phase = job.run_phase = None
    job.limit_hit = False
    job.where = None
    job.backing_off = True
    state.order.add(job)


def retry_payload(
    job: JobRecord, seconds: float, failure: JobFailure | None = None
) -> Mapping[str, object]:
    """Make the details of a "retrying" event: which attempt starts, after how long, and why."""
    return {"attempt": job.attempt, "seconds": seconds, "error": str(failure or job.failure)}


def end(state: QueueState, job: JobRecord, status: JobStatus, out: Out) -> None:
    """End the job, then whatever depended on it, without recursion (chains may be long)."""
    _end_one(state, job, status, out)
    queue = [job]
    while queue:
        parent = queue.pop()
        children, parent.children = parent.children or (), None
        for child in children:
            if child.status is not PENDING:
                continue
            options = child.spec.options
            if options.after_failure == "run" or gives_what_it_must(parent, child):
                child.parents_left -= 1
                child.revision = state.revision + 1  # of this event
                if not child.parents_left:
                    state.order.refile(child)
                    out.append(fx.Wake(child))
            else:
                child.cancel_reason = reason_of(parent)
                _end_one(state, child, CANCELLED, out)
                queue.append(child)


def cancel_dependent(state: QueueState, job: JobRecord, parent: JobRecord, out: Out) -> None:
    """Cancel a job because this parent of it has failed or was cancelled."""
    job.cancel_reason = reason_of(parent)
    end(state, job, CANCELLED, out)


def gives_what_it_must(parent: JobRecord, child: JobRecord) -> bool:
    """True if a parent has completed, and its result is there if the child takes it."""
    if parent.status is not COMPLETED:
        return False
    return type(parent.result) is not NotKept or parent.id not in child.spec.takes


def reason_of(parent: JobRecord) -> str:
    """Say why a job after this one is cancelled, with the jobs before it that were the cause."""
    title = parent.spec.title
    if type(parent.result) is NotKept and parent.status is COMPLETED:
        return lost_reason(title, parent.result)
    told = f"dependency {parent.status.value}: {title}"
    cause = parent.cancel_reason
    if parent.status is not CANCELLED or not cause.startswith(CHAINED):
        return told
    nearest, *others = cause.split(LINK)
    return LINK.join([told, nearest, *(["…", *others[-2:]] if len(others) > 3 else others)])


def lost_reason(title: str, lost: NotKept) -> str:
    """Say why a job is cancelled that takes a result which is not there."""
    return f"result not kept: {title}: {lost.reason}"


def _end_one(state: QueueState, job: JobRecord, status: JobStatus, out: Out) -> None:
    if job.timers:
        for kind in fx.TIMER_BITS:
            disarm(job, kind, out)
    if job.entry is not None:
        job.hold_until = None
        state.order.remove(job)
        clear_block_reason(job, out)
        free_lane(state, job, out)
    elif job.lane_taken:
        state.running.pop(job.id, None)
        state.zombies[job.id] = job
    was, job.status = job.status, status
    if job.groups:
        moved(job, was)
    job.cancel_phase = job.run_phase = job.block_reason = None
    if job.held:
        set_held(job, False)
    job.backing_off = job.deadline_hit = False
    job.starts_at = None
    job.completed_at = state.now
    for parent in job.parents:
        parent.needed_by -= 1
        if parent.taken_by and parent.id in job.spec.takes:
            parent.taken_by -= 1
            if not parent.taken_by:
                state.let_go(parent, out)
    job.parents = ()
    if status is COMPLETED:
        job.progress = 1.0
    state.totals.count(status)
    out += (fx.Publish(job, "ended"), fx.ReleaseWaiters(job))
    state.retire(job, out)
