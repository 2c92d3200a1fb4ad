"""Jobs where other libraries expect futures and executors of the standard library."""

from __future__ import annotations

import asyncio
import concurrent.futures as standard
import threading
import time
from typing import Any

import pytest

from jobqueue_widget import (
    Job,
    JobCancelledError,
    JobFailedError,
    JobNotFinishedError,
    JobQueue,
    JobStatus,
    NotKept,
    QueueStoppedError,
    ResultNotKeptError,
)
from jobqueue_widget.errors import InvalidOptionError
from tests.conditions import until

SOON = 20.0


def double(number: int) -> int:
    return 2 * number


def fail(text: str) -> None:
    raise KeyError(text)


def hold(gate: threading.Event) -> str:
    gate.wait(SOON)
    return "held"


def blocks(seconds: float) -> None:
    """As a cell that computes does."""
    time.sleep(seconds)


# -- what a future tells -------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["process", "thread"])
async def test_a_future_tells_what_its_job_does(executor: str) -> None:
    async with JobQueue(executor=executor) as queue:
        job = queue.submit_nowait(double, 4)
        future = job.future()
        assert await asyncio.wrap_future(future) == 8
        assert (future.done(), future.running(), future.cancelled()) == (True, False, False)
        assert future.result(0) == 8
        assert future.exception() is None is job.exception()
        assert job.future().result() == 8, "also one that is made after the end"

        failed = queue.submit_nowait(fail, "why")
        with pytest.raises(KeyError, match="why"):
            await asyncio.wrap_future(failed.future())
        assert isinstance(failed.future().exception(), KeyError)
        told = failed.exception()
        assert isinstance(told, JobFailedError)
        assert isinstance(told.__cause__, KeyError)
        with pytest.raises(JobFailedError) as raised:
            await failed
        assert isinstance(raised.value.__cause__, KeyError)


async def test_a_result_that_was_not_kept_is_no_result() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(lambda: threading.Lock())
        await queue.wait_for_job(job)
        assert isinstance(job.result, NotKept)
        assert isinstance(job.exception(), ResultNotKeptError)
        assert isinstance(job.future().exception(), ResultNotKeptError)
        with pytest.raises(ResultNotKeptError):
            job.future().result()


async def test_only_a_job_that_has_not_started_is_cancelled_by_its_future() -> None:
    gate = threading.Event()
    async with JobQueue(executor="thread") as queue:
        running, pending = queue.map(hold, [gate, gate])
        first, second = running.future(), pending.future()
        await until(first.running)
        with pytest.raises(JobNotFinishedError):
            running.exception()
        assert first.cancel() is False
        assert second.cancel() is True is second.cancel()
        assert second.cancelled()
        assert pending.status is JobStatus.cancelled
        assert isinstance(pending.exception(), JobCancelledError)
        with pytest.raises(standard.CancelledError):
            second.result()
        with pytest.raises(standard.CancelledError):
            second.exception()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(first), 0.05)
        assert running.status is JobStatus.running, "a wait that gave up must not end a training"
        gate.set()
        assert await running == "held"
        assert first.cancel() is False


async def test_a_job_that_is_cancelled_otherwise_cancels_its_future() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(time.sleep, 60)
        future = job.future()
        await until(future.running)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wrap_future(future)
        assert future.cancelled()
        done, _ = standard.wait([future], timeout=0)
        assert done == {future}


def test_a_future_of_a_job_of_a_stopped_queue_says_so_and_goes_on_at_its_next_start() -> None:
    with JobQueue(loop="thread") as queue:
        queue.pause()
        future = queue.submit_nowait(double, 1).future()
    with pytest.raises(QueueStoppedError):
        future.result()
    with queue:
        queue.resume()
        assert future.result(SOON) == 2


# -- the functions of the standard library -------------------------------------------------------


@pytest.mark.parametrize("executor", ["process", "thread"])
async def test_they_work_while_they_block_the_loop(executor: str) -> None:
    """As in a cell: nothing of the loop runs meanwhile."""
    async with JobQueue(max_running=2, executor=executor) as queue:
        futures = [job.future() for job in queue.map(double, range(6))]
        done, left = standard.wait(futures, timeout=SOON)
        assert not left
        assert sorted(one.result() for one in done) == [0, 2, 4, 6, 8, 10]
        more = [job.future() for job in queue.map(double, range(6))]
        assert sorted(one.result() for one in standard.as_completed(more, SOON)) == [
            0, 2, 4, 6, 8, 10,
        ]  # fmt: skip


