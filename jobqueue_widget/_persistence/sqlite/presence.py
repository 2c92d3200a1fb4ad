"""Tells if an open journal's files are still as they were, and which process has them open."""

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
from ...workers.cleanup import is_alive
from .beside import sibling

SAME_START = 2.0  # seconds by which two readings of a process's start may differ (clocks are set)
Identity = tuple[int, int]


def identity(path: Path) -> Identity | None:
    """Return device and inode of what is at a path; None if nothing is."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Presence:
    """The state of the journal's file and of SQLite's log beside it at the last check."""

    def __init__(self, journal: Path) -> None:
        self._paths = (journal, sibling(journal, "-wal"))
        self._seen: list[os.stat_result] = []

    def note(self) -> None:
        """Remember the files as they are now, as written by us."""
        with contextlib.suppress(OSError):  # the next check finds that one is gone
            self._seen = [os.lstat(path) for path in self._paths]

    def is_ours(self, path: Path) -> bool:
        """True if the file at this path was one of ours at the last check."""
        return identity(path) in [(one.st_dev, one.st_ino) for one in self._seen]

    def trouble(self, still_sound: Callable[[], bool]) -> str:
        """Say what somebody else has done to the files; "" if nothing that matters."""
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
    """Describe this process and its lock, to be written into the journal that it has."""
    started = psutil.Process().create_time()
    found = {"pid": os.getpid(), "started": started, "host": platform.node(), "lock": lock}
    return {**found, "file": identity(journal)}


def refuse_living_owner(connection: sqlite3.Connection, journal: Path, lock: Identity) -> None:
    """Refuse a journal of a living kernel whose lock file was deleted.

    If the lock that it held is the one that we hold now, it has let go. A copy of its journal is
    another file, and not refused.

    Raises:
        JournalInUseError: the kernel lives.
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
        return  # not written by us
    raise JournalInUseError(
        f"{str(journal)!r} is in use by process {pid} (started {since}), though its lock file was "
        "deleted; stop that kernel, or use another file"
    )


def _lives(owner: dict[str, Any]) -> bool:
    try:
        process = psutil.Process(owner["pid"])
        same = abs(process.create_time() - owner["started"]) < SAME_START
        return same and is_alive(process)
    except psutil.Error:
        return False
