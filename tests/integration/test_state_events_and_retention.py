"""What readers see is of one moment, exact, bounded, and in order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobqueue_widget import (
    JobEvent,
    JobEvictedError,
    JobQueue,
    JobStatus,
    UnknownJobError,
    current_job,
)
from jobqueue_widget.testing import inspect
from tests.conditions import until


async def noop(value: object = None) -> object:
    return value


async def fails() -> None:
    raise ValueError("no")


async def test_get_state_has_the_keys_of_the_reference() -> None:
    async with JobQueue() as queue:
        running = queue.submit_nowait(asyncio.sleep, 60)
        waiting = await queue.submit(noop, priority=3)
        await until(lambda: running.status is JobStatus.running or queue.get_job(waiting))
        queue.hold(waiting)
        await until(lambda: queue.get_state()["running"])
        await queue.submit(fails, priority=-5)
        state = queue.get_state()
        wanted = {"id", "plugin_name", "status", "started_at", "progress", "status_message"}
        assert wanted <= state["running"].keys()
        assert state["running_all"] == [state["running"]]
        assert {"id", "plugin_name", "priority", "position"} <= state["pending"][0].keys()
        assert [row["position"] for row in state["pending"]] == [0, 1]
        assert state["stats"]["total_pending"] == 2


async def test_history_is_newest_first_and_short_and_totals_are_exact() -> None:
    async with JobQueue(max_history=5) as queue:
        jobs = [queue.submit_nowait(noop if n % 3 else fails) for n in range(30)]
        await queue.join(timeout=10)
        state = queue.get_state()
        assert [row["id"] for row in state["history"]] == [job.id for job in jobs[:-6:-1]]
        assert state["stats"]["total_completed"] == 20
        assert state["stats"]["total_failed"] == 10
        assert state["history"][0]["error"] is None
        rows = queue.window("history", 0, 100)
        assert rows.total == len(rows.rows) == 5


async def test_no_history_at_all_still_lets_waiters_go() -> None:
    async with JobQueue(max_history=0, keep_ended=0) as queue:
        job = queue.submit_nowait(noop, 3)
        assert await asyncio.wait_for(job, 10) == 3
        assert queue.get_state()["history"] == []


async def test_the_newest_ended_are_kept_and_a_handle_keeps_its_result() -> None:
    async with JobQueue(max_history=2, keep_ended=3) as queue:
        jobs = [queue.submit_nowait(noop, number) for number in range(10)]
        await queue.join(timeout=10)
        assert [queue.get_job(job.id) is None for job in jobs] == [True] * 7 + [False] * 3
        assert [job.result for job in jobs] == list(range(10))
        with pytest.raises(JobEvictedError, match="keep_ended=3"):
            await queue.wait_for_job(jobs[0].id)
        assert await queue.wait_for_job(jobs[0]) == jobs[0]
        with pytest.raises(UnknownJobError):
            await queue.wait_for_job("other-1")
        assert queue.get_state()["stats"]["total_completed"] == 10
        assert queue.clear_history() == 3
        assert queue.jobs() == jobs[:-4:-1]
        assert queue.get_state()["history"] == queue.get_history() == []
        assert queue.get_state()["stats"]["total_completed"] == 10


async def test_windows_page_through_every_pending_job() -> None:
    queue = JobQueue()
    ids = [await queue.submit(noop, priority=number % 3) for number in range(100)]
    for number in range(0, 100, 7):
        queue.hold(ids[number])
    wanted = [row["id"] for row in queue.get_state()["pending"]]
    seen: list[str] = []
    for start in range(0, 120, 13):
        rows = queue.window("pending", start, start + 13)
        assert rows.total == 100
        assert [row["position"] for row in rows.rows] == list(range(start, min(100, start + 13)))
        seen += [row["id"] for row in rows.rows]
    assert seen == wanted
    with pytest.raises(ValueError, match="which"):
        queue.window("other", 0, 1)  # type: ignore[arg-type]


async def test_progress_is_of_this_job_and_the_last_report_is_kept() -> None:
    async def reports() -> None:
        for value in (0.25, float("nan"), "text", None, 7.5, -1, 10**400):
            current_job().report(value, f"{value}"[:20])
        current_job().report(0.5, "last")

    async with JobQueue() as queue:
        job = queue.submit_nowait(reports)
        await job
        assert job.status_message == "last"
        following = queue.submit_nowait(noop)
        await following
        assert following.status_message == ""


async def test_a_running_job_of_unknown_amount_shows_minus_one() -> None:
    async def unknown() -> None:
        current_job().report(None, "working")
        await asyncio.sleep(60)

    async with JobQueue() as queue:
        job = queue.submit_nowait(unknown)
        await until(lambda: job.status_message == "working")
        assert job.progress == -1.0
        assert queue.get_state()["running"]["progress"] == -1.0


async def test_subscribers_hear_the_story_of_a_job_in_order() -> None:
    seen: list[JobEvent] = []
    async with JobQueue() as queue:
        unsubscribe = queue.subscribe(seen.append)
        job = queue.submit_nowait(fails)
        await queue.wait_for_job(job)
        await until(lambda: seen and seen[-1].type == "ended")
        unsubscribe()
        await queue.submit(noop)
        await queue.join(timeout=10)
    assert [event.type for event in seen] == ["submitted", "started", "ended"]
    told = {"status": "failed", "error": "ValueError: no", "cancel_reason": None}
    assert seen[-1].payload == told
    assert {event.job_id for event in seen} == {job.id}


async def test_a_subscriber_that_raises_harms_nobody_and_is_dropped() -> None:
    calls: list[str] = []

    def broken(event: JobEvent) -> None:
        calls.append(event.type)
        raise RuntimeError("broken subscriber")

    async with JobQueue() as queue:
        queue.subscribe(broken)
        for _ in range(5):
            assert await queue.submit_nowait(noop, 1) == 1
        await until(lambda: len(calls) >= 3)
        await asyncio.sleep(0.02)
        assert len(calls) == 3


async def test_events_of_one_job_end_with_it() -> None:
    async with JobQueue() as queue:
        queue.pause()
        job = queue.submit_nowait(noop)
        stream = queue.events(job)
        queue.resume()
        assert [event.type async for event in stream] == ["started", "ended"]
        assert [event.type async for event in queue.events(job.id)] == []


async def test_events_of_the_queue_tell_of_a_cleared_history_and_of_its_closing() -> None:
    seen: list[JobEvent] = []
    async with JobQueue() as queue:
        await queue.submit_nowait(noop)
        queue.subscribe(seen.append)
        assert queue.clear_history() == 1
        assert queue.clear_history() == 0, "nothing is left to clear, and nothing is told"
        assert inspect(queue).undo_clear() == 1
        assert inspect(queue).undo_clear() == 0
        await until(lambda: len(seen) == 2)
        await queue.close()
    assert [event.type for event in seen] == [
        *("history_cleared", "history_restored"),
        *("queue_stopped", "queue_closed"),
    ]
    assert [event.payload for event in seen[:2]] == [{"count": 1}] * 2


async def test_events_of_the_queue_tell_of_pause_and_resume() -> None:
    async with JobQueue() as queue:
        stream = queue.events()
        queue.pause("lunch")
        queue.resume()
        seen: list[Any] = []
        async for event in stream:
            seen.append((event.type, event.job_id, dict(event.payload)))
            if event.type == "resumed":
                break
        assert seen[0] == ("paused", None, {"reason": "lunch"})


async def test_a_table_of_all_jobs() -> None:
    pytest.importorskip("pandas")
    async with JobQueue() as queue:
        await queue.submit_nowait(noop, 3)
        frame = queue.to_pandas()
        assert list(frame["status"]) == ["completed"]
        assert {"id", "plugin_name", "priority", "result", "error"} <= set(frame.columns)


async def test_a_queue_is_always_true_and_says_what_it_is() -> None:
    queue = JobQueue(name="mine")
    assert queue
    assert repr(queue) == "<JobQueue 'mine' not started: 0 running, 0 pending, 0 ended>"
