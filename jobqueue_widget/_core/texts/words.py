"""Says in words how a job has ended."""

from __future__ import annotations

from ..jobs import JobRecord, JobStatus


def error_text(job: JobRecord) -> str | None:
    """Return `job.error`: the failure of a failed job, else None."""
    return str(job.failure) if job.status is JobStatus.failed else None


def cancel_text(job: JobRecord) -> str | None:
    """Return `job.cancel_reason`: the given reason, what the job raised, or "cancelled"."""
    if job.status is not JobStatus.cancelled:
        return None
    failure = job.failure
    if job.cancel_reason or failure is None or failure.type_name == "JobCancelled":
        return job.cancel_reason or "cancelled"
    is_our_kill = failure.type_name == "WorkerDied" and failure.message.endswith("(forced)")
    return "cancelled by force: it did not stop when it was asked" if is_our_kill else str(failure)
