"""Tells what a user has given to submit: its kind and name, or why it is no target."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, cast

from ..._core.spec import TargetKind
from ...errors import InvalidOptionError, InvalidTargetError
from ..options import KNOWN

MISSING = object()
GENERATES = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
ACCEPTED = (
    "a target is a plugin name (str), a coroutine function or a plain callable, "
    "followed by its arguments"
)
CALLED = (
    "; if that is what f(1, 2) gave, you called the function: pass it and its arguments apart, "
    "as in submit(f, 1, 2)"
)


def target_of(target: object, kwargs: dict[str, Any]) -> object:
    """Return the positional target, or `plugin_name=` as in the reference system."""
    if target is not MISSING:
        return target
    if "plugin_name" in kwargs:
        return kwargs.pop("plugin_name")
    raise InvalidTargetError(f"submit needs a target as its first argument; {ACCEPTED}")


def classify(target: object) -> tuple[TargetKind, str]:
    """Return the kind of the target and the name to show.

    Raises:
        InvalidTargetError: it is none.
    """
    if type(target) is FunctionType:  # as most are; all that follows takes a while
        flags = target.__code__.co_flags
        if flags & inspect.CO_COROUTINE:
            return "coroutine", _name_of(target)
        if not target.__dict__ and not flags & GENERATES:  # nothing marks it as another kind
            return "function", _name_of(target)
    if isinstance(target, str):
        if not target.strip():
            raise InvalidTargetError(f"the plugin name is empty; {ACCEPTED}")
        return "plugin", target
    if inspect.iscoroutine(target) or inspect.isawaitable(target):
        if inspect.iscoroutine(target):
            target.close()  # else Python warns that it was never awaited, on top of our error
        raise InvalidTargetError(
            "submit got a coroutine or another awaitable that is already made: you called the "
            "function; pass f, not f(): its arguments go after it, as in submit(f, 1, 2)"
        )
    if not callable(target):
        raise InvalidTargetError(f"{type(target).__name__} cannot be run{CALLED}; {ACCEPTED}")
    if inspect.isasyncgenfunction(target) or inspect.isgeneratorfunction(target):
        raise InvalidTargetError(
            f"{_name_of(target)!r} is a generator function: calling it runs nothing; "
            "wrap it in a function that consumes it"
        )
    call = getattr(target, "__call__", None)  # noqa: B004 - the method itself is inspected
    if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call):
        return "coroutine", _name_of(target)
    return "function", _name_of(target)


def refuse_options(target: object, kwargs: Mapping[str, object]) -> None:
    """Raise if a keyword is an option's name, and nothing that the target takes.

    Raises:
        InvalidOptionError: it would fail the job when it runs, perhaps after hours.
    """
    suspects = [name for name in kwargs if name in KNOWN]
    if not suspects or isinstance(target, str):
        return
    try:
        parameters = inspect.signature(cast("Callable[..., object]", target)).parameters
    except (TypeError, ValueError):  # a built-in that does not tell
        return
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    for name in suspects:
        one = parameters.get(name)
        if one is None or one.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise InvalidOptionError(
                f"{_name_of(target)} takes no argument {name!r}: did you mean "
                f"options({name}=…).submit(…)? What is given to submit goes to the function"
            )


def _name_of(target: object) -> str:
    while isinstance(target, functools.partial):
        target = target.func
    name = getattr(target, "__qualname__", None) or type(target).__qualname__
    return str(name).rpartition("<locals>.")[2]
