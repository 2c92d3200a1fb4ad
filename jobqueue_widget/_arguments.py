"""What may be shown of a job's arguments: short, on one line, and nothing that is secret."""

from __future__ import annotations

import inspect
import re
import weakref
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import BuiltinFunctionType, FunctionType
from typing import NamedTuple

from ._core.jobs import JobSpec
from ._core.words import LINE, cut
from .worker.wire import ShortRepr, is_plain, plain

HIDDEN = "•••"
SECRET_LIKE = re.compile(
    r"passw(or)?d|passphrase|secret|api_?key|access_?key|private_?key|credential"
    r"|auth(?!or(?!i[sz]))"  # but not author, authority
    r"|token(?!i[sz]|s|_?(ids?|count|limit|len|type)\b)"  # but not tokenizer, max_tokens
    r"|(access|api|auth|bearer|refresh)_?tokens",
    re.IGNORECASE,
)

TOLD = 2_000  # characters of the line of arguments in a job's details
LONGEST = 40  # characters of one value
FAR = 10**15  # numbers beyond may be too long

_short = ShortRepr()
_short.maxstring = _short.maxother = LONGEST
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 4
_short.maxlevel = 3


def shown_arguments(spec: JobSpec) -> tuple[tuple[object, ...], dict[str, object]]:
    """Positional and keyword arguments with `•••` where one is secret.

    Those of a restored job may be lost, and so may those of one that completed long ago; and
    unpickling them may fail: then as text.
    """
    try:
        if spec.restored:  # secrets are never written, so what came back is none
            return spec.args, dict(spec.kwargs)
        args, kwargs = _without_secrets(spec)
    except Exception:
        if not spec.restored and spec.late is None:
            raise
        return (spec.shown or "",), {}
    return args, dict(kwargs)


def _without_secrets(spec: JobSpec) -> tuple[tuple[object, ...], Mapping[str, object]]:
    args, kwargs = spec.args, spec.kwargs
    if not _may_hide(spec):
        return args, kwargs
    names = positional_names(spec)
    return (
        tuple(
            HIDDEN if is_secret(spec, name) else value
            for name, value in zip(names, args, strict=True)
        ),
        {name: HIDDEN if is_secret(spec, name) else value for name, value in kwargs.items()},
    )


def _may_hide(spec: JobSpec) -> bool:
    """False for most jobs: not a name of theirs sounds secret, and the user has named none."""
    if spec.options.secret is not False:
        return True
    if spec.args and callable(spec.target) and _parameters(spec.target).sound_secret:
        return True
    return bool(spec.kwargs) and any(map(_sounds_secret, spec.kwargs))


def arguments_line(spec: JobSpec) -> str:
    """`describe_arguments` for a row, made when the job is first shown or written, and kept.

    Not under a lock: the `repr` of an argument is the user's code.
    """
    if spec.shown is None:
        spec.shown = describe_arguments(spec)
    return cut(spec.shown)


def quiet_line(spec: JobSpec) -> str:
    """The same without running the `repr` of the user's classes, if it was not shown before."""
    if spec.shown is not None or (is_plain(spec.args) and is_plain(dict(spec.kwargs))):
        return arguments_line(spec)
    args, kwargs = shown_arguments(spec)
    parts = [_quietly(value) for value in args]
    return cut(", ".join(parts + [f"{name}={_quietly(kwargs[name])}" for name in kwargs]))


def _quietly(value: object) -> str:
    return _repr(value) if value is HIDDEN or is_plain(value) else f"<{type(value).__name__}>"


def describe_arguments(spec: JobSpec, limit: int = LINE) -> str:
    """The arguments as they would be typed, on one line of at most `limit` characters.

    What was shown before is shown again: an argument may be another by now, or gone.
    """
    is_late = spec.restored or spec.late is not None
    if spec.shown is not None and (is_late or limit == LINE):
        return cut(spec.shown, limit)
    args, kwargs = shown_arguments(spec) if is_late else _without_secrets(spec)
    parts: list[str] = []
    left = limit + 2
    for value in args:
        text = _repr(value)
        parts.append(text)
        left -= len(text) + 2
        if left < 0:
            break
    if kwargs and left >= 0:
        for name, value in kwargs.items():
            text = f"{name}={_repr(value)}"
            parts.append(text)
            left -= len(text) + 2
            if left < 0:
                break
    return cut(", ".join(parts), limit)


def _repr(value: object) -> str:
    """Of any object: bounded work for large containers, and no error of its own `repr`."""
    if value is HIDDEN:
        return HIDDEN
    if type(value) is int and -FAR < value < FAR:
        return repr(value)
    if type(value) is str:  # most are short and need nothing of what follows
        if len(value) <= LONGEST and value.isprintable() and "  " not in value:
            text = repr(value)
            if len(text) <= LONGEST:
                return text
    elif type(value) is float or type(value) is bool or value is None:
        return repr(value)
    elif type(value) in (FunctionType, BuiltinFunctionType, type):
        return plain(str(value.__name__))  # type: ignore[attr-defined]  # its repr has an address
    try:
        text = _short.repr(value)
    except Exception as error:
        text = f"<{type(value).__name__}: its repr() raised {type(error).__name__}>"
    return plain(" ".join(text.split()))


def is_secret(spec: JobSpec, name: str | None) -> bool:
    """True if the argument of that name must not be shown, nor written."""
    secret = spec.options.secret
    if secret is True:
        return True
    if name is None:
        return False
    return _sounds_secret(name) or (secret is not False and name in secret)


@lru_cache(maxsize=1024)  # parameters have few names
def _sounds_secret(name: str) -> bool:
    return SECRET_LIKE.search(name) is not None


def positional_names(spec: JobSpec) -> list[str | None]:
    """The parameter name of each positional argument, where the target tells."""
    count = len(spec.args)
    names: list[str | None] = []
    if count and callable(spec.target):
        parameters = _parameters(spec.target)
        names += parameters.named
        if parameters.rest is not None:
            names += [parameters.rest] * (count - len(names))
    return (names + [None] * count)[:count]


class _Parameters(NamedTuple):
    """The names of what may be given by position, and of `*args`."""

    named: tuple[str, ...] = ()
    rest: str | None = None
    sound_secret: bool = False  # any of them


_known: weakref.WeakKeyDictionary[object, _Parameters] = weakref.WeakKeyDictionary()


def _parameters(target: Callable[..., object]) -> _Parameters:
    """What its signature says; asked once per target."""
    try:
        known = _known.get(target)
    except TypeError:  # not hashable, or no weak reference to it
        return _read_parameters(target)
    if known is None:
        known = _known[target] = _read_parameters(target)
    return known


def _read_parameters(target: Callable[..., object]) -> _Parameters:
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return _Parameters()  # built-ins may not tell
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = tuple(p.name for p in parameters if p.kind in by_position)
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    names = named if rest is None else (*named, rest)
    return _Parameters(named, rest, any(map(_sounds_secret, names)))
