"""Options: each does what it says, none takes a keyword from the target."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from jobqueue_widget import JobQueue, JobStatus, current_job
from jobqueue_widget._core import retrying
from jobqueue_widget.testing import inspect
from tests.conditions import until


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_BACKOFF", 0.01)


def failing_times(count: int) -> tuple[itertools.count[int], object]:
    tries = itertools.count(1)

    async def body() -> int:
        number = next(tries)
        if number <= count:
            raise ValueError(f"try {number}")
        return number

    return tries, body


async def test_a_job_runs_once_unless_retries_are_asked_for() -> None:
    tries, body = failing_times(1)
    async with JobQueue() as queue:
        job = queue.submit_nowait(body)
        await queue.wait_for_job(job)
        assert job.status is JobStatus.failed
        assert next(tries) == 2


async def test_a_retry_keeps_the_id_and_counts_the_attempt() -> None:
    _, body = failing_times(2)
    async with JobQueue() as queue:
        job = queue.options(retries=3).submit_nowait(body)
        assert await job == 3
        assert job.attempt == 3
        assert job.failure is None
        assert queue.get_state()["stats"]["total_accepted"] == 1


async def test_retries_end_with_the_last_error() -> None:
    _, body = failing_times(9)
    async with JobQueue() as queue:
        job = queue.options(retries=2).submit_nowait(body)
        await queue.wait_for_job(job)
        assert job.error == "ValueError: try 3"


async def test_a_job_that_backs_off_lets_others_pass_and_can_be_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retrying, "FIRST_BACKOFF", 60.0)
    _, body = failing_times(9)
    async with JobQueue() as queue:
        job = queue.options(retries=2).submit_nowait(body)
        other = queue.submit_nowait(asyncio.sleep, 0, "passed")
        assert await other == "passed"
        assert job.status is JobStatus.pending
        assert job.cancel()
        assert job.status.value == "cancelled"


async def test_a_cancelled_job_is_not_retried() -> None:
    async with JobQueue() as queue:
        job = queue.options(retries=5).submit_nowait(asyncio.sleep, 60)
        await until(lambda: job.status is JobStatus.running)
        job.cancel()
        await queue.wait_for_job(job)
        assert job.attempt == 1


async def test_retry_is_a_new_job_with_the_same_everything() -> None:
    async with JobQueue() as queue:
        view = queue.options(label="named", tags="t", priority=4)
        first = view.submit_nowait(asyncio.sleep, 0, result="again")
        await first
        second = first.retry()
        assert second.id != first.id
        assert (second.label, second.tags, second.priority) == ("named", ("t",), 4)
        assert second.retry_of == first.id
        assert await second == "again"


async def test_a_time_limit_fails_the_job_and_says_so() -> None:
    async with JobQueue() as queue:
        job = queue.options(timeout=0.05).submit_nowait(asyncio.sleep, 60)
        await queue.wait_for_job(job, timeout=10)
        assert job.status is JobStatus.failed
        assert job.error == "TimeLimitExceeded: time limit 0.05 s"


async def test_a_job_within_its_limit_is_left_alone() -> None:
    async with JobQueue() as queue:
        assert await queue.options(timeout=30).submit_nowait(asyncio.sleep, 0, "fine") == "fine"
        assert inspect(queue).timers == 0


async def test_a_user_who_cancels_a_job_over_its_limit_cancels_it() -> None:
    async def slow_to_stop() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            raise

    async with JobQueue() as queue:
        job = queue.options(timeout=0.02).submit_nowait(slow_to_stop)
        await until(lambda: job.cancel_phase == "asked")
        await queue.cancel(job, reason="enough")
        await queue.wait_for_job(job, timeout=10)
        assert job.status is JobStatus.cancelled


async def test_options_take_no_keyword_from_the_target() -> None:
    async def takes(**keywords: object) -> dict[str, object]:
        return keywords

    given: dict[str, Any] = {
        "priority": 1,
        "label": "x",
        "timeout": 2,
        "self": 3,
        "target": 4,
        "plugin_name": 5,
    }
    async with JobQueue() as queue:
        job = queue.options(label="mine").submit_nowait(takes, **given)
        assert await job == given
        assert job.label == "mine"
        rest = {name: value for name, value in given.items() if name != "priority"}
        assert await queue.submit_nowait(takes, **rest) == rest


async def test_a_label_finds_its_job_and_an_ambiguous_one_lists_them() -> None:
    queue = JobQueue()
    view = queue.options(label="talk_07", tags=["audio", "long"])
    job = queue.get_job(await view.submit(asyncio.sleep, 0))
    assert job is not None
    assert queue["talk_07"] == job
    assert queue[job.id] == job
    assert queue.find("AUDIO") == [job]
    other = await view.submit(asyncio.sleep, 0)
    with pytest.raises(LookupError, match=f"2 jobs have the label .*{other}"):
        queue["talk_07"]
    with pytest.raises(LookupError, match="'nobody' is no id, label or short id"):
        queue["nobody"]


async def test_map_keeps_the_order_and_stops_at_the_shortest() -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    async with JobQueue() as queue:
        jobs = queue.options(tags="sum").map(add, [1, 2, 3], [10, 20])
        assert [await job for job in jobs] == [11, 22]
        assert all(job.tags == ("sum",) for job in jobs)
        assert queue.map(add, []) == []


async def test_the_repr_of_a_job_is_one_short_line_whatever_it_was_given() -> None:
    class Loud:
        def __repr__(self) -> str:
            raise RuntimeError("never shown")

    async def takes(value: object) -> None:
        current_job().report(0.5)

    async with JobQueue() as queue:
        job = queue.options(label="x" * 500).submit_nowait(takes, Loud())
        await job
        assert len(repr(job)) < 120
        assert "\n" not in repr(job)
