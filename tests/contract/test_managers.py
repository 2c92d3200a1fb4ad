"""The same folder of plugins under our manager and under the reference's: one meaning for both."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import venv
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import jobqueue_widget
from jobqueue_widget import JobQueue, JobStatus, PluginManager
from tests.conditions import until
from tests.own_manager import own_manifest

MakeManager = Callable[[Path], Any]
OURS = "ours"


def our_own(folder: Path) -> PluginManager:
    return PluginManager(search_paths=[folder / "manifests"], data_dir=folder)


def the_reference_s(folder: Path) -> Any:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from cjm_plugin_system.core import config  # replaces the root logger's handlers
    from cjm_plugin_system.core.manager import PluginManager as Reference

    root.handlers[:], root.level = handlers, level
    config.set_config(config.CJMConfig(data_dir=folder))
    return Reference(search_paths=[folder / "manifests"])


@pytest.fixture(params=[OURS, "reference"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def manager(kind: str, tmp_path: Path) -> Iterator[Any]:
    """Nothing is loaded yet; every test calls what it needs, by the same names."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    for name, class_name in (("workload", "Workload"), ("sys-mon", "Monitor")):
        manifest = own_manifest(name, class_name, description=f"the {name}", category="tests")
        (folder / f"{name}.json").write_text(json.dumps(manifest))
    manager = our_own(tmp_path) if kind == OURS else the_reference_s(tmp_path)
    yield manager
    manager.unload_all()


def load(manager: Any, *names: str) -> None:
    manager.discover_manifests()
    for name in names:
        assert manager.load_plugin(manager.get_discovered_meta(name)) is True


def test_what_is_found_and_loaded_is_listed(manager: Any) -> None:
    found = manager.discover_manifests()
    assert sorted(meta.name for meta in found) == ["sys-mon", "workload"]
    assert sorted(m.name for m in manager.get_discovered_by_category("tests")) == [
        "sys-mon",
        "workload",
    ]
    assert manager.get_discovered_categories() == ["tests"]
    meta = manager.get_discovered_meta("workload")
    assert (meta.name, meta.version, meta.description) == ("workload", "1.0", "the workload")
    assert meta.package_name == meta.manifest["module"] == "workload"
    assert (meta.enabled, meta.instance, meta.last_executed) == (True, None, 0.0)
    assert manager.list_plugins() == []
    assert manager.get_plugin("workload") is None
    load(manager, "workload")
    assert [meta.name for meta in manager.list_plugins()] == ["workload"]
    assert [meta.name for meta in manager.get_plugins_by_category("tests")] == ["workload"]
    assert manager.get_loaded_categories() == ["tests"]
    assert list(manager.plugins) == ["workload"]
    assert manager.get_plugin("workload").name == "workload"
    assert manager.get_plugin("workload").version == "1.0"
    assert manager.get_plugin_meta("workload").instance is manager.get_plugin("workload")
    assert manager.unload_plugin("workload") is True
    assert manager.unload_plugin("workload") is False
    assert manager.get_plugin("workload") is None


def test_it_is_loaded_with_its_defaults_and_configured_anew(manager: Any) -> None:
    load(manager, "workload")
    assert manager.get_plugin_config("workload") == {"flavour": "plain"}
    assert "flavour" in manager.get_plugin_config_schema("workload")["properties"]
    assert manager.update_plugin_config("workload", {"flavour": "sharp"}) is True
    assert manager.get_plugin_config("workload") == {"flavour": "sharp"}
    assert manager.get_all_plugin_configs() == {"workload": {"flavour": "sharp"}}
    assert manager.reload_plugin("workload") is True
    assert manager.execute_plugin("workload", "config") == {"flavour": "sharp"}
    assert manager.reload_plugin("workload", {"flavour": "new"}) is True
    assert manager.execute_plugin("workload", "config") == {"flavour": "new"}
    assert manager.reload_plugin("nobody") is False
    assert manager.update_plugin_config("nobody", {}) is False
    assert manager.get_plugin_config("nobody") is None


async def test_it_is_called_awaited_and_streamed(manager: Any, tmp_path: Path) -> None:
    load(manager, "workload")
    expected = {"args": [1, str(tmp_path)], "kwargs": {"x": [2]}}
    for found in (
        manager.execute_plugin("workload", "value", 1, tmp_path, x=[2]),
        await manager.execute_plugin_async("workload", "value", 1, tmp_path, x=[2]),
        *[
            piece
            async for piece in manager.execute_plugin_stream(
                "workload", "value", 1, tmp_path, x=[2]
            )
        ],
    ):
        assert found.pop("pid") == manager.get_plugin("workload").process.pid
        assert found == expected
    assert manager.get_plugin_meta("workload").last_executed > 0


