"""Lists what travels with functions and classes: defaults, closures, globals, texts in code."""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Iterable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any, NamedTuple

from .._core.texts.secret_names import is_mere_word, looks_secret
from ..child import byvalue
from ..child.wire import PLAIN_TYPES
from ..workers.definitions import StandIn, bare
from ..workers.packing import is_found_by_name

Parts = Iterable[tuple[object, object]]


def is_by_value(thing: type | FunctionType | ModuleType | StandIn) -> bool:
    """True if a pickle holds the thing itself, not only where to import it from."""
    if isinstance(thing, ModuleType):
        name = thing.__name__
        return sys.modules.get(name) is not thing or byvalue.is_made_by_hand(name)
    return not is_found_by_name(thing)


def of_function(function: FunctionType) -> Parts:
    """List defaults, closed-over variables and attributes; globals too if pickled by value."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    found: list[tuple[object, object]] = []
    found += zip(names[len(names) - len(defaults) :], defaults, strict=True)
    found += (function.__kwdefaults__ or {}).items()
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            found.append((name, cell.cell_contents))
        except ValueError:  # not set yet
            continue
    found += function.__dict__.items()
    if is_by_value(function):
        there, said = function.__globals__, _said_by(code)
        named = {*said.names, *byvalue.names_in_texts(function)}
        found += [(name, there[name]) for name in named if name in there]
        found += said.texts
    return found


class _Said(NamedTuple):
    names: tuple[str, ...]  # globals and attributes that the code looks up
    texts: tuple[tuple[str, object], ...]  # texts in the code, by the names that look secret
    sounds: bool  # any name in the code looks secret


@functools.lru_cache(maxsize=1024)
def _said_by(code: CodeType) -> _Said:
    """Read names and texts of code, and of code inside it; once per code object."""
    names: dict[str, None] = {}
    own: list[str] = []
    texts: list[tuple[str, object]] = []
    left = [code]
    while left:
        one = left.pop()
        names |= dict.fromkeys(one.co_names)
        own += (*one.co_varnames, *one.co_freevars)
        texts += literals_in(one)
        left += [inner for inner in one.co_consts if isinstance(inner, CodeType)]
    named = [(n, t) for n, t in texts if looks_secret(n) and not is_mere_word(t)]
    return _Said(tuple(names), tuple(named), any(map(looks_secret, (*names, *own))) or bool(named))


def literals_in(code: CodeType) -> Iterator[tuple[str, str | bytes]]:
    """List the texts that code gives a name: assigned, passed by keyword, or under a key."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in _NO_STEPS]
    for at, step in enumerate(steps):
        before = steps[:at]
        names: Any = ()
        if step.opname.startswith("STORE_"):
            names = step.argval[:1] if isinstance(step.argval, tuple) else (step.argval,)
            before = before[-1:]
        elif step.opname == "KW_NAMES":  # Python 3.11 does not resolve its `argval`
            names = code.co_consts[step.arg or 0]
        elif step.opname in ("BUILD_CONST_KEY_MAP", "CALL_KW"):
            names, before = before[-1].argval, before[:-1]
        elif step.opname == "BUILD_MAP" and step.argval:
            pairs = before[-2 * step.argval :]
            names, before = tuple(key.argval for key in pairs[::2]), pairs[1::2]
        if not isinstance(names, tuple):
            continue
        for name, value in zip(reversed(names), reversed(before), strict=False):
            if not value.opname.startswith("LOAD_"):
                break
            text = value.argval if value.opname == "LOAD_CONST" else None
            if isinstance(name, str) and isinstance(text, (str, bytes)):
                yield name, text


_NO_STEPS = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL", "RESUME"})


def says_nothing(target: object) -> bool:
    """True if a quick look at a function shows that no secret travels with it."""
    if isinstance(target, str):
        return True  # the name of a plugin
    seen: set[object] = set()
    left = [target]
    while left:
        given = left.pop()
        function = bare(given)
        if type(function) is not FunctionType:
            return False
        if given in seen:
            continue
        seen.add(given)
        if not _are_plain(function.__defaults__) or function.__kwdefaults__ or function.__dict__:
            return False
        if not is_by_value(given if isinstance(given, StandIn) else function):
            if function.__defaults__ and _said_by(function.__code__).sounds:
                return False
            continue
        said, there = _said_by(function.__code__), function.__globals__
        if said.sounds or function.__closure__ or not byvalue.EVALUATES.isdisjoint(said.names):
            return False
        for name in (*said.names, *byvalue.names_in_texts(function)):
            value = there.get(name)
            if type(value) is FunctionType or isinstance(value, StandIn):
                left.append(value)
            elif type(value) not in _QUIET and (type(value) is not type or is_by_value(value)):
                return False
    return True


_QUIET = PLAIN_TYPES | {ModuleType, BuiltinFunctionType}


def _are_plain(values: tuple[object, ...] | None) -> bool:
    return values is None or set(map(type, values)) <= PLAIN_TYPES


def of_class(kind: type) -> Parts:
    """List bases, metaclass, attributes, field defaults and methods if it is pickled by value."""
    if not is_by_value(kind):
        return ()
    found: list[tuple[object, object]] = [(None, base) for base in kind.__bases__]
    if type(kind) is not type:
        found.append((None, type(kind)))
    for name, value in vars(kind).items():
        found += [
            (name, part)
            for part in _unwrapped(value)
            if not _is_ours(name) or isinstance(part, (FunctionType, type))
        ]
    fields = [*vars(kind).get("__dataclass_fields__", {}).values()]
    fields += vars(kind).get("__attrs_attrs__", ())
    named: list[tuple[Any, Any]] = [(getattr(field, "name", None), field) for field in fields]
    named += vars(kind).get("__pydantic_fields__", {}).items()
    for called, field in named:
        default = getattr(field, "default", None)
        if type(default) in PLAIN_TYPES or isinstance(default, (list, tuple, dict)):
            found.append((called, default))
        factory = getattr(field, "default_factory", None)
        found.append((None, getattr(default, "factory", factory)))
    return found


def _is_ours(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _unwrapped(value: object) -> tuple[object, ...]:
    if isinstance(value, (classmethod, staticmethod)):
        return (value.__func__,)
    if isinstance(value, property):
        return (value.fget, value.fset, value.fdel)
    if isinstance(value, functools.cached_property):
        return (value.func,)
    return () if isinstance(value, MemberDescriptorType) else (value,)
