"""What plugin hosts say of memory: what their plugins need, what is loaded and holds how much."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from .._core.resources import (
    GPU,
    NOTHING,
    RAM,
    Amounts,
    MachineStats,
    PluginKey,
    ProcessMemory,
    clean,
)
from ..protocols import LoadedPlugin, OffersResources

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """All workers of one plugin. Not `measured`: one shows no process, what it asks for counts."""

    key: PluginKey
    name: str
    holds: ProcessMemory
    busy: bool
    last_used: float
    measured: bool


def workers_of(offers: OffersResources) -> list[LoadedPlugin]:
    """The workers that are there now; none if the host cannot say."""
    try:
        return list(offers.loaded())
    except Exception:
        logger.exception("a plugin host cannot say what it has loaded")
        return []


def by_plugin(
    workers: list[tuple[OffersResources, LoadedPlugin]], stats: MachineStats
) -> dict[PluginKey, Loaded]:
    """All workers of a plugin are one: idle if all are."""
    found: dict[PluginKey, Loaded] = {}
    for offers, worker in workers:
        measured = worker.pid is not None
        if worker.pid is None:
            holds = _declared(offers, worker.name, stats)
        else:
            holds = stats.processes.get(worker.pid, NOTHING)
        key = (id(offers), worker.name)
        known = found.get(key)
        if known is None:
            found[key] = Loaded(key, worker.name, holds, worker.busy, worker.last_used, measured)
        else:
            found[key] = Loaded(
                key,
                worker.name,
                _sum(known.holds, holds),
                known.busy or worker.busy,
                max(known.last_used, worker.last_used),
                known.measured and measured,
            )
    return found


def _declared(offers: OffersResources, name: str, stats: MachineStats) -> ProcessMemory:
    """What a worker without a process is taken to hold: what its plugin asks for."""
    need = requirements_of(offers, name)
    gpus = stats.gpus or ()
    fullest = min(range(len(gpus)), key=lambda number: gpus[number].free_mib, default=None)
    on_gpu = {} if fullest is None or GPU not in need else {fullest: need[GPU]}
    return ProcessMemory(need.get(RAM, 0.0), on_gpu)


def _sum(one: ProcessMemory, other: ProcessMemory) -> ProcessMemory:
    gpus = {
        number: one.gpu_mib.get(number, 0.0) + other.gpu_mib.get(number, 0.0)
        for number in {*one.gpu_mib, *other.gpu_mib}
    }
    return ProcessMemory(one.ram_mib + other.ram_mib, gpus)


def requirements_of(offers: OffersResources, name: str) -> Amounts:
    """What the host says the plugin needs; nothing if it cannot say."""
    try:
        return clean(offers.requirements(name))
    except Exception:
        logger.exception("a plugin host cannot say what %r needs", name)
        return {}


def evict(offers: OffersResources, name: str) -> str | None:
    """Have it unloaded; why that was not done, or None. Blocks."""
    try:
        return offers.evict(name)
    except Exception as error:
        logger.exception("plugin %s could not be unloaded", name)
        return f"{type(error).__name__}: {error}"
