"""Keeps what is reserved for one job, and what it was seen to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .resources import GPU, NOTHING, RAM, Amounts, ProcessMemory


@dataclass(slots=True, eq=False)
class Usage:
    """What is reserved for a job, on which GPUs, and the most that it was seen to hold.

    `unchecked`: why needs of its plugin were not checked, by the name of the resource. `devices`:
    the GPUs as CUDA_VISIBLE_DEVICES names them. `samples`: the runtime's `KeptMetrics` of what it
    uses over time, once there is a sample.
    """

    planned: Amounts
    gpus: tuple[int, ...] = ()
    unchecked: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    peak: ProcessMemory = NOTHING
    samples: object = None

    def note(self, seen: ProcessMemory) -> None:
        """Note what its processes hold now."""
        gpus = {
            number: max(self.peak.gpu_mib.get(number, 0.0), seen.gpu_mib.get(number, 0.0))
            for number in {*self.peak.gpu_mib, *seen.gpu_mib}
        }
        self.peak = ProcessMemory(max(self.peak.ram_mib, seen.ram_mib), gpus)

    def seen(self) -> dict[str, float] | None:
        """Return the peak by the name of the resource; None if it was never read."""
        if self.peak is NOTHING:
            return None
        on_gpu = sum(self.peak.gpu_mib.values())
        return {RAM: self.peak.ram_mib} | ({GPU: on_gpu} if on_gpu else {})
