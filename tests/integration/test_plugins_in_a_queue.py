"""A queue over our manager: cancelled for certain, told truly, and never in another's way."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import (
    Job,
    JobQueue,
    JobStatus,
    NotKept,
    PluginLoadWarning,
    PluginManager,
    QueueScheduler,
    SafetyScheduler,
    UnsendableValueError,
)
from jobqueue_widget.plugins.schedulers import ResourceScheduler
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.crash.processes import alive
from tests.own_manager import load, own_manager, own_manifest


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[PluginManager]:
    with own_manager(tmp_path, plugins=["toolbox", "plain"]) as manager:
        yield manager


def pid_of(manager: PluginManager) -> int | None:
    handle = manager.get_plugin("toolbox")
    return None if handle is None else handle.pid


@asynccontextmanager
async def at_work(queue: JobQueue, what: str, folder: Path) -> AsyncIterator[Job]:
    """A job of the toolbox is in its body inside."""
    path = folder / f"pid-{time.monotonic_ns()}"
    job = queue.submit_nowait("toolbox", what, path=str(path))
    await until(path.exists)
    yield job
    await asyncio.wait_for(queue.wait_for_job(job), 30)


# -- cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["sleep", "spin", "aware", "polite", "stubborn"])
async def test_a_cancelled_plugin_job_ends_and_the_next_one_runs(
    manager: PluginManager, what: str, tmp_path: Path, note: Callable[[str], None]
) -> None:
    before = pid_of(manager)
    events: list[str] = []
    async with JobQueue(manager, cancel_timeout=1.0) as queue:
        async with at_work(queue, what, tmp_path) as job:
            following = queue.submit_nowait("toolbox", "about")
            begun = time.monotonic()
            queue.subscribe(lambda event: events.append(event.type))
            assert job.cancel()
            assert job.cancel_phase == "asked"
        seconds = time.monotonic() - begun
        about = await asyncio.wait_for(following, 30)
        note(
            f"cancel of a plugin in {what}: ended after {seconds * 1e3:.0f} ms, the next job's "
            f"result after {(time.monotonic() - begun) * 1e3:.0f} ms"
        )
        forced = what in ("spin", "stubborn")
        assert (job.status, job.result) == (JobStatus.cancelled, None)
        assert job.partial_result == ("stopped by itself" if what == "aware" else None)
        assert ("cancel_forced" in events) is forced
        assert (about["pid"] != before) is forced
        assert before is not None
        assert alive(before) is not forced
        assert inspect(queue).faults.bugs == 0


async def test_force_ends_it_without_asking(manager: PluginManager, tmp_path: Path) -> None:
    before = pid_of(manager)
    async with JobQueue(manager, cancel_timeout=60) as queue:
        async with at_work(queue, "aware", tmp_path) as job:
            job.cancel(force=True)
        assert job.status is JobStatus.cancelled
        assert before is not None
        assert not alive(before)


async def test_a_cancel_of_the_plugin_that_outlasts_the_call_has_been_heard(
    manager: PluginManager, tmp_path: Path
) -> None:
    manager.update_plugin_config("toolbox", {"cancel": "waits"})
    async with JobQueue(manager, cancel_timeout=20) as queue:
        async with at_work(queue, "aware", tmp_path) as job:
            job.cancel()
        assert job.status is JobStatus.cancelled
        assert job.partial_result == "stopped by itself"


@pytest.mark.parametrize("how", ["hangs", "raises"])
async def test_a_cancel_of_the_plugin_that_fails_stops_nothing_else(
    manager: PluginManager, how: str, tmp_path: Path
) -> None:
    manager.update_plugin_config("toolbox", {"cancel": how})
    before = pid_of(manager)
    async with JobQueue(manager, cancel_timeout=20) as queue:
        async with at_work(queue, "sleep", tmp_path) as job:
            job.cancel()
        assert job.status is JobStatus.cancelled
        assert pid_of(manager) == before, "JobCancelled was raised in it"


async def test_a_forced_plugin_is_warm_again_with_its_configuration(
    manager: PluginManager, tmp_path: Path
) -> None:
    manager.update_plugin_config("toolbox", {"flavour": "sharp"})
    before = pid_of(manager)
    async with JobQueue(manager) as queue:
        async with at_work(queue, "spin", tmp_path) as job:
            job.cancel(force=True)
        await until(lambda: pid_of(manager) not in (None, before))
        await until(lambda: not any(one.busy for one in manager.loaded()))
        assert await queue.submit_nowait("toolbox", "config") == {"flavour": "sharp"}


async def test_a_job_that_waits_for_its_plugin_to_load_can_be_cancelled(tmp_path: Path) -> None:
    began = tmp_path / "began"
    with PluginManager(search_paths=[], data_dir=tmp_path) as manager:
        manifest = own_manifest("hangs", "HangsWhileLoading")
        assert manager.load_plugin(manifest, {"began": str(began)}, lazy=True)
        for force in (False, True):
            began.unlink(missing_ok=True)
            async with JobQueue(manager, cancel_timeout=20) as queue:
                job = queue.submit_nowait("hangs")
                await until(began.exists)
                assert job.phase == "starting"
                job.cancel(force=force)
                await asyncio.wait_for(queue.wait_for_job(job), 20)
                assert job.status is JobStatus.cancelled
            await until(lambda: not manager.loaded())


async def test_a_kill_that_crosses_the_end_never_ends_the_next_job(
    manager: PluginManager,
) -> None:
    async with JobQueue(manager) as queue:
        for number in range(30):
            first = queue.submit_nowait("toolbox", "echo", number)
            second = queue.submit_nowait("toolbox", "echo", -number)
            await until(lambda job=first: job.status is not JobStatus.pending)  # type: ignore[misc]
            first.cancel(force=number % 2 == 0)
            assert await asyncio.wait_for(second, 30) == -number
            assert first.done
        assert inspect(queue).faults.bugs == 0


async def test_a_stopped_queue_ends_its_jobs_and_leaves_the_plugins_loaded(
    manager: PluginManager, tmp_path: Path
) -> None:
    async with JobQueue(manager, cancel_timeout=0.2) as queue:
        async with at_work(queue, "stubborn", tmp_path) as job:
            await queue.stop(timeout=0.2)
        assert job.status is JobStatus.cancelled
    assert await manager.execute_plugin_async("toolbox", "echo", 1) == 1


# -- what a job tells ----------------------------------------------------------------------------


async def test_progress_is_pushed_and_the_last_report_is_kept(manager: PluginManager) -> None:
    async with JobQueue(manager, progress_poll_interval=1000) as queue:
        seen: list[float] = []
        queue.subscribe(lambda event: seen.append(queue[str(event.job_id)].progress))
        job = queue.submit_nowait("toolbox", "track", 50)
        await job
        assert job.status_message == "counting: 50/50"
        bar = queue.submit_nowait("toolbox", "bar", 20)
        assert await bar == 190
        assert bar.status_message.startswith("summing: 20/20")
        after = queue.submit_nowait("toolbox", "echo", 1)
        await after
        assert after.status_message == ""
        unknown = queue.submit_nowait("toolbox", "report", -1.0, "who knows")
        await unknown
        assert unknown.status_message == "who knows"


async def test_each_job_has_exactly_its_own_log(manager: PluginManager) -> None:
    async with JobQueue(manager) as queue:
        jobs = [
            queue.submit_nowait("toolbox", "say", f"job {n}", how)
            for n, how in enumerate(["print", "C", "write"] * 5)
        ]
        await queue.join(timeout=60)
        assert [job.logs() for job in jobs] == [f"job {n}\n" for n in range(15)]
        job = queue.submit_nowait("toolbox", "job")
        assert await job == [job.id, 1]
        assert job.logs() == "said through current_job\n"


async def test_an_error_in_a_plugin_is_told_as_in_a_function(manager: PluginManager) -> None:
    async with JobQueue(manager) as queue:
        job = queue.submit_nowait("toolbox", "fail")
        await queue.wait_for_job(job)
        assert job.error == "LookupError: as it was told"
        assert job.failure is not None
        assert "in do_fail" in job.failure.traceback
        died = queue.submit_nowait("toolbox", "kill", int(signal.SIGKILL))
        await queue.wait_for_job(died)
        assert "ended by SIGKILL (possibly out of memory)" in str(died.error)
        assert await queue.submit_nowait("toolbox", "echo", 1) == 1


async def test_what_cannot_be_sent_is_refused_at_submit(manager: PluginManager) -> None:
    async with JobQueue(manager) as queue:
        with pytest.raises(UnsendableValueError, match=r"args\[1\]\['lock'\] is a"):
            queue.submit_nowait("toolbox", "echo", {"lock": threading.Lock()})
        assert queue.jobs() == []
        value = [1]
        queue.pause()
        job = queue.submit_nowait("toolbox", "echo", value)
        value.append(2)
        queue.resume()
        assert await job == [1], "a snapshot, as of functions"


async def test_a_result_above_the_limit_is_not_kept(manager: PluginManager) -> None:
    async with JobQueue(manager, max_result_bytes=1000) as queue:
        job = queue.submit_nowait("toolbox", "zeros", 2000)
        await queue.wait_for_job(job)
        assert job.status is JobStatus.completed
        assert isinstance(job.result, NotKept)
        assert job.result.type == "bytes"
        assert (job.result.size or 0) >= 2000
        assert "more than max_result_bytes=1,000" in job.result.reason
        assert len(await queue.submit_nowait("toolbox", "zeros", 900)) == 900


async def test_a_plugin_that_is_not_there_fails_its_job(manager: PluginManager) -> None:
    with pytest.warns(PluginLoadWarning):
        load(manager, "never")
    manager.disable_plugin("plain")
    async with JobQueue(manager) as queue:
        for name, text in (
            ("nobody", "'nobody' is not loaded; there are: plain, toolbox"),
            ("never", "'never' is not loaded (FileNotFoundError: no model at /nowhere)"),
            ("plain", "'plain' is disabled"),
        ):
            job = queue.submit_nowait(name)
            await queue.wait_for_job(job)
            assert job.status is JobStatus.failed
            assert text in str(job.error)


async def test_a_plugin_that_cannot_be_configured_fails_its_job_and_no_other(
    manager: PluginManager, tmp_path: Path
) -> None:
    async with JobQueue(manager) as queue:
        path = tmp_path / "pid"
        busy = queue.submit_nowait("toolbox", "stubborn", path=str(path))
        await until(path.exists)
        manager.update_plugin_config("toolbox", {"flavour": "impossible"})
        (tmp_path / "pid.released").touch()
        assert await busy == "released"
        job = queue.submit_nowait("toolbox", "echo")
        await queue.wait_for_job(job)
        assert "could not be configured: ValueError: there is no such flavour" in str(job.error)
        manager.update_plugin_config("toolbox", {"flavour": "sharp"})
        assert await queue.submit_nowait("toolbox", "config") == {"flavour": "sharp"}


async def test_unloading_a_plugin_ends_its_jobs(manager: PluginManager, tmp_path: Path) -> None:
    async with JobQueue(manager) as queue:
        async with at_work(queue, "stubborn", tmp_path) as job:
            await asyncio.to_thread(manager.unload_plugin, "toolbox")
        assert job.status is JobStatus.failed
        assert "was unloaded" in str(job.error)


# -- several -------------------------------------------------------------------------------------


async def test_two_queues_never_harm_each_other_s_jobs(
    manager: PluginManager, tmp_path: Path
) -> None:
    async with JobQueue(manager, name="a") as a, JobQueue(manager, name="b") as b:
        async with at_work(a, "stubborn", tmp_path) as mine:
            theirs = b.submit_nowait("toolbox", "echo", "from b")
            other = b.submit_nowait("plain", 1)
            assert await asyncio.wait_for(other, 30) == ["plain", 1], "another plugin may pass"
            assert theirs.block_reason == "plugin 'toolbox' is busy with job 'toolbox' of queue a"
            await b.stop()
            assert not mine.done
            await b.start()
            mine.cancel(force=True)
        assert await asyncio.wait_for(theirs, 30) == "from b"
        assert mine.status is JobStatus.cancelled


async def test_a_plugin_with_workers_runs_as_many_jobs(tmp_path: Path) -> None:
    folder = tmp_path / "together"
    folder.mkdir()
    with own_manager(tmp_path, plugins=["toolbox"], workers=2) as manager:
        async with JobQueue(manager, max_running=4) as queue:
            jobs = [queue.submit_nowait("toolbox", "together", str(folder), 2) for _ in range(2)]
            assert len({await asyncio.wait_for(job, 30) for job in jobs}) == 2
            async with at_work(queue, "stubborn", tmp_path) as one:
                async with at_work(queue, "stubborn", tmp_path) as two:
                    third = queue.submit_nowait("toolbox", "echo", 3)
                    await until(lambda: third.block_reason)
                    two.cancel(force=True)
                assert await asyncio.wait_for(third, 30) == 3
                one.cancel(force=True)


async def test_jobs_start_and_end_while_the_loop_is_blocked(
    manager: PluginManager, tmp_path: Path
) -> None:
    async with JobQueue(manager) as queue:
        path = tmp_path / "pid"
        jobs = [queue.submit_nowait("toolbox", "stubborn", str(path))]
        await until(path.exists)
        jobs += [queue.submit_nowait("toolbox", "echo", n) for n in range(4)]
        (tmp_path / "pid.released").touch()
        deadline = time.monotonic() + 20
        while not all(job.done for job in jobs) and time.monotonic() < deadline:
            time.sleep(0.01)  # noqa: ASYNC251 - a cell that blocks
        assert [job.status for job in jobs] == [JobStatus.completed] * 5


# -- schedulers ----------------------------------------------------------------------------------

MEMORY = {"min_system_ram_mb": 1000}


class Scripted:
    """A system monitor that says what the test tells it."""

    def __init__(self, free: float) -> None:
        self.free = free

    def execute(self, what: str) -> dict[str, float]:
        assert what == "get_system_status"
        return {"memory_available_mb": self.free}


async def test_a_job_waits_for_the_scheduler_and_then_runs(tmp_path: Path) -> None:
    scheduler = QueueScheduler(poll_interval=0.01)
    with own_manager(tmp_path, scheduler, ["toolbox"], resources=MEMORY) as manager:
        monitor = Scripted(10)
        manager.register_system_monitor(monitor)
        async with JobQueue(manager, cancel_timeout=60) as queue:
            job = queue.submit_nowait("toolbox", "echo", 1)
            await until(lambda: job.phase == "waiting for resources")
            job.cancel()
            await asyncio.wait_for(queue.wait_for_job(job), 5)
            assert job.status is JobStatus.cancelled, "nothing runs: it ends at once"
            job = queue.submit_nowait("toolbox", "echo", 2)
            await until(lambda: job.phase == "waiting for resources")
            monitor.free = 2000
            assert await asyncio.wait_for(job, 30) == 2
        assert scheduler.get_active_plugins() == set()


async def test_a_job_that_the_scheduler_refuses_fails_and_says_why(tmp_path: Path) -> None:
    with own_manager(tmp_path, SafetyScheduler(), ["toolbox"], resources=MEMORY) as manager:
        manager.register_system_monitor(Scripted(10))
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait("toolbox", "echo", 1)
            await queue.wait_for_job(job)
            assert str(job.error) == (
                "PluginBlockedError: plugin 'toolbox' may not start: needs 1,000 MiB RAM, 10 free"
            )


class Watched(ResourceScheduler):
    """Written as for the reference: what it is told must be in pairs."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def allocate(self, plugin_meta: Any, stats_provider: Callable[[], Any]) -> bool:
        self.told.append(f"allocate {plugin_meta.name}")
        return True

    def on_execution_start(self, plugin_name: str) -> None:
        self.told.append("start")

    def on_execution_finish(self, plugin_name: str) -> None:
        self.told.append("finish")


