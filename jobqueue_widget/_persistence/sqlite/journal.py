"""Opens, checks, writes and closes a journal in one SQLite file."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import weakref
from pathlib import Path
from typing import Any, Literal

from ..._core.stored import (
    Changes,
    Contents,
    KeptFunction,
    KeptResult,
    KeptTold,
    Session,
    StoredRequest,
)
from ...errors import JournalError
from . import opening, reading, statements
from .beside import sibling
from .files import ResultFiles
from .held import Shield
from .lock import JournalLock
from .places import real_path
from .presence import Presence, owner_of, refuse_living_owner
from .records import APPLICATION, VERSION

logger = logging.getLogger(__name__)

SEEN_EVERY = 1.0  # seconds between signs of life, each of which writes one more page
STEPS: dict[int, str] = {
    1: (
        "ALTER TABLE standings ADD COLUMN progress REAL;"
        " CREATE TABLE told (id TEXT PRIMARY KEY, metrics TEXT, outputs TEXT) WITHOUT ROWID"
    ),
    2: "ALTER TABLE told ADD COLUMN usage TEXT",
}
"""SQL that brings a journal from version n to n + 1."""


class SqliteJournal:
    """A queue's journal in one file (and, while it is open, `-wal`, `-shm` and `.lock` beside it).

    Args:
        path: the file; made if it does not exist, readable by its owner only.
        sync: "full": an accepted job survives also a power loss (one fsync per transaction);
            "normal": it survives the death of the process, but after a power loss the last
            moments may be missing (the file itself stays sound).
        allow_network: use it on a network file system, where locks cannot be relied on; then only
            one kernel may ever open it.
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
        self.path = real_path(path)
        self._sync = sync
        self._allow_network = allow_network
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file_lock = JournalLock(self.path)
        self._shield = Shield(self.path)
        self._files = ResultFiles(self.path)
        self._numbers_given = 0
        self._forgotten: dict[str, int] = {}
        self._seen_at = 0.0
        self._pid = 0
        self._presence = Presence(self.path)
        self._session: Session | None = None  # ours, while the journal is open
        self._has_unknown = False  # after it was written anew, until all jobs are
        self._gone = ""  # what has happened to the file, until it is written anew

    @property
    def place(self) -> str:
        """Return the path of the file, with links followed."""
        return str(self.path)

    # -- opening -----------------------------------------------------------------------------

    def open(self, session: Session) -> Contents:
        """Take the journal for this session, and read it; a broken file is kept under another name.

        Raises:
            JournalInUseError: another kernel has it.
            JournalError: it cannot be used; the message says why and what to do.
        """
        opening.check_place(self.path, allow_network=self._allow_network)
        try:
            self._file_lock.take(session)
            opening.check_header(self.path, was_ours=self._file_lock.had_owner)
            try:
                contents = self._read_all(session, thorough=not self._file_lock.was_complete)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not reading.is_broken(error):
                    raise
                self._disconnect()
                kept = opening.keep_aside(self.path, "damaged")
                logger.error("the journal %s was damaged; it is kept as %s", self.path, kept)
                opening.make_empty(self.path)
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

    def _connect(self) -> sqlite3.Connection:
        """Connect to the file; tests replace this by a connection that fails."""
        return sqlite3.connect(
            self.path, timeout=5.0, check_same_thread=False, isolation_level=None
        )

    def _read_all(self, session: Session, *, thorough: bool) -> Contents:
        connection = self._begin()
        contents = reading.read_contents(connection)
        refuse_living_owner(connection, self.path, self._file_lock.key)
        contents.owned = opening.is_owned(self.path)
        if thorough or (contents.sessions and contents.sessions[-1].ended_at is None):
            statements.check_pages(connection)
        self._numbers_given = contents.numbers_given
        self._forgotten = dict(contents.forgotten)
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            statements.delete_functions(connection)
            statements.delete_sessions(connection)
            self._sign(connection, session)
        self._files.remove_all_but(contents.with_result)
        self._presence.note(self._shield.head())
        return contents

    def _begin(self) -> sqlite3.Connection:
        """Connect, set up the connection, and make the tables if there are none."""
        self._pid = os.getpid()
        connection = self._connection = self._connect()
        # Closes the journal of a queue that is dropped; at exit the system does so, and quicker.
        shield = self._shield = Shield(self.path)
        mine = (connection, shield, self._file_lock, self._pid)
        last = weakref.finalize(self, statements.let_go, *mine)
        last.atexit = False
        connection.text_factory = reading.as_text
        if self._allow_network:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # without shared memory by mmap
        holds = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if holds:  # its log may say another than its header
            opening.check_application(self.path, statements.pragma(connection, "application_id"))
            opening.check_version(self.path, statements.pragma(connection, "user_version"))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA journal_size_limit = -1")  # no write of ours shortens the log
        connection.execute(f"PRAGMA synchronous = {self._sync}")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA secure_delete = ON")  # overwrites what is deleted
        version = statements.pragma(connection, "user_version")
        if holds and version == 0:
            raise reading.Damaged("it holds tables and is of no version")
        if not holds:
            self._make_schema(connection)
            version = VERSION
        for old in range(version, VERSION):
            connection.executescript(
                f"BEGIN; {STEPS[old]}; PRAGMA user_version = {old + 1}; COMMIT"
            )
        if not self._allow_network:  # there SQLite itself has all of it alone
            shield.lift()
        return connection

    def _sign(self, connection: sqlite3.Connection, session: Session) -> None:
        """Write into the journal who has it."""
        self._session = session
        connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", session)
        statements.put(connection, "owner", owner_of(self.path, self._file_lock.key))

    # -- somebody else has changed its files -------------------------------------------------

    def lost(self) -> str:
        """Say what has happened to the files; "" if nothing. Makes a deleted lock file again."""
        with self._lock:
            if self._session is None or self._pid != os.getpid():
                return ""
            self._check_files()
            if not self._gone and not self._file_lock.is_there():
                self._lock_again()
            return self._gone

    def _check_files(self) -> None:
        if not self._gone:
            self._gone = self._presence.trouble(self._shield.head(), self._is_sound)

    def _lock_again(self) -> None:
        try:
            self._file_lock.take_again()
            with self._connected() as connection:
                statements.put(connection, "owner", owner_of(self.path, self._file_lock.key))
            self._presence.note_write(self._shield.head())
        except (JournalError, OSError, sqlite3.Error) as error:  # the next check tries again
            logger.warning("the lock of %s was deleted, and cannot be made: %s", self.path, error)
        else:
            logger.warning(
                "the lock file of the journal %s was deleted; it is there again", self.path
            )

    def _is_sound(self) -> bool:
        assert self._session is not None
        return self._allow_network or statements.is_sound(self._connect, self._session.run_id)

    def renew(self) -> tuple[bool, str]:
        """Make the file anew; return if all its content is there again, and what was kept aside.

        Raises:
            JournalError, OSError, sqlite3.Error: it cannot be made; until then nothing is written.
        """
        with self._lock:
            if self._session is None:
                raise JournalError("it is closed")
            if not self._file_lock.is_there():
                self._file_lock.take_again()
            self._presence.trouble(self._shield.head(), lambda: False)  # perhaps more since
            new = sibling(self.path, f".{os.getpid()}.new")
            new.unlink(missing_ok=True)
            opening.make_empty(new)
            try:
                copied = self._connection is not None and statements.copy_to(self._connection, new)
                kept = ""
                if os.path.lexists(self.path):
                    kept = self._keep_what_is_there().name
                self._leave_for_good()
                new.rename(self.path)
            finally:
                new.unlink(missing_ok=True)
            whole = copied and not self._presence.rewritten
            connection = self._begin()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if not whole:  # every job is to be written; this keeps what only stood there
                    connection.execute("DELETE FROM standings")
                    self._has_unknown = True
                self._sign(connection, self._session)
                statements.put(connection, "numbers_given", self._numbers_given)
                statements.put(connection, "forgotten", self._forgotten)
            self._presence.note(self._shield.head())
            self._gone = ""
            return whole, kept

    def _keep_what_is_there(self) -> Path:
        if self._presence.is_ours(self.path):
            return opening.keep_aside(self.path, "damaged")
        theirs = [
            one
            for one in ("-wal", "-journal")
            if not self._presence.is_ours(sibling(self.path, one))
        ]
        return opening.keep_aside(self.path, "found", theirs)

    def _leave_for_good(self) -> None:
        """Complete and leave a file that was renamed, so that whoever did it may open it."""
        if self._connection is not None:
            statements.leave(self._connection, self._pid)
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._disconnect()
        log = sibling(self.path, "-wal")
        if self._presence.is_ours(log):
            log.unlink()
        elif os.path.lexists(log):
            raise JournalError(f"{log.name} is another program's")

    def _make_schema(self, connection: sqlite3.Connection) -> None:
        connection.executescript(
            f"BEGIN; {reading.SCHEMA} PRAGMA application_id = {APPLICATION};"
            f" PRAGMA user_version = {VERSION}; COMMIT"
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the header says what it is

    # -- writing -----------------------------------------------------------------------------

    def write(self, changes: Changes) -> None:
        """Write all of these changes or none."""
        with self._lock:
            connection = self._connected()
            self._check_files()
            if self._gone:
                raise JournalError(self._gone)
            results = [
                (job_id, *self._files.put(job_id, result, durable=self._sync == "full"))
                for job_id, result in changes.results
            ]
            forgotten = dict(self._forgotten)
            try:
                connection.execute("BEGIN IMMEDIATE")
                statements.insert(connection, "functions", changes.functions)
                statements.insert(connection, "jobs", changes.requests)
                statements.insert(connection, "standings", changes.standings)
                statements.insert(connection, "logs", changes.logs)
                told = [(job_id, *kept) for job_id, kept in changes.told]
                statements.insert(connection, "told", told)
                statements.insert(connection, "results", results)
                if changes.forgotten or changes.counted:
                    statements.forget(connection, changes, forgotten)
                self._write_rest(connection, changes)
                if self._has_unknown:
                    statements.delete_unknown(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._presence.note_write(self._shield.head())
            self._has_unknown = False
            self._numbers_given, self._forgotten = changes.numbers_given, forgotten
            if changes.erased:
                statements.empty_log(connection)
                self._presence.note(self._shield.head())
        if changes.forgotten:
            self._files.remove(job_id for _, job_id in changes.forgotten)

    def _write_rest(self, connection: sqlite3.Connection, changes: Changes) -> None:
        if changes.numbers_given != self._numbers_given:
            statements.put(connection, "numbers_given", changes.numbers_given)
        if changes.pause_changed:
            statements.put(connection, "pause", changes.pause)
        if changes.cleared_to is not None:
            statements.put(connection, "cleared_to", changes.cleared_to)
        if changes.ended or not 0 <= changes.seen_at - self._seen_at < SEEN_EVERY:
            connection.execute(
                "UPDATE sessions SET seen_at = ?, ended_at = ? WHERE run_id = ?",
                (changes.seen_at, changes.seen_at if changes.ended else None, changes.run_id),
            )
            self._seen_at = changes.seen_at

    # -- reading -----------------------------------------------------------------------------

    def request(self, number: int) -> StoredRequest | None:
        """Read the request of the job with this number."""
        row = self._row("jobs", number)
        return None if row is None else StoredRequest._make(row)

    def function(self, digest: bytes) -> KeptFunction | None:
        """Read a function to which some job refers."""
        row = self._row("functions", digest)
        return None if row is None else KeptFunction._make(row)

    def result(self, job_id: str) -> KeptResult | None:
        """Read the result of an ended job."""
        row = self._row("results", job_id)
        return None if row is None else self._files.get(job_id, row[1:])

    def log(self, job_id: str) -> bytes:
        """Read the end of a job's output."""
        row = self._row("logs", job_id)
        tail: bytes = b"" if row is None else row[1]
        return tail

    def told(self, job_id: str) -> KeptTold:
        """Read what a job has told beside its log."""
        row = self._row("told", job_id)
        return KeptTold(None, None) if row is None else KeptTold._make(row[1:])

    def _row(self, table: str, key: object) -> tuple[Any, ...] | None:
        columns = reading.TYPES[table]
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE {next(iter(columns))} = ?"
        try:
            with self._lock:
                self._presence.make_safe()
                row: tuple[Any, ...] | None = self._connected().execute(query, (key,)).fetchone()
            if row is not None:
                reading.check(row, columns.values())
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
        """Note in the lock file, which needs no room, that pending jobs may have run since."""
        try:
            self._file_lock.mark(complete=False)
        except OSError as error:
            logger.warning("the journal cannot even be marked as incomplete: %s", error)

    def mark_complete(self) -> None:
        """Note that all that was missing has been written."""
        try:
            self._file_lock.mark(complete=True)
        except OSError as error:
            logger.warning("the journal cannot be marked as complete: %s", error)

    def close(self) -> None:
        """Close the file, and release its lock."""
        with self._lock:
            signed, self._session = self._session is not None, None
            with contextlib.ExitStack() as last:  # its callbacks run whatever is raised
                last.callback(self._file_lock.release)
                last.callback(self._disconnect)
                if signed and self._connection is not None:
                    statements.leave(self._connection, self._pid)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._pid != os.getpid():
            statements.OF_A_PARENT.append(connection)  # closing would write into the parent's file
            return
        try:
            with self._shield.lowered():
                connection.close()
        except Exception as error:
            logger.warning("the journal %s did not close well: %s", self.path, error)
