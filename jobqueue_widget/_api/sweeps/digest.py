"""Makes digests of values that are the same in each kernel, whatever PYTHONHASHSEED is."""

from __future__ import annotations

import copyreg
import dis
import enum
import functools
import hashlib
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, cast

from ...child import byvalue
from ...workers.definitions import globals_of
from ...workers.packing import is_found_by_name
from .tables import parts_of_table

SIZE = 16
_PLAIN = frozenset({int, float, bool, str, type(None)})
_NOISE = frozenset(  # what Python and its libraries note in a class, and what says nothing
    {"__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__firstlineno__"}
    | {"__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"}
    | {"__static_attributes__", "__conditional_annotations__", "__slotnames__", "_abc_impl"}
    | {"__abstractmethods__", "__dataclass_fields__", "__dataclass_params__"}
)
_DESCRIPTORS = (MemberDescriptorType, GetSetDescriptorType, WrapperDescriptorType)
_HAS_DOCSTRING = 1 << 26  # inspect.CO_HAS_DOCSTRING, from Python 3.14 on
_IS_TYPED = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made by a class statement


class NotDigestibleError(Exception):
    """A value has no stable digest; the message says why."""


def joined(tag: str, parts: Iterable[bytes]) -> bytes:
    """Hash parts with their lengths, so that no byte can be moved from one to the next."""
    made = hashlib.blake2b(tag.encode(), digest_size=SIZE)
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.digest()


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class Digester:
    """Digests values of one moment: equal ones of the same types have the same digest.

    What a worker would import is its name; what is pickled by value is digested with all that goes
    with it. Values are looked at as they are pickled, without pickling large ones.
    """

    def __init__(self) -> None:
        self._done: dict[int, tuple[object, bytes]] = {}  # keeps the value, and so its id
        self._open: dict[int, int] = {}  # values that are being digested, by their depth
        self._lowest = sys.maxsize  # the depth of what was met inside itself

    def digest(self, value: object) -> bytes:
        """Return the digest of a value.

        Raises:
            NotDigestibleError: it has none that is the same in each kernel.
        """
        try:
            return self._value(value)
        except RecursionError:
            raise NotDigestibleError("it is nested too deeply") from None

    def _value(self, value: object) -> bytes:
        kind = type(value)
        if kind in _PLAIN or value is Ellipsis or value is NotImplemented:
            return joined(kind.__name__, [_plain_text(value)])
        if kind is bytes or kind is bytearray:
            return joined(kind.__name__, [cast("bytes", value)])
        if (kind is tuple or kind is list) and set(
            map(type, cast("list[object]", value))
        ) <= _PLAIN:
            return _plain_sequence(kind.__name__, value)
        known = self._done.get(id(value))
        if known is not None:
            return known[1]
        depth = self._open.get(id(value))
        if depth is not None:  # it is inside itself
            self._lowest = min(self._lowest, depth)
            return joined("again", [str(depth).encode()])
        depth = self._open[id(value)] = len(self._open)
        outer, self._lowest = self._lowest, sys.maxsize
        try:
            made = self._composite(kind, value)
        finally:
            del self._open[id(value)]
            inner = self._lowest
            self._lowest = min(outer, inner if inner < depth else sys.maxsize)
        if inner >= depth:  # else it depends on what it stands in
            self._done[id(value)] = value, made
        return made

    # -- values --------------------------------------------------------------------------------

    def _composite(self, kind: Any, value: Any) -> bytes:
        if kind is list or kind is tuple:
            return joined(kind.__name__, map(self._value, value))
        if kind is dict:
            return self._mapping("dict", value)
        if kind is set or kind is frozenset:
            return joined(kind.__name__, sorted(map(self._value, value)))
        if issubclass(kind, type):
            return self._type(value)
        if kind is FunctionType:
            return self._function(value)
        if kind is CodeType:
            return self._code(value)
        if kind is ModuleType:
            return self._module(value)
        if kind is MethodType:
            return joined("method", [self._value(value.__func__), self._value(value.__self__)])
        if kind is BuiltinFunctionType:
            return self._builtin(value)
        if isinstance(value, enum.Enum):
            name = str(value.name or value.value)  # a combination of flags may have no name
            return joined("enum", [self._value(kind), encoded(name)])
        if isinstance(value, PurePath):
            return joined("path", [encoded(os.fspath(value))])
        if kind is type(byvalue.cached_example):
            return joined("cached", [self._value(value.__wrapped__)])
        if kind is functools.cached_property:
            return joined("cached property", [self._value(value.func)])
        if isinstance(value, (staticmethod, classmethod)):
            return joined(kind.__name__, [self._value(value.__func__)])
        if kind is property:
            parts = (value.fget, value.fset, value.fdel)
            return joined("property", map(self._value, parts))
        table = parts_of_table(kind, value)
        if table is not None:
            return joined(table[0], [_as_bytes(part, self._value) for part in table[1]])
        return self._reduced(kind, value)

    def _mapping(self, tag: str, value: Mapping[Any, Any]) -> bytes:
        """Digest a mapping whose order says nothing, as equality does not look at it either."""
        pairs = [self._value(name) + self._value(one) for name, one in value.items()]
        return joined(tag, sorted(pairs))

    def _builtin(self, value: Any) -> bytes:
        owner = value.__self__
        if owner is None or isinstance(owner, ModuleType):
            return joined("global", [encoded(f"{value.__module__}:{value.__qualname__}")])
        return joined("builtin", [encoded(value.__name__), self._value(owner)])

    def _module(self, module: ModuleType) -> bytes:
        name = encoded(module.__name__)
        if not byvalue.is_made_by_hand(module.__name__):
            return joined("module", [name])
        kept = {one: held for one, held in vars(module).items() if not one.startswith("__")}
        return joined("module", [name, self._mapping("dict", kept)])

    def _reduced(self, kind: type, value: Any) -> bytes:
        """Digest an object by what its pickle would hold."""
        reducer = byvalue.pickler().dispatch_table.get(kind)
        try:
            made = value.__reduce_ex__(4) if reducer is None else reducer(value)
        except Exception as error:
            raise NotDigestibleError(f"{type(error).__name__}: {error}") from error
        if isinstance(made, str):
            module = getattr(value, "__module__", None) or kind.__module__
            return joined("global", [encoded(f"{module}:{made}")])
        given = [*cast("tuple[Any, ...]", made), None, None, None, None]
        function, args, state, items, pairs = given[:5]
        if function is copyreg.__newobj__ and args == (object,):  # type: ignore[attr-defined]
            raise NotDigestibleError("a bare object() is like no other one")
        parts = [self._value(function), self._value(args), self._state(state)]
        parts.append(joined("items", map(self._value, items or ())))
        held = [self._value(name) + self._value(one) for name, one in pairs or ()]
        parts.append(joined("pairs", held if isinstance(value, OrderedDict) else sorted(held)))
        return joined("object", parts)

    def _state(self, state: object) -> bytes:
        if type(state) is tuple and len(state) == 2 and type(state[1]) is dict:
            return joined("slots", map(self._value, state))
        return self._value(state)

    # -- code ----------------------------------------------------------------------------------

    def _function(self, function: FunctionType) -> bytes:
        if is_found_by_name(function):
            return joined("global", [encoded(f"{function.__module__}:{function.__qualname__}")])
        code, name = function.__code__, function.__qualname__
        closed = []
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                held = cell.cell_contents
            except ValueError:  # the variable is not set yet
                closed.append(joined("unset", [encoded(variable)]))
                continue
            closed.append(self._inside(f"captured variable {variable!r} of {name}", held))
        kept = {one: held for one, held in vars(function).items() if one != "__wrapped__"}
        return joined(
            "function",
            [
                self._code(code),
                self._inside(f"a default of {name}", function.__defaults__),
                self._inside(f"a default of {name}", function.__kwdefaults__),
                joined("closure", closed),
                self._inside(f"an attribute of {name}", kept),
                self._globals(function),
            ],
        )

    def _globals(self, function: FunctionType) -> bytes:
        there, parts = function.__globals__, []
        used = set(globals_of(function.__code__))
        for name in sorted(used):
            if name in there:
                what = f"global variable {name!r} of {function.__qualname__}"
                parts.append(encoded(name) + self._inside(what, there[name]))
        if byvalue.is_of_main(function):  # those that annotations and texts may name go along
            for name in sorted(set(byvalue.names_in_texts(function)) & there.keys() - used):
                try:
                    parts.append(encoded(name) + self._value(there[name]))
                except NotDigestibleError:
                    continue  # nobody has asked for it
        return joined("globals", parts)

    def _inside(self, what: str, value: object) -> bytes:
        try:
            return self._value(value)
        except NotDigestibleError as error:
            if str(error).startswith(("global", "captured", "a default", "an attribute")):
                raise
            told = f"{what} ({type(value).__name__}): {error}"
            raise NotDigestibleError(told) from error

    def _code(self, code: CodeType) -> bytes:
        instructions, constants = _apart(code)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        flags = code.co_flags & ~_HAS_DOCSTRING
        return joined(
            "code",
            [
                instructions,
                code.co_exceptiontable,
                encoded(repr((names, counts, flags))),
                *map(self._value, constants),
            ],
        )

    def _type(self, kind: type) -> bytes:
        module, name = kind.__module__, kind.__qualname__
        if not kind.__flags__ & _IS_TYPED or is_found_by_name(kind):
            return joined("global", [encoded(f"{module}:{name}")])
        parts = [encoded(name), self._value(type(kind))]
        parts += [self._value(base) for base in kind.__bases__]
        if issubclass(kind, enum.Enum):
            parts += [encoded(one.name) + self._value(one.value) for one in kind]
        hidden = _NOISE
        if issubclass(kind, enum.Enum):
            hidden = _NOISE.union(vars(kind)) - {
                one for one, held in vars(kind).items() if _is_own(kind, held)
            }
        for member in sorted(vars(kind).keys() - hidden):
            held = vars(kind)[member]
            parts.append(encoded(member))
            if not isinstance(held, _DESCRIPTORS):
                parts.append(self._inside(f"an attribute of {name}, {member!r}", held))
        for field, held in sorted(byvalue.annotations_of(kind).items()):
            parts.append(encoded(field))
            try:
                parts.append(self._value(held))
            except NotDigestibleError:
                parts.append(encoded(type(held).__name__))
        return joined("class", parts)


