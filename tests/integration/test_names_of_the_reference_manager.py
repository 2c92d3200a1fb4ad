"""What code for the reference manager uses besides its methods: attributes, private steps, None."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

import jobqueue_widget
from jobqueue_widget import (
    JobQueue,
    JobStatus,
    PluginDisabledError,
    PluginFailedError,
    PluginLoadWarning,
    PluginManager,
    PluginMeta,
    QueueScheduler,
    SafetyScheduler,
)
from tests.conditions import until
from tests.own_manager import load, own_manager
from tests.reference import reference_kit

GPU = {"requires_gpu": True, "min_gpu_vram_mb": 4_096}


class Monitor:
    """As in the reference's own tests: no total, and a coroutine beside."""

    name = "mock-monitor"

    def __init__(self, free: float) -> None:
        self.free = free

    def execute(self, *args: Any) -> dict[str, float]:
        return {"gpu_free_memory_mb": self.free, "memory_available_mb": 16_000}

    async def execute_async(self, *args: Any) -> dict[str, float]:
        return self.execute()


class Instance:
    """What the reference's tests put into a meta; with a release() that frees the GPU."""

    def __init__(self, monitor: Monitor | None = None, frees: float = 0.0) -> None:
        self._monitor = monitor
        self._frees = frees
        self.released = 0
        self.cancelled = threading.Event()
        if monitor is not None:
            self.release = self._release

    def _release(self) -> None:
        assert self._monitor is not None
        self.released += 1
        self._monitor.free += self._frees

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        return "ran", args, kwargs

    async def execute_async(self, *args: Any, **kwargs: Any) -> Any:
        if args == ("wait",):
            await asyncio.sleep(60)
        return "ran async", args, kwargs

    def cancel(self) -> None:
        self.cancelled.set()


@pytest.fixture(params=["ours", "reference"])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return jobqueue_widget if request.param == "ours" else reference_kit(tmp_path)


def put(manager: Any, name: str, instance: Any, last_executed: float = 0.0) -> Any:
    meta = PluginMeta(name=name, version="1.0")
    meta.manifest = {"resources": GPU}
    meta.instance, meta.last_executed = instance, last_executed
    manager.plugins[name] = meta
    return meta


def test_a_plugin_may_be_put_there_and_is_judged_by_the_monitor_that_was_set(
    kit: Any, tmp_path: Path
) -> None:
    manager = kit.PluginManager(search_paths=[tmp_path], scheduler=kit.SafetyScheduler())
    manager.system_monitor = Monitor(2_000)
    meta = put(manager, "heavy-ai", Instance())
    assert manager.get_plugin("heavy-ai") is meta.instance
    assert manager.get_plugin_meta("heavy-ai") is meta
    assert list(manager.plugins) == ["heavy-ai"]
    with pytest.raises(RuntimeError, match="heavy-ai"):
        manager.execute_plugin("heavy-ai")
    manager.system_monitor.free = 8_192
    before = meta.last_executed
    assert manager.execute_plugin("heavy-ai", 1, b=2) == ("ran", (1,), {"b": 2})
    assert meta.last_executed > before
    manager.disable_plugin("heavy-ai")
    with pytest.raises(ValueError, match="disabled"):
        manager.execute_plugin("heavy-ai")
    del manager.plugins["heavy-ai"]
    assert manager.get_plugin("heavy-ai") is None


async def test_it_waits_under_queue_scheduler(kit: Any, tmp_path: Path) -> None:
    scheduler = kit.QueueScheduler(timeout=20.0, poll_interval=0.05)
    manager = kit.PluginManager(search_paths=[tmp_path], scheduler=scheduler)
    manager.system_monitor = Monitor(2_000)
    put(manager, "heavy-ai", Instance())
    call = asyncio.create_task(manager.execute_plugin_async("heavy-ai"))
    await asyncio.sleep(0.3)
    assert not call.done()
    manager.system_monitor.free = 8_192
    assert (await call)[0] == "ran async"
    assert scheduler.get_active_plugins() == set()


