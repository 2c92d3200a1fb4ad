"""cancel() tells the truth: at once, asked, forced, or that it cannot be."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from jobqueue_widget import JobCancelledError, JobQueue, JobStatus, current_job
from tests.conditions import until


async def forever() -> None:
    await asyncio.sleep(3600)


async def test_cancel_of_a_pending_job_is_immediate() -> None:
    queue = JobQueue()
    job = queue.get_job(await queue.submit(forever))
    assert job is not None
    assert await queue.cancel(job.id, reason="not needed")
    assert job.status is JobStatus.cancelled
    assert (job.error, job.cancel_reason) == (None, "not needed")
    assert queue.get_state()["pending"] == []
    assert not await queue.cancel(job.id), "a second cancel finds it ended"


async def test_cancel_of_a_coroutine_raises_in_it_and_frees_the_lane() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(forever)
        await until(lambda: job.status is JobStatus.running)
        assert await queue.cancel(job)
        assert job.cancel_phase == "asked"
        with pytest.raises(JobCancelledError):
            await job
        assert await queue.submit_nowait(asyncio.sleep, 0, "next") == "next"


async def test_a_coroutine_that_swallows_its_cancellation_goes_on_and_what_it_returns_is_kept() -> (
    None
):
    async def stubborn() -> str:
        for _ in range(20):
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
        return "finished anyway"

    async with JobQueue(cancel_timeout=0.01) as queue:
        job = queue.submit_nowait(stubborn)
        await until(lambda: job.status is JobStatus.running)
        assert job.cancel(force=True)
        await asyncio.sleep(0.05)
        assert job.status.value == "running"
        assert job.cancel_note == "asked to stop; a coroutine cannot be forced"
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.cancelled, "it has noticed"
        assert (job.result, job.partial_result) == (None, "finished anyway")


async def test_an_error_after_the_request_is_a_cancellation_that_keeps_the_error() -> None:
    async def raises() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            raise ValueError("on the way out") from None

    async with JobQueue() as queue:
        job = queue.submit_nowait(raises)
        await until(lambda: job.status is JobStatus.running)
        job.cancel()
        await queue.wait_for_job(job)
        assert job.status is JobStatus.cancelled
        assert job.failure is not None
        assert job.failure.type_name == "ValueError"


async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    async with JobQueue() as queue:
        job = queue.submit_nowait(cancels_itself)
        await queue.wait_for_job(job)
        assert job.status is JobStatus.failed
        assert str(job.error).startswith("CancelledError")


async def test_a_thread_sees_the_request_and_may_stop() -> None:
    def polite() -> None:
        while True:
            time.sleep(0.005)
            current_job().checkpoint()

    async with JobQueue() as queue:
        job = queue.options(executor="thread").submit_nowait(polite)
        await until(lambda: job.status is JobStatus.running)
        job.cancel()
        await queue.wait_for_job(job, timeout=10)
        assert job.status is JobStatus.cancelled


async def test_a_thread_that_does_not_listen_keeps_its_lane_until_it_is_over() -> None:
    release = threading.Event()
    async with JobQueue(cancel_timeout=0.01) as queue:
        job = queue.options(executor="thread").submit_nowait(release.wait, 10)
        following = queue.submit_nowait(asyncio.sleep, 0, "next")
        await until(lambda: job.status is JobStatus.running)
        job.cancel(force=True)
        await asyncio.sleep(0.05)
        assert job.cancel_note == "asked to stop; a thread cannot be forced"
        assert following.status is JobStatus.pending
        release.set()
        assert await following == "next"
        assert job.finished_before_cancel


async def test_cancel_all_pending_leaves_the_running_job() -> None:
    async with JobQueue() as queue:
        running = queue.submit_nowait(forever)
        await until(lambda: running.status is JobStatus.running)
        queue.options(tags="mine").map(asyncio.sleep, [1, 2])
        queue.map(asyncio.sleep, [3, 4])
        assert queue.cancel_all("pending", tag="mine") == 2
        assert queue.cancel_all("pending") == 2
        assert running.status is JobStatus.running
        assert queue.cancel_all("all") == 1
        await queue.join(timeout=10)


async def test_cancelling_the_wait_leaves_the_job_alone() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(asyncio.sleep, 0.05, "done")

        async def wait() -> object:
            return await job

        waiting = asyncio.create_task(wait())
        await until(lambda: job.status is JobStatus.running)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert await job == "done"


async def test_no_request_outlives_its_job() -> None:
    async with JobQueue() as queue:
        for _ in range(50):
            job = queue.submit_nowait(forever)
            await until(lambda job=job: job.status is JobStatus.running)  # type: ignore[misc]
            job.cancel()
            assert await queue.submit_nowait(asyncio.sleep, 0, 1) == 1
            assert job.cancel_phase is None
