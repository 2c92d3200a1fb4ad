"""Real plugins of our manager in real workers: measured, admitted, unloaded when in the way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue_widget import JobQueue, JobStatus, PluginManager, QueueScheduler
from jobqueue_widget.testing import inspect, machine_with
from tests.conditions import until
from tests.resources import SmallMachine, write_hoarders

pytestmark = pytest.mark.timeout(120)


def manager_of(folder: Path, **ram_mib: float) -> PluginManager:
    paths = [write_hoarders(folder / "manifests", **ram_mib)]
    manager = PluginManager(search_paths=paths, data_dir=folder)
    manager.discover_manifests()
    manager.load_all()
    return manager


def idle_of(queue: JobQueue) -> dict[str, Any]:
    return {one["plugin"]: one["holds"] for one in inspect(queue).meters.get("idle", ())}


async def test_an_idle_plugin_makes_room_and_comes_back_when_it_is_used(tmp_path: Path) -> None:
    with (
        machine_with(SmallMachine(600)),
        manager_of(tmp_path, first=300, second=300, small=20) as manager,
    ):
        async with JobQueue(manager) as queue:
            await queue.submit_nowait("small", 0)
            first = await queue.submit_nowait("first", 300)
            await until(lambda: idle_of(queue).get("first", 0) >= 0.3)
            reasons: list[object] = []
            queue.subscribe(
                lambda event: (
                    reasons.append(event.payload["reason"]) if event.type == "blocked" else None
                )
            )
            job = queue.submit_nowait("second", 300)
            second = await job
            assert not psutil.pid_exists(first)
            assert psutil.pid_exists(second)
            await until(lambda: reasons)
            assert str(reasons[0]).startswith("unloading idle first to free 3")
            assert job.planned == {"ram_mib": 300}
            again = await queue.submit_nowait("first", 300)
            assert again != first
            assert not psutil.pid_exists(second)


async def test_a_plugin_at_work_is_waited_for(tmp_path: Path) -> None:
    with machine_with(SmallMachine(600)), manager_of(tmp_path, one=300, two=300) as manager:
        async with JobQueue(manager, max_running=2) as queue:
            working = queue.submit_nowait("one", 300, 2.5)
            await until(lambda: (working.used_peak or {}).get("ram_mib", 0) > 300)
            waits = queue.submit_nowait("two", 300)
            await until(lambda: waits.block_reason)
            assert waits.block_reason is not None
            assert waits.block_reason.endswith("; one holds 300")
            await queue.join(timeout=60)
            assert working.status is waits.status is JobStatus.completed


async def test_unload_ends_the_worker_of_an_idle_plugin(tmp_path: Path) -> None:
    with machine_with(SmallMachine(600)), manager_of(tmp_path, one=300) as manager:
        async with JobQueue(manager) as queue:
            pid = await queue.submit_nowait("one", 100)
            await until(lambda: "one" in idle_of(queue))
            assert queue.unload("one")
            assert not psutil.pid_exists(pid)
            await until(lambda: "one" not in idle_of(queue))
            assert await queue.submit_nowait("one", 100) != pid


KEPT: list[bytes] = []


def keep(mib: int) -> int:
    """Something large, for the next call in the same worker."""
    if not KEPT:
        KEPT.append(os.urandom(1 << 20) * mib)
    return os.getpid()


def keep_in_thread(mib: int) -> int:
    return mib


async def test_a_worker_keeps_what_it_holds_for_its_own_next_job() -> None:
    with machine_with(SmallMachine(600)):
        async with JobQueue() as queue:
            heavy = queue.options(resources={"ram_mib": 400})
            pids = [await heavy.submit_nowait(keep, 300) for _ in range(3)]
            assert len(set(pids)) == 1


async def test_an_idle_worker_that_holds_memory_makes_room() -> None:
    with machine_with(SmallMachine(600)):
        async with JobQueue() as queue:
            pid = await queue.options(resources={"ram_mib": 400}).submit_nowait(keep, 300)
            other = queue.options(resources={"ram_mib": 400}, executor="thread")
            assert await other.submit_nowait(keep_in_thread, 1) == 1
            assert not psutil.pid_exists(pid)
            again = await queue.options(resources={"ram_mib": 400}).submit_nowait(keep, 300)
            assert again != pid


async def test_more_than_the_machine_has_runs_with_a_note_while_no_scheduler_was_chosen(
    tmp_path: Path,
) -> None:
    with machine_with(SmallMachine(600)), manager_of(tmp_path, huge=700) as manager:
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait("huge", 1)
            await queue.wait_for_job(job, timeout=30)
            assert job.status is JobStatus.completed
            assert job.planned is None
            assert job.unchecked is not None
            assert job.unchecked.startswith(
                "RAM not checked: needs 700 MiB RAM, this machine can give 600: 100 too much"
            )
            manager.scheduler = QueueScheduler()
            job = queue.submit_nowait("huge", 1)
            await queue.wait_for_job(job, timeout=30)
            assert job.error is not None
            assert "needs 700 MiB RAM, this machine can give 600: 100 too much" in job.error
