"""Jobs on pools of other libraries: what goes on while they run, and when a pool breaks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import multiprocessing
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import (
    FuturesExecutor,
    InvalidOptionError,
    JobQueue,
    JobStatus,
    ResultNotKeptError,
    current_job,
    track,
)
from jobqueue_widget.executors.futures import foreign_runner
from tests.conditions import until
from tests.contract import bodies
from tests.crash.processes import alive
from tests.threads import no_threads


@pytest.fixture(scope="module", autouse=True)
def tracker() -> None:
    resource_tracker.ensure_running()  # lives as long as the interpreter


def new_pool(workers: int = 2) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with new_pool() as one:
        yield one


@pytest.fixture(params=["a private folder", "one of the user's"])
def on_pool(
    request: pytest.FixtureRequest, pool: ProcessPoolExecutor, tmp_path: Path
) -> FuturesExecutor:
    if "user" in request.param:
        return FuturesExecutor(pool, folder=tmp_path / "seen-by-both")
    return FuturesExecutor(pool)


def until_released(folder: str) -> str:
    job = current_job()
    print("begun", flush=True)
    job.report(0.5, "half of it")
    bodies.begin(folder)
    while not bodies.released(folder):
        time.sleep(0.005)
        job.checkpoint()
    return "released"


async def test_progress_log_and_place_are_seen_while_it_runs(
    on_pool: FuturesExecutor, tmp_path: Path
) -> None:
    async with JobQueue(executor=on_pool, progress_poll_interval=0.02) as queue:
        job = queue.submit_nowait(until_released, str(tmp_path))
        await until(lambda: job.progress == 0.5 and "begun" in job.logs())
        await until(lambda: bodies.pids(tmp_path))
        assert job.status_message == "half of it"
        assert job.phase is None
        (pid,) = bodies.pids(tmp_path)
        assert job.where == f"{platform.node()} (process {pid})"
        bodies.release(tmp_path)
        assert await job == "released"
        assert job.logs() == "begun\n"
        assert job.where is not None


async def test_an_ask_reaches_a_job_that_looks_for_it(
    on_pool: FuturesExecutor, tmp_path: Path
) -> None:
    async with JobQueue(executor=on_pool) as queue:
        job = queue.submit_nowait(until_released, str(tmp_path))
        await until(lambda: bodies.times_begun(tmp_path))
        job.cancel()
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.cancelled
        assert bodies.pids(tmp_path) != [os.getpid()]


def typed_in_a_cell() -> Any:
    def noisy(count: int) -> int:
        os.write(1, b"from C\n")
        return len(list(track(range(count), "counting")))

    return noisy


async def test_closures_bars_and_what_c_prints_are_the_job_s(on_pool: FuturesExecutor) -> None:
    async with JobQueue(executor=on_pool) as queue:
        job = queue.submit_nowait(typed_in_a_cell(), 3)
        assert await asyncio.wait_for(job, 20) == 3
        assert job.logs() == "from C\n"
        assert (job.progress, job.status_message) == (1.0, "counting: 3/3")


class OnAnotherMachine:
    """An engine whose processes do not see the kernel's files."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def submit(self, function: Any, job: Any) -> Any:
        return self._pool.submit(function, {**job, "files": f"/not/here{job['files']}"})


async def test_without_a_folder_that_both_see_all_of_it_comes_with_the_result(
    pool: ProcessPoolExecutor, tmp_path: Path
) -> None:
    executor = FuturesExecutor(OnAnotherMachine(pool), folder=tmp_path / "only-here")
    async with JobQueue(executor=executor) as queue:
        job = queue.submit_nowait(typed_in_a_cell(), 3)
        assert await asyncio.wait_for(job, 20) == 3
        assert job.logs() == "from C\n"
        assert (job.progress, job.status_message) == (1.0, "counting: 3/3")
        assert os.listdir(tmp_path / "only-here") == []


def until_released_and_deaf(folder: str) -> str:
    bodies.begin(folder)
    while not bodies.released(folder):
        time.sleep(0.005)
    return "released"


def until_released_and_quiet(folder: str) -> None:
    bodies.begin(folder)
    while not bodies.released(folder):
        time.sleep(0.005)
        current_job().checkpoint()


