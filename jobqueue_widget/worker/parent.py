"""The kernel's side of one worker process: its pipes, its jobs one at a time, its certain end."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from .._core.jobs import JobFailure
from ..protocols import IoThread
from . import wire
from .guard import GUARD
from .pipes import FROM_WORKERS, PIPE_SIZE, READ_SIZE, FrameReader, PipeWriter, prepare_pipe
from .remains import ID_VARIABLE, death_of, descendants_of, end_remains, signal_group
from .task import Task

logger = logging.getLogger(__name__)

CHILD = Path(__file__).with_name("child.py")
TERM_GRACE = 0.3  # seconds between SIGTERM and SIGKILL
KILL_PATIENCE = 5.0  # seconds after which a kill is told as failed
START_PATIENCE = 60.0
EXIT_PATIENCE = 0.5
SWEEP_INTERVAL = 0.01
CLOSED_PIPE_PATIENCE = 0.2
LOG_READS = 64  # per callback, so that a flood does not keep the thread from everything else


class WorkerProcess:
    """One child process. Methods are for any thread unless they say "I/O thread"."""

    script, kinds = CHILD, FROM_WORKERS  # what runs in it, and the frames that may come from there

    def __init__(
        self,
        io: IoThread,
        command: Sequence[str],
        environ: Mapping[str, str],
        run_id: str,
        on_free: Callable[[WorkerProcess], None],
        on_gone: Callable[[WorkerProcess], None],
    ) -> None:
        self._io = io
        self._command = list(command)
        self.id = uuid.uuid4().hex
        self._environ = {**environ, ID_VARIABLE: self.id, "JOBQUEUE_RUN_ID": run_id}
        self._on_free = on_free
        self._on_gone = on_gone
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._control = -1
        self._ready = False
        self._dying = False
        self.gone = False
        self._task: Task | None = None
        self._number = 0
        self._queued: list[bytes | memoryview] | None = None
        self._writer: PipeWriter | None = None
        self._reader: FrameReader | None = None
        self._log_fd = -1
        self._log_poll = select.poll()
        self._log_tail = b""
        self._known: list[psutil.Process] = []
        self._why = ""
        self._cancel_timers: list[Callable[[], None]] = []
        self.jobs_done = 0
        self.setup: dict[str, Any] | None = None  # what it has taken over last

    @property
    def pid(self) -> int:
        """The process id; also its group's. 0 before it is started."""
        return self._process.pid if self._process is not None else 0

    @property
    def usable(self) -> bool:
        """True while it can take a job, now or when it is ready."""
        return not self._dying and not self.gone

    @property
    def was_ready(self) -> bool:
        """True if it ever could take a job."""
        return self._ready

    # -- starting (I/O thread) -----------------------------------------------------------------

    def start(self) -> None:
        """Start the process. One that cannot be started dies like one that ended."""
        try:
            theirs, ours = os.pipe()
            try:
                process = subprocess.Popen(
                    [*self._command, str(self.script), str(theirs)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    env=self._environ,
                    pass_fds=(theirs,),
                    start_new_session=True,
                )
            except BaseException:
                os.close(ours)
                raise
            finally:
                os.close(theirs)
            self._control = ours
            os.set_blocking(ours, False)
        except OSError as error:
            self._why = f"could not be started: {error}"
            self._finish(JobFailure("WorkerDied", f"worker {self._why}"))
            return
        self._process = process
        GUARD.add(process.pid, self.id)
        assert process.stdin
        assert process.stdout
        assert process.stderr
        for stream in (process.stdin, process.stdout, process.stderr):
            prepare_pipe(stream.fileno())
        self._writer = PipeWriter(process.stdin.fileno())
        self._reader = FrameReader(process.stdout.fileno(), self.kinds)
        self._log_fd = process.stderr.fileno()
        self._log_poll.register(self._log_fd, select.POLLIN)
        self._io.watch(self._reader.fd, self._read_frames)
        self._io.watch(self._log_fd, self._read_log)
        if hasattr(os, "pidfd_open"):
            self._pidfd = os.pidfd_open(process.pid)
            self._io.watch(self._pidfd, self._on_exit)
        else:
            self._later(0.02, self._poll_exit)
        self._later(START_PATIENCE, self._check_started)

    def _later(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        self._cancel_timers.append(self._io.call_later(seconds, callback, *args))

    def _poll_exit(self) -> None:
        """Where there is no pidfd."""
        assert self._process is not None
        if self._process.poll() is None:
            self._later(0.02, self._poll_exit)
        else:
            self._on_exit()

    def _check_started(self) -> None:
        if not self._ready:
            self._break(f"did not become ready within {START_PATIENCE:g} s")

    # -- jobs ----------------------------------------------------------------------------------

    def give(self, task: Task, frames: list[bytes | memoryview], number: int) -> bool:
        """Let it work on `task`; False if it cannot any more. One at a time."""
        with self._lock:
            if not self.usable:
                return False
            assert self._task is None, "a worker takes one job at a time"
            self._task, self._number = task, number
            if not self._ready:
                self._queued = frames
                task.on_starting()
                return True
        self._write(frames)
        return True

    def take_back(self, task: Task) -> bool:
        """Undo `give` while the job has not been sent. True: it never ran."""
        with self._lock:
            if self._task is not task or self._queued is None:
                return False
            self._task = self._queued = None
        self._io.call(self._on_free, self)
        return True

    def ask(self, task: Task) -> None:
        """Pass on that the job shall stop."""
        with self._lock:
            if self._task is not task:
                return
            self._say(wire.ASK, self._number)

    def kill(self, task: Task | None = None, why: str = "") -> None:
        """End the process and everything that is its. With `task`: only if it still works on it."""
        self._io.call(self._kill, task, why)

    def close(self) -> None:
        """Let an idle worker leave; it is killed if it does not."""
        with self._lock:
            if self._dying or self.gone:
                return
            self._dying = True
            self._say(wire.EXIT, 0)
        self._io.call(self._later, EXIT_PATIENCE, self._kill_hard)

    def _say(self, kind: bytes, number: int, body: bytes = b"") -> None:
        """Under the lock. A frame of a few bytes on the control pipe, which is never full."""
        if self._control >= 0 and not self.gone:
            try:
                os.write(self._control, wire.HEADER.pack(kind, number, len(body)) + body)
            except OSError as error:
                logger.debug("worker %d does not listen any more: %s", self.pid, error)

    # -- pipes ---------------------------------------------------------------------------------

    def _write(self, pieces: list[bytes | memoryview]) -> None:
        """As much as the pipe takes now, from this thread; the rest from the I/O thread."""
        with self._lock:
            if not self.gone and self._writer is not None and not self._writer.write(pieces):
                self._io.watch_writable(self._writer.fd, self._write_rest)

    def _write_rest(self) -> None:
        with self._lock:
            if not self.gone and self._writer is not None and self._writer.write(()):
                self._io.watch_writable(self._writer.fd, None)

    def _read_frames(self) -> None:
        """I/O thread: everything that is in the pipe."""
        reader = self._reader
        if reader is None or self.gone:
            return
        try:
            if reader.read(self._handle):
                return
            self._io.unwatch(reader.fd)
            self._later(CLOSED_PIPE_PATIENCE, self._break, "closed its pipe")
        except wire.ProtocolError as error:
            self._break(str(error))

    def _handle(self, kind: bytes, number: int, body: bytearray) -> None:
        task = self._task
        if kind == wire.READY:
            self._become_ready()
        elif task is None or number != self._number:
            return  # of a job that is over
        elif kind == wire.VALUE:
            self._end_task(task, wire.PLAIN_VALUE, [memoryview(body)])
        elif kind == wire.PROGRESS:
            try:
                fraction, message = json.loads(body)
            except (ValueError, TypeError) as error:
                self._break(f"sent progress that cannot be read: {error}")
                return
            task.on_progress(fraction, message)
        else:
            try:
                meta, parts = wire.read_end(memoryview(body))
            except (wire.ProtocolError, ValueError) as error:
                self._break(f"sent an end that cannot be read: {error}")
                return
            self._end_task(task, meta, parts)

    def _become_ready(self) -> None:
        with self._lock:
            self._ready = True
            frames, self._queued = self._queued, None
            task = self._task
        if frames is not None and task is not None:
            self._write(frames)
            task.on_started()
        else:
            self._on_free(self)

    def _end_task(self, task: Task, meta: dict[str, Any], parts: Sequence[memoryview]) -> None:
        self._drain_log()
        must_go = task.on_end(meta, parts)
        self.jobs_done += 1
        if must_go:
            self._kill(task, "its job left something behind")
            return
        with self._lock:
            self._task = None
        self._on_free(self)
        task.on_free()

    def _read_log(self) -> None:
        try:
            for _ in range(LOG_READS):
                data = os.read(self._log_fd, READ_SIZE)
                if not data:
                    self._io.unwatch(self._log_fd)
                    return
                self._keep_log(data)
                if self._task is not None:
                    self._task.on_log(data)
        except BlockingIOError:
            return

    def _keep_log(self, data: bytes) -> None:
        self._log_tail = (self._log_tail + data)[-2000:]

    def _drain_log(self) -> None:
        """What the job has printed is in the pipe when its end frame is."""
        if not self._log_poll.poll(0):  # most print nothing, and a read that says so is an error
            return
        for _ in range(PIPE_SIZE // READ_SIZE // LOG_READS + 1):
            self._read_log()

    # -- ending (I/O thread) -----------------------------------------------------------------------

    def _break(self, what: str) -> None:
        """The protocol is broken: nothing more is believed."""
        if not self.gone:
            logger.warning("worker %d %s", self.pid, what)
            self._kill(None, what)

    def _kill(self, task: Task | None, why: str) -> None:
        if self.gone or (task is not None and self._task is not task):
            return
        with self._lock:
            self._dying = True
        self._why = self._why or why
        self._known += descendants_of(self.pid)
        signal_group(self.pid, signal.SIGTERM)
        signal_group(self.pid, signal.SIGCONT)
        self._later(TERM_GRACE, self._kill_hard)
        self._later(KILL_PATIENCE, self._tell_kill_failed)

    def _kill_hard(self) -> None:
        if not self.gone and self._process is not None and self._process.returncode is None:
            self._known += descendants_of(self.pid)
            signal_group(self.pid, signal.SIGKILL)

    def _tell_kill_failed(self) -> None:
        if not self.gone and self._task is not None:
            self._task.on_kill_failed(f"process {self.pid}, or one that it started, is still there")

    def _on_exit(self) -> None:
        """The process has ended: read its last words, then end what is left of it."""
        assert self._process is not None
        with self._lock:
            self._dying = True
        if self._pidfd >= 0:
            self._io.unwatch(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self._process.wait()
        self._read_frames()
        self._later(KILL_PATIENCE, self._tell_kill_failed)
        self._sweep()

    def _sweep(self) -> None:
        if self.gone:
            return
        assert self._process is not None
        if end_remains(self.pid, self.id, self._known):
            self._io.call_later(SWEEP_INTERVAL, self._sweep)
            return
        self._drain_log()
        self._finish(death_of(self._process.returncode, self._why, self._ready, self._log_tail))

    def _finish(self, failure: JobFailure) -> None:
        for cancel in self._cancel_timers:
            cancel()
        process = self._process
        with self._lock:
            self.gone = True
            self._writer = None
            task, self._task = self._task, None
            if self._control >= 0:
                os.close(self._control)
                self._control = -1
        if process is not None:
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    self._io.unwatch(stream.fileno())
                    stream.close()
            GUARD.remove(process.pid)
        self._on_gone(self)
        if task is not None:
            task.on_death(failure)

    # -- without the I/O thread --------------------------------------------------------------------

    def kill_now(self) -> None:
        """SIGKILL at once, for the end of the interpreter; the caller waits with `wait_gone`."""
        if self._process is not None and not self.gone:
            self._known += descendants_of(self.pid)
            signal_group(self.pid, signal.SIGKILL)

    def wait_gone(self, timeout: float) -> bool:
        """After `kill_now`: until the process has ended, then end what is left of it."""
        if self._process is None or self.gone:
            return True
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        end_remains(self.pid, self.id, self._known)
        return True

    def forget_after_fork(self) -> None:
        """In a forked child: close its copies of our pipe ends."""
        self.gone = True
        if self._control >= 0:
            os.close(self._control)
        if self._process is not None:
            self._process.returncode = 0  # not our child: never wait for it
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()
