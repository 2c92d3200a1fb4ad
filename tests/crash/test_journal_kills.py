"""Kernels and writers killed at random moments: accepted is accounted for, nothing runs twice."""

from __future__ import annotations

import asyncio
import collections
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from jobqueue_widget.testing import inspect
from tests.crash.processes import alive, all_below, wait_until
from tests.journals import opened, running

pytestmark = pytest.mark.usefixtures("loop_of_the_client")

REPOSITORY = str(Path(__file__).parents[2])
KEEP = {"keep_ended": 1_000_000, "max_history": 1_000_000}


class Account:
    """What was told before the kill, against what the journal says after it."""

    def __init__(self, path: Path) -> None:
        self.accepted: set[str] = set()
        self.told: dict[str, set[str]] = collections.defaultdict(set)
        self.begun: collections.Counter[str] = collections.Counter()
        self.done: set[str] = set()
        for line in path.read_text().splitlines() if path.exists() else []:
            word, _, rest = line.partition(" ")
            if word == "accepted":
                assert rest not in self.accepted, "an id was given twice"
                self.accepted.add(rest)
            elif word == "begun":
                self.begun[rest] += 1
            elif word == "done":
                self.done.add(rest)
            elif word == "told":
                job_id, _, status = rest.partition(" ")
                self.told[job_id].add(status)

    def settle(self, statuses: dict[str, str]) -> None:
        """Every promise of the journal."""
        lost = self.accepted - statuses.keys()
        assert not lost, f"lost: {sorted(lost)}"
        twice = {job_id for job_id, count in self.begun.items() if count > 1}
        assert not twice, f"run twice: {sorted(twice)}"
        assert all(len(told) == 1 for told in self.told.values()), "ended in two ways"
        for job_id, told in self.told.items():
            assert statuses[job_id] in told, f"{job_id} was {told}, now {statuses[job_id]}"
        for job_id, status in statuses.items():
            assert status != "completed" or job_id in self.done
            assert status in ("completed", "failed", "cancelled")
            assert status != "failed" or self.begun[job_id] <= 1


def drain(journal: Path, marks: Path) -> tuple[dict[str, str], collections.Counter[str]]:
    """Run what is left after the last kill; how each job ended, and with which error."""

    async def run_all() -> tuple[dict[str, str], collections.Counter[str]]:
        async with running(journal, on_restore="run", **KEEP) as queue:
            for job in queue.jobs("pending"):
                queue.release(job)  # killed between a hold and its release
            await queue.join(timeout=50)
            found = queue.jobs()
            errors = collections.Counter(str(job.error) for job in queue.jobs("failed"))
            assert len({job.id for job in found}) == len(found)
            inspect(queue).validate()
            return {job.id: job.status.value for job in found}, errors

    with ThreadPoolExecutor(1) as other:  # the clients' own loop is set in this thread
        return other.submit(asyncio.run, run_all()).result()


# -- the journal alone -----------------------------------------------------------------------------

WRITER = """
import random, sys
from jobqueue_widget import JobQueue
from tests.crash.marks import submit_and_tell, tell_ends
journal, marks, seed = sys.argv[1:]
dice = random.Random(seed)
queue = JobQueue(journal=journal, loop="thread", on_restore="run", max_running=2,
                 executor="thread", keep_ended=1_000_000, max_history=1_000_000)
tell_ends(queue, marks)
with queue:
    print("ready", flush=True)
    while True:
        submit_and_tell(queue, marks, dice)
"""


