"""A look at the machine that began before a host with a monitor came does not decide for it."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from jobqueue_widget._core.machine.resources import (
    Admitted,
    GpuStats,
    Impossible,
    MachineStats,
    ResourceRequest,
)
from jobqueue_widget._core.machine.told import Figures
from jobqueue_widget._machine.admission import MEASURING, Admission
from jobqueue_widget.protocols import LoadedPlugin


class Host:
    """Its monitor knows of a GPU."""

    is_firm = True

    def figures(self, pids: Collection[int]) -> Figures:
        return Figures("monitor", (GpuStats(24_000, 20_000),))

    def requirements(self, name: str) -> dict[str, float]:
        return {"gpu_mib": 4_096}

    def loaded(self) -> list[LoadedPlugin]:
        return []

    def evict(self, name: str) -> str | None:
        return "not loaded"

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


class Source:
    """A machine without a GPU driver; `meanwhile` happens during the first look."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None

    def read(self, pids: Collection[int]) -> MachineStats:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return MachineStats(16_000, 16_000, 8, gpus=(), gpu_note="no driver")


@pytest.mark.parametrize("declared", [True, False])
def test_what_is_unknown_or_impossible_waits_for_the_look_that_shows_the_monitor(
    declared: bool,
) -> None:
    looks: list[Callable[[], None]] = []
    source, host = Source(), Host()
    admission = Admission(lambda: source, aside=looks.append)
    source.meanwhile = lambda: admission.add_host(host)
    admission.look()
    looks.pop()()

    def ask() -> object:
        key = (id(host), "whisper")
        need = host.requirements("whisper")
        return admission.ask(ResourceRequest("1", "whisper", need, key, declared=declared))

    assert ask() is MEASURING
    assert not admission.has_looked
    assert len(looks) == 1, "the one that shows it is on its way; no more are asked for"
    looks.pop()()
    decision = ask()
    assert isinstance(decision, Admitted)
    assert (decision.need, decision.unchecked) == ({"gpu_mib": 4_096}, {})
    admission.remove_host(host)


def test_what_is_impossible_is_said_though_the_machine_is_looked_at_all_the_time() -> None:
    looks: list[Callable[[], None]] = []
    now = [0.0]
    admission = Admission(Source, monotonic=lambda: now[0], aside=looks.append)
    host = Host()
    admission.add_host(host)
    told: list[object] = []
    for _ in range(4):
        now[0] += 1.0
        look = looks.pop()
        if told:
            admission.look()  # the next one is wanted before this one has ended
        look()
        now[0] += 0.1
        if not looks:
            admission.look()
        key = (id(host), "whisper")
        wanted = ResourceRequest("1", "whisper", {"gpu_mib": 40_000.0}, key, declared=True)
        told.append(admission.ask(wanted))
    assert any(isinstance(one, Impossible) for one in told), told
    admission.remove_host(host)
