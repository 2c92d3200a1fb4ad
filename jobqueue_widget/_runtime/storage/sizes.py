"""Says how large a value of this process is, as far as that can be seen without much work."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, cast

LOOKED_AT = 1_000  # members, however many there are
_SIMPLE = frozenset({type(None), bool, int, float, complex})
_FLAT = frozenset({str, bytes, bytearray})


def size_of(value: object) -> int:
    """Return the bytes of a value and of what it holds, estimated for large containers.

    Never raises, and asks nothing of users' classes but their `nbytes`.
    """
    kind = type(value)
    if kind in _SIMPLE:
        return 0
    if kind in _FLAT:
        return len(cast("bytes", value))
    total, left, seen = 0, [(value, 1.0)], {id(value)}
    for _ in range(LOOKED_AT):
        if not left:
            break
        item, weight = left.pop()
        try:
            total += int(weight * _own_size(item))
            members = _members(item)
        except BaseException:  # others change it meanwhile, or its class is not what it seems
            continue
        room = max(1, LOOKED_AT - len(left))
        weight *= max(1.0, len(members) / room)
        for member in members[:room]:
            if type(member) not in _SIMPLE and id(member) not in seen:
                seen.add(id(member))
                left.append((member, weight))
    return total


def _own_size(value: object) -> int:
    """Return the bytes of a value without what it holds, but all of an array or a table."""
    kind = type(value)
    if kind in _FLAT:
        return len(cast("bytes", value))
    told = getattr(value, "nbytes", None)
    if told is None and kind.__module__.partition(".")[0] == "pandas":
        told = cast("Any", value).memory_usage(index=True, deep=False).sum()
    return sys.getsizeof(value, 0) if told is None else max(0, int(told))


def _members(value: object) -> Sequence[object]:
    kind = type(value)
    if issubclass(kind, dict):
        return list(dict.values(cast("dict[object, object]", value)))
    for base in (list, tuple, set, frozenset):
        if issubclass(kind, base):
            return list(base.__iter__(value))  # type: ignore[arg-type]
    fields = object.__getattribute__(value, "__dict__")
    return list(fields.values()) if type(fields) is dict else ()
