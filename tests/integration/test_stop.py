"""What stopping does to work that resists, and what a lost loop does to work that outlives it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import psutil

from jobqueue_widget import JobQueue, JobStatus
from tests.conditions import until


def deaf(begun: str) -> None:
    while True:
        try:
            open(begun, "w").close()
            time.sleep(60)
        except BaseException:
            continue


async def test_stop_forces_what_a_user_has_given_more_time(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    queue = await JobQueue().start()
    pid = await queue.submit_nowait(os.getpid)
    job = queue.submit_nowait(deaf, str(begun))
    await until(begun.exists)
    await asyncio.sleep(0.05)  # from there into the sleep; a request before it would be heard
    assert await queue.cancel(job, timeout=600.0)
    await queue.stop(timeout=0.2)
    assert job.status is JobStatus.cancelled
    assert not psutil.pid_exists(pid)


async def lane_is_free_only_after(queue: JobQueue, go_on: threading.Event) -> None:
    """A further job waits for the one that could not be ended."""
    after = queue.submit_nowait(int)
    await asyncio.sleep(0)
    assert after.status is JobStatus.pending
    go_on.set()
    await queue.wait_for_job(after, timeout=10)
    await queue.stop()


async def test_stop_names_work_that_cannot_be_forced_and_keeps_its_lane() -> None:
    go_on = threading.Event()
    queue = await JobQueue(executor="thread").start()
    job = queue.submit_nowait(go_on.wait)
    await until(lambda: job.status is JobStatus.running)
    await queue.stop(timeout=0.0)
    assert job.status is JobStatus.failed
    assert "cannot be forced" in str(job.error)
    await queue.start()
    await lane_is_free_only_after(queue, go_on)


def test_work_that_outlives_its_loop_keeps_its_lane_until_it_is_over() -> None:
    go_on = threading.Event()
    queue = JobQueue(executor="thread")

    async def begin() -> None:
        await queue.start()
        job = queue.submit_nowait(go_on.wait)
        await until(lambda: job.status is JobStatus.running)

    lost = asyncio.new_event_loop()
    lost.run_until_complete(begin())
    lost.close()

    async def go_on_elsewhere() -> None:
        await queue.start()
        (job,) = queue.jobs("failed")
        assert "could not be ended" in str(job.error)
        await lane_is_free_only_after(queue, go_on)

    asyncio.run(go_on_elsewhere())
