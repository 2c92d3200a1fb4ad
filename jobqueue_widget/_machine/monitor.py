"""Reads what this machine has and what is free: memory, processors, GPUs, and who holds how much.

Figures are those of this process's container where it runs in one. Memory is in MiB (2**20 bytes),
also under the reference system's names, which end in `_mb`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from .._core.machine.resources import MachineStats, ProcessMemory
from ..child.offspring import LISTED, children_of
from .cgroup import read_limits
from .gpus import MIB, GpuLook, Gpus


class SystemMonitor:
    """Reads psutil, the control groups and NVML. One thread at a time.

    A `protocols.ResourceSource`; `status()` gives the same under the reference system's names.

    Example:
        ```python
        from jobqueue_widget._machine.monitor import SystemMonitor

        status = SystemMonitor().status()
        assert status["memory_available_mb"] <= status["memory_total_mb"]
        ```
    """

    def __init__(self, gpus: Gpus | None = None, root: Path = Path("/")) -> None:
        self._gpus = gpus or Gpus()
        self._root = root
        psutil.cpu_percent()  # each call tells of the time since the last one

    def read(self, pids: Collection[int] = ()) -> MachineStats:
        """Read the machine, and what each of these processes and its descendants hold."""
        memory, limits = psutil.virtual_memory(), read_limits(self._root)
        cpus = min(float(_processors()), limits.cpus)
        look = self._gpus.look()
        processes, cpu_seconds = _use_of_trees(pids, look) if pids else ({}, {})
        busy = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
        return MachineStats(
            ram_total_mib=min(memory.total, limits.memory_bytes) / MIB,
            ram_available_mib=min(memory.available, limits.available_bytes) / MIB,
            cpus=cpus,
            cpus_busy=min(busy, cpus),
            gpus=look.gpus,
            gpu_note=look.note,
            processes=processes,
            cpu_seconds=cpu_seconds,
        )

    def status(self) -> dict[str, Any]:
        """Read the machine, under the names that schedulers of the reference system read.

        `gpu_type` and the `gpu_*_mb` are of one GPU, the one with the most free memory, since a
        plugin runs on one. Without a GPU the `gpu_*_mb` are 0 and `gpu_note` says why; they are
        None if the driver cannot be read.
        """
        stats = self.read()
        used = stats.ram_total_mib - stats.ram_available_mib
        gpus = stats.gpus
        best = max(gpus or (), key=lambda gpu: gpu.free_mib, default=None)
        free: float | None = None if gpus is None else best.free_mib if best else 0.0
        whole: float | None = None if gpus is None else best.total_mib if best else 0.0
        return {
            "cpu_percent": round(100 * stats.cpus_busy / stats.cpus, 1),
            "cpu_count": stats.cpus,
            "memory_total_mb": round(stats.ram_total_mib, 1),
            "memory_available_mb": round(stats.ram_available_mib, 1),
            "memory_used_mb": round(used, 1),
            "memory_percent": round(100 * used / stats.ram_total_mib, 1),
            "gpu_count": 0 if gpus is None else len(gpus),
            "gpu_type": best.name if best else "None",
            "gpu_total_memory_mb": whole if whole is None else round(whole, 1),
            "gpu_free_memory_mb": free if free is None else round(free, 1),
            "gpu_used_memory_mb": (
                None if whole is None or free is None else round(whole - free, 1)
            ),
            "gpu_note": stats.gpu_note,
            "gpus": [
                {
                    "name": gpu.name,
                    "total_memory_mb": round(gpu.total_mib, 1),
                    "free_memory_mb": round(gpu.free_mib, 1),
                }
                for gpu in gpus or ()
            ],
        }


def _processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count() or 1


def _use_of_trees(
    pids: Collection[int], look: GpuLook
) -> tuple[dict[int, ProcessMemory], dict[int, float]]:
    """Sum what process trees hold and have used, by their roots.

    Shared pages count in each process. A process that has ended counts with who has waited for it.

    Returns:
        Memory, and seconds of processors.
    """
    roots = dict.fromkeys(pids, 0.0)
    seconds = dict.fromkeys(pids, 0.0)
    on_gpu: dict[int, dict[int, float]] = {pid: {} for pid in pids}
    for pid, root in roots_of_trees(pids).items():
        try:
            process = psutil.Process(pid)
            roots[root] += process.memory_info().rss / MIB
            used = process.cpu_times()
            seconds[root] += used.user + used.system + used.children_user + used.children_system
        except psutil.Error:
            continue
        for number, mib in look.holders.get(pid, {}).items():
            on_gpu[root][number] = on_gpu[root].get(number, 0.0) + mib
    return {pid: ProcessMemory(ram, on_gpu[pid]) for pid, ram in roots.items()}, seconds


def roots_of_trees(pids: Collection[int]) -> dict[int, int]:
    """Return the nearest root of each process that is one of `pids` or descends from one.

    Where Linux lists children only these trees are read; else all processes of the machine.
    """
    if not LISTED:
        parents = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                parents[process.pid] = process.ppid()
        roots = {pid: _root_of(pid, lambda one: parents.get(one, one), pids) for pid in parents}
        return {pid: root for pid, root in roots.items() if root is not None}
    found = {pid: pid for pid in pids}
    left = list(found)
    while left:
        parent = left.pop()
        new = [pid for pid in children_of(parent) if pid not in found]
        found |= dict.fromkeys(new, found[parent])
        left += new
    return found


def holders_by_root(
    pids: Collection[int], holders: Mapping[int, Mapping[int, float]]
) -> dict[int, dict[int, float]]:
    """Sum up what whole process trees hold of each GPU, for those that hold any.

    Both mappings have MiB by the number of the GPU, by a pid: `holders` of each process, what is
    returned of the roots in `pids`.
    """
    found: dict[int, dict[int, float]] = {}
    for pid, held in holders.items():
        root = _root_of(pid, _parent_of, pids)
        if root is not None:
            on = found.setdefault(root, {})
            for number, mib in held.items():
                on[number] = on.get(number, 0.0) + mib
    return found


def _parent_of(pid: int) -> int:
    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return pid


def _root_of(pid: int, parent_of: Callable[[int], int], roots: Collection[int]) -> int | None:
    """Find the nearest of `roots` that a process is, or descends from."""
    seen: set[int] = set()
    while pid not in seen:
        if pid in roots:
            return pid
        seen.add(pid)
        pid = parent_of(pid)
    return None
