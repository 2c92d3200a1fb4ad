"""Those who want to know that something has changed, and what ends that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


class Listeners:
    """Callbacks in the order in which they were added. Any thread."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []

    def add(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back at each change, until what is returned is called."""
        self._callbacks.append(callback)

        def remove() -> None:
            with contextlib.suppress(ValueError):
                self._callbacks.remove(callback)

        return remove

    def __iter__(self) -> Iterator[Callable[[], None]]:
        return iter(list(self._callbacks))

    def tell(self) -> None:
        """Something has changed."""
        for callback in self:
            callback()


def nothing() -> None:
    """Ends what has never begun."""
