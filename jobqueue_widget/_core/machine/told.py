"""Uses the figures of the user's system monitor, and finds which needs can be checked at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .resources import GPU, RAM, Amounts, GpuStats, MachineStats, impossible


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a system monitor of the user's, None where it tells nothing.

    `gpus` is empty if it knows of none. `on_gpu`: MiB by the number of the GPU, by the pid of the
    root of each tree that holds any. `source` names the monitor.
    """

    source: str
    gpus: tuple[GpuStats, ...] | None = None
    ram_total_mib: float | None = None
    ram_available_mib: float | None = None
    on_gpu: Mapping[int, Mapping[int, float]] | None = None


def as_told(stats: MachineStats, figures: Figures | None) -> MachineStats:
    """Return the machine with a monitor's figures in place of our own.

    A monitor's sum over several GPUs is not used where our driver tells them apart, as it does not
    say which of them a job would use.
    """
    if figures is None:
        return stats
    gpus = figures.gpus
    if gpus is not None and not stats.gpus:
        seen = figures.on_gpu
        processes = {
            pid: replace(held, gpu_mib=(seen or {}).get(pid, {}))
            for pid, held in stats.processes.items()
        }
        stats = replace(
            stats,
            gpus=gpus,
            gpu_note="" if gpus else f"{figures.source} shows none",
            processes=processes,
            monitored=True,
            gpu_use_known=seen is not None,
        )
    elif gpus is not None and stats.gpus and len(gpus) == len(stats.gpus):
        named = zip(gpus, stats.gpus, strict=True)
        told = tuple(replace(gpu, uuid=gpu.uuid or ours.uuid) for gpu, ours in named)
        stats = replace(stats, gpus=told, monitored=True)
    if figures.ram_total_mib is not None and figures.ram_available_mib is not None:
        stats = replace(
            stats, ram_total_mib=figures.ram_total_mib, ram_available_mib=figures.ram_available_mib
        )
    return stats


def checkable(
    declared: Amounts, stats: MachineStats, *, firm: bool
) -> tuple[Amounts, Mapping[str, str]]:
    """Split a manifest's need into what can be checked here and why the rest cannot.

    A GPU that nobody here can see is unknown, not missing: the plugin may well find it. `firm`:
    more than the machine has is impossible; else it is only noted.

    Returns:
        What to reserve; and by the name of a resource why it is not checked.
    """
    kept, notes = dict(declared), dict[str, str]()
    for name in (RAM, GPU):
        verdict = impossible({name: kept[name]}, stats) if name in kept else None
        is_unknown = name == GPU and not stats.gpus and not stats.monitored
        if verdict is not None and (is_unknown or not firm):
            del kept[name]
            notes[name] = verdict.text
    return kept, notes


def unchecked_text(notes: Mapping[str, str], *, why: bool = False) -> str:
    """Name the needs that were not checked, as "GPU memory not checked"; "" if there are none."""
    told = [f"{_UNCHECKED[name]} not checked{f': {notes[name]}' * why}" for name in notes]
    return "; ".join(told)


_UNCHECKED = {RAM: "RAM", GPU: "GPU memory"}
