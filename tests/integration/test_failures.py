"""What a failure is, asked of real workers: functions, threads, plugins, deaths, journals."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobqueue_widget import JobQueue
from jobqueue_widget.errors import JobFailedError, PluginFailedError
from jobqueue_widget.testing import machine_with
from tests.failures import CASES, CUDA, DEATHS, failing_manager, told
from tests.resources import Machine

pytestmark = pytest.mark.timeout(120)


def run(source: str) -> None:
    exec(source, {})


@pytest.mark.parametrize("executor", ["process", "thread"])
async def test_a_function_that_fails_says_what_kind_of_failure_it_is(executor: str) -> None:
    async with JobQueue(max_running=2) as queue:
        run_one = queue.options(executor=executor).submit_nowait
        jobs = {name: run_one(run, case.source) for name, case in CASES.items()}
        await queue.join(timeout=100)
        found = {name: told(job.failure) for name, job in jobs.items()}
        assert found == {name: case[1:] for name, case in CASES.items()}


async def test_a_worker_that_died_says_so_too() -> None:
    async with JobQueue(max_running=2) as queue:
        jobs = {name: queue.submit_nowait(run, case.source) for name, case in DEATHS.items()}
        await queue.join(timeout=100)
        found = {name: told(job.failure) for name, job in jobs.items()}
        assert found == {name: case[1:] for name, case in DEATHS.items()}


async def test_a_plugin_that_fails_says_so_too(tmp_path: Path) -> None:
    with failing_manager(tmp_path, "failing") as manager:
        async with JobQueue(manager) as queue:
            every = CASES | DEATHS
            jobs = {
                name: queue.submit_nowait("failing", case.source) for name, case in every.items()
            }
            await queue.join(timeout=100)
            found = {name: told(job.failure) for name, job in jobs.items()}
            assert found == {name: case[1:] for name, case in every.items()}


async def test_who_lets_a_failure_through_has_failed_likewise(tmp_path: Path) -> None:
    with failing_manager(tmp_path, "failing") as manager:
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait("failing", CASES["torch"].source)
            with pytest.raises(JobFailedError) as failed:
                await job
            assert (failed.value.category, failed.value.retriable) == ("resource", True)

            def call() -> None:
                manager.execute_plugin("failing", CASES["torch"].source)

            outer = queue.options(executor="thread").submit_nowait(call)
            await queue.wait_for_job(outer, timeout=30)
            assert outer.failure is not None
            assert isinstance(outer.failure.exception, PluginFailedError)
            assert told(outer.failure) == CASES["torch"][1:]


async def test_a_plugin_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    full = tmp_path / "full"
    fails = f"import os\nif os.path.exists({str(full)!r}): raise RuntimeError({CUDA!r})"
    with failing_manager(tmp_path, "failing", config={"initialize": fails}) as manager:
        async with JobQueue(manager) as queue:
            full.touch()
            await queue.wait_for_job(queue.submit_nowait("failing", DEATHS["kill -9"].source))
            job = queue.submit_nowait("failing", "pass")
            await queue.wait_for_job(job, timeout=30)
            assert job.failure is not None
            assert job.failure.type_name == "PluginLoadError"
            assert told(job.failure) == ("resource", True, {"gpu_mib": 1200.0}, None)


async def test_what_this_machine_will_never_have_says_how_much_is_missing() -> None:
    with machine_with(Machine(ram=1_000.0, gpus=(8_000.0,), cpus=4)):
        async with JobQueue() as queue:
            for asked, missing in (
                ({"ram_mib": 1_500}, {"ram_mib": 500.0}),
                ({"gpu_mib": 8_400, "ram_mib": 10}, {"gpu_mib": 400.0}),
                ({"cpus": 6}, {"cpus": 2.0}),
                ({"gpus": 3}, {"gpus": 2.0}),
            ):
                job = queue.options(resources=asked).submit_nowait(run, "pass")
                await queue.wait_for_job(job, timeout=30)
                assert told(job.failure) == ("resource", False, missing, None)


async def test_a_time_limit_is_transient() -> None:
    async with JobQueue() as queue:
        job = queue.options(timeout=0.2).submit_nowait(run, "import time; time.sleep(60)")
        await queue.wait_for_job(job, timeout=30)
        assert told(job.failure) == ("transient", True, None, None)


async def test_a_restart_keeps_what_a_failure_was(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with JobQueue(journal=path) as queue:
        jobs = {name: queue.submit_nowait(run, case.source) for name, case in CASES.items()}
        await queue.join(timeout=100)
        ids = {name: job.id for name, job in jobs.items()}
    await queue.close()
    async with JobQueue(journal=path) as again:
        restored = {name: again.get_job(job_id) for name, job_id in ids.items()}
        found = {name: job and told(job.failure) for name, job in restored.items()}
        assert found == {name: case[1:] for name, case in CASES.items()}
    await again.close()
