"""The typed codec: everything comes out as it went in, or is refused by name; no code ever runs."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import pickle
import struct
import sys
import types
from collections import OrderedDict, UserDict, UserList, defaultdict, deque, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from threading import Lock
from types import MappingProxyType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue_widget.child.plugins import typed


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: Any = ()


@dataclasses.dataclass
class Counted:
    made: int = 0

    def __post_init__(self) -> None:
        raise AssertionError("decoding ran code of the class")


class Colour(enum.Enum):
    red = 1


class Level(enum.IntEnum):
    high = 3


TYPES: dict[str, type] = {typed.name_of(kind): kind for kind in (Point, Counted, Colour, Level)}


def round_trip(value: Any, types: typed.Types = TYPES) -> Any:
    return typed.decode([bytearray(part) for part in typed.encode(value, types)], types)


def same(one: Any, other: Any) -> bool:
    """Equal and of equal types, inside too; NaN equals itself, and 0.0 is not -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other) or (one != one and other != other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, b) and same(one[a], other[b]) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, Point):  # dataclasses compare NaN by its value
        return same((one.x, one.y), (other.x, other.y))
    return bool(one == other)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids()
)
keys = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.dates()
keys = keys | st.tuples(keys, keys)  # type: ignore[operator]
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.frozensets(keys)
        | st.sets(keys)
        | st.builds(Point, st.integers(), inner)
    ),
)


@given(values)
def test_every_value_comes_out_as_it_went_in(value: Any) -> None:
    assert same(round_trip(value), value)


