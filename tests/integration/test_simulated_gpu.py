"""The usage example of the reference on a machine with a (simulated) GPU, here and there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jobqueue_widget
from jobqueue_widget import JobQueue, PluginManager, QueueScheduler
from jobqueue_widget.testing import inspect, machine_with
from tests.conditions import until
from tests.plugins_for_tests import gpu_machine
from tests.reference import manifest, reference_kit
from tests.resources import Machine

pytestmark = pytest.mark.timeout(180)

SUMS = {"tells_only_sums": True}
Outcome = tuple[str, Any]


@pytest.fixture(params=["ours", "reference"])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """What the example imports: from the package, or from the reference."""
    return jobqueue_widget if request.param == "ours" else reference_kit(tmp_path)


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where it stands who holds how much; without NVML, as in most kernels."""
    folder = tmp_path / "gpu"
    folder.mkdir()
    monkeypatch.setenv(gpu_machine.FOLDER, str(folder))
    with machine_with(Machine(ram=64_000)):
        yield folder


def manifests(folder: Path, gpu: Path, needs: dict[str, float], cls: str = "Model") -> Path:
    folder.mkdir()
    for name, class_name in {"sys-mon": "Monitor", **dict.fromkeys(needs, cls)}.items():
        asks = {"requires_gpu": True, "min_gpu_vram_mb": needs[name]} if name in needs else {}
        told = manifest(name, class_name, resources=asks) | {"module": "gpu_machine"}
        told["env_vars"][gpu_machine.FOLDER] = str(gpu)
        told["config_schema"] = None
        (folder / f"{name}.json").write_text(json.dumps(told))
    return folder


async def usage(kit: Any, scheduler: Any, path: Path, needs: dict[str, float]) -> list[Outcome]:
    """Line by line: a monitor, models, jobs with priorities, the state, waiting, the log."""
    manager = kit.PluginManager(search_paths=[path], scheduler=scheduler)
    manager.discover_manifests()
    sysmon_meta = next((m for m in manager.discovered if m.name == "sys-mon"), None)
    assert manager.load_plugin(sysmon_meta)
    manager.register_system_monitor("sys-mon")
    for name in needs:
        meta = manager.get_discovered_meta(name)
        assert manager.load_plugin(meta, {"mib": needs[name], "model": f"{name}-large"})
    queue = kit.JobQueue(manager, max_history=10)
    await queue.start()
    ids = [await queue.submit(name, audio=f"{name}.wav", priority=0) for name in needs]
    urgent = await queue.submit(next(iter(needs)), audio="urgent.wav", priority=10)
    dropped = await queue.submit(next(iter(needs)), audio="dropped.wav")
    assert await queue.cancel(dropped)
    state = queue.get_state()
    waiting = [row["id"] for row in state["pending"]]
    assert (waiting or [urgent])[0] in (urgent, ids[0])
    outcomes: list[Outcome] = []
    for job_id in (urgent, *ids, dropped):
        job = await queue.wait_for_job(job_id, timeout=120)
        result = job.result and {k: v for k, v in job.result.items() if k != "pid"}
        outcomes.append((job.status.value, result or job.error))
    stats = queue.get_state()["stats"]
    outcomes.append(("stats", (stats["total_completed"], stats["total_failed"])))
    assert isinstance(queue.get_job_logs(urgent), str)
    await queue.stop()
    manager.unload_all()
    return outcomes


def expected(needs: dict[str, float]) -> list[Outcome]:
    names = list(needs)
    done: list[Outcome] = [
        ("completed", {"text": f"heard {audio}.wav", "model": f"{name}-large"})
        for audio, name in [("urgent", names[0]), *zip(names, names, strict=True)]
    ]
    return [*done, ("cancelled", None), ("stats", (len(done), 0))]


@pytest.mark.parametrize("scheduler", ["none", "PermissiveScheduler", "QueueScheduler"])
async def test_the_usage_example(
    kit: Any, scheduler: str, gpu: Path, tmp_path: Path, note: Any
) -> None:
    needs = {"whisper": 4_096.0, "demucs": 6_000.0, "voxtral": 9_000.0}
    chosen = None if scheduler == "none" else getattr(kit, scheduler)()
    path = manifests(tmp_path / "manifests", gpu, needs)
    assert await usage(kit, chosen, path, needs) == expected(needs)


