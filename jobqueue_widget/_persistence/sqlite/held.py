"""Holds locks of files that end with their holder, and neither before nor after it.

A POSIX record lock is dropped as soon as its process closes *any* descriptor of the file: a backup
that a notebook makes of its folder, with its journal in it, is enough. A lock of the open file
description (Linux, since 3.15) is dropped by its own descriptor only. Both see each other, so
kernels and SQLites that hold record locks are respected, and respect ours.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from .beside import open_safely, sibling

BEYOND = 4096  # bytes that others may read of a file that is locked on Windows
# Where SQLite locks: in the file whoever has it open, in `-shm` whoever uses it (os_unix.c).
_HAS_IT_OPEN = (0x40000000 + 2, 510)
_USES_IT = (128, 1)
_HEAD = 96  # bytes of `-shm`: how far the log goes, twice (wal.c)

_held: set[int] = set()  # descriptors whose locks a forked child would share


def _after_fork() -> None:
    for fd in _held:
        with contextlib.suppress(OSError):
            os.close(fd)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def hold_exclusively(fd: int) -> None:
    """Lock a file as long as `fd` is open, in this process alone.

    Raises:
        OSError: another process, or this one by another descriptor, has locked it.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(fd, BEYOND, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        return
    import fcntl

    _held.add(fd)
    try:
        if sys.platform != "linux":  # where record locks and those of flock see each other
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        try:
            _of_description(fd, "F_WRLCK")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a kernel or file system without it
    except BaseException:
        _held.discard(fd)
        raise


def release_fd(fd: int) -> None:
    """Close a descriptor, and so release its lock."""
    _held.discard(fd)
    os.close(fd)


def _of_description(fd: int, kind: str, start: int = 0, length: int = 0) -> None:
    """Set or clear a lock of the open file description. On Linux."""
    import fcntl

    struct_flock = struct.pack("hhqqi0q", getattr(fcntl, kind), os.SEEK_SET, start, length, 0)
    fcntl.fcntl(fd, getattr(fcntl, "F_OFD_SETLK"), struct_flock)  # noqa: B009 (mypy, elsewhere)


class Shield:
    """Holds once more what SQLite's connection to a journal holds by record locks.

    Once those are dropped, the next process to open the journal takes it for left: it cuts `-shm`,
    which is mapped here (SIGBUS), and may delete `-wal` as it closes. Elsewhere than on Linux it
    does nothing.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._fds: list[int] = []
        self._index: int | None = None
        self._pid = 0

    def head(self) -> bytes:
        """Read where SQLite's index of its log begins, which only whoever writes changes."""
        return b"" if self._index is None else os.pread(self._index, _HEAD, 0)

    def lift(self) -> None:
        """Lock, once the connection has its files open and needs none of them alone any more."""
        if sys.platform != "linux":
            return
        self._pid = os.getpid()
        for suffix, place in (("", _HAS_IT_OPEN), ("-shm", _USES_IT)):
            with contextlib.suppress(OSError):  # then SQLite's own locks must do
                fd = open_safely(sibling(self._journal, suffix), os.O_RDONLY)
                _held.add(fd)
                self._fds.append(fd)
                _of_description(fd, "F_RDLCK", *place)
                self._index = fd  # the last of them

    @contextlib.contextmanager
    def lowered(self) -> Iterator[None]:
        """Unlock for the connection's end; close after it, as that drops the connection's locks."""
        fds, self._fds, self._index = self._fds, [], None
        if self._pid != os.getpid():
            fds = []  # closed at the fork
        for fd in fds:
            with contextlib.suppress(OSError):
                _of_description(fd, "F_UNLCK")
        try:
            yield
        finally:
            for fd in fds:
                release_fd(fd)
