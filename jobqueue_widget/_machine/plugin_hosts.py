"""Keeps the plugin hosts that queues of this process use, and what the monitor of each told."""

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
    """One host, with the queues that use it and its monitor's figures at the last reading."""

    offers: OffersResources
    users: int = 1
    unsubscribe: Callable[[], None] = lambda: None
    figures: Figures | None = None

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` whenever the host loads, unloads or frees something."""
        try:
            self.unsubscribe = self.offers.on_change(on_change)
        except Exception:
            text = "a plugin host does not tell of changes; it is looked at all the same"
            logger.exception(text)


class Hosts:
    """The hosts in use, by identity. Under the admission's lock."""

    def __init__(self) -> None:
        self._hosts: dict[int, Host] = {}

    def add(self, offers: OffersResources) -> Host | None:
        """Count one more queue that uses a host; return it if it is the first."""
        host = self._hosts.get(id(offers))
        if host is not None:
            host.users += 1
            return None
        host = self._hosts[id(offers)] = Host(offers)
        return host

    def remove(self, offers: OffersResources) -> Host | None:
        """Count one queue fewer; return the host if it was the last."""
        host = self._hosts[id(offers)]
        host.users -= 1
        return None if host.users else self._hosts.pop(id(offers))

    def all(self) -> list[Host]:
        """List all hosts in use."""
        return list(self._hosts.values())

    def get(self, host_id: int) -> Host | None:
        """Find a host by its identity; None if it is not used any more."""
        return self._hosts.get(host_id)

    def as_told(self, stats: MachineStats, plugin: PluginKey | None) -> MachineStats:
        """Return `stats` with the figures of the monitor of the plugin's host in place of ours.

        If that host has no monitor, those of another host's monitor replace ours for GPUs only.
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
        """Split a plugin's need into what can be checked here and why the rest cannot.

        Without a plugin the need is a job's own, and all of it is checked.
        """
        if plugin is None or stats is None:
            return need, {}
        host = self._hosts.get(plugin[0])
        firm = host is None or not isinstance(host.offers, HasMonitor) or host.offers.is_firm
        return checkable(need, self.as_told(stats, plugin), firm=firm)