async def test_a_scheduler_of_the_user_is_told_of_every_run(tmp_path: Path) -> None:
    scheduler = Watched()
    once = ["allocate toolbox", "start", "finish"]
    with own_manager(tmp_path, scheduler, ["toolbox"]) as manager:
        manager.execute_plugin("toolbox", "echo")
        await manager.execute_plugin_async("toolbox", "echo")
        assert [p async for p in manager.execute_plugin_stream("toolbox", "count", 1)]
        assert scheduler.told == once * 3
        scheduler.told.clear()
        async with JobQueue(manager) as queue:
            await queue.submit_nowait("toolbox", "echo")
            await queue.wait_for_job(queue.submit_nowait("toolbox", "fail"))
            await queue.wait_for_job(queue.submit_nowait("toolbox", "exit", 1))
            async with at_work(queue, "spin", tmp_path) as job:
                job.cancel(force=True)
        assert scheduler.told == once * 4


async def test_a_scheduler_that_blocks_or_raises_hurts_its_own_job_only(tmp_path: Path) -> None:
    over = threading.Event()

    class Odd(Watched):
        def allocate(self, plugin_meta: Any, stats_provider: Callable[[], Any]) -> bool:
            if plugin_meta.name == "toolbox":
                over.wait(30)
                return True
            raise LookupError("no idea")

    with own_manager(tmp_path, Odd(), ["toolbox", "plain"]) as manager:
        async with JobQueue(manager, max_running=2, cancel_timeout=0.1) as queue:
            stuck = queue.submit_nowait("toolbox", "echo")
            await until(lambda: stuck.phase == "waiting for resources")
            failed = queue.submit_nowait("plain", 1)
            await queue.wait_for_job(failed)
            assert failed.error == "LookupError: no idea"
            stuck.cancel()
            await asyncio.wait_for(queue.wait_for_job(stuck), 10)
            assert stuck.status is JobStatus.cancelled
        over.set()


async def test_idle_plugins_on_the_gpu_make_room_oldest_first(tmp_path: Path) -> None:
    needs = {"requires_gpu": True, "min_gpu_vram_mb": 1000}
    plugins = ["workload", "plain", "toolbox"]
    with own_manager(tmp_path, SafetyScheduler(), plugins, resources=needs) as manager:

        class Gpu:
            def execute(self, what: str) -> dict[str, float]:
                return {"gpu_free_memory_mb": 2000 - 500 * len(manager.loaded())}

        manager.register_system_monitor(Gpu())
        assert manager.execute_plugin("toolbox", "echo", 1) == 1
        assert [one.name for one in manager.loaded()] == ["plain", "toolbox"], "workload was first"
        assert await manager.execute_plugin_async("workload", "config") == {"flavour": "plain"}
