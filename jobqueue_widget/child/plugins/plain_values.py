"""What values of types that nobody registered become: what the reference system makes of them.

Its workers answer in JSON, with dataclasses as dictionaries; so a caller knows such results as
dictionaries, lists and simple values. What its workers could not answer at all (enums that are no
text, models, moments of a subclass) becomes the nearest plain value. Standard library only.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import math
import struct
import sys
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path, PurePath
from typing import Any

NONE: Any = object()  # there is no plain value for it


def of_json(value: Any) -> Any:
    """Return the built-in value of a subclass that JSON takes for its base; else `NONE`."""
    kind = type(value)
    for base, plain in _BASES:
        if isinstance(value, base) and kind is not base:
            return plain(value)
    return NONE


def of_result(value: Any) -> Any:
    """Return one step of the way to plain values: what it holds may need another; else `NONE`."""
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value, (field.name for field in dataclasses.fields(value)))
    for method in ("model_dump", "dict"):  # pydantic, version 2 and 1
        dump = getattr(value, method, None)
        if callable(dump) and hasattr(type(value), "__fields__") and not isinstance(value, type):
            return dump()
    attributes = getattr(type(value), "__attrs_attrs__", None)
    if attributes is not None:
        return _fields(value, (attribute.name for attribute in attributes))
    for base, plain in _NEAREST:
        if isinstance(value, base):
            return plain(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):  # a view of a file, a record array
        masked = isinstance(value, getattr(numpy.ma, "MaskedArray", ()))
        return NONE if masked or type(value) is numpy.ndarray else numpy.asarray(value)
    return NONE


def without_numpy(kind: str, shape: list[int], order: str, data: memoryview) -> Any:
    """Return an array's numbers as nested lists, a scalar as itself; `NONE` for other kinds.

    Args:
        kind: numpy's name of its type, as "<f8".
        shape: its sizes; none for a scalar.
        order: "C" or "F".
        data: its bytes.
    """
    letter = _LETTERS.get(kind[1:])
    if letter is None or (order == "F" and len(shape) > 1):
        return NONE
    byte_order = ">" if kind[0] == ">" else "<"
    flat = list(struct.unpack(f"{byte_order}{math.prod(shape)}{letter}", data))
    for size in reversed(shape[1:]):
        flat = [flat[at : at + size] for at in range(0, len(flat), size)] if size else []
    return flat if shape else flat[0]


def numpy_type(description: Any) -> Any:
    """Return the dtype that JSON tells of; the padding of a structure is no field of it."""
    import numpy

    if isinstance(description, list):
        return numpy.lib.format.descr_to_dtype([_field(item) for item in description])
    return numpy.dtype(description)


def _field(item: Any) -> tuple[Any, ...]:
    """One field of a structured dtype; JSON made lists of its tuples."""
    name, kind, *shape = item
    if isinstance(name, list):
        name = tuple(name)
    if isinstance(kind, list):
        kind = [_field(inner) for inner in kind]
    return (name, kind, *(tuple(one) for one in shape))


_LETTERS = {"b1": "?", "f2": "e", "f4": "f", "f8": "d"}
_LETTERS.update(i1="b", i2="h", i4="i", i8="q", u1="B", u2="H", u4="I", u8="Q")


def _fields(value: Any, names: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _moment(value: datetime) -> datetime:
    return datetime(*value.timetuple()[:6], value.microsecond, value.tzinfo, fold=value.fold)


_BASES: tuple[tuple[Any, Any], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (dict, dict),
    (list, list),
    (tuple, list),
)
_NEAREST: tuple[tuple[Any, Any], ...] = (
    (Mapping, dict),
    (frozenset, frozenset),
    (set, set),
    (collections.deque, list),
    (collections.UserList, list),
    (bytes, bytes),
    (bytearray, bytearray),
    (PurePath, lambda path: Path(str(path))),
    (datetime, _moment),
    (date, lambda day: date(day.year, day.month, day.day)),
    (time, lambda moment: moment.isoformat()),
    (timedelta, lambda span: timedelta(span.days, span.seconds, span.microseconds)),
)
