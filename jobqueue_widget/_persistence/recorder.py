"""Writes changes of jobs to the journal, in their order, and again later if a write fails."""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import weakref
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, cast

from .._core import effects as fx
from .._core.jobs import JobRecord
from .._core.lazy import LazyResult
from .._core.stored import Changes, KeptResult, StoredState
from .._runtime.engine_view import EngineView
from .._runtime.storage.told.printed import has_told
from .._threads.locks import Lock
from ..errors import JournalError
from . import renewal
from . import watch as journal_watch
from .detached import drop_folders, written
from .warnings import warn

if TYPE_CHECKING:
    from .._runtime.storage.keeper import Keeper
    from .._runtime.storage.learning import Learning
    from ..protocols import Journal, NoticesLoss
    from .codec import SealedCodec

logger = logging.getLogger(__name__)

RECORDED = frozenset(
    {"submitted", "moved", "held", "released", "started", "retrying", "ended"}
    | {"cancel_asked", "cancel_forced"}
)
RETRY_AFTER = 5.0  # seconds after a failed write until the next try
EXIT_PATIENCE = 2.0  # seconds for results that are being pickled when the interpreter exits
SETTLE_PATIENCE = 5.0  # seconds for results that are being pickled when the queue closes

_OF_A_PARENT: list[Recorder] = []
_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


class Recorded(EngineView, Protocol):
    """What the recorder uses of its engine."""

    keeper: Keeper
    learning: Learning
    numbers_given: int


