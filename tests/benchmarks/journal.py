"""What a journal costs: a submit that is on the disk when it returns, a queue that comes back."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

from jobqueue_widget import JobQueue, SqliteJournal
from jobqueue_widget.testing import inspect

from . import work
from .measure import OURS, Effort, Figures, Limit, Measure, Probe, Row, Side

FLOOR, NORMAL, WITHOUT = "bare commit", "sync=normal", "no journal"
WORK = ("coroutine", work.nothing_async), ("function", work.nothing)
SIZE_OF_A_JOB = 500  # bytes, about what is written of one


def _submits(sync: str | None) -> Measure:
    def measure(effort: Effort) -> Figures:
        with tempfile.TemporaryDirectory(dir=".") as folder:  # on a disk: /tmp may be memory
            return asyncio.run(run(effort, Path(folder) / "runs.db"))

    async def run(effort: Effort, path: Path) -> Figures:
        journal = None if sync is None else SqliteJournal(path, sync=sync)  # type: ignore[arg-type]
        figures = {}
        async with JobQueue(journal=journal) as queue:
            queue.pause()
            for kind, target in WORK:
                queue.submit_nowait(target, 0)
                seconds = []
                for number in range(effort.size):
                    begin = time.perf_counter()
                    queue.submit_nowait(target, number)
                    seconds.append(time.perf_counter() - begin)
                figures[kind] = median(seconds) * 1e3
            await queue.close()
        return figures

    return measure


def _bare(effort: Effort) -> Figures:
    """One row per transaction, on the disk when it returns."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        connection = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, what BLOB)")
        seconds = []
        for number in range(effort.size):
            begin = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT INTO jobs VALUES (?, ?)", (str(number), bytes(SIZE_OF_A_JOB))
            )
            connection.execute("COMMIT")
            seconds.append(time.perf_counter() - begin)
        connection.close()
    return {kind: median(seconds) * 1e3 for kind, _ in WORK}


def _restore(effort: Effort) -> Figures:
    """Half of them ended with a result, half pending; from the constructor to the queue."""

    async def fill(path: Path) -> None:
        queue = await JobQueue(journal=path, keep_ended=effort.size).start()
        queue.options(ahead=effort.size).map(work.nothing_async, range(effort.size // 2))
        await queue.join()
        queue.pause()
        queue.options(ahead=effort.size).map(work.nothing, range(effort.size // 2))
        await queue.stop()
        inspect(queue).let_go()

    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "runs.db"
        asyncio.run(fill(path))
        begin = time.perf_counter()
        queue = JobQueue(journal=path, keep_ended=effort.size)
        seconds = time.perf_counter() - begin
        assert len(queue.jobs()) == effort.size // 2 * 2
        return {"ms": seconds * 1e3}


def _again(effort: Effort) -> Figures:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _restore(effort)


MANY = "cancel", "close"


def _many(effort: Effort) -> Figures:
    """A cell that cancels what waits, and one that closes the queue with it."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        return {how: asyncio.run(_end_many(effort, Path(folder), how)) for how in MANY}


async def _end_many(effort: Effort, folder: Path, how: str) -> float:
    async with JobQueue(journal=folder / f"{how}.db") as queue:
        queue.pause()
        queue.options(ahead=effort.size).map(work.nothing_async, range(effort.size))
        begin = time.perf_counter()
        if how == "cancel":
            queue.cancel_all("pending")
        else:
            await queue.close()
        seconds = time.perf_counter() - begin
        await queue.close()
    return seconds


PROBES = (
    Probe(
        "journal-submit",
        {
            OURS: Side(_submits("full")),
            NORMAL: Side(_submits("normal")),
            WITHOUT: Side(_submits(None)),
            FLOOR: Side(_bare, is_floor=True),
        },
        size=1_000,
        quick_size=100,
    ),
    Probe("journal-many", {OURS: Side(_many)}, size=20_000, quick_size=2_000),
    Probe(
        "journal-restore",
        {OURS: Side(_again)},
        size=10_000,
        quick_size=1_000,
        also_sizes={10: (OURS,), 1_000: (OURS,), 100_000: (OURS,)},
    ),
)

_ON_DISK = "most of it is the disk's own time for one fsync, which the bare commit shows."

ROWS = (
    Row(
        "journal-submit",
        "submit with a journal, on the disk when it returns; coroutine target",
        "journal-submit",
        "coroutine",
        "ms",
        must=(Limit(0.4),),
        analysis=_ON_DISK,
    ),
    Row(
        "journal-submit-function",
        "the same, function target",
        "journal-submit",
        "function",
        "ms",
        must=(Limit(0.4),),
        analysis=_ON_DISK,
    ),
    Row(
        "journal-restore",
        "a queue of 10,000 jobs comes back, half of them pending",
        "journal-restore",
        "ms",
        "ms",
        must=(Limit(300),),
        analysis="O(n): a row, a seal and a place in the order for each; results stay in the file.",
    ),
    *(
        Row(
            f"journal-{how}-many",
            f"{words} with 20,000 pending, with a journal",
            "journal-many",
            how,
            "s",
            must=(Limit(0.3),),
            want=(Limit(0.1),),
            analysis="O(n): a transition and a row for each; one transaction.",
        )
        for how, words in (("cancel", "cancel_all"), ("close", "close"))
    ),
)
