"""Processes that a pool of this machine lends: many jobs per call, and given back in time."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import FuturesExecutor, JobQueue, JobStatus, current_job
from jobqueue_widget.executors import lent
from tests.conditions import until
from tests.contract import bodies
from tests.engines.work import until_released

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module", autouse=True)
def tracker() -> None:
    resource_tracker.ensure_running()  # lives as long as the interpreter


class Counted(ProcessPoolExecutor):
    """Keeps the futures of its calls."""

    def __init__(self, workers: int, context: Any = SPAWN) -> None:
        super().__init__(workers, context)
        self.futures: list[Future[Any]] = []

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(function, *args, **kwargs)
        self.futures.append(future)
        return future

    @property
    def are_done(self) -> bool:
        return all(future.done() for future in self.futures)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Counted]:
    with Counted(1) as one:
        yield one
        for folder in (tmp_path, *tmp_path.iterdir()):  # else a test that fails waits for ever
            if folder.is_dir():
                bodies.release(folder)


def deaf(folder: str) -> str:
    bodies.begin(folder)
    while not bodies.released(folder):
        time.sleep(0.005)
    return "released"


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


async def test_many_jobs_take_one_call_and_one_process(pool: Counted) -> None:
    async with JobQueue(executor=FuturesExecutor(pool)) as queue:
        await queue.submit_nowait(os.getpid)
        pool.futures.clear()
        jobs = [queue.submit_nowait(os.getpid) for _ in range(300)]
        assert len({await job for job in jobs}) == 1
        assert len(pool.futures) <= 3  # one per second, on a machine that is very slow


async def test_whoever_else_uses_the_pool_gets_a_turn_while_there_are_jobs(
    pool: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lent, "TURN_SECONDS", 0.05)
    async with JobQueue(executor=FuturesExecutor(pool)) as queue:
        jobs = [queue.submit_nowait(pid_after, 0.01) for _ in range(400)]
        await jobs[0]
        other = pool.submit(pow, 2, 3)
        assert await asyncio.wait_for(asyncio.wrap_future(other), 20) == 8
        assert queue.jobs("pending")
        queue.cancel_all("pending")


async def test_an_idle_process_goes_back_to_its_pool_and_is_asked_for_again(pool: Counted) -> None:
    async with JobQueue(executor=FuturesExecutor(pool)) as queue:
        for _ in range(2):
            assert await queue.submit_nowait(pow, 2, 3) == 8
            await until(lambda: pool.are_done)
        assert len(pool.futures) == 2


def test_a_pool_can_be_shut_down_under_an_idle_queue_and_after_its_loop(pool: Counted) -> None:
    queue = JobQueue(executor=FuturesExecutor(pool))

    async def use() -> None:
        await queue.start()
        assert await queue.submit_nowait(pow, 2, 3) == 8

    asyncio.run(use())
    pool.shutdown()
    assert pool.are_done


async def test_what_waits_behind_other_calls_says_so_and_is_withdrawn(
    pool: Counted, tmp_path: Path
) -> None:
    (tmp_path / "job").mkdir()
    held = pool.submit(deaf, str(tmp_path))
    async with JobQueue(executor=FuturesExecutor(pool)) as queue:
        await until(lambda: bodies.times_begun(tmp_path))
        job = queue.submit_nowait(deaf, str(tmp_path / "job"))
        await until(lambda: job.phase == "waiting for a worker")
        job.cancel()
        await until(lambda: job.done)
        assert job.status is JobStatus.cancelled
        following = queue.submit_nowait(pow, 2, 3)
        bodies.release(tmp_path)
        assert await asyncio.wait_for(following, 20) == 8
    assert held.result() == "released"
    assert bodies.times_begun(tmp_path / "job") == 0


async def test_a_queue_that_stops_leaves_a_deaf_job_its_process_and_lets_go_of_it_later(
    pool: Counted, tmp_path: Path
) -> None:
    queue = await JobQueue(executor=FuturesExecutor(pool), cancel_timeout=0.1).start()
    job = queue.submit_nowait(deaf, str(tmp_path))
    await until(lambda: bodies.times_begun(tmp_path))
    await queue.stop()
    assert str(job.error).startswith("CouldNotBeEnded")
    assert not pool.are_done
    bodies.release(tmp_path)
    await until(lambda: pool.are_done)
    await queue.start()
    assert await queue.submit_nowait(pow, 2, 3) == 8
    await queue.close()
    await until(lambda: not [t for t in threading.enumerate() if "jobqueue-pool" in t.name])


@pytest.fixture
def other(pool: Counted) -> Iterator[Counted]:
    with Counted(1) as one:
        yield one


async def test_a_process_that_dies_while_it_is_idle_costs_no_job(
    pool: Counted, other: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lent, "IDLE_SECONDS", 60)
    executor = FuturesExecutor(pool)
    async with JobQueue(executor=executor) as queue:
        pid = await queue.submit_nowait(os.getpid)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: pool.are_done)
        job = queue.submit_nowait(pow, 2, 3)
        await until(lambda: job.block_reason)
        assert "executor.replace(" in str(job.block_reason)
        executor.replace(other)
        assert await asyncio.wait_for(job, 20) == 8


async def test_a_replaced_pool_has_its_process_back_at_once(
    pool: Counted, other: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lent, "IDLE_SECONDS", 60)
    executor = FuturesExecutor(pool)
    async with JobQueue(executor=executor) as queue:
        assert await queue.submit_nowait(pow, 2, 3) == 8
        executor.replace(other)
        await until(lambda: pool.are_done)
        assert await queue.submit_nowait(pow, 2, 4) == 16
        assert len(other.futures) == 1


def disturb(how: str) -> str:
    if how == "replaced":
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        os.close(1)
        os.open(os.devnull, os.O_WRONLY)
    elif how == "closed":
        sys.stdout.close()
    else:
        sys.stdout.detach()  # type: ignore[union-attr]
    return "disturbed"


def speak() -> None:
    print("from Python")
    sys.stdout.flush()
    os.write(1, b"from C\n")


@pytest.mark.parametrize("how", ["replaced", "closed", "detached"])
async def test_what_a_job_did_to_the_streams_is_undone_for_the_next_one(
    how: str, pool: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IDLE_SECONDS", "TURN_SECONDS"):
        monkeypatch.setattr(lent, name, 60)
    async with JobQueue(executor=FuturesExecutor(pool)) as queue:
        assert await queue.submit_nowait(disturb, how) == "disturbed"
        job = queue.submit_nowait(speak)
        await job
        assert job.logs() == "from Python\nfrom C\n"
        assert len(pool.futures) == 1


def spoil_the_pipes() -> str:
    for fd in range(3, 256):
        try:
            name = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if "lent-" in name and stat.S_ISFIFO(os.fstat(fd).st_mode):
            try:
                os.write(fd, b"no frame of ours at all")
            except OSError:
                continue  # the one that it reads
    return "spoiled"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_a_job_that_writes_into_our_pipes_fails_and_the_next_one_has_another_call(
    pool: Counted,
) -> None:
    async with JobQueue(executor=FuturesExecutor(pool)) as queue:
        job = queue.submit_nowait(spoil_the_pipes)
        await until(lambda: job.done)
        assert str(job.error).startswith("WorkerLost")
        assert "no frame of ours" in str(job.error)
        assert await asyncio.wait_for(queue.submit_nowait(pow, 2, 3), 20) == 8


def doubled(data: bytes) -> bytes:
    return data + data


async def test_arguments_and_results_larger_than_a_frame_pass(pool: Counted) -> None:
    data = os.urandom(1 << 20) * 40
    async with JobQueue(executor=FuturesExecutor(pool)) as queue:
        assert await asyncio.wait_for(queue.submit_nowait(doubled, data), 60) == data + data


async def test_one_that_is_asked_in_a_lent_process_ends_and_the_next_one_is_not(
    pool: Counted, tmp_path: Path
) -> None:
    async with JobQueue(executor=FuturesExecutor(pool)) as queue:
        for number in range(20):
            folder = tmp_path / str(number)
            folder.mkdir()
            job = queue.submit_nowait(until_released, str(folder))
            await until(functools.partial(bodies.times_begun, folder))
            job.cancel()
            following = queue.submit_nowait(pow, 2, number)
            await queue.wait_for_job(job, timeout=20)
            assert job.status is JobStatus.cancelled
            assert await asyncio.wait_for(following, 20) == 2**number


def leave_a_thread() -> None:
    job, end = current_job(), time.monotonic() + 2

    def look() -> None:
        while time.monotonic() < end:
            job._looked = 0.0  # type: ignore[union-attr]  # as often as it can
            assert not job.cancel_requested

    threading.Thread(target=look, daemon=True).start()


def leave_a_fork() -> None:
    job, end = current_job(), time.monotonic() + 2
    if not os.fork():
        while time.monotonic() < end:
            job._looked = 0.0  # type: ignore[union-attr]
            assert not job.cancel_requested
            job.report(0.5, "of nobody's")
            job._last = 0.0  # type: ignore[union-attr]
        os._exit(0)


def return_twice() -> bool:
    return os.fork() > 0


@pytest.mark.parametrize("leave", [leave_a_thread, leave_a_fork, return_twice])
async def test_what_a_job_leaves_behind_takes_nothing_from_the_next_ones(
    leave: Any, pool: Counted
) -> None:
    async with JobQueue(executor=FuturesExecutor(pool)) as queue:
        left = queue.submit_nowait(leave)
        jobs = [queue.submit_nowait(pow, 2, number % 10) for number in range(300)]
        assert await asyncio.wait_for(left, 20) in (None, True)
        assert [await asyncio.wait_for(job, 20) for job in jobs] == [2**n for n in range(10)] * 30


async def test_more_jobs_than_calls_may_wait_are_calls_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lent, "MAX_CALLS", 3)
    with Counted(2) as pool:
        async with JobQueue(executor=FuturesExecutor(pool, capacity=20)) as queue:
            jobs = [queue.submit_nowait(pid_after, 0.01) for _ in range(40)]
            assert len({await asyncio.wait_for(job, 20) for job in jobs}) == 2


async def test_where_there_can_be_no_pipes_each_job_is_a_call(
    pool: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mkfifo(*_: object) -> None:
        raise PermissionError("no pipes in this file system")

    monkeypatch.setattr(os, "mkfifo", mkfifo)
    async with JobQueue(executor=FuturesExecutor(pool)) as queue:
        jobs = queue.map(pow, [2, 3], [2, 2])
        assert [await asyncio.wait_for(job, 20) for job in jobs] == [4, 9]


class Hesitant(Counted):
    """Says that it has a call when that has long begun."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(function, *args, **kwargs)
        while not future.running():
            time.sleep(0.005)
        time.sleep(0.3)
        return future


