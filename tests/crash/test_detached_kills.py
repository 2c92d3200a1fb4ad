"""Kernels killed at random moments with detached jobs at every stage: none lost, none twice."""

from __future__ import annotations

import asyncio
import collections
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from jobqueue_widget import Job, ResultNotKeptError
from jobqueue_widget.testing import inspect
from tests.crash.detached import REPOSITORY, Beats, control, processes_of
from tests.journals import running

GAP = 0.2  # seconds that a job may rest longer than the control when its kernel is killed
KEEP = {"keep_ended": 1_000_000, "max_history": 1_000_000}
LIVE = """
import asyncio, random, sys
from jobqueue_widget import JobQueue
from tests.crash.detached import marked, note
journal, marks, seed = sys.argv[1:]
dice = random.Random(seed)

async def main():
    queue = await JobQueue(journal=journal, max_running=4, cancel_timeout=0.1, detached=True,
                           on_restore="run", keep_ended=1_000_000, max_history=1_000_000).start()
    jobs = queue.jobs("running")
    for _ in range(dice.randint(1, 4)):
        kind = dice.choice(["plain", "plain", "stubborn", "large"])
        job = queue.submit_nowait(marked, marks, kind, dice.random() ** 2)
        note(marks, "accepted", job.id)
        jobs.append(job)
    print("ready", flush=True)
    while True:
        await asyncio.sleep(dice.random() * 0.3)
        if dice.random() < 0.3:
            job = dice.choice(jobs)
            note(marks, "cancel", job.id)
            job.cancel(force=dice.random() < 0.3)

asyncio.run(main())
"""


class Account:
    """What kernels and jobs have noted, against what the journal says in the end."""

    def __init__(self, path: Path) -> None:
        self.words: dict[str, collections.Counter[str]] = collections.defaultdict(
            collections.Counter
        )
        for line in path.read_text().splitlines():
            word, _, job_id = line.partition(" ")
            self.words[word][job_id] += 1

    def settle(self, ends: dict[str, tuple[str, str]]) -> None:
        """Every promise. `ends`: status and error by id."""
        lost = self.words["accepted"].keys() - ends.keys()
        assert not lost, f"lost: {lost}"
        twice = [job_id for job_id, count in self.words["begun"].items() if count > 1]
        assert not twice, f"run twice: {twice}"
        for job_id, (status, error) in ends.items():
            told = f"{job_id}: {status} {error}"
            if job_id not in self.words["cancel"]:
                assert status == "completed", told
            assert status in ("completed", "cancelled"), told
            assert status != "completed" or self.words["done"][job_id] == 1, told


async def result_of(job: Job) -> object:
    """What it returned; the error if that is lost."""
    try:
        return await job
    except ResultNotKeptError as error:
        return error


def drain(journal: Path) -> dict[str, tuple[str, str]]:
    """Let all end; how each did. Every result is there, but of what was forced as it wrote that."""

    async def run_all() -> dict[str, tuple[str, str]]:
        async with running(journal, on_restore="run", max_running=8, **KEEP) as queue:
            await queue.join(timeout=60)
            inspect(queue).validate()
            for job in queue.jobs("completed"):
                value = await result_of(job)
                if isinstance(value, ResultNotKeptError):
                    assert job.finished_before_cancel, value
                    assert "before it was written" in str(value)
                else:
                    assert value in ("plain", "stubborn") or value == bytes(20_000_000)
            return {job.id: (job.status.value, str(job.error)) for job in queue.jobs()}

    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, run_all()).result()


def kill_kernels(count: int, seed: int, folder: Path) -> str:
    """Ten kernels for each journal, one after the other, each killed at some moment."""
    with control(folder / "control.beats"):
        return _kill_kernels(count, seed, folder)


def _kill_kernels(count: int, seed: int, folder: Path) -> str:
    dice = random.Random(f"{seed} detached")
    accepted = begun = 0
    rests: list[Rest] = []
    for first in range(0, count, 10):
        journal, marks = folder / f"{first}.db", folder / f"{first}.marks"
        moments = []
        for _ in range(min(10, count - first)):
            command = [sys.executable, "-c", LIVE, str(journal), str(marks), str(dice.random())]
            kernel = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)
            assert kernel.stdout is not None
            try:
                assert kernel.stdout.readline() == b"ready\n"
                time.sleep(dice.random() * 1.2)
            finally:
                moments.append(time.monotonic())
                kernel.kill()
                kernel.wait()
                kernel.stdout.close()
        ends = drain(journal)
        rests += rests_at(moments, folder, marks.name)
        account = Account(marks)
        account.settle(ends)
        assert processes_of(journal) == []
        assert not journal.with_name(f"{journal.name}.detached").exists()
        accepted += len(ends)
        begun += len(account.words["begun"])
    assert len(rests) > count / 4, "hardly any job ran at a kill"
    for rest in rests:
        assert rest.job < rest.machine + GAP, rest
    longest = max(rest.job for rest in rests)
    return (
        f"{count} kernels killed, seed {seed}: {accepted} jobs, {begun} began; 0 lost, 0 twice; "
        f"{len(rests)} jobs ran at a kill and rested {longest:.3f} s at most"
    )


class Rest(NamedTuple):
    """For how long a job rested when a kernel was killed, and the control without our code."""

    job: float
    machine: float


def rests_at(moments: list[float], folder: Path, marks: str) -> list[Rest]:
    """Of each job that ran at one of these moments, seconds."""
    machine = Beats(folder / "control.beats")
    jobs = [Beats(path) for path in folder.glob(f"{marks}.*.beats")]
    found = (Rest(job.gap_at(moment), machine.gap_at(moment)) for moment in moments for job in jobs)
    return [rest for rest in found if rest.job]


@pytest.mark.timeout(300)
def test_kernels_that_are_killed_lose_no_detached_job(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    note(kill_kernels(20, seed, tmp_path))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_kernels_that_are_killed_lose_no_detached_job(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    note(kill_kernels(200, seed, tmp_path))
