"""The rules of the transition table, each of which changes a job and names the effects."""

from __future__ import annotations

from collections.abc import Sequence

from . import effects as fx
from . import events as ev
from .ending import (
    Out,
    again,
    arm,
    cancel_orphan,
    disarm,
    end,
    free_lane,
    wait_again,
)
from .jobs import (
    CANCELLED,
    COMPLETED,
    FAILED,
    PENDING,
    RUNNING,
    BlockReason,
    JobFailure,
    JobRecord,
    NotKept,
)
from .machine.rescue import PATIENCE, Rescue
from .starting import start_again_or_fail
from .state import QueueState

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
INTERRUPTED = "interrupted by kernel exit"
LONGEST_WISH = 3600.0  # seconds that a failure may ask for by its `retry_after`


def backoff_seconds(attempt: int) -> float:
    """Return the seconds before attempt + 1: 1, 2, 4 … 60 (exponential, as most retry policies)."""
    return float(min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(attempt - 1, 16)))


# -- pending ---------------------------------------------------------------------------------


def submit(
    state: QueueState, event: ev.Submitted | ev.Restored, out: Out, how: str = "submitted"
) -> None:
    """Accept a job, and cancel it at once if a parent has already failed or been cancelled."""
    job = event.job
    state.accept(job)
    failed = None
    job.parents = event.parents
    for parent in event.parents:
        parent.needed_by += 1
        if not parent.status.ended:
            job.parents_left += 1
            if parent.children is None:
                parent.children = []
            parent.children.append(job)
        elif parent.status is not COMPLETED:
            failed = failed or parent
    state.order.add(job)
    out.append(fx.Publish(job, how))
    if failed is not None:
        cancel_orphan(state, job, failed, out)
    elif job.entry is not None:
        out.append(fx.Wake(job))


def backoff_over(state: QueueState, event: ev.BackoffOver, out: Out) -> None:
    """Let the next attempt start."""
    job = event.job
    if event.attempt == job.attempt and job.backing_off:
        job.timers &= ~fx.TIMER_BITS["backoff"]
        if job.rescue is not None and not job.rescue.over:
            _room_is_made(state, job, (), out)
            return
        job.backing_off = False
        if job.lane_taken:  # its start failed, and its lane waited with it
            free_lane(state, job, out)
            job.block_reason = None
        state.order.refile(job)
        out += (fx.Publish(job, "released"), fx.Wake(job))


def room_made(state: QueueState, event: ev.RoomMade, out: Out) -> None:
    """Let the job start again if memory was freed; else the attempt before was its last."""
    job, rescue = event.job, event.job.rescue
    if event.attempt == job.attempt and rescue is not None and not rescue.over:
        disarm(job, "backoff", out)
        _room_is_made(state, job, event.unloaded, out)


def _room_is_made(state: QueueState, job: JobRecord, unloaded: tuple[str, ...], out: Out) -> None:
    job.rescue = rescue = Rescue(job.attempt, unloaded, over=True)
    job.block_reason = None
    if unloaded:
        job.message = rescue.text
        job.backing_off = False
        state.order.refile(job)
        out += (fx.Publish(job, "released", {"unloaded": unloaded}), fx.Wake(job))
    elif job.attempt > job.spec.options.retries + 1:
        job.attempt -= 1  # the next attempt never began
        end(state, job, FAILED, out)
    else:
        seconds = backoff_seconds(job.attempt - 1)
        arm(job, "backoff", seconds, out)
        out.append(fx.Publish(job, "retrying", again(job, seconds)))


def block(state: QueueState, event: ev.Blocked, out: Out) -> None:
    """Note why a job waits, and publish each reason once."""
    job = event.job
    if job.block_reason != event.reason:
        job.block_reason = event.reason
        told = event.reason.as_payload() if event.reason else {"reason": None}
        out.append(fx.Publish(job, "blocked", told))


def refuse(state: QueueState, event: ev.Refused, out: Out) -> None:
    """Fail a job that asks for what this machine will never have."""
    event.job.failure = event.failure
    end(state, event.job, FAILED, out)


def launch(state: QueueState, event: ev.Launched, out: Out) -> None:
    """Take a job out of the order onto a lane."""
    job = event.job
    state.order.remove(job)
    job.status = RUNNING
    job.executor_name, job.can_kill = event.executor_name, event.can_kill
    job.result = None
    job.block_reason = None
    job.started_at = state.now
    rescue = job.rescue
    is_rescued = rescue is not None and rescue.attempt == job.attempt and rescue.names
    job.progress, job.message = 0.0, rescue.text if rescue is not None and is_rescued else ""
    job.lane_taken = True
    state.running[job.id] = job
    state.lanes_taken += 1
    if (limit := job.spec.options.timeout) is not None:
        arm(job, "limit", limit, out)
    out += (fx.Launch(job), fx.Publish(job, "started"))


