"""Reads a journal, and believes nothing that it did not write itself."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from .._core.jobs import JobStatus
from .._core.kept import Contents, Request, Session, Standing

BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Damaged(sqlite3.DatabaseError):
    """The file holds what nobody wrote there."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_broken(error: Exception) -> bool:
    """True if the file itself is damaged, not only out of reach for now."""
    if isinstance(error, UnicodeDecodeError):  # of an error message that quotes the file
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in BROKEN


def as_text(data: bytes) -> str:
    """Text of any bytes: damage must not look like an error of the program."""
    return data.decode("utf-8", "backslashreplace")


def read_contents(connection: sqlite3.Connection) -> Contents:
    """All of it but results, logs and functions, of one moment.

    Raises:
        Damaged: a value is none that is ever written there.
        sqlite3.Error: SQLite itself says what is wrong.

    """
    connection.execute("BEGIN")
    try:
        contents = Contents(
            jobs=_jobs(connection),
            sessions=_sessions(connection),
            with_log=_ids(connection, "logs"),
            with_result=_ids(connection, "results"),
        )
        _read_meta(connection, contents)
    finally:
        connection.execute("COMMIT")
    return contents


def _read_meta(connection: sqlite3.Connection, contents: Contents) -> None:
    try:
        meta = {key: json.loads(value) for key, value in connection.execute("SELECT * FROM meta")}
        highest = max((request.number for request, _ in contents.jobs), default=0)
        contents.numbers_given = max(highest, int(meta.get("numbers_given", 0)))
        forgotten = dict(meta.get("forgotten", {}))
        contents.forgotten = {str(status): int(count) for status, count in forgotten.items()}
        if (pause := meta.get("pause")) is not None:
            contents.pause = (str(pause[0]), float(pause[1]))
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise Damaged(f"it does not say how it stands: {error}") from error


Types = tuple[tuple[type, ...], ...]
"""Of the columns of a row: what each may hold."""

_TEXT, _INT, _REAL = (str,), (int,), (float, int)
_MAYBE_TEXT, _MAYBE_REAL = (str, type(None)), (float, int, type(None))
_MAYBE_BYTES = (bytes, type(None))
_REQUEST: Types = (
    *(_INT, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _MAYBE_TEXT),
    *(_MAYBE_BYTES, _MAYBE_BYTES, _MAYBE_BYTES, _MAYBE_TEXT, _REAL),
)
_STANDING: Types = (
    *(_INT, _TEXT, _TEXT, _INT, _INT, _INT, _INT, _INT, _TEXT),
    *(_MAYBE_REAL, _MAYBE_REAL, _MAYBE_REAL),
    *(_TEXT, _TEXT, _TEXT, _INT, _MAYBE_TEXT, (int, type(None)), _MAYBE_TEXT),
)
FUNCTION: Types = ((bytes,), (bytes,), _MAYBE_TEXT)
RESULT: Types = (_TEXT, (bytes,), _TEXT, _MAYBE_BYTES)
LOG: Types = ((bytes,),)
_STATUSES = frozenset(status.value for status in JobStatus)
_KINDS = frozenset({"plugin", "coroutine", "function"})


def _jobs(connection: sqlite3.Connection) -> list[tuple[Request, Standing]]:
    split, wanted = len(Request._fields), (*_REQUEST, *_STANDING)
    known: set[tuple[type, ...]] = set()  # the types of rows that were looked at
    found = []
    for row in connection.execute(
        "SELECT jobs.*, standings.* FROM jobs JOIN standings USING (number) ORDER BY number"
    ):
        types = tuple(map(type, row))
        if types not in known:
            check(row, wanted)
            known.add(types)
        request, standing = Request._make(row[:split]), Standing._make(row[split:])
        if standing.status not in _STATUSES or request.kind not in _KINDS:
            raise Damaged(f"a job is {standing.status[:20]!r}, a {request.kind[:20]!r}")
        if standing.id != request.id:
            raise Damaged("what was asked for and where it stands do not belong together")
        found.append((request, standing))
    if len({request.id for request, _ in found}) != len(found):
        raise Damaged("two jobs have the same id")
    return found


def _sessions(connection: sqlite3.Connection) -> list[Session]:
    wanted = (_TEXT, _INT, _TEXT, _TEXT, _REAL, _REAL, _MAYBE_REAL)
    found = []
    for row in connection.execute("SELECT * FROM sessions ORDER BY rowid"):
        check(row, wanted)
        found.append(Session._make(row))
    return found


def check(row: tuple[Any, ...], wanted: Types) -> None:
    """Refuse a row that holds what is never written there.

    Raises:
        Damaged: it does.

    """
    if len(row) != len(wanted) or not all(map(isinstance, row, wanted)):
        raise Damaged("a row holds values of other types than were written")


def _ids(connection: sqlite3.Connection, table: str) -> frozenset[str]:
    return frozenset(row[0] for row in connection.execute(f"SELECT id FROM {table}"))
