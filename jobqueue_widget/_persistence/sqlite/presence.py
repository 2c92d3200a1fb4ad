"""Whether an open journal's files are still there as they were, and which process has them open."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from ...errors import JournalInUseError
from .beside import sibling

SAME_START = 2.0  # seconds: the start of a process is read from a clock that may be set
Identity = tuple[int, int]


def identity(path: Path) -> Identity | None:
    """Device and inode; None if nothing is there."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Presence:
    """The journal's file and SQLite's log beside it, as they were after the last look."""

    def __init__(self, journal: Path) -> None:
        self._paths = (journal, sibling(journal, "-wal"))
        self._seen: list[os.stat_result] = []

    def note(self) -> None:
        """Remember the files as they are now: they are ours."""
        with contextlib.suppress(OSError):  # then the next look finds that one is gone
            self._seen = [os.lstat(path) for path in self._paths]

    def is_ours(self, path: Path) -> bool:
        """True if what stands at this path was there at the last look."""
        return identity(path) in [(one.st_dev, one.st_ino) for one in self._seen]

    def trouble(self, still_sound: Callable[[], bool]) -> str:
        """What somebody else has done to them; "" if nothing that matters."""
        touched = False
        for path, seen in zip(self._paths, self._seen, strict=False):
            try:
                now = os.lstat(path)
            except OSError:
                return f"{path.name} was removed or renamed"
            if (now.st_dev, now.st_ino) != (seen.st_dev, seen.st_ino):
                return f"{path.name} was replaced by another file"
            if now.st_size != seen.st_size:
                done = "truncated" if now.st_size < seen.st_size else "overwritten"
                return f"{path.name} was {done}"
            touched |= now.st_mtime_ns != seen.st_mtime_ns
        if touched and not still_sound():
            return f"{self._paths[0].name} was overwritten"
        if touched:
            self.note()
        return ""


# -- who has it open -------------------------------------------------------------------------------


def owner_of(journal: Path, lock: Identity) -> dict[str, object]:
    """What this process writes into a journal that it has, with the lock that it holds."""
    started = psutil.Process().create_time()
    found = {"pid": os.getpid(), "started": started, "host": platform.node(), "lock": lock}
    return {**found, "file": identity(journal)}


def refuse_living_owner(connection: sqlite3.Connection, journal: Path, lock: Identity) -> None:
    """Respect a kernel whose lock file was deleted: it has the journal as long as it lives.

    The lock that it held tells whether it has let go; and a copy is another file.

    Raises:
        JournalInUseError: it lives.

    """
    row = connection.execute("SELECT value FROM meta WHERE key = 'owner'").fetchone()
    if row is None:
        return
    try:
        owner = json.loads(row[0])
        here = owner["host"] == platform.node() and tuple(owner["file"]) == identity(journal)
        if not here or tuple(owner["lock"]) == lock or not _lives(owner):
            return
        pid, since = owner["pid"], time.strftime("%H:%M", time.localtime(owner["started"]))
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return  # nobody of ours wrote that
    raise JournalInUseError(
        f"{str(journal)!r} is in use by process {pid} (started {since}), though its lock file was "
        "deleted; stop that kernel, or use another file"
    )


def _lives(owner: dict[str, Any]) -> bool:
    try:
        process = psutil.Process(owner["pid"])
        same = abs(process.create_time() - owner["started"]) < SAME_START
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
