"""Finds what is secret in a job, so that no byte of it is ever written."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType

from .._arguments import SECRET_LIKE, is_secret, positional_names
from .._core.jobs import JobSpec
from ..worker.byvalue import MAIN, is_made_by_hand, names_in_texts

HIDDEN = "•••"
_DEPTH = 6
_MOST = 2_000  # values looked at per job
SHORTEST = 3  # characters; what is shorter says nothing and would hide half of every text


def secrets_of(spec: JobSpec) -> tuple[str, ...] | None:
    """The texts that must not be written; None if nothing of the job is secret.

    By name: parameters, keys of mappings among the arguments, attributes of objects, variables
    that the function captured or finds in its module, when that is not imported by its name.
    """
    found = _Finder()
    names = positional_names(spec)
    given = [*zip(names, spec.args, strict=True), *spec.kwargs.items()]
    for name, value in given:
        if is_secret(spec, name) and (spec.options.secret is True or _may_be_one(value)):
            found.add(value)
        else:
            found.look_into(value)
    if spec.kind != "plugin":
        found.search_target(spec.target)
    return tuple(sorted(found.texts, key=len, reverse=True)) if found.any else None


def looks_secret(name: str) -> bool:
    """True for the name of an environment variable whose value may be a secret."""
    return _SECRET_VARIABLE.search(name) is not None or SECRET_LIKE.search(name) is not None


_SECRET_VARIABLE = re.compile(
    r"PASS|PWD$|_KEY$|_PAT$|DSN$|CREDS|COOKIE|(DATABASE|DB|REDIS|MONGO\w*)_UR[LI]$", re.IGNORECASE
)


class _Finder:
    def __init__(self) -> None:
        self.texts: set[str] = set()
        self.any = False
        self._seen: set[int] = set()
        self._left = _MOST

    def add(self, value: object) -> None:
        """It is secret, whatever it is made of."""
        self.any = True
        for leaf in self._leaves(value, _DEPTH):
            text = leaf.decode("utf-8", "replace") if isinstance(leaf, bytes) else str(leaf)
            if len(text) >= SHORTEST:
                self.texts |= {text, repr(text)[1:-1]}  # as a `repr` shows it, with its newlines

    def _leaves(self, value: object, depth: int) -> Iterator[str | bytes | int | float]:
        if isinstance(value, (str, bytes)) or (
            isinstance(value, (int, float)) and not isinstance(value, bool)
        ):
            yield value
        elif depth and isinstance(value, Mapping):
            for member in value.values():
                yield from self._leaves(member, depth - 1)
        elif depth and isinstance(value, (list, tuple, set, frozenset)):
            for member in value:
                yield from self._leaves(member, depth - 1)

    def look_into(self, value: object) -> None:
        """Search it, whatever its class raises."""
        self._named(None, value, _DEPTH + 1)

    def search(self, value: object, depth: int = _DEPTH) -> None:
        """Names inside a value that nobody called secret."""
        kind = type(value)
        if kind in _PLAIN or not depth or self._left <= 0:
            return
        self._left -= 1
        if isinstance(value, Mapping):
            for key, member in value.items():
                self._named(key, member, depth)
        elif kind in (list, tuple, set, frozenset):
            for member in value:  # type: ignore[attr-defined]
                self.search(member, depth - 1)
        elif isinstance(value, (FunctionType, functools.partial)):
            self.search_target(value)
        else:
            for name, member in _attributes(value).items():
                self._named(name, member, depth)

    def _named(self, name: object, value: object, depth: int) -> None:
        try:
            if isinstance(name, str) and SECRET_LIKE.search(name) and _may_be_one(value):
                self.add(value)
            else:
                self.search(value, depth - 1)
        except Exception:  # a proxy of nothing, a broken `items()`: it may hold anything
            self.any = True

    def search_target(self, target: object) -> None:
        """What goes with the pickle of a function."""
        if id(target) in self._seen:
            return
        self._seen.add(id(target))
        if isinstance(target, functools.partial):
            for name, value in target.keywords.items():
                self._named(name, value, _DEPTH)
            for value in target.args:
                self.search(value)
            self.search_target(target.func)
            return
        owner = getattr(target, "__self__", None)
        if owner is not None and not isinstance(owner, (ModuleType, type)):
            self.search(owner)
        function = getattr(target, "__func__", target)
        if not isinstance(function, FunctionType):
            if not callable(function) or isinstance(function, type):
                return
            self.search(function)
            return
        for name, value in _captured(function):
            if type(value) is FunctionType:
                self.search_target(value)
            else:
                self._named(name, value, _DEPTH)


_PLAIN = frozenset({str, bytes, int, float, bool, type(None), complex})


def _may_be_one(value: object) -> bool:
    """A class, function or module called `Token` is no secret, nor are True, None and ""."""
    if isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)):
        return len(value) > 0
    return value is not None and not isinstance(value, (bool, type, FunctionType, ModuleType))


def _attributes(value: object) -> Mapping[str, object]:
    if isinstance(value, (type, ModuleType)):
        return {}
    found = getattr(value, "__dict__", None)
    return found if isinstance(found, dict) else {}


def _captured(function: FunctionType) -> Iterator[tuple[str, object]]:
    """What its pickle takes along: defaults, closed-over variables, and globals if by value."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    yield from zip(names[len(names) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not set yet
            continue
    if function.__module__ == MAIN or is_made_by_hand(function.__module__):
        for name in (*_names_used(code), *names_in_texts(function)):
            if name in function.__globals__:
                yield name, function.__globals__[name]


def _names_used(code: object) -> Iterator[str]:
    left = [code]
    while left:
        one = left.pop()
        yield from getattr(one, "co_names", ())
        left += [inner for inner in getattr(one, "co_consts", ()) if hasattr(inner, "co_names")]


def hide(text: str, secrets: tuple[str, ...] | None) -> str:
    """The text without them, and without what a cut has left of one."""
    for secret in secrets or ():
        text = text.replace(secret, HIDDEN)
    for secret in secrets or ():
        text = _without_pieces(text, secret)
    return text


_EDGE = 4  # characters; what is left of a secret beside a cut and is shorter says nothing
_CUT = re.compile(r"…|\.\.\.|\n\[\.\.\. | \.\.\.\]\n|^|$(?!\n)")


def _without_pieces(text: str, secret: str) -> str:
    """Hide what stands right before or after a place where the text was cut, and is of it."""
    for cut in reversed(list(_CUT.finditer(text))):
        after = _common(text[cut.end() : cut.end() + len(secret)], secret)
        text = text[: cut.end()] + HIDDEN * (after > 0) + text[cut.end() + after :]
        start = cut.start()
        back = _common(text[max(0, start - len(secret)) : start][::-1], secret[::-1])
        text = text[: start - back] + HIDDEN * (back > 0) + text[start:]
    return text


def _common(text: str, secret: str) -> int:
    """How many characters at the beginning of the text stand somewhere in the secret; 0 if few."""
    if text[:_EDGE] not in secret or len(text) < _EDGE:
        return 0
    low, high = _EDGE, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text[:middle] in secret else (low, middle - 1)
    return low


def hide_bytes(data: bytes, secrets: tuple[str, ...] | None) -> bytes:
    """The same for bytes of UTF-8."""
    if not secrets:
        return data
    text = data.decode("utf-8", "surrogateescape")
    return hide(text, secrets).encode("utf-8", "surrogateescape")


def holds(data: bytes, secrets: tuple[str, ...] | None) -> bool:
    """True if one of them stands in the data as it is."""
    return any(secret.encode("utf-8", "replace") in data for secret in secrets or ())
