"""Any plugin host: what it does wrong hurts its own job only, is bounded and is told."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import InvalidTargetError, Job, JobQueue, JobStatus
from jobqueue_widget.compat.cjm import executor as plugin_module
from jobqueue_widget.compat.cjm import reports as plugin_reports
from jobqueue_widget.testing import FakePluginHost, inspect
from tests.conditions import until
from tests.contract import bodies
from tests.contract.hosts import (
    AsyncHost,
    HostWithProcesses,
    HostWithScheduler,
    Incomparable,
    InlineHost,
    MinimalHost,
    NamesItsOwn,
    StubbornHost,
    UnwellHost,
    raises,
)
from tests.contract.subjects import until_beating
from tests.crash.processes import alive
from tests.reference import reference_manager

TICK = 0.01
LAG = 0.5  # seconds that a queue's loop may be late, whatever its host does


@pytest.fixture(params=[UnwellHost, AsyncHost], ids=["plain calls", "coroutines"])
def host(request: pytest.FixtureRequest) -> Iterator[UnwellHost]:
    host: UnwellHost = request.param()
    yield host
    host.over.set()


@pytest.fixture
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that reach a bound: what is said about it holds for any."""
    monkeypatch.setattr(plugin_reports, "ASIDE_PATIENCE", 0.3)
    monkeypatch.setattr(plugin_module, "LEAVE_PATIENCE", 0.3)


