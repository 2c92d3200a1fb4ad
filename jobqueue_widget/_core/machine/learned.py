"""Keeps what past runs of a function or plugin have shown: peaks, durations, failures."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from .resources import GPU, RAM

MARGIN = 1.1  # reserved per MiB seen: memory is read once a second, which misses peaks
MOST_KEYS = 1_000
LONGEST_NAME = 500  # characters of a key's name

Key = TypeVar("Key")


@dataclass(slots=True)
class RunStats:
    """Figures of all runs of one function, or of one plugin with one configuration.

    Cancelled runs do not count. `seconds` is the sum over the completed ones; `ram_mib` and
    `gpu_mib` are the most that one run was seen to hold (MiB), 0.0 where that was never seen.
    """

    completed: int = 0
    failed: int = 0
    seconds: float = 0.0
    ram_mib: float = 0.0
    gpu_mib: float = 0.0

    @property
    def runs(self) -> int:
        """The number of runs that completed or failed."""
        return self.completed + self.failed

    @property
    def success_rate(self) -> float | None:
        """The share of runs that completed, 0.0 to 1.0; None before the first."""
        return self.completed / self.runs if self.runs else None

    @property
    def mean_seconds(self) -> float | None:
        """The mean duration of the completed runs; None before the first."""
        return self.seconds / self.completed if self.completed else None


class Learned(Generic[Key]):
    """Run figures by key, of which the least recently used are forgotten. Not thread-safe."""

    def __init__(self) -> None:
        self._stats: OrderedDict[Key, RunStats] = OrderedDict()

    def _of(self, key: Key) -> RunStats:
        stats = self._stats.get(key)
        if stats is not None:
            self._stats.move_to_end(key)
            return stats
        stats = self._stats[key] = RunStats()
        if len(self._stats) > MOST_KEYS:
            self._stats.popitem(last=False)
        return stats

    def note(self, key: Key, ram_mib: float, gpu_mib: float) -> None:
        """Note the most that a run held."""
        stats = self._of(key)
        stats.ram_mib = max(stats.ram_mib, ram_mib)
        stats.gpu_mib = max(stats.gpu_mib, gpu_mib)

    def note_end(self, key: Key, seconds: float | None) -> None:
        """Note that a run completed after so many seconds, or (None) failed."""
        stats = self._of(key)
        if seconds is None:
            stats.failed += 1
        else:
            stats.completed += 1
            stats.seconds += max(0.0, seconds)

    def put(self, entries: Iterable[tuple[Key, RunStats]]) -> None:
        """Add what an earlier kernel has learned."""
        for key, stats in entries:
            self._stats[key] = replace(stats)
        while len(self._stats) > MOST_KEYS:
            self._stats.popitem(last=False)

    def items(self) -> list[tuple[Key, RunStats]]:
        """Return copies of all entries, the most recently used last."""
        return [(key, replace(stats)) for key, stats in self._stats.items()]

    def need(self, key: Key) -> Mapping[str, float]:
        """Return what to reserve for the next run; empty while nothing is known."""
        stats = self._stats.get(key)
        if stats is None:
            return {}
        amounts = {RAM: stats.ram_mib, GPU: stats.gpu_mib}
        return {name: float(math.ceil(mib * MARGIN)) for name, mib in amounts.items() if mib}


# -- as plain values -------------------------------------------------------------------------------


class LearnedKey(NamedTuple):
    """A key of figures: a function's dotted name, or a plugin's with its configuration's mark.

    A configuration may hold secrets; its mark tells only if another one is the same.
    """

    name: str
    mark: str = ""

    def __str__(self) -> str:
        return f"{self.name}#{self.mark}" if self.mark else self.name


def as_plain(key: LearnedKey, stats: RunStats) -> dict[str, object]:
    """Return an entry as it is written to a file."""
    told = {name: getattr(stats, name) for name in RunStats.__dataclass_fields__}
    return {"name": key.name, "mark": key.mark, **told}


def from_plain(told: object) -> tuple[LearnedKey, RunStats] | None:
    """Read an entry of a file; None if it is not valid."""
    if not isinstance(told, Mapping):
        return None
    name, mark = told.get("name"), told.get("mark")
    if not isinstance(name, str) or not isinstance(mark, str):
        return None
    if not 0 < len(name) <= LONGEST_NAME or len(mark) > LONGEST_NAME:
        return None
    amounts = [told.get("seconds"), told.get("ram_mib"), told.get("gpu_mib")]
    completed, failed = (_count(told.get(one)) for one in ("completed", "failed"))
    seconds, ram, gpu = (_amount(one) for one in amounts)
    return LearnedKey(name, mark), RunStats(completed, failed, seconds, ram, gpu)


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 2**53 else 0


def _amount(value: object) -> float:
    if type(value) is int or type(value) is float:
        return float(value) if 0 <= value < 1e15 else 0.0  # neither NaN nor infinity
    return 0.0
