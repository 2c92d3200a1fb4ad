"""A queue whose block, thread, process or owner ends in an unusual way: it stops, or goes on."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue_widget import Job, JobQueue, JobStatus, QueueClosedError
from jobqueue_widget.testing import inspect
from jobqueue_widget.workers import guard
from tests.conditions import until
from tests.crash.processes import alive, wait_until

REPOSITORY = str(Path(__file__).parents[2])
SOON = 20.0


def is_at_work(job: Job) -> bool:
    return job.status is JobStatus.running and job.phase is None


def interrupt_once(condition: Callable[[], object]) -> threading.Thread:
    """A thread that sends SIGINT to the main thread as soon as the condition is true."""

    def wait_and_interrupt() -> None:
        wait_until(condition, SOON)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    return thread


# -- the block ends with an error ------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_inside_with_stops_the_queue_and_is_raised(kind: type[BaseException]) -> None:
    jobs: list[Job] = []

    def block() -> None:
        with JobQueue(loop="thread") as queue:
            jobs.append(queue.submit_nowait(time.sleep, 60))
            wait_until(lambda: is_at_work(jobs[0]), SOON)
            raise kind

    with pytest.raises(kind):
        block()
    assert jobs[0].status is JobStatus.cancelled


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
async def test_an_error_inside_async_with_stops_the_queue_and_is_raised(
    kind: type[BaseException],
) -> None:
    jobs: list[Job] = []

    async def block() -> None:
        async with JobQueue() as queue:
            jobs.append(queue.submit_nowait(time.sleep, 60))
            await until(lambda: is_at_work(jobs[0]))
            raise kind

    with pytest.raises(kind):
        await block()
    assert jobs[0].status is JobStatus.cancelled


# -- interrupts ------------------------------------------------------------------------------------


def test_an_interrupt_of_wait_leaves_the_jobs_running() -> None:
    with JobQueue(loop="thread") as queue:
        job = queue.submit_nowait(time.sleep, 0.5)
        thread = interrupt_once(lambda: inspect(queue).engine.waiters._joiners)
        with pytest.raises(KeyboardInterrupt):
            queue.wait(timeout=SOON)
        thread.join()
        assert not job.done
        queue.wait(job, timeout=SOON)
        assert job.status is JobStatus.completed


def test_an_interrupt_of_stop_does_not_keep_it_from_its_end() -> None:
    queue = JobQueue(cancel_timeout=0.3)
    jobs: list[Job] = []

    async def main() -> None:
        await queue.start()
        jobs.append(queue.submit_nowait(sleep_through_everything))
        await until(lambda: is_at_work(jobs[0]))
        await queue.stop()

    thread = interrupt_once(lambda: inspect(queue).phase == "stopping")
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    thread.join()
    assert inspect(queue).phase == "stopped"
    assert jobs[0].status is JobStatus.cancelled


def sleep_through_everything() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


# -- the thread that made it, or its last reference, goes ------------------------------------------


def test_a_queue_outlives_the_thread_that_made_and_started_it() -> None:
    made: list[tuple[JobQueue, Job]] = []

    def make() -> None:
        queue = JobQueue(loop="thread")
        asyncio.run(queue.start())
        made.append((queue, queue.submit_nowait(time.sleep, 0.2)))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    queue, job = made[0]
    with queue:
        queue.wait(job, timeout=SOON)
        assert job.status is JobStatus.completed
        after = queue.submit_nowait(pow, 2, 3)
        queue.wait(after, timeout=SOON)
        assert after.result == 8


async def test_a_queue_that_is_dropped_finishes_worker_jobs_and_lets_its_workers_go() -> None:
    queue = await JobQueue().start()
    inside = inspect(queue)
    pid = await queue.submit_nowait(os.getpid)
    jobs = queue.map(pow, [2, 3, 4], [2, 2, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del queue
        gc.collect()
        assert [await job for job in jobs] == [4, 9, 16]
        await until(lambda: inside.phase == "closed")
    assert not alive(pid)


# -- forks -----------------------------------------------------------------------------------------


def submit_in_a_fork(queue: JobQueue) -> None:
    try:
        queue.submit_nowait(pow, 2, 3)
    except QueueClosedError:
        os._exit(42)


async def test_the_watch_of_the_guardian_ends_with_the_last_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At once: the pause is for one that died. Else its thread is among what is left behind."""
    monkeypatch.setattr(guard, "RESTART_SECONDS", 1000.0)
    async with JobQueue() as queue:
        assert await queue.submit_nowait(abs, -1) == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python warns of any fork
async def test_a_process_forked_by_multiprocessing_is_told_and_the_parent_goes_on() -> None:
    async with JobQueue() as queue:
        worker = await queue.submit_nowait(os.getpid)
        running = queue.submit_nowait(time.sleep, 0.3)
        child = multiprocessing.get_context("fork").Process(target=submit_in_a_fork, args=(queue,))
        child.start()
        await asyncio.to_thread(child.join, SOON)
        assert child.exitcode == 42
        child.close()
        await running
        assert await queue.submit_nowait(os.getpid) == worker


def test_a_fork_can_have_a_queue_of_its_own_and_ends_only_its_own_workers() -> None:
    source = """
import os, warnings
from jobqueue_widget import JobQueue
warnings.simplefilter("ignore", DeprecationWarning)
def run():
    with JobQueue(loop="thread") as queue:
        job = queue.submit_nowait(os.getppid); queue.wait(timeout=30)
        return job.result == os.getpid()
with JobQueue(loop="thread") as queue:
    first = queue.submit_nowait(os.getpid); queue.wait(timeout=30)
    pid = os.fork()
    if not pid:
        print(run(), flush=True)
        raise SystemExit
    os.waitpid(pid, 0)
    again = queue.submit_nowait(os.getpid); queue.wait(timeout=30)
    print(again.result == first.result)
"""
    ran = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=REPOSITORY,
    )
    assert (ran.stdout, ran.stderr) == ("True\nTrue\n", "")
