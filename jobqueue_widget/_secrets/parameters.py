"""Reads the names of a target's parameters, once per target."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from .._core.texts.secret_names import looks_secret
from ..errors import NotRestorableError


class Parameters(NamedTuple):
    """Parameters given by position, the name of `*args`, and parameters given by name only."""

    named: tuple[str, ...] = ()
    rest: str | None = None
    by_name: tuple[str, ...] = ()
    any_secret: bool = False  # a name of `named` or `rest` looks secret

    @property
    def names(self) -> tuple[str, ...]:
        """List all parameters, without those that `**kwargs` takes."""
        return (*self.named, *self.by_name, *(() if self.rest is None else (self.rest,)))


_known: weakref.WeakKeyDictionary[object, Parameters] = weakref.WeakKeyDictionary()


def parameters_of(target: Callable[..., object]) -> Parameters:
    """Read the signature of a target; no parameters where it has none that can be read."""
    try:
        known = _known.get(target)
    except TypeError:  # not hashable, or no weak reference to it
        return _read(target)
    if known is None:
        known = _known[target] = _read(target)
    return known


def _read(target: Callable[..., object]) -> Parameters:
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return Parameters()  # a built-in may have no signature
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = tuple(p.name for p in parameters if p.kind in by_position)
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    by_name = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    names = named if rest is None else (*named, rest)
    return Parameters(named, rest, by_name, any(map(looks_secret, names)))


def by_name(
    target: object, args: Sequence[object], kwargs: Mapping[str, object]
) -> list[tuple[str, object, bool]]:
    """Return the arguments by name, or by place where the target does not tell.

    The third of each says if the target takes it under that name.
    """
    names = _names(target, len(args))
    found = {name: (value, is_named) for (name, is_named), value in zip(names, args, strict=True)}
    found |= {name: (value, True) for name, value in kwargs.items()}
    return [(name, value, is_named) for name, (value, is_named) in found.items()]


def changed(
    target: object,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    changes: Mapping[str, object],
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return the arguments with other values for some, named as `by_name` names them.

    Raises:
        KeyError: there is no argument of that name.

    """
    places = {name: place for place, (name, _) in enumerate(_names(target, len(args)))}
    others, named = list(args), dict(kwargs)
    for name, value in changes.items():
        if name in named:
            named[name] = value
        else:
            others[places[name]] = value
    return tuple(others), named


def _names(target: object, count: int) -> list[tuple[str, bool]]:
    """Name so many positional arguments; and say if the target takes each under that name."""
    try:
        names = names_by_position(target, count)
    except NotRestorableError:
        names = [None] * count
    found: dict[str, bool] = {}
    for place, name in enumerate(names):
        if name is None or name in found:
            found[f"argument {place}"] = False
        else:
            found[name] = name in parameters_of(cast("Any", target)).named
    return list(found.items())


def names_by_position(target: object, count: int) -> list[str | None]:
    """Name the parameter that takes each of so many positional arguments; None where unknown."""
    names: list[str | None] = []
    if count and callable(target):
        parameters = parameters_of(target)
        names += parameters.named
        if parameters.rest is not None:
            names += [parameters.rest] * (count - len(names))
    return (names + [None] * count)[:count]