@pytest.mark.parametrize(
    ("body", "asked", "files"),
    [
        (until_released_and_quiet, False, {".begun"}),
        (until_released_and_deaf, True, {".begun", ".ask"}),
        (until_released, False, {".begun", ".report"}),
    ],
)
async def test_a_job_has_one_file_and_others_only_when_they_say_something(
    pool: ProcessPoolExecutor, tmp_path: Path, body: Any, asked: bool, files: set[str]
) -> None:
    (tmp_path / "job").mkdir()
    folder = tmp_path / "seen-by-both"

    def suffixes() -> set[str]:
        return {path.suffix for path in folder.iterdir()}

    async with JobQueue(executor=FuturesExecutor(pool, folder=folder)) as queue:
        job = queue.submit_nowait(body, str(tmp_path / "job"))
        await until(lambda: bodies.times_begun(tmp_path / "job"))
        if asked:
            job.cancel()
        await until(lambda: suffixes() >= files)
        assert suffixes() == files
        bodies.release(tmp_path / "job")
        await until(lambda: job.done)
        assert suffixes() == set()


def write_much(size: int) -> int:
    print("x" * size)
    return size


@pytest.mark.parametrize(
    "size", [10, foreign_runner.LOG_TAIL - 1, foreign_runner.LOG_TAIL, 3 * foreign_runner.LOG_TAIL]
)
async def test_a_log_of_any_size_is_whole(on_pool: FuturesExecutor, size: int) -> None:
    async with JobQueue(executor=on_pool) as queue:
        job = queue.submit_nowait(write_much, size)
        assert await asyncio.wait_for(job, 20) == size
        assert job.logs() == "x" * size + "\n"


def doubled(data: bytes) -> bytes:
    return data + data


async def test_arguments_and_results_larger_than_a_frame_pass(on_pool: FuturesExecutor) -> None:
    data = os.urandom(1 << 20) * 40
    async with JobQueue(executor=on_pool) as queue:
        assert await asyncio.wait_for(queue.submit_nowait(doubled, data), 60) == data + data


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


def print_late() -> None:
    """From a thread that is still there when the next jobs run, and has the stream."""

    def say(stream: Any) -> None:
        for _ in range(1000):
            with contextlib.suppress(OSError, ValueError):
                print("too late", file=stream, flush=True)
            time.sleep(0.001)

    threading.Thread(target=say, args=(sys.stdout,), daemon=True).start()


def return_twice() -> bool:
    return os.fork() > 0


def speak() -> None:
    print("from Python")
    sys.stdout.flush()
    os.write(1, b"from C\n")


@pytest.mark.parametrize(
    "before",
    [
        *(functools.partial(disturb, how) for how in ("replaced", "closed", "detached")),
        print_late,
        return_twice,
    ],
    ids=["replaced", "closed", "detached", "late", "twice"],
)
async def test_what_a_job_leaves_behind_takes_nothing_from_the_next_ones(before: Any) -> None:
    with new_pool(1) as pool:
        async with JobQueue(executor=FuturesExecutor(pool)) as queue:
            first = queue.submit_nowait(before)
            jobs = [queue.submit_nowait(speak) for _ in range(20)]
            await asyncio.wait_for(first, 20)
            for job in jobs:
                await asyncio.wait_for(job, 20)
                assert job.logs() == "from Python\nfrom C\n"


async def test_there_are_as_many_lanes_as_the_pool_has_workers(
    on_pool: FuturesExecutor, tmp_path: Path
) -> None:
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    async with JobQueue(executor=on_pool) as queue:
        jobs = [queue.submit_nowait(until_released, str(folder)) for folder in folders]
        await until(lambda: bodies.times_begun(folders[0]) and bodies.times_begun(folders[1]))
        assert jobs[2].status is JobStatus.pending
        for folder in folders:
            bodies.release(folder)
        assert [await job for job in jobs] == ["released"] * 3


