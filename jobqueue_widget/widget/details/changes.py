"""Reads what a user has typed in place of a job's parameters: literals, and nothing that runs."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from ..checking import RequestError

MOST = 100  # parameters
LONGEST = 20_000  # characters of one


def read_changes(given: Mapping[object, object]) -> dict[str, object]:
    """Return the values by name of the parameter.

    Raises:
        RequestError: one is no literal, or they are no texts by name.

    """
    if len(given) > MOST:
        raise RequestError("bad_request", f"at most {MOST} parameters at a time")
    found: dict[str, object] = {}
    for name, text in given.items():
        if type(name) is not str or type(text) is not str or max(len(name), len(text)) > LONGEST:
            raise RequestError("bad_request", "each parameter is a short text by its name")
        found[name] = _literal(name, text)
    return found


def _literal(name: str, text: str) -> object:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise RequestError(
            "bad_request",
            f"{name}: {shown!r} is no literal; a number, a text in quotes, None, True, False, or "
            "lists, tuples, sets and dictionaries of them are",
        ) from None
