"""Writes down what happens to jobs: which of them have changed, in order, and what if it fails."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections import Counter, deque
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Protocol

from .._core import effects as fx
from .._core.jobs import JobRecord
from .._core.stored import Changes, KeptResult, StoredState
from .._runtime.engine_view import EngineView
from .._threads.locks import Lock
from ..errors import JournalError
from ..protocols import NoticesLoss
from . import watch as journal_watch
from .warnings import warn

if TYPE_CHECKING:
    from .._runtime.storage.keeper import Keeper
    from .._runtime.storage.learning import Learning
    from ..protocols import Journal
    from .codec_protocol import Codec

logger = logging.getLogger(__name__)

RECORDED = frozenset(
    {"submitted", "moved", "held", "released", "started", "retrying", "ended"}
    | {"cancel_asked", "cancel_forced"}
)
RETRY_AFTER = 5.0  # seconds after a failed write until the next try
EXIT_PATIENCE = 2.0  # the same at interpreter exit
SETTLE_PATIENCE = 5.0  # seconds for results that are still being pickled when the queue ends

_OF_A_PARENT: list[Recorder] = []
_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


class Recorded(EngineView, Protocol):
    """What the recorder uses of its engine besides."""

    keeper: Keeper
    learning: Learning
    numbers_given: int


class Recorder:
    """Between the engine and its journal. `note…` under the engine's lock, `flush` never.

    Whoever changes something flushes before anybody is told, and a job is launched only after
    that is written: so what the journal calls pending has never begun. While somebody writes,
    others add to what the next transaction takes. A write that fails is tried again later, with
    all that has come since: the journal keeps states, so nothing is missing then.
    """

    def __init__(self, engine: Recorded, journal: Journal, codec: Codec) -> None:
        self._engine = engine
        self.journal = journal
        self._codec = codec
        self._dirty: dict[JobRecord, None] = {}  # in the order of their changes
        self._forgotten: list[tuple[int, str]] = []
        self._counted: dict[str, int] = {}
        self._erased: set[JobRecord] = set()  # in the journal, and not here yet
        self._pause_changed = self._cleared_changed = False
        self._results: deque[tuple[str, KeptResult]] = deque()
        self._heavy: deque[JobRecord] = deque()
        self._leaving: deque[JobRecord] = deque()  # somebody may still ask for their results
        self._pickler: threading.Thread | None = None
        self._lock = Lock()
        self._writer: int | None = None
        self._retry_at = 0.0
        self._closed = False
        _recorders.add(self)
        atexit.unregister(_at_exit)  # once, however many there are
        atexit.register(_at_exit)
        self.trouble = ""
        self.doubtful = False  # what came back may have run since: until somebody has looked
        self.notices: list[str] = []  # what was odd when the journal was opened

    @property
    def notice(self) -> str:
        """What the user must be told of the journal; "" if all is well."""
        return self.trouble or " ".join(self.notices)

    # -- under the engine's lock ---------------------------------------------------------------

    def note(self, effects: list[fx.Effect]) -> None:
        """What these effects of a transition tell of must be written."""
        for effect in effects:
            if isinstance(effect, fx.Publish):
                if effect.type in RECORDED:
                    self._dirty[effect.job] = None
            elif isinstance(effect, fx.Reranked):
                self._dirty[effect.job] = None
            elif isinstance(effect, fx.Evict):
                self._forget(effect.job)

    def note_job(self, job: JobRecord) -> None:
        """Write it, though no effect tells of it."""
        self._dirty[job] = None

    def note_pause(self) -> None:
        """The queue was paused or resumed."""
        self._pause_changed = True

    def note_cleared(self) -> None:
        """Other ended jobs are shown than before."""
        self._cleared_changed = True

    def _forget(self, job: JobRecord) -> None:
        self._dirty.pop(job, None)
        if job in self._erased:
            self._erased.remove(job)
            return
        if job.is_held:
            self._leaving.append(job)
        status = job.status.value
        self._counted[status] = self._counted.get(status, 0) + 1
        if self._writer is not None or self._codec.request(job) is None:
            self._forgotten.append((job.number, job.id))  # else it was never written

    def prepare(self, job: JobRecord) -> None:
        """Before it is accepted, in its caller's thread and without a lock: pack it."""
        self._codec.prepare(job)

    # -- writing: any thread, without the engine's lock ------------------------------------------

    def has_written(self, job: JobRecord) -> bool:
        """True if what was asked for stands in the journal."""
        return not self.trouble and self._codec.request(job) is None

    def _has_changes(self) -> bool:
        return bool(self._dirty or self._results or self._forgotten or self._counted) or (
            self._pause_changed or self._cleared_changed
        )

    def flush(self) -> None:
        """Return when all that was noted before is kept, or the journal has failed."""
        if not self._has_changes() and self._writer is None:
            return
        if self._closed or self._writer == threading.get_ident():  # a finalizer, inside a write
            return
        if self.trouble and self._engine.monotonic() < self._retry_at:
            return
        with self._lock.held:
            self._writer = threading.get_ident()
            try:
                while self._has_changes() and self._write():
                    pass
            finally:
                self._writer = None

    def _write(self, *, ended: bool = False) -> bool:
        """One transaction; False if it failed, or if it is too late."""
        if self._closed:
            return False
        engine, codec = self._engine, self._codec
        with engine.lock.held:
            dirty, self._dirty = self._dirty, {}
            forgotten, self._forgotten = self._forgotten, []
            counted, self._counted = self._counted, {}
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
                for status, count in counted.items():
                    self._counted[status] = self._counted.get(status, 0) + count
                self._pause_changed = self._pause_changed or pause_changed
                self._cleared_changed = self._cleared_changed or cleared_changed
            if not isinstance(error, Exception):
                raise  # an interrupt: not ours to swallow; the next change writes it all
            self._fail(error)
            return False
        for _ in results:
            self._results.popleft()
        for job in dirty:
            codec.written(job)
        to_come = {job.id for job in heavy}
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
        return True

    def erase(self, jobs: Iterable[JobRecord]) -> None:
        """Delete what is written of ended jobs, in one transaction, before the queue forgets them.

        Raises:
            JournalError: it cannot be; then nothing was deleted.

        """
        engine = self._engine
        with self._lock.held:
            self._writer = threading.get_ident()
            try:
                while (
                    self._has_changes() and not self._closed
                ):  # results on their way, and the like
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
                        for job in leaving - self._erased:  # it has left meanwhile as others do
                            self._forget(job)
                        self._erased -= leaving
                    raise
            finally:
                self._writer = None

    def _delete(self, jobs: Collection[JobRecord]) -> None:
        engine = self._engine
        for job in jobs:
            if job.is_held:
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
        """Fill in all that is written; return the jobs whose results are too heavy for it."""
        codec, heavy = self._codec, []
        for job, state in zip(dirty, states, strict=True):
            asked = codec.request(job)
            if asked is not None:
                changes.requests.append(asked[0])
                if asked[1] is not None:
                    changes.functions.append(asked[1])
            changes.standings.append(codec.finish(job, state))
            if state.ended_number is not None:
                if tail := codec.log(job):
                    changes.logs.append((job.id, tail))
                if job.result is not None:
                    if codec.is_light(job.result):
                        changes.results.append((job.id, codec.result(job)))
                    else:
                        heavy.append(job)
                        changes.results.append((job.id, codec.result_to_come(job)))
        return heavy

    # -- results that take long, or run the user's code, to be pickled -----------------------------

    def _pickle_soon(self, jobs: list[JobRecord]) -> None:
        with self._engine.lock.held:
            self._heavy += jobs
            if self._pickler is None:
                name = f"{self._engine.title}-results"
                thread = threading.Thread(target=self._pickle_all, name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the next heavy result tries again
                    logger.warning("a result waits to be written: %s", error)
                    return
                self._pickler = thread

    def _pickle_all(self) -> None:
        """A thread that ends when there is nothing left."""
        while True:
            with self._engine.lock.held:
                if not self._heavy:
                    self._pickler = None
                    return
                job = self._heavy.popleft()
            kept = self._codec.result(job)
            with self._engine.lock.held:
                if job.id in self._engine.state.jobs:
                    self._results.append((job.id, kept))
            self.flush()

    def settle(self, seconds: float = SETTLE_PATIENCE) -> None:
        """Wait for results that are being pickled."""
        thread = self._pickler
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    # -- somebody else has changed the journal's files ---------------------------------------------

    def look(self) -> None:
        """Write lost files anew and say so. On the thread of `watch`."""
        journal = self.journal
        lost = journal.lost() if isinstance(journal, NoticesLoss) and not self._closed else ""
        if not lost or (self.trouble and self._engine.monotonic() < self._retry_at):
            return
        with self._lock.held:
            self._writer = threading.get_ident()
            try:
                assert isinstance(journal, NoticesLoss)
                whole, kept = journal.renew()
                self.trouble = ""
                if not whole:
                    self._note_all()
            except Exception as error:
                self._fail(JournalError(f"{lost}; {error}"))
                return
            finally:
                self._writer = None
        self.flush()
        self._say_renewed(lost, whole, kept)

    def _note_all(self) -> None:
        """What this kernel knows is all there is: write it."""
        with self._engine.lock.held:
            state = self._engine.state
            jobs = [*state.ended, *state.running.values(), *state.order.slice(0)]
        for job in jobs:
            self._codec.anew(job)
        with self._engine.lock.held:
            self._dirty |= dict.fromkeys(job for job in jobs if job.id in state.jobs)
            self._pause_changed = self._cleared_changed = True

    def _say_renewed(self, lost: str, whole: bool, kept: str) -> None:
        text = f"The journal's {lost} while it was in use; it is written anew"
        if not whole:
            text += (
                " from what this kernel knows: what earlier ones left and nobody looked at is gone"
            )
        if kept:
            text += f"; what stood there is kept as {kept}"
        warn(f"{text}. {self.journal.place}")
        self.notices.append(f"{text}.")
        engine = self._engine
        engine.logger.error("%s: %s", self.journal.place, text)
        with engine.lock.held:
            engine.publish("journal_failed", {"error": lost})
            engine.publish("journal_recovered")

    # -- trouble and the end ---------------------------------------------------------------------

    def _fail(self, error: Exception) -> None:
        """Said once per outage; what has happened since is written when it is over."""
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
        """The interpreter ends: results on their way get a moment, the file is left as it is."""
        if not self._closed:
            self._engine.learning.save()
            self.settle(EXIT_PATIENCE)

    def close(self) -> None:
        """Write what is left, say goodbye and let go of the journal."""
        if self._closed:
            return
        journal_watch.end(self)
        self.settle()
        with self._lock.held:
            self._writer = threading.get_ident()
            try:
                while self._has_changes() and self._write():
                    pass
                if not self.trouble:
                    self._write(ended=True)
            finally:
                self._closed = True
                self._writer = None
                self.journal.close()

    def after_fork(self) -> None:
        """Let go of the file in a forked child, untouched: it is the parent's."""
        self._closed = True
        _recorders.discard(self)
        _OF_A_PARENT.append(self)


def _at_exit() -> None:
    for recorder in list(_recorders):
        recorder.at_exit()
