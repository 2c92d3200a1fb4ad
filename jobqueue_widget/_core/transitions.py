"""The transition table, and `apply`, which changes a job by it; any other pair is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ..errors import InvalidTransition
from . import arranging, retrying, rules
from . import events as ev
from .effects import Effect
from .jobs import PENDING, RUNNING, JobRecord
from .state import QueueState

Stage = Literal["new", "pending", "running", "asked", "forcing", "ended"]
Rule = Callable[[QueueState, Any, list[Effect]], None]
TABLE: dict[tuple[Stage, type[ev.Event]], Rule] = {
    ("new", ev.Submitted): rules.submit,
    ("new", ev.Restored): rules.restore,
    ("pending", ev.Joined): rules.join,
    ("pending", ev.Reprioritized): arranging.reprioritize,
    ("pending", ev.Moved): arranging.move,
    ("pending", ev.Held): arranging.hold,
    ("pending", ev.Released): arranging.release,
    ("pending", ev.Resubmitted): arranging.resubmit,
    ("pending", ev.HoldExpired): arranging.hold_expired,
    ("pending", ev.BackoffOver): retrying.backoff_over,
    ("pending", ev.RoomMade): retrying.room_made,
    ("pending", ev.Blocked): rules.block,
    ("pending", ev.Refused): rules.refuse,
    ("pending", ev.Launched): rules.launch,
    ("pending", ev.CancelRequested): rules.cancel_pending,
    ("pending", ev.Withdrawn): rules.cancel_pending,
    ("pending", ev.DeadlinePassed): rules.miss_deadline,
    ("running", ev.Joined): rules.join,
    ("running", ev.PhaseChanged): rules.change_phase,
    ("running", ev.Progressed): rules.progress,
    ("running", ev.CancelRequested): rules.cancel_running,
    ("running", ev.TimedOut): rules.time_out,
    ("running", ev.DeadlinePassed): rules.stop_late,
    ("running", ev.Ended): rules.end_running,
    ("running", ev.KillFailed): rules.kill_failed,
    ("asked", ev.Joined): rules.join,
    ("asked", ev.PhaseChanged): rules.change_phase,
    ("asked", ev.Progressed): rules.progress,
    ("asked", ev.CancelRequested): rules.cancel_again,
    ("asked", ev.CancelTimedOut): rules.escalate,
    ("asked", ev.DeadlinePassed): rules.note_deadline,
    ("asked", ev.Ended): rules.end_asked,
    ("asked", ev.KillFailed): rules.kill_failed,
    ("forcing", ev.Joined): rules.join,
    ("forcing", ev.PhaseChanged): rules.change_phase,
    ("forcing", ev.Progressed): rules.progress,
    ("forcing", ev.CancelRequested): rules.accept_cancel,
    ("forcing", ev.DeadlinePassed): rules.note_deadline,
    ("forcing", ev.Ended): rules.end_asked,
    ("forcing", ev.KillFailed): rules.kill_failed,
    ("ended", ev.Joined): rules.join,
    ("ended", ev.Ended): rules.work_gone,
    ("ended", ev.ResultMoved): rules.move_result,
}
LATE: dict[Stage, tuple[type[ev.Event], ...]] = {
    "pending": (ev.PhaseChanged, ev.Progressed, ev.CancelTimedOut, ev.TimedOut, ev.KillFailed),
    "running": (ev.Blocked, ev.Refused, ev.HoldExpired, ev.BackoffOver, ev.CancelTimedOut),
    "asked": (ev.HoldExpired, ev.BackoffOver, ev.TimedOut),
    "forcing": (ev.HoldExpired, ev.BackoffOver, ev.CancelTimedOut, ev.TimedOut),
    "ended": (
        *(ev.RoomMade, ev.Blocked, ev.Refused, ev.HoldExpired, ev.BackoffOver, ev.PhaseChanged),
        *(ev.Progressed, ev.CancelTimedOut, ev.TimedOut, ev.DeadlinePassed, ev.KillFailed),
    ),
}
"""Timers and reports that were on their way while the job changed."""
TABLE.update(((stage, event), rules.ignore) for stage, late in LATE.items() for event in late)


def stage_of(job: JobRecord) -> Stage:
    """Return the row of the table that a job is in now."""
    if job.status is PENDING:
        return "pending" if job.entry is not None else "new"
    if job.status is RUNNING:
        return job.cancel_phase or "running"
    return "ended"


def apply(state: QueueState, event: ev.Event, now: float) -> list[Effect] | None:
    """Change the state by one event; return the effects, or None if a command is refused.

    The owner of the state holds its lock. `now` (epoch seconds) is recorded, never compared.

    Raises:
        InvalidTransition: the table has no such pair and the event is not a command.
    """
    job = event.job
    stage = stage_of(job)
    rule = TABLE.get((stage, type(event)))
    if rule is None or (type(event) is ev.Moved and event.anchor_is_gone):
        if event.is_command:
            return None
        what = type(event).__name__
        raise InvalidTransition(f"{what} does not fit a job that is {stage}: {job!r}")
    state.now = now
    if event.code != ".":
        job.history += event.code
    out: list[Effect] = []
    rule(state, event, out)
    if out:
        state.revision += 1
        for effect in out:  # the event may have ended or released other jobs, too
            effect.job.revision = state.revision
    return out
