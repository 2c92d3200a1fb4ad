"""Lists the parts of any object with their names, running as little of its class as possible."""

from __future__ import annotations

import array
import copyreg
import datetime
import enum
import functools
import sys
import uuid
from collections import deque
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, cast

from ..child.cell import Cell
from ..workers.definitions import StandIn
from .functions import Parts, is_by_value, of_class, of_function
from .parameters import names_by_position
from .tables import of_table

TEXTS = (str, bytes, bytearray, int, float, Decimal, Fraction, datetime.date, datetime.time)
LEAVES = (*TEXTS, datetime.timedelta, uuid.UUID, PurePath)
"""Types without named parts, whose text holds all of the value."""
CONTAINERS = (list, tuple, set, frozenset, deque)

_WHOLE = (*LEAVES, *CONTAINERS, dict, bytearray, memoryview, array.array)

_MACHINERY = frozenset(
    {"IPython", "ipykernel", "ipywidgets", "traitlets", "tornado", "zmq"}
    | {"asyncio", "concurrent", "logging", "multiprocessing", "threading"}
    | {__name__.partition(".")[0]}
)
"""Packages of the kernel's own objects: each leads to all others, and none is ever written."""

_NEVER_SECRET = (
    *(bool, type(None), type, FunctionType, MethodType, BuiltinFunctionType, ModuleType, property),
    *(classmethod, staticmethod, functools.partialmethod, functools.cached_property),
    *(MemberDescriptorType, functools.partial),
)


def may_be_secret(value: object, *, is_weak: bool) -> bool:
    """True unless it is no secret whatever its name: a class, function, module, True, None or "".

    `is_weak`: the name is weak, such as `token`; then only texts, numbers and containers may be.
    """
    if isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)):
        return len(value) > 0
    return isinstance(value, (*LEAVES, deque)) if is_weak else not isinstance(value, _NEVER_SECRET)


def parts_of(value: object, *, everything: bool) -> Parts:
    """List the parts of what is neither a plain value nor a built-in container.

    `everything`: also plain cells in columns whose name does not look secret.
    """
    if isinstance(value, ModuleType):
        return list(vars(value).items()) if is_by_value(value) else ()
    if isinstance(value, type):
        return of_class(value)
    if isinstance(value, FunctionType):
        return of_function(value)
    if isinstance(value, Cell):
        return list(_attributes(value))
    if isinstance(value, StandIn):
        return [(None, value.__wrapped__)] if is_by_value(value) else ()
    if isinstance(value, MethodType):
        return [(None, value.__self__), (None, value.__func__)]
    if isinstance(value, functools.partial):
        named = [*value.keywords.items(), *_bound(value.func, value.args)]
        return [*named, (None, value.func), *_attributes(value)]
    if isinstance(value, functools.partialmethod):  # `self` comes with the call
        named = [*value.keywords.items(), *_bound(value.func, (None, *value.args))]
        return [*named, (None, value.func)]
    table = of_table(value, everything)
    return _of_object(value) if table is None else table


def _bound(function: object, args: tuple[object, ...]) -> Parts:
    """Pair arguments given by position with the names of the parameters that take them."""
    return list(zip(names_by_position(function, len(args)), args, strict=True))


def _of_object(value: object) -> Parts:
    kind = type(value)
    if kind.__module__.partition(".")[0] in _MACHINERY:
        return ()
    cookies = sys.modules.get("http.cookiejar")
    if cookies is not None and isinstance(value, cookies.CookieJar):
        return [("cookie", cookie.value) for cookie in cast("Iterable[Any]", value)]
    parts = list(_attributes(value))
    if isinstance(value, enum.Enum):
        parts.append((value.name, value.value))
    elif isinstance(value, BaseException):
        parts.append((None, value.args))
    elif isinstance(value, Mapping) and not isinstance(value, dict):
        parts += value.items()
    elif isinstance(value, ItemsView):
        parts += value
    elif isinstance(value, (KeysView, ValuesView)):
        parts += [(None, part) for part in value]
    elif _is_more_than_attributes(kind) and not isinstance(value, _WHOLE):
        parts += _of_its_pickle(value)
    for base in kind.__mro__[:-1]:
        if is_by_value(base):
            parts.append((None, base))
    return parts


def _attributes(value: object) -> Iterator[tuple[object, object]]:
    """List the items of `__dict__` and of the slots, also those of base classes."""
    kind = type(value)
    if kind.__dictoffset__:
        yield from cast("dict[str, object]", value.__dict__).items()
    for base in kind.__mro__:
        for name, slot in _slots(base):
            try:
                yield name, slot.__get__(value, kind)
            except AttributeError:  # not set
                continue


@functools.lru_cache(maxsize=512)
def _slots(kind: type) -> tuple[tuple[str, Any], ...]:
    if "__slots__" not in vars(kind):
        return ()
    found = vars(kind).items()
    return tuple((name, slot) for name, slot in found if isinstance(slot, MemberDescriptorType))


def _is_more_than_attributes(kind: type) -> bool:
    """True for a class of C, or a subclass of one, with state that is no attribute or slot."""
    size = object.__basicsize__ + 8 * sum(len(_slots(base)) for base in kind.__mro__)
    size += 8 * (kind.__dictoffset__ > 0) + 8 * (kind.__weakrefoffset__ > 0)
    is_numbers = any(hasattr(kind, name) for name in ("__dlpack__", "__array_interface__"))
    return kind.__basicsize__ > size and not is_numbers


def _of_its_pickle(value: object) -> Parts:
    """List what a pickle would hold; nothing without a pickle, which is not written anywhere."""
    try:
        reducer = copyreg.dispatch_table.get(type(value))
        reduced = value.__reduce_ex__(4) if reducer is None else reducer(value)
    except TypeError:
        return ()
    if isinstance(reduced, str):
        return ()
    _, args, state, members, items = (*reduced, None, None, None)[:5]
    found = [(None, args), (None, state), *((None, member) for member in members or ())]
    return [*found, *(items or ())]
