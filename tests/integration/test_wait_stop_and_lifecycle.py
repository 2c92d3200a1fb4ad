"""Waiting, stopping, starting again, and every way a loop, a process or an owner can go first."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from jobqueue_widget import (
    Job,
    JobFailedError,
    JobGroup,
    JobNotFinishedError,
    JobQueue,
    JobStatus,
    QueueIdleError,
    QueueNotStartedWarning,
    QueueStoppedError,
    WaitTimeoutError,
)
from jobqueue_widget.errors import UnsupportedLoopError
from jobqueue_widget.executors.thread import ThreadExecutor
from jobqueue_widget.testing import inspect
from jobqueue_widget.workers.guard import GUARD
from tests.conditions import until

REPOSITORY = str(Path(__file__).parents[2])


async def noop(value: object = None) -> object:
    return value


async def forever() -> None:
    await asyncio.sleep(3600)


# -- waiting ----------------------------------------------------------------------------


async def test_awaiting_a_job_gives_its_result_or_raises_its_error() -> None:
    async def fails() -> None:
        raise KeyError("missing")

    async with JobQueue() as queue:
        assert await queue.submit_nowait(noop, 3) == 3
        job = queue.submit_nowait(fails)
        with pytest.raises(JobFailedError, match="KeyError") as caught:
            await job
        assert isinstance(caught.value.__cause__, KeyError)
        assert "where the job failed" in str(caught.value)
        with pytest.raises(JobFailedError):
            job.get_result()


async def test_a_result_cannot_be_had_before_the_end() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(forever)
        with pytest.raises(JobNotFinishedError):
            job.get_result()


async def test_a_time_out_of_the_waiting_leaves_the_job() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(noop)
        slow = queue.submit_nowait(asyncio.sleep, 0.1)
        with pytest.raises(WaitTimeoutError) as caught:
            await queue.wait_for_job(slow, timeout=0.01)
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(TimeoutError):
            await queue.join(timeout=0.01)
        await queue.join(timeout=10)
        assert job.done
        assert slow.status is JobStatus.completed


async def a_loop(queue: JobQueue, group: JobGroup) -> None:
    async for _ in group.as_completed(timeout=0.01):
        pass


WAITS: dict[str, Callable[[JobQueue, JobGroup], Awaitable[object]]] = {
    "wait_for_job": lambda queue, group: queue.wait_for_job(group[0], timeout=0.01),
    "wait": lambda queue, group: asyncio.to_thread(queue.wait, group[0], timeout=0.01),
    "wait for all": lambda queue, group: asyncio.to_thread(queue.wait, timeout=0.01),
    "join": lambda queue, group: queue.join(timeout=0.01),
    "group": lambda queue, group: asyncio.to_thread(group.wait, 0.01),
    "loop": a_loop,
}


@pytest.mark.parametrize("how", WAITS)
async def test_a_time_out_says_what_keeps_the_jobs_and_the_cure(how: str) -> None:
    async with JobQueue(max_running=2) as queue:
        other = queue.submit_nowait(forever)
        await until(lambda: other.status == "running")
        queue.pause("lunch")
        group = queue.map(asyncio.sleep, [0, 0])

        async def told() -> str:
            with pytest.raises(WaitTimeoutError) as caught:
                await WAITS[how](queue, group)
            return str(caught.value)

        assert "the queue is paused (lunch), `queue.resume()` lets" in await told()
        group.hold()
        queue.resume()
        assert "held, `release()` ends that" in await told()
        group.hold(seconds=60)
        assert (await told()).endswith("on")
        queue.cancel_all("all")


async def test_a_time_out_says_that_the_queue_is_not_started() -> None:
    queue = JobQueue()
    with pytest.warns(QueueNotStartedWarning):
        job = queue.submit_nowait(noop)
    with pytest.raises(WaitTimeoutError, match=r"not started, `await queue\.start"):
        await queue.wait_for_job(job, timeout=0.01)


async def test_many_wait_for_one_job() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(asyncio.sleep, 0.02, "done")

        async def wait() -> object:
            return await job

        assert await asyncio.gather(*(wait() for _ in range(100))) == ["done"] * 100


async def test_waiting_on_another_loop() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(asyncio.sleep, 0.05, "done")

        def elsewhere() -> object:
            async def wait() -> object:
                await queue.wait_for_job(job.id, timeout=10)
                return await job

            return asyncio.run(wait())

        assert await asyncio.to_thread(elsewhere) == "done"
        await asyncio.to_thread(queue.wait, job, timeout=10)


async def test_a_job_that_waits_for_its_own_queue_is_told_instead_of_hanging() -> None:
    async with JobQueue() as queue:

        async def waits() -> None:
            await queue.join()

        async def waits_for_another() -> None:
            await queue.submit_nowait(noop)

        for body in (waits, waits_for_another):
            job = queue.submit_nowait(body)
            await queue.wait_for_job(job, timeout=10)
            assert str(job.error).startswith("WouldDeadlockError")


async def test_joining_a_queue_that_never_started_says_so() -> None:
    queue = JobQueue()
    await queue.submit(noop)
    with pytest.raises(QueueIdleError, match="not started"):
        await queue.join(timeout=10)


async def test_submitting_to_a_queue_that_never_started_warns_once() -> None:
    queue = JobQueue()
    with pytest.warns(QueueNotStartedWarning):
        queue.submit_nowait(noop)
    queue.submit_nowait(noop)
    async with queue:
        await queue.join(timeout=10)


# -- stop and start ------------------------------------------------------------------------------


async def test_stop_ends_what_runs_keeps_what_waits_and_wakes_every_waiter() -> None:
    queue = JobQueue()
    await queue.start()
    running, pending = queue.submit_nowait(forever), queue.submit_nowait(noop, 7)
    await until(lambda: running.status is JobStatus.running)
    waiting = asyncio.create_task(queue.wait_for_job(pending))
    joining = asyncio.create_task(queue.join())
    await asyncio.sleep(0)
    await queue.stop()
    assert running.status is JobStatus.cancelled
    assert pending.status is JobStatus.pending
    for task in (waiting, joining):
        with pytest.raises(QueueStoppedError):
            await task
    with pytest.raises(QueueStoppedError):
        await queue.wait_for_job(pending)
    await queue.stop()
    async with queue:
        assert await pending == 7


async def test_stop_may_wait_for_what_runs() -> None:
    queue = JobQueue()
    await queue.start()
    job = queue.submit_nowait(asyncio.sleep, 0.05, "done")
    await until(lambda: job.status is JobStatus.running)
    await queue.stop(running="wait")
    assert job.result == "done"


async def test_a_coroutine_that_never_ends_is_told_of_and_keeps_its_lane() -> None:
    over = asyncio.Event()

    async def stubborn() -> None:
        while not over.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    queue = JobQueue(cancel_timeout=0.01)
    await queue.start()
    job = queue.submit_nowait(stubborn)
    await until(lambda: job.status is JobStatus.running)
    await queue.stop(timeout=0.01)
    assert job.status.value == "failed"
    assert "could not be ended" in str(job.error)
    following = await queue.submit(noop)
    async with queue:
        await asyncio.sleep(0.05)
        waiting = queue.get_job(following)
        assert waiting is not None
        assert waiting.status is JobStatus.pending, "the lane is not free before the work is gone"
        over.set()
        await queue.wait_for_job(following, timeout=10)


async def test_start_and_stop_many_times_at_once() -> None:
    queue = JobQueue()
    for _ in range(20):
        await asyncio.gather(*(queue.start() for _ in range(5)))
        job = queue.submit_nowait(noop)
        await asyncio.gather(*(queue.stop() for _ in range(5)), return_exceptions=True)
        assert job.status in (JobStatus.completed, JobStatus.pending, JobStatus.cancelled)
    async with queue:
        await queue.join(timeout=10)


async def test_a_job_may_stop_its_own_queue() -> None:
    queue = JobQueue()
    await queue.start()

    async def stops() -> None:
        await queue.stop()

    job = queue.submit_nowait(stops)
    await until(lambda: job.done and "stopped" in repr(queue))
    assert job.status is JobStatus.cancelled


async def test_closing_cancels_what_waits() -> None:
    queue = JobQueue()
    await queue.start()
    queue.pause()
    job = queue.submit_nowait(noop)
    await queue.close()
    assert job.status is JobStatus.cancelled
    await queue.close()


# -- somebody else goes first ----------------------------------------------------------------------


def test_the_end_of_asyncio_run_stops_the_queue_and_the_next_run_goes_on() -> None:
    queue = JobQueue()
    ids: list[str] = []

    async def first() -> None:
        await queue.start()
        ids.append(await queue.submit(forever))
        ids.append(await queue.submit(noop, 5))
        await until(lambda: queue.get_state()["running"])

    async def second() -> None:
        async with queue:
            job = await queue.wait_for_job(ids[1], timeout=10)
            assert job.result == 5

    asyncio.run(first())
    running, waiting = (queue.get_job(job_id) for job_id in ids)
    assert running is not None
    assert waiting is not None
    assert running.status is JobStatus.cancelled
    assert waiting.status is JobStatus.pending
    asyncio.run(second())


CLOSED = "EventLoopClosed: its event loop closed while it was running"


def test_a_loop_closed_without_a_stop_fails_what_ran_and_keeps_what_waits() -> None:
    queue = JobQueue()
    loop = asyncio.new_event_loop()

    async def begin() -> list[str]:
        await queue.start()
        ids = [await queue.submit(asyncio.Event().wait), await queue.submit(noop, 5)]
        await until(lambda: queue.get_state()["running"])
        return ids

    ids = loop.run_until_complete(begin())
    left = asyncio.all_tasks(loop)
    loop.close()
    queue.submit_nowait(noop)
    running = queue.get_job(ids[0])
    assert running is not None
    assert running.error == CLOSED

    async def second() -> None:
        async with queue:
            job = await queue.wait_for_job(ids[1], timeout=10)
            assert job.result == 5

    asyncio.run(second())
    for task in left:  # what the test itself left hanging on the closed loop
        task._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("works", [False, True])
def test_a_worker_whose_loop_was_closed_leaves_nothing_however_late_the_io_thread(
    works: bool,
) -> None:
    """It hears of the worker's end and that it shall end itself in the same moment."""
    queue = JobQueue()
    loop = asyncio.new_event_loop()
    held = threading.Event()

    async def begin() -> int:
        await queue.start()
        worker = await queue.submit_nowait(os.getpid)
        if works:
            job = queue.submit_nowait(time.sleep, 60)
            await until(lambda: job.status == "running")
        return cast(int, worker)

    worker = loop.run_until_complete(begin())
    assert worker in GUARD._groups
    io = inspect(queue).engine.io

    def hold() -> None:
        held.set()
        while not io._closing:
            time.sleep(0.001)

    io.call(hold)
    assert held.wait(20)
    loop.close()
    queue.submit_nowait(noop)
    assert worker not in GUARD._groups
    queue.cancel_all("pending")


