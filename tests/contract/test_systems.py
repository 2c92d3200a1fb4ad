"""What each operating system must give: `make test` asks Linux, `make test-windows` Wine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue_widget import JobQueue
from jobqueue_widget._core.jobs import NotKept
from jobqueue_widget.errors import InvalidOptionError
from jobqueue_widget.executors.futures.executor import FuturesExecutor
from jobqueue_widget.executors.futures.foreign_runner import ASK, JobFiles
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.contract.direct import opened
from tests.journals import running

SOON = 60.0  # seconds; on a busy machine Wine starts a process in 20


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def told(folder: Path) -> list[int]:
    """The pids that were written there, once they are whole."""
    try:
        return [int(pid) for pid in (folder / "pids").read_text().split()]
    except (FileNotFoundError, PermissionError):  # on Windows also while it gets its name
        return []


def start(program: str, argument: Path, **more: Any) -> subprocess.Popen[Any]:
    return subprocess.Popen([sys.executable, "-c", program, str(argument)], **more)


def with_a_grandchild(folder: str, then: Callable[[], object]) -> None:
    """Start a process, tell both pids, and go on."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    new = Path(folder, "new")
    new.write_text(f"{os.getpid()} {other.pid}")
    new.rename(Path(folder, "pids"))
    then()


def sleep() -> None:
    time.sleep(600)


def spin_in_c() -> None:
    pow(3, 10**9, 10**9 + 7)
    3 ** (10**9)


def begin(path: str) -> None:
    Path(path).touch()
    sleep()


def leave() -> None:
    return None


@pytest.mark.parametrize("then", [sleep, spin_in_c])
async def test_a_forced_end_takes_all_that_the_job_has_started(
    then: Callable[[], None], tmp_path: Path
) -> None:
    async with JobQueue(cancel_timeout=0.3) as queue:
        job = queue.submit_nowait(with_a_grandchild, str(tmp_path), then)
        await until(lambda: bool(told(tmp_path)), SOON)
        job.cancel()
        await queue.wait_for_job(job)
        assert job.status.value == "cancelled"
        assert all(map(gone, told(tmp_path)))


async def test_what_a_job_leaves_running_ends_with_its_worker(tmp_path: Path) -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(with_a_grandchild, str(tmp_path), leave)
        await job
        assert "was ended with its worker" in job.logs()
        await until(lambda: all(map(gone, told(tmp_path))), SOON)


async def test_a_sleep_hears_a_request_to_stop_and_costs_no_worker() -> None:
    def pid() -> int:
        return os.getpid()

    async with JobQueue(cancel_timeout=SOON) as queue:
        first = await queue.submit_nowait(pid)
        job = queue.submit_nowait(time.sleep, 600)
        await until(lambda: job.status.value == "running", SOON)
        job.cancel()
        await queue.wait_for_job(job)
        assert job.status.value == "cancelled"
        assert await queue.submit_nowait(pid) == first


KERNEL = """
import sys, time
from jobqueue_widget import JobQueue
from tests.contract.test_systems import sleep, with_a_grandchild

with JobQueue(loop="thread") as queue:
    queue.submit_nowait(with_a_grandchild, sys.argv[1], sleep)
    time.sleep(600)
"""


async def test_workers_and_all_that_they_started_end_with_a_killed_kernel(tmp_path: Path) -> None:
    kernel = start(KERNEL, tmp_path)
    try:
        await until(lambda: bool(told(tmp_path)), 2 * SOON)
        assert not any(map(gone, told(tmp_path)))
    finally:
        kernel.kill()
        kernel.wait()
    await until(lambda: all(map(gone, told(tmp_path))), SOON)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.long)])
async def test_a_worker_that_is_killed_costs_its_job_and_no_other(
    rounds: int, seed: int, tmp_path: Path
) -> None:
    chance = random.Random(f"{seed} worker kills")
    async with JobQueue() as queue:
        for number in range(rounds):
            begun = tmp_path / str(number)
            job = queue.submit_nowait(begin, str(begun))
            await until(begun.exists, SOON)
            await asyncio.sleep(chance.random() * 0.05)
            psutil.Process(inspect(queue).processes[job.id]).kill()
            await queue.wait_for_job(job)
            assert job.status.value == "failed"
            assert "WorkerDied" in str(job.error)
            assert await queue.submit_nowait(abs, -number) == number


def made(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [10, 70_000, 3_000_000, 80_000_000])
async def test_large_values_go_there_and_come_back_byte_for_byte(size: int) -> None:
    data = made(size, size)  # with each line end there is
    async with JobQueue() as queue:
        assert await queue.submit_nowait(digest, data) == digest(data)
        assert digest(await queue.submit_nowait(made, size, size)) == digest(data)


def say() -> None:
    print("one\ntwo\r\nthree")
    os.write(1, b"four\n")
    subprocess.run([sys.executable, "-c", "import os; os.write(1, b'five\\n')"], check=True)


