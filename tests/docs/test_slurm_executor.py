"""The worked example of a remote executor: each way to end a job, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import (
    JobCancelled,
    JobFailedError,
    JobQueue,
    JobStatus,
    ResultNotKeptError,
    UnpicklableJobError,
)
from tests.conditions import until
from tests.docs.pages import manual_example

EXAMPLE = manual_example("slurm_executor")
MakeQueue = Callable[..., JobQueue]


class Busy(EXAMPLE.FakeSlurm):  # type: ignore[misc, name-defined]
    """It takes nothing the first time, and does not know at once what it has."""

    refusals = 1
    silences = 2

    def sbatch(self, command: list[str], output: Path) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise OSError("the controller does not answer")
        return super().sbatch(command, output)

    def squeue(self) -> Any:
        if self.silences:
            self.silences -= 1
            raise OSError("the controller does not answer")
        return super().squeue()


@pytest.fixture
def slurm() -> Any:
    return EXAMPLE.FakeSlurm()


@pytest.fixture
def make_queue(slurm: Any, tmp_path: Path) -> MakeQueue:
    def make(engine: Any = slurm, **settings: Any) -> JobQueue:
        executor = EXAMPLE.SlurmExecutor(engine, tmp_path, capacity=2, every=0.05)
        return JobQueue(executor=executor, **settings)

    return make


def say(words: str) -> str:
    print(words)
    return words.upper()


def fail() -> None:
    raise ValueError("as it was told")


def sleep_until_asked(marks: str) -> None:
    Path(marks).touch()
    time.sleep(60)


def sleep_whatever_is_asked(marks: str) -> None:
    while True:
        try:
            sleep_until_asked(marks)
        except JobCancelled:
            print("no", flush=True)


async def test_a_result_a_log_and_where_it_ran(make_queue: MakeQueue, tmp_path: Path) -> None:
    async with make_queue() as queue:
        jobs = queue.map(say, ["one", "two", "three"])
        assert [await job for job in jobs] == ["ONE", "TWO", "THREE"]
        assert [job.logs().strip() for job in jobs] == ["one", "two", "three"]
        assert str(jobs[0].where).startswith("slurm job")
    assert os.listdir(tmp_path) == []


async def test_an_error_fails_its_job_by_name(make_queue: MakeQueue) -> None:
    async with make_queue() as queue:
        job = queue.submit_nowait(fail)
        with pytest.raises(JobFailedError, match="ValueError: as it was told"):
            await job
        assert job.failure is not None
        assert "in fail" in job.failure.traceback


async def test_a_result_that_cannot_be_sent_is_named(make_queue: MakeQueue) -> None:
    async with make_queue() as queue:
        with pytest.raises(ResultNotKeptError, match="lock"):
            await queue.submit_nowait(threading.Lock)


async def test_what_cannot_be_pickled_is_refused_at_submit(make_queue: MakeQueue) -> None:
    async with make_queue() as queue:
        with pytest.raises(UnpicklableJobError, match="say"):
            queue.submit_nowait(say, threading.Lock())
        assert queue.jobs() == []


@pytest.mark.parametrize("body", [sleep_until_asked, sleep_whatever_is_asked])
async def test_a_cancelled_job_is_asked_and_then_forced(
    make_queue: MakeQueue, slurm: Any, tmp_path: Path, body: Callable[[str], None]
) -> None:
    marks = tmp_path / "marks"
    async with make_queue() as queue:
        job = queue.submit_nowait(body, str(marks))
        await until(marks.exists)
        job.cancel(timeout=20 if body is sleep_until_asked else 0.3)
        await queue.wait_for_job(job, timeout=30)
        assert job.status is JobStatus.cancelled
        assert slurm.squeue() == set()
        assert ("no" in job.logs()) is (body is sleep_whatever_is_asked)
        assert await queue.submit_nowait(say, "next") == "NEXT"


async def test_a_lost_node_fails_its_job_and_no_other(
    make_queue: MakeQueue, slurm: Any, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    async with make_queue() as queue:
        job = queue.submit_nowait(sleep_until_asked, str(marks))
        await until(marks.exists)
        (node,) = slurm.squeue()
        os.killpg(int(node), signal.SIGKILL)
        with pytest.raises(JobFailedError, match="NodeLost"):
            await job
        assert await queue.submit_nowait(say, "next") == "NEXT"


async def test_a_controller_that_does_not_answer_is_asked_again(make_queue: MakeQueue) -> None:
    async with make_queue(Busy()) as queue:
        job = queue.submit_nowait(say, "one")
        assert await asyncio.wait_for(job, 30) == "ONE"
        assert job.attempt == 1


async def test_a_stopped_queue_leaves_no_node_at_work(
    make_queue: MakeQueue, slurm: Any, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    queue = make_queue(cancel_timeout=0.2)
    for _ in range(2):  # it opens again
        await queue.start()
        queue.submit_nowait(sleep_whatever_is_asked, str(marks))
        await until(marks.exists)
        marks.unlink()
        await queue.stop()
        assert slurm.squeue() == set()


async def test_closing_before_opening_does_nothing(tmp_path: Path) -> None:
    await EXAMPLE.SlurmExecutor(EXAMPLE.FakeSlurm(), tmp_path, capacity=1).close()