@pytest.mark.parametrize(
    "value",
    [
        {"t": "object", "v": 1},
        {1: "int", "1": "text"},
        {(1, None): {b"k": [(), [], {}]}},
        [math.nan, math.inf, -math.inf, -0.0],
        10**5000,
        bytearray(b"xy"),
        range(3, 10**30, 7),
        ...,
        Path("/tmp/a b"),
        datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        datetime(2024, 1, 1, tzinfo=UTC),
        time(1, 2, 3, 4, tzinfo=timezone(timedelta(hours=-3, seconds=1), "here")),
        date(1, 1, 1),
        Decimal("1.10"),
        Fraction(-(10**30), 7),
        UUID(int=5),
        Colour.red,
        Level.high,
        Point(1, {Point(2): [Colour.red]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_would_change_stays_as_it_was(value: Any) -> None:
    again = round_trip(value)
    assert same(again, value)
    for attribute in ("fold", "tzinfo"):
        assert getattr(again, attribute, None) == getattr(value, attribute, None)


@pytest.mark.parametrize(
    "array",
    [
        numpy.arange(6, dtype="<i4").reshape(2, 3),
        numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
        numpy.arange(20)[::3],
        numpy.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
        numpy.zeros((0, 3)),
        numpy.array(7),
        numpy.array([True, False]),
        numpy.array(["a", "bcd"]),
        numpy.array([b"a", b"bcd"]),
        numpy.array(["2024-01-01"], "M8[D]"),
        numpy.array([1.5], ">f8"),
        numpy.zeros(3, [("a", "<i4"), ("b", "<f8", (2,)), ("c", [("d", "u1")])]),
        numpy.zeros(2, numpy.dtype([("a", "u1"), ("b", [("c", "u1"), ("d", "f8")])], align=True)),
        numpy.zeros(2, [(("title", "a"), "i4")]),
        numpy.float32(0.1),
        numpy.datetime64("2024-01-01"),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_arrays_keep_type_shape_and_values(array: Any) -> None:
    again = round_trip({"inside": [array]})["inside"][0]
    assert type(again) is type(array)
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert numpy.array_equal(again, array)
    if isinstance(again, numpy.ndarray) and again.size:
        assert again.flags.writeable


def test_an_array_is_not_copied_into_the_text() -> None:
    head, data = typed.encode(numpy.zeros(1_000_000), {})
    assert len(head) < 200
    assert len(data) == 8_000_000


Pair = namedtuple("Pair", "a b")


class MyList(list):  # type: ignore[type-arg]
    pass


@dataclasses.dataclass
class Unknown:
    x: Any = 0


@dataclasses.dataclass(frozen=True)
class Fixed:
    x: int


class Shade(enum.Enum):
    dark = 1


class OtherLevel(enum.IntEnum):
    low = 2


class Local(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(hours=2)

    def dst(self, when: datetime | None) -> None:
        return None

    def tzname(self, when: datetime | None) -> str:
        return "here"


class Word(enum.StrEnum):
    yes = "yes"


class Moment(datetime):
    pass


# -- what nobody registered ----------------------------------------------------------------------


def as_the_reference(value: Any) -> Any:
    """What a caller of the reference system's worker gets: JSON, with dataclasses as dicts."""
    return json.loads(json.dumps(value, default=vars))


of_json = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
subclasses = (
    st.sampled_from([Word.yes, OtherLevel.low, MyList([1]), OrderedDict(a=1), Pair(1, [2])])
    | st.floats(allow_nan=False, allow_infinity=False).map(numpy.float64)
    | st.builds(Pair, of_json, of_json)
)
results = st.recursive(
    of_json | subclasses,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.dictionaries(st.text(), inner).map(lambda d: defaultdict(list, d))
        | st.builds(Unknown, inner)
        | st.builds(Unknown, st.tuples(inner, inner))
        | st.builds(Pair, inner, inner)
    ),
)


@given(results)
def test_a_result_of_types_that_nobody_registered_is_what_the_reference_gives(value: Any) -> None:
    found = typed.decode(typed.encode(value, {}, foreign=True), {})
    assert found == as_the_reference(value)


class Model:
    """Looks like a model of pydantic."""

    __fields__ = ("x",)

    def model_dump(self) -> dict[str, Any]:
        return {"x": Unknown(1)}


class Attributes:
    """Looks like a class of attrs."""

    __attrs_attrs__ = (types.SimpleNamespace(name="x"), types.SimpleNamespace(name="unset"))

    def __init__(self) -> None:
        self.x = Shade.dark


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Shade.dark, 1),
        ([OtherLevel.low, Word.yes], [2, "yes"]),
        (Unknown({Path("/a"): {1}}), {"x": {Path("/a"): {1}}}),
        (Unknown({(1, 2): {(3, (4,))}}), {"x": {(1, 2): {(3, (4,))}}}),
        ({Pair(1, 2): Pair(3, (4,))}, {(1, 2): [3, [4]]}),
        ({Pair(1, (2,)), frozenset({Pair(3, 4)})}, {(1, (2,)), frozenset({(3, 4)})}),
        ({Fixed(1)}, [{"x": 1}]),
        (frozenset({(Fixed(1), 2)}), [({"x": 1}, 2)]),
        ({Fixed(1): 2}, [[{"x": 1}, 2]]),
        (MappingProxyType({1: Unknown()}), {1: {"x": 0}}),
        (UserDict(a=1), {"a": 1}),
        (UserList([1]), [1]),
        (deque([1, 2]), [1, 2]),
        (PurePosixPath("/a"), Path("/a")),
        (Moment(2026, 1, 2, 3, 4, 5, 6, UTC), datetime(2026, 1, 2, 3, 4, 5, 6, UTC)),
        (datetime(2026, 1, 2, tzinfo=Local()), "2026-01-02T00:00:00+02:00"),
        (Model(), {"x": {"x": 1}}),
        (Attributes(), {"x": 1}),
        (numpy.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]).view(numpy.recarray), None),
    ],
    ids=str,
)
def test_what_the_reference_cannot_answer_comes_as_the_nearest_plain_value(
    value: Any, plain: Any
) -> None:
    found = typed.decode(typed.encode(value, {}, foreign=True), {})
    if isinstance(value, numpy.ndarray):
        assert (found == numpy.asarray(value)).all()
    else:
        assert same(found, plain)


@pytest.mark.parametrize(
    "value",
    [object(), print, Unknown, (n for n in range(2)), numpy.ma.array([1]), [{1: Lock()}]],
    ids=str,
)
def test_what_has_no_plain_value_is_refused_also_in_a_result(value: Any) -> None:
    with pytest.raises(typed.NotSendable):
        typed.encode(value, {}, foreign=True)


def test_an_unregistered_object_that_contains_itself_is_refused() -> None:
    loop = Unknown()
    loop.x = [loop]
    with pytest.raises(typed.NotSendable, match="contains itself"):
        typed.encode(loop, {}, foreign=True)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (numpy.float32(0.5), 0.5),
        (numpy.int16(-3), -3),
        (numpy.bool_(True), True),
        (numpy.arange(6.0).reshape(2, 3), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
        (numpy.arange(8, dtype=">i4").reshape(2, 2, 2), [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]),
        (numpy.empty((0, 3)), []),
    ],
    ids=str,
)
def test_numbers_of_numpy_arrive_also_where_it_is_not_installed(
    value: Any, plain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = typed.encode(value, {})
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert same(typed.decode(parts, {}), plain)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"a": [1, 2, 3, Unknown()]},
            r"result\['a'\]\[3\] is a .*Unknown, .*register_type\(Unknown",
        ),
        ({1: {Unknown: 1}}, r"key <class .*> of result\[1\] is a type"),
        (Point(1, [print]), r"result\.y\[0\] is a builtin_function_or_method"),
        ({("x", 1): Shade.dark}, r"result\[\('x', 1\)\] is a .*Shade"),
        (PurePosixPath("/a"), "PurePosixPath"),
        (memoryview(b"x"), "memoryview"),
        ((n for n in range(2)), "generator"),
        (numpy.array([Unknown()]), "numpy array of object"),
        (numpy.ma.array([1]), "MaskedArray"),
        ({1, frozenset({Unknown.__name__, print})}, "an element of an element of result"),
        (object(), "object"),
    ],
    ids=str,
)
def test_what_cannot_travel_is_refused_by_its_place_and_type(value: Any, message: str) -> None:
    with pytest.raises(typed.NotSendable, match=message):
        typed.encode(value, TYPES)