async def test_a_log_is_what_was_printed() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(say)
        await job
        assert job.logs().split() == ["one", "two", "three", "four", "five"]


class Engine:
    """Its calls are begun by the test."""

    def submit(self, function: object, job: dict[str, Any]) -> Future[object]:
        self.files = JobFiles(job["files"])
        self.ask = Path(job["files"] + ASK)
        future: Future[object] = Future()
        future.set_running_or_notify_cancel()
        return future


async def test_a_call_that_begins_as_it_is_withdrawn_is_one_of_both(tmp_path: Path) -> None:
    engine = Engine()
    async with opened(FuturesExecutor(engine), tmp_path) as bench:
        with ThreadPoolExecutor(1) as other:
            for _ in range(300):
                execution, _recorder = bench.launch((leave,))
                beginning = other.submit(engine.files.begin, False)
                execution.ask_to_stop()
                has_begun = beginning.result() is None
                assert has_begun == engine.ask.exists()
                engine.files.close()


KEEPS = """
import sys
from jobqueue_widget import JobQueue
from tests.contract.test_systems import made

with JobQueue(loop="thread", journal=sys.argv[1]) as queue:
    for number in range(1000):
        size = 2_000_000 if number % 5 == 0 else 500
        queue.options(label=str(number)).submit_nowait(made, size, number)
        queue.wait()
        print(number, flush=True)
"""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=pytest.mark.long)])
async def test_a_journal_keeps_all_that_was_told_when_its_kernel_is_killed(
    rounds: int, seed: int, tmp_path: Path, note: Callable[[str], None]
) -> None:
    chance = random.Random(f"{seed} journal kills")
    completed = late = 0
    for round_number in range(rounds):
        journal = tmp_path / f"{round_number}.db"
        kernel = start(KEEPS, journal, stdout=subprocess.PIPE, text=True)
        assert kernel.stdout is not None
        last = -1
        try:
            for line in kernel.stdout:
                last = int(line)
                if last > 5 + chance.randrange(60):
                    break
            await asyncio.sleep(chance.random() * 0.1)
        finally:
            kernel.kill()
            kernel.wait()
            kernel.stdout.close()
        async with running(journal) as queue:  # Wine keeps files while one is locked
            found = {int(job.label or 0): job.result for job in queue.jobs("completed")}
        assert found.keys() >= set(range(last + 1)), "all that was told"
        large = sorted(number for number in found if number % 5 == 0)
        lost = sorted(number for number in found if isinstance(found[number], NotKept))
        assert lost == large[len(large) - len(lost) :], "large ones are written later, in order"
        for number, value in found.items():
            if isinstance(value, NotKept):
                assert "its kernel ended before it was written" in value.reason
            else:
                size = 2_000_000 if number % 5 == 0 else 500
                assert digest(value) == digest(made(size, number)), number
        completed += len(found)
        late += len(lost)
    note(
        f"{rounds} kernels with a journal killed, seed {seed}: {completed} jobs had completed, 0 "
        f"were lost; {late} large results were not written yet, and say so"
    )


if sys.platform == "win32":  # what it cannot do

    async def test_a_job_that_needs_no_kernel_is_refused_at_submit(tmp_path: Path) -> None:
        async with JobQueue(journal=tmp_path / "runs.db") as queue:
            with pytest.raises(InvalidOptionError, match="on Windows a job ends with its kernel"):
                queue.options(detached=True).submit_nowait(leave)
            with pytest.raises(InvalidOptionError, match="on Windows a job ends with its kernel"):
                JobQueue().options(detached=True).submit_nowait(leave)

else:  # what Windows does by a Job Object
    from tests.crash.grief import live_with_family

    DAEMONS = ("session", "daemon")  # what has left its group, with and without a living parent
    KERNEL_WITH_DAEMONS = KERNEL.replace("with_a_grandchild", "start_daemons")

    def start_daemons(folder: str, then: Callable[[], object]) -> None:
        live_with_family(f"{folder}/pids", DAEMONS, then.__name__)

    async def test_a_forced_end_takes_what_has_left_the_group(tmp_path: Path) -> None:
        async with JobQueue(cancel_timeout=0.3) as queue:
            job = queue.submit_nowait(start_daemons, str(tmp_path), sleep)
            await until(lambda: bool(told(tmp_path)), SOON)
            job.cancel()
            await queue.wait_for_job(job)
            assert all(map(gone, told(tmp_path)))

    async def test_what_has_left_the_group_ends_with_a_killed_kernel(tmp_path: Path) -> None:
        kernel = start(KERNEL_WITH_DAEMONS, tmp_path)
        try:
            await until(lambda: bool(told(tmp_path)), 2 * SOON)
        finally:
            kernel.kill()
            kernel.wait()
        await until(lambda: all(map(gone, told(tmp_path))), SOON)
