"""Resource schedulers: what fits may start, what does not is refused or waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from jobqueue_widget import PermissiveScheduler, QueueScheduler, ResourceScheduler, SafetyScheduler
from jobqueue_widget.plugins.manifests.manifest import PluginMeta


def meta(**resources: Any) -> PluginMeta:
    return PluginMeta("one", "1", manifest={"resources": resources})


GPU = meta(requires_gpu=True, min_gpu_vram_mb=4096)
RAM = meta(min_system_ram_mb=1000)
CASES: list[tuple[PluginMeta, Mapping[str, Any], bool]] = [
    (GPU, {"gpu_free_memory_mb": 4096}, True),
    (GPU, {"gpu_free_memory_mb": 4095}, False),
    (GPU, {}, True),  # nothing is known of a GPU
    (meta(min_gpu_vram_mb=4096), {"gpu_free_memory_mb": 0}, True),
    (RAM, {"memory_available_mb": 1000.5}, True),
    (RAM, {"memory_available_mb": 999}, False),
    (RAM, {}, True),
    (meta(), {"memory_available_mb": 0}, True),
    (PluginMeta("one", "1"), {"memory_available_mb": 0}, True),
]


@pytest.mark.parametrize(("plugin", "stats", "expected"), CASES)
async def test_what_fits_may_start(
    plugin: PluginMeta, stats: Mapping[str, Any], expected: bool
) -> None:
    async def ask() -> Mapping[str, Any]:
        return stats

    safety, queue = SafetyScheduler(), QueueScheduler(timeout=0, poll_interval=0)
    schedulers: list[ResourceScheduler] = [safety, queue]
    for scheduler in schedulers:
        assert scheduler.allocate(plugin, lambda: stats) is expected
        assert await scheduler.allocate_async(plugin, ask) is expected
    assert PermissiveScheduler().allocate(plugin, lambda: pytest.fail("it looks at nothing"))


async def test_what_waits_starts_when_it_fits() -> None:
    free = iter([10, 999, 1000])
    scheduler = QueueScheduler(timeout=60, poll_interval=0.001)
    assert scheduler.allocate(RAM, lambda: {"memory_available_mb": next(free)})
    assert next(free, None) is None

    later = iter([10, 5000])

    async def ask() -> Mapping[str, Any]:
        return {"memory_available_mb": next(later)}

    assert await scheduler.allocate_async(RAM, ask)


async def test_a_wait_can_be_cancelled_and_ends_at_its_time_limit() -> None:
    async def never() -> Mapping[str, Any]:
        return {"memory_available_mb": 0}

    waiting = asyncio.create_task(QueueScheduler().allocate_async(RAM, never))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not await QueueScheduler(timeout=0.01, poll_interval=2).allocate_async(RAM, never)


def test_what_runs_is_counted() -> None:
    scheduler = QueueScheduler()
    for name in ("a", "b", "a"):
        scheduler.on_execution_start(name)
    scheduler.on_execution_finish("a")
    assert scheduler.get_active_plugins() == {"a", "b"}
    scheduler.on_execution_finish("a")
    scheduler.on_execution_finish("a")
    assert scheduler.get_active_plugins() == {"b"}


async def test_one_written_for_the_reference_needs_no_async_method() -> None:
    class Mine(ResourceScheduler):
        def allocate(self, plugin_meta: Any, stats_provider: Any) -> bool:
            return bool(stats_provider()["memory_available_mb"] > 5)

        def on_execution_start(self, plugin_name: str) -> None: ...

        def on_execution_finish(self, plugin_name: str) -> None: ...

    async def ask() -> Mapping[str, Any]:
        return {"memory_available_mb": 6}

    assert await Mine().allocate_async(RAM, ask)
