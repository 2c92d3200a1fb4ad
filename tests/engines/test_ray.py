"""Jobs on a real Ray, the smallest that starts, used and killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import InvalidOptionError, JobQueue, JobStatus, RayExecutor
from jobqueue_widget.errors import MissingExtraError
from jobqueue_widget.executors.ray import executor as ray_executor
from tests.conditions import until
from tests.contract import bodies
from tests.contract.subjects import until_beating
from tests.crash.processes import alive
from tests.engines import work
from tests.engines.ray_processes import ray_processes

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]


@pytest.fixture(scope="module", autouse=True)
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ray_processes() as module:
        yield module


def actor_pid(job: Any) -> int:
    """The process of the place that runs a job."""
    return int(job.where.rpartition(" ")[2].rstrip(")"))


async def test_progress_log_and_place_are_seen_while_it_runs(tmp_path: Path) -> None:
    async with JobQueue(executor=RayExecutor()) as queue:
        job = queue.submit_nowait(work.until_released, str(tmp_path))
        await until(lambda: job.progress == 0.5 and "begun" in job.logs(), 40)
        assert job.phase is None
        assert "Ray actor, process" in str(job.where)
        bodies.release(tmp_path)
        assert await job == "released"
        assert job.logs() == "begun\n"
        bars = queue.submit_nowait(work.count_with_bars, 50)
        assert await bars == 50
        assert (bars.logs(), bars.progress) == ("from C\n", 1.0)
        shows = queue.submit_nowait(work.display_html, "<b>")
        await shows
        assert [output.data["text/html"] for output in shows.outputs] == ["<b>"]
        assert shows.logs() == "before\nin text\n"


async def test_a_c_loop_is_ended_and_its_place_goes_on(tmp_path: Path) -> None:
    async with JobQueue(executor=RayExecutor(), max_running=1) as queue:
        job = queue.submit_nowait(work.in_a_c_loop, str(tmp_path))
        await until(lambda: bodies.pids(tmp_path) and (tmp_path / "child").exists(), 40)
        await until(lambda: (tmp_path / "child").read_text())
        grandchild = int((tmp_path / "child").read_text())
        place = actor_pid(job)
        job.cancel(force=True)
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.cancelled
        assert not any(alive(pid) for pid in (bodies.pids(tmp_path)[0], grandchild))
        after = queue.submit_nowait(pow, 2, 2)
        assert await asyncio.wait_for(after, 20) == 4
        assert actor_pid(after) == place


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_lost_place_fails_its_job_or_sends_it_again(
    idempotent: bool, tmp_path: Path
) -> None:
    async with JobQueue(executor=RayExecutor()) as queue:
        options = queue.options(idempotent=idempotent)
        job = options.submit_nowait(work.until_released, str(tmp_path))
        await until_beating_for_long(tmp_path)
        child, place = bodies.pids(tmp_path)[0], job.where
        os.kill(actor_pid(job), signal.SIGKILL)
        if idempotent:
            await until(lambda: bodies.times_begun(tmp_path) == 2, 40)
            bodies.release(tmp_path)
            assert await job == "released"
            assert job.attempt == 1
        else:
            await queue.wait_for_job(job, timeout=40)
            assert str(job.error).startswith(f"WorkerLost: {place} was lost: its process has ended")
            assert bodies.times_begun(tmp_path) == 1
        await until(lambda: not alive(child))


async def test_a_place_that_was_lost_while_idle_is_not_used_again() -> None:
    executor = RayExecutor(idle_seconds=60)
    async with JobQueue(executor=executor, max_running=1) as queue:
        first = queue.submit_nowait(pow, 2, 2)
        assert await asyncio.wait_for(first, 60) == 4
        place = actor_pid(first)
        os.kill(place, signal.SIGKILL)
        await until(lambda: not executor._leases or not executor._leases._leases, 60)  # Ray says so
        after = queue.submit_nowait(pow, 3, 2)
        assert await asyncio.wait_for(after, 60) == 9
        assert actor_pid(after) != place


async def until_beating_for_long(folder: Path) -> None:
    await until(lambda: bodies.beats(folder), 60)
    await until_beating(folder)


async def test_resources_are_asked_for_and_what_there_is_not_is_named(tmp_path: Path) -> None:
    async with JobQueue(executor=RayExecutor()) as queue:
        gpu = queue.options(resources={"num_gpus": 1}).submit_nowait(pow, 2, 2)
        special = queue.options(resources={"special": 1, "num_cpus": 0.5})
        jobs = [special.submit_nowait(work.until_released, str(tmp_path)) for _ in range(2)]
        await until_beating_for_long(tmp_path)
        await until(lambda: gpu.block_reason and jobs[1].block_reason)
        assert gpu.block_reason == "the Ray cluster has GPU=0, needs 1"
        assert jobs[1].block_reason == "needs special=1, 0 of 1 is free"
        bodies.release(tmp_path)
        assert [await job for job in jobs] == ["released"] * 2
        gpu.cancel()


@pytest.mark.parametrize("mebibytes", [1, 40])
async def test_large_arguments_and_results_travel(mebibytes: int) -> None:
    data = os.urandom(mebibytes * 1024 * 1024)
    async with JobQueue(executor=RayExecutor()) as queue:
        job = queue.submit_nowait(work.echo_bytes, data)
        assert await asyncio.wait_for(job, 100) == data[::-1]


async def test_places_are_given_back_when_the_queue_rests(ray: Any) -> None:
    async with JobQueue(executor=RayExecutor(idle_seconds=0.05)) as queue:
        assert await asyncio.wait_for(queue.submit_nowait(pow, 2, 2), 60) == 4
        whole = ray.cluster_resources()["CPU"]
        await until(lambda: ray.available_resources().get("CPU", 0) == whole, 40)


KERNEL = """
import asyncio, sys
import ray
from jobqueue_widget import JobQueue, RayExecutor
from tests.engines import work