async def test_more_lanes_than_workers_say_what_a_job_waits_for(
    pool: ProcessPoolExecutor, tmp_path: Path
) -> None:
    executor = FuturesExecutor(pool, capacity=1)
    async with JobQueue(executor=executor, max_running=3) as queue:
        running = queue.submit_nowait(until_released, str(tmp_path))
        waiting = queue.submit_nowait(until_released, str(tmp_path))
        await until(lambda: waiting.block_reason)
        assert waiting.block_reason == "all 1 workers of ProcessPoolExecutor have a job"
        bodies.release(tmp_path)
        assert [await running, await waiting] == ["released"] * 2


async def test_a_pool_that_breaks_fails_what_ran_and_keeps_the_rest_for_another(
    tmp_path: Path,
) -> None:
    first, second = new_pool(1), new_pool(1)
    executor = FuturesExecutor(first)
    try:
        async with JobQueue(executor=executor) as queue:
            job = queue.submit_nowait(until_released, str(tmp_path))
            rest = queue.map(pow, [2, 3], [2, 2])
            await until(lambda: bodies.times_begun(tmp_path))
            os.kill(bodies.pids(tmp_path)[0], signal.SIGKILL)
            await until(lambda: job.done)
            assert str(job.error).startswith("BrokenProcessPool")
            await until(lambda: rest[0].block_reason)
            assert "executor.replace(" in str(rest[0].block_reason)
            executor.replace(second)
            assert [await asyncio.wait_for(one, 20) for one in rest] == [4, 9]
    finally:
        first.shutdown()
        second.shutdown()


async def test_a_pool_that_breaks_after_it_was_replaced_blocks_nothing(
    on_pool: FuturesExecutor, tmp_path: Path
) -> None:
    async with JobQueue(executor=on_pool) as queue:
        job = queue.submit_nowait(until_released, str(tmp_path))
        await until(lambda: bodies.pids(tmp_path))
        with new_pool(1) as other:
            on_pool.replace(other)
            os.kill(bodies.pids(tmp_path)[0], signal.SIGKILL)
            await until(lambda: job.done)
            assert str(job.error).startswith("BrokenProcessPool")
            assert await asyncio.wait_for(queue.submit_nowait(pow, 2, 3), 20) == 8


async def test_a_pool_that_was_shut_down_fails_one_job_and_keeps_the_rest() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    executor = FuturesExecutor(pool)
    async with JobQueue(executor=executor) as queue:
        jobs = queue.map(pow, [2, 3], [2, 2])
        await until(lambda: jobs[0].done and jobs[1].block_reason)
        assert "cannot schedule new futures" in str(jobs[0].error)
        with ThreadPoolExecutor(1) as other:
            executor.replace(other)
            assert await asyncio.wait_for(jobs[1], 20) == 9


class RunsTwice:
    """An engine that starts a call again, as those do that lost a process."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def submit(self, function: Any, /, *args: Any) -> Any:
        self._pool.submit(function, *args).result()
        return self._pool.submit(function, *args)


@pytest.mark.parametrize("idempotent", [False, True])
async def test_an_engine_s_second_start_runs_nothing_unless_that_is_allowed(
    idempotent: bool, tmp_path: Path
) -> None:
    bodies.release(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        async with JobQueue(executor=FuturesExecutor(RunsTwice(pool))) as queue:
            options = queue.options(idempotent=idempotent)
            job = options.submit_nowait(until_released, str(tmp_path))
            await queue.wait_for_job(job, timeout=20)
    assert bodies.times_begun(tmp_path) == (2 if idempotent else 1)
    if not idempotent:
        assert str(job.error).startswith("StartedTwice")


class OnlyAsked:
    """A future that tells nothing by itself, like a job of submitit."""

    def __init__(self, future: Any) -> None:
        self.result, self.done, self.cancel = future.result, future.done, future.cancel


class Quiet:
    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def submit(self, function: Any, /, *args: Any) -> Any:
        return OnlyAsked(self._pool.submit(function, *args))


async def test_a_future_that_calls_nobody_back_is_looked_at() -> None:
    with ThreadPoolExecutor(1) as pool:
        async with JobQueue(executor=FuturesExecutor(Quiet(pool))) as queue:
            jobs = queue.map(pow, [2, 3], [2, 2])
            assert [await asyncio.wait_for(one, 20) for one in jobs] == [4, 9]


class Elsewhere:
    """An engine whose futures can be cancelled while their calls run, like ipyparallel's."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def submit(self, function: Any, /, *args: Any) -> Any:
        future: Future[Any] = Future()

        def tell(done: Future[Any]) -> None:
            if not future.cancelled():
                future.set_result(done.result())

        self._pool.submit(function, *args).add_done_callback(tell)
        return future


