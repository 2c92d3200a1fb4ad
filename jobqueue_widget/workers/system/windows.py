"""Worker processes on Windows: overlapped pipes, and a Job Object that ends with this process.

Our ends of the pipes are opened for overlapped I/O, the child's as usual. Nothing waits: an event
for each end says when there is more to do, and the I/O thread waits for that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil

from ..cleanup import ID_VARIABLE
from ..guard import GUARD

assert sys.platform == "win32"
import _overlapped  # noqa: E402
import _winapi  # noqa: E402
import msvcrt  # noqa: E402
from asyncio.windows_utils import pipe  # noqa: E402

from .jobs import JobObject  # noqa: E402

PIPE_SIZE = 1 << 20
AT_A_TIME = 1 << 20  # bytes that are written by one call
CREATE_SUSPENDED = 0x4


class _End:
    """One end of a pipe, and the event that is set when there is something to do with it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.fd: int = _overlapped.CreateEvent(None, True, True, None)

    def _operation(self) -> _overlapped.Overlapped:
        """Begin a call that sets the event when it is done; it closes its own copy of that."""
        here = _winapi.GetCurrentProcess()
        event = _winapi.DuplicateHandle(
            here, self.fd, here, 0, False, _winapi.DUPLICATE_SAME_ACCESS
        )
        return _overlapped.Overlapped(event)

    def close(self) -> None:
        """Close both; what was under way is given up."""
        _winapi.CloseHandle(self._handle)
        _winapi.CloseHandle(self.fd)


class WindowsReadEnd(_End):
    """Our end of a pipe that a worker writes."""

    _look: _overlapped.Overlapped | None = None  # a read of no bytes, which waits for some

    def read(self, size: int) -> bytes:
        """Read at most that many bytes."""
        count = self._count()
        if not count:
            return b""
        reading = self._operation()
        reading.ReadFile(self._handle, min(size, count))
        data: bytes = reading.getresult(True)
        if count <= size:
            self._wait()
        return data

    def read_into(self, view: memoryview) -> int:
        """Read into it, without a copy."""
        count = min(len(view), self._count())
        if count:
            reading = self._operation()
            reading.ReadFileInto(self._handle, view[:count])
            reading.getresult(True)
        return count

    def _count(self) -> int:
        try:
            count = int(_winapi.PeekNamedPipe(self._handle, 0)[0])
        except BrokenPipeError:
            return 0
        if not count:
            self._wait()
            raise BlockingIOError
        return count

    def _wait(self) -> None:
        """Have the event set by the next byte, or by the end of the pipe."""
        if self._look is None or not self._look.pending:
            self._look = self._operation()
            try:
                self._look.ReadFile(self._handle, 0)
            except BrokenPipeError:
                _overlapped.SetEvent(self.fd)

    def has_data(self) -> bool:
        """Look."""
        try:
            return bool(_winapi.PeekNamedPipe(self._handle, 0)[0])
        except BrokenPipeError:
            return False

    def close(self) -> None:
        """Close it, and look no more."""
        if self._look is not None and self._look.pending:
            self._look.cancel()
        self._look = None
        super().close()


