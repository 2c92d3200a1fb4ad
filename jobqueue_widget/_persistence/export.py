"""Writes the jobs of an open queue to a file for other programs."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from .._core.jobs import JobRecord
from .._core.texts.words import cancel_text, error_text
from .._runtime.storage.told.logs import JobLog
from .._secrets.arguments import arguments_line
from ..errors import InvalidOptionError
from .codec import shown_value
from .sqlite.places import check_name
from .sqlite.records import JournalRecord

LOG_LINES = 100


def export(jobs: Iterable[JobRecord], path: str | os.PathLike[str]) -> Path:
    """Write jobs in the format of the file name's ending, without secret values.

    Raises:
        InvalidOptionError: the ending is none of .csv, .json, .jsonl, or no file has such a name.
        OSError: the file cannot be written.
    """
    try:
        target = Path(path).expanduser()
        check_name(target)
    except ValueError as error:
        raise InvalidOptionError(f"{str(path)!r} is no name of a file ({error})") from error
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        raise InvalidOptionError(
            f"export writes {', '.join(_WRITERS)}, told by the ending of the name; "
            f"not {target.name!r}"
        )
    records = [record_of(job) for job in jobs]
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with new.open("w", encoding="utf-8", newline="") as file:
            write(records, file)
        new.replace(target)  # at once, so that nobody finds half a file
    finally:
        new.unlink(missing_ok=True)
    return target


def record_of(job: JobRecord) -> JournalRecord:
    """Return a job as a journal would show it."""
    spec = job.spec
    failure, value = job.failure, job.result
    shown = shown_value(value)
    if spec.secrets is not None:
        shown = spec.secrets.hide(shown)
    result = "" if value is None else shown
    log = job.log.tail(LOG_LINES) if isinstance(job.log, JobLog) else ""
    return JournalRecord(
        id=job.id,
        name=spec.name,
        label=spec.options.label,
        tags=spec.options.tags,
        arguments=arguments_line(spec),
        status=job.status.value,
        priority=job.priority,
        attempt=job.attempt,
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        message=job.message,
        error=error_text(job),
        cancel_reason=cancel_text(job),
        traceback=failure.traceback if failure is not None else "",
        result=result,
        executor=job.executor_name,
        where=job.where,
        retry_of=job.retry_of,
        log=log,
    )


def _as_csv(records: list[JournalRecord], file: IO[str]) -> None:
    writer = csv.DictWriter(file, list(JournalRecord.__dataclass_fields__))
    writer.writeheader()
    for record in records:
        row = record.as_dict()
        row["tags"] = " ".join(record.tags)
        writer.writerow({name: _defused(value) for name, value in row.items()})


def _defused(value: object) -> object:
    """Quote text that a spreadsheet would take for a formula (OWASP, "CSV Injection")."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _as_json(records: list[JournalRecord], file: IO[str]) -> None:
    json.dump([record.as_dict() for record in records], file, indent=1)


def _as_lines(records: list[JournalRecord], file: IO[str]) -> None:
    for record in records:
        file.write(json.dumps(record.as_dict()) + "\n")


_WRITERS: dict[str, Callable[[list[JournalRecord], IO[str]], None]] = {
    ".csv": _as_csv,
    ".json": _as_json,
    ".jsonl": _as_lines,
}