async def test_a_process_that_is_ready_before_its_pool_says_so_has_one_job_at_a_time() -> None:
    with Hesitant(2) as pool:
        async with JobQueue(executor=FuturesExecutor(pool)) as queue:
            jobs = queue.map(pow, [2, 3, 4], [2, 2, 2])
            assert [await asyncio.wait_for(job, 20) for job in jobs] == [4, 9, 16]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
async def test_processes_that_a_pool_forks_hold_none_of_our_pipes() -> None:
    with Counted(2, multiprocessing.get_context("fork")) as pool:
        async with JobQueue(executor=FuturesExecutor(pool)) as queue:
            jobs = [queue.submit_nowait(pid_after, 0.02) for _ in range(10)]
            assert len({await asyncio.wait_for(job, 20) for job in jobs}) == 2
            await until(lambda: pool.are_done)


def test_a_pool_whose_owner_counts_its_calls_is_not_asked_to_lend() -> None:
    with ProcessPoolExecutor(1, SPAWN, max_tasks_per_child=3) as counting:
        assert not lent.may_lend(counting)
    with ProcessPoolExecutor(1, SPAWN) as one:
        assert lent.may_lend(one)


class InThreads:
    """An engine that is not known to run its calls in threads of this very process."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self.calls = 0

    def submit(self, function: Any, /, *args: Any) -> Future[Any]:
        self.calls += 1
        return self._pool.submit(function, *args)


async def test_an_engine_that_cannot_lend_is_asked_once_and_then_called_for_each_job() -> None:
    with ThreadPoolExecutor(1) as threads:
        engine = InThreads(threads)
        async with JobQueue(executor=FuturesExecutor(engine)) as queue:
            jobs = queue.map(pow, [2, 3, 4], [2, 2, 2])
            assert [await asyncio.wait_for(job, 20) for job in jobs] == [4, 9, 16]
        assert engine.calls == 4


@pytest.mark.parametrize("force", [False, True])
async def test_a_job_is_stopped_while_its_engine_says_that_it_cannot_lend(
    force: bool, tmp_path: Path
) -> None:
    (tmp_path / "job").mkdir()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(deaf, str(tmp_path))
        async with JobQueue(executor=FuturesExecutor(InThreads(threads))) as queue:
            job = queue.submit_nowait(deaf, str(tmp_path / "job"))
            await until(lambda: job.phase == "waiting for a worker")
            bodies.release(tmp_path)
            job.cancel(force=force)
            await queue.wait_for_job(job, timeout=20)
            assert job.status is JobStatus.cancelled
            assert await asyncio.wait_for(queue.submit_nowait(pow, 2, 3), 20) == 8
    assert bodies.times_begun(tmp_path / "job") == 0
