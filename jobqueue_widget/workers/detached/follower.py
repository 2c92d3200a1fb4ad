"""Starts the process of a detached job or finds it again, and follows what it writes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from ..._core.jobs import JobFailure
from ...child import wire
from ...child.detached import folder as protocol
from ...child.detached.bounds import first_kept
from ...child.guardian import WORKER, carriers
from ...protocols import IoThread
from ..cleanup import (
    ID_VARIABLE,
    clean_up_processes,
    death_of,
    descendants_of,
    is_alive,
    signal_group,
)
from ..environment import missing_folder
from ..piped import LOG_READS, PipedWorker
from ..pipes import READ_SIZE, FrameReader
from ..process import KILL_PATIENCE, SWEEP_INTERVAL, TERM_GRACE, TRY_LATER
from ..system.exits import Exit
from ..system.posix import PipeEnd
from ..task import Task
from .folders import Attempt

logger = logging.getLogger(__name__)

SCRIPT = Path(__file__).parents[2] / "child" / "detached" / "worker.py"
RUN_VARIABLE = "JOBQUEUE_DETACHED_RUN"
LOOK_SECONDS = 0.2
TOLD = frozenset({wire.READY, wire.METRICS, wire.MORE, wire.RETURNED, wire.DISPLAY, wire.ANSWER})
"""The frames that are believed: how it ended is read where it is sealed."""
NOT_BEGUN = "its kernel ended before it had begun"


class Follower(PipedWorker):
    """Stands for the process of one attempt. On the I/O thread unless stated."""

    def __init__(self, io: IoThread, attempt: Attempt, task: Task) -> None:
        super().__init__(io, _nobody, _nobody)
        self.attempt = attempt
        self.number = protocol.JOB_NUMBER
        self._task = task
        self._process: psutil.Process | None = None
        self._known: list[psutil.Process] = []
        self._exit: Exit | None = None
        self._log_fd = -1
        self._report = b""
        self._log_tail = b""
        self._log_at = 0  # byte to be read next
        self._log_waits = False  # there is more than was read at once
        self._why = ""
        self._ending = False
        self._is_child = False  # of this process, which has to wait for it
        self._exit_code: int | None = None  # if it was our child
        self.ended_unseen = False  # it had ended when it was looked for

    @property
    def pid(self) -> int:
        """The process id, which is also its group's; 0 while there is none. Any thread."""
        process = self._process
        return 0 if process is None else process.pid

    # -- beginning -----------------------------------------------------------------------------

    def start(
        self, environ: Mapping[str, str], run_id: str, terms: Mapping[str, Any], job: Sequence[Any]
    ) -> None:
        """Start the process for frames of a job; from then on it needs nothing of this one.

        Raises:
            OSError: it could not be started.
        """
        with contextlib.ExitStack() as stack:

            def opened(fd: int) -> int:
                stack.callback(os.close, fd)
                return fd

            new = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            place = self.attempt.folder
            os.mkfifo(place / protocol.CONTROL, 0o600)
            # To read and write: so it has no end, whoever goes.
            control = opened(os.open(place / protocol.CONTROL, os.O_RDWR | os.O_CLOEXEC))
            frames = opened(os.open(place / protocol.FRAMES, new, 0o600))
            log = opened(os.open(place / protocol.LOG, new, 0o600))
            jobs = opened(_nameless(place))
            said = wire.frame(protocol.TERMS, 0, [json.dumps(dict(terms)).encode()])
            wire.write_all(jobs, [self.attempt.key, *said, *job])
            os.lseek(jobs, 0, os.SEEK_SET)
            marks = {ID_VARIABLE: self.attempt.id, RUN_VARIABLE: run_id}
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), *map(str, (control, jobs, frames)), str(place)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environ, **marks},
                cwd=missing_folder(),
                pass_fds=(control, jobs, frames),
                start_new_session=True,
            )
        self._is_child = True
        process.returncode = 0  # it may outlive us: nobody waits for it but `_is_waited_for`
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(process.pid)
        self._follow()

    def find(self) -> None:
        """Find the process again, or what it has left."""
        for pid in tuple(_LEFT):
            if _waited_for(pid)[0]:
                _LEFT.discard(pid)
        self._process = self.attempt.process()
        self._is_child = self.pid in _LEFT
        _LEFT.discard(self.pid)
        self.ended_unseen = self._process is None
        self._follow()

    def _follow(self) -> None:
        frames, self._log_fd = self.attempt.open(protocol.FRAMES), self.attempt.open(protocol.LOG)
        self._reader = None if frames < 0 else FrameReader(PipeEnd(frames), TOLD)
        if self._process is not None:
            with contextlib.suppress(AttributeError, OSError):  # not offered, or it is gone
                self._exit = Exit(self._process.pid)
        if self._exit is not None:
            self._io.watch(self._exit.fd, self._on_exit)
        self._look()

    def leave(self) -> None:
        """Follow it no more, and let it run. Any thread."""
        with self._lock.held:
            self._task = None
        self._io.call(self._let_go)

    def _let_go(self) -> None:
        self.gone = True
        if self._is_child:
            _LEFT.add(self.pid)
        self._close_ends()
        self._forget_questions()

    # -- following -----------------------------------------------------------------------------

    def _look(self) -> None:
        if self.gone or self._ending:
            return
        self._read_all(self._read_log)
        if self._process is None or (self._exit is None and not is_alive(self._process)):
            self._on_exit()
        else:
            self._io.call_later(0.0 if self._log_waits else LOOK_SECONDS, self._look)

    def _read_all(self, read_log: Callable[[], object]) -> None:
        """Read what has come; a disk that fails keeps nobody from seeing the end."""
        for read in (self._read_report, self._read_frames, read_log):
            try:
                read()
            except OSError as error:
                logger.debug("what job %s tells cannot be read: %s", self.attempt.folder, error)

    def _read_report(self) -> None:
        data = self.attempt.read(protocol.PROGRESS_FILE)
        if data == self._report or self._task is None:
            return
        text = protocol.read_report(data)
        if text is not None:  # else it is being written
            self._report = data
            self._gather(wire.PROGRESS, self.number, bytearray(text))

    def _read_frames(self) -> None:
        reader = self._reader
        if reader is None:
            return
        try:
            reader.read(self._gather)
            reader.rewind()
        except wire.ProtocolError as error:
            self._break(str(error))
        else:
            self._read_those_written_anew(reader)

    def _read_those_written_anew(self, reader: FrameReader) -> None:
        """Read what took the place of the frames so far: all is told there once more."""
        frames = self.attempt.open(protocol.FRAMES)
        if frames < 0 or os.path.sameopenfile(frames, reader.fd):
            if frames >= 0:
                os.close(frames)
            return
        os.close(reader.fd)
        self._pieces.clear()
        self._reader = FrameReader(PipeEnd(frames), TOLD)
        if self._task is not None:
            self._task.on_metrics({}, anew=True)
        self._read_frames()

    def _read_log(self) -> None:
        self._log_waits = self._read_some_log()

    def _read_some_log(self) -> bool:
        """Read what has come; True if there may be more."""
        for _ in range(LOG_READS):
            data = self._next_of_log() if self._log_fd >= 0 else b""
            if not data:
                return False
            self._keep_log(data)
            self._tell_log(data)
        return True

    def _next_of_log(self) -> bytes:
        """Read on, and say how much was freed that is not read."""
        while True:
            data = os.pread(self._log_fd, READ_SIZE, self._log_at)
            kept = first_kept(self._log_fd, self._log_at) if data else self._log_at
            if kept == self._log_at:  # also as it was read, as only beginnings are freed
                self._log_at += len(data)
                return data
            self._tell_log(b"\n[... %d bytes were dropped here ...]\n" % (kept - self._log_at))
            self._log_at = kept

    def _drain_log(self) -> None:
        while self._read_some_log():
            continue

    def _tell_log(self, data: bytes) -> None:
        if self._task is not None:
            self._task.on_log(data)

    def _keep_log(self, data: bytes) -> None:
        self._log_tail = (self._log_tail + data)[-2000:]

    def _on_ready(self) -> None:
        if self._task is not None:
            self._task.on_started()

    def _break(self, what: str) -> None:
        """Read no more frames: somebody has written there. The job goes on."""
        reader, self._reader = self._reader, None
        if reader is not None:
            os.close(reader.fd)
            self._tell_log(f"[what it tells cannot be read any more: {what}]\n".encode())

    # -- stopping ------------------------------------------------------------------------------

    def _say(self, kind: bytes, number: int, body: bytes = b"") -> None:
        """Write into its pipe. Any thread."""
        if not self.gone:
            self.attempt.say(wire.HEADER.pack(kind, number, len(body)) + body)

    def kill(self) -> None:
        """End the process and all that it started. Any thread."""
        self._io.call(self._kill, None, "forced")

    def _kill(self, task: Task | None, why: str) -> None:
        if self.gone or self._ending or self._process is None:
            return
        self._why = why
        self._known += descendants_of(self.pid)
        signal_group(self.pid, signal.SIGTERM)
        signal_group(self.pid, signal.SIGCONT)
        self._io.call_later(TERM_GRACE, self._kill_hard)
        self._io.call_later(KILL_PATIENCE, self._tell_kill_failed)

    def _kill_hard(self) -> None:
        if not self.gone and not self._ending:
            self._known += descendants_of(self.pid)
            signal_group(self.pid, signal.SIGKILL)

    def _tell_kill_failed(self) -> None:
        if not self.gone and self._task is not None:
            self._task.on_kill_failed(f"process {self.pid}, or one that it started, is still there")

    def _on_leaving(self) -> None:
        """Do nothing: such a process has one job."""

    # -- its end -------------------------------------------------------------------------------

    def _on_exit(self) -> None:
        """Handle that the process has ended, or that there is none: end what is left of it."""
        if self.gone or self._ending:
            return
        self._ending = True
        self._unwatch_end()
        if self._process is not None:
            self._io.call_later(KILL_PATIENCE, self._tell_kill_failed)
        self._sweep()

    def _sweep(self) -> None:
        if self.gone:
            return
        if self._end_what_is_left() or not self._is_waited_for():
            self._io.call_later(SWEEP_INTERVAL, self._sweep)
            return
        self._read_all(self._drain_log)
        self._finish()

    def _end_what_is_left(self) -> int:
        if self._process is not None:
            return clean_up_processes(self.pid, self.attempt.id, self._known)
        left = carriers({WORKER + self.attempt.id.encode()})  # its group's number may be another's
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return len(left)

    def _finish(self) -> None:
        failure, unstarted = self._failure()
        with self._lock.held:
            self.gone = True
            task, self._task = self._task, None
            self._close_ends()
        self._forget_questions()
        if task is not None:
            (task.on_not_started if unstarted else task.on_death)(failure)

    def _failure(self) -> tuple[JobFailure, bool]:
        """Say how it died, if it has not told an outcome; True if it can never have begun."""
        code = self._exit_code
        withdrawn = self.attempt.withdraw()
        if code is None:
            gone = self.attempt.gone()
            return JobFailure("WorkerDied", NOT_BEGUN) if withdrawn else gone, withdrawn
        failure = death_of(code, self._why, self.was_ready, self._log_tail)
        return failure, withdrawn and (code < 0 or code == TRY_LATER)

    def _is_waited_for(self) -> bool:
        """False while a child of ours, whose first thread may have ended, has others that run."""
        if self._is_child:
            ended, self._exit_code = _waited_for(self.pid)
            self._is_child = not ended
        return not self._is_child

    def _unwatch_end(self) -> None:
        if self._exit is not None:
            self._io.unwatch(self._exit.fd)
            self._exit.close()
            self._exit = None

    def _close_ends(self) -> None:
        self._unwatch_end()
        reader, self._reader = self._reader, None
        log, self._log_fd = self._log_fd, -1
        for fd in (-1 if reader is None else reader.fd, log):
            if fd >= 0:
                os.close(fd)


def _nobody(worker: object) -> None:
    """Tell nobody: there is no pool that such a process could go back to."""


_LEFT: set[int] = set()  # children of this process that no queue of it follows any more


def _waited_for(pid: int) -> tuple[bool, int | None]:
    """Say if our child has ended, and how, which is told once: None if somebody has waited."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True, None
    return (True, os.waitstatus_to_exitcode(status)) if ended else (False, None)


def _nameless(folder: Path) -> int:
    """Open a file that nobody else finds, and that is gone with the last who has it open.

    The job stands in it, with its environment: in memory where the system has such files.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create("jobqueue-job", os.MFD_CLOEXEC)
    fd, name = tempfile.mkstemp(dir=folder)
    os.unlink(name)
    return fd
