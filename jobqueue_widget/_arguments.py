"""What may be shown of a job's arguments: short, on one line, and nothing that is secret."""

from __future__ import annotations

import inspect
import re
import reprlib
from collections.abc import Iterator, Mapping

from ._core.jobs import JobSpec
from .worker.wire import plain

HIDDEN = "•••"
SECRET_LIKE = re.compile(
    r"passw(or)?d|passphrase|secret|token|api_?key|access_?key|private_?key|credential|auth",
    re.IGNORECASE,
)

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 40
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 4
_short.maxlevel = 3


def shown_arguments(spec: JobSpec) -> tuple[tuple[object, ...], dict[str, object]]:
    """Positional and keyword arguments with `•••` where one is secret."""
    names = _positional_names(spec)
    args = tuple(
        HIDDEN if _is_secret(spec, name) else value
        for name, value in zip(names, spec.args, strict=True)
    )
    kwargs = {
        name: HIDDEN if _is_secret(spec, name) else value for name, value in spec.kwargs.items()
    }
    return args, kwargs


def arguments_line(spec: JobSpec) -> str:
    """`describe_arguments` for a row, made when the job is first shown and kept.

    Not under a lock: the `repr` of an argument is the user's code.
    """
    if spec.shown is None:
        spec.shown = describe_arguments(spec)
    return spec.shown


def describe_arguments(spec: JobSpec, limit: int = 80) -> str:
    """The arguments as they would be typed, on one line of at most `limit` characters."""
    args, kwargs = shown_arguments(spec)
    parts: list[str] = []
    length = 0
    for text in _texts(args, kwargs):
        parts.append(text)
        length += len(text) + 2
        if length > limit:
            break
    line = ", ".join(parts)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _texts(args: tuple[object, ...], kwargs: Mapping[str, object]) -> Iterator[str]:
    for value in args:
        yield _repr(value)
    for name, value in kwargs.items():
        yield f"{name}={_repr(value)}"


def _repr(value: object) -> str:
    """Of any object: bounded work for large containers, and no error of its own `repr`."""
    if value is HIDDEN:
        return HIDDEN
    try:
        text = _short.repr(value)
    except Exception as error:
        text = f"<{type(value).__name__}: its repr() raised {type(error).__name__}>"
    return plain(" ".join(text.split()))


def _is_secret(spec: JobSpec, name: str | None) -> bool:
    secret = spec.options.secret
    if secret is True:
        return True
    if name is None:
        return False
    return bool(SECRET_LIKE.search(name)) or (secret is not False and name in secret)


def _positional_names(spec: JobSpec) -> list[str | None]:
    """The parameter name of each positional argument, where the target tells."""
    count = len(spec.args)
    names: list[str | None] = []
    if count and callable(spec.target):
        try:
            parameters = list(inspect.signature(spec.target).parameters.values())
        except (TypeError, ValueError):
            parameters = []  # built-ins may not tell
        for parameter in parameters:
            if parameter.kind is parameter.VAR_POSITIONAL:
                names += [parameter.name] * (count - len(names))
            elif parameter.kind is not parameter.KEYWORD_ONLY:
                names.append(parameter.name)
    return (names + [None] * count)[:count]