def _apart(code: CodeType) -> tuple[bytes, list[object]]:
    """Return the bytecode without the numbers of its constants, and the constants that it loads.

    What help() says is a constant that no instruction loads, and moves the others by one.
    """
    instructions, constants, number = bytearray(code.co_code), list[object](), 0
    for place in range(0, len(instructions), 2):
        operation, argument = instructions[place : place + 2]
        number = number << 8 | argument
        if operation == dis.EXTENDED_ARG:
            continue
        if operation in dis.hasconst:
            constants.append(code.co_consts[number])
            instructions[place + 1] = 0
        number = 0
    return bytes(instructions), constants


def _is_own(kind: type, held: object) -> bool:
    """True for a method that the class statement of an enumeration has."""
    function = getattr(held, "__func__", getattr(held, "fget", held))
    return isinstance(function, FunctionType) and function.__module__ == kind.__module__


def _as_bytes(part: object, digest: Callable[[object], bytes]) -> bytes:
    return part if isinstance(part, bytes) else digest(part)


def _plain_sequence(tag: str, value: Any) -> bytes:
    try:
        return joined(f"plain {tag}", [encoded(repr(value))])
    except ValueError:  # an integer of thousands of digits
        told = (type(one).__name__.encode() + b" " + _plain_text(one) for one in value)
        return joined(f"long {tag}", told)


def _plain_text(value: object) -> bytes:
    if type(value) is int:
        return hex(value).encode()
    return encoded(value if type(value) is str else repr(value))