def test_a_loop_closed_in_the_turn_in_which_an_executor_shall_close_leaves_nothing() -> None:
    queue = JobQueue()
    loop = asyncio.new_event_loop()

    async def begin() -> None:
        await queue.start()
        await queue.submit_nowait(noop)
        stop = asyncio.ensure_future(queue.stop())
        while not any("close at 0x" in str(task.get_coro()) for task in asyncio.all_tasks()):
            await asyncio.sleep(0)
        loop.stop()
        await stop

    task = loop.create_task(begin())
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    loop.close()
    asyncio.run(queue.close())
    for one in (task, *left):  # what the test itself left hanging on the closed loop
        one._log_destroy_pending = False  # type: ignore[attr-defined]
    del task, left, one
    gc.collect()  # a coroutine that was never awaited is told of, and fails this test


def test_cancel_all_after_a_loop_was_closed_finds_nothing_that_runs() -> None:
    queue = JobQueue(max_running=2)
    loop = asyncio.new_event_loop()

    async def begin() -> list[Job]:
        await queue.start()
        jobs = [queue.submit_nowait(asyncio.Event().wait) for _ in range(2)]
        await until(lambda: len(queue.get_state()["running_all"]) == 2)
        return jobs

    jobs = loop.run_until_complete(begin())
    left = asyncio.all_tasks(loop)
    loop.close()
    queue.subscribe(lambda event: None)  # telling it is how the loop is found to be closed
    assert queue.cancel_all("running") == 0
    assert [job.error for job in jobs] == [CLOSED, CLOSED]
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]


