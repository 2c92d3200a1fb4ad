"""The example plugin `sys-mon`, made by its own command, under our manager and the other one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, PluginManager, QueueScheduler
from tests.reference import reference_manager

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"
ASKS = ("gpu_free_memory_mb", "memory_available_mb", "cpu_percent")


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """Made by the command; with this interpreter, so that nothing is downloaded."""
    command = [sys.executable, str(EXAMPLES / "make_env.py"), "sys-mon", "--here"]
    subprocess.run([*command, "--into", str(tmp_path / "made")], check=True, capture_output=True)
    return tmp_path / "made"


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    command = [sys.executable, str(EXAMPLES / "make_env.py"), "nothing"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "there is no plugin 'nothing' here; there are: " in told.stderr
    assert "sys-mon" in told.stderr


def check_status(status: Any) -> None:
    assert all(name in status for name in ASKS)
    assert 0 < status["memory_available_mb"] <= status["memory_total_mb"]


async def test_it_is_the_monitor_of_our_manager(manifests: Path, tmp_path: Path) -> None:
    scheduler = QueueScheduler(timeout=20, poll_interval=0.1)
    with PluginManager(search_paths=[manifests], scheduler=scheduler, data_dir=tmp_path) as manager:
        manager.discover_manifests()
        manager.load_all()
        manager.register_system_monitor("sys-mon")
        async with JobQueue(manager) as queue:
            check_status(await queue.submit_nowait("sys-mon"))
            wrong = queue.submit_nowait("sys-mon", "reboot")
            await queue.wait_for_job(wrong, timeout=30)
            assert wrong.error is not None
            assert "the only command is \"get_system_status\", not 'reboot'" in wrong.error


@pytest.mark.timeout(120)
async def test_it_is_the_monitor_of_the_reference_manager(manifests: Path, tmp_path: Path) -> None:
    with reference_manager(tmp_path / "reference", plugins=()) as manager:
        manager.search_paths.append(manifests)
        manager.discover_manifests()
        manager.load_plugin(manager.get_discovered_meta("sys-mon"))
        manager.register_system_monitor("sys-mon")
        check_status(manager._get_global_stats())
        async with JobQueue(manager) as queue:
            check_status(await queue.submit_nowait("sys-mon"))


def test_its_manifest_holds_no_path_of_a_machine() -> None:
    manifest = json.loads((EXAMPLES / "sys-mon" / "plugin.json").read_text())
    assert "python_path" not in manifest
    assert "env_vars" not in manifest
