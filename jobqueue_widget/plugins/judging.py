"""Sets what judges whether a plugin may start: a scheduler and a system monitor."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

from .._core.machine.told import Figures
from .admission import PluginAdmission
from .handle import PluginHandle
from .manifests.manifest import PluginLoadWarning, PluginMeta
from .runtime import PluginRuntime
from .schedulers import ResourceScheduler


class Judging:
    """The part of `PluginManager` that sets both. Any thread.

    Its private methods are names of the reference manager, whose subclasses override them.
    """

    _admission: PluginAdmission
    _runtime: PluginRuntime

    def get_plugin(self, plugin_name: str) -> PluginHandle | None:
        """Return a loaded plugin, or None."""
        raise NotImplementedError

    @property
    def scheduler(self) -> Any:
        """What decides when a plugin may start."""
        return self._admission.scheduler

    @scheduler.setter
    def scheduler(self, scheduler: ResourceScheduler) -> None:
        self._admission.choose(scheduler)

    @property
    def system_monitor(self) -> Any:
        """What the figures of this machine come from, or None."""
        return self._admission.monitor

    @system_monitor.setter
    def system_monitor(self, monitor: Any) -> None:
        self._admission.monitor = monitor
        self._runtime.tell()

    def register_system_monitor(self, plugin_name: str | Any) -> None:
        """Take the figures of this machine from a loaded plugin, or an object with `execute`.

        The scheduler and queues over this manager judge by them.
        """
        if isinstance(plugin_name, str):
            monitor: Any = self.get_plugin(plugin_name)
            if monitor is None:
                text = f"plugin {plugin_name!r} is not loaded: the scheduler has no figures"
                warnings.warn(text, PluginLoadWarning, stacklevel=2)
        else:
            monitor = plugin_name
        self.system_monitor = monitor

    @property
    def is_firm(self) -> bool:
        """False without a scheduler of the user's: what needs too much runs all the same."""
        return self._admission.is_chosen

    def figures(self, pids: Collection[int]) -> Figures | None:
        """Return what the system monitor tells; wait some seconds for it at most."""
        return self._admission.figures(pids)

    @property
    def _has_own_figures(self) -> bool:
        """True if the class of this manager gets its figures in another way than by the monitor."""
        return type(self)._get_global_stats is not Judging._get_global_stats

    def _get_global_stats(self) -> dict[str, Any]:
        """Return what the system monitor tells now; {} if there is none or it fails."""
        return dict(self._admission.ask_monitor())

    async def _get_global_stats_async(self) -> dict[str, Any]:
        """Do the same, awaited."""
        return dict(await self._admission.ask_monitor_async())

    def _evict_for_resources(self, needed_meta: PluginMeta) -> bool:
        """Evict idle plugins that use the GPU, until the scheduler lets this one start."""
        return self._admission.make_room(needed_meta)
