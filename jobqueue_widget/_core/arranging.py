"""Changes the priorities and places of pending jobs, and holds and releases them."""

from __future__ import annotations

from . import effects as fx
from . import events as ev
from .ending import Out, arm, clear_block_reason, disarm, end
from .jobs import CANCELLED, JobRecord
from .state import QueueState
from .sweeps.groups import set_held


def reprioritize(state: QueueState, event: ev.Reprioritized, out: Out) -> None:
    """Give a job another priority and the same rank."""
    job = event.job
    state.order.remove(job)
    job.priority = event.priority
    state.order.add(job)
    _moved(state, job, out)


def move(state: QueueState, event: ev.Moved, out: Out) -> None:
    """Move a job beside the anchor or to an end, where it takes the priority of its neighbour."""
    job, anchor, where = event.job, event.anchor, event.where
    if anchor is None:
        anchor = state.order.first() if where == "top" else state.order.last()
    if anchor is not None and anchor is not job:
        spread = state.order.place_beside(job, anchor, before=where in ("before", "top"))
        out += [fx.Reranked(other) for other in spread]
    _moved(state, job, out)


def _moved(state: QueueState, job: JobRecord, out: Out) -> None:
    payload = {"priority": job.priority, "position": state.order.position(job)}
    out += (fx.Publish(job, "moved", payload), fx.Wake(job))


def hold(state: QueueState, event: ev.Held, out: Out) -> None:
    """Hold a job in its place, for ever or until a timer ends that."""
    job = event.job
    was_held = job.held
    set_held(job, True)
    job.hold_then, job.hold_until = event.then, None
    state.order.refile(job)
    if event.seconds is not None:
        arm(job, "hold", event.seconds, out)
    else:
        disarm(job, "hold", out)
    out.append(fx.Publish(job, "held", {"seconds": event.seconds, "then": event.then}))
    if not was_held:  # else the reason is why it came back from a journal and cannot run
        clear_block_reason(job, out)


def release(state: QueueState, event: ev.Released | ev.HoldExpired, out: Out) -> None:
    """End the hold of a job; without a hold nothing changes."""
    _end_hold(state, event.job, out)


def _end_hold(state: QueueState, job: JobRecord, out: Out) -> None:
    disarm(job, "hold", out)
    if not job.held:
        return
    set_held(job, False)
    job.hold_until = None
    state.order.refile(job)
    out += (fx.Publish(job, "released"), fx.Wake(job))


def resubmit(state: QueueState, event: ev.Resubmitted, out: Out) -> None:
    """Let a job start that a review keeps back, and one stay that was about to be removed."""
    job = event.job
    if state.in_review and not job.let_through:
        job.let_through = True
        state.order.refile(job)
        out.append(fx.Wake(job))
    if job.held and job.hold_then == "cancel":
        _end_hold(state, job, out)


def hold_expired(state: QueueState, event: ev.HoldExpired, out: Out) -> None:
    """Do what was set for the end of the hold: release or cancel the job."""
    job = event.job
    job.timers &= ~fx.TIMER_BITS["hold"]
    if not job.held:
        return
    if job.hold_then == "release":
        release(state, event, out)
    else:
        job.cancel_reason = "removed"
        end(state, job, CANCELLED, out)
