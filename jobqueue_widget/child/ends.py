"""Tells how a body has ended before what comes behind it can lose that; standard library only.

Behind a body come its exit handlers, the finalizers of its objects, its streams and what is undone.
Most jobs have none of these, and tell their end once, by one frame.
"""

from __future__ import annotations

import threading
import types
from collections.abc import Mapping
from typing import Any

from .pipes import Pipes
from .wire import OUTCOME, PLAIN_TYPES, PLAIN_VALUE, SMALL, end_frame, end_parts, is_plain, pieces

QUIET_TYPES = PLAIN_TYPES | {types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type}
TOLD: dict[str, Any] = {**PLAIN_VALUE, "told": True}
"""An END after an OUTCOME, which has said how the body ended."""


class End:
    """How the body of one job has ended, which is told once, by END or ahead of it."""

    def __init__(self, pipes: Pipes, number: int) -> None:
        self._pipes = pipes
        self._number = number
        self._lock = threading.Lock()
        self._held: tuple[dict[str, Any], list[Any]] | None = None
        self.is_known = False

    def hold(self, meta: dict[str, Any], parts: list[Any]) -> None:
        """Note how it ended: from now on that is lost with this process only."""
        self._held = meta, parts
        self.is_known = True

    def tell_ahead(self, number: int) -> None:
        """Tell how job `number` ended, as what comes now may hang or end us. Any thread."""
        with self._lock:
            if self._held is not None and number == self._number:
                parts = end_parts(*self._held)
                self._held = None
                self._pipes.write(pieces(OUTCOME, number, parts))

    def tell(self, left: dict[str, Any]) -> None:
        """Tell that all is over, and what is left of it here."""
        with self._lock:
            meta, parts = self._held or (TOLD, [])
            self._held = None
            self._pipes.write(end_frame(self._number, {**meta, **left} if left else meta, parts))


def is_quick(value: object) -> bool:
    """True if sending a value takes no time, hardly any memory and nobody's code."""
    return is_plain(value) and not (isinstance(value, (str, bytes)) and len(value) > SMALL)


def is_quiet(names: Mapping[str, object], *values: object) -> bool:
    """True if nobody's code runs when these go: functions, modules and built-in values."""
    others = {*map(type, names.values())} - QUIET_TYPES
    if others and any(type(one) in others for name, one in names.items() if name != "__builtins__"):
        return False
    return not any(values) or is_plain(values)


def with_the_rest(told: dict[str, Any], end: dict[str, Any]) -> dict[str, Any]:
    """Join what OUTCOME told with what END says of the time after it."""
    return {**told, **{name: one for name, one in end.items() if name not in TOLD}}
