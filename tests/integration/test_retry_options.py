"""Which failures are tried again, when, and until when: retry_on, backoff, deadline, delay."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import Job, JobQueue, JobStatus, current_job
from jobqueue_widget.errors import InvalidOptionError
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.journals import as_if_killed, opened, running

SOON = 20.0


class Busy(ConnectionError):
    pass


class Odd(BaseException):
    pass


def raises(kind: str) -> None:
    if kind == "wrapped":
        raise RuntimeError("outside") from OSError("inside")
    if kind == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "sleeps":
        time.sleep(60)
    if kind == "exits":
        raise SystemExit(3)
    raise {"busy": Busy, "value": ValueError, "plain": Exception, "odd": Odd}[kind]("on purpose")


OF_PROCESSES = ("dies", "sleeps")
CASES: list[tuple[str, Any, bool]] = [
    ("busy", Busy, True),
    ("busy", OSError, True),
    ("busy", (KeyError, "ConnectionError"), True),
    ("busy", "Busy", True),
    ("busy", ValueError, False),
    ("busy", Exception, True),
    ("value", (OSError, "TimeoutError"), False),
    ("value", ["ValueError"], True),
    ("plain", Exception, True),
    ("plain", ValueError, False),
    ("wrapped", OSError, True),
    ("wrapped", "RuntimeError", True),
    ("dies", "worker died", True),
    ("dies", Exception, False),
    ("dies", "time limit", False),
    ("sleeps", "time limit", True),
    ("sleeps", ("worker died", Exception), False),
    ("exits", Exception, False),
    ("exits", SystemExit, True),
    ("odd", BaseException, True),
]


@pytest.mark.parametrize(
    ("kind", "wanted", "again", "executor"),
    [
        (*case, executor)
        for case, executor in itertools.product(CASES, ("process", "thread"))
        if executor == "process" or case[0] not in OF_PROCESSES
    ],
    ids=str,
)
async def test_only_failures_that_are_named_are_tried_again(
    kind: str, wanted: Any, again: bool, executor: str
) -> None:
    limit = {"timeout": 0.3} if kind == "sleeps" else {}
    async with JobQueue(executor=executor) as queue:
        view = queue.options(retries=1, retry_on=wanted, backoff=0, **limit)
        job = view.submit_nowait(raises, kind)
        await queue.wait_for_job(job, SOON)
        assert job.status is JobStatus.failed
        assert job.attempt == (2 if again else 1), job.error


async def test_the_wait_doubles_within_its_bounds_and_its_lane_is_free_meanwhile() -> None:
    async with JobQueue() as queue:
        view = queue.options(executor="thread", retries=3, backoff=0.2, backoff_max=0.4)
        begun: list[float] = []

        def body() -> None:
            begun.append(time.monotonic())
            raise ValueError

        job = view.submit_nowait(body)
        await until(lambda: job.status is JobStatus.pending and job.attempt == 2)
        assert await queue.submit_nowait(asyncio.sleep, 0, "passed") == "passed"
        row = job.as_row()
        assert row["note"] == "ValueError"
        assert 0 < row["starts_at"] - time.time() <= 0.2
        await queue.wait_for_job(job, SOON)
        waits = [later - earlier for earlier, later in itertools.pairwise(begun)]
        for wait, nominal in zip(waits, (0.2, 0.4, 0.4), strict=True):
            assert wait >= nominal / 2 - 0.01
        assert job.as_row()["starts_at"] is None


async def test_jobs_that_failed_together_do_not_come_back_together() -> None:
    async with JobQueue(max_running=40, executor="thread") as queue:
        jobs = queue.options(retries=1, backoff=50).map(raises, ["busy"] * 40)
        await until(lambda: all(job.attempt == 2 for job in jobs))
        when = sorted(job.as_row()["starts_at"] for job in jobs)
        assert when[-1] - when[0] > 10


# -- deadline ------------------------------------------------------------------------------------


async def test_a_job_that_does_not_start_before_its_deadline_has_failed() -> None:
    async with JobQueue() as queue:
        queue.pause()
        job = queue.options(deadline=0.1, retries=5).submit_nowait(asyncio.sleep, 0)
        await queue.wait_for_job(job, SOON)
        assert job.error == "DeadlineExceeded: deadline, 0.1 s after the submit"
        assert job.failure is not None
        assert job.failure.category == "transient"
        assert inspect(queue).timers == 0


@pytest.mark.parametrize("executor", ["process", "coroutine"])
async def test_a_job_that_runs_at_its_deadline_is_stopped_and_not_tried_again(
    executor: str,
) -> None:
    async with JobQueue() as queue:
        view = queue.options(deadline=1.5, retries=5, timeout=60)
        target = (time.sleep, 60) if executor == "process" else (asyncio.sleep, 60)
        job = view.submit_nowait(*target)
        await queue.wait_for_job(job, SOON)
        assert job.error == "DeadlineExceeded: deadline, 1.5 s after the submit"
        assert job.attempt == 1
        assert job.started_at is not None


async def test_a_deadline_passes_between_two_attempts() -> None:
    async with JobQueue(executor="thread") as queue:
        job = queue.options(deadline=3.0, retries=5, backoff=30).submit_nowait(raises, "busy")
        await queue.wait_for_job(job, SOON)
        assert str(job.error).startswith("DeadlineExceeded")
        assert job.attempt == 2, "the second one never began"


async def test_work_that_is_done_in_time_and_a_users_cancel_stay_what_they_are() -> None:
    async with JobQueue() as queue:
        assert await queue.options(deadline=60).submit_nowait(asyncio.sleep, 0, "done") == "done"
        job = queue.options(deadline=60).submit_nowait(asyncio.sleep, 60)
        await until(lambda: job.status is JobStatus.running)
        job.cancel()
        await queue.wait_for_job(job, SOON)
        assert job.status is JobStatus.cancelled
        assert inspect(queue).timers == 0


# -- delay ---------------------------------------------------------------------------------------


async def test_a_delayed_job_starts_later_and_says_when() -> None:
    async with JobQueue() as queue:
        job = queue.options(delay=1.5).submit_nowait(asyncio.sleep, 0)
        other = queue.submit_nowait(asyncio.sleep, 0, "first")
        row = job.as_row()
        assert await other == "first"
        assert row["status"] == "pending"
        assert 0 < row["starts_at"] - job.created_at < 2
        await job
        assert job.started_at is not None
        assert job.started_at - job.created_at >= 1.49


async def test_a_join_waits_for_a_delayed_job() -> None:
    async with JobQueue() as queue:
        job = queue.options(delay=0.2).submit_nowait(asyncio.sleep, 0)
        await queue.join(SOON)
        assert job.done


async def test_delay_and_deadline_go_on_counting_while_no_kernel_runs(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with opened(path) as queue:
        late = queue.options(deadline=0.5).submit_nowait(os.getpid)
        early = queue.options(delay=0.5).submit_nowait(os.getpid)
        later = queue.options(delay=600).submit_nowait(os.getpid)
        copy = as_if_killed(path)
    await asyncio.sleep(0.6)
    async with running(copy, on_restore="run") as again:
        jobs: dict[str, Job] = {job.id: job for job in again.jobs()}
        await again.wait_for_job(jobs[late.id], SOON)
        await again.wait_for_job(jobs[early.id], SOON)
        assert str(jobs[late.id].error).startswith("DeadlineExceeded")
        assert jobs[early.id].status is JobStatus.completed
        left = jobs[later.id].as_row()["starts_at"] - time.time()
        assert 580 < left < 600
        jobs[later.id].cancel()


# -- after_failure -------------------------------------------------------------------------------


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("how", ["run", "cancel"])
async def test_a_job_may_come_after_failed_ones(how: str, earlier: bool) -> None:
    async with JobQueue(executor="thread", max_running=2) as queue:
        parents = queue.map(raises, ["value", "value"])
        if earlier:
            for parent in parents:
                await queue.wait_for_job(parent, SOON)
        child = queue.options(after=parents, after_failure=how).submit_nowait(current_job)
        await queue.wait_for_job(child, SOON)
        wanted = JobStatus.completed if how == "run" else JobStatus.cancelled
        assert child.status is wanted


async def test_a_job_after_a_cancelled_one_waits_for_its_end() -> None:
    async with JobQueue(max_running=2) as queue:
        parent = queue.submit_nowait(asyncio.sleep, 60)
        child = queue.options(after=parent, after_failure="run").submit_nowait(asyncio.sleep, 0, 5)
        await asyncio.sleep(0.05)
        assert child.status is JobStatus.pending
        parent.cancel()
        assert await child == 5


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"retry_on": OSError}, "retries"),
        ({"retry_on": "time limits", "retries": 1}, "'time limit'"),
        ({"retry_on": [int], "retries": 1}, "int"),
        ({"retry_on": 3, "retries": 1}, "retry_on takes"),
        ({"backoff": -1}, "0 or more"),
        ({"backoff": 9, "backoff_max": 2}, "backoff_max=2"),
        ({"backoff_max": float("nan")}, "nan"),
        ({"deadline": 0}, "more than 0"),
        ({"deadline": "soon"}, "soon"),
        ({"delay": -1}, "delay"),
        ({"delay": 5, "deadline": 5}, "never start"),
        ({"after_failure": "ignore"}, '"cancel" or "run"'),
    ],
    ids=str,
)
def test_what_would_do_nothing_or_is_no_such_thing_is_refused(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidOptionError, match=said):
        JobQueue().options(**given)
