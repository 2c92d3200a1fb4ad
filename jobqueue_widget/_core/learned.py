"""What functions and plugins were seen to need: the largest peak of their past runs."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from .resources import GPU, RAM

MARGIN = 1.1  # a little more than was ever seen: it is looked at once a second, peaks are missed
MOST_KEYS = 1_000


@dataclass(slots=True)
class Peak:
    """Of all runs of one key: how many were seen, and the most that one held (MiB)."""

    runs: int = 0
    ram_mib: float = 0.0
    gpu_mib: float = 0.0


class Learned:
    """Peaks by key (a function's name, a plugin's name and configuration). Not thread-safe."""

    def __init__(self) -> None:
        self._peaks: OrderedDict[str, Peak] = OrderedDict()

    def note(self, key: str, ram_mib: float, gpu_mib: float) -> None:
        """A run has ended that held so much at most."""
        peak = self._peaks.setdefault(key, Peak())
        self._peaks.move_to_end(key)
        peak.runs += 1
        peak.ram_mib = max(peak.ram_mib, ram_mib)
        peak.gpu_mib = max(peak.gpu_mib, gpu_mib)
        if len(self._peaks) > MOST_KEYS:
            self._peaks.popitem(last=False)

    def peak(self, key: str) -> Peak | None:
        """What is known; None if no run was seen."""
        return self._peaks.get(key)

    def need(self, key: str) -> Mapping[str, float]:
        """What to reserve for the next run; empty while nothing is known."""
        peak = self._peaks.get(key)
        if peak is None:
            return {}
        amounts = {RAM: peak.ram_mib, GPU: peak.gpu_mib}
        return {name: float(math.ceil(mib * MARGIN)) for name, mib in amounts.items() if mib}
