"""A machine with a GPU of 12,000 MiB, simulated: the author's monitor counts what models claim.

Their monitor asks nvitop, and nvidia-smi where there is no nvitop: standins/gpu has no nvitop and
an nvidia-smi that adds up the claims of the stand-in for whisper. The scheduler, the manifests'
wishes and the unloading of idle plugins are the real ones.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.ecosystem.acts import PATIENCE, Acts, Stage, entering
from tests.ecosystem.subjects import MONITOR, WHISPER

STANDINS = Path(__file__).parent / "standins" / "gpu"
WHISPER_NAME, LARGE, HUGE = WHISPER.package, f"{WHISPER.package}-large", f"{WHISPER.package}-huge"
SUBJECT = WHISPER
MODEL = {"model": "large-v3", "device": "cuda"}
CALL = WHISPER.calls[0]

ACTS: Acts = {}
act = entering(ACTS)


def prepare(project: Path, total: int = 12_000) -> None:
    """Give the monitor and the transcribers in this project a GPU; whisper in three sizes."""
    manifests = project / "data" / "manifests"
    claims = project / "gpu"
    claims.mkdir()
    standin = {"STANDIN_GPU": str(claims), "STANDIN_GPU_TOTAL": str(total)}

    path = manifests / f"{MONITOR.package}.json"
    monitor = json.loads(path.read_text())
    monitor["env_vars"] = {
        **standin,
        "PATH": f"{STANDINS}:{os.environ['PATH']}",
        "PYTHONPATH": str(STANDINS),
    }
    path.write_text(json.dumps(monitor))

    for name, needed in ((WHISPER_NAME, 4_096), (LARGE, 4_096), (HUGE, 40_000)):
        whisper = json.loads((manifests / f"{WHISPER_NAME}.json").read_text())
        whisper["name"] = name
        whisper["env_vars"].update(standin)
        whisper["resources"].update(min_gpu_vram_mb=needed, min_system_ram_mb=1_024)
        (manifests / f"{name}.json").write_text(json.dumps(whisper))


async def _free(stage: Stage) -> float:
    monitor = stage.manager.get_plugin(MONITOR.package)
    return float((await monitor.execute_async("get_system_status"))["gpu_free_memory_mb"])


async def _transcribe(stage: Stage, name: str) -> Any:
    number = await stage.queue.submit(name, **stage.filled(CALL))
    return await stage.queue.wait_for_job(number, timeout=PATIENCE)


@act("their monitor's figures, through `register_system_monitor`")
async def figures(stage: Stage) -> object:
    scheduler = stage.system.QueueScheduler(timeout=2.0, poll_interval=0.2)
    stage.manager = stage.system.PluginManager(scheduler=scheduler)
    stage.manager.discover_manifests()
    for name in (MONITOR.package, WHISPER_NAME, LARGE, HUGE):
        config = None if name == MONITOR.package else MODEL
        meta = next(one for one in stage.manager.discovered if one.name == name)
        assert stage.manager.load_plugin(meta, config), name
    stage.manager.register_system_monitor(MONITOR.package)
    stage.queue = stage.system.JobQueue(stage.manager)
    await stage.queue.start()
    return await _free(stage)


@act("`_get_global_stats_async`, which their examples use")
async def stats(stage: Stage) -> object:
    stats = await stage.manager._get_global_stats_async()
    return [stats["gpu_type"], stats["gpu_total_memory_mb"], stats["gpu_free_memory_mb"]]


@act("a job that asks for 4,096 MiB runs under `QueueScheduler`")
async def job_with_gpu(stage: Stage) -> object:
    job = await _transcribe(stage, WHISPER_NAME)
    assert job.status.value == "completed", f"{job.status.value}: {job.error}"
    return [job.result, await _free(stage)]


@act("where too little is free, the idle plugin that holds it is unloaded")
async def eviction(stage: Stage) -> object:
    job = await _transcribe(stage, LARGE)
    assert job.status.value == "completed", f"{job.status.value}: {job.error}"
    return [job.result, await _free(stage)]


@act("the plugin that was unloaded for another one runs again")
async def runs_again(stage: Stage) -> object:
    job = await _transcribe(stage, WHISPER_NAME)
    assert job.status.value == "completed", f"{job.status.value}: {job.error}"
    return [job.result, await _free(stage)]


@act("a wish that the GPU can never fulfil fails with a reason")
async def too_large(stage: Stage) -> object:
    job = await _transcribe(stage, HUGE)
    assert job.status.value == "failed", f"{job.status.value}: {job.result}"
    assert job.error, "no reason"
    return job.status.value


@act("unloading frees the GPU")
async def unload(stage: Stage) -> object:
    for name in (WHISPER_NAME, LARGE, HUGE):
        stage.manager.unload_plugin(name)
    free = await _free(stage)
    assert free == 12_000.0, f"{free} MiB free"
    return free


@act("`SafetyScheduler` refuses at once")
async def safety(stage: Stage) -> object:
    stage.manager.scheduler = stage.system.SafetyScheduler()
    meta = stage.manager.get_discovered_meta(HUGE)
    assert stage.manager.load_plugin(meta, MODEL)
    with pytest.raises(RuntimeError, match=HUGE):
        await stage.manager.execute_plugin_async(HUGE, **stage.filled(CALL))
    return True
