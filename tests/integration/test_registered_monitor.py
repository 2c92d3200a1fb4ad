"""What a registered system monitor tells is what this machine has, for schedulers and queues."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import (
    Job,
    JobQueue,
    JobStatus,
    PermissiveScheduler,
    PluginManager,
    QueueScheduler,
    SafetyScheduler,
)
from jobqueue_widget._machine import figures as figures_module
from jobqueue_widget.testing import inspect, machine_with
from tests.conditions import until
from tests.reference import manifest
from tests.resources import Machine

NOT_CHECKED = "GPU memory not checked"


class Monitor:
    """Tells what it is set to, as the reference's tests have theirs do."""

    name = "the-monitor"

    def __init__(self, **told: Any) -> None:
        self.told = told
        self.asked = 0
        self.answers = threading.Event()
        self.answers.set()

    def execute(self, command: str) -> dict[str, Any]:
        assert command == "get_system_status"
        self.asked += 1
        assert self.answers.wait(20)
        return self.told

    async def execute_async(self, command: str) -> dict[str, Any]:
        return self.execute(command)


def gpu(total: float, free: float) -> dict[str, float]:
    return {"gpu_total_memory_mb": total, "gpu_free_memory_mb": free}


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    with machine_with(machine):
        yield machine


def manager_of(
    folder: Path, scheduler: Any = None, monitor: Any = None, **needs: Any
) -> PluginManager:
    """Loaded plugins that ask for so many MiB of GPU; a tuple: and of RAM."""
    folder.mkdir(parents=True, exist_ok=True)
    manager = PluginManager(search_paths=[folder], data_dir=folder, scheduler=scheduler)
    for name, amounts in needs.items():
        on_gpu, ram = amounts if isinstance(amounts, tuple) else (amounts, 0)
        asks = {"requires_gpu": True, "min_gpu_vram_mb": on_gpu, "min_system_ram_mb": ram}
        told = manifest(name, "Hoarder", resources=asks) | {"module": "hoarder"}
        (folder / f"{name}.json").write_text(json.dumps(told))
    assert all(manager.load_all().values())
    if monitor is not None:
        manager.register_system_monitor(monitor)
    return manager


async def ended(queue: JobQueue, name: str, **options: Any) -> Job:
    job = queue.options(**options).submit_nowait(name)
    await queue.wait_for_job(job, timeout=30)
    return job


async def test_a_monitor_that_sees_no_gpu_lets_jobs_run_at_once_and_is_not_asked_again_and_again(
    machine: Machine, tmp_path: Path
) -> None:
    monitor = Monitor(**gpu(0, 0))
    with manager_of(tmp_path, None, monitor, whisper=4_096) as manager:
        async with JobQueue(manager) as queue:
            for _ in range(3):
                job = await ended(queue, "whisper")
                assert job.status is JobStatus.completed
                assert str(job.unchecked).startswith(NOT_CHECKED)
                assert job.started_at is not None
                assert job.started_at - job.created_at < 10  # a minute, each but the first, before
        assert monitor.asked < 60


SCHEDULERS = [None, PermissiveScheduler, SafetyScheduler, QueueScheduler]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
async def test_what_a_manifest_asks_of_a_gpu_that_nobody_can_see_is_unknown_not_impossible(
    machine: Machine, tmp_path: Path, scheduler: Any
) -> None:
    chosen = scheduler and scheduler()
    with manager_of(tmp_path, chosen, whisper=(4_096, 1_000)) as manager:
        async with JobQueue(manager) as queue:
            job = await ended(queue, "whisper")
            assert (job.status, job.error) == (JobStatus.completed, None)
            if scheduler in (None, QueueScheduler):
                assert job.planned == {"ram_mib": 1_000}, "what is known is looked after"
                assert job.unchecked == (
                    f"{NOT_CHECKED}: needs 4,096 MiB GPU, and no GPU is known here "
                    "(the test has none)"
                )
                (row,) = queue.window("history", 0, 1).rows
                assert row["note"] == NOT_CHECKED
            else:
                assert (job.planned, job.unchecked) == (None, None), "nobody was to look"


async def test_what_a_job_asks_for_itself_is_insisted_on(machine: Machine, tmp_path: Path) -> None:
    with manager_of(tmp_path, whisper=4_096) as manager:
        async with JobQueue(manager) as queue:
            job = await ended(queue, "whisper", resources={"gpu_mib": 4_096})
            assert job.status is JobStatus.failed
            assert "no GPU is known here" in str(job.error)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
