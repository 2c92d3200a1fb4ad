"""Gives a new queue its journal: takes it, restores its jobs, pauses, and records from then on."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from .._core.events import Restored
from .._core.jobs import PENDING, RUNNING, BlockReason, JobFailure, JobRecord, JobStatus
from .._core.lazy import LazyResult
from .._core.machine.usage import Usage
from .._core.spec import DEFAULT_OPTIONS, JobOptions, JobSpec
from .._core.stored import Contents, Session, StoredRequest, StoredState
from .._core.sweeps.groups import jobs_of
from .._core.texts.fitting import fit
from .._core.texts.hiding import with_texts
from .._runtime.storage.arguments import LIGHT
from .._runtime.storage.told.metrics import KeptMetrics
from .._runtime.storage.told.outputs import KeptOutputs
from .._secrets.variables import texts_of
from ..errors import InvalidOptionError, JobQueueError
from ..protocols import NoticesLoss
from ..workers.detached.folders import Folders
from . import detached, orphans
from . import watch as journal_watch
from .codec import (
    WRITTEN,
    SealedCodec,
    failure_from_json,
    options_from_json,
    surroundings_from_json,
    takes_from_json,
)
from .lazy_spec import MISSING, JournalReader, RestoredSpec, restored_log
from .learned import LearnedFile
from .recorder import Recorder
from .sqlite.beside import DETACHED, sibling
from .sqlite.journal import SqliteJournal
from .sqlite.signing import Signer
from .surroundings import restored
from .warnings import warn

if TYPE_CHECKING:
    from .._api.submission import Submission
    from .._runtime.engine import Engine
    from ..protocols import Journal

OnRestore = Literal["pause", "run"]
REVIEW = "review, then Resume"


def journal_of(given: object) -> Journal:
    """Return the journal that a user names: a path, or an object like `SqliteJournal`.

    Raises:
        InvalidOptionError: it is neither.
    """
    if isinstance(given, (str, os.PathLike)):
        if not os.fspath(given):
            raise InvalidOptionError('journal is empty; name a file, like "runs.db"')
        return SqliteJournal(given)
    if isinstance(given, type) or not callable(getattr(given, "write", None)):
        raise InvalidOptionError(
            f"journal must be a path or a journal, like SqliteJournal(path), not {given!r}"
        )
    return cast("Journal", given)


def attach(engine: Engine, submission: Submission, journal: Journal, on_restore: OnRestore) -> None:
    """Take the journal and restore all of it into a queue that nobody has yet.

    Raises:
        JournalError: the journal cannot be used; nothing was changed.
    """
    session = session_of(engine)
    contents = journal.open(session)
    try:
        signer = Signer.of_this_user()
        submission.keys.use(signer)
        recorder = Recorder(engine, journal, SealedCodec(signer))
        recorder.notices = contents.notices
        engine.recorder = recorder
        if isinstance(journal, SqliteJournal):
            folders = Folders(sibling(journal.path, DETACHED), signer.seal)
            if sys.platform != "win32":  # it says why not
                engine.context.detached = signer.why_not or folders
            recorder.folders = folders
            file = LearnedFile(journal.path)
            engine.learning.keep(signer.seal(b"learned"), file.load(), file.save)
        why_not = None if contents.owned else "the journal belongs to another user"
        reader = JournalReader(journal, signer, why_not)
        engine.keeper.reader = reader
        restorer = _Restorer(engine, submission, contents, reader)
        engine.continue_after(contents.numbers_given)
        if contents.sessions:
            engine.ids.continue_run(contents.sessions[0].run_id)
        if contents.jobs:  # a journal of before may have another key
            last = contents.jobs[-1][0]
            engine.ids.continue_from(last.id, last.number)
        engine.earlier_runs = frozenset(session.run_id for session in contents.sessions)
        engine.spans.sessions([*contents.sessions, session], engine.now())
        engine.restore(restorer.events(), contents.forgotten, contents.cleared_to)
        _set_pause(engine, contents, on_restore)
        if isinstance(recorder.folders, Folders):
            have = contents.with_value or frozenset()
            detached.take_over(engine, recorder.note_job, recorder.folders, have)
    except BaseException:
        engine.recorder = None
        journal.close()
        raise
    if isinstance(journal, NoticesLoss):
        journal_watch.begin(recorder)
    recorder.notices += _not_drawn(engine)
    for notice in recorder.notices:
        warn(notice)
    left = orphans.of_detached(detached.lost(engine))
    if contents.sessions and contents.sessions[-1].ended_at is None:
        left += orphans.find_after_the_guardian(engine.earlier_runs)
    if left:
        engine.set_orphans(orphans.sentence(left))


def _not_drawn(engine: Engine) -> Iterator[str]:
    """Tell of maps that still had items to submit when their kernel ended."""
    for group in engine.state.groups.named.values():
        jobs = jobs_of(group) if group.open_count else ()
        items = [job.spec.options.item for job in jobs if job.spec.options.item is not None]
        if not items:
            continue
        place, total = max(items, key=lambda item: item[0])
        told = f"{place + 1:,} items of the map {fit(group.name, 60)!r} were submitted"
        if total is None:
            yield f"{told} when its kernel ended; there may have been more: map them again."
        elif place + 1 < total:
            yield f"{told} when its kernel ended, of {total:,}: map the others again."


def session_of(engine: Engine) -> Session:
    """Describe this kernel, so that others can be told who has the journal."""
    now = engine.now()
    return Session(engine.run_id, os.getpid(), platform.node(), _title(), now, now, None)


def _title() -> str:
    """Return the notebook's name where the server tells it, else the program's."""
    notebook = os.environ.get("JPY_SESSION_NAME", "")
    return Path(notebook or sys.argv[0] or "python").name


def _set_pause(engine: Engine, contents: Contents, on_restore: OnRestore) -> None:
    assert engine.recorder is not None
    waiting = len(engine.state.order)
    earlier = contents.pause
    if not contents.complete and waiting:
        engine.recorder.doubtful = True
    elif not contents.complete:
        engine.recorder.journal.mark_complete()
    if waiting and (on_restore == "pause" or not contents.complete):
        seen = contents.sessions[-1].seen_at if contents.sessions else engine.now()
        jobs = "1 job" if waiting == 1 else f"{waiting} jobs"
        reason = f"{jobs} restored from {clock(seen, engine.now())} — {REVIEW}"
        by_hand = earlier is not None and REVIEW not in earlier[0] and on_restore == "pause"
        if not contents.complete:
            reason += "; the journal had failed, some may have run since"
        elif earlier is not None and by_hand:
            reason += f" (was paused{': ' + earlier[0] if earlier[0] else ''})"
        engine.set_pause(reason, for_review=contents.complete and not by_hand)
    elif earlier is not None and REVIEW not in earlier[0] and on_restore == "pause":
        engine.set_pause(earlier[0])
    elif earlier is not None:
        with engine.lock.held:
            engine.recorder.note_pause()  # the pause for the earlier review is over


def clock(instant: float, now: float) -> str:
    """Show a time of day, with the date if it is not today's."""
    try:
        then, today = time.localtime(instant), time.localtime(now)
    except (OverflowError, ValueError, OSError):
        return "an unknown time"
    same = then[:3] == today[:3]
    return time.strftime("%H:%M" if same else "%Y-%m-%d %H:%M", then)