class Recorder:
    """Writes an engine's changes to its journal. `note…` under the engine's lock, `flush` never.

    Each change is flushed before anybody is told of it, and a job starts only after its launch is
    written, so that a job that is pending in the journal has never begun. What is noted during a
    write goes into the next transaction. A failed write is tried again later with all that came
    since: the journal keeps states, so nothing is missing then.
    """

    def __init__(self, engine: Recorded, journal: Journal, codec: SealedCodec) -> None:
        self._engine = engine
        self.journal = journal
        self._codec = codec
        self._dirty: dict[JobRecord, None] = {}  # changed jobs, in the order of their changes
        self._forgotten: list[tuple[int, str]] = []
        self._counted: Counter[str] = Counter()
        self._erased: set[JobRecord] = set()  # deleted in the journal, not yet in the state
        self._pause_changed = self._cleared_changed = False
        self._results: deque[tuple[str, KeptResult]] = deque()
        self._heavy: deque[JobRecord] = deque()
        self._leaving: deque[JobRecord] = deque()  # forgotten jobs whose users hold a handle
        self._pickler: threading.Thread | None = None
        self._lock = Lock()
        self._writer: int | None = None
        self._retry_at, self._closed = 0.0, False
        self.folders: object = None  # of jobs that outlive their kernel
        self._renewed: list[tuple[str, bool, str]] = []  # what is to be said when all is written
        _recorders.add(self)
        atexit.unregister(_at_exit)  # so that it is registered once for all recorders
        atexit.register(_at_exit)
        self.trouble, self.doubtful = "", False  # doubtful: restored jobs may have run since
        self.notices: list[str] = []  # what was wrong when the journal was opened or renewed

    @property
    def notice(self) -> str:
        """Return what the user must know of the journal; "" if all is well."""
        return self.trouble or " ".join(self.notices)

    # -- under the engine's lock ---------------------------------------------------------------

    def note(self, effects: list[fx.Effect]) -> None:
        """Note the jobs whose changes these effects of a transition tell."""
        for effect in effects:
            if isinstance(effect, fx.Publish):
                if effect.type in RECORDED:
                    self._dirty[effect.job] = None
            elif isinstance(effect, (fx.Reranked, fx.Recalled)):
                self._dirty[effect.job] = None
            elif isinstance(effect, fx.Evict):
                self._forget(effect.job)

    def note_job(self, job: JobRecord) -> None:
        """Note a change of a job of which no effect tells."""
        self._dirty[job] = None

    def note_pause(self) -> None:
        """Note that the queue was paused or resumed."""
        self._pause_changed = True

    def note_cleared(self) -> None:
        """Note that the list of shown ended jobs was cleared."""
        self._cleared_changed = True

    def _forget(self, job: JobRecord) -> None:
        self._dirty.pop(job, None)
        if job in self._erased:
            self._erased.remove(job)
            return
        if job.is_referenced:
            self._leaving.append(job)
        self._counted.update([job.status.value] + ["retried"] * job.is_retried)
        if self._writer is not None or self._codec.request(job) is None:
            ran = job.result is not None or has_told(job)
            self._forgotten.append((job.number, job.id if ran else ""))  # others: never written

    def prepare(self, job: JobRecord) -> None:
        """Pack a job before it is accepted, in its caller's thread and without a lock."""
        self._codec.prepare(job)

    # -- writing: any thread, without the engine's lock ------------------------------------------

    def has_written(self, job: JobRecord) -> bool:
        """True if a job's request is in the journal, and writing does not fail now."""
        return not self.trouble and self._codec.request(job) is None

    def _has_changes(self) -> bool:
        return bool(self._dirty or self._results or self._forgotten or self._counted) or (
            self._pause_changed or self._cleared_changed
        )

    def flush(self) -> None:
        """Write all that was noted before; return when that is done or has failed."""
        if not self._has_changes() and self._writer is None:
            return
        if self._closed or self._writer == threading.get_ident():  # a finalizer during a write
            return
        if self.trouble and self._engine.monotonic() < self._retry_at:
            return
        with self._writing():
            while self._has_changes() and self._write():
                pass

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock.held:
            self._writer = threading.get_ident()
            try:
                yield
            finally:
                self._writer = None

    def _write(self, *, ended: bool = False) -> bool:
        """Write one transaction; False if it failed, or the recorder is closed."""
        if self._closed:
            return False
        engine, codec = self._engine, self._codec
        with engine.lock.held:
            dirty, self._dirty = self._dirty, {}
            forgotten, self._forgotten = self._forgotten, []
            counted, self._counted = self._counted, Counter()
            pause_changed, self._pause_changed = self._pause_changed, False
            cleared_changed, self._cleared_changed = self._cleared_changed, False
            states = [codec.state(job) for job in dirty]
            pause, cleared_to = engine.state.pause, engine.state.cleared_to
            numbers = engine.numbers_given
        results = list(self._results)
        try:
            while self._leaving:
                engine.keeper.take_over(self._leaving.popleft())
            changes = Changes(
                engine.run_id,
                engine.now(),
                numbers,
                forgotten=forgotten,
                counted=counted,
                pause=None if pause is None else (pause.reason, pause.since),
                pause_changed=pause_changed,
                cleared_to=cleared_to if cleared_changed else None,
                ended=ended,
            )
            heavy = self._fill(changes, dirty, states)
            changes.results += results
            self.journal.write(changes)
        except BaseException as error:
            with engine.lock.held:
                kept = engine.state.jobs
                self._dirty = dict.fromkeys(job for job in dirty if job.id in kept) | self._dirty
                self._forgotten = forgotten + self._forgotten
                self._counted += counted
                self._pause_changed = self._pause_changed or pause_changed
                self._cleared_changed = self._cleared_changed or cleared_changed
            if not isinstance(error, Exception):
                raise  # an interrupt must not be swallowed; the next change writes all
            if self._renew_if_lost():  # somebody has changed the files
                return self._write(ended=ended)
            self._fail(error)
            return False
        for _ in results:
            self._results.popleft()
        for job in dirty:
            codec.written(job)
        to_come = {job.id for job in heavy}
        drop_folders(self.folders, engine.state.jobs, written(dirty, states, to_come), results)
        for job_id, result in changes.results:
            if job_id not in to_come:
                engine.keeper.note_written(job_id, result.form == "pickle")
        if self.trouble:
            self._recover()
        elif self.doubtful and pause_changed and pause is None:
            self.doubtful = False  # the user has looked at what came back
            self.journal.mark_complete()
        if heavy:
            self._pickle_soon(heavy)
        while self._renewed:
            renewal.say(engine, self.journal.place, self.notices, *self._renewed.pop())
        return True

    def erase(self, jobs: Iterable[JobRecord]) -> None:
        """Delete ended jobs from the journal in one transaction, before the queue forgets them.

        Raises:
            JournalError: they cannot be deleted; then none was.
        """
        engine = self._engine
        with self._writing():
            if self._renew_if_lost():
                self._write()
            while self._has_changes() and not self._closed:  # results pickled meanwhile
                if not self._write():
                    raise JournalError(self.trouble)
            with engine.lock.held:
                kept = engine.state.jobs
                leaving = {job for job in jobs if job.id in kept} - self._erased
                self._erased |= leaving
            try:
                self._delete(leaving)
            except BaseException:
                with engine.lock.held:
                    for job in leaving - self._erased:  # the history has dropped it meanwhile
                        self._forget(job)
                    self._erased -= leaving
                raise

    def _delete(self, jobs: Collection[JobRecord]) -> None:
        engine = self._engine
        for job in (one for one in jobs if one.is_referenced):
            job.spec.take_over()
            engine.keeper.take_over(job)
        changes = Changes(engine.run_id, engine.now(), engine.numbers_given, erased=True)
        changes.forgotten = [(job.number, job.id) for job in jobs]
        changes.counted = Counter(job.status.value for job in jobs)
        try:
            self.journal.write(changes)
        except Exception as error:
            raise JournalError(f"the journal cannot be written ({error})") from error
        self._codec.erased()

    def _fill(
        self, changes: Changes, dirty: Iterable[JobRecord], states: list[StoredState]
    ) -> list[JobRecord]:
        """Fill in what to write; return jobs whose results are too heavy to be pickled now."""
        codec, keeper, heavy = self._codec, self._engine.keeper, []
        for job, state in zip(dirty, states, strict=True):
            asked = codec.request(job)
            if asked is not None:
                changes.requests.append(asked[0])
                if asked[1] is not None:
                    changes.functions.append(asked[1])
            changes.standings.append(codec.finish(job, state))
            if state.ended_number is not None:
                codec.add_told(job, changes)
                if job.result is not None:
                    if codec.is_light(job.result):
                        changes.results.append((job.id, codec.result(job)))
                    else:
                        heavy.append(job)
                        if type(job.result) is not LazyResult or keeper.file_of(job) is not None:
                            changes.results.append((job.id, codec.result_to_come(job)))
        return heavy

    # -- results that take long, or run the user's code, to be pickled -----------------------------

    def _pickle_soon(self, jobs: list[JobRecord]) -> None:
        with self._engine.lock.held:
            self._heavy += jobs
            if self._pickler is None:
                name = f"{self._engine.title}-results"
                thread = threading.Thread(target=self._pickle_all, name=name, daemon=True)
                if self._engine.threads.start(thread, self._pickle_what_is_left):
                    self._pickler = thread

    def _pickle_what_is_left(self) -> None:
        if self._heavy and not self._closed:
            self._pickle_soon([])

    def _pickle_all(self) -> None:
        """Pickle and write heavy results until none is left, on a thread of its own."""
        while True:
            with self._engine.lock.held:
                if not self._heavy:
                    self._pickler = None
                    return
                job = self._heavy.popleft()
            kept = self._codec.result(job, self._engine.keeper.packed(job))
            with self._engine.lock.held:
                if job.id in self._engine.state.jobs:
                    self._results.append((job.id, kept))
            self.flush()

    def settle(self, seconds: float = SETTLE_PATIENCE) -> None:
        """Wait so long at most for results that are being pickled."""
        thread = self._pickler
        if thread is None and self._heavy:
            self._pickle_all()  # what had to wait for a thread
        elif thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    # -- somebody else has changed the journal's files ---------------------------------------------

    def look(self) -> None:
        """Write lost files anew and tell of it, and what was learned. On the thread of `watch`."""
        self._engine.learning.look()
        self._look_at_files()

    def _look_at_files(self) -> None:
        if self._closed or not renewal.lost(self.journal):
            return
        with self._writing():
            if self._renew_if_lost():
                self._write()

    def _renew_if_lost(self) -> bool:
        """Begin the journal anew if somebody has changed its files; the next write fills it."""
        lost = renewal.lost(self.journal)
        if not lost or (self.trouble and self._engine.monotonic() < self._retry_at):
            return False
        try:
            whole, kept = cast("NoticesLoss", self.journal).renew()
            if not whole:
                self._note_all()
        except Exception as error:
            self._fail(JournalError(f"{lost}; {error}"))
            return False
        self.trouble = ""
        self._renewed.append((lost, whole, kept))
        return True

    def _note_all(self) -> None:
        """Note all jobs of this kernel, as a lost journal has none."""
        jobs = renewal.jobs_of(self._engine)
        for job in jobs:
            self._codec.anew(job)
        with self._engine.lock.held:
            self._dirty |= dict.fromkeys(job for job in jobs if job.id in self._engine.state.jobs)
            self._pause_changed = self._cleared_changed = True

    # -- failure and the end ---------------------------------------------------------------------

    def _fail(self, error: Exception) -> None:
        """Tell of an outage once; what happens meanwhile is written at its end."""
        engine = self._engine
        self._retry_at = engine.monotonic() + RETRY_AFTER
        if self.trouble:
            return
        text = f"The journal cannot be written ({error}): the queue goes on without it"
        self.trouble = text
        self.journal.mark_incomplete()
        engine.logger.error("%s: %s", self.journal.place, text)
        with engine.lock.held:
            engine.publish("journal_failed", {"error": str(error)})
        warn(f"{text}. {self.journal.place}")

    def _recover(self) -> None:
        self.trouble = ""
        if not self.doubtful:
            self.journal.mark_complete()
        self._engine.logger.warning(
            "the journal %s is written again, nothing is missing", self.journal.place
        )
        with self._engine.lock.held:
            self._engine.publish("journal_recovered")

    def at_exit(self) -> None:
        """Wait briefly for results at the interpreter's exit, and leave the file as it is."""
        if not self._closed:
            self._engine.learning.save()
            self._look_at_files()
            self.settle(EXIT_PATIENCE)

    def close(self) -> None:
        """Write what is left, with the session's end, and close the journal."""
        if self._closed:
            return
        journal_watch.end(self)
        self._retry_at = 0.0
        self._look_at_files()
        self.settle()
        with self._writing():
            try:
                while self._has_changes() and self._write():
                    pass
                if not self.trouble:
                    self._write(ended=True)
                if self._renew_if_lost():
                    self._write(ended=True)
            finally:
                self._closed = True
                self.journal.close()

    def after_fork(self) -> None:
        """Write nothing more in a forked child: the file is the parent's."""
        self._closed = True
        _recorders.discard(self)
        _OF_A_PARENT.append(self)


def _at_exit() -> None:
    for recorder in list(_recorders):
        recorder.at_exit()