async def test_with_a_monitor_its_gpu_is_the_machines(
    machine: Machine, tmp_path: Path, scheduler: Any
) -> None:
    monitor = Monitor(**gpu(24_000, 20_000))
    with manager_of(tmp_path, scheduler and scheduler(), monitor, whisper=4_096) as manager:
        async with JobQueue(manager) as queue:
            job = await ended(queue, "whisper")
            assert (job.status, job.unchecked) == (JobStatus.completed, None)
            if scheduler in (None, QueueScheduler):
                assert job.planned == {"gpu_mib": 4_096}
            strict = await ended(queue, "whisper", resources={"gpu_mib": 4_096})
            assert strict.status is JobStatus.completed
            of_a_function = queue.options(resources={"gpu_mib": 4_096}, executor="thread")
            assert await of_a_function.submit_nowait(int) == 0
            (meter,) = (m for m in inspect(queue).meters["items"] if m["name"] == "GPU")
            assert (meter["used"], meter["total"]) == (3.9, 23.4)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (gpu(0, 0), "no GPU is known here (the-monitor shows none)"),
        (gpu(3_000, 2_500), "this machine can give 3,000: 1,096 too much"),
    ],
)
async def test_more_than_the_monitor_knows_of_fails_only_where_a_scheduler_was_chosen(
    machine: Machine, tmp_path: Path, told: Any, says: str
) -> None:
    with manager_of(tmp_path, monitor=Monitor(**told), whisper=4_096) as manager:
        async with JobQueue(manager) as queue:
            job = await ended(queue, "whisper")
            assert job.status is JobStatus.completed
            assert job.unchecked is not None
            assert job.unchecked.startswith(NOT_CHECKED)
            assert says in job.unchecked
            manager.scheduler = QueueScheduler()  # waits for ever, or its time-out, there
            began = time.monotonic()
            job = await ended(queue, "whisper")
            assert job.status is JobStatus.failed
            assert says in str(job.error)
            manager.scheduler = SafetyScheduler()
            job = await ended(queue, "whisper")
            assert job.status is JobStatus.failed
            assert "needs 4,096 MiB GPU" in str(job.error)
            assert time.monotonic() - began < 10


async def test_a_job_waits_until_the_monitor_tells_of_room(
    machine: Machine, tmp_path: Path
) -> None:
    monitor = Monitor(gpu_free_memory_mb=2_000, memory_available_mb=16_000)
    scheduler = QueueScheduler(timeout=20, poll_interval=0.05)
    with manager_of(tmp_path, scheduler, monitor, whisper=4_096) as manager:
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait("whisper")
            await until(lambda: job.block_reason)
            assert (
                job.block_reason == "needs 4,096 MiB GPU, 2,000 free; other programs use the rest"
            )
            monitor.told["gpu_free_memory_mb"] = 8_192
            await queue.wait_for_job(job, timeout=20)
            assert job.status is JobStatus.completed


async def test_the_monitors_memory_is_the_machines_where_it_means_another_one(
    machine: Machine, tmp_path: Path
) -> None:
    monitor = Monitor(memory_total_mb=900_000.0, memory_available_mb=800_000.0)
    with manager_of(tmp_path, QueueScheduler(), monitor, big=(0, 100_000)) as manager:
        async with JobQueue(manager) as queue:
            job = await ended(queue, "big")
            assert (job.status, job.planned) == (JobStatus.completed, {"ram_mib": 100_000})


async def test_a_monitor_that_hangs_holds_nobody_up(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures_module, "PATIENCE", 0.2)
    monitor = Monitor(**gpu(24_000, 20_000))
    monitor.answers.clear()
    with manager_of(tmp_path, monitor=monitor, whisper=4_096) as manager:
        async with JobQueue(manager) as queue:
            job = await ended(queue, "whisper")
            assert job.status is JobStatus.completed
            assert job.unchecked is not None
            assert monitor.asked == 1, "it is not asked again while it owes an answer"
            monitor.answers.set()

            async def is_planned() -> bool:
                return (await ended(queue, "whisper")).planned == {"gpu_mib": 4_096}

            async with asyncio.timeout(20):
                while not await is_planned():
                    pass


class Raises(Monitor):
    def execute(self, command: str) -> dict[str, Any]:
        raise OSError("the driver is gone")


@pytest.mark.parametrize("told", ["nothing", None, [1], {"gpu_free_memory_mb": "much"}, {}])
async def test_nonsense_of_a_monitor_is_no_figure(
    machine: Machine, tmp_path: Path, told: Any
) -> None:
    monitor = Monitor()
    monitor.told = told
    with manager_of(tmp_path, monitor=monitor, whisper=4_096) as manager:
        async with JobQueue(manager) as queue:
            job = await ended(queue, "whisper")
            assert (job.status, job.planned) == (JobStatus.completed, None)
            manager.system_monitor = Raises()
            job = await ended(queue, "whisper")
            assert (job.status, job.planned) == (JobStatus.completed, None)
