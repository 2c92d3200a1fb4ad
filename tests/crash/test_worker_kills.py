"""Workers are killed at random moments while many short jobs run: nothing is lost or run twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jobqueue_widget import Job, JobQueue, JobStatus
from jobqueue_widget._core import retrying
from jobqueue_widget.testing import inspect
from tests.crash.grief import run_in_a_lane

LANES = 2
IN_FLIGHT = 12


def workers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        try:
            if any("function_worker.py" in part for part in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


async def kill_many(
    seed: int, kills: int, folder: Path, note: Callable[[str], None], **options: int
) -> None:
    dice = random.Random(f"{seed} kill -9")
    jobs: list[Job] = []
    killed = 0
    async with JobQueue(max_running=LANES, keep_ended=1_000_000) as queue:
        view = queue.options(**options)
        while killed < kills:
            while queue.get_state()["stats"]["total_pending"] < IN_FLIGHT:
                seconds = dice.choice((0.0, 0.002, 0.01))
                job = view.submit_nowait(run_in_a_lane, str(folder), LANES, len(jobs), seconds)
                jobs.append(job)
            await asyncio.sleep(dice.random() * 0.12)
            assert len(queue.jobs("running")) <= LANES
            queue.resume()  # two jobs in a row that were killed at each of five starts pause it
            if found := workers():
                os.kill(dice.choice(found).pid, signal.SIGKILL)
                killed += 1
        queue.resume()
        await queue.join(timeout=100)
        stats = queue.get_state()["stats"]
        assert inspect(queue).faults.bugs == 0
    ran = Counter(int(line) for line in (folder / "marks").read_text().split())
    failed = [job for job in jobs if job.status is JobStatus.failed]
    completed = [job for job in jobs if job.status is JobStatus.completed]
    assert len(failed) + len(completed) == len(jobs) == stats["total_accepted"]
    assert all("SIGKILL" in str(job.error) for job in failed)
    for number, job in enumerate(jobs):
        if job.status is JobStatus.completed:
            assert job.result == number
            assert ran[number] == job.attempt or options
        assert ran[number] <= job.attempt
    note(f"{killed} workers killed, {len(jobs)} jobs: {len(failed)} failed, 0 lost, 0 run twice")


@pytest.fixture(autouse=True)
def quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is killed while it starts is tried again after seconds: here after less."""
    monkeypatch.setattr(retrying, "wait_seconds", lambda count: 0.01 * count)


@pytest.mark.timeout(150)
async def test_workers_killed_at_random_moments_lose_nothing_and_run_nothing_twice(
    seed: int, tmp_path: Path, note: Callable[[str], None]
) -> None:
    await kill_many(seed, 200, tmp_path, note)


@pytest.mark.timeout(150)
async def test_with_retries_every_job_survives_the_killing_or_says_why_not(
    seed: int, tmp_path: Path, note: Callable[[str], None]
) -> None:
    await kill_many(seed, 20, tmp_path, note, retries=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_very_many_workers_killed(
    seed: int, tmp_path: Path, note: Callable[[str], None]
) -> None:
    await kill_many(seed, 1_500, tmp_path, note)
