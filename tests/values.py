"""Values of everything that a notebook makes, what equals what, and the state of its classes."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import sys
import types
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from jobqueue_widget._core.texts.secret_names import may_look_secret

CELL = """
import abc, collections, dataclasses, enum, typing
import attrs, pydantic
class Plain:
    rate, seen = 1, []
    def told(self): return "then"
class Sub(Plain):
    pass
class Slots:
    __slots__ = ("x", "y")
class Shape(abc.ABC):
    @abc.abstractmethod
    def told(self): ...
class Square(Shape):
    def told(self): return "then"
class Color(enum.Enum): RED = 1; GREEN = "two"
class Level(enum.IntEnum): LOW = 1; HIGH = 2
class Flag(enum.Flag): A = 1; B = 2
@dataclasses.dataclass
class Data:
    x: typing.Any = dataclasses.MISSING
    y: list = dataclasses.field(default_factory=list)
    _: dataclasses.KW_ONLY
    z: int = 3
@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: typing.Any
class Named(typing.NamedTuple):
    x: typing.Any
    y: int = 1
Pair = collections.namedtuple("Pair", "x y")
@attrs.define
class Attrs:
    x: typing.Any
    y: list = attrs.Factory(list)
class Model(pydantic.BaseModel):
    x: typing.Any
    y: int = 1
class Failure(Exception):
    def __init__(self, code, *, why="?"):
        super().__init__(f"failed with {code}")
        self.code, self.why = code, why
class Words(str): pass
class Numbers(list): pass
def echo(value):
    return value
def fail(value):
    raise Failure(value)
async def echo_later(value):
    return value
async def fail_later(value):
    raise Failure(value)
