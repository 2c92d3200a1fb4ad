"""A journal's files changed in every way, and what its queue does next: nothing is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, JournalWarning, SqliteJournal
from jobqueue_widget._core.stored import Changes
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.journals import opened, running

pytestmark = [
    pytest.mark.filterwarnings("ignore:the queue is not started"),
    pytest.mark.timeout(60),
]
PAGE = 4096
BALLAST = "x" * 400_000  # so that SQLite writes its log into the file on the way
SUFFIXES = ("", "-wal", "-shm")


async def value(number: int, ballast: str = "") -> int:
    return number


def of(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def cut(suffix: str, size: Callable[[int], int]) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        one = of(path, suffix)
        os.truncate(one, size(one.stat().st_size))

    return change


def written(suffix: str, what: bytes, place: Callable[[int], int]) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        one = of(path, suffix)
        fd = os.open(one, os.O_WRONLY)
        os.pwrite(fd, what, place(one.stat().st_size))
        os.close(fd)

    return change


def older(path: Path, suffixes: tuple[str, ...], put: Callable[[Path, Path], object]) -> None:
    for suffix in suffixes:
        put(of(path.parent / "older" / path.name, suffix), of(path, suffix))


def all_removed(path: Path) -> None:
    for suffix in SUFFIXES:
        of(path, suffix).unlink()


CHANGES: dict[str, Callable[[Path], object]] = {
    "emptied": cut("", lambda size: 0),
    "cut in its header": cut("", lambda size: 50),
    "cut after its header": cut("", lambda size: 100),
    "cut to a page": cut("", lambda size: PAGE),
    "cut within a page": cut("", lambda size: PAGE + 904),
    "cut in half": cut("", lambda size: size // 2),
    "cut by a page": cut("", lambda size: size - PAGE),
    "cut by a byte": cut("", lambda size: size - 1),
    "lengthened": cut("", lambda size: size + PAGE),
    "overwritten": written("", b"garbage!" * 1000, lambda size: 0),
    "its first page zeroed": written("", bytes(PAGE), lambda size: 0),
    "its second page zeroed": written("", bytes(PAGE), lambda size: PAGE),
    "its middle zeroed": written("", bytes(4 * PAGE), lambda size: size // PAGE // 2 * PAGE),
    "removed": lambda path: path.unlink(),
    "its log emptied": cut("-wal", lambda size: 0),
    "its log cut in its header": cut("-wal", lambda size: 20),
    "its log cut in half": cut("-wal", lambda size: size // 2),
    "its log cut by a byte": cut("-wal", lambda size: size - 1),
    "its log lengthened": cut("-wal", lambda size: size + 999),
    "its log overwritten": written("-wal", b"garbage!" * 500, lambda size: size // 2),
    "its log's header zeroed": written("-wal", bytes(32), lambda size: 0),
    "its log's end zeroed": written("-wal", bytes(PAGE), lambda size: size - PAGE),
    "its log removed": lambda path: of(path, "-wal").unlink(),
    "its index emptied": cut("-shm", lambda size: 0),
    "its index cut": cut("-shm", lambda size: 100),
    "its index zeroed": written("-shm", bytes(PAGE), lambda size: 0),
    "its index removed": lambda path: of(path, "-shm").unlink(),
    "all but the lock removed": all_removed,
    "an older one copied over it": lambda path: older(path, ("",), shutil.copyfile),
    "an older log copied over it": lambda path: older(path, ("-wal",), shutil.copyfile),
    "an older index copied over it": lambda path: older(path, ("-shm",), shutil.copyfile),
    "all older ones copied over it": lambda path: older(path, SUFFIXES, shutil.copyfile),
    "an older one moved over it": lambda path: older(path, ("",), os.replace),
    "all older ones moved over it": lambda path: older(path, SUFFIXES, os.replace),
}

# What was overwritten may stand in the log, which SQLite reads first, and writes there at the end.
PERHAPS_STILL_SOUND = {"overwritten", *(one for one in CHANGES if one.endswith("page zeroed"))}


async def look(queue: JobQueue, ending: asyncio.Event) -> None:
    recorder = inspect(queue).engine.recorder
    assert recorder is not None
    recorder.look()


async def submit(queue: JobQueue, ending: asyncio.Event) -> None:
    queue.options(label="late").submit_nowait(value, 5)


async def submit_large(queue: JobQueue, ending: asyncio.Event) -> None:
    await queue.options(label="late").submit_nowait(value, 5, BALLAST * 20)


async def end(queue: JobQueue, ending: asyncio.Event) -> None:
    ending.set()
    (job,) = queue.jobs("running")
    await queue.wait_for_job(job)


async def forget(queue: JobQueue, ending: asyncio.Event) -> None:
    queue.forget(status="failed")


async def close(queue: JobQueue, ending: asyncio.Event) -> None:
    pass


NEXT: dict[str, Callable[[JobQueue, asyncio.Event], Awaitable[None]]] = {
    "it looks": look,
    "a job is submitted": submit,
    "a large job is submitted and ends": submit_large,
    "a job ends": end,
    "jobs are forgotten": forget,
    "it is closed at once": close,
}


def known_to(queue: JobQueue) -> list[tuple[object, ...]]:
    return sorted(
        (job.id, job.label, job.status.value, job.describe_arguments(), job.error, repr(job.result))
        for job in queue.jobs()
        if job.status.value != "running"
    )


ORDINARY = ("a job is submitted", "it is closed at once")


@pytest.mark.parametrize(
    "then", [one if one in ORDINARY else pytest.param(one, marks=pytest.mark.long) for one in NEXT]
)
@pytest.mark.parametrize("what", CHANGES)
async def test_nothing_that_the_queue_knew_is_lost(what: str, then: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    ending = asyncio.Event()
    async with running(path, max_running=2) as queue:
        for number in range(14):
            queue.options(label=f"job {number}").submit_nowait(value, number, BALLAST)
            if number == 8:
                await queue.join()
                (tmp_path / "older").mkdir()
                for one in SUFFIXES:
                    shutil.copyfile(of(path, one), of(tmp_path / "older" / path.name, one))
        queue.submit_nowait(value, "too", "many", "arguments")
        await queue.join()
        queue.options(label="runs").submit_nowait(ending.wait)
        await until(lambda: len(queue.jobs("running")) == 1)
        queue.hold(queue.options(label="held").submit_nowait(value, 3))
        inspect(queue).settle()
        recorder = inspect(queue).engine.recorder
        assert recorder is not None
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            CHANGES[what](path)
            await NEXT[then](queue, ending)
            ending.set()
            before = known_to(queue)
            recorder.close()
        said = [str(one.message) for one in found if one.category is JournalWarning]
        assert len(said) == 1 or (not said and what in PERHAPS_STILL_SOUND), said
        assert all("is written anew" in one for one in said)
    with opened(path) as again:
        assert [one for one in known_to(again) if one[1] != "runs" or one in before] == before
        assert {"runs", "held"} <= {job.label for job in again.jobs()}
        assert not [one for one in inspect(again).notice.split() if "damaged" in one]


class ChangedDuringAWrite(SqliteJournal):
    """Its file is changed in the middle of the next write."""

    change: Callable[[Path], object] | None = None

    def _write_rest(self, connection: sqlite3.Connection, changes: Changes) -> None:
        super()._write_rest(connection, changes)
        change, self.change = self.change, None
        if change is not None:
            change(self.path)


@pytest.mark.parametrize(
    "what", ["emptied", "cut to a page", "its log cut in half", "removed", "its log removed"]
)
async def test_what_is_changed_during_a_write_is_noticed_too(what: str, tmp_path: Path) -> None:
    journal = ChangedDuringAWrite(tmp_path / "runs.db")
    async with running(journal) as queue:
        for number in range(14):
            queue.submit_nowait(value, number, BALLAST)
        await queue.join()
        recorder = inspect(queue).engine.recorder
        assert recorder is not None
        journal.change = CHANGES[what]
        queue.hold(queue.submit_nowait(value, 99))
        before = known_to(queue)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", JournalWarning)
            recorder.close()
        assert "is written anew" in inspect(queue).notice
    with opened(tmp_path / "runs.db") as again:
        assert known_to(again) == before


@pytest.mark.parametrize("what", ["its log lengthened", "its index emptied", "lengthened"])
async def test_what_stands_in_the_journal_alone_is_carried_over(what: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with running(path) as queue:
        jobs = [queue.submit_nowait(value, number, BALLAST) for number in range(3)]
        await queue.join()
        queue.forget(jobs.pop())
    with opened(path) as queue:  # nobody looks at what came back

        def change_and_write() -> None:
            CHANGES[what](path)
            queue.pause("by the test")

        with pytest.warns(JournalWarning, match="is written anew"):
            change_and_write()
        assert {job.id for job in queue.jobs()} == {job.id for job in jobs}
    with opened(path) as again:
        for job in jobs:
            assert again[job.id].result == job.result
            assert again[job.id].args == job.args
        assert len(again.jobs()) == 2
