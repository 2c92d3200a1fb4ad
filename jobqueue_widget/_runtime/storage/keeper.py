"""Bounds what ended jobs leave: arguments and results in memory, results and arguments in files.

What is small is not counted. Arguments of completed jobs go first; then results move into files
(or stand in the journal already), oldest first; then files of what nobody holds are let go.
"""

from __future__ import annotations

import logging
import shutil
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..._core import events as ev
from ..._core.jobs import COMPLETED, BlockReason, JobRecord, NotKept
from ..._core.lazy import IsOutdated, LazyResult
from ..._core.spec import JobSpec
from ..._threads.locks import Lock
from ..._threads.threadless import Thread
from ...child import wire
from ...child.calls import references
from ...workers.unpacking import PackedValue, lost_value
from .arguments import ARGUMENTS_SHARE, LIGHT, KeptArguments, ReadsArguments
from .shelf import Shelf
from .sizes import size_of
from .spool import Spool, UnreadableError, read_value, write_value
from .told.logs import JobLog
from .told.metrics import KeptMetrics
from .told.outputs import KeptOutputs
from .told.printed import Printed, has_told, told_of

if TYPE_CHECKING:
    from ..._core.jobs import Outcome
    from ..._threads.timers import CallLater
    from ..engine_view import EngineView

logger = logging.getLogger(__name__)

SPOOL_SHARE, LARGEST_SPOOL = 10, 20 << 30  # a tenth of the disk's free space, at most 20 GiB
LOOK_AGAIN = 1.0  # seconds, while nothing may start
SETTLE_PATIENCE = 5.0


class Reader(ReadsArguments, Protocol):
    """Reads from the journal what is not in memory any more."""

    def result(self, job_id: str) -> tuple[object, IsOutdated]: ...
    def packed(self, job_id: str) -> Sequence[memoryview] | None: ...


