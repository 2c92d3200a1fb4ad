"""How large a value is: close enough for what tells, and never an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import pandas as pd
import pytest

from jobqueue_widget._runtime.storage.sizes import size_of

MIB = 1 << 20


@dataclass
class Holds:
    data: object


class Closed(dict):  # type: ignore[type-arg]
    def values(self) -> NoReturn:
        raise RuntimeError("closed")


class Lies:
    nbytes = "many"


class Proxy:
    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError("there is nothing")


ARRAY = np.zeros(MIB, np.uint8)
MANY = [bytes([n % 256]) * 100 + str(n).encode() for n in range(10_000)]
LARGE: list[object] = [
    b"x" * MIB,
    bytearray(MIB),
    "x" * MIB,
    memoryview(b"x" * MIB),
    ARRAY,
    pd.DataFrame({"a": ARRAY}),
    pd.Series(ARRAY),
    [ARRAY],
    {"a": (1, {2: ARRAY})},
    Holds(ARRAY),
    [ARRAY, ARRAY],  # once
    Closed(a=ARRAY),
    MANY,
]


@pytest.mark.parametrize("value", LARGE, ids=lambda one: type(one).__name__)
def test_what_it_holds_is_counted_once(value: object) -> None:
    expected = sum(map(len, MANY)) if value is MANY else MIB
    assert 0.9 * expected <= size_of(value) <= 1.5 * expected + 2_000


def test_what_is_small_or_odd_is_small() -> None:
    odd: list[object] = [None, 1, True, 2.5, 1j, "", b"", Lies(), Proxy(), [Proxy()], [], {}]
    for value in odd:
        assert size_of(value) < 200


def test_a_cycle_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert size_of(loop) < 200
