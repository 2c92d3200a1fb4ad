"""The journal as one SQLite file: opened, checked, written in transactions, closed."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import stat
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from .._core.kept import (
    Changes,
    Contents,
    KeptFunction,
    KeptResult,
    Session,
)
from ..errors import JournalError
from .beside import check_files, sibling
from .files import ResultFiles
from .lock import JournalLock
from .places import mode_of, refuse_network
from .reading import (
    FUNCTION,
    LOG,
    RESULT,
    Damaged,
    Types,
    as_text,
    check,
    is_broken,
    read_contents,
)
from .records import APPLICATION, VERSION

logger = logging.getLogger(__name__)

MAGIC = b"SQLite format 3\x00"
SEEN_EVERY = 1.0  # seconds between signs of life: each is another page to write
STEPS: dict[int, str] = {}
"""Version n to n + 1, as SQL."""


class SqliteJournal:
    """A queue's journal in one file (and, while it is open, `-wal`, `-shm` and `.lock` beside it).

    Args:
        path: the file; made, readable by its owner only, if it is not there.
        sync: "full" = what was accepted survives a power loss, too (one fsync per transaction);
            "normal" = it survives the death of the process, but after a power loss the last
            moments may be missing (the file itself stays sound).
        allow_network: use it on a network file system, where locks cannot be relied on; only one
            kernel may ever open it then.

    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        sync: Literal["full", "normal"] = "full",
        allow_network: bool = False,
    ) -> None:
        if sync not in ("full", "normal"):
            raise JournalError(f'sync must be "full" or "normal", not {sync!r}')
        self.path = Path(os.path.realpath(os.path.expanduser(path)))
        self._sync = sync
        self._allow_network = allow_network
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file_lock = JournalLock(self.path)
        self._files = ResultFiles(self.path)
        self._numbers_given = 0
        self._forgotten: dict[str, int] = {}
        self._seen_at = 0.0
        self._pid = 0

    @property
    def place(self) -> str:
        """Its path, with links followed."""
        return str(self.path)

    # -- opening -----------------------------------------------------------------------------

    def open(self, session: Session) -> Contents:
        """Take it for this session, and read it. A broken file is kept aside and said so.

        Raises:
            JournalInUseError: another kernel has it.
            JournalError: it cannot be used; the message says why and what to do.

        """
        self._check_place()
        self._file_lock.take(session)
        try:
            self._check_header()
            try:
                contents = self._read_all(session, thorough=not self._file_lock.was_complete)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not is_broken(error):
                    raise
                self._disconnect()
                kept = self._keep_aside()
                contents = self._read_all(session, thorough=False)
                contents.notices.append(
                    f"the journal was damaged ({error}) and begins anew; "
                    f"the damaged file is kept as {kept.name}"
                )
            contents.complete = self._file_lock.was_complete
        except BaseException as error:
            self.close()
            if isinstance(error, (sqlite3.Error, OSError)) and not isinstance(error, JournalError):
                raise JournalError(f"the journal {self.place!r} cannot be used: {error}") from error
            raise
        return contents

    def _check_place(self) -> None:
        mode = mode_of(self.path)
        if stat.S_ISDIR(mode):
            raise JournalError(f"{self.place!r} is a folder; name a file in it, like runs.db")
        if not stat.S_ISDIR(mode_of(self.path.parent)):
            raise JournalError(
                f"there is no folder {str(self.path.parent)!r}; make it, or choose another place"
            )
        if mode and not stat.S_ISREG(mode):
            raise JournalError(f"{self.place!r} is no ordinary file; choose another")
        check_files(self.path)
        if not self._allow_network:
            refuse_network(self.path.parent)

    def _check_header(self) -> None:
        """Look before SQLite does: it may write as soon as it opens.

        Raises:
            JournalError: it is no journal, or one of a newer version; nothing was changed.
            sqlite3.DatabaseError: never; what looks damaged is left to `_read_all`.

        """
        if not self.path.exists():
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            return
        with self.path.open("rb") as file:
            header = file.read(100)
        if not header or len(header) < 100 or not header.startswith(MAGIC):
            if not header or self._was_ours():
                return
            raise JournalError(f"{self.place!r} is no journal and was left alone; choose another")
        application = int.from_bytes(header[68:72], "big")
        version = int.from_bytes(header[60:64], "big")
        if application != APPLICATION:
            raise JournalError(
                f"{self.place!r} is a database of another program and was left alone; "
                "choose another file"
            )
        if version > VERSION:
            raise JournalError(
                f"{self.place!r} was written by a newer jobqueue_widget (its version {version}, "
                f"known here {VERSION}) and was left alone; update the package, or use another file"
            )
        if self._is_owned() and sys.platform != "win32":
            self.path.chmod(stat.S_IRUSR | stat.S_IWUSR)

    def _was_ours(self) -> bool:
        """True if a session of ours has stood beside it: then it is a damaged journal."""
        return sibling(self.path, "-wal").exists() or self._file_lock.had_owner

    def _is_owned(self) -> bool:
        return sys.platform == "win32" or self.path.stat().st_uid == os.geteuid()

    def _connect(self) -> sqlite3.Connection:
        """The seam where tests put a connection that fails."""
        return sqlite3.connect(
            self.path, timeout=5.0, check_same_thread=False, isolation_level=None
        )

    def _read_all(self, session: Session, *, thorough: bool) -> Contents:
        self._pid = os.getpid()
        connection = self._connection = self._connect()
        # A queue that is dropped lets go of it; at exit the system does, and that is quicker.
        weakref.finalize(self, _let_go, connection, self._file_lock, self._pid).atexit = False
        connection.text_factory = as_text
        if self._allow_network:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # no memory shared by mmap
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._sync}")
        connection.execute("PRAGMA trusted_schema = OFF")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._make_schema(connection)
            version = VERSION
        for old in range(version, VERSION):
            connection.executescript(
                f"BEGIN; {STEPS[old]}; PRAGMA user_version = {old + 1}; COMMIT"
            )
        contents = read_contents(connection)
        contents.owned = self._is_owned()
        if thorough or (contents.sessions and contents.sessions[-1].ended_at is None):
            self._check_pages(connection)
        self._numbers_given = contents.numbers_given
        self._forgotten = dict(contents.forgotten)
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "DELETE FROM functions WHERE digest NOT IN"
                " (SELECT function FROM jobs WHERE function IS NOT NULL)"
            )
            connection.execute(
                "DELETE FROM sessions WHERE rowid <= (SELECT max(rowid) FROM sessions) - 20"
                " AND run_id NOT IN (SELECT CASE length(id)"
                " WHEN 36 THEN substr(id, 10, 4) || substr(id, 25, 4)"  # _core/ids.py
                " ELSE substr(id, 1, instr(id, '-') - 1) END FROM jobs)"
            )
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", session)
        self._files.remove_all_but(contents.with_result)
        return contents

    def _make_schema(self, connection: sqlite3.Connection) -> None:
        schema = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
        connection.executescript(
            f"BEGIN; {schema} PRAGMA application_id = {APPLICATION};"
            f" PRAGMA user_version = {VERSION}; COMMIT"
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the header tells what it is

    def _check_pages(self, connection: sqlite3.Connection) -> None:
        told = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if told != "ok":
            raise Damaged(told)

    def _keep_aside(self) -> Path:
        """Give the damaged file, with what belongs to it, another name."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        kept = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        number = 1
        while os.path.lexists(kept):
            number += 1
            kept = self.path.with_name(f"{self.path.name}.damaged-{stamp}-{number}")
        for suffix in ("-wal", "-shm", "-journal", ""):
            source = sibling(self.path, suffix)
            if os.path.lexists(source):
                source.rename(sibling(kept, suffix))
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        logger.error("the journal %s was damaged; it is kept as %s", self.path, kept)
        return kept

    # -- writing -----------------------------------------------------------------------------

    def write(self, changes: Changes) -> None:
        """Keep all of it or nothing."""
        with self._lock:
            connection = self._connected()
            results = [
                (job_id, *self._files.put(job_id, result, durable=self._sync == "full"))
                for job_id, result in changes.results
            ]
            forgotten = dict(self._forgotten)
            try:
                connection.execute("BEGIN IMMEDIATE")
                _insert(connection, "functions", changes.functions, 3)
                _insert(connection, "jobs", changes.requests, 12)
                _insert(connection, "standings", changes.standings, 19)
                _insert(connection, "logs", changes.logs, 2)
                _insert(connection, "results", results, 5)
                if changes.forgotten or changes.counted:
                    self._forget(connection, changes, forgotten)
                self._write_rest(connection, changes)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._numbers_given, self._forgotten = changes.numbers_given, forgotten
        for _, job_id in changes.forgotten:
            self._files.remove(job_id)

    def _forget(
        self, connection: sqlite3.Connection, changes: Changes, counts: dict[str, int]
    ) -> None:
        for status, count in changes.counted.items():
            counts[status] = counts.get(status, 0) + count
        numbers = [(number,) for number, _ in changes.forgotten]
        ids = [(job_id,) for _, job_id in changes.forgotten]
        for table in ("jobs", "standings"):
            connection.executemany(f"DELETE FROM {table} WHERE number = ?", numbers)
        for table in ("results", "logs"):
            connection.executemany(f"DELETE FROM {table} WHERE id = ?", ids)
        _set(connection, "forgotten", counts)

    def _write_rest(self, connection: sqlite3.Connection, changes: Changes) -> None:
        if changes.numbers_given != self._numbers_given:
            _set(connection, "numbers_given", changes.numbers_given)
        if changes.pause_changed:
            _set(connection, "pause", changes.pause)
        if changes.ended or not 0 <= changes.seen_at - self._seen_at < SEEN_EVERY:
            connection.execute(
                "UPDATE sessions SET seen_at = ?, ended_at = ? WHERE run_id = ?",
                (changes.seen_at, changes.seen_at if changes.ended else None, changes.run_id),
            )
            self._seen_at = changes.seen_at

    # -- reading -----------------------------------------------------------------------------

    def function(self, digest: bytes) -> KeptFunction | None:
        """A function that some job refers to."""
        row = self._row(
            "SELECT digest, data, source FROM functions WHERE digest = ?", digest, FUNCTION
        )
        return None if row is None else KeptFunction._make(row)

    def result(self, job_id: str) -> KeptResult | None:
        """The result of an ended job."""
        row = self._row("SELECT form, data, shown, seal FROM results WHERE id = ?", job_id, RESULT)
        return None if row is None else self._files.get(job_id, row)

    def log(self, job_id: str) -> bytes:
        """The end of what a job printed."""
        row = self._row("SELECT tail FROM logs WHERE id = ?", job_id, LOG)
        tail: bytes = b"" if row is None else row[0]
        return tail

    def _row(self, query: str, key: object, wanted: Types) -> tuple[Any, ...] | None:
        try:
            with self._lock:
                row: tuple[Any, ...] | None = self._connected().execute(query, (key,)).fetchone()
            if row is not None:
                check(row, wanted)
        except sqlite3.Error as error:
            raise JournalError(f"the journal {self.place!r} cannot be read: {error}") from error
        return row

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise JournalError(f"the journal {self.place!r} is closed")
        if self._pid != os.getpid():
            raise JournalError(f"the journal {self.place!r} belongs to process {self._pid}")
        return self._connection

    # -- ending ------------------------------------------------------------------------------

    def mark_incomplete(self) -> None:
        """What is pending here may have run since. In the lock file, which needs no room."""
        try:
            self._file_lock.mark(complete=False)
        except OSError as error:
            logger.warning("the journal cannot even be marked as incomplete: %s", error)

    def mark_complete(self) -> None:
        """All that was missing has been written."""
        try:
            self._file_lock.mark(complete=True)
        except OSError as error:
            logger.warning("the journal cannot be marked as complete: %s", error)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._disconnect()
            self._file_lock.release()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._pid != os.getpid():
            _OF_A_PARENT.append(connection)  # closing it here would write into the parent's file
            return
        try:
            connection.close()
        except sqlite3.Error as error:
            logger.warning("the journal %s did not close well: %s", self.path, error)


_OF_A_PARENT: list[sqlite3.Connection] = []


def _let_go(connection: sqlite3.Connection, lock: JournalLock, pid: int) -> None:
    """Of a journal that nobody has any more."""
    if pid != os.getpid():
        _OF_A_PARENT.append(connection)
        return
    with contextlib.suppress(sqlite3.Error):
        connection.close()
    lock.release()


def _insert(
    connection: sqlite3.Connection, table: str, rows: Iterable[tuple[object, ...]], width: int
) -> None:
    if rows:
        places = ", ".join("?" * width)
        connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({places})", rows)


def _set(connection: sqlite3.Connection, key: str, value: object) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))
