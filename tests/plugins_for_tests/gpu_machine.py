"""A machine with one simulated GPU: models that take its memory, and a monitor that tells of it.

Who holds how much stands in a folder, one file per process; what a dead one held is free again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psutil

FOLDER = "GPU_MACHINE"
TOTAL = 24_000.0  # MiB


def held() -> dict[int, float]:
    """MiB by the pid of each process that lives; 0 stands for other programs."""
    found: dict[int, float] = {}
    for path in Path(os.environ[FOLDER]).glob("*.mib"):
        pid = int(path.stem)
        if pid == 0 or psutil.pid_exists(pid):
            found[pid] = float(path.read_text() or 0)
    return found


class _Plugin:
    version = "1.0"

    def __init__(self) -> None:
        self._config: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return type(self).__name__

    def initialize(self, config: dict[str, Any] | None = None) -> None:
        self._config = dict(config or {})

    def get_config_schema(self) -> dict[str, Any]:
        return {}

    def get_current_config(self) -> dict[str, Any]:
        return self._config

    def cleanup(self) -> None:
        """Nothing to do."""


class Model(_Plugin):
    """Loads so many MiB as its configuration says at its first call, and keeps them."""

    def execute(self, audio: str = "", seconds: float = 0.0) -> dict[str, Any]:
        mine = Path(os.environ[FOLDER], f"{os.getpid()}.mib")
        if not mine.exists():
            needs = float(self._config["mib"])
            free = TOTAL - sum(held().values())
            if needs > free:
                raise RuntimeError(f"CUDA out of memory: {needs:g} MiB wanted, {free:g} free")
            mine.write_text(str(needs))
        time.sleep(seconds)
        return {"text": f"heard {audio}", "model": self._config.get("model"), "pid": os.getpid()}


class Releases(Model):
    """One that can let go of its memory without ending."""

    def release(self) -> None:
        Path(os.environ[FOLDER], f"{os.getpid()}.mib").unlink(missing_ok=True)


class Monitor(_Plugin):
    """Answers with the names and shapes of cjm-system-monitor-nvidia 0.0.6."""

    def execute(self, command: str = "get_system_status", **_: Any) -> dict[str, Any]:
        if command != "get_system_status":
            raise ValueError(f"Unknown command: {command}")
        memory, holders = psutil.virtual_memory(), held()
        used = sum(holders.values())
        one = {
            "name": "a simulated GPU",
            "memory_total": int(TOTAL),
            "memory_used": int(used),
            "memory_free": int(TOTAL - used),
            "utilization": 0,
        }
        processes = [
            {"pid": pid, "gpu_index": 0, "gpu_memory_mb": int(mib), "command": "python"}
            for pid, mib in holders.items()
            if pid
        ]
        status: dict[str, Any] = {
            "cpu_percent": psutil.cpu_percent(),
            "memory_used_mb": memory.used / 2**20,
            "memory_total_mb": memory.total / 2**20,
            "memory_available_mb": memory.available / 2**20,
            "gpu_type": "NVIDIA",
            "gpu_free_memory_mb": TOTAL - used,
            "gpu_total_memory_mb": TOTAL,
            "gpu_used_memory_mb": used,
            "gpu_load_percent": 0.0,
            "details": {
                "available": True,
                "type": "NVIDIA",
                "details": {"gpu_0": one},
                "processes": processes,
            },
        }
        if self._config.get("tells_only_sums"):
            del status["details"]
        return status
