"""Finds what defines a callable and under which name, and tells if that differs now."""

from __future__ import annotations

import functools
import hashlib
import sys
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, cast

from ..child.byvalue import cached_example
from ..child.wire import CONTAINERS, PLAIN_TYPES, is_plain

FEW = 50  # values in a global list or mapping that is compared
LONG = 1024  # characters from which on a text is compared by its hash

_Watch = tuple[Mapping[str, object], str, Callable[[], object], object]


class StandIn:
    """What stands here for a function, and in a job is that function: `queue.job` makes them."""

    __wrapped__: Callable[..., object]

    def target(self) -> object:
        """Return what is submitted where this is."""
        return self


def bare(target: object) -> object:
    """Return the function that a target stands for, if it is a stand-in; else the target."""
    return target.__wrapped__ if isinstance(target, StandIn) else target


def definition_of(target: object) -> object:
    """Return what a cell or module defines of a callable.

    It is the function, of a partial the inner one, and the class of a method or callable object.
    """
    while isinstance(target, functools.partial):
        target = target.func
    if isinstance(target, MethodType):
        owner = target.__self__
        return owner if isinstance(owner, type) else type(owner)
    is_named = isinstance(getattr(target, "__qualname__", None), str)
    return target if is_named else type(target)


def name_of(target: object) -> str | None:
    """Return the name under which its module has the definition of a callable now; or None.

    `functools.wraps` gives a function the name of another: its code has its own.
    """
    definition = definition_of(target)
    name = _claimed(definition)
    if name is not None and found_as(name) is definition:
        return name
    name = _typed(definition)
    return name if name is not None and found_as(name) is definition else None


def typed_name_of(target: object) -> str | None:
    """Return the name with which a cell has defined what came back from a journal; or None."""
    name = name_of(target)
    definition = definition_of(target)
    if name is None and (
        isinstance(definition, type) or _claimed(definition) == _typed(definition)
    ):
        name = _claimed(definition)
    return name


def _claimed(definition: object) -> str | None:
    module, names = (
        getattr(definition, "__module__", None),
        getattr(definition, "__qualname__", "<"),
    )
    return None if "<" in names or not module else sys.intern(f"{module}:{names}")


def _typed(definition: object) -> str | None:
    function = _unwrapped(definition)
    if not isinstance(function, FunctionType) or "<" in function.__code__.co_qualname:
        return None
    return f"{function.__globals__.get('__name__')}:{function.__code__.co_qualname}"


def _unwrapped(value: object) -> object:
    """Return the function in an object that wraps one, as `functools.lru_cache` does."""
    if isinstance(value, (FunctionType, type)):
        return value
    return getattr(value, "__dict__", {}).get("__wrapped__", value)


def has_code(definition: object) -> bool:
    """True for what can be compared with what it is later."""
    return isinstance(_unwrapped(definition), (FunctionType, type))


def found_as(name: str) -> object | None:
    """Return what a name stands for now; None if that is nothing that can be called."""
    module, _, names = name.partition(":")
    found: object = sys.modules.get(module)
    for one in names.split("."):
        found = getattr(found, one, None)
    return found if callable(found) else None


class NotToldError(Exception):
    """It cannot be told what a callable is now; the message says why."""


def made_of(now: object, target: object, then: object) -> Callable[..., object]:
    """Return a callable as its definition is `now`, with the arguments and objects of its submit.

    `then` is a copy of the target as it was then, which may be changed; or the target itself.

    Raises:
        NotToldError: the object is of another class, which it cannot become.
    """
    if isinstance(target, functools.partial):
        known = cast("functools.partial[object]", then)
        return functools.partial(
            made_of(now, target.func, known.func), *known.args, **known.keywords
        )
    if isinstance(target, MethodType):
        name = _name_in_class(target)
        owner = target.__self__
        if not isinstance(owner, type):
            owner = _of_class(now, owner, cast("MethodType", then).__self__)
        method = getattr(now if isinstance(owner, type) else owner, name, None)
        if not callable(method):
            raise NotToldError(f"its class has no {name!r} any more")
        return cast("Callable[..., object]", method)
    if target is definition_of(target):
        return cast("Callable[..., object]", now)
    held = getattr(target, "__dict__", {}).values()
    if any(isinstance(one, (FunctionType, type(cached_example))) for one in held):
        raise NotToldError("it is an object that holds a function")
    return cast("Callable[..., object]", _of_class(now, target, then))


def _name_in_class(method: MethodType) -> str:
    owner = method.__self__
    for kind in (owner if isinstance(owner, type) else type(owner)).__mro__:
        for name, member in vars(kind).items():
            if getattr(member, "__func__", member) is method.__func__:
                return name
    claimed = _claimed(method.__func__)
    if claimed is not None and claimed == _typed(method.__func__):
        return method.__name__
    raise NotToldError("its class has no such method")


def _of_class(kind: Any, live: object, then: Any) -> object:
    if type(then) is kind:
        return then
    try:
        if then is live:
            raise TypeError
        then.__class__ = kind
    except TypeError:
        raise NotToldError(
            f"its object is of an earlier class {kind.__name__}: make another, and submit that"
        ) from None
    return then


