"""Machines that say what a test wants, and a plugin host whose plugins hold memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobqueue_widget._core.machine.resources import GpuStats, MachineStats, ProcessMemory
from jobqueue_widget._machine.monitor import SystemMonitor
from jobqueue_widget.protocols import LoadedPlugin
from jobqueue_widget.testing import FakePluginHost
from tests.reference import manifest


class Machine:
    """A source of figures. `taken` is what other programs use; processes hold what they are set."""

    def __init__(
        self, ram: float = 16_000.0, gpus: Collection[float] = (), cpus: float = 8.0
    ) -> None:
        self.ram = ram
        self.cpus = cpus
        self.gpus: list[float] | None = list(gpus)
        self.taken = 0.0
        self.gpu_taken = [0.0] * len(gpus)
        self.uuids = [""] * len(gpus)
        self.holds: dict[int, ProcessMemory] = {}
        self.looks = 0
        self.hangs = threading.Event()  # cleared: `read` waits
        self.hangs.set()
        self.error: Exception | None = None

    def read(self, pids: Collection[int]) -> MachineStats:
        self.looks += 1
        assert self.hangs.wait(20)
        if self.error is not None:
            raise self.error
        held = list(self.holds.values())
        gpus = None
        if self.gpus is not None:
            gpus = tuple(
                GpuStats(
                    total,
                    total
                    - self.gpu_taken[number]
                    - sum(one.gpu_mib.get(number, 0.0) for one in held),
                    uuid=self.uuids[number],
                )
                for number, total in enumerate(self.gpus)
            )
        return MachineStats(
            ram_total_mib=self.ram,
            ram_available_mib=self.ram - self.taken - sum(one.ram_mib for one in held),
            cpus=self.cpus,
            gpus=gpus,
            gpu_note="" if gpus else "the test has none",
            processes={pid: self.holds.get(pid, ProcessMemory()) for pid in pids},
        )

    def stats_of(self, pid: int, ram: float, cpu: float = 0.0, gpu: float = 0.0) -> MachineStats:
        """A look at which one process holds and has used so much."""
        held = ProcessMemory(ram, {0: gpu} if gpu else {})
        look = MachineStats(self.ram, self.ram, self.cpus)
        return replace(look, processes={pid: held}, cpu_seconds={pid: cpu})


class MemoryHost(FakePluginHost):
    """A fake host whose plugins hold what they need from their first run until they are evicted."""

    def __init__(
        self,
        machine: Machine,
        needs: Mapping[str, Mapping[str, float]],
        **functions: Callable[..., object],
    ) -> None:
        super().__init__(**functions)
        self.machine = machine
        self.needs = needs
        self.pids = {name: 1_000_000 + number for number, name in enumerate(functions)}
        self.busy: dict[str, int] = dict.fromkeys(functions, 0)
        self.used: dict[str, float] = {}  # loaded plugins: when they were last used
        self.evicted: list[str] = []
        self.evicted_busy: list[str] = []
        self.lock = threading.Lock()
        self.let_evict = threading.Event()
        self.let_evict.set()
        self._callbacks: list[Callable[[], None]] = []

    def _changed(self) -> None:
        for callback in list(self._callbacks):
            callback()

    def load(self, name: str) -> None:
        """It holds what it needs now."""
        with self.lock:
            self.used[name] = time.monotonic()
            need = self.needs.get(name, {})
            on_gpu = {0: need["gpu_mib"]} if need.get("gpu_mib") else {}
            holds = ProcessMemory(need.get("ram_mib", 0.0), on_gpu)
            self.machine.holds[self.pids[name]] = holds
        self._changed()

    async def execute_plugin_async(self, plugin: str, /, *args: Any, **kwargs: Any) -> object:
        with self.lock:
            self.busy[plugin] += 1
        self.load(plugin)
        try:
            return await super().execute_plugin_async(plugin, *args, **kwargs)
        finally:
            with self.lock:
                self.busy[plugin] -= 1
                self.used[plugin] = time.monotonic()
            self._changed()

    # -- protocols.OffersResources ---------------------------------------------------------------

    def requirements(self, name: str) -> Mapping[str, float]:
        return self.needs.get(name, {})

    def loaded(self) -> list[LoadedPlugin]:
        with self.lock:
            return [
                LoadedPlugin(name, self.pids[name], self.busy[name] > 0, at)
                for name, at in self.used.items()
            ]

    def evict(self, name: str) -> str | None:
        assert self.let_evict.wait(20)
        with self.lock:
            if self.busy[name]:
                self.evicted_busy.append(name)
                return "busy"
            self.evicted.append(name)
            self.used.pop(name, None)
            self.machine.holds.pop(self.pids[name], None)
        self._changed()
        return None

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)


class SmallMachine(SystemMonitor):
    """The real monitor, on a machine with little memory that only our real processes fill."""

    def __init__(self, ram: float) -> None:
        super().__init__()
        self._ram = ram

    def read(self, pids: Collection[int] = ()) -> MachineStats:
        stats = super().read(pids)
        held = sum(process.ram_mib for process in stats.processes.values())
        return replace(stats, ram_total_mib=self._ram, ram_available_mib=max(0.0, self._ram - held))


def write_hoarders(folder: Path, **ram_mib: float) -> Path:
    """Manifests of plugins that hold memory, with what each asks for."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, amount in ram_mib.items():
        told = manifest(name, "Hoarder", resources={"min_system_ram_mb": amount})
        (folder / f"{name}.json").write_text(json.dumps(told | {"module": "hoarder"}))
    return folder