async def test_under_queue_scheduler_idle_plugins_make_room(
    kit: Any, gpu: Path, tmp_path: Path
) -> None:
    needs = {"whisper": 10_000.0, "demucs": 12_000.0, "voxtral": 14_000.0}
    path = manifests(tmp_path / "manifests", gpu, needs)
    scheduler = kit.QueueScheduler(timeout=0.5, poll_interval=0.1)
    assert await usage(kit, scheduler, path, needs) == expected(needs)


@pytest.mark.parametrize("cls", ["Model", "Releases"])
@pytest.mark.parametrize("told", [{}, SUMS], ids=["each process", "sums only"])
@pytest.mark.parametrize("scheduler", [None, QueueScheduler])
async def test_idle_plugins_make_room_whatever_the_monitor_tells(
    scheduler: Any, told: dict[str, Any], cls: str, gpu: Path, tmp_path: Path
) -> None:
    needs = {"whisper": 10_000.0, "demucs": 12_000.0, "voxtral": 14_000.0}
    path = manifests(tmp_path / "manifests", gpu, needs, cls)
    chosen = scheduler and scheduler(timeout=300)  # nobody waits for what it holds itself
    manager = PluginManager(search_paths=[path], scheduler=chosen, data_dir=tmp_path)
    with manager:
        manager.discover_manifests()
        manager.load_plugin(manager.get_discovered_meta("sys-mon"), told)
        manager.register_system_monitor("sys-mon")
        for name, mib in needs.items():
            manager.load_plugin(manager.get_discovered_meta(name), {"mib": mib})
        async with JobQueue(manager) as queue:
            for _ in range(2):
                for name in needs:
                    job = await queue.wait_for_job(await queue.submit(name, "a.wav"), timeout=60)
                    assert (job.error, job.unchecked) == (None, None)
            assert sum(gpu_machine.held().values()) <= gpu_machine.TOTAL


async def test_what_other_programs_hold_is_waited_for(gpu: Path, tmp_path: Path) -> None:
    path = manifests(tmp_path / "manifests", gpu, {"whisper": 10_000.0})
    (gpu / "0.mib").write_text("16000")
    manager = PluginManager(search_paths=[path], data_dir=tmp_path)
    with manager:
        manager.discover_manifests()
        assert manager.load_plugin(manager.get_discovered_meta("sys-mon"))
        manager.register_system_monitor("sys-mon")
        assert manager.load_plugin(manager.get_discovered_meta("whisper"), {"mib": 10_000})
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait("whisper")
            await until(lambda: job.block_reason)
            assert job.block_reason == (
                "needs 10,000 MiB GPU, 8,000 free; other programs use the rest"
            )
            (gpu / "0.mib").write_text("1000")
            await queue.wait_for_job(job, timeout=30)
            assert job.error is None
            (meter,) = (m for m in inspect(queue).meters["items"] if m["name"] == "GPU")
            assert meter["total"] == 23.4


async def test_safety_scheduler_refuses_what_does_not_fit(
    kit: Any, gpu: Path, tmp_path: Path
) -> None:
    (gpu / "0.mib").write_text("16000")
    path = manifests(tmp_path / "manifests", gpu, {"whisper": 10_000.0})
    manager = kit.PluginManager(search_paths=[path], scheduler=kit.SafetyScheduler())
    manager.discover_manifests()
    assert manager.load_plugin(manager.get_discovered_meta("sys-mon"))
    manager.register_system_monitor("sys-mon")
    assert manager.load_plugin(manager.get_discovered_meta("whisper"), {"mib": 10_000})
    queue = kit.JobQueue(manager)
    await queue.start()
    job = await queue.wait_for_job(await queue.submit("whisper", "a.wav"), timeout=60)
    assert job.status.value == "failed"
    assert "whisper" in str(job.error)
    await queue.stop()
    manager.unload_all()