class Keeper:
    """Keeps what jobs leave. What takes long, or runs users' code, has its own thread."""

    def __init__(self, engine: EngineView, spool: Spool, call_later: CallLater) -> None:
        self._engine = engine
        self._spool = spool
        self._call_later = call_later
        self._lock = engine.lock.inner()
        self._arguments = KeptArguments(engine, self._lock)
        self._results = Shelf()
        self._files = Shelf()
        self._printed = Printed(self._lock)
        self._copies: set[JobRecord] = set()  # whose results are not the user's own objects
        self._packed: set[JobRecord] = set()  # whose files other processes can read, too
        self._told: dict[JobRecord, NotKept] = {}  # what is in the files, should it be let go
        self._in_journal: dict[str, bool] = {}  # what its journal answered of these results
        self._gone: deque[JobRecord] = deque()  # evicted, and their last handle was dropped
        self._watched: set[weakref.ref[object]] = set()
        self._awaited: set[JobRecord] = set()  # evicted, and their results are still to be taken
        self._thread: threading.Thread | None = None
        self._wanted = False
        self._writing_files = Lock()
        self._spool_bytes = engine.settings.spool_bytes
        self.full: BlockReason | None = None  # why nothing may start
        self._no_room = ""
        self.describe: Callable[[JobSpec], str] = lambda spec: spec.name  # without users' code
        self.reader: Reader | None = None  # reads what the journal has

    @property
    def memory(self) -> int:
        """Bytes of arguments and results that are counted."""
        return self._arguments.total + self._results.total

    @property
    def disk(self) -> int:
        """Bytes of files."""
        return self._files.total

    def has_files(self) -> bool:
        """True if a result that somebody may still ask for stands in a file."""
        self.drop_gone()
        return self.disk > 0

    # -- what happens ------------------------------------------------------------------------

    def note_end(self, job: JobRecord, outcome: Outcome) -> None:
        """Count what a job left whose attempt has ended. Runs nobody's code."""
        if self._gone or self._awaited:
            self.drop_gone()
        if not job.status.ended:
            return
        if has_told(job):
            self._printed.note(job)
        if job.status is COMPLETED:
            self._arguments.note(job, self.describe)
        value = job.result
        if value is not None and type(value) is not NotKept:
            size = max(outcome.size, size_of(value))
            if size > LIGHT:
                with self._lock.held:
                    self._results.put(job, size)
                    if outcome.size:
                        self._copies.add(job)
        keep = self._engine.settings.keep_bytes
        if self.memory > keep or self._arguments.total > keep // ARGUMENTS_SHARE:
            self._arguments.let_go(keep, lambda: self.memory, self.describe, self.reader)
            if self.memory > keep:
                self.tidy()

    def note_loaded(self, job: JobRecord, value: object) -> None:
        """Count a result that was read back; it is in memory until the room is needed."""
        size = self._files.size(job) or size_of(value)
        if size > LIGHT:
            with self._lock.held:
                self._results.put(job, size)
                self._copies.add(job)
            if self.memory > self._engine.settings.keep_bytes:
                self.tidy()

    def note_written(self, job_id: str, whole: bool) -> None:
        """Note that the journal has this result now, or never will."""
        self._in_journal[job_id] = whole
        if self.memory > self._engine.settings.keep_bytes:
            self.tidy()

    def take_over(self, job: JobRecord) -> None:
        """Load what stands in the journal only, which is about to forget a job that is held."""
        self._in_journal.pop(job.id, None)
        if isinstance(job.log, JobLog):
            job.log.kept  # noqa: B018 - one that came back is read now
        for told in told_of(job):
            if isinstance(told, KeptMetrics | KeptOutputs):
                told.keep()
        lazy = job.result
        if type(lazy) is LazyResult and job not in self._files:
            value = lazy.get()
            self._engine.do(ev.ResultMoved(job, value))
            if type(value) is not NotKept:
                self.note_loaded(job, value)

    def has(self, job: JobRecord) -> bool:
        """True if an ended job may have left anything here: not one that never ran."""
        return job.result is not None or has_told(job) or job in self._arguments

    def evicted(self, job: JobRecord) -> None:
        """Drop what the job left, or do so with the last handle that its user has."""
        self._in_journal.pop(job.id, None)
        if not self.has(job):
            return
        if job.taken_by:
            self._awaited.add(job)
            return
        shelves = self._results, self._files, self._arguments
        handle = None if job.handle is None else job.handle()
        if handle is None:
            self._drop(job)
        elif self._printed.holds(job) or any(job in shelf for shelf in shelves):
            watched = self._watched

            def dropped(reference: weakref.ref[object]) -> None:
                watched.discard(reference)
                self._gone.append(job)  # the collector may call this anywhere: no lock

            watched.add(weakref.ref(handle, dropped))

    def drop_gone(self) -> None:
        """Drop what evicted jobs left whose last handle was dropped, or whose takers ended."""
        while self._gone:
            self._drop(self._gone.popleft())
        for job in [one for one in tuple(self._awaited) if not one.taken_by]:
            self._awaited.discard(job)
            self.evicted(job)

    def _drop(self, job: JobRecord) -> None:
        with self._lock.held:
            self._arguments.take(job)
        self._printed.take(job)
        self.drop_result(job)

    def drop_result(self, job: JobRecord) -> None:
        """Forget a result, also in its file."""
        with self._lock.held:
            self._results.take(job)
            self._copies.discard(job)
        self._drop_file(job)

    def _drop_file(self, job: JobRecord) -> None:
        with self._lock.held:
            in_file = self._files.take(job)
            self._packed.discard(job)
            self._told.pop(job, None)
        if in_file:
            self._path(job).unlink(missing_ok=True)

    # -- results -----------------------------------------------------------------------------

    def tidy(self) -> None:
        """Make room soon, in a thread that ends when there is nothing left to do."""
        with self._lock.held:
            self._wanted = True
            if self._thread is None:
                name = f"{self._engine.title}-keeper"
                thread = Thread(target=self._run, name=name, daemon=True)
                if self._engine.threads.start(thread, self.tidy):
                    self._thread = thread

    def settle(self, seconds: float = SETTLE_PATIENCE) -> None:
        """Wait for what is being moved."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._lock.held:
                if not self._wanted:
                    self._thread = None
                    return
                self._wanted = False
            try:
                self._make_room()
            except Exception:
                self._engine.logger.exception("results of ended jobs could not be moved")

    def _make_room(self) -> None:
        self.drop_gone()
        keep = self._engine.settings.keep_bytes
        self._no_room = ""
        theirs = 0  # what cannot be moved, for it is somebody's own object
        for job in self._results.jobs():
            if self.memory - theirs <= keep:
                break
            if not self._move(job):
                theirs += self._results.size(job)
        self._set_full(self.memory - theirs > keep and bool(self._no_room))

    def _move(self, job: JobRecord) -> bool:
        """Move a result out of memory; False: it is no copy, and its user may have it."""
        value, is_referenced = job.result, job.is_referenced
        if type(value) is LazyResult:
            value.forget()
            self._off_memory(job)
            return True
        if job not in self._copies and is_referenced:
            return False
        if self._is_on_its_way(job):
            return True
        if self._in_journal.get(job.id) and self.reader is not None:
            self._now_lazy(job, self._from_journal)
            return True
        self._into_file(job, value, is_referenced)
        return True

    def _is_on_its_way(self, job: JobRecord) -> bool:
        """True if its result will be in the journal soon."""
        recorder, kept = self._engine.recorder, self._engine.state.jobs
        return (
            recorder is not None
            and not recorder.trouble
            and job.id in kept
            and job.id not in self._in_journal
        )

    # -- results as they were packed, for jobs that take them ----------------------------------

    def file_of(self, job: JobRecord) -> Path | None:
        """Return the file in which a result stands as it was packed for a process, or None."""
        return self._path(job) if job in self._packed else None

    def packed(self, job: JobRecord) -> Sequence[memoryview] | None:
        """Read a result that is not unpickled yet as it was packed; None: it is not kept so."""
        if type(job.result) is not LazyResult:
            return None
        if job not in self._packed:
            in_journal = self._in_journal.get(job.id) and job.result.in_memory is None
            return self.reader.packed(job.id) if in_journal and self.reader is not None else None
        try:
            return references.read_parts(str(self._path(job)))
        except Exception:
            return None  # whoever reads its value is told why

    def write_parts(self, job: JobRecord, parts: Sequence[bytes | memoryview]) -> Path | None:
        """Keep a packed result in a file from now on; None: there is no room for it."""
        return self._put_file(job, PackedValue(parts))

    def keep_packed(self, job: JobRecord, packed: PackedValue) -> object:
        """Keep a result as its worker has packed it; return what stands for it."""
        self.drop_result(job)  # of an attempt before, which its time limit has ended
        if self._put_file(job, packed) is None:
            return packed.value()
        return LazyResult(job, self._from_file, lambda: packed.shown, self.note_loaded)

    def _put_file(self, job: JobRecord, packed: PackedValue) -> Path | None:
        with self._writing_files.held:
            if job in self._packed:
                return self._path(job)
            try:
                if job in self._files or not self._fits_on_disk(packed.size, self._limit()):
                    return None
                packed.move_to(self._path(job))
            except OSError:
                return None
            with self._lock.held:
                self._files.put(job, packed.size)
                self._packed.add(job)
                self._told[job] = NotKept(packed.type, size=packed.size)
        return self._path(job)

    def _into_file(self, job: JobRecord, value: object, is_referenced: bool) -> None:
        if job in self._files:
            self._now_lazy(job, self._from_file)
            return
        size, limit = self._results.size(job), self._limit()
        told = lost_value(wire.not_kept(value, "", size)["lost"])
        if self._fits_on_disk(size, limit):
            try:
                size = write_value(self._path(job), value)
            except OSError as error:
                self._no_room = f"results that are held cannot be written to a file: {error}"
                why = f"there was no room for its file: {error}"
            except BaseException as error:
                why = f"it cannot be pickled into a file ({type(error).__name__})"
                if is_referenced:
                    self._off_memory(job)  # nothing can be done about it
            else:
                with self._lock.held:
                    self._files.put(job, size)
                    self._told[job] = told
                self._now_lazy(job, self._from_file)
                return
        else:
            self._no_room = f"results that are held fill spool_bytes={limit:,}"
            why = f"kept results had filled spool_bytes={limit:,}"
        if not is_referenced:
            self._let_go(job, told, why)

    def _fits_on_disk(self, size: int, limit: int) -> bool:
        """Let go of older files that nobody holds until this fits; False: it does not."""
        if size > limit:
            return False
        for job in self._files.jobs():
            if self._files.total + size <= limit:
                break
            if job.is_referenced or self._is_on_its_way(job):
                continue
            if type(job.result) is not LazyResult:
                self._drop_file(job)  # it is in memory as well
            elif self._in_journal.get(job.id) and self.reader is not None:
                self._now_lazy(job, self._from_journal)
                self._drop_file(job)
            else:
                why = f"kept results had filled spool_bytes={limit:,}, and it was the oldest"
                self._let_go(job, self._told.get(job) or NotKept(), why)
        return self._files.total + size <= limit

    def _limit(self) -> int:
        """Bytes of files; if nobody has said it, a part of what is free when it is first asked."""
        if self._spool_bytes is None:
            free = shutil.disk_usage(self._spool.path()).free
            self._spool_bytes = min(free // SPOOL_SHARE, LARGEST_SPOOL)
        return self._spool_bytes

    def _let_go(self, job: JobRecord, told: NotKept, why: str) -> None:
        reason = f"it was let go: {why}, and nobody held a handle of its job"
        self._engine.do(ev.ResultMoved(job, replace(told, reason=reason)))
        self.drop_result(job)

    def _now_lazy(
        self, job: JobRecord, load: Callable[[JobRecord], tuple[object, IsOutdated]]
    ) -> None:
        told, result = type(job.result).__name__, job.result
        shown = result.shown if type(result) is LazyResult else lambda: f"<{told}>"
        lazy = LazyResult(job, load, shown, self.note_loaded)
        self._engine.do(ev.ResultMoved(job, lazy))
        self._off_memory(job)

    def _off_memory(self, job: JobRecord) -> None:
        with self._lock.held:
            self._results.take(job)

    def _path(self, job: JobRecord) -> Path:
        return self._spool.path() / f"kept-{job.number}"

    def _from_file(self, job: JobRecord) -> tuple[object, IsOutdated]:
        try:
            return read_value(self._path(job)), None
        except FileNotFoundError as error:
            told = self._told.get(job) or NotKept()
            return replace(told, reason=f"its file was removed: {error}"), None
        except UnreadableError as error:
            return NotKept(reason=f"its file cannot be read: {error}"), None

    def _from_journal(self, job: JobRecord) -> tuple[object, IsOutdated]:
        assert self.reader is not None
        return self.reader.result(job.id)

    # -- a full spool ------------------------------------------------------------------------

    def _set_full(self, is_full: bool) -> None:
        """Let nothing new start while results that are held fill memory and files."""
        engine, was = self._engine, self.full
        if not is_full:
            self.full = None
            if was is not None:
                engine.wake()
            return
        keep = engine.settings.keep_bytes
        self.full = BlockReason(
            f"{self._no_room}, and others more than keep_bytes={keep:,}; "
            "drop handles of ended jobs (del job)"
        )
        if engine.accepts_dispatch:
            self._call_later(LOOK_AGAIN, self.tidy)