ray.init(address=sys.argv[1], configure_logging=False, log_to_driver=False)


async def main():
    async with JobQueue(executor=RayExecutor()) as queue:
        await queue.submit_nowait(work.until_released, sys.argv[2])


asyncio.run(main())
"""


async def test_when_the_kernel_is_killed_its_jobs_end(ray: Any, tmp_path: Path) -> None:
    address = ray.get_runtime_context().gcs_address
    kernel = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KERNEL, address, str(tmp_path), cwd=Path(__file__).parents[2]
    )
    try:
        await until_beating_for_long(tmp_path)
    finally:
        kernel.kill()
        await kernel.wait()
    child = bodies.pids(tmp_path)[0]
    await until(lambda: not alive(child), 30)
    assert bodies.times_begun(tmp_path) == 1


SHUT_DOWN = """
import asyncio, os, signal, sys
from jobqueue_widget import JobQueue, RayExecutor
from tests.conditions import until
from tests.contract import bodies
from tests.engines import work
from tests.engines.ray_processes import start_ray

ray = start_ray()


async def main():
    async with JobQueue(executor=RayExecutor(), max_running=1) as queue:
        job = queue.submit_nowait(work.until_released, sys.argv[1])
        after = queue.submit_nowait(pow, 2, 2)
        await until(lambda: bodies.beats(sys.argv[1]), 60)
        if sys.argv[2] == "its process first":
            ray.is_initialized = lambda: False  # as while Ray ends its processes
            os.kill(bodies.pids(sys.argv[1])[0], signal.SIGKILL)
            await until(lambda: job.done)
        ray.shutdown()
        await until(lambda: job.done and after.block_reason)
        print(job.error, "|", after.block_reason)


asyncio.run(main())
"""


@pytest.mark.parametrize("order", ["as it comes", "its process first"])
def test_a_ray_that_is_shut_down_fails_what_ran_and_keeps_the_rest(
    tmp_path: Path, order: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHUT_DOWN, str(tmp_path), order],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    error, _, reason = done.stdout.partition(" | ")
    assert "WorkerLost" in error, done.stderr[-2000:]
    assert "Ray was shut down" in error
    assert "Ray is not connected" in reason


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"jobqueue_widget\[ray\]"):
        RayExecutor()


def test_a_ray_that_is_not_connected_is_refused(monkeypatch: pytest.MonkeyPatch, ray: Any) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(InvalidOptionError, match=r"call ray\.init"):
        RayExecutor()


@pytest.mark.parametrize("address", ["10.1.2.3:6379", "127.0.0.1:6379"])
def test_a_cluster_without_authentication_is_warned_of(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "_has_authentication", lambda: False)
    if address.startswith("127"):
        ray_executor._warn_without_authentication(address)
    else:
        with pytest.warns(ray_executor.RayWithoutAuthWarning, match="RAY_AUTH_MODE=token"):
            ray_executor._warn_without_authentication(address)
