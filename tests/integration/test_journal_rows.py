"""Rows and schemas that nobody of ours wrote: told as damage, or as what one job has lost."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import sqlite3
import time
import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import (
    JobQueue,
    JournalError,
    JournalWarning,
    NotRestorableError,
    current_job,
    read_journal,
)
from jobqueue_widget.__main__ import main
from jobqueue_widget.testing import inspect
from jobqueue_widget.widget.static_table import queue_html, queue_text
from tests.journals import let_go, running

pytestmark = [
    pytest.mark.filterwarnings("ignore:the queue is not started"),
    pytest.mark.timeout(300),
]

COLUMNS = {
    "meta": ["value"],
    "sessions": ["run_id", "pid", "host", "title", "started_at", "seen_at", "ended_at"],
    "functions": ["digest", "data", "source"],
    "jobs": [
        *("number", "id", "kind", "name", "options", "shown", "missing", "function", "call"),
        *("seal", "retry_of", "created_at"),
    ],
    "standings": [
        *("number", "id", "status", "attempt", "priority", "rank", "asked", "held", "hold_then"),
        *("hold_until", "started_at", "completed_at", "message", "executor", "cancel_reason"),
        *("finished_before_cancel", "failure", "ended_number", "place", "progress"),
    ],
    "results": ["id", "form", "data", "shown", "seal"],
    "logs": ["id", "tail"],
    "told": ["id", "metrics", "outputs", "usage"],
}
JSON = [
    "[" * 100_000,
    '{"a":' * 50_000,
    "1e400",
    "[1e400, 1e400]",
    '["x", 1e400]',
    "1" * 4_000,
    '{"completed": 1e400}',
    '{"completed": -5}',
    '{"retries": 1e400, "timeout": 1e400}',
    '{"timeout": "soon"}',
    '{"timeout": ' + "9" * 400 + "}",
    '{"retries": -1}',
    '{"label": {"a": [1]}}',
    '{"after": {"a": 1}}',
    '{"after": 7}',
    '{"tags": [[], {}]}',
    '{"resources": [1]}',
    '{"secret": [[1]]}',
    '{"executor": "of nobody"}',
    '{"type_name": {}, "message": [[]], "exit_code": [], "signal_name": {}}',
    '{"kinds": [[], {}], "stated": {"retry_after": 1e400, "category": []}, "message": 5}',
    '{"type": [], "size": 1e400, "reason": {}, "repr": 5}',
    '{"loss": [[0, 1e400], [{}, "x"]], "a": 5, "b": [[1]]}',
    '{"kept": [["", "{"], [7, 8], "x", {}], "lost": 1e400}',
    '{"kept": [["", "[[]]"]], "lost": -3}',
    '{"size": ' + "8" * 4_000 + ', "type": "", "reason": "", "repr": ""}',
]
VALUES: list[Any] = [
    *(0, -1, 2**31, 2**62 + 1, 2**63 - 1, -(2**63), 1.5, float("inf"), float("-inf"), 1e300),
    *(None, "", "\0", "x" * 100_000, "../../etc", "\U0001f600\u202e", "Infinity", "completed"),
    *(b"", b"\xff\xfe", bytes(10_000), *JSON),
]


async def quick() -> str:
    return "quick"


def talk(text: str) -> set[str]:
    print(text)
    return {text}


def fail(text: str) -> None:
    current_job().report(0.5, loss=1.0)
    raise ValueError(text)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with one job of each kind at each place."""
    path = tmp_path_factory.mktemp("sound") / "runs.db"

    async def make() -> None:
        async with running(path, executor="thread") as queue:
            for job in [queue.submit_nowait(quick) for _ in range(2)]:
                await job
            queue.clear_history()
            first = queue.submit_nowait(quick)
            queue.submit_nowait(talk, "words")
            queue.submit_nowait(lambda text: fail(text), "on purpose")
            queue.submit_nowait(quick).cancel()
            await queue.join()
            queue.pause("by the test")
            queue.submit_nowait(quick)
            held = queue.options(label="held", tags=["a"]).submit_nowait(talk, "more")
            queue.hold(held, seconds=60)
            queue.options(after=first).submit_nowait(lambda: 1)

    asyncio.run(make())
    return path


def look_at_all(queue: JobQueue) -> None:
    """Whatever a user or a view asks of jobs; what a job has lost may be said by an exception."""
    for job in queue.jobs():
        repr(job), repr(job.result), job.logs(), job.as_dict(), job.as_row(), job.error
        job.describe_arguments(), job.cancel_reason, job.note
        repr((job.metrics, job.outputs, job.outputs_lost, job.usage, job.used_peak))
        if job.failure is not None:
            job.failure.category, job.failure.retriable, job.failure.shortfall  # noqa: B018
        with suppress(NotRestorableError):
            repr(job.args)
        with suppress(NotRestorableError):
            job.retry()
    inspect(queue).snapshot(10, 10, 10)
    queue_html(queue), queue_text(queue)
    queue.to_pandas()
    queue.get_state(), queue.orphans(), queue.find("a")


