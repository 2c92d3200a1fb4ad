"""Reads a journal as text, also while a kernel writes it, and unpickles nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..._core.stored import Contents, Session, StoredRequest, StoredState
from ..._runtime.storage.data_frame import data_frame
from ...errors import JournalError, JournalInUseError
from .alone import Alone, Found
from .beside import check_files
from .held import Shield
from .lock import JournalLock, is_in_use
from .places import mode_of, real_path
from .reading import as_text, is_broken, read_contents

APPLICATION = 0x6A71776A  # "jqwj", in the header, which tells a journal from other databases
VERSION = 3
_Column = TypeVar("_Column", bytes, str)
POLL = 0.5  # seconds between two readings of `follow`


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One job as text and numbers, without secret values. Instants are epoch seconds."""

    id: str
    name: str
    label: str | None
    tags: tuple[str, ...]
    arguments: str
    status: str
    priority: int
    attempt: int
    created_at: float
    started_at: float | None
    completed_at: float | None
    message: str
    error: str | None
    cancel_reason: str | None
    traceback: str
    result: str
    executor: str
    where: str | None
    retry_of: str | None
    log: str

    @property
    def running_message(self) -> str:
        """What a job says while it runs; "" at any other time."""
        return self.message if self.status == "running" else ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return dataclasses.asdict(self)


