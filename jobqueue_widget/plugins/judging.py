"""Holds what judges whether a plugin may start: a scheduler and a system monitor."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

from .._core.machine.told import Figures
from .handle import PluginHandle
from .manifests.manifest import PluginLoadWarning
from .reference_names import ReferenceNames
from .runtime import PluginRuntime
from .schedulers import ResourceScheduler


class Judging(ReferenceNames):
    """The part of `PluginManager` that sets both. Any thread."""

    _runtime: PluginRuntime

    def get_plugin(self, plugin_name: str) -> PluginHandle | None:
        """A loaded plugin, or None."""
        raise NotImplementedError

    @property
    def scheduler(self) -> Any:
        """Decides when a plugin may start."""
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
        """False, without a scheduler of the user's: more than the machine has runs all the same."""
        return self._admission.is_chosen

    def figures(self, pids: Collection[int]) -> Figures | None:
        """What the system monitor tells; waits for it for some seconds at most."""
        return self._admission.figures(pids)