async def use(path: Path, folder: Path) -> str:
    """Open it, use it, open it again: "opened", "aside" or "refused"."""
    began = time.monotonic()
    with suppress(JournalError):
        read_journal(path).to_pandas()
    with suppress(SystemExit):
        main([str(path)])
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", JournalWarning)
            warnings.filterwarnings("ignore", message="the queue is not started")
            queue = JobQueue(journal=path, executor="thread")
    except JournalError:
        return "refused"
    aside = [name for name in os.listdir(folder) if ".damaged-" in name]
    assert len([one for one in told if one.category is JournalWarning]) == bool(aside)
    look_at_all(queue)
    inspect(queue).validate()
    async with queue:
        queue.resume()
        assert await queue.submit_nowait(quick) == "quick"
        queue.export(folder / "out.csv")
        await queue.stop()
        recorder = inspect(queue).engine.recorder
        assert recorder is not None
        assert not recorder.trouble
        let_go(queue)
    records = read_journal(path)
    assert "quick" in {one.name.rpartition(".")[2] for one in records}
    with warnings.catch_warnings():
        warnings.simplefilter("error", JournalWarning)
        let_go(JobQueue(journal=path, executor="thread"))
    assert time.monotonic() - began < 30  # nothing hangs
    return "aside" if aside else "opened"


def copied(sound: Path, folder: Path) -> Path:
    folder.mkdir()
    shutil.copy2(sound, folder)
    return folder / sound.name


@pytest.mark.parametrize("most", [25, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("table", COLUMNS)
async def test_whatever_stands_in_a_row_is_damage_or_costs_its_job(
    table: str,
    most: int,
    sound: Path,
    tmp_path: Path,
    seed: int,
    note: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    dice = random.Random(f"{seed} {table}")
    cells = list(itertools.product(COLUMNS[table], VALUES))
    dice.shuffle(cells)
    told: list[str] = []
    for number, (column, value) in enumerate(cells[:most]):
        folder = tmp_path / str(number)
        path = copied(sound, folder)
        with closing(sqlite3.connect(path)) as connection:
            wholly = dice.random() < 0.5 and column not in ("number", "id", "digest", "run_id")
            key = {"meta": "key", "results": "id", "logs": "id", "told": "id"}.get(table, "rowid")
            where = "" if wholly else f"WHERE {key} = (SELECT min({key}) FROM {table})"
            try:
                connection.execute(f"UPDATE {table} SET {column} = ? {where}", (value,))
            except sqlite3.IntegrityError:
                continue
            connection.commit()
        try:
            told.append(await use(path, folder))
        except BaseException as error:
            error.add_note(f"{table}.{column} = {value!r:.60}")
            raise
        shutil.rmtree(folder)
    note(f"{table}: {[(word, told.count(word)) for word in sorted(set(told))]}")
    assert "refused" not in told
    capsys.readouterr()


SCHEMAS = {
    "a view": "ALTER TABLE jobs RENAME TO j; CREATE VIEW jobs AS SELECT * FROM j",
    "a view without end": "DROP TABLE logs; CREATE VIEW logs AS WITH RECURSIVE n(id) AS "
    "(SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id, x'00' AS tail FROM n",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON sessions BEGIN DELETE FROM jobs; END",
    "a trigger without end": "CREATE TRIGGER t AFTER INSERT ON sessions BEGIN INSERT INTO logs "
    "SELECT i, x'00' FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i FROM n); END",
    "an index that computes": "CREATE INDEX x ON standings(hex(zeroblob(10000)))",
    "an index": "CREATE INDEX x ON jobs(name)",
    "a check": "ALTER TABLE jobs RENAME TO j; CREATE TABLE jobs (number INTEGER PRIMARY KEY CHECK "
    "(hex(zeroblob(10000)) <> '')); INSERT INTO jobs SELECT number FROM j",
    "a generated column": "ALTER TABLE jobs ADD COLUMN x AS (hex(zeroblob(10000)))",
    "a virtual table": "DROP TABLE logs; CREATE VIRTUAL TABLE logs USING fts5(id, tail)",
    "a missing table": "DROP TABLE standings",
    "a missing column": "ALTER TABLE standings DROP COLUMN place",
    "a column of another name": 'ALTER TABLE standings RENAME COLUMN place TO "a b"',
    "no version": "PRAGMA user_version = 0",
}


@pytest.mark.parametrize("what", SCHEMAS)
async def test_what_is_no_plain_table_of_ours_is_damage(
    what: str, sound: Path, tmp_path: Path
) -> None:
    path = copied(sound, tmp_path / "x")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMAS[what])
    if what != "no version":
        with pytest.raises(JournalError, match="it is damaged"):
            read_journal(path)
    assert await use(path, tmp_path / "x") == "aside"


async def test_a_plain_column_and_a_table_of_a_later_version_are_left_alone(
    sound: Path, tmp_path: Path
) -> None:
    path = copied(sound, tmp_path / "x")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE later (key TEXT PRIMARY KEY, value BLOB)")
    assert await use(path, tmp_path / "x") == "opened"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM later").fetchone() == (0,)
