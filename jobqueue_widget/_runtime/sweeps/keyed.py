"""Accepts jobs with keys, and retries: each once, however often and by whom it is submitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..._core import effects as fx
from ..._core import events as ev
from ..._core.jobs import JobRecord
from ..._core.spec import JobKey
from ..._core.sweeps.keys import is_lost, key_of, stands
from ..._core.transitions import stage_of
from ..._threads.interrupts import UNINTERRUPTED
from ..engine_view import EngineView

if TYPE_CHECKING:
    from ..._core.sweeps.group import Group
    from ..dispatcher import Dispatcher
    from ..lifecycle import Lifecycle
    from ..queue_resources import QueueResources

AGAIN = "submitted again, as it could not run"


class AcceptsJobs(EngineView, Protocol):
    """What is used of an engine besides."""

    dispatcher: Dispatcher
    life: Lifecycle
    resources: QueueResources

    def accept(self, jobs: ev.Accepted, repeated: ev.Repeated) -> list[fx.Effect]: ...
    def set_pause(self, reason: str | None) -> bool: ...


def look(engine: EngineView, key: JobKey) -> tuple[JobRecord | None, bool]:
    """Return the newest job with a key, and if it stands for another submit. Any thread."""
    with engine.lock.held:
        job = engine.state.keys.newest(key)
        return job, job is not None and stands(job)


def is_new(job: JobRecord) -> bool:
    """True for a job that no queue has accepted yet."""
    return stage_of(job) == "new"


def accept(
    engine: AcceptsJobs, jobs: ev.Accepted, group: Group | str | None = None
) -> list[JobRecord] | None:
    """Accept jobs, in one step; return for each the job that stands for it. Any thread.

    That is the job itself or, if its key is known by then, an earlier one, which joins the group. A
    job may also be one that `look` gave before. If such a one does not stand for its key any more,
    nothing is accepted and the answer is None: look again.
    """
    prepare(engine, jobs)
    outside: list[fx.Effect] = []
    with UNINTERRUPTED:
        with engine.lock.held:
            standing = accept_prepared(engine, jobs, group, outside)
        engine.perform(outside)
        end_review(engine)
    return standing


def accept_retries(
    engine: AcceptsJobs, jobs: ev.Accepted, repeated: ev.Repeated, is_still: Callable[[], bool]
) -> bool:
    """Accept retries, in one step. False: what they were made for is not so any more. Any thread.

    That is asked under the lock; then nothing has happened.
    """
    prepare(engine, jobs)
    with UNINTERRUPTED:
        with engine.lock.held:
            if not is_still():
                return False
            outside = engine.accept(jobs, repeated)
        engine.perform(outside)
    return True


def prepare(engine: EngineView, jobs: ev.Accepted) -> None:
    """Pack the new ones of some jobs for the journal. Without the lock."""
    if engine.recorder is not None:
        for job, _ in jobs:
            if is_new(job):
                engine.recorder.prepare(job)


def accept_prepared(
    engine: AcceptsJobs, jobs: ev.Accepted, group: Group | str | None, outside: list[fx.Effect]
) -> list[JobRecord] | None:
    """Do so under the lock; `outside` gets the effects that are left to perform, in any case."""
    engine.life.check_open()
    keys = engine.state.keys
    keyed = [job for job, _ in jobs if is_new(job) and job.spec.options.key]
    before = {job: keys.newest(key_of(job)) for job in keyed}
    replaced: dict[JobRecord, JobRecord] = {}
    for job, known in before.items():  # first: what waits for a cancelled one stands no more
        if known is not None and is_lost(known):
            outside += engine.apply_inside(ev.CancelRequested(known, False, 0.0, AGAIN))
            replaced[job] = known
    if not all(is_new(job) or keys.standing(key_of(job)) is job for job, _ in jobs):
        return None
    return [
        _accept_one(engine, job, parents, group, outside, replaced.get(job), before.get(job))
        for job, parents in jobs
    ]


def end_review(engine: AcceptsJobs) -> None:
    """Resume a queue of which all was asked for again that a restore had paused."""
    with engine.lock.held:
        is_reviewed = engine.state.in_review and engine.state.is_reviewed
    if is_reviewed:
        engine.set_pause(None)


def _accept_one(
    engine: AcceptsJobs,
    job: JobRecord,
    parents: tuple[JobRecord, ...],
    group: Group | str | None,
    outside: list[fx.Effect],
    replaced: JobRecord | None,
    before: JobRecord | None,
) -> JobRecord:
    """Accept one job, or take a known one for it. Under the lock.

    One that was found stands, though it may just have left the history for one accepted before;
    and one that does not, which was there `before`, is tried again though it has.
    """
    state = engine.state
    found = None if job.spec.options.key is None else state.keys.newest(key_of(job))
    if not is_new(job):
        found = job
    found = replaced or found  # which may have left the history
    if found is not None and (found is job or stands(found)):
        if found.entry is not None:
            outside += engine.apply_inside(ev.Resubmitted(found))
        if group is not None:
            outside += engine.apply_inside(ev.Joined(found, group))
        return found
    tried = (one for one in (found, before) if one is not None and job.retry_of == one.id)
    repeated = next(tried, None)
    outside += engine.apply_inside(ev.Submitted(job, parents, repeated))
    if engine.resources.concerns(job.spec):
        engine.dispatcher.check(job)
    return job
