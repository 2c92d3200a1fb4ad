"""Gives a journal to one queue at a time, by a lock file beside it that says who has it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from pathlib import Path
from typing import Any

from ..._core.stored import Session
from ...errors import JournalError, JournalInUseError
from .beside import open_own, sibling
from .held import hold_exclusively, release_fd
from .presence import Identity, identity

TAKEN = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})  # raised if others have the lock
_RECORD = 4096  # bytes, written from the start, so that a mark needs no room on a full disk
_mine: dict[Identity, int] = {}  # (device, inode) of locks of this process -> its pid


class JournalLock:
    """A lock of the operating system on `<journal>.lock`, which ends with the process in any case.

    No reader of the file in this process drops it, and no fork of this process keeps it.
    """

    def __init__(self, journal: Path) -> None:
        self.path = sibling(journal, ".lock")
        self._fd: int | None = None
        self.key: Identity = (0, 0)
        self._pid = 0
        self.was_complete = True
        self.had_owner = False

    def take(self, session: Session) -> None:
        """Take the lock, or say who has it.

        Raises:
            JournalInUseError: a living kernel has it.
            JournalError: the file cannot be made or locked.
        """
        if _is_ours(self.path):
            raise JournalInUseError(f"this kernel has {self._journal} open already")
        try:
            fd = open_own(self.path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise JournalError(
                f"{self._journal} cannot be used here: {self.path.name} cannot be written "
                f"({error.strerror}); choose a folder that you may write"
            ) from error
        self._session = session
        self._hold(fd, as_told=True)

    def _hold(self, fd: int, *, as_told: bool) -> None:
        """Lock the open file and write who has it; close it if that fails."""
        try:
            self._lock(fd)
            told = _read(fd)
            if as_told:
                self.had_owner = bool(told)
                self.was_complete = bool(told.get("complete", True))
            status = os.fstat(fd)
        except BaseException:
            release_fd(fd)
            raise
        self._fd, self.key, self._pid = fd, (status.st_dev, status.st_ino), os.getpid()
        _mine[self.key] = self._pid
        self._write(complete=self.was_complete)

    def _lock(self, fd: int) -> None:
        try:
            hold_exclusively(fd)
        except OSError as error:
            if error.errno not in TAKEN:
                raise JournalError(
                    f"{self._journal} cannot be used here: {self.path.name} cannot be locked "
                    f"({error.strerror})"
                ) from error
            raise JournalInUseError(_in_use(self._journal, _read(fd))) from error

    def is_there(self) -> bool:
        """True if the path still leads to the file that is locked."""
        return identity(self.path) == self.key

    def take_again(self) -> None:
        """Lock the file that is at the path now, made if there is none, and leave the old one.

        Raises:
            JournalInUseError: another kernel has locked it.
            JournalError, OSError: it cannot be made or locked.
        """
        old, key = self._fd, self.key
        self._hold(open_own(self.path, os.O_RDWR | os.O_CREAT), as_told=False)
        _mine.pop(key, None)
        if old is not None:
            release_fd(old)

    @property
    def _journal(self) -> str:
        return repr(str(self.path.with_suffix("")))

    def mark(self, *, complete: bool) -> None:
        """Note whether all was written, in place, as a full disk has no room."""
        self.was_complete = complete
        if self._fd is not None and self._pid == os.getpid():
            self._write(complete=complete)

    def _write(self, *, complete: bool) -> None:
        assert self._fd is not None
        session = self._session
        told = {
            "pid": session.pid,
            "host": session.host,
            "title": session.title,
            "since": session.started_at,
            "complete": complete,
        }
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.write(self._fd, json.dumps(told).encode().ljust(_RECORD))

    def release(self) -> None:
        """Release the lock. Idempotent; in a forked child the parent keeps it."""
        fd, self._fd = self._fd, None
        if fd is not None and self._pid == os.getpid():  # else closed at the fork
            _mine.pop(self.key, None)
            with contextlib.suppress(OSError):  # the file is closed all the same
                release_fd(fd)


def is_in_use(journal: Path) -> bool:
    """True if some process, perhaps this one, has the journal."""
    path = sibling(journal, ".lock")
    if _is_ours(path):
        return True  # where only a record lock can be had, closing the file here would drop it
    try:
        fd = open_own(path, os.O_RDWR)
    except (OSError, JournalError):
        return False
    try:
        hold_exclusively(fd)
    except OSError:
        return True
    finally:
        release_fd(fd)
    return False


def _is_ours(path: Path) -> bool:
    """True if this process has locked the file."""
    found = identity(path)
    return found is not None and _mine.get(found) == os.getpid()


def _read(fd: int) -> dict[str, Any]:
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        told = json.loads(os.read(fd, _RECORD).decode().strip() or "{}")
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _in_use(journal: str, told: dict[str, Any]) -> str:
    who = "another kernel"
    if told:
        since = time.strftime("%H:%M", time.localtime(told.get("since", 0)))
        who = f"{told.get('title')!s} (process {told.get('pid')} on {told.get('host')!s})"
        who += f" since {since}"
    return (
        f"{journal} is in use by {who}; stop that kernel, use another file, "
        "or look at it with jobqueue_widget.read_journal(…)"
    )
