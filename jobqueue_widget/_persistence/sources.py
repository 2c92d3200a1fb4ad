"""Cuts the source that a journal keeps down to the lines of the function itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType

from .._core.texts.hiding import HIDDEN
from .._secrets.functions import is_by_value
from .._secrets.shapes import parts_of

_TEXT = re.compile(r"""(?:\b[rbfuRBFU]{1,2})?("{3}|'{3}|["'])(?:\\.|(?!\1).)*?\1""")


def own_lines(target: object, sources: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the lines, by file, that tracebacks of the function show; others are made empty.

    Texts in these lines that are no constants of the function are hidden, as they are not its own.
    """
    codes = [code for function in _functions(target) for code in _codes(function.__code__)]
    texts = {text for code in codes for text in _texts(code.co_consts)}
    found: dict[str, list[str]] = {}
    for name, lines in sources.items():
        of_file = [code for code in codes if code.co_filename == name]
        numbers = {number for code in of_file for _, _, number in code.co_lines() if number}
        if numbers:
            last = lines[: max(numbers)]
            found[name] = [
                _line(line, texts) if number in numbers else "\n"
                for number, line in enumerate(last, 1)
            ]
    return found


def _functions(target: object) -> list[FunctionType]:
    """Return the functions that a target's pickle holds by value."""
    seen: dict[int, object] = {}
    found: list[FunctionType] = []
    left = [target]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, FunctionType):
            if not is_by_value(one):
                continue
            found.append(one)
        left += [part for _, part in parts_of(one, everything=False) if _may_hold_code(part)]
    return found


def _may_hold_code(value: object) -> bool:
    return isinstance(value, type) or (callable(value) and hasattr(type(value), "__get__"))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _texts(constants: object) -> Iterator[object]:
    if isinstance(constants, (str, bytes)):
        yield constants
    elif isinstance(constants, (tuple, frozenset)):
        for constant in constants:
            yield from _texts(constant)


def _line(line: str, texts: set[object]) -> str:
    def kept(found: re.Match[str]) -> str:
        try:
            is_its_own = ast.literal_eval(found[0]) in texts
        except (SyntaxError, ValueError):  # a part of a longer text, or an f-string
            is_its_own = False
        return found[0] if is_its_own else f'"{HIDDEN}"'

    if re.search("[\"']", _TEXT.sub("", line)):  # a text goes on to or from another line
        return "\n"
    return _TEXT.sub(kept, line)
