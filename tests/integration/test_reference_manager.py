"""The real manager of the reference system, unchanged, under our queue."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue_widget import InvalidTargetError, JobQueue, JobStatus
from tests.reference import reference_manager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Any]:
    with reference_manager(tmp_path) as manager:
        yield manager


def pid_of(manager: Any, plugin: str = "workload") -> int:
    return int(manager.get_plugin(plugin).process.pid)


async def until_running(queue: JobQueue, job_id: str) -> None:
    job = queue.get_job(job_id)
    assert job is not None
    async with asyncio.timeout(20):
        while job.status is not JobStatus.running or job.phase is not None:
            await asyncio.sleep(0.01)


def test_the_usage_example_of_the_reference_runs_with_one_import_changed(tmp_path: Path) -> None:
    async def usage() -> None:
        with reference_manager(tmp_path, scheduler="QueueScheduler") as manager:
            manager.register_system_monitor("monitor")
            queue = JobQueue(manager)
            await queue.start()
            first = await queue.submit("workload", "sleep", 0.5)
            await until_running(queue, first)
            second = await queue.submit("workload", "value", 2)
            urgent = await queue.submit("workload", "value", 3, priority=10)
            state = queue.get_state()
            assert state["running"]["id"] == first
            assert [row["id"] for row in state["pending"]] == [urgent, second]
            assert await queue.cancel(second)
            job = await queue.wait_for_job(urgent, timeout=30)
            assert job.status is JobStatus.completed
            assert job.result["args"] == [3]
            assert queue.get_job(second).status is JobStatus.cancelled  # type: ignore[union-attr]
            await queue.stop()

    asyncio.run(usage())


async def test_cancelling_a_plugin_that_never_listens_replaces_its_worker(
    manager: Any, note: Callable[[str], None]
) -> None:
    before = pid_of(manager)
    async with JobQueue(manager, cancel_timeout=0.5) as queue:
        job_id = await queue.submit("workload", "sleep", 60)
        await until_running(queue, job_id)
        await asyncio.sleep(0.2)
        asked = time.monotonic()
        assert await queue.cancel(job_id)
        following = await queue.submit("workload", "value")
        job = await queue.wait_for_job(job_id, timeout=20)
        assert job.status is JobStatus.cancelled
        assert not psutil.pid_exists(before)
        after = await queue.wait_for_job(following, timeout=20)
        assert after.status is JobStatus.completed
        assert after.result["pid"] == pid_of(manager) != before
        assert after.started_at is not None
        seconds = time.monotonic() - asked
        note(
            f"the next job has its result {seconds:.1f} s after the cancel, 0.5 s of them patience"
        )


async def test_a_worker_that_was_replaced_has_its_configuration_again(manager: Any) -> None:
    manager.update_plugin_config("workload", {"flavour": "sharp"})
    async with JobQueue(manager) as queue:
        job_id = await queue.submit("workload", "spin")
        await until_running(queue, job_id)
        await asyncio.sleep(0.2)
        await queue.cancel(job_id, force=True)
        await queue.wait_for_job(job_id, timeout=20)
        found = await queue.submit("workload", "config")
        job = await queue.wait_for_job(found, timeout=20)
    assert job.result == {"flavour": "sharp"}


async def test_the_children_of_a_forced_plugin_are_gone(manager: Any) -> None:
    async with JobQueue(manager) as queue:
        job_id = await queue.submit("workload", "child")
        await until_running(queue, job_id)
        worker = psutil.Process(pid_of(manager))
        async with asyncio.timeout(20):
            while not (children := worker.children()):
                await asyncio.sleep(0.01)
        await queue.cancel(job_id, force=True)
        await queue.wait_for_job(job_id, timeout=20)
        assert not any(child.is_running() and child.status() != "zombie" for child in children)


async def test_the_last_report_is_kept_and_none_of_the_job_before_is_shown(manager: Any) -> None:
    async with JobQueue(manager, progress_poll_interval=0.05) as queue:
        job = await queue.wait_for_job(await queue.submit("workload", "report"), timeout=20)
        assert job.status_message == "nearly"
        job = await queue.wait_for_job(await queue.submit("workload", "value"), timeout=20)
        assert job.status_message == ""


async def test_a_job_shows_its_own_part_of_the_plugin_log(manager: Any) -> None:
    async with JobQueue(manager) as queue:
        one = await queue.submit("workload", "print", "said by the first")
        two = await queue.submit("workload", "print", "said by the second")
        await queue.join(timeout=30)
        assert "said by the first" in queue.get_job_logs(one)
        assert "said by the second" not in queue.get_job_logs(one)
        assert "said by the second" in queue.get_job_logs(two)
        assert "said by the first" not in queue.get_job_logs(two)


async def test_a_job_that_prints_what_the_one_before_printed_has_it_in_its_log(
    manager: Any,
) -> None:
    async with JobQueue(manager) as queue:
        ids = [await queue.submit("workload", "print", "the same words") for _ in range(3)]
        await queue.join(timeout=30)
        assert [queue.get_job_logs(job_id) for job_id in ids] == ["the same words\n"] * 3


async def test_a_log_is_there_while_its_job_runs_and_has_nothing_of_the_job_before(
    manager: Any,
) -> None:
    async with JobQueue(manager, progress_poll_interval=0.05) as queue:
        await queue.submit("workload", "print", "said by the first")
        job_id = await queue.submit("workload", "talk", 60.0)
        async with asyncio.timeout(20):
            while not queue.get_job_logs(job_id):
                await asyncio.sleep(0.02)
        assert queue.get_job_logs(job_id) == "talking\n"
        await queue.cancel(job_id, force=True)


async def test_a_plugin_error_fails_its_job_and_the_next_one_runs(manager: Any) -> None:
    async with JobQueue(manager) as queue:
        failed = await queue.wait_for_job(await queue.submit("workload", "fail"), timeout=20)
        assert failed.status is JobStatus.failed
        assert "as it was told" in str(failed.error)
        after = await queue.wait_for_job(await queue.submit("workload", "value"), timeout=20)
        assert after.status is JobStatus.completed


async def test_a_worker_that_dies_is_named_and_healed_before_the_next_job(manager: Any) -> None:
    async with JobQueue(manager) as queue:
        died = await queue.wait_for_job(
            await queue.submit("workload", "die", int(signal.SIGKILL)), timeout=20
        )
        assert died.status is JobStatus.failed
        assert "SIGKILL" in str(died.error)
        after = await queue.wait_for_job(await queue.submit("workload", "value"), timeout=20)
        assert after.status is JobStatus.completed


async def test_a_plugin_that_is_not_loaded_fails_its_job_only(manager: Any) -> None:
    async with JobQueue(manager) as queue:
        job = await queue.wait_for_job(await queue.submit("no-such-plugin"), timeout=20)
        assert job.status is JobStatus.failed
        assert "not loaded" in str(job.error)


async def test_a_keyword_that_the_manager_takes_for_itself_is_refused(manager: Any) -> None:
    async with JobQueue(manager) as queue:
        with pytest.raises(InvalidTargetError, match="plugin_name"):
            await queue.submit("workload", "value", plugin_name="x")
        assert not queue.jobs()
        job = await queue.wait_for_job(await queue.submit(plugin_name="workload"), timeout=20)
        assert job.status is JobStatus.completed


async def test_two_queues_over_one_manager_never_share_a_plugin(manager: Any) -> None:
    async with JobQueue(manager, cancel_timeout=0.2) as one, JobQueue(manager) as two:
        job_id = await one.submit("workload", "sleep", 60)
        await until_running(one, job_id)
        waiting = await two.submit("workload", "value")
        other = await two.submit("monitor")
        done = await two.wait_for_job(other, timeout=20)
        assert done.status is JobStatus.completed, "a job for another plugin passes"
        blocked = two.get_job(waiting)
        assert blocked is not None
        assert blocked.status is JobStatus.pending
        assert "busy" in str(blocked.block_reason)
        await one.cancel(job_id)
        after = await two.wait_for_job(waiting, timeout=20)
        assert after.status is JobStatus.completed
        ended = await one.wait_for_job(job_id, timeout=20)
        assert ended.status is JobStatus.cancelled


async def test_a_time_limit_ends_a_plugin_too(manager: Any) -> None:
    async with JobQueue(manager, cancel_timeout=0.2) as queue:
        job = queue.options(timeout=0.3).submit_nowait("workload", "sleep", 60)
        await queue.wait_for_job(job, timeout=20)
        assert job.error == "TimeLimitExceeded: time limit 0.3 s"


async def test_stopping_leaves_the_plugins_loaded(manager: Any) -> None:
    async with JobQueue(manager) as queue:
        await queue.wait_for_job(await queue.submit("workload", "value"), timeout=20)
    os.kill(pid_of(manager), 0)
