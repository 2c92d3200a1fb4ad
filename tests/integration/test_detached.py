"""Detached jobs: where they are refused, and that there is nothing of them where there are none."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import InvalidOptionError, JobQueue
from jobqueue_widget.testing import MemoryJournal
from tests.conditions import until
from tests.journals import opened, running
from tests.leaks import Resources


def has_folder(beside: Path) -> bool:
    return any(beside.glob("*.detached"))


async def of_the_loop() -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("journal", [None, MemoryJournal()], ids=["none", "in memory"])
def test_without_a_journal_file_it_is_refused_with_the_cure(journal: object) -> None:
    queue = JobQueue(journal=journal)
    with pytest.raises(InvalidOptionError, match=r'JobQueue\(journal="runs.db"\)'):
        queue.options(detached=True).submit_nowait(len, ())
    assert len(queue) == 0


@pytest.mark.parametrize(
    ("target", "options", "why"),
    [
        (of_the_loop, {}, "a coroutine shares the one environment"),
        (len, {"executor": "thread"}, "a thread shares the one environment"),
    ],
)
def test_where_nothing_could_find_or_end_it_it_is_refused(
    tmp_path: Path, target: Any, options: dict[str, Any], why: str
) -> None:
    with opened(tmp_path / "runs.db") as queue:
        with pytest.raises(InvalidOptionError, match=why):
            queue.options(detached=True, **options).submit_nowait(target)
        assert len(queue) == 0


def test_a_job_with_secrets_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "runs.db") as queue:
        with pytest.raises(InvalidOptionError, match="it has secrets"):
            queue.options(detached=True, secret=True).submit_nowait(len, "swordfish")
        assert len(queue) == 0


async def test_a_queue_says_it_for_all_its_jobs_but_those_that_say_otherwise(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "runs.db", detached=True) as queue:
        with pytest.raises(InvalidOptionError, match="detached=True does not go with"):
            queue.submit_nowait(of_the_loop)
        one = queue.submit_nowait(len, "abc")
        other = queue.options(detached=False).submit_nowait(len, "ab")
        assert (await one, await other) == (3, 2)


async def test_without_such_a_job_there_is_no_folder(tmp_path: Path) -> None:
    async with running(tmp_path / "runs.db") as queue:
        assert await queue.submit_nowait(len, "abc") == 3
        assert not has_folder(tmp_path)


async def test_a_large_result_and_an_object_of_a_class_come_back(tmp_path: Path) -> None:
    async with running(tmp_path / "runs.db") as queue:
        alone = queue.options(detached=True)
        large = alone.submit_nowait(bytes, 5_000_000)
        kept = alone.submit_nowait(Path, "some/where")
        assert await large == bytes(5_000_000)
        assert await kept == Path("some/where")
    assert not has_folder(tmp_path)


async def test_a_retry_has_a_folder_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "runs.db") as queue:
        options = queue.options(detached=True, retries=1, backoff=0)
        job = options.submit_nowait(second_time, str(tmp_path / "noted"))
        assert (await job, job.attempt) == ("done", 2)


def second_time(noted: str) -> str:
    if not Path(noted).exists():
        Path(noted).touch()
        raise ValueError("once more")
    return "done"


SIBLINGS = ("runs.db", "runs.db-shm", "runs.db-wal", "runs.db.lock")


async def test_where_there_is_no_such_job_there_is_nothing_of_them(tmp_path: Path) -> None:
    """Every thread, process and file of a queue with a journal that has run a job, by name."""
    before = Resources.now().held
    async with running(tmp_path / "runs.db") as queue:
        for alone, files in ((False, []), (True, ["runs.db.detached"]), (False, [])):
            go = tmp_path / "go"
            job = queue.options(detached=alone).submit_nowait(wait_for, str(go))
            await until(lambda: [one.phase for one in queue.jobs("running")] == [None])
            assert {*os.listdir(tmp_path)} - {"runs.db.learned.json"} == {*files, *SIBLINGS}
            go.touch()
            await job
            go.unlink()
        await until(lambda: not has_folder(tmp_path))
        held = Resources.now().held - before
        threads = [one.split()[1] for one in held if one.startswith("thread ")]
        assert sorted(name.rpartition("-")[2] for name in threads) == ["guard", "io", "journals"]
        processes = [one for one in held if one.startswith("process ")]
        assert len(processes) == 3, "a worker, a spare one and the guardian"
        pidfds = [one for one in held if one.endswith("[pidfd]")]
        assert len(pidfds) == 2, "of the workers"


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.01)