async def test_an_idle_queue_that_is_dropped_closes_itself_and_says_so() -> None:
    queue = JobQueue(name="dropped")
    await queue.start()
    inside = inspect(queue)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del queue
        gc.collect()
        await until(lambda: inside.phase == "closed")
    assert any("dropped" in str(warning.message) for warning in caught)


async def test_a_queue_that_is_dropped_with_work_finishes_it_first() -> None:
    queue = JobQueue()
    await queue.start()
    inside = inspect(queue)
    job = queue.submit_nowait(asyncio.sleep, 0.05, "done")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del queue
        gc.collect()
        assert await job == "done"
        await until(lambda: inside.phase == "closed")


def run_script(source: str) -> subprocess.CompletedProcess[str]:
    prefix = f"import sys; sys.path.insert(0, {REPOSITORY!r})\nfrom jobqueue_widget import *\n"
    command = [sys.executable, "-W", "error", "-c", prefix + source]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_plain_script_with_a_loop_of_its_own() -> None:
    ran = run_script("""
with JobQueue(loop="thread", max_running=2) as queue:
    jobs = queue.map(pow, [1, 2, 3], [2, 2, 2])
    queue.wait(timeout=30)
    print([job.result for job in jobs])
""")
    assert (ran.stdout, ran.stderr) == ("[1, 4, 9]\n", "")