class JournalRecords(list[JournalRecord]):
    """The jobs of a journal, in the order of their submission."""

    def to_pandas(self) -> Any:
        """Return a DataFrame with one row per job.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        names = [field.name for field in dataclasses.fields(JournalRecord)]
        return data_frame([record.as_dict() for record in self], names)


def read_journal(path: str | os.PathLike[str]) -> JournalRecords:
    """Read the jobs of a journal, also of one that a kernel is writing or that others wrote.

    Nothing is changed, executed or unpickled.

    Args:
        path: the file that `JobQueue(journal=…)` was given.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """
    with ReadOnly(path) as journal:
        return journal.records()


class ReadOnly:
    """A journal that is open for reading. A context manager."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = real_path(path)
        if not stat.S_ISREG(mode_of(self.path)):
            raise JournalError(f"there is no journal {str(self.path)!r}")
        check_files(self.path, to_write=False)
        self._shield = Shield(self.path)
        self._connection = self._open()
        self.alone = Alone(self.path)
        self._goes_on = False  # a detached job, as of the last reading
        self._shield.lift()

    def _open(self) -> sqlite3.Connection:
        quoted = self.path.as_uri()
        error: sqlite3.Error | None = None
        for how in ("mode=ro", "mode=ro&immutable=1"):  # the second for a read-only folder
            connection: sqlite3.Connection | None = None
            try:
                connection = sqlite3.connect(f"{quoted}?{how}", uri=True, timeout=5.0)
                connection.isolation_level = None
                connection.text_factory = as_text
                self._check(connection)
                return connection
            except BaseException as caught:
                if connection is not None:
                    connection.close()
                if not isinstance(caught, sqlite3.Error):
                    raise
                error = error or caught
        raise JournalError(f"{str(self.path)!r} cannot be read as a journal: {error}") from error

    def _check(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION:
            raise JournalError(f"{str(self.path)!r} is a database of another program")
        if version > VERSION:
            raise JournalError(
                f"{str(self.path)!r} was written by a newer jobqueue_widget "
                f"(its version {version}, known here {VERSION})"
            )

    def __enter__(self) -> ReadOnly:
        return self

    def __exit__(self, *_: object) -> None:
        with self._shield.lowered():
            self._connection.close()

    def records(self) -> JournalRecords:
        """Read all jobs, as of one moment."""
        try:
            contents = read_contents(self._connection)
            logs = self._column("SELECT id, tail FROM logs", bytes)
            results = self._column("SELECT id, shown FROM results", str)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            damaged = " (it is damaged)" if is_broken(error) else ""
            raise JournalError(
                f"the journal {str(self.path)!r} cannot be read{damaged}: {error}"
            ) from error
        gone = not is_in_use(self.path)
        self._goes_on = False
        records = JournalRecords()
        for request, state in contents.jobs:
            found = self.alone.look(request, state, gone)
            self._goes_on = self._goes_on or (found is not None and found.status == "running")
            records.append(_record(request, state, logs, results, contents, gone, found))
        return records

    def cancel(self, name: str) -> str:
        """End a detached job, named by the beginning of its id; return how that went. Blocks.

        Raises:
            JournalError: a kernel has the journal, no such job runs, or it cannot be asked.
        """
        lock, now, reason = JournalLock(self.path), time.time(), "cancelled without a kernel"
        title = "python -m jobqueue_widget --cancel"
        try:  # so that no kernel takes it meanwhile, and follows what is ended here
            lock.take(Session("", os.getpid(), platform.node(), title, now, now, None))
        except JournalInUseError as error:
            raise JournalError("a kernel has this journal: cancel the job there") from error
        try:
            jobs = read_contents(self._connection).jobs
            lost = self.alone.lost(jobs)
            named = {one.id: (one, state) for one, state in jobs if one.id.startswith(name)}
            named_lost = [one for one in lost if one.startswith(name)]
            if len({*named, *named_lost}) != 1:
                count = len({*named, *named_lost})
                raise JournalError(f"{count} jobs have an id that begins with {name!r}")
            if named_lost:
                return self.alone.end_lost(lost[named_lost[0]], reason)
            ((request, state),) = named.values()
            return self.alone.cancel(request, state, reason)
        finally:
            lock.release()

    def lost(self) -> dict[str, int]:
        """Return the processes of detached jobs that the journal does not have as running.

        By the id of the job, as when an older copy of the journal was put back.
        """
        found = self.alone.lost(read_contents(self._connection).jobs)
        processes = {job_id: attempt.process() for job_id, attempt in found.items()}
        return {job_id: one.pid for job_id, one in processes.items() if one is not None}

    def _column(self, query: str, wanted: type[_Column]) -> dict[str, _Column]:
        rows = self._connection.execute(query)
        return {job_id: value for job_id, value in rows if isinstance(value, wanted)}

    def follow(self) -> Iterator[JournalRecords]:
        """Yield all jobs now, and again whenever something was written. Never ends."""
        seen = None
        while True:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
            in_use = is_in_use(self.path)
            if seen != (version, in_use) or self._goes_on:
                seen = (version, in_use)
                yield self.records()
            time.sleep(POLL)


def _record(
    request: StoredRequest,
    state: StoredState,
    logs: dict[str, bytes],
    results: dict[str, str],
    contents: Contents,
    gone: bool,
    found: Found | None,
) -> JournalRecord:
    options = _loaded(request.options)
    label, tags = options.get("label"), options.get("tags")
    failure: Mapping[str, Any] = _loaded(state.failure or "{}")
    status, ended, message = state.status, state.completed_at, state.message
    if found is not None:
        status, message, failure, ended = found
    elif status == "running" and gone:  # shown as it will be restored
        status = "cancelled" if state.asked else "failed"
        failure = {"type_name": "KernelDied", "message": "interrupted by kernel exit"}
        seen = contents.sessions[-1].seen_at if contents.sessions else 0.0
        ended = max(seen, state.started_at or 0.0) or None
    tail = logs.get(request.id, b"")
    return JournalRecord(
        id=request.id,
        name=request.name,
        label=label if isinstance(label, str) else None,
        tags=_texts(tags),
        arguments=request.shown,
        status=status,
        priority=state.priority,
        attempt=state.attempt,
        created_at=request.created_at,
        started_at=state.started_at,
        completed_at=ended,
        message=message,
        error=_joined(failure) if status == "failed" else None,
        cancel_reason=_reason(state, failure) if status == "cancelled" else None,
        traceback="".join(_texts([failure.get("traceback")])),
        result=results.get(request.id, ""),
        executor=state.executor,
        where=state.place,
        retry_of=request.retry_of,
        log=tail.decode("utf-8", "backslashreplace"),
    )


def _reason(state: StoredState, failure: Mapping[str, Any]) -> str:
    """Return the reason that `job.cancel_reason` would give."""
    raised = "" if failure.get("type_name") == "JobCancelled" else _joined(failure)
    return state.cancel_reason or raised or "cancelled"


def _loaded(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _joined(failure: Mapping[str, Any]) -> str:
    return ": ".join(filter(None, _texts([failure.get("type_name"), failure.get("message")])))


def _texts(found: object) -> tuple[str, ...]:
    """Return the texts of a list; we have written nothing else."""
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()