@pytest.fixture
def no_patience(little_patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what is told when nothing helps."""
    monkeypatch.setattr(plugin_module, "CANCEL_PATIENCE", 0.3)
    monkeypatch.setattr(plugin_module, "RELOAD_PATIENCE", 0.3)


@asynccontextmanager
async def prompt_loop() -> AsyncIterator[None]:
    """The loop of this test is never late inside.

    A thread beside it counts the time: when the whole machine stands still, so does the count.
    """
    ticks = seen = 0
    stacks: list[str] = []
    over = threading.Event()
    here = threading.get_ident()

    def count() -> None:
        nonlocal ticks
        while not over.wait(TICK):
            ticks += 1
            if (ticks - seen) * TICK > LAG:
                stack = traceback.format_stack(sys._current_frames()[here])
                stacks.append("".join(stack[-6:]))
                return

    async def show() -> None:
        nonlocal seen
        while True:
            seen = ticks
            await asyncio.sleep(TICK)

    counting = threading.Thread(target=count, name="ticks", daemon=True)
    showing = asyncio.create_task(show())
    await asyncio.sleep(0)
    counting.start()
    try:
        yield
    finally:
        over.set()
        counting.join()
        showing.cancel()
        await asyncio.wait({showing})
    assert not stacks, f"the loop was {LAG} s late, at:\n{stacks[0]}"


@asynccontextmanager
async def neighbour(queue: JobQueue, folder: Path) -> AsyncIterator[None]:
    """A job of the other plugin is at work inside, and ends well."""
    place = folder / "neighbour"
    place.mkdir()
    job = queue.submit_nowait("two", "ignore", str(place))
    await until_beating(place)
    yield
    await until_beating(place)
    bodies.release(place)
    assert await asyncio.wait_for(job, 20) == "released"


async def at_work(queue: JobQueue, folder: Path, body: str = "ignore") -> Job:
    job = queue.submit_nowait("one", body, str(folder))
    await until_beating(folder)
    return job


def threads_that_ask() -> int:
    return sum(one.name == "plugin-aside" for one in threading.enumerate())


# -- cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mood", ["ValueError", "Unspeakable", "SystemExit", "CancelledError", "hang"]
)
async def test_a_cancel_that_fails_or_hangs_is_followed_by_force(
    host: UnwellHost, mood: str, tmp_path: Path
) -> None:
    host.moods["cancel"] = host.hang if mood == "hang" else raises(mood)
    async with JobQueue(host, cancel_timeout=0.2, max_running=2) as queue, prompt_loop():
        async with neighbour(queue, tmp_path):
            job = await at_work(queue, tmp_path)
            job.cancel()
            await queue.wait_for_job(job, timeout=20)
            assert job.status is JobStatus.cancelled
            assert [name for name, _ in host.reloads] == ["one"]
            count = bodies.beats(tmp_path)
            assert await queue.submit_nowait("one", "echo", "next") == "next"
            assert bodies.beats(tmp_path) == count
        assert inspect(queue).faults.bugs == 0


async def test_a_plugin_that_listens_is_not_reloaded(host: UnwellHost, tmp_path: Path) -> None:
    async with JobQueue(host, cancel_timeout=20) as queue:
        job = await at_work(queue, tmp_path, "listen")
        job.cancel()
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.cancelled
        assert host.reloads == []


async def test_a_plugin_that_blocks_its_host_is_asked_all_the_same(tmp_path: Path) -> None:
    host = InlineHost()
    async with JobQueue(host, cancel_timeout=20, max_running=2) as queue, prompt_loop():
        job = await at_work(queue, tmp_path, "listen")
        assert await queue.submit_nowait(asyncio.sleep, 0, "meanwhile") == "meanwhile"
        job.cancel()
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.cancelled


# -- progress and configuration ------------------------------------------------------------------


@pytest.mark.usefixtures("little_patience")
@pytest.mark.parametrize(
    "mood", ["ValueError", "Unspeakable", "SystemExit", "CancelledError", "hang"]
)
@pytest.mark.parametrize("call", ["get_progress", "get_current_config"])
async def test_a_question_that_fails_or_hangs_hurts_nothing(
    host: UnwellHost, call: str, mood: str, tmp_path: Path
) -> None:
    host.moods[call] = host.hang if mood == "hang" else raises(mood)
    settings: dict[str, Any] = {"progress_poll_interval": 0.02, "max_running": 2}
    async with JobQueue(host, **settings) as queue, prompt_loop(), neighbour(queue, tmp_path):
        job = await at_work(queue, tmp_path)
        bodies.release(tmp_path)
        assert await asyncio.wait_for(job, 20) == "released"
        assert job.status_message == ""


@pytest.mark.parametrize(
    "answer",
    [None, "half", 7, {}, {"progress": "half"}, {"progress": Incomparable(), "message": 3}],
    ids=str,
)
async def test_rubbish_instead_of_progress_hurts_nothing(
    host: UnwellHost, answer: object, tmp_path: Path
) -> None:
    host.moods["get_progress"] = lambda: answer
    async with JobQueue(host, progress_poll_interval=0.01) as queue:
        job = await at_work(queue, tmp_path)
        bodies.release(tmp_path)
        assert await asyncio.wait_for(job, 20) == "released"


@pytest.mark.usefixtures("little_patience")
async def test_a_question_that_hangs_is_not_asked_again_and_again(tmp_path: Path) -> None:
    host = UnwellHost()
    host.moods["get_progress"] = host.hang
    async with JobQueue(host, progress_poll_interval=0.01) as queue:
        for _ in range(5):
            await asyncio.wait_for(queue.submit_nowait("one", "echo"), 20)
        await until(lambda: threads_that_ask() == 1)
        host.over.set()
        del host.moods["get_progress"]
        await until(lambda: threads_that_ask() == 0)
        job = queue.submit_nowait("one", "report_and_fail", "fine")
        await queue.wait_for_job(job, timeout=20)
        assert job.progress == 0.25, "it is asked once it answers"


# -- reload --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mood", ["False", "ValueError", "Unspeakable", "SystemExit"])
async def test_a_reload_that_fails_is_told_and_the_lane_stays_taken(
    host: UnwellHost, mood: str, tmp_path: Path
) -> None:
    host.moods["reload_plugin"] = (lambda: False) if mood == "False" else raises(mood)
    async with JobQueue(host) as queue, prompt_loop():
        job = await at_work(queue, tmp_path)
        following = queue.submit_nowait("one", "echo", "next")
        job.cancel(force=True)
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.failed
        assert "could not be ended: the plugin could not be reloaded" in str(job.error)
        assert mood in str(job.error)
        await until_beating(tmp_path)
        assert following.status is JobStatus.pending, "the work is still there"
        del host.moods["reload_plugin"]
        bodies.release(tmp_path)
        assert await asyncio.wait_for(following, 20) == "next"
        assert len(host.reloads) == 2, "and it ran on a fresh worker"
        assert inspect(queue).faults.bugs == 0


@pytest.mark.usefixtures("no_patience")
async def test_a_reload_that_hangs_is_told(host: UnwellHost, tmp_path: Path) -> None:
    host.moods["reload_plugin"] = host.hang
    async with JobQueue(host, max_running=2) as queue, prompt_loop():
        async with neighbour(queue, tmp_path):
            job = await at_work(queue, tmp_path)
            job.cancel(force=True)
            await queue.wait_for_job(job, timeout=20)
            assert "could not be ended: reload_plugin did not return" in str(job.error)
        bodies.release(tmp_path)
        await until(lambda: not inspect(queue).alive.executions)
        assert inspect(queue).faults.bugs == 0


async def test_a_slow_reload_holds_up_nobody_else(host: UnwellHost, tmp_path: Path) -> None:
    def slow() -> object:
        time.sleep(1.0)
        del host.moods["reload_plugin"]
        return host.reload_plugin("one", "fresh")

    host.moods["reload_plugin"] = slow
    async with JobQueue(host, max_running=2) as queue, prompt_loop():
        job = await at_work(queue, tmp_path)
        following = queue.submit_nowait("one", "echo", "next")
        job.cancel(force=True)
        async with neighbour(queue, tmp_path):
            assert following.status is JobStatus.pending
        assert await asyncio.wait_for(following, 20) == "next"
        assert job.status is JobStatus.cancelled


@pytest.mark.usefixtures("no_patience")
async def test_a_host_that_goes_on_after_the_reload_is_told_of(tmp_path: Path) -> None:
    host = StubbornHost()
    async with JobQueue(host) as queue, prompt_loop():
        job = queue.submit_nowait("one")
        await until(lambda: job.status is JobStatus.running and job.phase is None)
        job.cancel(force=True)
        await queue.wait_for_job(job, timeout=20)
        assert "could not be ended: its worker was replaced, but" in str(job.error)
        host.over.set()
        await until(lambda: not inspect(queue).alive.executions)
        assert inspect(queue).faults.bugs == 0


async def test_a_cancel_while_a_plugin_is_being_healed_ends_at_once(
    host: UnwellHost, tmp_path: Path
) -> None:
    host.moods["reload_plugin"] = lambda: False
    async with JobQueue(host, max_running=2) as queue, prompt_loop():
        broken = await at_work(queue, tmp_path)
        broken.cancel(force=True)
        await queue.wait_for_job(broken, timeout=20)
        host.moods["reload_plugin"] = host.hang
        bodies.release(tmp_path)
        healing = queue.submit_nowait("one", "echo", "never")
        await until(lambda: len(host.reloads) == 2)
        following = queue.submit_nowait("one", "echo", "next")
        healing.cancel()
        await queue.wait_for_job(healing, timeout=20)
        assert healing.status is JobStatus.cancelled
        assert following.status is JobStatus.pending, "the plugin is still being reloaded"
        del host.moods["reload_plugin"]
        host.over.set()
        assert await asyncio.wait_for(following, 20) == "next"


async def test_the_configuration_from_before_the_run_is_used_at_the_reload(
    host: UnwellHost, tmp_path: Path
) -> None:
    host.reload_plugin("one", {"flavour": "sharp"})
    async with JobQueue(host) as queue:
        await queue.submit_nowait("one", "echo")
        host.moods["get_current_config"] = raises("ValueError")  # as a busy worker
        job = await at_work(queue, tmp_path)
        job.cancel(force=True)
        await queue.wait_for_job(job, timeout=20)
        assert host.reloads[1:] == [("one", {"flavour": "sharp"})]


# -- a plugin that shows its process -------------------------------------------------------------


@pytest.mark.usefixtures("little_patience")
@pytest.mark.parametrize("answer", [True, False], ids=["reloads", "does not reload"])
async def test_the_process_group_of_a_plugin_is_ended_before_the_reload(
    answer: bool, tmp_path: Path
) -> None:
    host = HostWithProcesses()
    host.start_process("one")
    host.moods["reload_plugin"] = lambda: answer
    async with JobQueue(host) as queue, prompt_loop():
        job = await at_work(queue, tmp_path)
        job.cancel(force=True)
        await until(lambda: host.reloads)
        assert host.alive_at_reload == []
        assert not any(alive(one.pid) for one in host.family)
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.cancelled
        if answer:
            assert job.failure is None
        else:
            assert "PluginNotReloaded" in str(job.failure), "it is no clean cancel"
            assert "reload_plugin returned False" in job.logs()
            after = queue.submit_nowait("one", "echo")
            await queue.wait_for_job(after, timeout=20)
            assert str(after.error).startswith("PluginBroken")
        bodies.release(tmp_path)  # the fake's work is no part of the process that it shows


async def test_a_worker_that_died_before_the_first_job_is_healed(tmp_path: Path) -> None:
    with reference_manager(tmp_path, plugins=["workload"]) as manager:
        process = manager.get_plugin("workload").process
        process.kill()
        process.wait()
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait("workload", "config")
            assert await asyncio.wait_for(job, 30) == {"flavour": "plain"}


# -- waiting for resources -----------------------------------------------------------------------


@pytest.mark.parametrize("force", [False, True], ids=["asked", "forced"])
async def test_a_job_that_waits_for_resources_ends_at_once_and_reloads_nothing(
    force: bool, tmp_path: Path
) -> None:
    host = HostWithScheduler()
    async with JobQueue(host, cancel_timeout=20) as queue:
        job = queue.submit_nowait("one", "ignore", str(tmp_path))
        await until(lambda: job.phase == "waiting for resources")
        job.cancel(force=force)
        await queue.wait_for_job(job, timeout=5)
        assert job.status is JobStatus.cancelled
        queue.options(label="after").submit_nowait("one", "echo", 1)
        await until(lambda: queue["after"].phase == "waiting for resources")
        host.make_room()
        assert await asyncio.wait_for(queue["after"], 20) == 1
    assert host.reloads == []
    assert bodies.times_begun(tmp_path) == 0
    assert host.scheduler.started == ["one"]


@pytest.mark.parametrize("force", [False, True], ids=["asked", "forced"])
async def test_a_job_that_waits_in_the_reference_manager_ends_at_once(
    force: bool, tmp_path: Path
) -> None:
    needs = {"min_system_ram_mb": 10**9}
    names = ("workload", "monitor")
    with reference_manager(tmp_path, "QueueScheduler", names, resources=needs) as manager:
        manager.register_system_monitor("monitor")
        process = manager.get_plugin("workload").process
        async with JobQueue(manager, cancel_timeout=20) as queue, prompt_loop():
            job = queue.submit_nowait("workload", "sleep")
            await until(lambda: job.phase == "waiting for resources")
            job.cancel(force=force)
            await queue.wait_for_job(job, timeout=5)
            assert job.status is JobStatus.cancelled
        assert manager.get_plugin("workload").process is process
        assert process.poll() is None


@pytest.mark.usefixtures("no_patience")
async def test_a_host_that_blocks_while_it_waits_is_told_of(tmp_path: Path) -> None:
    host = HostWithScheduler()
    host.moods["wait"] = host.hang
    async with JobQueue(host) as queue, prompt_loop():
        job = queue.submit_nowait("one", "echo")
        await until(lambda: job.phase == "waiting for resources")
        job.cancel(force=True)
        await queue.wait_for_job(job, timeout=20)
        assert "could not be ended: its host does not stop waiting" in str(job.error)
        host.over.set()
        await until(lambda: not inspect(queue).alive.executions)


@pytest.mark.parametrize("kind", ["of its class", "its own"])
async def test_the_scheduler_of_a_host_is_as_before_when_the_queue_has_stopped(kind: str) -> None:
    host = HostWithScheduler()
    host.make_room()
    if kind == "its own":
        vars(host.scheduler)["on_execution_start"] = host.scheduler.started.append
    before = host.scheduler.on_execution_start
    async with JobQueue(host) as queue:
        await asyncio.wait_for(queue.submit_nowait("one", "echo"), 20)
        assert host.scheduler.on_execution_start != before
    assert host.scheduler.on_execution_start == before
    assert host.scheduler.started == ["one"]


# -- two queues, and what a host may lack --------------------------------------------------------


async def test_two_queues_never_run_one_plugin_at_once_nor_end_each_other_s_jobs(
    host: UnwellHost, tmp_path: Path
) -> None:
    a, b = JobQueue(host, name="a"), JobQueue(host, name="b", max_running=2)
    async with a, b, neighbour(b, tmp_path):
        mine = await at_work(a, tmp_path)
        theirs = b.submit_nowait("one", "echo", "from b")
        await until(lambda: theirs.block_reason)
        assert theirs.block_reason == "plugin 'one' is busy with job 'one' of queue a"
        mine.cancel(force=True)
        assert await asyncio.wait_for(theirs, 20) == "from b"
        assert mine.status is JobStatus.cancelled
    assert [name for name, _ in host.reloads] == ["one"]


async def test_a_kill_that_crosses_the_end_never_ends_the_next_job(tmp_path: Path) -> None:
    host = UnwellHost()
    async with JobQueue(host) as queue:
        for number in range(100):
            first = queue.submit_nowait("one", "echo", number)
            second = queue.submit_nowait("one", "echo", -number)
            await until(lambda job=first: job.status is not JobStatus.pending)  # type: ignore[misc]
            first.cancel(force=True)
            assert await asyncio.wait_for(second, 20) == -number
        assert inspect(queue).faults.bugs == 0


async def test_three_calls_are_enough(tmp_path: Path) -> None:
    async with JobQueue(MinimalHost(one=bodies.in_plugin)) as queue:
        assert await asyncio.wait_for(queue.submit_nowait("one", "echo", 1), 20) == 1
        job = await at_work(queue, tmp_path)
        assert job.logs() == ""
        job.cancel(force=True)
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.cancelled


async def test_a_keyword_that_the_host_names_itself_is_refused() -> None:
    async with JobQueue(NamesItsOwn(one=bodies.in_plugin)) as queue:
        with pytest.raises(InvalidTargetError, match="plugin_name="):
            queue.options().submit_nowait("one", "echo", plugin_name=1)
        assert queue.jobs() == []
    async with JobQueue(FakePluginHost(one=lambda plugin, /, **named: named)) as queue:
        job = queue.options().submit_nowait("one", plugin_name=1, plugin=2, target=3)
        assert await asyncio.wait_for(job, 20) == {"plugin_name": 1, "plugin": 2, "target": 3}