@pytest.mark.parametrize(
    "wait",
    [
        lambda queue, jobs: queue.wait(),
        lambda queue, jobs: queue.wait(jobs[0]),
        lambda queue, jobs: jobs.wait(),
        lambda queue, jobs: list(jobs.as_completed()),
        lambda queue, jobs: jobs[0].future().result(),
    ],
)
def test_a_wait_between_the_runs_of_a_loop_says_what_to_do(
    wait: Callable[[JobQueue, JobGroup], object],
) -> None:
    loop = asyncio.new_event_loop()
    queue = loop.run_until_complete(JobQueue().start())
    jobs = queue.map(noop, [1])
    with pytest.raises(UnsupportedLoopError, match=r"does not run here.*loop=.thread"):
        wait(queue, jobs)
    loop.run_until_complete(queue.join())
    assert jobs.done
    loop.run_until_complete(queue.close())
    loop.close()


def test_a_forked_child_is_told_and_the_parent_goes_on() -> None:
    ran = run_script("""
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
with JobQueue(loop="thread") as queue:
    queue.submit_nowait(pow, 2, 3); queue.wait(timeout=30)
    pid = os.fork()
    if pid == 0:
        try:
            queue.submit_nowait(pow, 2, 3)
        except QueueClosedError as error:
            print("fork of it" in str(error), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    job = queue.submit_nowait(pow, 2, 5); queue.wait(timeout=30)
    print(job.result)
""")
    assert (ran.stdout, ran.stderr) == ("True\n32\n", "")


def test_a_script_that_forgets_to_stop_ends_without_a_word() -> None:
    ran = run_script("""
import asyncio, time
async def main():
    queue = await JobQueue().start()
    queue.submit_nowait(time.sleep, 600)
    await asyncio.sleep(0.2)
asyncio.run(main())
""")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


# -- threads ----------------------------------------------------------------------------


