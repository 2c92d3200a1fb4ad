"""Keeps values of jobs in their process, for later jobs of the same function; standard library."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

Value = TypeVar("Value")

CO_COROUTINE = 0x80  # as the module `inspect` has it, which takes long to import


class Kept:
    """The values that a process keeps. Any thread."""

    def __init__(self) -> None:
        self.values: dict[Hashable, object] = {}
        self._loading: dict[Hashable, threading.RLock] = {}  # one for each value that is made

    def get(self, whose: Hashable, key: Hashable, load: Callable[[], Value]) -> Value:
        """Return the value of this key, made if there is none: once, however many ask for it."""
        checked(key, load)
        place = whose, key
        values = self.values  # what is cleared meanwhile is still returned, and not kept
        if place not in values:
            with self._loading.setdefault(place, threading.RLock()):
                if place not in values:
                    values[place] = load()
            self._loading.pop(place, None)
        found: Value = values[place]  # type: ignore[assignment]
        return found

    def clear(self) -> None:
        """Keep nothing more."""
        self.values = {}


def checked(key: object, load: object) -> None:
    """Check what was given to `keep`.

    Raises:
        TypeError: the key cannot be one, or nothing can be loaded so.
    """
    try:
        hash(key)
    except TypeError as error:
        raise TypeError(
            f"keep() takes a hashable key, such as a text or a tuple of texts and numbers: {error}"
        ) from None
    if not callable(load):
        raise TypeError(
            f"keep() takes what makes the value, and calls it once: lambda: {load!r}, for example"
        )
    if is_to_be_awaited(load):
        raise TypeError(f"keep() calls and never awaits: pass a plain function, not {load!r}")


def is_to_be_awaited(call: object) -> bool:
    """True for an `async def`."""
    code = getattr(call, "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)


OF_PROCESS = Kept()