async def test_a_future_that_says_that_it_cancelled_a_running_call_is_not_believed(
    tmp_path: Path,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        async with JobQueue(executor=FuturesExecutor(Elsewhere(pool))) as queue:
            job = queue.submit_nowait(until_released_and_deaf, str(tmp_path))
            following = queue.submit_nowait(pow, 2, 2)
            await until(lambda: bodies.times_begun(tmp_path))
            job.cancel(force=True)
            await asyncio.sleep(0.1)
            assert (job.status, following.status) == (JobStatus.running, JobStatus.pending)
            bodies.release(tmp_path)
            assert await asyncio.wait_for(job, 20) == "released"
            assert job.finished_before_cancel
            assert await asyncio.wait_for(following, 20) == 4


@pytest.mark.parametrize("idempotent", [False, True])
async def test_what_was_withdrawn_never_begins_though_its_engine_comes_to_it(
    idempotent: bool, tmp_path: Path
) -> None:
    (tmp_path / "held").mkdir()
    bodies.release(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(until_released_and_deaf, str(tmp_path / "held"))
        async with JobQueue(executor=FuturesExecutor(Elsewhere(pool))) as queue:
            options = queue.options(idempotent=idempotent)
            job = options.submit_nowait(until_released_and_deaf, str(tmp_path))
            await until(lambda: job.phase == "waiting for a worker")
            job.cancel()
            await until(lambda: job.done)
            assert job.status is JobStatus.cancelled
            bodies.release(tmp_path / "held")
            assert await asyncio.wait_for(queue.submit_nowait(pow, 2, 2), 20) == 4
    assert bodies.times_begun(tmp_path) == 0


class Program:
    """A call in a program of its own, which `cancel` ends, as submitit's does."""

    def __init__(self, function: Any, arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._answer, other = context.Pipe(duplex=False)
        self._process = context.Process(target=tell, args=(other, function, arguments))
        self._process.start()
        other.close()

    def done(self) -> bool:
        return not self._process.is_alive()

    def result(self) -> Any:
        with self._answer:
            self._process.join()
            code = self._process.exitcode
            self._process.close()
            if code:
                raise OSError(f"the program ended with {code}")
            return self._answer.recv()

    def cancel(self) -> None:
        self._process.kill()


def tell(pipe: Any, function: Any, arguments: Any) -> None:
    pipe.send(function(*arguments))


class Programs:
    def submit(self, function: Any, /, *args: Any) -> Program:
        return Program(function, args)


async def test_an_engine_that_ends_what_runs_is_told_to_when_asking_was_in_vain(
    tmp_path: Path,
) -> None:
    executor = FuturesExecutor(Programs(), ends_running=True)
    async with JobQueue(executor=executor, cancel_timeout=0.2) as queue:
        asked = queue.submit_nowait(until_released, str(tmp_path))
        await until(lambda: bodies.times_begun(tmp_path))
        asked.cancel(timeout=20)
        await queue.wait_for_job(asked, timeout=20)
        assert (asked.status, asked.cancel_phase) == (JobStatus.cancelled, None)
        (tmp_path / "deaf").mkdir()
        deaf = queue.submit_nowait(until_released_and_deaf, str(tmp_path / "deaf"))
        await until(lambda: bodies.times_begun(tmp_path / "deaf"))
        deaf.cancel()
        await queue.wait_for_job(deaf, timeout=20)
        assert deaf.status is JobStatus.cancelled
        assert not alive(bodies.pids(tmp_path / "deaf")[0])
        assert await asyncio.wait_for(queue.submit_nowait(pow, 2, 2), 20) == 4


class SlowToSay:
    def __init__(self, future: Any, may_say: threading.Event) -> None:
        self.result, self.cancel, self._may_say = future.result, future.cancel, may_say

    def done(self) -> bool:
        return self._may_say.wait(30)


async def test_an_engine_that_is_slow_to_say_whether_a_call_is_done_holds_up_nothing() -> None:
    may_say = threading.Event()

    class Slow:
        def submit(self, function: Any, /, *args: Any) -> Any:
            return SlowToSay(threads.submit(function, *args), may_say)

    with ThreadPoolExecutor(1) as threads:
        async with JobQueue(executor=FuturesExecutor(Slow()), max_running=2) as queue:
            job = queue.submit_nowait(pow, 2, 2)
            other = queue.options(executor="process").submit_nowait(pow, 2, 3)
            assert await asyncio.wait_for(other, 20) == 8
            assert not job.done
            may_say.set()
            assert await asyncio.wait_for(job, 20) == 4


async def test_what_the_engine_has_not_begun_is_withdrawn(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(until_released, str(tmp_path))
        async with JobQueue(executor=FuturesExecutor(pool)) as queue:
            job = queue.submit_nowait(pow, 2, 2)
            await until(lambda: job.phase == "waiting for a worker")
            job.cancel()
            await queue.wait_for_job(job, timeout=20)
            assert job.status is JobStatus.cancelled
            bodies.release(tmp_path)
        assert held.result() == "released"


async def test_resources_are_refused_since_nothing_would_hear_of_them() -> None:
    with ThreadPoolExecutor(1) as pool:
        async with JobQueue(executor=FuturesExecutor(pool)) as queue:
            with pytest.raises(InvalidOptionError, match="cannot be passed on"):
                queue.options(resources={"gpu": 1}).submit_nowait(pow, 2, 2)
            assert queue.jobs() == []


def test_what_is_no_executor_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match=r"list has no submit"):
        FuturesExecutor([])  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="capacity"):
        FuturesExecutor(ThreadPoolExecutor(1), capacity=0)


async def test_one_executor_serves_one_queue_at_a_time() -> None:
    with ThreadPoolExecutor(1) as pool:
        executor = FuturesExecutor(pool)
        async with JobQueue(executor=executor, name="a") as queue:
            assert await queue.submit_nowait(pow, 2, 2) == 4
            with pytest.raises(InvalidOptionError, match="belongs to another queue"):
                JobQueue(executor=executor, name="b")
        async with JobQueue(executor=executor, name="c") as queue:
            assert await queue.submit_nowait(pow, 2, 2) == 4


async def test_a_queue_that_stops_leaves_a_deaf_job_its_process_and_can_be_started_again(
    tmp_path: Path,
) -> None:
    with new_pool(1) as pool:
        queue = await JobQueue(executor=FuturesExecutor(pool), cancel_timeout=0.1).start()
        job = queue.submit_nowait(until_released_and_deaf, str(tmp_path))
        await until(lambda: bodies.times_begun(tmp_path))
        await queue.stop()
        assert str(job.error).startswith("CouldNotBeEnded")
        bodies.release(tmp_path)
        await queue.start()
        assert await asyncio.wait_for(queue.submit_nowait(pow, 2, 3), 20) == 8
        await queue.close()


async def test_one_that_is_asked_ends_and_the_next_one_is_not(
    on_pool: FuturesExecutor, tmp_path: Path
) -> None:
    async with JobQueue(executor=on_pool, max_running=1) as queue:
        for number in range(10):
            folder = tmp_path / str(number)
            folder.mkdir()
            job = queue.submit_nowait(until_released, str(folder))
            await until(functools.partial(bodies.times_begun, folder))
            job.cancel()
            following = queue.submit_nowait(pow, 2, number)
            await queue.wait_for_job(job, timeout=20)
            assert job.status is JobStatus.cancelled
            assert await asyncio.wait_for(following, 20) == 2**number


async def test_a_result_that_no_thread_can_read_is_told_and_ends_its_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = no_threads(monkeypatch, "decode-*")
    with ProcessPoolExecutor(1) as pool:
        async with JobQueue(executor=FuturesExecutor(pool)) as queue:
            job = queue.submit_nowait(Path, "a")
            await asyncio.wait_for(queue.wait_for_job(job), 20)
            assert job.status is JobStatus.completed
            with pytest.raises(ResultNotKeptError, match=said):
                await job
            assert await asyncio.wait_for(queue.submit_nowait(len, "abc"), 20) == 3