async def test_commands_from_a_thread_have_happened_when_they_return_with_a_blocked_loop() -> None:
    async with JobQueue() as queue:
        queue.pause()
        job, other = queue.submit_nowait(noop), queue.submit_nowait(noop)
        seen: list[object] = []

        def command() -> None:
            seen.append(queue.cancel_nowait(job.id) and job.status)
            seen.append(queue.reorder(other.id, 5) and other.priority)
            seen.append(queue.submit_nowait(noop).status)
            queue.resume()
            seen.append(queue.paused)

        thread = threading.Thread(target=command)
        thread.start()
        thread.join()  # the loop is blocked here
        assert seen == [JobStatus.cancelled, 5, JobStatus.pending, False]
        await queue.join(timeout=10)


async def test_a_blocked_loop_is_noticed_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async with JobQueue(max_running=2) as queue:
        queue.submit_nowait(asyncio.sleep, 0.1)
        await asyncio.sleep(0.01)
        events: list[str] = []
        queue.subscribe(lambda event: events.append(event.type))
        time.sleep(2.5)  # noqa: ASYNC251 - the blocking cell
        assert inspect(queue).snapshot()["lag"] > 1
        await queue.join(timeout=10)
        await asyncio.sleep(0.05)
        assert "loop_blocked" in events
        assert "has not answered" in caplog.text


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("odd")],
    ids=lambda error: type(error).__name__,
)
async def test_no_exception_of_a_coroutine_ends_the_dispatcher(error: BaseException) -> None:
    async def raises() -> None:
        raise error

    async with JobQueue() as queue:
        job = queue.submit_nowait(raises)
        await queue.wait_for_job(job, timeout=10)
        assert job.status is JobStatus.failed
        assert str(job.error).startswith(type(error).__name__)
        assert await queue.submit_nowait(noop, 1) == 1


def test_importing_opens_nothing() -> None:
    ran = run_script("""
import threading, logging, os
descriptors = len(os.listdir("/proc/self/fd"))
print(threading.active_count(), logging.getLogger().handlers, descriptors < 6)
""")
    assert (ran.stdout, ran.stderr) == ("1 [] True\n", "")
    assert os.path.isdir(REPOSITORY)


HOLDERS: dict[str, Callable[[JobQueue], object]] = {
    "nobody": lambda queue: None,
    "a subscriber": lambda queue: queue.subscribe(lambda _, queue=queue: None),  # type: ignore[misc]
    "its logger": lambda queue: setattr(queue, "logger", Holding("its own", queue)),
    "its executor": lambda queue: setattr(inspect(queue).engine.main_executor, "queue", queue),
}


class Holding(logging.Logger):
    def __init__(self, name: str, queue: JobQueue) -> None:
        super().__init__(name)
        self.queue = queue


@pytest.mark.parametrize("holder", HOLDERS)
async def test_a_closed_queue_is_freed_also_if_something_of_its_own_holds_it(holder: str) -> None:
    queue = JobQueue(executor=ThreadExecutor())
    HOLDERS[holder](queue)
    await queue.start()
    assert await queue.submit_nowait(len, "abc") == 3
    await queue.close()
    known = weakref.ref(queue)
    del queue
    # A thread that ends may hold it for a moment yet; what leaks never goes.
    await until(lambda: gc.collect() >= 0 and known() is None)


def test_a_coroutine_job_whose_loop_closes_before_its_first_step_is_let_go() -> None:
    loop = asyncio.new_event_loop()
    queue = JobQueue()
    loop.run_until_complete(queue.start())
    job = queue.submit_nowait(noop)
    while job.status is JobStatus.pending:  # a turn of the loop each
        loop.call_soon(loop.stop)
        loop.run_forever()
    loop.close()
    assert queue.cancel_all("all") == 0
    assert job.error == "EventLoopClosed: its event loop closed while it was running"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        del queue, job
        gc.collect()
    assert [str(one.message) for one in told if "awaited" in str(one.message)] == []
