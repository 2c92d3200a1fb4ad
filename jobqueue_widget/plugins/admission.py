"""Puts calls before the user's resource scheduler, and tells it when each begins and ends."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from .._core.told import Figures
from .._runtime.failures import failure_of
from ..errors import PluginBlockedError
from .figures import MonitorLook, as_mapping, ask, figures_of
from .gate import Gate
from .manifest import PluginMeta
from .runs import PluginRun
from .schedulers import PermissiveScheduler, missing

if TYPE_CHECKING:
    from .calls import Call
    from .manager import PluginManager

logger = logging.getLogger(__name__)


class Admission:
    """Of one manager. Any thread."""

    def __init__(self, manager: PluginManager, scheduler: Any) -> None:
        self._manager = weakref.proxy(manager)
        self.scheduler: Any = PermissiveScheduler()
        self.is_chosen = False  # by the user; else what a manifest asks for is a wish
        if scheduler is not None:
            self.choose(scheduler)
        self.monitor: Any = None
        self._look = MonitorLook(lambda: self.monitor)

    def choose(self, scheduler: Any) -> None:
        """Ask this one from now on."""
        self.scheduler = scheduler
        self.is_chosen = True

    @property
    def lets_everything_start(self) -> bool:
        """True if the user chose a scheduler beside which nobody need look after memory.

        A `SafetyScheduler` is one, too: what does not fit fails, and does not wait for room.
        """
        return self.is_chosen and isinstance(self.scheduler, PermissiveScheduler)

    # -- figures -------------------------------------------------------------------------------

    def stats(self) -> Mapping[str, Any]:
        """Fresh figures of the system monitor; none if there is none or it fails."""
        if self.monitor is None:
            return {}
        try:
            return ask(self.monitor)
        except Exception as error:
            logger.warning("the system monitor failed: %s", error)
            return {}

    async def stats_async(self) -> Mapping[str, Any]:
        """The same, awaited."""
        if self.monitor is None:
            return {}
        execute = getattr(self.monitor, "execute_async", None)
        if not callable(execute):
            return await asyncio.to_thread(self.stats)
        try:
            return as_mapping(await execute("get_system_status"))
        except Exception as error:
            logger.warning("the system monitor failed: %s", error)
            return {}

    def figures(self, pids: Collection[int]) -> Figures | None:
        """What the monitor tells, for a queue's admission; waits for it some seconds at most."""
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
        if not self.scheduler.allocate(meta, self.stats) and not self._make_room(meta):
            raise self._blocked(meta)

    async def admit_async(self, meta: PluginMeta) -> None:
        """The same, awaited."""
        allowed = await self.scheduler.allocate_async(meta, self.stats_async)
        if not allowed and not await asyncio.to_thread(self._make_room, meta):
            raise self._blocked(meta)

    def _make_room(self, meta: PluginMeta) -> bool:
        """Evict idle plugins that use the GPU, least recently used first, until it may start."""
        idle = sorted(self._manager.loaded(), key=lambda one: one.last_used)
        metas = self._manager.plugins
        for name in dict.fromkeys(one.name for one in idle if not one.busy):
            resources = metas[name].resources if name in metas else {}
            if name == meta.name or not resources.get("requires_gpu"):
                continue
            if self._manager.evict(name) is None and self.scheduler.allocate(meta, self.stats):
                return True
        return False

    def _blocked(self, meta: PluginMeta) -> PluginBlockedError:
        why = missing(meta, self.stats()) or "the scheduler gives no reason"
        return PluginBlockedError(f"plugin {meta.name!r} may not start: {why}")

    # -- around a call ---------------------------------------------------------------------------

    def begin(self, run: PluginRun) -> None:
        """It was admitted: tell the scheduler, now and at its end."""
        name, scheduler = run.plugin.meta.name, self.scheduler
        self._tell(scheduler.on_execution_start, name)
        run.at_end(lambda: self._tell(scheduler.on_execution_finish, name))

    def begin_call(self, call: Call) -> None:
        """The same."""
        self.begin(call.run)

    def launch(self, run: PluginRun) -> None:
        """Admit a queue's job without holding up whoever launches it."""
        if type(self.scheduler) is PermissiveScheduler:
            run.plugin.enter(run)
            return
        meta = run.plugin.meta

        async def ask() -> bool:
            await self.admit_async(meta)
            return True

        def on_answer(allowed: bool, error: BaseException | None) -> None:
            if not allowed:
                run.fail(failure_of(error or RuntimeError("the scheduler did not answer")))
            elif not run.over:
                self.begin(run)
                run.plugin.enter(run)

        run.phase("waiting for resources")
        gate = Gate(ask, on_answer)
        run.at_end(gate.stop)

    def _tell(self, call: Any, name: str) -> None:
        try:
            call(name)
        except Exception:
            logger.exception("the resource scheduler failed at %r", call)
