"""Asks NVML for NVIDIA GPUs and the holders of their memory; it may be missing, or hang."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._core.machine.resources import GpuStats

logger = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds; an answer takes milliseconds, the first one up to a second
MIB = 1 << 20
NOT_INSTALLED = 'nvidia-ml-py is not installed: pip install "jobqueue_widget[gpu]"'
NO_ANSWER = "the GPU driver does not answer"


@dataclass(frozen=True, slots=True)
class GpuLook:
    """What NVML said at one time; `gpus` is None if there may be some that could not be read.

    `holders`: for each pid that holds memory of a GPU, the MiB by the number of the GPU.
    """

    gpus: tuple[GpuStats, ...] | None
    note: str = ""
    holders: Mapping[int, Mapping[int, float]] = field(default_factory=dict)


class Gpus:
    """Reads all GPUs that NVML shows; `look` never takes longer than `PATIENCE`."""

    def __init__(self, library: str = "pynvml") -> None:
        self._library = library
        self._nvml: Any = None
        self._absent: GpuLook | None = None  # there is no library or no driver, for good
        self._thread: threading.Thread | None = None
        self._seen = GpuLook(None, NO_ANSWER)

    def look(self) -> GpuLook:
        """Read the GPUs; while an earlier reading hangs, say at once that there is no answer."""
        if self._absent is not None:
            return self._absent
        if self._thread is None or not self._thread.is_alive():
            self._seen = GpuLook(None, NO_ANSWER)
            self._thread = threading.Thread(target=self._look, name="jobqueue-nvml", daemon=True)
            self._thread.start()
            self._thread.join(PATIENCE)
        return self._seen

    def _look(self) -> None:
        if self._nvml is None and not self._load():
            return
        nvml = self._nvml
        try:
            self._seen = _read(nvml)
        except nvml.NVMLError as error:
            logger.warning("NVML: %s", error)
            self._seen = GpuLook(None, f"the GPU driver says: {error}")

    def _load(self) -> bool:
        try:
            nvml = importlib.import_module(self._library)
        except ImportError:
            self._seen = self._absent = GpuLook((), NOT_INSTALLED)
            return False
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            self._seen = self._absent = GpuLook((), f"no NVIDIA driver: {error}")
            return False
        self._nvml = nvml
        return True


def _read(nvml: Any) -> GpuLook:
    gpus: list[GpuStats] = []
    holders: dict[int, dict[int, float]] = {}
    for number in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        name = nvml.nvmlDeviceGetName(handle)
        name = name.decode() if isinstance(name, bytes) else str(name)
        uuid = _uuid(nvml, handle)
        gpus.append(GpuStats(memory.total / MIB, memory.free / MIB, name, uuid))
        for process in _processes(nvml, handle):
            if process.usedGpuMemory:  # None where the driver does not tell (WSL, MIG)
                on = holders.setdefault(process.pid, {})
                on[number] = max(on.get(number, 0.0), process.usedGpuMemory / MIB)
    return GpuLook(tuple(gpus), "" if gpus else "there is none", holders)


def _processes(nvml: Any, handle: Any) -> list[Any]:
    """List processes that compute and that draw; one that does both is there twice."""
    found: list[Any] = []
    for ask in (
        nvml.nvmlDeviceGetComputeRunningProcesses,
        nvml.nvmlDeviceGetGraphicsRunningProcesses,
    ):
        try:
            found += ask(handle)
        except nvml.NVMLError as error:
            logger.debug("NVML does not tell who uses a GPU: %s", error)
    return found


def _uuid(nvml: Any, handle: Any) -> str:
    try:
        uuid = nvml.nvmlDeviceGetUUID(handle)
    except nvml.NVMLError as error:
        logger.debug("NVML does not tell the UUID of a GPU: %s", error)
        return ""
    return uuid.decode() if isinstance(uuid, bytes) else str(uuid)
