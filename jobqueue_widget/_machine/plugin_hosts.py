"""The plugin hosts that queues of this process use, and what the monitors of each tell."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from .._core.machine.resources import Amounts, MachineStats, PluginKey
from .._core.machine.told import Figures, as_told, checkable
from ..protocols import HasMonitor, OffersResources

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Host:
    """One host; `figures` are as old as the last look."""

    offers: OffersResources
    users: int = 1
    unsubscribe: Callable[[], None] = lambda: None
    figures: Figures | None = None

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Be told of what it loads, unloads and frees."""
        try:
            self.unsubscribe = self.offers.on_change(on_change)
        except Exception:
            text = "a plugin host does not tell of changes; it is looked at all the same"
            logger.exception(text)


class Hosts:
    """By their identity. Under the admission's lock."""

    def __init__(self) -> None:
        self._hosts: dict[int, Host] = {}

    def add(self, offers: OffersResources) -> Host | None:
        """One more queue uses it; None if another did before."""
        host = self._hosts.get(id(offers))
        if host is not None:
            host.users += 1
            return None
        host = self._hosts[id(offers)] = Host(offers)
        return host

    def remove(self, offers: OffersResources) -> Host | None:
        """One fewer; the host, if it was the last."""
        host = self._hosts[id(offers)]
        host.users -= 1
        return None if host.users else self._hosts.pop(id(offers))

    def all(self) -> list[Host]:
        """Every one that is used."""
        return list(self._hosts.values())

    def get(self, host_id: int) -> Host | None:
        """By its identity; None if it is not used any more."""
        return self._hosts.get(host_id)

    def as_told(self, stats: MachineStats, plugin: PluginKey | None) -> MachineStats:
        """The machine as the monitor of the plugin's host has it.

        Where there is none, another host's may tell of the GPUs.
        """
        own = self._hosts.get(plugin[0]) if plugin is not None else None
        if own is not None and own.figures is not None:
            return as_told(stats, own.figures)
        told = (host.figures for host in self._hosts.values() if host.figures is not None)
        other = next(told, None)
        return as_told(stats, other and replace(other, ram_total_mib=None))

    def checkable(
        self, need: Amounts, plugin: PluginKey | None, stats: MachineStats | None
    ) -> tuple[Amounts, Mapping[str, str]]:
        """What can be asked of this machine of what a plugin's manifest asks for; why not the rest.

        Args:
            need: what it asks for.
            plugin: None if it is no manifest that asks: then all of it is insisted on.
            stats: our own look at the machine; None: there was none yet.
        """
        if plugin is None or stats is None:
            return need, {}
        host = self._hosts.get(plugin[0])
        firm = host is None or not isinstance(host.offers, HasMonitor) or host.offers.is_firm
        return checkable(need, self.as_told(stats, plugin), firm=firm)
