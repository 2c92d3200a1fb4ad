"""Asks the system monitor that the user registered, and turns its answer into figures."""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import psutil

from .._core.machine.resources import GpuStats
from .._core.machine.told import Figures
from .._core.texts.causes import amount_of
from ..protocols import LoadedPlugin
from .gpus import MIB
from .monitor import holders_by_root

logger = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds that a reading waits for the monitor; a plugin takes some 10 ms
STALE = 30.0  # seconds after which its last answer is not used any more
SAME = 0.01  # totals of memory that differ by at most this share are of the same machine


def ask(monitor: Any) -> Mapping[str, Any]:
    """Return a system monitor's figures by name.

    `monitor` has `get_system_status()`, or `_get_global_stats()` as a plugin manager of the
    reference system has; or it is a plugin, and `execute("get_system_status")` is called.

    Raises:
        Exception: whatever it raises.
    """
    for name in ("get_system_status", "_get_global_stats"):
        status = getattr(monitor, name, None)
        if callable(status):
            return as_mapping(status())
    return as_mapping(monitor.execute("get_system_status"))


def as_mapping(told: Any) -> Mapping[str, Any]:
    """Return an answer's figures by name, also of a dataclass; empty for anything else."""
    if dataclasses.is_dataclass(told) and not isinstance(told, type):
        return {field.name: getattr(told, field.name) for field in dataclasses.fields(told)}
    return told if isinstance(told, Mapping) else {}


class MonitorLook:
    """Asks a system monitor in a thread of its own, and waits for `PATIENCE` at most.

    While an earlier question is unanswered, nothing is asked and nobody waits.
    """

    def __init__(self, monitor: Callable[[], Any]) -> None:
        self._monitor = monitor
        self._thread: threading.Thread | None = None
        self._told: tuple[int, float, Mapping[str, Any]] | None = None

    def look(self) -> Mapping[str, Any] | None:
        """Return its answer, or that of at most `STALE` seconds ago; None if there is neither."""
        monitor = self._monitor()
        if monitor is None:
            return None
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._ask, args=(monitor,), name="jobqueue-monitor", daemon=True
            )
            self._thread.start()
            self._thread.join(PATIENCE)
        told = self._told
        if told is None or told[0] != id(monitor) or time.monotonic() - told[1] > STALE:
            return None
        return told[2]

    def _ask(self, monitor: Any) -> None:
        try:
            told = ask(monitor)
        except Exception as error:
            logger.warning("the system monitor failed: %s", error)
            return
        self._told = (id(monitor), time.monotonic(), told)


def figures_of(status: Mapping[str, Any], source: str, pids: Collection[int]) -> Figures:
    """Turn a monitor's answer, under the names of the reference system, into figures.

    GPUs are listed one by one if the answer does so (under `gpus`, or `details.details.gpu_0` as
    cjm-system-monitor-nvidia does), else its sums count as one GPU. Its figures of main memory are
    left out if their total is this machine's: our own also know the limits of a container.
    """
    total, free = _mib(status, "memory_total_mb"), _mib(status, "memory_available_mb")
    if total is not None and abs(total - psutil.virtual_memory().total / MIB) <= SAME * total:
        total = free = None
    gpus = tuple(_gpus(status))
    if not gpus:
        told = _one_gpu(status)
    return Figures(
        source,
        gpus or told,
        ram_total_mib=total if free is not None else None,
        ram_available_mib=None if free is None or total is None else min(free, total),
        on_gpu=_on_gpu(status, pids),
    )


def own_share(
    status: Mapping[str, Any], gpu_mib: float, workers: Collection[LoadedPlugin]
) -> float:
    """Return the MiB of GPU memory that a plugin's idle workers hold, `gpu_mib` at most.

    Where the monitor names no holders: `gpu_mib`, or all that is used if that is less, once one of
    the workers has executed; else 0.
    """
    held = _on_gpu(status, [one.pid for one in workers if one.pid is not None])
    if held is not None:
        return min(gpu_mib, sum(sum(on_gpu.values()) for on_gpu in held.values()))
    used = sum(gpu.total_mib - gpu.free_mib for gpu in figures_of(status, "", ()).gpus or ())
    return min(gpu_mib, max(0.0, used)) if any(one.executed for one in workers) else 0.0


def _one_gpu(status: Mapping[str, Any]) -> tuple[GpuStats, ...] | None:
    free = _mib(status, "gpu_free_memory_mb")
    total = _mib(status, "gpu_total_memory_mb")
    if free is None:
        return None
    if not free and not total:
        return ()
    if total is None or total < free:
        total = math.inf  # no total is told: no request is too large for it
    return (GpuStats(total, free, _name(status, "gpu_type")),)


def _gpus(status: Mapping[str, Any]) -> Iterator[GpuStats]:
    """List the GPUs that an answer tells apart; none if one of them cannot be read."""
    listed = status.get("gpus")
    if isinstance(listed, (list, tuple)):
        names = ("total_memory_mb", "free_memory_mb")
    else:
        details = as_mapping(as_mapping(status.get("details")).get("details"))
        listed = [details[f"gpu_{n}"] for n in range(len(details)) if f"gpu_{n}" in details]
        names = ("memory_total", "memory_free")
    found = []
    for one in map(as_mapping, listed):
        total, free = (_mib(one, name) for name in names)
        if not total or free is None:
            return
        found.append(GpuStats(total, min(free, total), _name(one, "name")))
    yield from found


def _on_gpu(
    status: Mapping[str, Any], pids: Collection[int]
) -> Mapping[int, Mapping[int, float]] | None:
    """Read MiB by GPU by pid, as cjm-system-monitor-nvidia tells; None if it names no pid."""
    listed = as_mapping(status.get("details")).get("processes")
    if not isinstance(listed, (list, tuple)) or not listed:
        return None
    holders: dict[int, dict[int, float]] = {}
    for one in map(as_mapping, listed):
        pid, number, mib = one.get("pid"), one.get("gpu_index", 0), _mib(one, "gpu_memory_mb")
        if isinstance(pid, int) and 0 < pid < 1 << 31 and isinstance(number, int) and mib:
            on = holders.setdefault(pid, {})
            on[number] = max(on.get(number, 0.0), mib)
    if not any(map(psutil.pid_exists, holders)):
        return None  # pids of another namespace, as in a container
    return holders_by_root(pids, holders)


def _name(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if type(value) is str else ""


def _mib(told: Mapping[str, Any], name: str) -> float | None:
    return amount_of(told.get(name))
