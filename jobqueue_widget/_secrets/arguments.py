"""Writes a job's arguments as they may be shown: short, on one line, and without secrets."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from itertools import chain, islice, repeat
from types import BuiltinFunctionType, FunctionType

from .._core.spec import JobSpec
from .._core.texts.fitting import LINE, ends, fit
from .._core.texts.hiding import HIDDEN
from ..child.wire import ShortRepr, is_interrupt, is_plain, plain
from .finder import Part, search, texts_in
from .parameters import by_name

TOLD = 2_000  # characters that are kept of the line of arguments
LONGEST = 20_000  # characters shown of one value
SIMPLE = 40  # characters of a text that is shown without a search for what is secret or long
FAR = 10**15  # from here on an integer may have too many digits to be shown whole


class _Repr(ShortRepr):
    """A `repr` of at most so many items of a container, on so many levels."""

    def __init__(self, items: int, levels: int) -> None:
        super().__init__()
        self.fillvalue = "…"
        self.maxstring = self.maxother = self.maxlong = LONGEST
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = items
        self.maxdeque = self.maxarray = items
        self.maxlevel = levels

    def repr_str(self, value: str, level: int) -> str:
        """Write a text; of a very long one only both ends."""
        return repr(ends(value, LONGEST // 2))


_whole = _Repr(200, 200)  # for few plain values, whose `repr` runs nobody's code
_short = _Repr(12, 3)


_FIXED = frozenset({type(None), bool, int, float, complex, str, bytes, FunctionType, type})


def may_change(value: object) -> bool:
    """True unless the value stays the same whatever its user does to it after the submit."""
    if type(value) is tuple:
        return any(map(may_change, value))
    return type(value) not in _FIXED


def shown_arguments(spec: JobSpec) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return positional and keyword arguments, with a text for each that is or holds a secret.

    Arguments of a job that was restored or completed long ago may be lost, or fail to unpickle:
    then their line of text is returned as the only argument.
    """
    try:
        if spec.restored:  # secrets are never written, so what came back is none
            return spec.args, dict(spec.kwargs)
        args, kwargs = _without_secrets(spec)
    except Exception:
        if not spec.restored and spec.lazy is None:
            raise
        return (spec.shown or "",), {}
    return tuple(map(_untold, args)), {name: _untold(value) for name, value in kwargs.items()}


def _without_secrets(spec: JobSpec) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """Hide secrets in arguments as they are now, also what was put into them after the submit."""
    args, kwargs = spec.args, spec.kwargs
    found = None if spec.restored else search(spec)
    if found is None:
        return args, kwargs
    known = [one for one in (spec.secrets, found.secrets()) if one is not None]
    if not known:
        return args, kwargs

    def shown(value: object, part: Part) -> object:
        if part.hidden:
            return HIDDEN
        if part.closed or part.short:
            return _Told(f"<{type(value).__name__}>")
        if not part.found and not is_plain(value):
            return value
        text = told = _repr(value)
        for secrets in known:
            told = secrets.hide(told)
        return value if text == told and not part.found else _Told(told)

    return (
        tuple(map(shown, args, found.args)),
        {name: shown(value, found.kwargs[name]) for name, value in kwargs.items()},
    )


def described_parameters(spec: JobSpec, most: int, limit: int) -> list[tuple[str, str, bool, bool]]:
    """Describe the first `most` arguments, each in at most `limit` characters.

    Returns:
        For each its name, its value as it would be typed, whether the target takes it under that
        name, and whether the text is the whole value, as a literal that can be read again.

    """
    is_lazy = spec.restored or spec.lazy is not None
    args, kwargs = shown_arguments(spec) if is_lazy else _without_secrets(spec)
    found = []
    for name, value, is_named in islice(by_name(spec.target, args, kwargs), most):
        literal = _literal(value, limit)
        text = fit(_repr(value), limit) if literal is None else literal
        found.append((name, text, is_named, literal is not None))
    return found


def _literal(value: object, limit: int) -> str | None:
    """Return the whole value as a literal; None: it is no plain value, or longer."""
    if value is HIDDEN or isinstance(value, _Told) or not is_plain(value):
        return None
    text = repr(value)
    if len(text) > limit:
        return None
    try:
        return text if ast.literal_eval(text) == value else None
    except (ValueError, SyntaxError):
        return None  # as of `inf`


def shown_result(spec: JobSpec, value: object) -> object:
    """Return the value, or `•••` where it holds, or may hold, a secret of its job."""
    if spec.secrets is None or not spec.secrets.stands_in_any(texts_in(value)):
        return value
    return HIDDEN


def _untold(value: object) -> object:
    return str(value) if type(value) is _Told else value


class _Told(str):
    """Text that is shown in place of an argument."""

    __slots__ = ()


def arguments_line(spec: JobSpec) -> str:
    """Return the arguments in `TOLD` characters, kept from when the job is first shown or written.

    Not to be called under a lock: the `repr` of an argument is the user's code.
    """
    if spec.shown is None:
        spec.shown = _line(spec, TOLD)
    return fit(ends(spec.shown, LONGEST), TOLD)


def quiet_line(spec: JobSpec) -> str:
    """Return the line of arguments, made without running the `repr` of the user's classes."""
    if spec.shown is not None or (is_plain(spec.args) and is_plain(dict(spec.kwargs))):
        return arguments_line(spec)
    args, kwargs = shown_arguments(spec)
    parts = [_quietly(value) for value in args]
    return fit(", ".join(parts + [f"{name}={_quietly(kwargs[name])}" for name in kwargs]), TOLD)


def _quietly(value: object) -> str:
    return _repr(value) if value is HIDDEN or is_plain(value) else f"<{type(value).__name__}>"


def describe_arguments(spec: JobSpec, limit: int = LINE) -> str:
    """Return the arguments as they would be typed, on one line of at most `limit` characters.

    A line that was shown before is shown again: an argument may be another by now, or gone.
    """
    if limit <= TOLD or spec.restored or spec.lazy is not None:
        return fit(arguments_line(spec), limit)
    return _line(spec, limit)


def _line(spec: JobSpec, limit: int) -> str:
    is_lazy = spec.restored or spec.lazy is not None
    args, kwargs = shown_arguments(spec) if is_lazy else _without_secrets(spec)
    parts: list[str] = []
    left = limit + 2
    for name, value in chain(zip(repeat(""), args), kwargs.items()):
        if left < 0:
            parts.append("…")
            break
        text = f"{name}={_repr(value)}" if name else _repr(value)
        parts.append(text)
        left -= len(text) + 2
    return fit(", ".join(parts), limit)


def _repr(value: object) -> str:
    """Write any object, with bounded work for large containers and no error of its own `repr`."""
    if value is HIDDEN or type(value) is _Told:
        return str(value)
    if type(value) is int and -FAR < value < FAR:
        return repr(value)
    if type(value) is str:  # most are short and need nothing of what follows
        if len(value) <= SIMPLE and value.isprintable() and "  " not in value:
            return repr(value)
    elif type(value) is float or type(value) is bool or value is None:
        return repr(value)
    elif type(value) in (FunctionType, BuiltinFunctionType, type):
        return plain(str(value.__name__))  # type: ignore[attr-defined]  # its repr has an address
    try:
        text = (_whole if is_plain(value) else _short).repr(value)
    except BaseException as error:
        if is_interrupt(error):
            raise
        text = f"<{type(value).__name__}: its repr() raised {type(error).__name__}>"
    return plain(" ".join(text.split()))