async def test_what_cannot_run_is_an_error(manager: Any) -> None:
    with pytest.raises(ValueError, match=r"not .*loaded"):
        manager.execute_plugin("workload")
    load(manager, "workload")
    assert manager.disable_plugin("workload") is True
    with pytest.raises(ValueError, match="disabled"):
        await manager.execute_plugin_async("workload")
    assert manager.enable_plugin("workload") is True
    with pytest.raises(RuntimeError, match="as it was told"):
        manager.execute_plugin("workload", "fail")
    assert manager.enable_plugin("nobody") is False


def test_its_log_and_its_figures_can_be_read(manager: Any) -> None:
    load(manager, "workload")
    manager.execute_plugin("workload", "print", "said by the plugin")
    assert "said by the plugin" in manager.get_plugin_logs("workload", lines=20)
    stats = manager.get_plugin_stats("workload")
    assert stats["pid"] == manager.get_plugin("workload").process.pid
    assert 1 < stats["memory_rss_mb"] < 2000
    assert "cpu_percent" in stats
    assert manager.get_plugin_stats("nobody") is None


def test_unloading_ends_the_process(manager: Any) -> None:
    load(manager, "workload")
    pid = manager.get_plugin("workload").process.pid
    manager.unload_all()
    assert not psutil.pid_exists(pid)


# -- the usage example ---------------------------------------------------------------------------


async def usage(manager: Any, queue: Any, statuses: Any) -> AsyncIterator[Any]:
    """The example of the reference's documentation, its model replaced by our workload."""
    manager.discover_manifests()
    sysmon_meta = manager.get_discovered_meta("sys-mon")
    assert manager.load_plugin(sysmon_meta)
    manager.register_system_monitor("sys-mon")
    assert manager.load_plugin(manager.get_discovered_meta("workload"))

    await queue.start()
    first = await queue.submit("workload", "sleep", 0.5)
    await until(lambda: queue.get_state()["running"])
    job1_id = await queue.submit("workload", "value", "audio1.mp3")
    job2_id = await queue.submit("workload", "value", "audio2.mp3", priority=10)
    job3_id = await queue.submit("sys-mon", "get_system_status")

    state = queue.get_state()
    yield [job["id"] for job in state["pending"]][-3:] == [job2_id, job1_id, job3_id]
    yield await queue.cancel(job1_id)
    job = await queue.wait_for_job(job2_id, timeout=60)
    yield (job.status, job.result["args"]) == (statuses.completed, ["audio2.mp3"])
    job = await queue.wait_for_job(job3_id, timeout=60)
    yield job.result["memory_available_mb"] == 64_000.0
    job = await queue.wait_for_job(first, timeout=60)
    yield (job.status, job.progress) == (statuses.completed, 1.0)
    yield queue.get_job(job1_id).status == statuses.cancelled
    yield isinstance(queue.get_job_logs(first), str)
    yield queue.get_state()["stats"]["total_completed"] == 3
    await queue.stop()
    manager.unload_all()
    yield manager.list_plugins() == []


async def test_the_usage_example_runs_with_our_imports(tmp_path: Path, manager: Any) -> None:
    manager.scheduler = jobqueue_widget.QueueScheduler(timeout=300, poll_interval=2)
    said = [one async for one in usage(manager, JobQueue(manager), JobStatus)]
    assert said == [True] * 9


# -- plugins as they are -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment with nothing but the standard library."""
    folder = tmp_path_factory.mktemp("bare") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    return str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")


@pytest.mark.parametrize("name", ["workload", "toolbox"])
async def test_a_plugin_needs_neither_package_in_its_environment(
    name: str, bare_python: str, tmp_path: Path
) -> None:
    """The base class of the reference, or ours, and `current_job` are there all the same."""
    manifest = own_manifest(name, name.title(), python_path=bare_python)
    manifest["env_vars"] = {"PYTHONPATH": manifest["env_vars"]["PYTHONPATH"].partition(":")[0]}
    with PluginManager(search_paths=[], data_dir=tmp_path) as manager:
        assert manager.load_plugin(manifest)
        async with JobQueue(manager) as queue:
            if name == "workload":
                job = queue.submit_nowait(name, "report")
                assert await job == "reported"
                assert job.status_message == "nearly"
                return
            job = queue.submit_nowait(name, "track", 5)
            assert await job == 10
            assert job.status_message == "counting: 5/5"
            assert await queue.submit_nowait(name, "job") != [None, 0]
            polite = queue.submit_nowait(name, "polite", str(tmp_path / "pid"))
            await until((tmp_path / "pid").exists)
            polite.cancel()
            await asyncio.wait_for(queue.wait_for_job(polite), 30)
            assert polite.status is JobStatus.cancelled