"""
CLASSES = ["Plain", "Sub", "Slots", "Shape", "Square", "Color", "Level", "Flag", "Data", "Frozen"]
CLASSES += ["Named", "Pair", "Attrs", "Model", "Failure", "Words", "Numbers"]
Names = dict[str, Any]


@contextmanager
def notebook() -> Iterator[Names]:
    """The names of `__main__`, in which the cell has run and what it made was changed by hand."""
    before, module = sys.modules["__main__"], ModuleType("__main__")
    sys.modules["__main__"] = module
    try:
        exec(compile(CELL, "cell", "exec"), vars(module))
        yield vars(module)
    finally:
        sys.modules["__main__"] = before


def states(names: Names) -> dict[str, object]:
    """What stands in each class, but for what Python itself notes there."""
    noted = ("_abc_impl", "__slotnames__")
    return {
        name: {key: one for key, one in vars(names[name]).items() if key not in noted}
        for name in CLASSES
    }


def change(names: Names) -> None:
    """By hand, while a job runs: what comes back must not undo it."""
    for name in ("Plain", "Square", "Data", "Failure", "Words"):
        kind = names[name]
        kind.rate = getattr(kind, "rate", 0) + 1
        kind.told = lambda self: "now"


def values(names: Names) -> st.SearchStrategy[Any]:
    """Of these classes, and of all others that notebooks use, in one another."""
    made = [names[name] for name in CLASSES]
    hashable = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.complex_numbers()
        | st.text(max_size=20)
        | st.binary(max_size=20)
        | st.sampled_from([*names["Color"], *names["Level"], names["Flag"].A | names["Flag"].B])
        | st.sampled_from([dataclasses.MISSING, dataclasses.KW_ONLY, ..., NotImplemented, pd.NA])
        | st.sampled_from(made)
        | st.datetimes(timezones=st.none() | st.just(datetime.UTC))
        | st.timedeltas()
        | st.builds(decimal.Decimal, st.integers())
        | st.builds(fractions.Fraction, st.integers(), st.integers(1))
        | st.builds(pathlib.PurePosixPath, st.just("a/b"))
        | st.uuids()
        | st.builds(range, st.integers(0, 9))
        | st.builds(names["Words"], telling_nothing(5))
    )
    numbers = npst.arrays(
        npst.scalar_dtypes().filter(
            lambda kind: kind.isnative
        ),  # numpy turns dates of others round
        npst.array_shapes(min_side=0, max_side=4),
        fill=st.nothing(),
    )
    frames = st.builds(
        pd.DataFrame,
        st.dictionaries(
            st.sampled_from("abc"), st.lists(st.integers(0, 9), min_size=2, max_size=2), max_size=3
        ),
    )
    leaves = (
        hashable
        | numbers
        | npst.from_dtype(np.dtype("f8"))
        | frames
        | st.builds(pd.Series, st.lists(st.floats(), max_size=3), dtype=st.just("float64"))
        | st.builds(pd.Categorical, st.lists(st.sampled_from("xy"), max_size=3))
        | st.builds(pd.Timestamp, st.datetimes(datetime.datetime(1900, 1, 1)))
        | st.sets(st.integers(), max_size=3)
        | st.builds(bytearray, st.binary(max_size=5))
    )
    return st.recursive(leaves, lambda inner: _holding(names, hashable, inner), max_leaves=12)


def telling_nothing(longest: int) -> st.SearchStrategy[str]:
    """Texts for keys; an exception that holds a value under "pwd" does not come back, rightly."""
    return st.text(max_size=longest).filter(lambda text: not may_look_secret(text))


def built_in() -> st.SearchStrategy[Any]:
    """Of built-in types alone, which travel another way where that is all that there is."""
    flat = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers()
    hashable = flat | telling_nothing(20) | st.binary(max_size=20)
    return st.recursive(
        hashable | st.frozensets(hashable, max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.builds(tuple, st.lists(inner, max_size=3))
            | st.dictionaries(hashable, inner, max_size=3)
        ),
        max_leaves=5,
    )


def _holding(
    names: Names, hashable: st.SearchStrategy[Any], inner: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    few = st.lists(inner, max_size=3)
    filled = [names[name] for name in ("Plain", "Sub", "Slots", "Square")]
    return (
        few
        | st.builds(tuple, few)
        | st.builds(lambda one: [one, one], inner)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.builds(collections.deque, few)
        | st.builds(collections.OrderedDict, st.dictionaries(telling_nothing(3), inner))
        | st.builds(lambda one: collections.defaultdict(list, {"a": one}), inner)
        | st.builds(lambda one: types.SimpleNamespace(x=one), inner)
        | st.builds(_filled, st.sampled_from(filled), inner)
        | st.builds(names["Data"], inner, few, z=st.integers())
        | st.builds(names["Frozen"], inner)
        | st.builds(names["Named"], inner, st.integers())
        | st.builds(names["Pair"], inner, inner)
        | st.builds(names["Attrs"], inner, few)
        | st.builds(names["Model"], x=inner, y=st.integers())
        | st.builds(names["Numbers"], few)
        | st.builds(_caused, names_of(names), inner, st.none() | st.just(ValueError("cause")))
        | st.builds(_objects, few)
    )


def names_of(names: Names) -> st.SearchStrategy[Any]:
    """Classes of exceptions."""
    return st.sampled_from([names["Failure"], ValueError, KeyError])


def _filled(kind: Any, one: object) -> object:
    made = kind()
    made.x = one
    return made


def _caused(kind: Any, one: object, cause: BaseException | None) -> BaseException:
    error: BaseException = kind(one)
    error.__cause__ = cause
    return error


def _objects(few: list[object]) -> Any:
    made = np.empty(len(few), dtype=object)
    for place, one in enumerate(few):
        made[place] = one
    return made


def same(one: Any, other: Any) -> bool:
    """Of the very same class and of the same parts; what is one of a kind is that one."""
    kind = type(one)
    if kind is not type(other):
        return False
    if one is other:
        return True
    if isinstance(one, (enum.Enum, type)):
        return isinstance(one, enum.Flag) and bool(one == other)
    if isinstance(one, (float, np.generic, complex, bytes, bytearray, uuid.UUID)):
        return repr(one) == repr(other)
    if isinstance(one, np.ndarray):
        if one.dtype.kind == "O":
            return one.shape == other.shape and same(one.tolist(), other.tolist())
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, (pd.DataFrame, pd.Series, pd.Categorical)):
        return bool(one.equals(other))
    if isinstance(one, (set, frozenset)):
        return sorted(map(repr, one)) == sorted(map(repr, other))  # a NaN is equal to none
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, (list, tuple, collections.deque)):
        alike = len(one) == len(other) and all(map(same, one, other)) and same_state(one, other)
        return alike and _firsts(one) == _firsts(other)
    if isinstance(one, BaseException):
        return same((one.args, one.__cause__), (other.args, other.__cause__)) and same_state(
            one, other
        )
    if isinstance(one, str):
        return str(one) == str(other) and same_state(one, other)
    if kind.__module__ == "__main__" or kind is types.SimpleNamespace:
        return same_state(one, other)
    return bool(one == other)


def _firsts(many: Any) -> list[int]:
    """For each thing that can be changed the place where it stands first: two, or one twice."""
    changed = [one for one in many if isinstance(one, (list, dict, collections.deque, np.ndarray))]
    return [[one is other for other in changed].index(True) for one in changed]


def same_state(one: Any, other: Any) -> bool:
    """The same attributes."""
    mine, others = _attributes(one), _attributes(other)
    return mine.keys() == others.keys() and all(same(mine[name], others[name]) for name in mine)


def _attributes(one: Any) -> dict[str, Any]:
    found = dict(cast("dict[str, Any]", getattr(one, "__dict__", {})))
    for kind in type(one).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(one, name):
                found[name] = getattr(one, name)
    return found
