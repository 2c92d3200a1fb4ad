"""Tells if an open journal's files are still as they were, and which process has them open."""

from __future__ import annotations

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
_SUFFIXES = ("", "-wal", "-shm")
_LOG, _INDEX = 1, 2  # their places among these


def identity(path: Path) -> Identity | None:
    """Return device and inode of what is at a path; None if nothing is."""
    return _identity(_look(path))


class Presence:
    """The state of the journal's files at the last check: its own, SQLite's log and index of it."""

    def __init__(self, journal: Path) -> None:
        self._names = tuple(journal.name + suffix for suffix in _SUFFIXES)
        self._paths = tuple(str(sibling(journal, suffix)) for suffix in _SUFFIXES)
        self._seen: list[os.stat_result | None] = []
        self._head = b""
        self.rewritten = False  # what our connection reads may be another's, or older

    def note(self, head: bytes) -> None:
        """Remember the files as they are now, as written by us, with the head of the index."""
        self._seen = [_look(path) for path in self._paths]
        self._head = head
        self.rewritten = False

    def note_write(self, head: bytes) -> None:
        """Remember them after a write; what no write of ours does is left to the next check."""
        found = [_look(path) for path in self._paths]
        for now, seen in zip(found, self._seen, strict=True):
            if now is None or seen is None:
                if now is not seen:
                    return
            elif _identity(now) != _identity(seen) or now.st_size < seen.st_size:
                return
        self._seen, self._head = found, head

    def is_ours(self, path: Path) -> bool:
        """True if the file at this path was one of ours at the last check."""
        return identity(path) in [_identity(one) for one in self._seen if one is not None]

    def make_safe(self) -> None:
        """Give the index its size again, as SQLite has it mapped: beyond its end is SIGBUS."""
        seen = self._seen[-1] if self._seen else None
        if seen is not None:
            self._make_safe(_look(self._paths[-1]), seen)

    def _make_safe(self, now: os.stat_result | None, seen: os.stat_result) -> None:
        if now is not None and now.st_size < seen.st_size and _identity(now) == _identity(seen):
            os.truncate(self._paths[-1], seen.st_size)
            self._head = b"cut"  # no index begins so: the next check tells

    def trouble(self, head: bytes, still_sound: Callable[[], bool]) -> str:
        """Say what somebody else has done to the files; "" if nothing that matters."""
        told, touched = "", False
        for place, (path, seen) in enumerate(zip(self._paths, self._seen, strict=False)):
            if seen is None:  # an index that is not needed
                continue
            now, done = _look(path), ""
            if now is None:
                done = "removed or renamed"
            elif now.st_ino != seen.st_ino or now.st_dev != seen.st_dev:
                done = "replaced by another file"
            elif place == _INDEX:
                self._make_safe(now, seen)
                if head != self._head:
                    done, self.rewritten = "overwritten", True
            elif now.st_size != seen.st_size:
                done = "truncated" if now.st_size < seen.st_size else "overwritten"
                self.rewritten = True
            elif now.st_mtime_ns != seen.st_mtime_ns:
                touched = True
                if place == _LOG:  # which the next kernel reads up to the first change
                    done = "overwritten"
            if done:
                told = told or f"{self._names[place]} was {done}"
        if touched and not told:
            if still_sound():
                self.note(head)
            else:
                told = f"{self._names[0]} was overwritten"
        self.rewritten |= touched and bool(told)
        return told


def _look(path: str | Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _identity(status: os.stat_result | None) -> Identity | None:
    return None if status is None else (status.st_dev, status.st_ino)


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
