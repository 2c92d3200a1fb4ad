"""What becomes of a job that a journal brings back: the one rule that makes no job new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import events as ev
from .ending import Out, arm, end
from .jobs import CANCELLED, FAILED, PENDING, JobFailure, JobRecord
from .rules import submit

if TYPE_CHECKING:
    from .state import QueueState

INTERRUPTED = "interrupted by kernel exit"


def restore(state: QueueState, event: ev.Restored, out: Out) -> None:
    """As its journal says; what ran has failed with its kernel and runs again only if it may."""
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
