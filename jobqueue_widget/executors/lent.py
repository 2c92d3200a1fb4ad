"""Processes that an engine on this machine lends to a queue: one call of it for many jobs.

A call costs more than a short job, so one that is granted takes one job after the other through
named pipes: for a second at most, since whoever else uses the engine waits behind it, and not for
long without a job. A process elsewhere finds no pipes and says so; then each job is a call.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from .._core.jobs import JobFailure, JobSpec
from .._runtime.failures import failure_of
from .._runtime.supervisor import Supervisor
from ..protocols import Execution, ExecutorContext, IoThread, Reporter
from ..worker import lent, wire
from ..worker.packing import Packed
from ..worker.piped import PipedWorker
from ..worker.pipes import FROM_WORKERS, job_frames
from ..worker.task import Task
from .futures_call import CallsBack

if TYPE_CHECKING:
    from .futures import Submits

logger = logging.getLogger(__name__)

TURN_SECONDS = 1.0  # for which one call takes jobs: whoever else uses the engine waits so long
IDLE_SECONDS = 0.2  # for which it waits for the next one
MAX_CALLS = 64  # of one queue, each with three pipes; what is more than that is a call per job


def may_lend(engine: object) -> bool:
    """Whether it can be asked. Not one whose owner wants a new process every so many calls."""
    counts = getattr(engine, "_max_tasks_per_child", None) is not None
    return sys.platform != "win32" and not counts and not isinstance(engine, ThreadPoolExecutor)


class NotLentError(Exception):
    """This engine lends no process."""


class Lender(Protocol):
    """Whoever has the engine."""

    def has_broken(self, engine: Submits, error: BaseException) -> None:
        """It takes no more calls."""

    def has_refused(self, engine: Submits) -> None:
        """It lends no process."""

    def forget(self, execution: Any) -> None:
        """That job is over."""

    def call_instead(self, spec: JobSpec, reporter: Reporter) -> Execution | None:
        """Start it as a call of its own; None if the queue has stopped."""
        ...


class LentWorker(PipedWorker):
    """One call of the engine, and the process that has begun it."""

    def __init__(
        self,
        io: IoThread,
        engine: Submits,
        folder: Path,
        on_free: Callable[[LentWorker], None],
        on_gone: Callable[[LentWorker], None],
        lender: Lender,
    ) -> None:
        super().__init__(io, on_free, on_gone)
        self._engine = engine
        self._folder = folder
        self._lender = lender
        self._fds: list[int] = []
        self._future: Any = None
        self._why = ""
        self.was_cancelled = self.was_refused = False
        self.where = ""
        self.turn_ends = float("inf")
        self.idle_since = 0.0

    def start(self, context: ExecutorContext) -> None:
        """Ask the engine for it; what that raises is raised.

        Raises:
            NotLentError: it does not tell the end of a call, or there can be no pipes to it.

        """
        try:
            names = self._make_pipes()
            kernel = platform.node(), os.getpid()
            spool = str(context.spool_dir())
            limit = context.max_result_bytes
            future = self._engine.submit(lent.serve, kernel, names, spool, limit)
            if not isinstance(future, CallsBack):  # that a process died would not be noticed
                self._lender.has_refused(self._engine)
                raise NotLentError
        except BaseException:
            self._io.call(self._finish, None)
            raise
        self._future = future
        future.add_done_callback(self._on_call_over)

    def _make_pipes(self) -> tuple[str, str, str]:
        names = cast("tuple[str, str, str]", tuple(str(self._folder / n) for n in _NAMES))
        try:
            self._folder.mkdir(mode=0o700)
            for name in names:
                os.mkfifo(name, 0o600)
                # also for the other direction: there is no end of a pipe before the call's
                self._fds.append(os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            raise NotLentError(f"no pipes: {error}") from error
        jobs, frames, log = self._fds
        self._open(jobs, frames, log, FROM_WORKERS)
        return names

    def _on_leaving(self) -> None:
        """It goes back to its engine, or never begins."""
        if not self._ready:
            self._future.cancel()  # one that begins all the same finds no pipes
        self._io.call(self._finish, None)

    def forget_after_fork(self) -> None:
        """In a forked child: close its copies of our pipe ends."""
        self.gone = True
        for fd in self._fds:
            os.close(fd)

    def _say(self, kind: bytes, number: int, body: bytes = b"") -> None:
        if not self.gone and self._writer is not None:
            frame = wire.frame(kind, number, [body])
            if not self._writer.write(frame):  # after what is left of the job itself
                self._io.watch_writable(self._writer.fd, self._write_rest)

    # -- I/O thread --------------------------------------------------------------------------

    def _handle(self, kind: bytes, number: int, body: bytearray) -> None:
        if self._why:
            return
        if kind == wire.READY and not self._ready:
            try:
                host, pid = json.loads(body)
            except (ValueError, TypeError) as error:
                self._break(f"does not say who it is: {error}")
                return
            self.where = f"{host} (process {pid})"
            self.turn_ends = time.monotonic() + TURN_SECONDS
            self._remove_names()
        super()._handle(kind, number, body)

    def _keep_log(self, data: bytes) -> None:
        """Whose it is keeps it."""

    def _on_ready(self) -> None:
        """Whoever asked for it has a job for it, or has given it back already."""

    def _on_closed_pipe(self) -> None:
        """Never: both directions are open here."""

    def _replace(self, task: Task) -> None:
        self._break("left something behind, it said")

    def _break(self, what: str) -> None:
        """It will have nobody to write to any more, so its call ends."""
        logger.warning("%s %s", self.where or "a lent process", what)
        self._why = what
        with self._lock:
            self._dying = True
            self._writer = self._reader = None
        self._io.call(self._close_pipes)  # not from within the reading of them

    # -- the call is over --------------------------------------------------------------------

    def _on_call_over(self, future: Any) -> None:
        """Any thread of the engine."""
        if self.gone:
            return
        why = self._why or "its engine says no more"
        failure = JobFailure("WorkerLost", f"the call that ran it has ended: {why}")
        try:
            if future.result() is False and not self._ready:
                self.was_refused = True
                self._lender.has_refused(self._engine)
        except CancelledError:
            self.was_cancelled = True
        except BaseException as error:
            if isinstance(error, BrokenExecutor):
                self._lender.has_broken(self._engine, error)
            if not self._why:
                failure = failure_of(error)
        self._io.call(self._finish, failure)

    def _finish(self, failure: JobFailure | None) -> None:
        """I/O thread: `failure` is for the job that it has, if any."""
        if self.gone:
            return
        with self._lock:
            self._dying = True
        if self._fds and self._why == "":
            self._read_frames()
            self._drain_log()
        with self._lock:
            self.gone = True
            self._writer = self._reader = None
            task, self._task = self._task, None
        self._close_pipes()
        self._on_gone(self)
        if task is not None:
            assert failure is not None, "only an idle one leaves by itself"
            task.on_death(failure)

    def _close_pipes(self) -> None:
        self._remove_names()
        fds, self._fds = self._fds, []
        for fd in fds:
            self._io.unwatch(fd)
            os.close(fd)

    def _remove_names(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


_NAMES = ("jobs", "frames", "log")


class LentWorkers:
    """Those of one queue, from open to close.

    They have a thread of their own, which outlives the queue's if a job does: nobody can end one.

    Args:
        lender: told what the engine does.

    """

    def __init__(self, context: ExecutorContext, lender: Lender) -> None:
        self._lender = lender
        self._context = context
        self._io = Supervisor(f"jobqueue-pool-{context.queue_name}")
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._idle: list[LentWorker] = []  # the last one was used last
        self._all: set[LentWorker] = set()
        self._old: set[LentWorker] = set()  # to be given back after their job
        self._sweeping = False
        self._closing = False

    def take(self, engine: Submits) -> LentWorker:
        """One that is free, or one more of the engine; what that raises is raised."""
        with self._lock:
            ready = [worker for worker in self._idle if worker.was_ready]
            if self._idle:
                worker = (ready or self._idle)[-1]
                self._idle.remove(worker)
                return worker
            if len(self._all) >= MAX_CALLS:
                raise NotLentError(f"{MAX_CALLS} calls are waiting or at work")
        folder = self._context.spool_dir() / f"lent-{next(self._numbers)}"
        worker = LentWorker(self._io, engine, folder, self._freed, self._gone, self._lender)
        with self._lock:
            self._all.add(worker)
        worker.start(self._context)
        return worker

    def frames_for(self, spec: JobSpec, attempt: int) -> tuple[int, list[bytes | memoryview]]:
        """A job on its way, and its number."""
        number = next(self._numbers) & 0xFFFFFFFF
        function, call = cast("tuple[Packed, bytes]", spec.payload)
        job = (spec.id, attempt, function.data, call, function.source)
        return number, job_frames(number, job)

    def give_all_back(self) -> bool:
        """Idle ones now, busy ones after their job. True: none is busy."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._old = self._all - set(idle)
            none_is_left = not self._old
        for worker in idle:
            worker.close()
        return none_is_left

    def close(self) -> None:
        """Give all back; a job that is still at work will tell its end."""
        with self._lock:
            self._closing = True
        if self.give_all_back() and not self._io.is_current_thread:
            self._io.close()

    def forget_after_fork(self) -> None:
        """In a forked child: all of it is the parent's."""
        for worker in self._all:
            worker.forget_after_fork()
        self._all.clear()
        self._idle.clear()
        self._io.after_fork()

    # -- I/O thread --------------------------------------------------------------------------

    def _freed(self, worker: LentWorker) -> None:
        now = time.monotonic()
        with self._lock:
            leaves = self._closing or worker in self._old or now >= worker.turn_ends
            if not leaves and worker not in self._idle:
                worker.idle_since = now
                self._idle.append(worker)
            sweeps = self._sweeping
            self._sweeping = sweeps or not leaves
        if leaves:
            worker.close()
        elif not sweeps:
            self._io.call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Give back those that have waited long enough."""
        before = time.monotonic() - IDLE_SECONDS
        with self._lock:
            idle = [worker for worker in self._idle if worker.idle_since <= before]
            self._idle = [worker for worker in self._idle if worker not in idle]
            goes_on = self._sweeping = bool(self._idle)
        for worker in idle:
            worker.close()
        if goes_on:
            self._io.call_later(IDLE_SECONDS / 2, self._sweep)

    def _gone(self, worker: LentWorker) -> None:
        with self._lock:
            self._all.discard(worker)
            self._old.discard(worker)
            with contextlib.suppress(ValueError):
                self._idle.remove(worker)
            is_last = self._closing and not self._all
        if is_last:  # a thread cannot wait for its own end
            name = f"jobqueue-pool-end-{self._context.queue_name}"
            threading.Thread(target=self._io.close, name=name, daemon=True).start()
