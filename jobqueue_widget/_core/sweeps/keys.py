"""Finds the job that was submitted with a key, and tells if it stands for another such submit."""

from __future__ import annotations

from bisect import insort
from typing import cast

from ..jobs import COMPLETED, PENDING, JobRecord, NotKept
from ..lazy import LazyResult
from ..spec import JobKey


def key_of(job: JobRecord) -> JobKey:
    """Return the key of a job that has one."""
    return cast("JobKey", job.spec.options.key)


def is_lost(job: JobRecord) -> bool:
    """True for a held job that came back from a journal and cannot run, whoever holds it."""
    cannot_run = job.block_reason is not None or job.spec.missing is not None
    return job.status is PENDING and job.held and cannot_run


def stands(job: JobRecord) -> bool:
    """True if a submit with the key of this job gets this very job.

    It is pending or running, or it has completed and what it returned is kept.
    """
    if not job.status.ended:
        return not is_lost(job)
    result = job.result
    if type(result) is LazyResult:
        return job.status is COMPLETED and not result.lost
    return job.status is COMPLETED and type(result) is not NotKept


class KeyIndex:
    """The jobs of a queue that have keys. As exact as the queue's list of jobs, whose owner it is.

    The newest job of a key counts, which was accepted last: its number was given before it was
    packed, so that another one may have come between. A journal knows no such order, but by their
    numbers: after a restart what is still to run comes behind what has ended.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, list[JobRecord]] = {}  # by the text of their keys, newest last

    def __len__(self) -> int:
        return sum(map(len, self._jobs.values()))

    def add(self, job: JobRecord) -> None:
        """Note a job that has a key, and whether the one before it had other code."""
        key = key_of(job)
        jobs = self._jobs.setdefault(key.text, [])
        if job.status.ended:  # it comes from a journal, with all others that have
            insort(jobs, job)
        else:
            jobs.append(job)
        place = jobs.index(job) if jobs[-1] is not job else len(jobs) - 1
        before = jobs[place - 1] if place else None
        if before is not None and key.code:
            job.function_changed = key_of(before).code != key.code

    def remove(self, job: JobRecord) -> None:
        """Forget a job that its queue no longer keeps."""
        text = key_of(job).text
        self._jobs[text].remove(job)
        if not self._jobs[text]:
            del self._jobs[text]

    def newest(self, key: JobKey) -> JobRecord | None:
        """Return the job that was last accepted with this key, or None."""
        for job in reversed(self._jobs.get(key.text, ())):
            if job.spec.options.key == key:
                return job
        return None

    def standing(self, key: JobKey) -> JobRecord | None:
        """Return the job that stands for another submit with this key, or None."""
        job = self.newest(key)
        return job if job is not None and stands(job) else None

    def jobs(self) -> list[JobRecord]:
        """List all jobs that have keys."""
        return [job for jobs in self._jobs.values() for job in jobs]