@pytest.mark.parametrize("by", ["execute_plugin", "_evict_for_resources"])
def test_idle_ones_are_evicted_in_the_order_of_their_last_use(
    kit: Any, tmp_path: Path, by: str
) -> None:
    manager = kit.PluginManager(search_paths=[tmp_path], scheduler=kit.SafetyScheduler())
    monitor = manager.system_monitor = Monitor(1_000)
    newest = put(manager, "newest", Instance(monitor, 5_000), 300.0).instance
    oldest = put(manager, "oldest", Instance(monitor, 1_000), 100.0).instance
    middle = put(manager, "middle", Instance(monitor, 3_000), 200.0).instance
    needed = put(manager, "needed", Instance())
    if by == "execute_plugin":
        manager.execute_plugin("needed")
    else:
        assert manager._evict_for_resources(needed)
    assert [one.released for one in (oldest, middle, newest)] == [1, 1, 0]


async def test_what_the_reference_keeps_private_is_there(kit: Any, tmp_path: Path) -> None:
    manager = kit.PluginManager(search_paths=[tmp_path])
    assert manager._get_global_stats() == await manager._get_global_stats_async() == {}
    manager.system_monitor = Monitor(5.0)
    told = {"gpu_free_memory_mb": 5.0, "memory_available_mb": 16_000}
    assert manager._get_global_stats() == await manager._get_global_stats_async() == told
    schema = {"properties": {"model": {"default": "base"}, "device": {"type": "string"}}}
    assert manager._extract_defaults_from_schema(schema) == {"model": "base"}
    assert manager._extract_defaults_from_schema(None) == {}
    assert isinstance(manager.logger, logging.Logger)


# -- ours alone ----------------------------------------------------------------------------------


async def test_a_subclass_may_override_those_steps(tmp_path: Path) -> None:
    class Manager(PluginManager):
        free = 2_000.0

        def _get_global_stats(self) -> dict[str, Any]:
            return {"gpu_free_memory_mb": self.free}

        async def _get_global_stats_async(self) -> dict[str, Any]:
            return self._get_global_stats()

        def _evict_for_resources(self, needed_meta: PluginMeta) -> bool:
            self.free = 9_000.0
            return True

    manager = Manager(search_paths=[tmp_path], scheduler=QueueScheduler(timeout=0.0))
    put(manager, "heavy-ai", Instance())
    async with JobQueue(manager) as queue:
        job = queue.submit_nowait("heavy-ai")
        await until(lambda: job.block_reason)
        assert str(job.block_reason).startswith("needs 4,096 MiB GPU, 2,000 free")
        assert manager.execute_plugin("heavy-ai")[0] == "ran"
        await queue.wait_for_job(job, timeout=20)
        assert job.result[0] == "ran async"


async def test_one_that_was_put_there_runs_in_a_queue(tmp_path: Path) -> None:
    manager = PluginManager(search_paths=[tmp_path])
    instance = put(manager, "heavy-ai", Instance()).instance
    async with JobQueue(manager) as queue:
        job = queue.submit_nowait("heavy-ai", object, label_=1)
        await queue.wait_for_job(job, timeout=20)
        assert job.result == ("ran async", (object,), {"label_": 1})
        waits = queue.submit_nowait("heavy-ai", "wait")
        await until(lambda: manager.loaded()[0].busy)
        assert manager.evict("heavy-ai") == "busy"
        assert waits.cancel()
        await queue.wait_for_job(waits, timeout=20)
        assert waits.status is JobStatus.cancelled
        assert instance.cancelled.is_set()
        manager.disable_plugin("heavy-ai")
        refused = queue.submit_nowait("heavy-ai")
        await queue.wait_for_job(refused, timeout=20)
        assert "disabled" in str(refused.error)


def test_a_name_that_was_not_found_is_told_with_those_that_were(tmp_path: Path) -> None:
    with own_manager(tmp_path, plugins=[]) as manager:
        with pytest.warns(PluginLoadWarning, match="no such plugin was discovered; there are: .*"):
            assert not manager.load_plugin(manager.get_discovered_meta("whisper"))
        assert "toolbox" in manager.problems["None"]


