"""Refuses all but ordinary files of the owner at the names of a journal's files.

A folder that was cloned or downloaded may hold links under these names. Following one would write
into, or delete, what it leads to.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from ...child.wire import BINARY
from ...errors import JournalError

FILES = ("-wal", "-shm", "-journal", ".lock", ".learned.json")
FOLDER = ".results"
DETACHED = ".detached"
SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")  # ends a rollback journal that names other files
_SAFE = BINARY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK"))


def sibling(journal: Path, suffix: str) -> Path:
    """Return the path of a file beside the journal."""
    return journal.with_name(journal.name + suffix)


def check_files(journal: Path, *, to_write: bool = True) -> None:
    """Check all files of a journal before one is opened.

    The journal itself may belong to anybody: then nothing in it is trusted. If it is only read, it
    may have other names.

    Raises:
        JournalError: one is a link, no ordinary file, or another user's; nothing was touched.
    """
    owners = {_user()}
    status = _look(journal)
    if status is not None:
        owners.add(status.st_uid)
        check_kind(journal, status, None, linked=not to_write)
    for suffix in FILES:
        check_kind(sibling(journal, suffix), _look(sibling(journal, suffix)), owners)
    check_folder(sibling(journal, FOLDER), owners)
    check_folder(sibling(journal, DETACHED), owners)
    rollback = sibling(journal, "-journal")
    if _look(rollback) is not None and _names_other_files(rollback):
        raise JournalError(f"{str(rollback)!r} names other files to be deleted: remove it")


def check_kind(
    path: Path, status: os.stat_result | None, owners: set[int] | None, *, linked: bool = False
) -> None:
    """Raise JournalError for all but an ordinary file with one name, of one of these users."""
    if status is None:
        return
    _check_type(path, status, stat.S_ISREG, "ordinary file")
    if status.st_nlink > 1 and not linked:
        raise JournalError(
            f"{str(path)!r} is a hard link: the same file has another name, which would be "
            "written too; remove it, or copy it to a file of its own"
        )
    _check_owner(path, status, owners)


def check_folder(path: Path, owners: set[int] | None = None) -> None:
    """Raise JournalError for all but a folder, also for a link to one."""
    status = _look(path)
    if status is not None:
        _check_type(path, status, stat.S_ISDIR, "folder")
        _check_owner(path, status, owners)


def open_own(path: Path, flags: int) -> int:
    """Open an ordinary file with one name; a new one is readable by its owner only.

    It neither follows a link nor waits for the other end of a named pipe.

    Raises:
        JournalError: it is something else.
        OSError: it cannot be opened.
    """
    check_kind(path, _look(path), None)
    fd = open_safely(path, flags)
    try:
        check_kind(path, os.fstat(fd), None)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_safely(path: str | Path, flags: int) -> int:
    """Open a file but no link, without waiting at a named pipe; a new one is its owner's alone."""
    return os.open(path, flags | _SAFE, 0o600)


def _look(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise JournalError(f"{str(path)!r} cannot be looked at ({error.strerror})") from error


def _check_type(
    path: Path, status: os.stat_result, is_it: Callable[[int], bool], name: str
) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise JournalError(f"{str(path)!r} is a link, which is not followed: remove it")
    if not is_it(status.st_mode):
        raise JournalError(f"{str(path)!r} is no {name}: remove it, or choose another place")


def _check_owner(path: Path, status: os.stat_result, owners: set[int] | None) -> None:
    if sys.platform != "win32" and owners is not None and status.st_uid not in owners:
        raise JournalError(f"{str(path)!r} belongs to another user: remove it, or chown it")


def _user() -> int:
    return 0 if sys.platform == "win32" else os.geteuid()


def _names_other_files(path: Path) -> bool:
    try:
        fd = open_own(path, os.O_RDONLY)
    except OSError as error:
        raise JournalError(f"{str(path)!r} cannot be read ({error.strerror})") from error
    with os.fdopen(fd, "rb") as file:
        file.seek(max(0, os.fstat(fd).st_size - len(SUPER_JOURNAL)))
        return file.read() == SUPER_JOURNAL