class Definition:
    """A definition as it is at one moment: a digest that equal ones share, wherever they stand.

    It covers defaults, closed-over values, the code of functions and classes that it names in
    its own module, and plain values of global variables; of others only their type.
    """

    __slots__ = ("_objects", "_of", "_watched", "digest")

    def __init__(self, definition: object, objects: list[object] | None = None) -> None:
        self._objects = objects  # gets those of which only the type is covered
        self._of = _unless_changed(definition)
        self._watched: list[_Watch] = []
        parts = list(self._parts(definition, set()))
        self.digest = hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).digest()

    def is_still(self, definition: object) -> bool:
        """True if it is of this one, and nothing that it looked up is another now. Quick."""
        if self._of() is not definition:
            return False
        for there, name, same, told in self._watched:
            found = there.get(name)
            if found is not same() and (told is None or told != _told(found)):
                return False
        return True

    def _look_up(self, there: Mapping[str, object], name: str) -> object:
        found = there.get(name)
        told = None if has_code(found) else _told(found)
        self._watched.append((there, name, _unless_changed(found), told))
        return found

    def _value(self, value: object) -> object:
        if self._objects is not None:
            self._objects += _objects_in([value])
        return _told(value)

    def _parts(self, value: object, seen: set[int]) -> Iterator[object]:
        value = _unwrapped(value)
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, type):
            yield from self._of_type(value, seen)
        elif isinstance(value, FunctionType):
            yield list(_code(value.__code__))
            for default in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
                yield self._value(default)
            for cell in value.__closure__ or ():
                try:
                    yield self._value(cell.cell_contents)
                    yield from self._parts(cell.cell_contents, seen)
                except ValueError:  # the variable is not set yet
                    continue
            yield from self._parts(vars(value).get("__wrapped__"), seen)
            for name in globals_of(value.__code__):
                found = self._look_up(value.__globals__, name)
                yield name, self._value(found)
                if getattr(found, "__module__", None) == value.__module__:
                    yield from self._parts(found, seen)

    def _of_type(self, kind: type, seen: set[int]) -> Iterator[object]:
        for base in kind.__bases__:
            if base.__module__ == kind.__module__:
                yield from self._parts(base, seen)
        members = cast("Mapping[str, object]", vars(kind))
        for name in sorted(members):
            if name.startswith("__") and not isinstance(members[name], (FunctionType, classmethod)):
                continue  # what Python notes of a class, at its first pickle for instance
            member = self._look_up(members, name)
            yield name, _told(member)
            for part in (member, *(getattr(member, one, None) for one in _INNER)):
                yield from self._parts(part, seen)


def owner_of(target: object) -> Hashable:
    """Return what two callables share if nothing tells them apart in this process.

    That is their definition, the plain values that they have been given, and the very objects.
    """
    objects: list[object] = []
    told: list[object] = [Definition(definition_of(target), objects).digest]
    while isinstance(target, functools.partial):
        given = [*target.args, *target.keywords.values()]
        told.append([*map(_told, given), *target.keywords])
        objects += _objects_in(given)
        target = target.func
    if isinstance(target, MethodType):
        told.append(target.__func__.__qualname__)
        target = target.__self__
    objects += _objects_in([target])
    digest = hashlib.sha256(repr(told).encode("utf-8", "backslashreplace")).digest()
    return digest, *map(_One, objects)


def _objects_in(values: list[object]) -> list[object]:
    """List those that are more than plain values and code: only they themselves tell what."""
    return [one for one in values if isinstance(_told(one), str) and not has_code(one)]


class _One:
    """One object, whatever it equals; most are not kept alive by this."""

    __slots__ = ("_get", "_hash")

    def __init__(self, value: object) -> None:
        self._hash = id(value)
        try:
            self._get: Callable[[], object] = weakref.ref(cast("Any", value))
        except TypeError:
            self._get = lambda: value

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        found = self._get()
        return found is not None and isinstance(other, _One) and other._get() is found


_INNER = ("__func__", "fget", "fset", "fdel", "func")


def _told(value: object) -> object:
    """Return what is compared of a value: all of a plain one, of others the type."""
    kind = type(value)
    if kind in PLAIN_TYPES:
        is_long = isinstance(value, (str, bytes)) and len(value) > LONG
        return kind, hash(value) if is_long else repr(value)
    if not is_plain(value, FEW):
        return kind.__name__
    if isinstance(value, dict):
        return [(_told(name), _told(one)) for name, one in value.items()]
    found = map(_told, cast("tuple[object, ...]", value))
    return kind, sorted(found, key=repr) if isinstance(value, (set, frozenset)) else list(found)


def _unless_changed(value: object) -> Callable[[], object]:
    """Return what gives the object if that tells all of it; only small ones are kept alive."""
    kind = type(value)
    if kind in PLAIN_TYPES and not (isinstance(value, (str, bytes)) and len(value) > LONG):
        return lambda: value
    if kind in CONTAINERS or kind is dict:
        return _nothing
    try:
        there = weakref.ref(cast("Any", value))
    except TypeError:
        return _nothing
    return lambda: _NOTHING if (found := there()) is None else found


def _nothing() -> object:
    return _NOTHING


_NOTHING = object()


def globals_of(code: CodeType) -> Mapping[str, None]:
    """Return the names of global variables in code, and in code inside it."""
    from cloudpickle import cloudpickle

    found: Mapping[str, None] = cloudpickle._extract_code_globals(code)
    return found


def _code(code: CodeType) -> Iterator[object]:
    yield code.co_code.hex()
    yield from (code.co_names, code.co_varnames, code.co_freevars, code.co_argcount)
    for constant in code.co_consts:
        yield list(_code(constant)) if isinstance(constant, CodeType) else repr(constant)