def test_a_handle_has_what_the_references_proxies_have(tmp_path: Path) -> None:
    with own_manager(tmp_path, plugins=["toolbox"]) as manager:
        handle = manager.get_plugin("toolbox")
        assert handle is not None
        assert (handle.port, handle.base_url) == (None, None)
        manager.execute_plugin("toolbox", "say", "before it was asked for")
        path = handle.log_path
        assert path == tmp_path / "logs" / "toolbox.log"
        manager.execute_plugin("toolbox", "say", "and after")
        assert path.read_text() == manager.get_plugin_logs("toolbox")
        assert path.read_text().splitlines()[-2:] == ["before it was asked for", "and after"]
        file = handle.log_file
        assert handle.log_file is file
        assert file.name == str(path)
        handle.report_progress(0.25, "a quarter")
        assert handle.get_progress() == {"progress": 0.25, "message": "a quarter"}
        pieces = handle.execute_stream_sync("count", 3)
        assert list(pieces) == [(n, {n: "piece"}) for n in range(3)]
        some = handle.execute_stream_sync("for_ever", str(tmp_path / "closed"))
        assert isinstance(next(some), int)
        some.close()
        with pytest.raises(PluginFailedError, match="as it was told"):
            list(handle.execute_stream_sync("fail", 2))
        with handle as same:
            assert same is handle
        assert manager.get_plugin("toolbox") is None
        assert file.closed


# -- several instances of one plugin ---------------------------------------------------------------


async def test_instances_have_configurations_and_workers_of_their_own(tmp_path: Path) -> None:
    with own_manager(tmp_path, plugins=[]) as manager:
        meta = manager.get_discovered_meta("toolbox")
        assert meta is not None
        assert manager.load_plugin(meta, {"flavour": "plain"})
        assert manager.load_plugin(meta, {"flavour": "large"}, instance_id="toolbox-large")
        assert manager.load_plugin(meta, {"flavour": "small"}, instance_id="toolbox-small")
        names = ["toolbox", "toolbox-large", "toolbox-small"]
        assert list(manager.plugins) == names
        handles = {name: manager.get_plugin(name) for name in names}
        assert len({handle.pid for handle in handles.values() if handle}) == 3
        async with JobQueue(manager, max_running=3) as queue:
            jobs = {name: queue.submit_nowait(name, "config") for name in names}
            flavours = [(await job)["flavour"] for job in jobs.values()]
            assert flavours == ["plain", "large", "small"]
            assert manager.update_plugin_config("toolbox-large", {"flavour": "huge"})
            assert (await queue.submit_nowait("toolbox-large", "config"))["flavour"] == "huge"
            assert (await queue.submit_nowait("toolbox", "config"))["flavour"] == "plain"
            found = manager.get_discovered_meta("toolbox-large")
            assert found is manager.get_plugin_meta("toolbox-large")
            pid = handles["toolbox-large"] and handles["toolbox-large"].pid
            assert manager.reload_plugin("toolbox-large")
            assert manager.get_plugin("toolbox-large").pid != pid  # type: ignore[union-attr]
            assert manager.get_plugin_config("toolbox-large") == {"flavour": "huge"}
            manager.disable_plugin("toolbox-small")
            with pytest.raises(PluginDisabledError):
                manager.execute_plugin("toolbox-small", "config")
            assert manager.unload_plugin("toolbox-large")
            gone = queue.submit_nowait("toolbox-large", "config")
            await queue.wait_for_job(gone, timeout=20)
            assert "not loaded" in str(gone.error)
            assert manager.execute_plugin("toolbox", "config")["flavour"] == "plain"


def test_an_instance_has_a_name_and_takes_nobody_elses(tmp_path: Path) -> None:
    with own_manager(tmp_path, plugins=[]) as manager:
        meta = manager.get_discovered_meta("toolbox")
        assert meta is not None
        with pytest.raises(ValueError, match="is the name of another plugin"):
            manager.load_plugin(meta, instance_id="workload")
        for wrong in ("", "../up", "a\nb", "a\n", "x" * 200):
            with pytest.raises(ValueError, match="is no name"):
                manager.load_plugin(meta, instance_id=wrong)
        assert load(manager, "toolbox", instance_id="toolbox")
        assert list(manager.plugins) == ["toolbox"]


async def test_a_set_monitor_is_asked_like_a_registered_one(tmp_path: Path) -> None:
    manager = PluginManager(search_paths=[tmp_path], scheduler=SafetyScheduler())
    manager.system_monitor = Monitor(1.0)
    assert manager._get_global_stats()["gpu_free_memory_mb"] == 1.0
    manager.system_monitor = None
    assert manager._get_global_stats() == {}
