"""What readers are given: the state dict of the reference system, rows and windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from ._core.jobs import JobRecord
from ._runtime.engine import Engine, error_text

HISTORY_IN_STATE = 20

WindowName = Literal["running", "pending", "history"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows start … stop of a list that has `total`, as they were at `revision`."""

    revision: int
    total: int
    rows: Sequence[dict[str, Any]]


def progress_of(job: JobRecord) -> float:
    """As the reference shows it: -1.0 for unknown."""
    return -1.0 if job.progress is None else job.progress


def _running(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "plugin_name": job.spec.name,
        "status": job.status.value,
        "started_at": job.started_at,
        "progress": progress_of(job),
        "status_message": job.message,
        "cancel_phase": job.cancel_phase,
    }


def _ended(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "plugin_name": job.spec.name,
        "status": job.status.value,
        "completed_at": job.completed_at,
        "error": error_text(job),
    }


def state_dict(engine: Engine) -> dict[str, Any]:
    """`queue.get_state()`: all of it at one moment."""
    with engine.lock:
        state = engine.state
        running = [_running(job) for job in state.running.values()]
        pending = [
            {
                "id": job.id,
                "plugin_name": job.spec.name,
                "priority": job.priority,
                "position": place,
            }
            for place, job in enumerate(state.order.slice(0))
        ]
        history = [_ended(job) for job in islice(state.history(), HISTORY_IN_STATE)]
        totals = state.totals
        return {
            "running": running[0] if running else None,
            "running_all": running,
            "pending": pending,
            "history": history,
            "stats": {
                "total_pending": len(pending),
                "total_running": len(running),
                "total_completed": totals.completed,
                "total_failed": totals.failed,
                "total_cancelled": totals.cancelled,
                "total_accepted": totals.accepted,
            },
            "paused": state.pause is not None,
            "phase": engine.life.phase,
            "revision": state.revision,
        }


def row(job: JobRecord, position: int | None = None) -> dict[str, Any]:
    """One job as plain values for a front end."""
    reason = job.block_reason
    return {
        "id": job.id,
        "title": job.spec.title,
        "name": job.spec.name,
        "status": job.status.value,
        "priority": job.priority,
        "position": position,
        "attempt": job.attempt,
        "tags": job.spec.options.tags,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "progress": progress_of(job),
        "message": job.message,
        "phase": job.run_phase,
        "cancel_phase": job.cancel_phase,
        "can_kill": job.can_kill,
        "held": job.held,
        "hold_until": job.hold_until,
        "block_reason": None if reason is None else reason.text,
        "error": error_text(job),
    }


def window(engine: Engine, which: WindowName, start: int, stop: int) -> Rows:
    """Rows start ≤ i < stop of one of the three lists, all of one moment."""
    start = max(0, start)
    with engine.lock:
        state = engine.state
        if which == "pending":
            jobs = state.order.slice(start, stop)
            rows = [row(job, place) for place, job in enumerate(jobs, start)]
            return Rows(state.revision, len(state.order), rows)
        if which == "running":
            rows = [row(job) for job in islice(state.running.values(), start, stop)]
            return Rows(state.revision, len(state.running), rows)
        if which == "history":
            rows = [row(job) for job in islice(state.history(), start, max(start, stop))]
            return Rows(state.revision, state.history_count, rows)
    raise ValueError(f'which must be "running", "pending" or "history", not {which!r}')