class _Restorer:
    """Makes the events that restore jobs from the rows of a journal."""

    def __init__(
        self, engine: Engine, submission: Submission, contents: Contents, reader: JournalReader
    ) -> None:
        self._engine = engine
        self._submission = submission
        self._read_options = _once(submission.read_options)
        self._contents = contents
        self._reader = reader
        self._folders = engine.context.detached
        self._taken: Counter[str] = Counter()  # how many jobs to come take a result, by id
        self._open: dict[str, JobRecord] = {}  # had not ended; they may, and leave, by now
        self._seen_at = contents.sessions[-1].seen_at if contents.sessions else 0.0

    def events(self) -> Iterator[Restored]:
        """List ended jobs in the order of their ends, then running and pending ones by number.

        So parents come before their children, whose numbers are higher.
        """
        ended = [pair for pair in self._contents.jobs if _status(pair[1]).ended]
        ended.sort(key=lambda pair: pair[1].ended_number or 0)
        ran = [pair for pair in self._contents.jobs if _status(pair[1]) is RUNNING]
        waits = [pair for pair in self._contents.jobs if _status(pair[1]) is PENDING]
        for request, _ in (*ran, *waits):
            self._taken.update(takes_from_json(request.options).keys())
        for request, state in (*ended, *ran, *waits):
            yield self._event(request, state)

    def _event(self, request: StoredRequest, state: StoredState) -> Restored:
        was = _status(state)
        spec = self._spec(request, ended=was.ended)
        job = JobRecord(spec, state.priority, request.number, request.created_at)
        job.rank = state.rank
        job.taken_by = self._taken[job.id]
        job.attempt = state.attempt
        job.started_at = state.started_at
        job.completed_at = state.completed_at
        job.message = state.message
        job.progress = state.progress
        if was is JobStatus.completed:
            job.progress = 1.0
        elif not was.ended and not job.message:  # else it is not written how far it was: unknown
            job.progress = 0.0
        job.executor_name = state.executor
        job.cancel_reason = state.cancel_reason
        job.finished_before_cancel = bool(state.finished_before_cancel)
        job.retry_of = request.retry_of
        job.where = state.place
        if state.failure is not None:
            try:
                job.failure = failure_from_json(state.failure)
            except ValueError as error:
                job.failure = JobFailure("Unreadable", f"its failure cannot be read: {error}")
        if job.id in self._contents.with_log:
            reader, job_id = self._reader, job.id  # not the job, which would be a cycle
            job.log = restored_log(lambda: reader.log(job_id))
        if job.id in self._contents.with_told:
            reader, job_id = self._reader, job.id
            job.metrics = KeptMetrics(lambda: reader.told(job_id).metrics)
            job.outputs = KeptOutputs(lambda: reader.told(job_id).outputs)
            job.usage = Usage({}, samples=KeptMetrics(lambda: reader.told(job_id).usage))
        if was.ended:
            job.ended_number = state.ended_number or 0
            self._give_result(job)
            return Restored(job, was)
        goes_on = was is RUNNING and self._goes_on(spec)
        known = self._engine.state.jobs
        before = dict.fromkeys((*spec.options.after, *spec.takes))
        found = (known.get(parent) or self._open.get(parent) for parent in before)
        parents = tuple(parent for parent in found if parent is not None)
        self._open[job.id] = job
        hold_left = None
        if was is PENDING:
            hold_left = self._hold(job, state)
        if spec.missing is not None:
            job.held = True
            job.block_reason = BlockReason(spec.missing)
        elif was is PENDING and spec.lacks is not None:
            job.held = True
            job.block_reason = BlockReason(f"{spec.lacks}; then release it")
        asked = bool(state.asked)
        if goes_on:
            asked = asked or detached.asked_meanwhile(self._folders, job)
        delay_left = self._left(job, spec.options.delay) if job.started_at is None else None
        deadline_left = self._left(job, spec.options.deadline)
        if goes_on:
            kept = detached.date(self._folders, job, self._engine.now())
            deadline_left = deadline_left if kept is None else kept
        event = Restored(
            job, was, parents, asked, self._seen_at, hold_left, delay_left, deadline_left
        )
        event.goes_on, event.grace = goes_on, self._engine.settings.cancel_timeout
        return event

    def _goes_on(self, spec: RestoredSpec) -> bool:
        """True for a job that needs no kernel, with the executor that can follow it."""
        if not (self._contents.owned and detached.goes_on(self._folders, spec)):
            return False
        spec.executor = self._submission.built_in("process")
        return True

    def _left(self, job: JobRecord, seconds: float | None) -> float | None:
        """Return what is left of seconds that count from the submit, by the wall clock."""
        if seconds is None:
            return None
        return max(0.0, min(seconds, job.created_at + seconds - self._engine.now()))

    def _spec(self, request: StoredRequest, *, ended: bool) -> RestoredSpec:
        try:
            options = options_from_json(request.options, self._read_options)
            missing = self._reader.why_lost(request)
        except (ValueError, ArithmeticError) as error:
            options, missing = DEFAULT_OPTIONS, f"its options cannot be read: {error}"
        if options.key is not None and not self._reader.proves(request, missing):
            options = replace(options, key=None)
        if missing is None and not ended:
            why = self._reader.why_no_function(request.function)
            missing = why and f"its function cannot be restored: {why}"
        if ended and len(request.call or b"") > LIGHT:
            request = request._replace(call=None)  # read again if it is needed
        takes = takes_from_json(request.options)
        if missing is None and not ended:
            lost = [one for one in takes if one not in self._engine.state.jobs]
            if lost:
                missing = f"it takes the result of job {lost[0]}, which is no longer kept"
        spec = RestoredSpec(request, options, missing, self._reader)
        spec.takes = takes
        spec.kept = WRITTEN
        if missing is None:
            try:
                spec.executor = self._submission.executor_for(cast("JobSpec", spec))
                self._surround(spec)
            except JobQueueError as error:
                spec.missing = f"it cannot run in this queue: {error}"
            except (ValueError, TypeError) as error:
                spec.missing = f"it cannot be restored: {error}"
        if spec.missing is not None:
            spec.executor = MISSING
            spec.payload = None
        return spec

    def _surround(self, spec: RestoredSpec) -> None:
        """Give a job the folder and environment of its submit, as far as they exist here."""
        if self._submission.is_local(spec.executor):
            kept = surroundings_from_json(spec.request.options)
            snapshot = restored(kept, self._submission.surroundings)
            spec.surroundings = snapshot
            spec.lacks = snapshot.lacks(spec.options.cwd)
            spec.secrets = with_texts(None, texts_of(spec))

    def _give_result(self, job: JobRecord) -> None:
        if job.id in self._contents.with_result:
            reader, job_id, values = self._reader, job.id, self._contents.with_value
            is_lost = values is not None and job_id not in values
            self._engine.keeper.note_written(job_id, not is_lost)
            job.result = LazyResult(
                job,
                lambda job: reader.result(job.id),
                lambda: reader.shown(job_id),
                self._engine.keeper.note_loaded,
                lost=is_lost,
            )

    def _hold(self, job: JobRecord, state: StoredState) -> float | None:
        """Restore a hold; return seconds left by the wall clock, at most as when written."""
        job.held = bool(state.held)
        job.hold_then = "cancel" if state.hold_then == "cancel" else "release"
        if not job.held or state.hold_until is None:
            return None
        left = state.hold_until - self._engine.now()
        at_most = state.hold_until - self._seen_at
        return max(0.0, min(left, at_most))


def _once(read: Callable[[dict[str, Any]], JobOptions]) -> Callable[[dict[str, Any]], JobOptions]:
    """Return what reads options that many jobs have alike, as those of a group, once."""
    known: dict[str, JobOptions] = {}

    def options(found: dict[str, Any]) -> JobOptions:
        text = repr(found)
        if text not in known:
            known[text] = read(found)
        return known[text]

    return options


def _status(state: StoredState) -> JobStatus:
    return JobStatus(state.status)
