"""Reads a journal, and refuses what no kernel can have written there."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..._core.jobs import JobStatus
from ..._core.stored import Contents, Session, StoredRequest, StoredState
from .files import ID

BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Damaged(sqlite3.DatabaseError):
    """Raised for a file with content that no kernel has written."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_broken(error: Exception) -> bool:
    """True if the file itself is damaged, not only out of reach for now."""
    if isinstance(error, UnicodeDecodeError):  # an error message quotes the file
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in BROKEN


def as_text(data: bytes) -> str:
    """Decode any bytes, so that damage does not look like an error of the program."""
    return data.decode("utf-8", "backslashreplace")


def read_contents(connection: sqlite3.Connection) -> Contents:
    """Read all but results, logs and functions, as of one moment.

    Raises:
        Damaged: a value is none that is ever written there.
        sqlite3.Error: SQLite itself finds something wrong.
    """
    connection.execute("BEGIN")
    try:
        check_schema(connection)
        contents = Contents(
            jobs=_jobs(connection),
            sessions=_sessions(connection),
            with_log=_ids(connection, "logs"),
            with_told=_ids(connection, "told") if _has_told(connection) else frozenset(),
            with_result=_ids(connection, "results"),
            with_value=_ids(connection, "results", "form IN ('pickle', 'file')"),
        )
        _read_meta(connection, contents)
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            raise Damaged(str(error)) from error  # a table or a column is missing
        raise
    finally:
        connection.execute("COMMIT")
    return contents


SCHEMA = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
_COLUMN = re.compile(  # without anything that computes: checks, expressions, collations
    r"[a-z_]+ (?:TEXT|INTEGER|REAL|BLOB)(?: PRIMARY KEY)?(?: NOT NULL)?"
    r"(?: DEFAULT (?:''|NULL|-?[0-9]+))?"
)
_TABLE = re.compile(r"CREATE TABLE (\w+) ?\( ?(.*?) ?\)( WITHOUT ROWID)?", re.IGNORECASE)


def _columns(sql: str) -> tuple[str, list[str]] | None:
    """Return the name and columns of a table; None if it is less plain than ours."""
    found = _TABLE.fullmatch(" ".join(sql.split()))
    if found is None:
        return None
    columns = re.split(r" ?, ?", found[2])
    return (found[1], columns) if all(map(_COLUMN.fullmatch, columns)) else None


_OURS = dict(
    found
    for statement in re.sub(r"--.*", "", SCHEMA).split(";")
    if (found := _columns(statement.strip())) is not None
)


def check_schema(connection: sqlite3.Connection) -> None:
    """Refuse views, triggers and tables that compute, whose code our queries would run.

    Plain tables and columns pass, as a later version may have added them.

    Raises:
        Damaged: there is one, or a table of ours has other columns.
    """
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master")
    for kind, name, sql in rows:
        if sql is None and kind == "index":  # the index of a primary key
            continue
        found = _columns(sql) if kind == "table" and isinstance(sql, str) else None
        if found is None or found[0] != name:
            raise Damaged(f"it holds a {kind} that nobody of ours made: {name!s:.40}")
        ours = _OURS.get(name, [])
        if any(theirs != own for theirs, own in zip(found[1], ours, strict=False)):
            raise Damaged(f"its table {name} has other columns")


def _read_meta(connection: sqlite3.Connection, contents: Contents) -> None:
    try:
        meta = {key: json.loads(value) for key, value in connection.execute("SELECT * FROM meta")}
        highest = max((request.number for request, _ in contents.jobs), default=0)
        contents.numbers_given = max(highest, int(meta.get("numbers_given", 0)))
        forgotten = dict(meta.get("forgotten", {}))
        contents.forgotten = {str(status): int(count) for status, count in forgotten.items()}
        contents.cleared_to = int(meta.get("cleared_to", 0))
        if (pause := meta.get("pause")) is not None:
            contents.pause = (str(pause[0]), float(pause[1]))
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise Damaged(f"it does not say how it stands: {error}") from error
    counts = contents.forgotten.values()
    since = 0.0 if contents.pause is None else contents.pause[1]
    if not (
        0 <= contents.numbers_given <= MOST
        and 0 <= contents.cleared_to <= MOST
        and all(0 <= count <= MOST for count in counts)
        and -FAR <= since <= FAR
    ):
        raise Damaged("it counts, or times, what cannot be")


