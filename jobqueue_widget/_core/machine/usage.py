"""What is reserved for one job, and what it was seen to use."""

from __future__ import annotations

from collections.abc import Mapping

from .resources import GPU, NOTHING, RAM, Amounts, ProcessMemory

EMPTY_NOTES: Mapping[str, str] = {}


class Usage:
    """Of one job: what is reserved for it, on which GPUs, and the most that it was seen to hold."""

    __slots__ = ("devices", "gpus", "peak", "planned", "unchecked")

    def __init__(
        self,
        planned: Amounts,
        gpus: tuple[int, ...] = (),
        unchecked: Mapping[str, str] = EMPTY_NOTES,
        devices: tuple[str, ...] = (),
    ) -> None:
        self.planned = planned
        self.devices = devices  # the same GPUs, as CUDA_VISIBLE_DEVICES names them
        self.gpus = gpus
        self.unchecked = unchecked  # what its plugin asks for besides, and why nobody looked
        self.peak = NOTHING

    def note(self, seen: ProcessMemory) -> None:
        """Its processes hold so much now."""
        gpus = {
            number: max(self.peak.gpu_mib.get(number, 0.0), seen.gpu_mib.get(number, 0.0))
            for number in {*self.peak.gpu_mib, *seen.gpu_mib}
        }
        self.peak = ProcessMemory(max(self.peak.ram_mib, seen.ram_mib), gpus)

    def seen(self) -> dict[str, float] | None:
        """The peak by the name of the resource; None: it was never seen."""
        if self.peak is NOTHING:
            return None
        on_gpu = sum(self.peak.gpu_mib.values())
        return {RAM: self.peak.ram_mib} | ({GPU: on_gpu} if on_gpu else {})
