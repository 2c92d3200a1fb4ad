"""Nothing that a cancelled or failed call of a plugin has started outlives it; helpers stay."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue_widget import JobQueue, JobStatus, PluginFailedError, PluginManager
from jobqueue_widget.workers.cleanup import has_started_since
from tests.conditions import until
from tests.crash.processes import alive, all_below, wait_until
from tests.own_manager import own_manifest
from tests.reference import PLUGINS

SOON = 20.0  # also for what a cancelled call leaves: a slow machine must not force it
KINDS = (
    "popen",
    "new session",
    "no environment",
    "daemon",
    "pipeline",
    "stubborn",
    "stopped",
    "fork",
    "multiprocessing",
    "spawned",
    "fork server",
    "thread pool",
    "shell system",
)
PROCESSES = {"thread pool": 2, "pipeline": 4, "shell system": 2}  # a shell, and its commands


@contextmanager
def starter(folder: Path, name: str = "Starter", helper: str = "process") -> Iterator[Any]:
    """A manager with this plugin, which has its helper."""
    manifest = own_manifest("starter", name, module="starter", config_schema=None)
    with PluginManager(search_paths=[], data_dir=folder) as manager:
        assert manager.load_plugin(manifest, {"helper": helper})
        yield manager


def worker_of(manager: PluginManager) -> int:
    handle = manager.get_plugin("starter")
    assert handle is not None
    assert handle.pid is not None
    return handle.pid


def family_of(manager: PluginManager) -> set[int]:
    """What is alive below its worker, but for what removes shared memory after it."""
    found = set()
    for pid in all_below(worker_of(manager)):
        with contextlib.suppress(psutil.NoSuchProcess):
            if alive(pid) and "resource_tracker" not in " ".join(psutil.Process(pid).cmdline()):
                found.add(pid)
    return found


def begun(manager: PluginManager, helpers: set[int], kind: str, mark: Path) -> set[int]:
    """What a call has started, once all of it is there."""
    wait_until(mark.exists, SOON)
    count = PROCESSES.get(kind, 1)
    wait_until(lambda: len(family_of(manager) - helpers) >= count, SOON)
    return family_of(manager) - helpers


# -- the table -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["cancelled", "timed out", "own cancel", "looked", "swallowed"])
async def test_what_a_stopped_call_started_is_gone_when_its_end_is_told(
    end: str, kind: str, tmp_path: Path
) -> None:
    name = "Cancellable" if end == "own cancel" else "Starter"
    then = {"own cancel": "until cancel", "looked": "look", "swallowed": "swallow"}.get(
        end, "sleep"
    )
    with starter(tmp_path, name) as manager:
        pid, helpers = worker_of(manager), family_of(manager)
        assert len(helpers) == 1
        async with JobQueue(manager, cancel_timeout=SOON) as queue:
            limits = {"timeout": 1.0} if end == "timed out" else {}
            target = queue.options(**limits) if limits else queue
            mark = tmp_path / "begun"
            job = target.submit_nowait("starter", kind, then, str(mark))
            started = await asyncio.to_thread(begun, manager, helpers, kind, mark)
            following = queue.submit_nowait("starter")
            if not limits:
                job.cancel()
            await queue.wait_for_job(job, timeout=SOON)
            assert not any(map(alive, started)), "told before it was gone"
            assert family_of(manager) == helpers, "the helper is the plugin's, and nothing else"
            assert job.status is (JobStatus.failed if limits else JobStatus.cancelled)
            assert await following == pid, "in the same worker, at once"
            assert "ended with this call" in job.logs()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("then", ["raise", "exit"])
async def test_what_a_failed_call_started_is_gone_when_its_end_is_told(
    then: str, kind: str, tmp_path: Path
) -> None:
    with starter(tmp_path) as manager:
        pid, helpers = worker_of(manager), family_of(manager)
        async with JobQueue(manager, cancel_timeout=SOON) as queue:
            job = queue.submit_nowait("starter", kind, then)
            following = queue.submit_nowait("starter")
            await queue.wait_for_job(job, timeout=SOON)
            assert job.status is JobStatus.failed
            assert family_of(manager) == helpers
            assert await following == pid


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_forced_call_started_is_gone_when_its_end_is_told(
    kind: str, tmp_path: Path
) -> None:
    with starter(tmp_path) as manager:
        pid, helpers = worker_of(manager), family_of(manager)
        async with JobQueue(manager, cancel_timeout=0.1) as queue:
            mark = tmp_path / "begun"
            job = queue.submit_nowait("starter", kind, "deaf", str(mark))
            started = await asyncio.to_thread(begun, manager, helpers, kind, mark)
            job.cancel()
            await queue.wait_for_job(job, timeout=SOON)
            assert job.status is JobStatus.cancelled
            assert not any(map(alive, {pid, *helpers, *started}))
            assert await queue.submit_nowait("starter") == worker_of(manager) != pid
            assert len(family_of(manager)) == 1, "its worker was loaded again, with a helper"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_stream_started_is_gone_when_nobody_reads_it_any_more(
    kind: str, tmp_path: Path
) -> None:
    with starter(tmp_path) as manager:
        helpers = family_of(manager)
        stream = manager.execute_plugin_stream("starter", kind, "sleep")
        assert await anext(stream) == "begun"
        await stream.aclose()
        await until(lambda: family_of(manager) == helpers)
        assert await manager.execute_plugin_async("starter") == worker_of(manager)
        failing = manager.execute_plugin_stream("starter", kind, "raise")
        with pytest.raises(PluginFailedError, match="on purpose"):
            [piece async for piece in failing]
        assert family_of(manager) == helpers


@pytest.mark.parametrize("kind", ["timer", "daemon timer"])
@pytest.mark.parametrize("then", ["raise", "sleep"])
async def test_a_timer_of_a_call_that_has_ended_never_fires(
    then: str, kind: str, tmp_path: Path
) -> None:
    with starter(tmp_path) as manager:
        pid, helpers = worker_of(manager), family_of(manager)
        async with JobQueue(manager, cancel_timeout=SOON) as queue:
            mark = tmp_path / "begun"
            job = queue.submit_nowait("starter", kind, then, str(mark))
            await asyncio.to_thread(wait_until, mark.exists, SOON)
            job.cancel()
            await queue.wait_for_job(job, timeout=SOON)
            after = queue.submit_nowait("starter", "timer", "wait for it")
            assert await after == pid, "in the same worker, whose own timer has fired"
            assert len(family_of(manager)) == len(helpers) + 1


@pytest.mark.parametrize("then", ["sleep", "look"])
async def test_a_daemon_thread_that_goes_on_with_the_next_process_is_ended(
    then: str, tmp_path: Path
) -> None:
    with starter(tmp_path) as manager:
        worker, helpers = worker_of(manager), family_of(manager)
        async with JobQueue(manager, cancel_timeout=SOON) as queue:
            mark = tmp_path / "begun"
            job = queue.submit_nowait("starter", "one after the other", then, str(mark))
            started = await asyncio.to_thread(begun, manager, helpers, "popen", mark)
            job.cancel()
            await queue.wait_for_job(job, timeout=SOON)
            assert not any(map(alive, {worker, *started}))
            assert await queue.submit_nowait("starter") == worker_of(manager) != worker
            assert len(family_of(manager)) == 1


# -- what stays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_completed_call_started_lives_on_and_through_failures(
    kind: str, tmp_path: Path
) -> None:
    with starter(tmp_path) as manager:
        helpers = family_of(manager)
        manager.execute_plugin("starter", kind)
        count = len(helpers) + PROCESSES.get(kind, 1)
        wait_until(lambda: len(family_of(manager)) >= count, SOON)
        kept = family_of(manager)
        with pytest.raises(PluginFailedError):
            manager.execute_plugin("starter", "popen", "raise")
        assert family_of(manager) == kept


def test_a_plugin_that_lost_its_children_can_start_others_and_keeps_no_dead_ones(
    tmp_path: Path,
) -> None:
    with starter(tmp_path) as manager:
        for kind in KINDS * 2:
            with pytest.raises(PluginFailedError, match="on purpose"):
                manager.execute_plugin("starter", kind, "raise")
        pid = manager.execute_plugin("starter")
        dead = [pid for pid in all_below(pid) if not alive(pid)]
        assert len(dead) <= 4, "of the last call; those before were waited for"


def test_a_helper_s_own_children_are_its_own_affair(tmp_path: Path) -> None:
    with starter(tmp_path, helper="server") as manager:
        manager.execute_plugin("starter", "child of the server")
        wait_until(lambda: len(family_of(manager)) == 2, SOON)
        with pytest.raises(PluginFailedError):
            manager.execute_plugin("starter", "child of the server", "raise")
        wait_until(lambda: len(family_of(manager)) == 3, SOON)


def test_the_fork_server_s_children_are_this_process_s(tmp_path: Path) -> None:
    with starter(tmp_path, helper="fork server") as manager:
        helpers = family_of(manager)
        with pytest.raises(PluginFailedError):
            manager.execute_plugin("starter", "fork server", "raise")
        assert family_of(manager) == helpers


def test_a_configuration_that_failed_has_started_nothing(tmp_path: Path) -> None:
    with starter(tmp_path) as manager:
        helpers = family_of(manager)
        with pytest.warns(UserWarning, match="no such configuration"):
            assert not manager.update_plugin_config("starter", {"impossible": True})
        assert family_of(manager) == helpers


# -- what cannot be ended --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["endless", "computing"])
@pytest.mark.parametrize("then", ["sleep", "raise"])
async def test_a_worker_whose_threads_go_on_is_replaced(
    kind: str, then: str, tmp_path: Path
) -> None:
    with starter(tmp_path) as manager:
        pid, helpers = worker_of(manager), family_of(manager)
        async with JobQueue(manager, cancel_timeout=SOON) as queue:
            mark = tmp_path / "begun"
            job = queue.submit_nowait("starter", kind, then, str(mark))
            await until(mark.exists)
            job.cancel()
            await queue.wait_for_job(job, timeout=SOON)
            assert not any(map(alive, {pid, *helpers}))
            assert "left running was ended with its worker" in job.logs()
            assert await queue.submit_nowait("starter") == worker_of(manager) != pid


def test_threads_that_wait_for_work_cost_nothing(tmp_path: Path) -> None:
    with starter(tmp_path) as manager:
        pid = worker_of(manager)
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(PluginFailedError):
                manager.execute_plugin("starter", "idle pool", "raise")
            assert time.monotonic() - began < 0.3
        assert worker_of(manager) == pid


def test_where_a_worker_cannot_see_its_children_the_kernel_looks(tmp_path: Path) -> None:
    """The rule of macOS; here the worker is told that nobody lists children."""
    blind = tmp_path / "python"
    blind.write_text(f'#!/bin/sh\nexec {sys.executable} {PLUGINS}/blind.py "$@"\n')
    blind.chmod(0o755)
    manifest = own_manifest("starter", "Starter", module="starter", python_path=str(blind))
    with PluginManager(search_paths=[], data_dir=tmp_path) as manager:
        assert manager.load_plugin(manifest, {"helper": "process"})
        pid = worker_of(manager)
        helper = psutil.Process(*family_of(manager))
        wait_until(lambda: not has_started_since(pid, time.time()), SOON)
        assert helper.is_running()
        with pytest.raises(PluginFailedError):
            manager.execute_plugin("starter", "nothing", "raise")
        assert worker_of(manager) == pid, "it has left nothing"
        family = family_of(manager)
        with pytest.raises(PluginFailedError):
            manager.execute_plugin("starter", "new session", "raise")
        assert not any(map(alive, {pid, *family}))
        assert manager.execute_plugin("starter") == worker_of(manager) != pid


def test_what_has_started_since_is_told_from_what_was_there(tmp_path: Path) -> None:
    with starter(tmp_path) as manager:
        pid = worker_of(manager)
        assert has_started_since(pid, psutil.Process(pid).create_time())
        assert not has_started_since(pid, time.time() + 1)


def test_a_call_that_starts_nothing_is_as_quick_as_before(
    tmp_path: Path, note: Callable[[str], None]
) -> None:
    for helper in ("", "process"):
        with starter(tmp_path, helper=helper) as manager:
            seconds = []
            for _ in range(300):
                began = time.perf_counter()
                manager.execute_plugin("starter")
                seconds.append(time.perf_counter() - began)
            note(f"helper {helper!r}: {statistics.median(seconds) * 1e6:.0f} µs a call")
