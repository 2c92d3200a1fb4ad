"""What a restore finds of jobs that outlive their kernel, and when their folders go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from .._core import events as ev
from .._core.jobs import JobRecord
from .._runtime.engine_view import EngineView
from ..child.detached.folder import STOP
from ..workers.detached.ending import kill
from ..workers.detached.folders import Attempt, Folders
from ..workers.unpacking import decode

if TYPE_CHECKING:
    from .._core.stored import KeptResult, StoredState
    from .._runtime.executor_context import QueueContext
    from .._runtime.storage.keeper import Keeper
    from .lazy_spec import RestoredSpec


CLOCK_IS_OFF = 2.0  # seconds between two ways to tell when a job began; less is the start's


class Restored(EngineView, Protocol):
    """What this uses of its engine besides."""

    context: QueueContext
    keeper: Keeper


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


def written(
    jobs: Iterable[JobRecord], states: Iterable[StoredState], to_come: Collection[str]
) -> list[JobRecord]:
    """List the jobs whose ends were written whole: others have ended since, or lack results."""
    pairs = zip(jobs, states, strict=True)
    return [job for job, state in pairs if state.ended_number and job.id not in to_come]


def take_over(
    engine: Restored,
    note: Callable[[JobRecord], object],
    folders: Folders,
    with_value: Collection[str],
) -> None:
    """Read results that an earlier kernel had no time to write, and drop what it had not dropped.

    Args:
        engine: with the jobs of the journal.
        note: has a job written anew; called under the lock.
        folders: of its detached jobs.
        with_value: ids of the jobs whose results the journal has.
    """
    jobs, kept = engine.state.jobs, set[str]()
    for job_id, number in list(folders.listed()):
        job = jobs.get(job_id)
        if job is None or not job.status.ended or job.attempt != number or job_id in with_value:
            continue
        told = folders.attempt(job_id, number).outcome()
        if told is None or told[0]["kind"] != "value":
            continue
        outcome = decode(*told)
        engine.do(ev.ResultMoved(job, outcome.value))
        engine.keeper.note_end(job, outcome)
        with engine.lock.held:
            note(job)
        kept.add(job_id)
    lost = {job_id for job_id, _ in folders.lost(())}
    left = {job_id for job_id, _ in folders.listed()} - kept - lost
    drop_folders(folders, jobs, [jobs[job_id] for job_id in left if job_id in jobs])


def lost(engine: Restored) -> list[Attempt]:
    """List the attempts that run and that no job of the queue has: its journal has lost them."""
    folders = engine.context.detached
    if not isinstance(folders, Folders):
        return []
    with engine.lock.held:
        known = {(job.id, job.attempt) for job in engine.state.jobs.values() if job.lane_taken}
    return [attempt for _, attempt in folders.lost(known)]


def end_lost(engine: Restored) -> int:
    """End what `lost` lists, by force; return how many those were. Blocks."""
    count = sum(kill(attempt) for attempt in lost(engine))
    if count and isinstance(engine.context.detached, Folders):
        engine.context.detached.drop_if_empty()
    return count


def goes_on(folders: object, spec: RestoredSpec) -> bool:
    """True for a job that needs no kernel, though it may lack what another try would need."""
    if not (spec.options.detached and isinstance(folders, Folders)):
        return False
    if spec.missing is not None:
        spec.options, spec.missing = replace(spec.options, retries=0), None
    return True


def date(folders: object, job: JobRecord, now: float) -> float | None:
    """Correct when a job began if clocks were set since; return the seconds to its deadline.

    None: it has no deadline, or it has not begun and none that its process keeps.
    """
    assert isinstance(folders, Folders)
    attempt = folders.attempt(job.id, job.attempt)
    age = attempt.age()
    if age is not None and abs(now - age - (job.started_at or 0.0)) > CLOCK_IS_OFF:
        job.started_at = now - age
    return attempt.deadline_left()


def asked_meanwhile(folders: object, job: JobRecord) -> bool:
    """True, with the reason noted, if somebody asked it to stop while there was no kernel."""
    assert isinstance(folders, Folders)
    told = folders.attempt(job.id, job.attempt).told(STOP)
    if told:
        job.cancel_reason = str(told.get("reason", ""))
    return bool(told)
