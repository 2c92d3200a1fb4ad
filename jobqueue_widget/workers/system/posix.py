"""Worker processes on Linux and macOS: pipes, process groups and signals, the guardian."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import psutil

from ..cleanup import ID_VARIABLE, clean_up_processes, descendants_of, signal_group
from ..guard import GUARD
from .exits import Exit

PIPE_SIZE = 1 << 20
AT_A_TIME = 16  # pieces that one call writes


class PipeEnd:
    """Our end of a worker's pipe, or a file that it writes."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    @classmethod
    def prepared(cls, fd: int) -> PipeEnd:
        """Make a pipe non-blocking, and 1 MiB large on Linux: few reads for large values."""
        os.set_blocking(fd, False)
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        return cls(fd)

    def read(self, size: int) -> bytes:
        """Read at most that many bytes."""
        return os.read(self.fd, size)

    def read_into(self, view: memoryview) -> int:
        """Read into it, without a copy."""
        return os.readv(self.fd, [view])

    def has_data(self) -> bool:
        """Look, without an error if there is none."""
        return bool(self._poll.poll(0))

    def write(self, pieces: Iterable[bytes | memoryview]) -> int:
        """Write what the pipe takes, without joining them."""
        return os.writev(self.fd, list(pieces)[:AT_A_TIME])

    def unread(self) -> int:
        """Return how many bytes the pipe holds."""
        if sys.platform != "linux":
            return 0
        import fcntl
        import termios

        try:
            return int.from_bytes(fcntl.ioctl(self.fd, termios.FIONREAD, bytes(4)), sys.byteorder)
        except OSError:
            return 0

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)


def open_pipes(count: int) -> list[tuple[int, int]]:
    """Open pipes; return pairs of ends to read and to write, or raise and leave none open."""
    pipes: list[tuple[int, int]] = []
    try:
        pipes.extend(os.pipe() for _ in range(count))  # keeps those before one that fails
    except BaseException:
        for fd in (end for pipe in pipes for end in pipe):
            os.close(fd)
        raise
    return pipes


class PosixChild:
    """A process that leads a session of its own, whose group is named by its pid."""

    jobs: PipeEnd
    frames: PipeEnd
    log: PipeEnd

    def __init__(self, worker_id: str) -> None:
        self._id = worker_id
        self.process: subprocess.Popen[bytes] | None = None
        self._exit: Exit | None = None
        self._control = -1
        self._ends: tuple[int, ...] = ()
        self._known: list[psutil.Process] = []

    @property
    def _group(self) -> int:
        return 0 if self.process is None else self.process.pid

    def start(self, command: Sequence[str], environ: Mapping[str, str], cwd: str | None) -> None:
        """Start it and tell the guardian."""
        pipes = open_pipes(4)
        (control, self._control), (jobs, to_jobs), (of_frames, frames), (of_log, log) = pipes
        self._ends = (to_jobs, of_frames, of_log)
        try:
            self.process = subprocess.Popen(
                [*command, *map(str, (control, jobs, frames))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environ, ID_VARIABLE: self._id},
                cwd=cwd,
                pass_fds=(control, jobs, frames),
                start_new_session=True,
            )
        finally:
            for fd in (control, jobs, frames, log):
                os.close(fd)
        os.set_blocking(self._control, False)
        GUARD.add(self._group, self._id)
        self.jobs, self.frames, self.log = map(PipeEnd.prepared, self._ends)

    def watch_end(self) -> int:
        """Open what tells it; -1 if that is not offered, not allowed, or it has ended."""
        with contextlib.suppress(AttributeError, OSError):
            self._exit = Exit(self._group)
        return -1 if self._exit is None else self._exit.fd

    def unwatch_end(self, unwatch: Callable[[int], object]) -> None:
        """Close it."""
        if self._exit is not None:
            unwatch(self._exit.fd)
            self._exit.close()
            self._exit = None

    def say(self, data: bytes) -> None:
        """Write it at once."""
        os.write(self._control, data)

    def note_ready(self) -> None:
        """Do nothing: the worker knows its children."""

    def has_started_some(self) -> bool:
        """Leave it to the worker."""
        return False

    def look(self) -> None:
        """Note its descendants, also those that leave the group."""
        self._known += descendants_of(self._group)

    def ask_to_end(self) -> None:
        """Send SIGTERM, and wake what was stopped."""
        signal_group(self._group, signal.SIGTERM)
        signal_group(self._group, signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL to the group."""
        signal_group(self._group, signal.SIGKILL)

    def clean_up(self) -> int:
        """End the group, what was noted, and what carries the id."""
        return clean_up_processes(self._group, self._id, self._known)

    def close(self, unwatch: Callable[[int], object]) -> None:
        """Close the pipes."""
        for fd in self._ends:
            unwatch(fd)
            os.close(fd)
        if self._control >= 0:
            os.close(self._control)
        self._ends, self._control = (), -1

    def let_go(self) -> None:
        """Tell the guardian."""
        if self.process is not None:
            GUARD.remove(self._group)

    def forget_after_fork(self) -> None:
        """Close the pipes; it is not our child, so never wait for it."""
        self.close(lambda fd: None)
        if self.process is not None:
            self.process.returncode = 0