def cancel_pending(state: QueueState, event: ev.CancelRequested, out: Out) -> None:
    """Cancel a pending job at once."""
    event.job.cancel_reason = event.reason
    end(state, event.job, CANCELLED, out)


# -- running ---------------------------------------------------------------------------------


def change_phase(state: QueueState, event: ev.PhaseChanged, out: Out) -> None:
    """Note what the job does now; its time limit counts from when the body runs."""
    job = event.job
    if event.attempt != job.attempt:
        return
    moved = event.where is not None and event.where != job.where
    if moved:
        job.where = event.where
    if job.run_phase == event.text:
        if moved:
            out.append(fx.Publish(job, "phase", {"phase": event.text, "where": job.where}))
        return
    job.run_phase = event.text
    limit = job.spec.options.timeout
    if limit is not None and job.cancel_phase is None:
        if event.text is None:
            arm(job, "limit", limit, out)
        else:
            disarm(job, "limit", out)
    out.append(fx.Publish(job, "phase", {"phase": event.text, "where": job.where}))


def progress(state: QueueState, event: ev.Progressed, out: Out) -> None:
    """Note the latest report of progress."""
    job = event.job
    if event.attempt != job.attempt:
        return
    job.progress = event.fraction
    if event.message is not None:
        job.message = event.message
    out.append(fx.Publish(job, "progress"))


def cancel_running(state: QueueState, event: ev.CancelRequested, out: Out) -> None:
    """Ask a running job to stop, or force it at once if that is wanted and possible."""
    job = event.job
    job.cancel_reason = event.reason
    _begin_stop(job, event.force or event.timeout <= 0, event.timeout, out)


def cancel_again(state: QueueState, event: ev.CancelRequested, out: Out) -> None:
    """Take a second request: its reason replaces that of a time limit, and it may force now."""
    job = event.job
    if job.limit_hit:
        job.limit_hit, job.cancel_reason = False, event.reason
    if (event.force or event.timeout <= 0) and job.can_kill:
        _force(job, out)
    else:
        out.append(fx.Ask(job))


def accept_cancel(state: QueueState, event: ev.CancelRequested, out: Out) -> None:
    """Take a request while forcing: only its reason counts."""
    if event.job.limit_hit:
        event.job.limit_hit, event.job.cancel_reason = False, event.reason


def time_out(state: QueueState, event: ev.TimedOut, out: Out) -> None:
    """Ask a job to stop that ran into its own limit; it will have failed, not been cancelled."""
    job = event.job
    if event.attempt == job.attempt:
        job.timers &= ~fx.TIMER_BITS["limit"]
        job.limit_hit = True
        _begin_stop(job, event.timeout <= 0, event.timeout, out)


def escalate(state: QueueState, event: ev.CancelTimedOut, out: Out) -> None:
    """Force a job that did not stop in time (or whose queue stops before that)."""
    job = event.job
    if event.attempt == job.attempt and job.can_kill:
        _force(job, out)


def kill_failed(state: QueueState, event: ev.KillFailed, out: Out) -> None:
    """Fail a job that could not be ended; its lane stays taken until its work ends."""
    job = event.job
    if event.attempt != job.attempt:
        return
    job.failure = JobFailure("CouldNotBeEnded", f"could not be ended: {event.reason}")
    end(state, job, FAILED, out)


def end_running(state: QueueState, event: ev.Ended, out: Out) -> None:
    """End an attempt that nobody asked to stop."""
    job, outcome = event.job, event.outcome
    if event.attempt != job.attempt:
        return
    if outcome.kind == "unstarted" and outcome.failure is not None:
        start_again_or_fail(state, job, outcome.failure, out)
        return
    free_lane(state, job, out)
    state.unstarted_in_a_row = 0
    if outcome.kind == "value":
        job.result, job.failure = outcome.value, None
        end(state, job, COMPLETED, out)
    else:
        job.failure = outcome.failure or _unasked()
        _retry_or_fail(state, job, out, event.idle)


def end_asked(state: QueueState, event: ev.Ended, out: Out) -> None:
    """End an attempt that somebody, or its time limit, asked to stop.

    A value is the whole result if the job did not know of the request, else a part of it.
    """
    job, outcome = event.job, event.outcome
    if event.attempt != job.attempt:
        return
    free_lane(state, job, out)
    if outcome.kind == "value":
        job.result, job.failure = outcome.value, None
    if outcome.kind == "value" and not outcome.noticed:
        job.finished_before_cancel = not job.limit_hit
        end(state, job, COMPLETED, out)
    elif job.limit_hit:
        limit = job.spec.options.timeout
        details = outcome.failure
        job.failure = JobFailure(
            "TimeLimitExceeded",
            f"time limit {limit:g} s",
            details.traceback if details else "",
            details.exit_code if details else None,
            details.signal_name if details else None,
        )
        _retry_or_fail(state, job, out)
    else:
        job.failure = outcome.failure
        end(state, job, CANCELLED, out)


