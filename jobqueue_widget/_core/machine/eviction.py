"""Chooses the idle plugins to unload so that a job fits on the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .resources import Admitted, IdlePlugin, Ledger, MachineStats, ResourceRequest


def plan_eviction(
    ledger: Ledger,
    request: ResourceRequest,
    stats: MachineStats,
    idle: Sequence[IdlePlugin],
    beside: ResourceRequest | None = None,
) -> list[IdlePlugin]:
    """Choose the idle plugins to unload so that a job fits, least recently used first.

    None is unloaded in vain. Empty if the job fits without, or not even with all of them gone.
    The need of `beside`, a waiting job, is kept free, too.
    """

    def fits(gone: Sequence[IdlePlugin]) -> bool:
        return isinstance(ledger.decide(request, relieved(stats, gone), (), beside), Admitted)

    candidates = [
        plugin
        for plugin in sorted(idle, key=lambda plugin: plugin.last_used)
        if plugin.key != request.plugin and not ledger.uses_plugin(plugin.key)
    ]
    if fits(()) or not fits(candidates):
        return []
    chosen: list[IdlePlugin] = []
    for plugin in candidates:
        chosen.append(plugin)
        if fits(chosen):
            break
    for plugin in reversed(chosen.copy()):  # keep the most recently used if possible
        rest = [other for other in chosen if other is not plugin]
        if fits(rest):
            chosen = rest
    return chosen


def relieved(stats: MachineStats, gone: Iterable[IdlePlugin]) -> MachineStats:
    """Return the figures that the machine would have once the plugins in `gone` are unloaded."""
    ram = stats.ram_available_mib
    free = [gpu.free_mib for gpu in stats.gpus or ()]
    for plugin in gone:
        ram += plugin.holds.ram_mib
        for number, amount in plugin.holds.gpu_mib.items():
            if 0 <= number < len(free):
                free[number] += amount
    gpus = stats.gpus and tuple(
        replace(gpu, free_mib=min(gpu.total_mib, free[number]))
        for number, gpu in enumerate(stats.gpus)
    )
    return replace(stats, ram_available_mib=min(stats.ram_total_mib, ram), gpus=gpus)
