"""The typed codec of plugins, used at both ends: values come out as they went in, or are refused.

A value becomes one JSON text with tags and, beside it, its bytes and arrays as they are. Decoding
runs nobody's code: only built-in types, a few of the standard library, numpy arrays, and the
dataclasses and enums that the decoding side registered are ever made. Results of other types arrive
as the reference system gives them (`plain_values.py`). Standard library only.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from .plain_values import NONE, numpy_type, of_json, of_result, without_numpy

UTC = timezone.utc  # noqa: UP017 - a plugin may run in a Python before 3.11
Part = Any  # bytes, bytearray or memoryview
Types = Mapping[str, type]  # by the name under which a type is registered

LONG = 1 << 62  # integers beyond it travel as hexadecimal text: JSON readers limit the digits
SIMPLE = frozenset({type(None), bool, int, float, str})
DEPTH = 200
NUMBERS = "biufcmMSUV?"  # numpy kinds without objects in them


class NotSendable(TypeError):
    """A value, or something inside it, is of no type that can be sent."""


class NotReadable(ValueError):
    """What came is not what `encode` makes, or names a type that is not known here."""


def name_of(kind: type) -> str:
    """The name under which a type is registered unless another is given."""
    return f"{kind.__module__}.{kind.__qualname__}"


def encode(
    value: object, types: Types, what: str = "result", *, foreign: bool = False
) -> list[Part]:
    """The JSON text and the parts that it refers to.

    Args:
        value: what is sent.
        types: what may be sent as itself.
        what: how errors call it.
        foreign: send values of unregistered dataclasses, enums and the like as plain ones; else
            only what JSON would take, subclasses of built-in types.

    Raises:
        NotSendable: naming the place inside the value, its type and what can be done.
    """
    encoder = _Encoder(types, foreign)
    try:
        head = encoder.node(value, what, 0)
        return [json.dumps(head, separators=(",", ":")).encode(), *encoder.parts]
    except RecursionError:
        raise NotSendable(f"{what} is nested too deeply to be sent") from None


def decode(parts: Sequence[Part], types: Types) -> Any:
    """The value that `encode` was given.

    Raises:
        NotReadable: it is none of ours, or a type is not registered here.
    """
    if not parts:
        raise NotReadable("there is no value")
    try:
        head = json.loads(bytes(parts[0]))
        return _Decoder(parts[1:], types).value(head)
    except NotReadable:
        raise
    except Exception as error:  # whatever a broken or hostile text makes our readers raise
        raise NotReadable(f"it is no value of ours ({type(error).__name__}: {error})") from None


def _is_simple(values: Any) -> bool:
    """True if all of them are their own JSON; looked at in C, for long lists of numbers."""
    kinds = set(map(type, values))
    if not kinds <= SIMPLE:
        return False
    if float in kinds and not all(math.isfinite(v) for v in values if type(v) is float):
        return False
    return int not in kinds or all(-LONG < v < LONG for v in values if type(v) is int)


class _Encoder:
    def __init__(self, types: Types, foreign: bool) -> None:
        self.parts: list[Part] = []
        self._foreign = foreign
        self._inside = 0  # how many values of unregistered types this one is in
        self._hashed = 0  # how many keys and sets it is in
        self._names = {kind: name for name, kind in types.items()}
        self._open: set[int] = set()

    def node(self, value: Any, where: str, depth: int) -> Any:
        """What stands for `value` in the JSON text."""
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        if kind is int:
            return value if -LONG < value < LONG else _tag("int", hex(value))
        if kind is float:
            return value if math.isfinite(value) else _tag("float", repr(value))
        if kind in CONTAINERS or kind in self._names:
            return self._within(value, kind, where, depth)
        if kind in (bytes, bytearray):
            return _tag(kind.__name__, self._part(value))
        simple = SCALARS.get(kind)
        if simple is not None:
            return _tag(kind.__name__, simple[0](value))
        if isinstance(value, Path):
            return _tag("Path", str(value))
        if kind is datetime or kind is time:
            return self._moment(value, kind, where)
        numpy = sys.modules.get("numpy")
        if numpy is not None and (kind is numpy.ndarray or isinstance(value, numpy.generic)):
            return self._array(value, numpy, where)
        return self._unregistered(value, where, depth)

    def _moment(self, value: Any, kind: type, where: str) -> Any:
        try:
            return _tag(kind.__name__, _moment(value, where))
        except NotSendable:  # its time zone has no name that travels
            if self._foreign:
                return value.isoformat()
            raise

    def _unregistered(self, value: Any, where: str, depth: int) -> Any:
        """What stands for a value that cannot be sent as itself, in plain values."""
        found = of_json(value)
        if found is NONE and self._foreign:
            found = of_result(value)
        if found is NONE:
            raise _refusal(where, value)
        if self._hashed and type(found) is list:
            found = tuple(found)
        self._inside += 1
        try:
            return self._nested(value, lambda: self.node(found, where, depth + 1), where, depth)
        finally:
            self._inside -= 1

    def _within(self, value: Any, kind: type, where: str, depth: int) -> Any:
        """A container or an object of a registered type."""
        make = self._container if kind in CONTAINERS else self._registered
        return self._nested(value, lambda: make(value, kind, where, depth + 1), where, depth)

    def _nested(self, value: Any, make: Callable[[], Any], where: str, depth: int) -> Any:
        """What has parts; its place is remembered so that one inside itself is found."""
        if id(value) in self._open:
            raise NotSendable(f"{where} contains itself and cannot be sent")
        if depth > DEPTH:
            raise NotSendable(f"{where} is nested more than {DEPTH} deep and cannot be sent")
        self._open.add(id(value))
        try:
            return make()
        finally:
            self._open.discard(id(value))

    def _container(self, value: Any, kind: type, where: str, depth: int) -> Any:
        if kind is dict:
            if all(type(key) is str for key in value):
                body = {k: self.node(v, f"{where}[{k!r}]", depth) for k, v in value.items()}
                return _tag("dict", body)
            pairs = [
                [
                    self._hashable(k, f"key {_short(k)} of {where}", depth),
                    self.node(v, f"{where}[{_short(k)}]", depth),
                ]
                for k, v in value.items()
            ]
            return _tag("items", pairs)
        if _is_simple(value):
            items = list(value)
        elif kind in (set, frozenset):
            items = [self._hashable(v, f"an element of {where}", depth) for v in value]
        else:
            items = [self.node(v, f"{where}[{n}]", depth) for n, v in enumerate(value)]
        as_json = self._inside and not self._hashed
        is_list = kind is list or (kind is tuple and as_json)
        return items if is_list else _tag(kind.__name__, items)

    def _hashable(self, value: Any, where: str, depth: int) -> Any:
        """A key, or an element of a set: what is a tuple there stays one."""
        self._hashed += 1
        try:
            return self.node(value, where, depth)
        finally:
            self._hashed -= 1

    def _registered(self, value: Any, kind: type, where: str, depth: int) -> Any:
        name = self._names[kind]
        if isinstance(value, enum.Enum):
            return _tag("enum", [name, value.name])
        fields = {
            field.name: self.node(getattr(value, field.name), f"{where}.{field.name}", depth)
            for field in dataclasses.fields(value)
            if hasattr(value, field.name)
        }
        return _tag("object", [name, fields])

    def _array(self, value: Any, numpy: Any, where: str) -> Any:
        dtype = value.dtype
        if dtype.hasobject or (dtype.kind not in NUMBERS and dtype.names is None):
            raise NotSendable(
                f"{where} is a numpy array of {dtype}; only arrays of plain numbers, "
                "times and fixed-length text can be sent"
            )
        shape = list(value.shape)
        order = "C"
        if isinstance(value, numpy.ndarray) and value.ndim > 1:
            order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        flat = numpy.ravel(value, order=order)
        data = memoryview(numpy.ascontiguousarray(flat).view(numpy.uint8)) if flat.size else b""
        description = dtype.descr if dtype.names is not None else dtype.str
        kind = "ndarray" if isinstance(value, numpy.ndarray) else "scalar"
        return _tag(kind, [description, shape, order, self._part(data)])

    def _part(self, data: Part) -> int:
        self.parts.append(data)
        return len(self.parts) - 1


class _Decoder:
    def __init__(self, parts: Sequence[Part], types: Types) -> None:
        self._parts = parts
        self._types = types

    def value(self, node: Any) -> Any:
        """The value that a node stands for."""
        kind = type(node)
        if kind is list:
            kinds = set(map(type, node))
            return node if kinds <= SIMPLE else [self.value(item) for item in node]
        if kind is not dict:
            return node
        tag, body = node["t"], node["v"]
        reader = _READERS.get(tag)
        if reader is None:
            raise NotReadable(f"it has a part of an unknown kind {tag!r}")
        return reader(self, body)

    def pairs(self, body: Any) -> Any:
        """A dict with any keys; a list of pairs if what became of one cannot be a key."""
        found = [[self.value(key), self.value(value)] for key, value in body]
        try:
            return dict(found)
        except TypeError:
            return found

    def elements(self, body: Any, kind: type) -> Any:
        """A set; a list if what became of an element cannot be in one."""
        found = [self.value(node) for node in body]
        try:
            return kind(found)
        except TypeError:
            return found

    def member(self, body: Any) -> Any:
        """A member of a registered enum."""
        kind = self._known(body[0])
        if not issubclass(kind, enum.Enum):
            raise NotReadable(f"{body[0]} is no enum here")
        return kind[body[1]]

    def instance(self, body: Any) -> Any:
        """A registered dataclass, field by field: no code of the class runs."""
        name, fields = body
        kind = self._known(name)
        if not dataclasses.is_dataclass(kind):
            raise NotReadable(f"{name} is no dataclass here")
        unknown = fields.keys() - {field.name for field in dataclasses.fields(kind)}
        if unknown:
            raise NotReadable(f"{name} has no field {min(unknown)!r} here")
        made = object.__new__(kind)
        for field, node in fields.items():
            object.__setattr__(made, field, self.value(node))
        return made

    def _known(self, name: Any) -> type:
        kind = self._types.get(name)
        if kind is None:
            raise NotReadable(f"it has a {name}, which is not registered here")
        return kind

    def raw(self, number: Any) -> memoryview:
        """The part with this number."""
        if type(number) is not int or not 0 <= number < len(self._parts):
            raise NotReadable(f"part {number!r} is missing")
        return memoryview(self._parts[number])

    def array(self, body: Any) -> Any:
        """A numpy array over its part, without copying."""
        description, shape, order, number = body
        try:
            import numpy
        except ImportError:
            found = without_numpy(str(description), shape, order, self.raw(number))
            if found is NONE:
                raise NotReadable("it has a numpy array, and numpy is not installed here") from None
            return found
        dtype = numpy_type(description)
        if dtype.hasobject:
            raise NotReadable("it has an array of objects")
        data = self.raw(number)
        flat = numpy.frombuffer(data, dtype) if len(data) else numpy.empty(0, dtype)
        return flat.reshape(shape, order=order)

    def scalar(self, body: Any) -> Any:
        """A numpy scalar."""
        made = self.array(body)
        return made.reshape(())[()] if hasattr(made, "reshape") else made


def _tag(tag: str, body: Any) -> dict[str, Any]:
    return {"t": tag, "v": body}


def _short(key: Any) -> str:
    try:
        text = repr(key)
    except Exception:
        text = type(key).__name__
    return text if len(text) <= 40 else text[:39] + "…"


def _refusal(where: str, value: Any) -> NotSendable:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else name_of(kind)
    if dataclasses.is_dataclass(kind) or issubclass(kind, enum.Enum):
        cure = f"register it with manager.register_type({kind.__qualname__})"
    else:
        cure = "send plain values, numpy arrays, registered dataclasses, or the Path of a file"
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return NotSendable(f"{where} is {article} {name}, which cannot be sent: {cure}")


# -- moments: a zone is kept or the value is refused, never changed into an offset ----------------


def _moment(value: Any, where: str) -> list[Any]:
    zone = value.tzinfo
    bare = value.replace(tzinfo=None, fold=0).isoformat()
    return [bare, value.fold, None if zone is None else _zone(zone, where)]


def _zone(zone: tzinfo, where: str) -> Any:
    if type(zone) is timezone:
        if zone is UTC:
            return "UTC"
        offset, name = cast("Any", zone).__getinitargs__()[0], zone.tzname(None)
        plain = timezone(offset).tzname(None)
        return [offset.days, offset.seconds, offset.microseconds, None if name == plain else name]
    key = getattr(zone, "key", None)
    if type(zone).__module__.partition(".")[0] == "zoneinfo" and isinstance(key, str):
        return {"key": key}
    raise _refusal(f"the time zone of {where}", zone)


def _read_zone(body: Any) -> tzinfo | None:
    if body is None:
        return None
    if body == "UTC":
        return UTC
    if isinstance(body, dict):
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            return ZoneInfo(body["key"])
        except ZoneInfoNotFoundError:
            raise NotReadable(f"the time zone {body['key']!r} is not known here") from None
    days, seconds, micros, name = body
    offset = timedelta(days, seconds, micros)
    return timezone(offset) if name is None else timezone(offset, name)


def _read_moment(kind: Any) -> Callable[[_Decoder, Any], Any]:
    def read(_: _Decoder, body: Any) -> Any:
        return kind.fromisoformat(body[0]).replace(fold=body[1], tzinfo=_read_zone(body[2]))

    return read


# -- the tables ----------------------------------------------------------------------------------

CONTAINERS = frozenset({dict, list, tuple, set, frozenset})
SCALARS: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    complex: (lambda v: [repr(v.real), repr(v.imag)], lambda b: complex(float(b[0]), float(b[1]))),
    date: (lambda v: v.isoformat(), date.fromisoformat),
    timedelta: (lambda v: [v.days, v.seconds, v.microseconds], lambda b: timedelta(*b)),
    Decimal: (str, Decimal),
    Fraction: (
        lambda v: [hex(v.numerator), hex(v.denominator)],
        lambda b: Fraction(int(b[0], 16), int(b[1], 16)),
    ),
    UUID: (lambda v: v.hex, UUID),
    range: (
        lambda v: [hex(v.start), hex(v.stop), hex(v.step)],
        lambda b: range(*(int(n, 16) for n in b)),
    ),
    type(...): (lambda v: None, lambda b: ...),
}


def _read_scalar(read: Callable[[Any], Any]) -> Callable[[_Decoder, Any], Any]:
    return lambda _, body: read(body)


_READERS: dict[str, Callable[[_Decoder, Any], Any]] = {
    **{kind.__name__: _read_scalar(pair[1]) for kind, pair in SCALARS.items()},
    "int": lambda _, body: int(body, 16),
    "float": lambda _, body: float(body),
    "bytes": lambda decoder, body: bytes(decoder.raw(body)),
    "bytearray": lambda decoder, body: bytearray(decoder.raw(body)),
    "Path": lambda _, body: Path(body),
    "datetime": _read_moment(datetime),
    "time": _read_moment(time),
    "dict": lambda decoder, body: {key: decoder.value(node) for key, node in body.items()},
    "items": lambda decoder, body: decoder.pairs(body),
    "tuple": lambda decoder, body: tuple(map(decoder.value, body)),
    "set": lambda decoder, body: decoder.elements(body, set),
    "frozenset": lambda decoder, body: decoder.elements(body, frozenset),
    "enum": lambda decoder, body: decoder.member(body),
    "object": lambda decoder, body: decoder.instance(body),
    "ndarray": lambda decoder, body: decoder.array(body),
    "scalar": lambda decoder, body: decoder.scalar(body),
}
