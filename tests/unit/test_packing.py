"""Packing at submit: a snapshot, equal functions once, and the culprit named."""

from __future__ import annotations

import gc
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from jobqueue_widget.child import loading
from jobqueue_widget.errors import UnpicklableJobError
from jobqueue_widget.workers.packing import SHARED, PackedCall, Packer, call_bytes, is_importable


def typed_in_a_cell(source: str, name: str, **variables: object) -> Any:
    """What `source` defines under `name`, as a notebook's `__main__` has it."""
    namespace: dict[str, object] = {"__name__": "__main__", **variables}
    exec(compile(source, "cell 1", "exec"), namespace)
    return namespace[name]


def adder(number: int) -> Callable[[int], int]:
    return lambda other: number + other


def test_arguments_are_a_snapshot() -> None:
    numbers = [1, 2]
    _, call = Packer().pack(sum, (numbers,), {})
    numbers.append(3)
    assert pickle.loads(call_bytes(call)) == (([1, 2],), {})


def large_parts(call: bytes | PackedCall) -> list[bytes]:
    parts = call.parts() if isinstance(call, PackedCall) else [call]
    return [part for part in parts if len(part) >= SHARED]


DATA = bytes(range(256)) * (SHARED // 128)
ARGUMENTS: dict[str, Callable[[], object]] = {
    "bytes": lambda: bytes(bytearray(DATA)),
    "bytearray": lambda: bytearray(DATA),
    "str": lambda: DATA.decode("latin-1"),
    "array": lambda: np.frombuffer(DATA, np.uint8).copy(),
    "frame": lambda: pd.DataFrame({"a": np.frombuffer(DATA, np.float64).copy()}),
    "nested": lambda: {"a": [np.frombuffer(DATA, np.uint8).copy()]},
}


@pytest.mark.parametrize("make", ARGUMENTS.values(), ids=ARGUMENTS)
def test_equal_large_arguments_of_many_jobs_are_kept_once(make: Callable[[], object]) -> None:
    packer = Packer()
    calls = [packer.pack_call((number, make(), str(number)), {}) for number in range(5)]
    parts = [large_parts(call) for call in calls]
    assert parts[0]
    assert {tuple(map(id, one)) for one in parts} == {tuple(map(id, parts[0]))}
    for number, call in enumerate(calls):
        (first, value, last), *_ = loading.load(call_bytes(call))
        assert (first, last) == (number, str(number))
        assert pickle.dumps(value) == pickle.dumps(make())
        assert len(call) == len(call_bytes(call))


def test_large_bytes_are_not_copied_and_go_with_the_last_call() -> None:
    packer, data = Packer(), bytes(SHARED)
    call: object = packer.pack_call((data,), {})
    assert isinstance(call, PackedCall)
    assert large_parts(call)[0] is data
    assert len(packer._shared) == 1
    del call
    assert not packer._shared


def test_a_function_that_a_worker_can_import_is_sent_by_name() -> None:
    packer = Packer()
    packed, _ = packer.pack(os.path.join, ("a",), {})
    assert len(packed.data) < 100
    assert packer.pack(os.path.join, ("b",), {})[0] is packed


def test_equal_functions_are_kept_once_and_no_longer_than_their_jobs() -> None:
    packer = Packer()
    one, two = packer.pack(adder(1), (), {})[0], packer.pack(adder(1), (), {})[0]
    other = packer.pack(adder(2), (), {})[0]
    assert one is two
    assert other is not one
    assert cloudpickle.loads(other.data)(3) == 5
    del one, two, other
    gc.collect()
    assert not packer._by_digest


def test_a_captured_variable_is_a_snapshot_too() -> None:
    bag = [1]

    def total() -> int:
        return sum(bag)

    packer = Packer()
    before = packer.pack(total, (), {})[0]
    bag.append(10)
    after = packer.pack(total, (), {})[0]
    assert (cloudpickle.loads(before.data)(), cloudpickle.loads(after.data)()) == (1, 11)


@pytest.mark.parametrize("target", [os.path.join, len, pickle.dumps])
def test_what_stands_in_a_module_is_importable(target: object) -> None:
    assert is_importable(target)


def test_what_a_worker_would_not_find_is_not_importable() -> None:
    cell = typed_in_a_cell("def f(): pass", "f")
    assert not is_importable(cell)
    assert not is_importable(lambda: None)
    assert not is_importable(str.upper)
    assert not is_importable([].append)
    assert not is_importable(test_arguments_are_a_snapshot.__code__)
    assert not is_importable(Packer)


def test_what_is_pickled_by_value_on_the_users_wish_is_not_sent_by_name() -> None:
    import json

    assert is_importable(json.dumps)
    cloudpickle.register_pickle_by_value(json)
    try:
        assert not is_importable(json.dumps)
    finally:
        cloudpickle.unregister_pickle_by_value(json)


@pytest.mark.parametrize(
    ("args", "kwargs", "told"),
    [
        ((1, threading.Lock()), {}, r"argument 2 \(lock\)"),
        ((), {"path": "x", "guard": threading.Lock()}, r"argument 'guard' \(lock\)"),
        (([1, {"deep": threading.Lock()}],), {}, r"argument 1 \(list\)"),
    ],
)
def test_the_argument_that_cannot_be_sent_is_named_with_the_cure(
    args: tuple[object, ...], kwargs: dict[str, object], told: str
) -> None:
    with pytest.raises(UnpicklableJobError, match=f"{told} cannot be sent.*inside the job"):
        Packer().pack(print, args, kwargs)


def test_the_captured_variable_that_cannot_be_sent_is_named() -> None:
    guard = threading.Lock()

    def guarded() -> bool:
        return guard.locked()

    told = r"captured variable 'guard' \(lock\) of .*guarded cannot be sent"
    with pytest.raises(UnpicklableJobError, match=told):
        Packer().pack(guarded, (), {})


def test_the_global_variable_of_a_cell_that_cannot_be_sent_is_named() -> None:
    source = "def guarded(): return guard.locked()"
    guarded = typed_in_a_cell(source, "guarded", guard=threading.Lock())
    told = r"global variable 'guard' \(lock\) of guarded cannot be sent"
    with pytest.raises(UnpicklableJobError, match=told):
        Packer().pack(guarded, (), {})


class WithoutHash:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> int:
        return 1


def test_a_callable_without_a_hash_can_be_packed() -> None:
    packed, _ = Packer().pack(WithoutHash(), (), {})
    assert cloudpickle.loads(packed.data)() == 1


def test_the_source_of_a_function_is_told_for_tracebacks() -> None:
    told = Packer().pack_function(adder(1)).source
    assert told is not None
    assert '"""Packing at submit' in told[__file__][0]
    assert Packer().pack_function(len).source is None
