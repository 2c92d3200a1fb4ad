"""Asks plugin hosts about memory: what plugins need, which are loaded, and what they hold."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from .._core.machine.resources import (
    GPU,
    NOTHING,
    RAM,
    Amounts,
    IdlePlugin,
    MachineStats,
    PluginKey,
    ProcessMemory,
    clean,
)
from .._core.machine.told import Figures, as_told
from ..protocols import HasMonitor, LoadedPlugin, OffersResources

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """All workers of one plugin, and what they hold together; by default none.

    `measured`, `gpu_measured`: `holds` was read; else one of the workers shows no process, or not
    what it holds on GPUs, and what its manifest asks for counts instead.
    """

    key: PluginKey
    name: str
    holds: ProcessMemory = NOTHING
    busy: bool = False
    last_used: float = -math.inf
    measured: bool = True
    gpu_measured: bool = True


def figures_of(offers: OffersResources, pids: Collection[int]) -> Figures | None:
    """Ask the host's monitor; None if it has none, or no answer. May take seconds."""
    if not isinstance(offers, HasMonitor):
        return None
    try:
        return offers.figures(pids)
    except Exception:
        logger.exception("a plugin host cannot say what its monitor tells")
        return None


def workers_of(offers: OffersResources) -> list[LoadedPlugin]:
    """List the workers that a host has loaded; none if it cannot say."""
    try:
        return list(offers.loaded())
    except Exception:
        logger.exception("a plugin host cannot say what it has loaded")
        return []


def by_plugin(
    workers: list[tuple[OffersResources, LoadedPlugin]],
    stats: MachineStats,
    told: Mapping[int, Figures | None],
) -> dict[PluginKey, Loaded]:
    """Join the workers of each plugin, idle if all are; `told` is by the id of the host."""
    found: dict[PluginKey, Loaded] = {}
    for offers, worker in workers:
        seen = as_told(stats, told.get(id(offers)))
        measured = worker.pid is not None
        gpu_measured = measured and seen.gpu_use_known
        if worker.pid is None:
            holds = _declared(offers, worker.name, seen)
        else:
            holds = seen.processes.get(worker.pid, NOTHING)
            if not gpu_measured:
                declared = _declared(offers, worker.name, seen)
                holds = replace(holds, gpu_mib=declared.gpu_mib if worker.executed else {})
        key = (id(offers), worker.name)
        known = found.get(key) or Loaded(key, worker.name)
        found[key] = Loaded(
            key,
            worker.name,
            _sum(known.holds, holds),
            known.busy or worker.busy,
            max(known.last_used, worker.last_used),
            known.measured and measured,
            known.gpu_measured and gpu_measured,
        )
    return found


def _declared(offers: OffersResources, name: str, stats: MachineStats) -> ProcessMemory:
    """Return what counts as held where it cannot be read: the need, on a GPU at most its use."""
    need = requirements_of(offers, name)
    gpus = stats.gpus or ()
    fullest = min(range(len(gpus)), key=lambda number: gpus[number].free_mib, default=None)
    if fullest is None or GPU not in need:
        return ProcessMemory(need.get(RAM, 0.0))
    used = max(0.0, gpus[fullest].total_mib - gpus[fullest].free_mib)
    return ProcessMemory(need.get(RAM, 0.0), {fullest: min(need[GPU], used)})


def _sum(one: ProcessMemory, other: ProcessMemory) -> ProcessMemory:
    gpus = {
        number: one.gpu_mib.get(number, 0.0) + other.gpu_mib.get(number, 0.0)
        for number in {*one.gpu_mib, *other.gpu_mib}
    }
    return ProcessMemory(one.ram_mib + other.ram_mib, gpus)


def requirements_of(offers: OffersResources, name: str) -> Amounts:
    """Ask the host what a plugin needs; nothing if it cannot say."""
    try:
        return clean(offers.requirements(name))
    except Exception:
        logger.exception("a plugin host cannot say what %r needs", name)
        return {}


def evict(offers: OffersResources, name: str) -> str | None:
    """Have the host unload a plugin; return why it was not done, or None. Blocks."""
    try:
        return offers.evict(name)
    except Exception as error:
        logger.exception("plugin %s could not be unloaded", name)
        return f"{type(error).__name__}: {error}"


def at_most(plugin: IdlePlugin, loaded: Loaded, stats: MachineStats) -> IdlePlugin:
    """Let a plugin hold all that is used of its GPUs, where what it holds was not read."""
    if loaded.gpu_measured:
        return plugin
    gpus = stats.gpus or ()
    on_gpu = {n: gpus[n].total_mib - gpus[n].free_mib for n in plugin.holds.gpu_mib}
    return replace(plugin, holds=replace(plugin.holds, gpu_mib=on_gpu))
