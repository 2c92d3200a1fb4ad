"""All that a worker's process needs of the operating system, on one page; picks this system's.

`posix.py` is for Linux and macOS, `windows.py` for Windows. Nothing else in `workers/` asks which
system this is, but what follows detached jobs, which are for POSIX alone.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

Bytes = bytes | memoryview


class ReadEnd(Protocol):
    """Our end of a pipe that a worker writes. I/O thread; no method waits."""

    @property
    def fd(self) -> int:
        """What `IoThread.watch` takes, to be told when there is something to read."""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; b"" at the end of the pipe.

        Raises:
            BlockingIOError: there is nothing to read now.
        """

    def read_into(self, view: memoryview) -> int:
        """Read as `read` does, into `view`; how many bytes that were."""

    def has_data(self) -> bool:
        """True if there is something to read, for less than a read that raises costs."""

    def close(self) -> None:
        """Close it; the caller has unwatched it."""


class WriteEnd(Protocol):
    """Our end of a pipe that a worker reads. Under a lock of its owner; no method waits."""

    @property
    def fd(self) -> int:
        """What `IoThread.watch_writable` takes, to be told when more can be written."""

    def write(self, pieces: Sequence[Bytes]) -> int:
        """Write what the pipe takes now of these pieces, none of them empty; how many bytes.

        Raises:
            BlockingIOError: it takes none now, or none from this thread.
            BrokenPipeError: nobody reads it any more.
        """

    def unread(self) -> int:
        """Return how many bytes nobody has read yet; 0 if the system does not tell."""

    def close(self) -> None:
        """Close it; the caller has unwatched it."""


class Child(Protocol):
    """A worker's process, with all that it starts, and our ends of its pipes.

    For the I/O thread, but what says "any thread". It is made with the id of its worker, which all
    that it starts has in its environment.
    """

    def __init__(self, worker_id: str) -> None: ...

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The process itself; None before it is there. Any thread."""

    @property
    def jobs(self) -> WriteEnd:
        """Where it is given its jobs, once it is started."""

    @property
    def frames(self) -> ReadEnd:
        """Where it tells what becomes of them."""

    @property
    def log(self) -> ReadEnd:
        """Where all goes that is printed in it."""

    def start(self, command: Sequence[str], environ: Mapping[str, str], cwd: str | None) -> None:
        """Start the process; three more arguments name its ends of control, jobs and frames.

        From here on, until `let_go`, the end of this process ends it too, with all that it starts.

        Raises:
            OSError: it could not be started, or not all of it: `process` is there in that case.
        """

    def watch_end(self) -> int:
        """Return what `IoThread.watch` takes to be told of its end; -1: somebody has to look."""

    def unwatch_end(self, unwatch: Callable[[int], object]) -> None:
        """Let go of what `watch_end` returned."""

    def say(self, data: bytes) -> None:
        """Send a few bytes on the control pipe, which is never full. Any thread, under a lock.

        Raises:
            OSError: nobody listens.
        """

    def note_ready(self) -> None:
        """Note that all that is there now is the worker itself."""

    def has_started_some(self) -> bool:
        """True if something else runs by now, where a worker cannot tell that by itself."""

    def look(self) -> None:
        """Note what it has started by now, as that may leave its group. Any thread."""

    def ask_to_end(self) -> None:
        """Ask all of it to end where that can be asked; else end it."""

    def kill(self) -> None:
        """End all of it. Any thread."""

    def clean_up(self) -> int:
        """Kill what is left once the process has ended; how many there were. Any thread."""

    def close(self, unwatch: Callable[[int], object]) -> None:
        """Unwatch and close our ends of the pipes. Under a lock."""

    def let_go(self) -> None:
        """Let go of a process of which nothing is left."""

    def forget_after_fork(self) -> None:
        """Close a forked child's copies of all this."""


NewChild: type[Child]
if sys.platform == "win32":
    from .windows import WindowsChild

    NewChild = WindowsChild
else:
    from .posix import PosixChild

    NewChild = PosixChild
