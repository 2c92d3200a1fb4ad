"""The rules of the transition table, each of which changes a job and names the effects."""

from __future__ import annotations

from . import effects as fx
from . import events as ev
from .ending import Out, arm, back_off, cancel_dependent, disarm, end, free_lane, gives_what_it_must
from .jobs import (
    CANCELLED,
    COMPLETED,
    FAILED,
    PENDING,
    RUNNING,
    JobFailure,
    JobRecord,
    NotKept,
    Outcome,
)
from .retrying import retry_or_fail, start_again_or_fail
from .state import QueueState
from .sweeps.groups import enrol, moved
from .sweeps.groups import join as join_group

INTERRUPTED = "interrupted by kernel exit"


# -- pending ---------------------------------------------------------------------------------


def submit(
    state: QueueState, event: ev.Submitted | ev.Restored, out: Out, how: str = "submitted"
) -> None:
    """Accept a job, and cancel it at once if a parent has already failed or been cancelled."""
    job, options = event.job, event.job.spec.options
    accept(state, event, out)
    delay, deadline = options.delay, options.deadline
    if isinstance(event, ev.Restored):
        delay, deadline = event.delay_left, event.deadline_left
    if delay:
        back_off(state, job, delay, out)
    if deadline is not None:
        arm(job, "deadline", deadline, out)
    failed = None
    job.parents = event.parents
    takes = job.spec.takes
    for parent in event.parents:
        parent.needed_by += 1
        if takes and parent.id in takes and isinstance(event, ev.Submitted):
            parent.taken_by += 1  # else whoever restores has counted it
        if not parent.status.ended:
            job.parents_left += 1
            if parent.children is None:
                parent.children = []
            parent.children.append(job)
        elif options.after_failure == "cancel" and not gives_what_it_must(parent, job):
            failed = failed or parent
    if options.key is not None and state.in_review:
        job.let_through = True
    state.order.add(job)
    out.append(fx.Publish(job, how))
    if failed is not None:
        cancel_dependent(state, job, failed, out)
    elif job.entry is not None:
        out.append(fx.Wake(job))


def accept(state: QueueState, event: ev.Submitted | ev.Restored, out: Out) -> None:
    """Count a new job and make it known, and count it in its groups, if it is in any."""
    job = event.job
    state.accept(job)
    if job.groups or job.retry_of is not None or job.spec.options.group is not None:
        repeated = event.repeated if isinstance(event, ev.Submitted) else None
        enrol(state, job, repeated or state.jobs.get(job.retry_of or ""), out)


def block(state: QueueState, event: ev.Blocked, out: Out) -> None:
    """Note why a job waits, and publish each reason once; one that is held waits for its user."""
    job = event.job
    if job.block_reason != event.reason and not job.held:
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
    if job.groups:
        moved(job, PENDING)
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


def miss_deadline(state: QueueState, event: ev.DeadlinePassed, out: Out) -> None:
    """Fail a job whose deadline passes before it runs, or between two attempts."""
    job = event.job
    job.timers &= ~fx.TIMER_BITS["deadline"]
    job.failure = _past_deadline(job, job.failure)
    end(state, job, FAILED, out)


def cancel_pending(state: QueueState, event: ev.CancelRequested | ev.Withdrawn, out: Out) -> None:
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
    """Ask once more, or force; if a limit caused the stop, make it a cancellation."""
    job = event.job
    accept_cancel(state, event, out)
    if (event.force or event.timeout <= 0) and job.can_kill:
        _force(job, out)
    else:
        out.append(fx.Ask(job))


def accept_cancel(state: QueueState, event: ev.CancelRequested, out: Out) -> None:
    """If a limit caused the stop, make it a cancellation with this reason; else change nothing."""
    if event.job.limit_hit:
        event.job.limit_hit, event.job.cancel_reason = False, event.reason
        out.append(fx.Recalled(event.job))


def time_out(state: QueueState, event: ev.TimedOut, out: Out) -> None:
    """Ask a job that exceeded its time limit to stop; that attempt then counts as failed."""
    job = event.job
    if event.attempt == job.attempt:
        job.timers &= ~fx.TIMER_BITS["limit"]
        job.limit_hit = True
        _begin_stop(job, event.timeout <= 0, event.timeout, out)


def stop_late(state: QueueState, event: ev.DeadlinePassed, out: Out) -> None:
    """Ask a job whose deadline has passed to stop; it then counts as failed, for good."""
    note_deadline(state, event, out)
    event.job.limit_hit = True
    _begin_stop(event.job, event.timeout <= 0, event.timeout, out)


