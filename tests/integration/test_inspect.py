"""What `testing.inspect` tells of a queue, to people who write tests of their own."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import warnings
import weakref
from pathlib import Path

import psutil
import pytest

from jobqueue_widget import JobQueue
from jobqueue_widget.protocols import Reporter
from jobqueue_widget.testing import (
    Alive,
    FakePluginHost,
    Faults,
    Kept,
    Lanes,
    MemoryJournal,
    inspect,
)
from tests.conditions import until


async def test_what_lives_is_told_and_nothing_lives_after_a_stop() -> None:
    queue = JobQueue(max_running=2, name="watched")
    inside = inspect(queue)
    assert inside.alive == Alive()
    assert inside.phase == "not started"
    async with queue:
        job = queue.options(timeout=60).submit_nowait(time.sleep, 60)
        await until(lambda: inside.timers)  # its limit counts from when it runs
        assert inside.timers == 1
        assert inside.lanes == Lanes(total=2, taken=1)
        left = inside.seconds_left(job, "limit")
        assert left is not None
        assert 0 < left <= 60
        assert inside.seconds_left(job, "hold") is None
        alive = inside.alive
        assert alive.executions == 1
        assert alive.tasks >= 1
        assert alive.threads == ("jobqueue-watched-io",)
        (worker,) = (one for one in inside.workers if one.at_work)
        assert inside.processes == {job.id: worker.pid}
        assert psutil.pid_exists(worker.pid)
    assert inside.alive == Alive()
    assert inside.phase == "stopped"
    assert inside.timers == 0
    assert inside.lanes.taken == 0


async def test_asking_makes_nothing_and_keeps_nothing_alive() -> None:
    queue = JobQueue()
    gone, inside = weakref.ref(queue), inspect(queue)
    assert inside.workers == ()
    assert inside.folder is None
    assert inside.journal is None
    assert inside.meters == {}
    assert inside.notice == ""
    assert inside.pause is None
    assert inside.processes == {}
    assert inside.kept == Kept(memory=0, disk=0, full=None)
    assert abs(inside.clock.wall() - time.time()) < 10
    assert abs(inside.clock.monotonic() - time.monotonic()) < 10
    assert not any(inside.run_id in thread.name for thread in threading.enumerate())
    del queue
    gc.collect()
    assert gone() is None
    assert inside.records == {}


async def test_records_stand_in_the_order_of_the_queue() -> None:
    queue = JobQueue()
    with pytest.warns(UserWarning, match="not started"):
        first = queue.submit_nowait(pow, 2, 1)
    second, third = queue.map(pow, [2, 2], [2, 3])
    inside = inspect(queue)
    queue.hold(third)
    assert inside.startable == 2
    assert set(inside.records) == {first.id, second.id, third.id}
    assert inside.records[first.id] is inside.record(first)
    second.cancel()
    first.cancel()
    assert inside.ended == [inside.record(second), inside.record(first)]
    queue.clear_history()
    assert inside.snapshot()["history"] == []
    assert len(inside.ended) == 2
    assert inside.undo_clear() == 2
    assert [row["id"] for row in inside.snapshot(0, 0, 1)["history"]] == [first.id]
    queue.pause("a look")
    assert inside.pause is not None
    assert inside.pause.reason == "a look"
    inside.validate()
    third.cancel()


async def test_faults_count_what_went_wrong() -> None:
    def odd(plugin: object) -> str:
        return "fine"

    def breaks(event: object) -> None:
        raise ValueError("not today")

    async with JobQueue(FakePluginHost(odd=odd)) as queue:
        inside = inspect(queue)
        assert await queue.submit_nowait("odd") == "fine"
        assert inside.faults == Faults()
        job = queue.submit_nowait(asyncio.sleep, 0.2)
        await until(lambda: inside.alive.executions)
        run: Reporter = inside.engine.runs[job.id]
        run.progress("half of it")
        await job
        run.progress(0.5)
        assert inside.faults == Faults(odd_reports=1, late_reports=1)
        queue.subscribe(breaks)
        await queue.submit_nowait(asyncio.sleep, 0)
        await until(lambda: inside.faults.failed_subscribers)


async def test_what_contradicts_itself_is_seen() -> None:
    queue = JobQueue()
    inside = inspect(queue)
    inside.validate()
    inside.engine.state.lanes_taken += 1
    with pytest.raises(AssertionError):
        inside.validate()


async def test_what_ended_jobs_leave_is_counted_and_moved(tmp_path: Path) -> None:
    async with JobQueue(keep_bytes=100_000) as queue:
        inside = inspect(queue)
        job = queue.submit_nowait(os.urandom, 60_000)
        value = await job
        inside.tidy()
        assert inside.kept.memory >= 60_000
        assert inside.kept.disk == 0
        others = queue.map(os.urandom, [60_000, 60_000])
        await queue.join()
        inside.tidy()
        assert inside.kept.memory <= 100_000
        assert inside.kept.disk >= 60_000
        assert inside.folder is not None
        assert sum(file.stat().st_size for file in inside.folder.iterdir()) == inside.kept.disk
        assert job.result == value
        assert len(others) == 2
    await queue.close()


async def test_a_restart_can_be_played_in_one_process() -> None:
    journal = MemoryJournal()
    queue = JobQueue(journal=journal)
    with pytest.warns(UserWarning, match="not started"):
        waits = queue.submit_nowait(pow, 2, 10)
    inside = inspect(queue)
    assert inside.journal is journal
    inside.settle()
    inside.let_go()
    assert inside.phase == "closed"
    again = JobQueue(journal=journal)
    assert [job.id for job in again.jobs("pending")] == [waits.id]
    assert inspect(again).run_id != inside.run_id
    journal.fail_next(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again.pause("until later")
    again.resume()
    assert "cannot be written" in inspect(again).notice
    inspect(again).let_go()
