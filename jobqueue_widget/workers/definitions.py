"""Compares functions by their code, and finds what a function's name stands for now."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType

from ..child.byvalue import codes_in
from ..child.wire import is_plain


def print_of(target: object) -> bytes | None:
    """Return a digest that equal code shares, wherever it stands; None for what has no code.

    It covers defaults, closed-over values, and the code of functions and classes that it names in
    its own module; not the values of other global variables.
    """
    while isinstance(target, functools.partial):
        target = target.func
    if not isinstance(target, FunctionType):
        return None
    return hashlib.sha256(repr(list(_parts(target, set()))).encode()).digest()


def _parts(value: object, seen: set[int]) -> Iterator[object]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, type):
        for name, member in sorted(vars(value).items()):
            yield name
            yield from _parts(getattr(member, "__func__", member), seen)
    elif isinstance(value, FunctionType):
        yield list(_code(value.__code__))
        for default in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
            yield repr(default) if is_plain(default) else type(default).__name__
        for cell in value.__closure__ or ():
            try:
                yield from _parts(cell.cell_contents, seen)
            except ValueError:  # the variable is not set yet
                continue
        for code in codes_in(value.__code__):
            for name in code.co_names:
                found = value.__globals__.get(name)
                if getattr(found, "__module__", None) == value.__module__:
                    yield name
                    yield from _parts(found, seen)


def _code(code: CodeType) -> Iterator[object]:
    yield code.co_code.hex()
    yield from (code.co_names, code.co_varnames, code.co_freevars, code.co_argcount)
    for constant in code.co_consts:
        yield list(_code(constant)) if isinstance(constant, CodeType) else repr(constant)


def now_of(target: object) -> Callable[..., object] | None:
    """Return what the name of a function stands for now; None if that cannot be called."""
    names = getattr(target, "__qualname__", "<locals>")
    found: object = sys.modules.get(getattr(target, "__module__", None) or "")
    if found is None or "<" in names:
        return None
    for name in names.split("."):
        found = getattr(found, name, None)
    return found if callable(found) else None
