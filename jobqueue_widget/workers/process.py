"""Starts a worker process, and makes sure of its end."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._core.jobs import JobFailure
from .._core.retrying import lies_with_the_machine
from ..child import wire
from ..protocols import IoThread
from .cleanup import death_of
from .environment import missing_folder
from .packing import Packed
from .piped import PipedWorker
from .pipes import FROM_WORKERS
from .sources import Sources
from .surroundings import DEVICE_VARIABLES, Setup
from .system.contract import NewChild
from .task import Task

logger = logging.getLogger(__name__)

CHILD = Path(__file__).parents[1] / "child" / "function_worker.py"
TERM_GRACE = 0.3  # seconds between SIGTERM and SIGKILL
KILL_PATIENCE = 5.0  # seconds after which a kill is reported as failed
START_PATIENCE = 60.0
EXIT_SECONDS = 1.0  # for all to be gone, at the interpreter's exit
EXIT_PATIENCE = 0.5
SWEEP_INTERVAL = 0.01
TRY_LATER = 75  # the exit code of a child that could not start because of the machine


class WorkerProcess(PipedWorker):
    """One child process. Methods are for any thread unless they say "I/O thread"."""

    script, kinds = CHILD, FROM_WORKERS  # the script that it runs, and the frames that it may send

    def __init__(
        self,
        io: IoThread,
        command: Sequence[str],
        environ: Mapping[str, str],
        run_id: str,
        on_free: Callable[[WorkerProcess], None],
        on_gone: Callable[[WorkerProcess], None],
        at_start: Mapping[str, str] | None = None,
        on_ready: Callable[[WorkerProcess], None] | None = None,
    ) -> None:
        super().__init__(io, on_free, on_gone)
        self._then_ready = on_ready
        self._command = list(command)
        self.id = os.urandom(16).hex()
        self._at_start = at_start
        self.sources = Sources()
        self.code: Packed | None = None  # the function of its job
        self.kept: set[bytes] = set()  # digests of functions of which it keeps values
        self._environ = {**environ, "JOBQUEUE_RUN_ID": run_id}
        self._child = NewChild(self.id)
        self._log_tail = b""
        self._why = ""

    @property
    def pid(self) -> int:
        """The process id; 0 before it is started."""
        process = self._process
        return 0 if process is None else process.pid

    @property
    def _process(self) -> subprocess.Popen[bytes] | None:
        return self._child.process

    def serves(self, setup: Setup) -> bool:
        """True if the worker can take a job with this setup, now or soon."""
        born = self._at_start
        return self.usable and (born is setup.at_start or born == setup.at_start)

    def rank_for(self, digest: bytes) -> int:
        """Return how well it suits a function, 0 best: it has values of it, of none, of others."""
        if digest in self.kept:
            return 0
        return 2 if self.kept else 1 if self.was_ready else 3

    def serves_on_a_gpu(self, setup: Setup) -> bool:
        """True if the worker was sent to a GPU and fits this setup, whichever GPU that names."""
        born = self._at_start or {}
        names = {*born, *setup.at_start} - set(DEVICE_VARIABLES)
        is_there = DEVICE_VARIABLES[0] in born
        alike = all(born.get(name) == setup.at_start.get(name) for name in names)
        return self.usable and is_there and alike

    # -- starting (I/O thread) -----------------------------------------------------------------

    def start(self) -> None:
        """Start the process; one that cannot be started is handled like one that ended."""
        try:
            self._start()
        except BaseException as error:
            self.start_error = error
            if self._process is not None:  # end what was begun
                self._child.kill()
                self._process.wait()
                self._child.clean_up()
            self._why = f"could not be started: {str(error) or type(error).__name__}"
            self._finish(JobFailure("WorkerDied", f"worker {self._why}"))

    def _start(self) -> None:
        child = self._child
        child.start([*self._command, str(self.script)], self._environ, missing_folder())
        self._open(child.jobs, child.frames, child.log, self.kinds)
        self._watch_exit()
        self._later(START_PATIENCE, self._check_started)

    def _become_ready(self) -> None:
        self._child.note_ready()
        super()._become_ready()

    def _on_ready(self) -> None:
        if self._then_ready is not None:
            self._then_ready(self)

    def _watch_exit(self) -> None:
        fd = self._child.watch_end()
        if fd < 0:
            self._later(0.02, self._poll_exit)
        else:
            self._io.watch(fd, self._on_exit)

    def _poll_exit(self) -> None:
        """Check if the process has ended, where nothing tells it."""
        assert self._process is not None
        if self._process.poll() is None:
            self._later(0.02, self._poll_exit)
        else:
            self._on_exit()

    def _check_started(self) -> None:
        if not self.was_ready:
            self._break(f"did not become ready within {START_PATIENCE:g} s")

    def kill(self, task: Task | None = None, why: str = "") -> None:
        """End the process and all that it started; with `task` only if it still works on that."""
        self._io.call(self._kill, task, why)

    def _say(self, kind: bytes, number: int, body: bytes = b"") -> None:
        """Send a few bytes on the control pipe, which is never full. Under the lock."""
        if self._process is not None and not self.gone:
            try:
                self._child.say(wire.HEADER.pack(kind, number, len(body)) + body)
            except OSError as error:
                logger.debug("worker %d does not listen any more: %s", self.pid, error)

    def _keep_log(self, data: bytes) -> None:
        self._log_tail = (self._log_tail + data)[-2000:]

    def _on_leaving(self) -> None:
        """Kill the process if it does not exit."""
        self._io.call(self._later, EXIT_PATIENCE, self._kill_hard)

    # -- ending (I/O thread) -----------------------------------------------------------------------

    def _end_task(self, task: Task, meta: dict[str, Any], parts: Sequence[memoryview]) -> None:
        self.sources.hear(meta.get("modules"))
        code, self.code = self.code, None
        if meta.get("kept") and code is not None:
            self.kept.add(code.digest)
        if self._child.has_started_some():
            meta = {**meta, "processes": True}
        super()._end_task(task, meta, parts)

    def _break(self, what: str) -> None:
        if not self.gone:
            logger.warning("worker %d %s", self.pid, what)
            self._kill(None, what)

    def _kill(self, task: Task | None, why: str) -> None:
        if self.gone or (task is not None and self._task is not task):
            return
        with self._lock.held:
            self._dying = True
        self._why = self._why or why
        self._child.look()
        self._child.ask_to_end()
        self._later(TERM_GRACE, self._kill_hard)
        self._later(KILL_PATIENCE, self._tell_kill_failed)

    def _kill_hard(self) -> None:
        if not self.gone and self._process is not None and self._process.returncode is None:
            self._child.look()
            self._child.kill()

    def _tell_kill_failed(self) -> None:
        if not self.gone and self._task is not None:
            self._task.on_kill_failed(f"process {self.pid}, or one that it started, is still there")

    def _on_exit(self) -> None:
        """Handle the end of the process: read its last output, then end what is left of it."""
        if self.gone:
            return
        assert self._process is not None
        with self._lock.held:
            self._dying = True
        self._child.unwatch_end(self._io.unwatch)
        self._process.wait()
        self._read_frames()
        self._later(KILL_PATIENCE, self._tell_kill_failed)
        self._sweep()

    def _sweep(self) -> None:
        if self.gone:
            return
        assert self._process is not None
        if self._child.clean_up():
            self._io.call_later(SWEEP_INTERVAL, self._sweep)
            return
        self._drain_log()
        self._finish(death_of(self._process.returncode, self._why, self.was_ready, self._log_tail))

    @property
    def kept_from_starting(self) -> bool:
        """True if the worker ended before it was ready, for a reason of the machine."""
        if self.start_error is not None:
            return lies_with_the_machine(self.start_error)
        if self.was_ready:
            return False
        code = 0 if self._process is None else self._process.returncode
        return code < 0 or code == TRY_LATER

    def _is_unread(self) -> bool:
        """True if it ended by itself, and its job cannot have begun. Under the lock."""
        writer = self._writer
        return not self._why and self.was_ready and writer is not None and writer.is_unread()

    def _finish(self, failure: JobFailure) -> None:
        for cancel in self._cancel_timers:
            cancel()
        self._child.unwatch_end(self._io.unwatch)
        with self._lock.held:
            self.gone = True
            unread = self._is_unread()
            self._writer = None
            task, self._task = self._task, None
            self._child.close(self._io.unwatch)
        self._child.let_go()
        self._forget_questions()
        self._on_gone(self)
        if task is None:
            return
        if self.kept_from_starting or unread:
            task.on_not_started(failure)
        else:
            task.on_death(failure)

    # -- without the I/O thread --------------------------------------------------------------------

    def kill_now(self) -> None:
        """Kill it at the interpreter's exit; the caller waits with `wait_gone`."""
        if self._process is not None and not self.gone:
            self._child.look()
            self._child.kill()

    def wait_gone(self, timeout: float) -> bool:
        """Wait, after `kill_now`, for the end of the process, then end what is left of it."""
        if self._process is None or self.gone:
            return True
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._child.clean_up()
        with contextlib.suppress(RuntimeError):  # no thread can be started at the very end
            self._io.call(self._on_exit)  # it may be closed next, and tells no one of pipes then
        return True

    def forget_after_fork(self) -> None:
        """Close a forked child's copies of our pipe ends."""
        self.gone = True
        self._child.forget_after_fork()


def end_now(workers: Iterable[WorkerProcess]) -> bool:
    """End them without the I/O thread, at the interpreter's exit; True if all are gone in time."""
    workers = list(workers)
    for worker in workers:
        worker.kill_now()
    deadline = time.monotonic() + EXIT_SECONDS
    gone = [one.wait_gone(max(0.01, deadline - time.monotonic())) for one in workers]
    return all(gone)