def note_deadline(state: QueueState, event: ev.DeadlinePassed, out: Out) -> None:
    """The deadline has passed: allow no further attempt."""
    event.job.timers &= ~fx.TIMER_BITS["deadline"]
    event.job.deadline_hit = True


def escalate(state: QueueState, event: ev.CancelTimedOut, out: Out) -> None:
    """Force a job whose grace period is over, or was cut short by the stop of its queue."""
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
        retry_or_fail(state, job, out, event.idle)
    _date_back(job, outcome)


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
    elif job.limit_hit and job.deadline_hit:
        job.failure = _past_deadline(job, outcome.failure)
        end(state, job, FAILED, out)
    elif job.limit_hit:
        limit = job.spec.options.timeout
        job.failure = _stopped_by("TimeLimitExceeded", f"time limit {limit:g} s", outcome.failure)
        retry_or_fail(state, job, out)
    else:
        job.failure = outcome.failure
        end(state, job, CANCELLED, out)
    _date_back(job, outcome)


def _date_back(job: JobRecord, outcome: Outcome) -> None:
    """Say of a job that has ended unseen when that was, as far as clocks were not set meanwhile."""
    ended, begun, took = job.completed_at, job.started_at, outcome.took
    if job.status.ended and ended is not None and begun is not None and took is not None:
        job.completed_at = min(ended, begun + took)


def work_gone(state: QueueState, event: ev.Ended, out: Out) -> None:
    """Release the lane of a job that was declared ended, now that its work has ended."""
    if event.attempt == event.job.attempt:
        free_lane(state, event.job, out)


def move_result(state: QueueState, event: ev.ResultMoved, out: Out) -> None:
    """Replace the result by where it is kept now; publish only if it was let go."""
    event.job.result = event.result
    if type(event.result) is NotKept:
        out.append(fx.Publish(event.job, "result_let_go", {"reason": event.result.reason}))


def join(state: QueueState, event: ev.Joined, out: Out) -> None:
    """Add a job to a group; its row does not change."""
    join_group(state, event.job, event.group)


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


def _past_deadline(job: JobRecord, details: JobFailure | None) -> JobFailure:
    limit = job.spec.options.deadline or 0.0
    return _stopped_by("DeadlineExceeded", f"deadline, {limit:g} s after the submit", details)


def _stopped_by(name: str, text: str, details: JobFailure | None) -> JobFailure:
    """Make the failure of an attempt that a limit has ended.

    Traceback, exit code and signal are those of `details`, the failure that its work ended with.
    """
    if details is None:
        return JobFailure(name, text)
    return JobFailure(name, text, details.traceback, details.exit_code, details.signal_name)


def _unasked() -> JobFailure:
    return JobFailure("CancelledError", "the job was cancelled, but not by its queue")


# -- from a journal ------------------------------------------------------------------------------


def restore(state: QueueState, event: ev.Restored, out: Out) -> None:
    """Bring a job back as its journal has it.

    A job that was running when its kernel died has failed, or is cancelled if it had been asked to
    stop. It is pending again if it is idempotent and has retries left.
    """
    job = event.job
    if event.was.ended:
        job.status = event.was
        accept(state, event, out)
        state.totals.count(event.was)
        state.retire(job, out)
    elif event.was is PENDING:
        submit(state, event, out, "restored")
        if job.entry is not None and event.hold_left is not None:
            arm(job, "hold", event.hold_left, out)
    elif event.goes_on:
        go_on(state, event, out)
    elif _may_run_again(job, event):
        job.attempt += 1
        submit(state, event, out, "restored")
    else:
        accept(state, event, out)
        job.parents = event.parents
        for parent in event.parents:
            parent.needed_by += 1
        job.failure = JobFailure("KernelDied", INTERRUPTED)
        end(state, job, CANCELLED if event.asked else FAILED, out)
        job.completed_at = max(event.seen_at, job.started_at or 0.0)


def go_on(state: QueueState, event: ev.Restored, out: Out) -> None:
    """Give a job that needs no kernel its lane again: it runs, or has ended meanwhile."""
    job = event.job
    job.status, job.can_kill, job.lane_taken = RUNNING, True, True
    accept(state, event, out)
    state.running[job.id] = job
    state.lanes_taken += 1
    job.parents = event.parents
    for parent in event.parents:
        parent.needed_by += 1
    if event.deadline_left is not None:
        arm(job, "deadline", event.deadline_left, out)
    if event.asked:
        job.cancel_phase = "asked"  # the runtime asks it again as it finds it
        arm(job, "grace", event.grace, out)
    out.append(fx.Publish(job, "restored"))


def _may_run_again(job: JobRecord, event: ev.Restored) -> bool:
    options = job.spec.options
    return bool(options.idempotent) and not event.asked and job.attempt <= options.retries
