"""What code inside a job imports from us, and the context of jobs that run in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .worker.jobside import JobCancelled, JobContext, NoJob, bind, current_job, track

if TYPE_CHECKING:
    from .protocols import Reporter


class LocalJobContext(JobContext):
    """A job that runs in this process, as a task or a thread."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(reporter.job_id, reporter.attempt, reporter.progress, reporter.log)


__all__ = ["JobCancelled", "JobContext", "LocalJobContext", "NoJob", "bind", "current_job", "track"]
