"""Reads how much memory and how many processors control groups allow this process (v1, v2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """The tightest limits of all groups above a process; infinite where there is none."""

    memory_bytes: float = math.inf
    available_bytes: float = math.inf
    cpus: float = math.inf


def read_limits(root: Path = Path("/")) -> Limits:
    """Read the limits of this process; tests have their own `root`.

    A limit holds for all groups below it, so each folder up to the root is read. Inside a container
    the path from /proc may not exist; then the root of the mount is the container's own group.
    """
    memory = available = cpus = math.inf
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        kinds = set(controllers.split(",")) if controllers else {"memory", "cpu"}
        for folder in _folders(root / "sys/fs/cgroup", controllers, path):
            if "memory" in kinds:
                limit, used = _memory(folder, unified=not controllers)
                memory = min(memory, limit)
                available = min(available, max(0.0, limit - used))
            if "cpu" in kinds:
                cpus = min(cpus, _cpus(folder, unified=not controllers))
    return Limits(memory, available, cpus)


def _folders(mount: Path, controllers: str, path: str) -> Iterator[Path]:
    """List the folders from a group up to the root, without those that do not exist."""
    candidates = [mount / controllers, *(mount / name for name in controllers.split(","))]
    if not controllers:  # v2; beside v1 its hierarchy is mounted elsewhere
        candidates = [mount, mount / "unified"]
    base = next((folder for folder in candidates if folder.is_dir()), None)
    if base is None:
        return
    parts = [part for part in path.split("/") if part not in ("", "..", ".")]
    for length in range(len(parts), -1, -1):
        folder = base.joinpath(*parts[:length])
        if folder.is_dir():
            yield folder


def _memory(folder: Path, *, unified: bool) -> tuple[float, float]:
    """Return the limit and the use of it, without file pages that can be dropped at once."""
    limit = _number(folder / ("memory.max" if unified else "memory.limit_in_bytes"))
    if limit >= 1 << 60:  # v1 writes a huge number for none
        return math.inf, 0.0
    used = _number(folder / ("memory.current" if unified else "memory.usage_in_bytes"))
    name = "inactive_file" if unified else "total_inactive_file"
    for line in _text(folder / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            used -= int(value)
    return limit, 0.0 if math.isinf(used) else max(0.0, used)


def _cpus(folder: Path, *, unified: bool) -> float:
    if unified:
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    else:
        quota = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return math.inf
    return int(quota) / int(period)


def _number(path: Path) -> float:
    """Read a number; infinite for "max" and where there is none."""
    text = _text(path).strip()
    return float(text) if text.isdigit() else math.inf


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