def crash_loops(count: int, seed: int, folder: Path) -> str:
    """Kill a writer `count` times, ten times per journal; what that came to."""
    dice = random.Random(f"{seed} crash loops")
    accepted = interrupted = ran = 0
    slowest: list[float] = []
    for number in range(count):
        journal, marks = folder / f"{number // 10}.db", folder / f"{number // 10}.marks"
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(journal), str(marks), str(dice.random())],
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(dice.random() ** 2 * 0.15)  # often very soon
        finally:
            writer.kill()
            writer.wait()
            writer.stdout.close()
        begun = time.perf_counter()
        with opened(journal, **KEEP):
            slowest.append(time.perf_counter() - begun)
        if number % 10 == 9 or number == count - 1:
            statuses, errors = drain(journal, marks)
            account = Account(marks)
            account.settle(statuses)
            assert set(errors) <= {"KernelDied: interrupted by kernel exit"}
            accepted += len(account.accepted)
            ran += len(account.begun)
            interrupted += errors.total()
    slowest.sort()
    return (
        f"{count} kills, seed {seed}: {accepted} accepted, 0 lost, {ran} ran, 0 twice, "
        f"{interrupted} interrupted; opened again in {slowest[len(slowest) * 19 // 20] * 1000:.0f} "
        "ms (p95)"
    )


@pytest.mark.timeout(180)
def test_a_writer_that_is_killed_loses_nothing(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    note(crash_loops(30, seed, tmp_path))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_writer_that_is_killed_a_thousand_times_loses_nothing(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    note(crash_loops(1_000, seed, tmp_path))


# -- real kernels ----------------------------------------------------------------------------------

SETUP = """
import asyncio, os, random
from jobqueue_widget import JobQueue
from tests.crash.marks import submit_and_tell, tell_ends
queue = JobQueue.open({journal!r}, max_running=2, on_restore="run",
                      keep_ended=1_000_000, max_history=1_000_000)
tell_ends(queue, {marks!r})
await queue.start()
dice = random.Random({seed!r})
"""
GO = """
while True:
    submit_and_tell(queue, {marks!r}, dice)
    await asyncio.sleep(dice.random() * 0.01)
"""


def live(manager: KernelManager, client: BlockingKernelClient, setup: str, go: str) -> int:
    """Bring the queue up in a kernel, and let it take jobs; the kernel's pid."""
    reply = client.execute_interactive(setup, timeout=60, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok", reply["content"]
    client.execute(go)
    return int(manager.provisioner.pid)  # type: ignore[union-attr]


def kill_kernels(count: int, seed: int, folder: Path) -> str:
    """The same queue in one kernel after the other, each killed at some moment."""
    dice = random.Random(f"{seed} kernels")
    journal, marks = folder / "runs.db", folder / "marks"
    spool = folder / "spool"
    spool.mkdir()
    slowest = 0.0
    for _ in range(count):
        manager, client = start_new_kernel(cwd=REPOSITORY, env={**os.environ, "TMPDIR": str(spool)})
        try:
            setup = SETUP.format(journal=str(journal), marks=str(marks), seed=dice.random())
            pid = live(manager, client, setup, GO.format(marks=str(marks)))
            time.sleep(dice.random() * 0.8)
            below = all_below(pid)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: not alive(pid), 20)  # type: ignore[misc]
            left = wait_until(lambda below=below: not any(map(alive, below)), 1.0)  # type: ignore[misc]
            slowest = max(slowest, left)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
    statuses, errors = drain(journal, marks)
    account = Account(marks)
    account.settle(statuses)
    assert set(errors) <= {"KernelDied: interrupted by kernel exit"}
    assert len(account.accepted) > count
    empty = list(spool.glob("jobqueue-*"))  # made, and the guardian was not told yet
    assert not any(path for one in empty for path in one.iterdir())
    return (
        f"{count} kernels killed, seed {seed}: {len(account.accepted)} accepted, 0 lost, "
        f"{len(account.begun)} ran, 0 twice, {errors.total()} interrupted; the last process was "
        f"gone {slowest * 1000:.0f} ms after its kernel, {len(empty)} empty folders were left"
    )


@pytest.mark.timeout(300)
def test_kernels_that_are_killed_lose_nothing_and_run_nothing_twice(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    note(kill_kernels(20, seed, tmp_path))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_very_many_kernels_that_are_killed_lose_nothing_and_run_nothing_twice(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    for block in range(10):
        folder = tmp_path / str(block)
        folder.mkdir()
        note(kill_kernels(20, seed * 1000 + block, folder))
