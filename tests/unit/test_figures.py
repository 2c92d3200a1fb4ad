"""Whatever a system monitor tells is read as figures that make sense, or as none."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from jobqueue_widget._machine.figures import figures_of, own_share
from jobqueue_widget.protocols import LoadedPlugin


class Unwilling(float):
    def __float__(self) -> float:
        raise RuntimeError("no")


class Nameless:
    def __str__(self) -> str:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        return "Nameless()"


NAMES = [
    "memory_total_mb",
    "memory_available_mb",
    "gpu_free_memory_mb",
    "gpu_total_memory_mb",
    "gpu_type",
    "gpus",
    "details",
    "processes",
    "total_memory_mb",
    "free_memory_mb",
    "memory_total",
    "memory_free",
    "name",
    "pid",
    "gpu_index",
    "gpu_memory_mb",
    "gpu_0",
    "gpu_1",
]
odd = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=3)
    | st.sampled_from([10**400, Nameless(), -1, Unwilling(2.0), object(), os.getpid(), 2**31, 8.0])
)
told = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
)
statuses = st.dictionaries(st.sampled_from(NAMES), told)


def one_process(pid: Any) -> dict[str, Any]:
    return {"details": {"processes": [{"pid": pid, "gpu_memory_mb": 5.0}]}}


@given(statuses)
@example(one_process(10**30))
@example(one_process(-1))
@example({"gpus": [{"total_memory_mb": 5, "free_memory_mb": 50}]})
@example({"gpus": [{"total_memory_mb": 5, "free_memory_mb": 1, "name": Nameless()}]})
@example({"gpu_free_memory_mb": 5, "gpu_type": Nameless()})
@example({"memory_total_mb": 10**400, "memory_available_mb": 1})
@example({"memory_total_mb": 5, "memory_available_mb": 50})
@example({"gpu_free_memory_mb": Unwilling(1.0)})
def test_figures_make_sense_whatever_is_told(status: dict[str, Any]) -> None:
    found = figures_of(status, "monitor", [os.getpid()])
    for gpu in found.gpus or ():
        assert 0 <= gpu.free_mib <= gpu.total_mib
        assert isinstance(gpu.name, str)
    if found.ram_total_mib is not None:
        assert found.ram_available_mib is not None
        assert 0 <= found.ram_available_mib <= found.ram_total_mib
    worker = LoadedPlugin("plugin", os.getpid(), False, 0.0, executed=True)
    assert 0 <= own_share(status, 4.0, [worker]) <= 4.0