async def test_a_wait_for_the_first_failure_is_over_with_it() -> None:
    gate = threading.Event()
    async with JobQueue(max_running=2, executor="thread") as queue:
        held, failed = queue.submit_nowait(hold, gate), queue.submit_nowait(fail, "x")
        futures = [held.future(), failed.future()]
        # It asks the state, which says nothing of a failure: our futures say it when asked.
        done, _ = await asyncio.to_thread(standard.wait, futures, SOON, standard.FIRST_EXCEPTION)
        assert futures[1] in done
        gate.set()
        await held


# -- an executor ---------------------------------------------------------------------------------


async def test_a_queue_is_an_executor_for_others() -> None:
    async with JobQueue(max_running=2) as queue:
        with queue.as_executor(label="of the pool", tags="pool") as pool:
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(pool, double, 3) == 6
            mapped = await asyncio.to_thread(lambda: list(pool.map(double, range(5))))
            assert mapped == [0, 2, 4, 6, 8]
            with pytest.raises(KeyError):
                await asyncio.to_thread(pool.submit(fail, "as it was raised").result)
        assert {job.label for job in queue.jobs()} == {"of the pool"}
        with pytest.raises(RuntimeError, match="shut down"):
            pool.submit(double, 1)
        assert await queue.submit_nowait(double, 1) == 2, "the queue goes on"
        with pytest.raises(InvalidOptionError):
            queue.as_executor(colour="red")


async def test_a_shutdown_waits_for_its_own_jobs_and_cancels_what_has_not_started() -> None:
    gate = threading.Event()
    async with JobQueue(executor="thread") as queue:
        pool = queue.as_executor()
        futures = [pool.submit(hold, gate) for _ in range(3)]
        await until(futures[0].running)
        pool.shutdown(wait=False, cancel_futures=True)
        assert [one.cancelled() for one in futures] == [False, True, True]
        threading.Timer(0.1, gate.set).start()
        await asyncio.to_thread(pool.shutdown)
        assert futures[0].done()


# -- callbacks -----------------------------------------------------------------------------------


async def test_callbacks_of_a_job_come_on_the_loop_with_the_job() -> None:
    seen: list[tuple[Job, int]] = []

    def note(job: Job) -> None:
        seen.append((job, threading.get_ident()))

    async with JobQueue() as queue:
        job = queue.submit_nowait(double, 1)
        job.add_done_callback(note)
        await job
        await until(lambda: len(seen) == 1)
        job.add_done_callback(note)
        await until(lambda: len(seen) == 2)
        assert seen == [(job, threading.get_ident())] * 2
        for wrong in (None, asyncio.sleep):
            with pytest.raises(InvalidOptionError):
                job.add_done_callback(wrong)  # type: ignore[arg-type]


async def test_callbacks_of_futures_may_take_their_time_and_fail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Any] = []
    async with JobQueue() as queue:
        slow, quick = queue.submit_nowait(double, 1).future(), queue.submit_nowait(double, 2)

        def block(future: Any) -> None:
            time.sleep(0.3)
            told.append(future)
            raise ValueError("of the callback")

        slow.add_done_callback(block)
        began = time.monotonic()
        assert await quick == 4
        assert time.monotonic() - began < SOON
        await until(lambda: told == [slow])
        await until(lambda: "a callback of a job failed" in caplog.text)
        slow.add_done_callback(told.append)
        await until(lambda: told == [slow, slow])


async def test_a_callback_may_submit_the_next_job() -> None:
    """As joblib does."""
    results: list[int] = []
    async with JobQueue() as queue:
        pool = queue.as_executor()

        def go_on(future: standard.Future[int]) -> None:
            results.append(future.result())
            if len(results) < 5:
                pool.submit(double, len(results)).add_done_callback(go_on)

        pool.submit(double, 0).add_done_callback(go_on)
        blocks(0.5)
        await until(lambda: results == [0, 2, 4, 6, 8])
