"""Resource schedulers: may this plugin start now, later, or not at all?"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .._threads.locks import Lock
from .manifests.manifest import PluginMeta

logger = logging.getLogger(__name__)

Stats = Mapping[str, Any]
"""What a system monitor tells; read here: `gpu_free_memory_mb`, `memory_available_mb` (MiB).

The manager adds `own_gpu_memory_mb` and `own_memory_mb`: what the plugin that is to start holds
already, and need not find free again.
"""


class ResourceScheduler(ABC):
    """Decides whether a plugin may start. Derive from it, or pass any object with these methods."""

    @abstractmethod
    def allocate(self, plugin_meta: PluginMeta, stats_provider: Callable[[], Stats]) -> bool:
        """True if it may start; may block until then. `stats_provider()` gives fresh figures."""

    async def allocate_async(
        self, plugin_meta: PluginMeta, stats_provider: Callable[[], Awaitable[Stats]]
    ) -> bool:
        """Do the same without blocking; unless overridden, one look by `allocate`."""
        stats = await stats_provider()
        return self.allocate(plugin_meta, lambda: stats)

    @abstractmethod
    def on_execution_start(self, plugin_name: str) -> None:
        """Note that it starts: what it needs is taken."""

    @abstractmethod
    def on_execution_finish(self, plugin_name: str) -> None:
        """Note that it has ended: what it needed is free again."""


class PermissiveScheduler(ResourceScheduler):
    """Everything may start."""

    def allocate(self, plugin_meta: PluginMeta, stats_provider: Callable[[], Stats]) -> bool:
        """Yes; nothing is measured."""
        return True

    async def allocate_async(
        self, plugin_meta: PluginMeta, stats_provider: Callable[[], Awaitable[Stats]]
    ) -> bool:
        """Yes; nothing is measured."""
        return True

    def on_execution_start(self, plugin_name: str) -> None:
        """Do nothing: there is nothing to note."""

    def on_execution_finish(self, plugin_name: str) -> None:
        """Do nothing: there is nothing to note."""


class SafetyScheduler(PermissiveScheduler):
    """What does not fit now may not start."""

    def allocate(self, plugin_meta: PluginMeta, stats_provider: Callable[[], Stats]) -> bool:
        """Look once."""
        reason = missing(plugin_meta, stats_provider())
        if reason:
            logger.info("%s may not start: %s", plugin_meta.name, reason)
        return not reason

    allocate_async = ResourceScheduler.allocate_async  # which looks once, too


class QueueScheduler(ResourceScheduler):
    """What does not fit now waits until it does, for at most `timeout` seconds.

    Args:
        timeout: seconds to wait.
        poll_interval: seconds between two looks.
    """

    def __init__(self, timeout: float = 300.0, poll_interval: float = 2.0) -> None:
        self.timeout = timeout
        self.poll_interval = poll_interval
        self._active: Counter[str] = Counter()
        self._lock = Lock()

    def allocate(self, plugin_meta: PluginMeta, stats_provider: Callable[[], Stats]) -> bool:
        """Block until it fits."""
        deadline = time.monotonic() + self.timeout
        while missing(plugin_meta, stats_provider()):
            left = deadline - time.monotonic()
            if left <= 0:
                return self._give_up(plugin_meta)
            time.sleep(min(self.poll_interval, left))
        return True

    async def allocate_async(
        self, plugin_meta: PluginMeta, stats_provider: Callable[[], Awaitable[Stats]]
    ) -> bool:
        """Wait until it fits; may be cancelled."""
        deadline = time.monotonic() + self.timeout
        while missing(plugin_meta, await stats_provider()):
            left = deadline - time.monotonic()
            if left <= 0:
                return self._give_up(plugin_meta)
            await asyncio.sleep(min(self.poll_interval, left))
        return True

    def _give_up(self, plugin_meta: PluginMeta) -> bool:
        logger.warning("%s found no room within %g s", plugin_meta.name, self.timeout)
        return False

    def on_execution_start(self, plugin_name: str) -> None:
        """Count it."""
        with self._lock.held:
            self._active[plugin_name] += 1

    def on_execution_finish(self, plugin_name: str) -> None:
        """Count it off."""
        with self._lock.held:
            self._active -= Counter([plugin_name])  # which keeps what is above zero

    def get_active_plugins(self) -> set[str]:
        """The names of the plugins that run now."""
        with self._lock.held:
            return set(self._active)


def missing(plugin_meta: PluginMeta, stats: Stats) -> str:
    """What a plugin lacks to start; "" if nothing. What is not measured is not lacking."""
    resources = (getattr(plugin_meta, "manifest", None) or {}).get("resources") or {}
    lacks = []
    if resources.get("requires_gpu"):
        need, have = resources.get("min_gpu_vram_mb"), stats.get("gpu_free_memory_mb")
        lacks.append(_lack("GPU", need, have, stats.get("own_gpu_memory_mb", 0.0)))
    need, have = resources.get("min_system_ram_mb"), stats.get("memory_available_mb")
    lacks.append(_lack("RAM", need, have, stats.get("own_memory_mb", 0.0)))
    return "; ".join(filter(None, lacks))


def _lack(what: str, need: Any, have: Any, own: float) -> str:
    if not need or have is None or need <= have + own:
        return ""
    return f"needs {need:,.0f} MiB {what}, {have:,.0f} free"