class WindowsWriteEnd(_End):
    """Our end of a pipe that a worker reads.

    A write that its thread does not outlive is undone by the system, so the I/O thread writes all.
    """

    def __init__(self, handle: int) -> None:
        super().__init__(handle)
        self._thread = threading.get_ident()
        self._writing: _overlapped.Overlapped | None = None

    def write(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Begin to write the first piece, which counts as written."""
        if self._writing is not None and self._writing.pending:
            raise BlockingIOError
        if threading.get_ident() != self._thread:
            raise BlockingIOError
        piece = memoryview(pieces[0]).cast("B")[:AT_A_TIME]
        self._writing = self._operation()
        self._writing.WriteFile(self._handle, piece)
        return len(piece)

    def say(self, data: bytes) -> None:
        """Write a few bytes, for which there is room. Any thread."""
        writing = self._operation()
        writing.WriteFile(self._handle, data)
        if writing.pending:
            writing.cancel()
            raise BlockingIOError("the pipe is full")

    def unread(self) -> int:
        """Return 0: the system does not tell."""
        return 0

    def close(self) -> None:
        """Close it; what nobody has read by now is lost."""
        if self._writing is not None and self._writing.pending:
            self._writing.cancel()
        self._writing = None
        super().close()


class WindowsChild:
    """A process in a Job Object, which all that it starts is in, too."""

    jobs: WindowsWriteEnd
    frames: WindowsReadEnd
    log: WindowsReadEnd

    def __init__(self, worker_id: str) -> None:
        self._id = worker_id
        self.process: subprocess.Popen[bytes] | None = None
        self._ends: list[WindowsReadEnd | WindowsWriteEnd] = []
        self._control: WindowsWriteEnd | None = None
        self._job: JobObject | None = None
        self._own = 1  # processes of it that are the worker itself

    def start(self, command: Sequence[str], environ: Mapping[str, str], cwd: str | None) -> None:
        """Start it suspended, put it into its Job Object, and let it run."""
        theirs: list[Any] = []
        try:
            self._control, self.jobs = (self._to_child(theirs) for _ in range(2))
            self.frames, self.log = (self._from_child(theirs) for _ in range(2))
            log = msvcrt.open_osfhandle(theirs.pop(), os.O_BINARY)
            try:
                self._start(command, environ, cwd, theirs, log)
            finally:
                os.close(log)
        finally:
            for handle in theirs:
                _winapi.CloseHandle(handle)

    def _to_child(self, theirs: list[Any]) -> WindowsWriteEnd:
        of_child, ours = pipe(overlapped=(False, True), bufsize=PIPE_SIZE)
        theirs.append(of_child)
        end = WindowsWriteEnd(ours)
        self._ends.append(end)
        return end

    def _from_child(self, theirs: list[Any]) -> WindowsReadEnd:
        ours, of_child = pipe(overlapped=(True, False), bufsize=PIPE_SIZE)
        theirs.append(of_child)
        end = WindowsReadEnd(ours)
        self._ends.append(end)
        return end

    def _start(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        cwd: str | None,
        handles: Sequence[int],
        log: int,
    ) -> None:
        self._job = JobObject()
        for handle in handles:
            os.set_handle_inheritable(handle, True)
        self.process = subprocess.Popen(
            [*command, *map(str, handles)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**environ, ID_VARIABLE: self._id},
            cwd=cwd,
            startupinfo=subprocess.STARTUPINFO(lpAttributeList={"handle_list": list(handles)}),
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP
            | subprocess.CREATE_NO_WINDOW
            | CREATE_SUSPENDED,
        )
        try:
            self._job.add(self._handle)
            psutil.Process(self.process.pid).resume()
            GUARD.add(self.process.pid, self._id)  # which removes our folders
        except BaseException:
            self.process.kill()  # it may not be in its job
            raise

    @property
    def _handle(self) -> int:
        return int(self.process._handle) if self.process is not None else 0  # type: ignore[attr-defined]

    def watch_end(self) -> int:
        """Return the handle of the process, which can be waited for."""
        return self._handle or -1

    def unwatch_end(self, unwatch: Callable[[int], object]) -> None:
        """Wait for it no more."""
        if self.process is not None:
            unwatch(self._handle)

    def say(self, data: bytes) -> None:
        """Write it at once."""
        if self._control is not None:
            self._control.say(data)

    def note_ready(self) -> None:
        """Count them: of a virtual environment there are two."""
        if self._job is not None:
            self._own = self._job.count()

    def has_started_some(self) -> bool:
        """Count again."""
        return self._job is not None and self._job.count() > self._own

    def look(self) -> None:
        """Do nothing: nothing leaves the job."""

    def ask_to_end(self) -> None:
        """End it: nothing can be asked here that a program would hear."""
        self.kill()

    def kill(self) -> None:
        """End all that is in its job."""
        if self._job is not None:
            self._job.end()

    def clean_up(self) -> int:
        """End what is left in its job."""
        if self._job is None:
            return 0
        left = self._job.count()
        if left:
            self._job.end()
        return left

    def close(self, unwatch: Callable[[int], object]) -> None:
        """Close the pipes."""
        for end in self._ends:
            unwatch(end.fd)
            end.close()
        self._ends, self._control = [], None

    def let_go(self) -> None:
        """Close the job."""
        if self.process is not None:
            GUARD.remove(self.process.pid)
        job, self._job = self._job, None
        if job is not None:
            job.close()

    def forget_after_fork(self) -> None:
        """Do nothing: there are no forks."""
