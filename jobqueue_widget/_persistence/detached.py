"""What a restore finds of jobs that outlive their kernel, and when their folders go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from .._core.jobs import JobRecord
from ..child.detached.folder import STOP
from ..workers.detached.folders import Folders

if TYPE_CHECKING:
    from .._core.stored import KeptResult
    from .lazy_spec import RestoredSpec


def drop_folders(
    folders: object,
    jobs: Mapping[str, JobRecord],
    written: Iterable[JobRecord],
    results: Iterable[tuple[str, KeptResult]] = (),
) -> None:
    """Remove what detached jobs have told, once the journal has their ends and their results.

    Args:
        folders: a `Folders`, or there are none.
        jobs: those that are kept, by id.
        written: jobs of which all is written.
        results: results that are written now, of jobs whose ends were written before.
    """
    if not isinstance(folders, Folders):
        return
    found = [job for job in written if job.spec.options.detached]
    found += [jobs[job_id] for job_id, _ in results if job_id in jobs]
    for job in found:
        if job.spec.options.detached and job.status.ended and not job.lane_taken:
            folders.drop(job.id)


def drop_left(folders: Folders, jobs: Mapping[str, JobRecord]) -> None:
    """Remove what an earlier kernel had no time to remove."""
    left = {job_id for job_id, _ in folders.listed()}
    drop_folders(folders, jobs, [jobs[job_id] for job_id in left if job_id in jobs])


def goes_on(folders: object, spec: RestoredSpec) -> bool:
    """True for a job that needs no kernel, though it may lack what another try would need."""
    if not (spec.options.detached and isinstance(folders, Folders)):
        return False
    if spec.missing is not None:
        spec.options, spec.missing = replace(spec.options, retries=0), None
    return True


def asked_meanwhile(folders: object, job: JobRecord) -> bool:
    """True, with the reason noted, if somebody asked it to stop while there was no kernel."""
    assert isinstance(folders, Folders)
    told = folders.attempt(job.id, job.attempt).told(STOP)
    if told:
        job.cancel_reason = str(told.get("reason", ""))
    return bool(told)