_VALUES = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float, int), "BLOB": (bytes,)}
TYPES: dict[str, dict[str, tuple[type, ...]]] = {
    table: {
        name: _VALUES[kind] if limits else (*_VALUES[kind], type(None))
        for name, kind, *limits in map(str.split, columns)
    }
    for table, columns in _OURS.items()
}
"""The types that each column of our tables may hold, its key first."""

MOST = 2**30  # jobs of a journal; ranks are up to 2**32 times as large, and SQLite has 63 bits
FAR = 2.0**36  # seconds before or after 1970: clocks may be wrong, but not by millennia
_STATUSES = frozenset(status.value for status in JobStatus)
_KINDS = frozenset({"plugin", "coroutine", "function"})


def _jobs(connection: sqlite3.Connection) -> list[tuple[StoredRequest, StoredState]]:
    split = len(StoredRequest._fields)
    wanted = (*TYPES["jobs"].values(), *TYPES["standings"].values())
    if not _has_told(connection):  # of version 1, which had no progress
        wanted = wanted[:-1]
    known: set[tuple[type, ...]] = set()  # types of rows that were checked
    found, last = [], 0
    for row in connection.execute(
        "SELECT jobs.*, standings.* FROM jobs JOIN standings USING (number) ORDER BY number"
    ):
        types = tuple(map(type, row))
        if types not in known:
            check(row, wanted)
            known.add(types)
        request, state = StoredRequest._make(row[:split]), StoredState(*row[split:])
        if state.status not in _STATUSES or request.kind not in _KINDS:
            raise Damaged(f"a job is {state.status[:20]!r}, a {request.kind[:20]!r}")
        if state.id != request.id or ID.fullmatch(request.id) is None:
            raise Damaged("what was asked for and where it stands do not belong together")
        if not last < request.number <= MOST or not _can_be(request, state):
            raise Damaged("a job has a number or a time that cannot be")
        last = request.number
        found.append((request, state))
    if len({request.id for request, _ in found}) != len(found):
        raise Damaged("two jobs have the same id")
    return found


def _can_be(request: StoredRequest, state: StoredState) -> bool:
    """False for infinite times and too large numbers, which would fail much later."""
    hold, start, end = state.hold_until, state.started_at, state.completed_at
    return (
        -FAR <= request.created_at <= FAR
        and (hold is None or abs(hold) < float("inf"))  # users may hold for longer than `FAR`
        and (start is None or -FAR <= start <= FAR)
        and (end is None or -FAR <= end <= FAR)
        and 0 <= state.attempt <= MOST
        and -(2**62) <= state.rank <= 2**62
        and 0 <= (state.ended_number or 0) <= MOST
        and (state.progress is None or 0 <= state.progress <= 1)
    )


def _has_told(connection: sqlite3.Connection) -> bool:
    """False for a journal of version 1 that is only read, and so stays as it is."""
    found = "SELECT count(*) FROM sqlite_master WHERE name = 'told'"
    return bool(connection.execute(found).fetchone()[0])


def _sessions(connection: sqlite3.Connection) -> list[Session]:
    found = []
    for row in connection.execute("SELECT * FROM sessions ORDER BY rowid"):
        check(row, TYPES["sessions"].values())
        session = Session._make(row)
        times = (session.started_at, session.seen_at, session.ended_at or 0.0)
        if not all(-FAR <= time <= FAR for time in times):
            raise Damaged("a kernel has a time that cannot be")
        found.append(session)
    return found


def check(row: tuple[Any, ...], wanted: Collection[tuple[type, ...]]) -> None:
    """Raise Damaged for a row with values that are never written there."""
    if len(row) != len(wanted) or not all(map(isinstance, row, wanted)):
        raise Damaged("a row holds values of other types than were written")


def _ids(connection: sqlite3.Connection, table: str, which: str = "TRUE") -> frozenset[str]:
    rows = connection.execute(f"SELECT id FROM {table} WHERE {which}")
    return frozenset(row[0] for row in rows)