def work_gone(state: QueueState, event: ev.Ended, out: Out) -> None:
    """Release the lane of a job that was declared ended, now that its work has ended."""
    if event.attempt == event.job.attempt:
        free_lane(state, event.job, out)


def move_result(state: QueueState, event: ev.ResultMoved, out: Out) -> None:
    """Replace the result by where it is kept now; publish only if it was let go."""
    event.job.result = event.result
    if type(event.result) is NotKept:
        out.append(fx.Publish(event.job, "result_let_go", {"reason": event.result.reason}))


def ignore(state: QueueState, event: ev.Event, out: Out) -> None:
    """Do nothing, for an event that comes too late."""


# -- shared pieces ---------------------------------------------------------------------------


def _begin_stop(job: JobRecord, force: bool, timeout: float, out: Out) -> None:
    disarm(job, "limit", out)
    if force and job.can_kill:
        _force(job, out)
        return
    job.cancel_phase = "asked"
    out.append(fx.Ask(job))
    if job.can_kill:
        arm(job, "grace", timeout, out)
    payload = {"force_in": timeout if job.can_kill else None}
    out.append(fx.Publish(job, "cancel_asked", payload))


def _force(job: JobRecord, out: Out) -> None:
    disarm(job, "grace", out)
    job.cancel_phase = "forcing"
    out += (fx.Kill(job), fx.Publish(job, "cancel_forced"))


def _unasked() -> JobFailure:
    return JobFailure("CancelledError", "the job was cancelled, but not by its queue")


def _retry_or_fail(state: QueueState, job: JobRecord, out: Out, idle: tuple[str, ...] = ()) -> None:
    """Let a job try again if it may, after unloading `idle` if it lacked memory; else fail it."""
    rescued = _may_be_rescued(job, idle)
    if job.attempt > job.spec.options.retries and not rescued:
        end(state, job, FAILED, out)
        return
    seconds = backoff_seconds(job.attempt)
    if job.failure is not None and job.failure.retry_after is not None:
        seconds = max(seconds, min(job.failure.retry_after, LONGEST_WISH))
    job.attempt += 1
    job.failed_starts = 0
    wait_again(state, job, out)
    if rescued:
        job.rescue = Rescue(job.attempt, idle)
        job.block_reason = BlockReason(job.rescue.text)
        arm(job, "backoff", PATIENCE, out)  # the unloading may hang
        payload = {**again(job, 0.0), "unloading": idle}
        out += (fx.MakeRoom(job), fx.Publish(job, "retrying", payload))
        return
    arm(job, "backoff", seconds, out)
    out.append(fx.Publish(job, "retrying", again(job, seconds)))


# -- from a journal ------------------------------------------------------------------------------


def restore(state: QueueState, event: ev.Restored, out: Out) -> None:
    """Restore a job as its journal says; one that ran has failed unless it may run again."""
    job = event.job
    if event.was.ended:
        state.accept(job)
        job.status = event.was
        state.totals.count(event.was)
        state.retire(job, out)
    elif event.was is PENDING:
        submit(state, event, out, "restored")
        if job.entry is not None and event.hold_left is not None:
            arm(job, "hold", event.hold_left, out)
    elif _may_run_again(job, event):
        job.attempt += 1
        submit(state, event, out, "restored")
    else:
        state.accept(job)
        job.failure = JobFailure("KernelDied", INTERRUPTED)
        end(state, job, CANCELLED if event.asked else FAILED, out)
        job.completed_at = max(event.seen_at, job.started_at or 0.0)


def _may_run_again(job: JobRecord, event: ev.Restored) -> bool:
    options = job.spec.options
    return bool(options.idempotent) and not event.asked and job.attempt <= options.retries


def _may_be_rescued(job: JobRecord, idle: Sequence[str]) -> bool:
    """True if a job lacked memory, some can be freed, and it may run again.

    It may with `retries` or `idempotent=True`, and a call of a plugin also if `idempotent` is not
    set, as later versions of the reference system repeat any call of a plugin.
    """
    failure, options = job.failure, job.spec.options
    if not idle or failure is None or not failure.out_of_memory:
        return False
    if job.rescue is not None or job.attempt > options.retries + 1:
        return False
    if job.spec.kind == "plugin" and options.idempotent is not False:
        return True
    return bool(options.retries or options.idempotent)
