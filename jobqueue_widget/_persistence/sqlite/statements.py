"""Runs short statements on a journal's connection, and closes it."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..._core.stored import Changes
from .held import Shield
from .lock import JournalLock
from .opening import make_empty
from .reading import TYPES, Damaged, is_broken, read_contents

logger = logging.getLogger(__name__)

OF_IDS = ("results", "logs", "told")  # tables whose key is the id of a job
OF_A_PARENT: list[sqlite3.Connection] = []


def let_go(connection: sqlite3.Connection, shield: Shield, lock: JournalLock, pid: int) -> None:
    """Close the connection of a journal whose queue was dropped, and release its lock."""
    if pid != os.getpid():
        OF_A_PARENT.append(connection)
        return
    with contextlib.suppress(sqlite3.Error):
        leave(connection, pid)
        with shield.lowered():
            connection.close()
    lock.release()


def leave(connection: sqlite3.Connection, pid: int) -> None:
    """Delete the note of who has the journal; if that fails, the released lock tells it."""
    if pid == os.getpid():
        with contextlib.suppress(sqlite3.Error, MemoryError):
            connection.execute("DELETE FROM meta WHERE key = 'owner'")


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Read a number from the header."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def check_pages(connection: sqlite3.Connection) -> None:
    """Let SQLite check all pages; raise Damaged if one is."""
    told = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if told != "ok":
        raise Damaged(told)


def insert(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Insert rows; each replaces the one with its key."""
    if rows:
        places = ", ".join("?" * len(TYPES[table]))
        connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({places})", rows)


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Join ascending numbers that follow each other: the first and the last of each run."""
    for _, run in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        (_, first), *rest = run
        yield first, rest[-1][1] if rest else first


def forget(connection: sqlite3.Connection, changes: Changes, counts: dict[str, int]) -> None:
    """Delete the jobs that these changes forget, and count them in `counts`."""
    for status, count in changes.counted.items():
        counts[status] = counts.get(status, 0) + count
    ranges = list(_ranges(sorted(number for number, _ in changes.forgotten)))
    ids = [(job_id,) for _, job_id in changes.forgotten if job_id]
    for table in ("jobs", "standings"):
        connection.executemany(f"DELETE FROM {table} WHERE number BETWEEN ? AND ?", ranges)
    for table in OF_IDS:
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", ids)
    if changes.erased:
        delete_functions(connection)
    put(connection, "forgotten", counts)


def delete_unknown(connection: sqlite3.Connection) -> None:
    """Delete what belongs to jobs that stand nowhere, as of an older copy of the file."""
    connection.execute("DELETE FROM jobs WHERE number NOT IN (SELECT number FROM standings)")
    for table in OF_IDS:
        connection.execute(f"DELETE FROM {table} WHERE id NOT IN (SELECT id FROM standings)")
    delete_functions(connection)


def delete_functions(connection: sqlite3.Connection) -> None:
    """Delete the functions that no job refers to."""
    connection.execute(
        "DELETE FROM functions WHERE digest NOT IN"
        " (SELECT function FROM jobs WHERE function IS NOT NULL)"
    )


def delete_sessions(connection: sqlite3.Connection) -> None:
    """Delete the sessions of long ago that have no job."""
    connection.execute(
        "DELETE FROM sessions WHERE rowid <= (SELECT max(rowid) FROM sessions) - 20"
        " AND run_id NOT IN (SELECT CASE length(id)"
        " WHEN 36 THEN substr(id, 10, 4) || substr(id, 25, 4)"  # see _core/ids.py
        " ELSE substr(id, 1, instr(id, '-') - 1) END FROM jobs)"
    )


def put(connection: sqlite3.Connection, key: str, value: object) -> None:
    """Write an entry of the table `meta`, as JSON."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))


def empty_log(connection: sqlite3.Connection) -> None:
    """Move the log into the file, as it still holds earlier pages with what was deleted."""
    try:
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error as error:
        busy = error
    if busy:
        logger.warning("the journal's log still holds what was deleted, until it is closed")


def is_sound(connect: Callable[[], sqlite3.Connection], run_id: str) -> bool:
    """True if the file, read anew, is sound and has our session; pages in memory may be old."""
    try:
        with contextlib.closing(connect()) as connection:
            check_pages(connection)
            known = "SELECT count(*) FROM sessions WHERE run_id = ?"
            return bool(connection.execute(known, (run_id,)).fetchone()[0])
    except sqlite3.DatabaseError as error:
        return not is_broken(error) and "no such table" not in str(error)


def copy_to(connection: sqlite3.Connection, new: Path) -> bool:
    """Copy all that a connection still reads, as of a file that was renamed; False if damaged."""
    try:
        with contextlib.closing(sqlite3.connect(new)) as target:
            connection.backup(target)
            check_pages(target)
            read_contents(target)
        return True
    except sqlite3.Error:
        new.unlink()
        make_empty(new)
        return False
