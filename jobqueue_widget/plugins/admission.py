"""Puts calls before the user's resource scheduler, and tells it when each begins and ends."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Protocol

from .._core.machine.told import Figures
from .._machine.figures import MonitorLook, as_mapping, ask, figures_of, own_share
from .._runtime.failures import failure_of
from ..errors import PluginBlockedError
from ..protocols import OffersResources
from .handle import PluginHandle
from .manifests.manifest import PluginMeta, requirements_of
from .own_loop import OwnLoop
from .run import PluginRun
from .schedulers import PermissiveScheduler, missing

logger = logging.getLogger(__name__)


class Owner(OffersResources, Protocol):
    """The manager whose calls are admitted, as its admission sees it."""

    @property
    def plugins(self) -> Mapping[str, PluginMeta]:
        """The loaded plugins by name."""

    @property
    def _has_own_figures(self) -> bool: ...
    def _get_global_stats(self) -> Mapping[str, Any]: ...
    async def _get_global_stats_async(self) -> Mapping[str, Any]: ...
    def _evict_for_resources(self, needed_meta: PluginMeta) -> bool: ...


class PluginAdmission:
    """Puts calls of one manager before the resource scheduler of its user. Any thread."""

    def __init__(self, manager: Owner, scheduler: Any) -> None:
        self._manager: Owner = weakref.proxy(manager)
        self.scheduler: Any = PermissiveScheduler()
        self.is_chosen = False  # by the user; else what a manifest asks for is a wish
        if scheduler is not None:
            self.choose(scheduler)
        self.monitor: Any = None
        self._look = MonitorLook(self._asked)

    def choose(self, scheduler: Any) -> None:
        """Ask this scheduler from now on."""
        self.scheduler = scheduler
        self.is_chosen = True

    @property
    def lets_everything_start(self) -> bool:
        """True if the user chose a scheduler beside which nobody need look after memory.

        A `SafetyScheduler` is one, too: what does not fit fails, and does not wait for room.
        """
        return self.is_chosen and isinstance(self.scheduler, PermissiveScheduler)

    # -- figures -------------------------------------------------------------------------------

    def stats(self, meta: PluginMeta) -> Mapping[str, Any]:
        """Return fresh figures for a scheduler; a subclass of the manager may have its own."""
        return self._with_own(meta, self._manager._get_global_stats())

    async def stats_async(self, meta: PluginMeta) -> Mapping[str, Any]:
        """Do the same, awaited."""
        told = await self._manager._get_global_stats_async()
        return await asyncio.to_thread(self._with_own, meta, told)

    def _with_own(self, meta: PluginMeta, told: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add what an idle plugin holds already: it need not find that free again."""
        workers = [one for one in self._manager.loaded() if one.name == meta.name]
        if not told or not workers or any(one.busy for one in workers):
            return told
        needs = requirements_of(meta)
        own: dict[str, float] = {}
        if gpu_mib := needs.get("gpu_mib"):
            own["own_gpu_memory_mb"] = own_share(told, gpu_mib, workers)
        if "ram_mib" in needs and isinstance(meta.instance, PluginHandle):
            held = meta.instance.get_stats()["memory_rss_mb"]
            own["own_memory_mb"] = min(needs["ram_mib"], held)
        return {**told, **own}

    def ask_monitor(self) -> Mapping[str, Any]:
        """Return fresh figures of the system monitor; none if there is none or it fails."""
        if self.monitor is None:
            return {}
        try:
            return ask(self.monitor)
        except Exception as error:
            logger.warning("the system monitor failed: %s", error)
            return {}

    async def ask_monitor_async(self) -> Mapping[str, Any]:
        """Do the same, awaited."""
        if self.monitor is None:
            return {}
        execute = getattr(self.monitor, "execute_async", None)
        if not callable(execute):
            return await asyncio.to_thread(self.ask_monitor)
        try:
            return as_mapping(await execute("get_system_status"))
        except Exception as error:
            logger.warning("the system monitor failed: %s", error)
            return {}

    def _asked(self) -> Any:
        """Return who is asked: the monitor, or a user's manager with figures of its own."""
        return self._manager if self._manager._has_own_figures else self.monitor

    def figures(self, pids: Collection[int]) -> Figures | None:
        """Return what the monitor tells, for a queue's admission; wait some seconds at most."""
        status = self._look.look()
        if status is None:
            return None
        source = getattr(self.monitor, "name", None)
        return figures_of(status, str(source or "the system monitor"), pids)

    # -- admission -----------------------------------------------------------------------------

    def admit(self, meta: PluginMeta) -> None:
        """Wait, as long as the scheduler does, until the plugin may start.

        Raises:
            PluginBlockedError: it may not, and evicting idle plugins did not change that.
        """
        stats = partial(self.stats, meta)
        if not self.scheduler.allocate(meta, stats) and not self._manager._evict_for_resources(
            meta
        ):
            raise self._blocked(meta)

    async def admit_async(self, meta: PluginMeta) -> None:
        """Do the same, awaited."""
        allowed = await self.scheduler.allocate_async(meta, partial(self.stats_async, meta))
        if not allowed and not await asyncio.to_thread(self._manager._evict_for_resources, meta):
            raise self._blocked(meta)

    def make_room(self, meta: PluginMeta) -> bool:
        """Evict idle plugins that use the GPU, least recently used first, until it may start."""
        metas, workers = self._manager.plugins, self._manager.loaded()
        busy = {one.name for one in workers if one.busy}
        idle = {one.name: metas[one.name] for one in workers if one.name in metas}
        for name, one in sorted(idle.items(), key=lambda item: item[1].last_executed):
            if one is meta or name in busy or not one.resources.get("requires_gpu"):
                continue
            if self._manager.evict(name) is not None:
                continue
            if self.scheduler.allocate(meta, partial(self.stats, meta)):
                return True
        return False

    def _blocked(self, meta: PluginMeta) -> PluginBlockedError:
        why = missing(meta, self.stats(meta)) or "the scheduler gives no reason"
        return PluginBlockedError(f"plugin {meta.name!r} may not start: {why}")

    # -- around a call ---------------------------------------------------------------------------

    def begin(self, run: PluginRun) -> None:
        """Tell the scheduler of a run that was admitted, now and at its end."""
        run.at_end(self.tell_start(run.plugin.meta.name))

    def tell_start(self, name: str) -> Callable[[], None]:
        """Tell the scheduler that this plugin starts; returns what tells it of the end."""
        scheduler = self.scheduler
        self._tell(scheduler.on_execution_start, name)
        return lambda: self._tell(scheduler.on_execution_finish, name)

    def launch(self, run: PluginRun) -> None:
        """Admit a queue's job without holding up whoever launches it."""
        if type(self.scheduler) is PermissiveScheduler:
            run.plugin.enter(run)
            return
        meta = run.plugin.meta

        async def ask() -> bool:
            await self.admit_async(meta)
            return True

        def on_answer(allowed: bool | None, error: BaseException | None) -> None:
            if not allowed:  # nobody hears of a run that has ended meanwhile
                run.fail(failure_of(error or RuntimeError("the scheduler did not answer")))
            elif not run.over:
                self.begin(run)
                run.plugin.enter(run)

        run.phase("waiting for resources")
        run.at_end(OwnLoop("plugin-gate", ask, on_answer).cancel)

    def _tell(self, call: Any, name: str) -> None:
        try:
            call(name)
        except Exception:
            logger.exception("the resource scheduler failed at %r", call)