def test_what_contains_itself_or_is_too_deep_is_refused() -> None:
    loop: list[Any] = [1]
    loop.append({"again": loop})
    with pytest.raises(typed.NotSendable, match=r"result\[1\]\['again'\] contains itself"):
        typed.encode(loop, {})
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(typed.NotSendable, match="deep"):
        typed.encode(deep, {})
    shared = [1]
    assert round_trip([shared, shared]) == [[1], [1]]


def test_decoding_a_dataclass_runs_none_of_its_code() -> None:
    counted = object.__new__(Counted)
    counted.made = 4
    assert round_trip(counted).made == 4


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"[",
        b'{"t":"object","v":["os.system",{"x":1}]}',
        b'{"t":"object","v":["tests.unit.test_typed.Point",{"__class__":1}]}',
        b'{"t":"object","v":["tests.unit.test_typed.Colour",{"x":1}]}',
        b'{"t":"enum","v":["tests.unit.test_typed.Point","x"]}',
        b'{"t":"enum","v":["tests.unit.test_typed.Colour","__class__"]}',
        b'{"t":"ndarray","v":["O",[1],"C",0]}',
        b'{"t":"ndarray","v":["<f8",[1000000000000],"C",0]}',
        b'{"t":"ndarray","v":[[["a","O"]],[1],"C",0]}',
        b'{"t":"bytes","v":9}',
        b'{"t":"bytes","v":-1}',
        b'{"t":"pickle","v":0}',
        b'{"t":"__class__","v":0}',
        b'{"x":1}',
        b'{"t":["list"],"v":1}',
        b'{"t":"items","v":[[1]]}',
        b'{"t":"int","v":1}',
        b'{"t":"datetime","v":["x",0,null]}',
        b'{"t":"datetime","v":["2024-01-01",0,{"key":"../../etc/passwd"}]}',
    ],
)
def test_no_message_makes_anything_but_a_value(head: bytes) -> None:
    with pytest.raises(typed.NotReadable):
        typed.decode([head, b"12345678"], TYPES)


@given(st.binary(), st.lists(st.binary()))
def test_any_bytes_are_a_value_or_are_refused(head: bytes, parts: list[bytes]) -> None:
    try:
        typed.decode([head, *parts], TYPES)
    except typed.NotReadable:
        return


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.fixed_dictionaries({"t": st.sampled_from(sorted(typed._READERS)), "v": inner})
        ),
    )
)
def test_any_tagged_json_is_a_value_or_is_refused(node: Any) -> None:
    try:
        typed.decode([json.dumps(node).encode(), b"12345678"], TYPES)
    except typed.NotReadable:
        return


def test_a_pickle_is_not_read() -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("a worker's message ran code",))

    with pytest.raises(typed.NotReadable):
        typed.decode([pickle.dumps(Bomb())], TYPES)
