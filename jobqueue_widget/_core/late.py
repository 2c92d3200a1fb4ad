"""A result that is fetched when somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable

from .jobs import NotKept

IsOutdated = Callable[[], bool] | None


class Late:
    """Stands for a result that is fetched when somebody looks at it. Any thread.

    `load` gives it, and what says whether it would be another one by now; None: never.
    `on_load` is told of a value that is in memory now, until `forget`.
    """

    __slots__ = ("_known", "_load", "_on_load", "shown")

    def __init__(
        self,
        load: Callable[[], tuple[object, IsOutdated]],
        shown: Callable[[], str],
        on_load: Callable[[object], object] | None = None,
    ) -> None:
        self.shown = shown  # as text, without loading it
        self._load = load
        self._on_load = on_load
        self._known: tuple[object, IsOutdated] | None = None

    def get(self) -> object:
        """The result, or a `NotKept`; raises what loading it raises."""
        known = self._known
        if known is not None and (known[1] is None or not known[1]()):
            return known[0]
        known = self._load()
        if type(known[0]) is not NotKept:  # what cannot be read now is asked for again
            self._known = known
            if self._on_load is not None:
                self._on_load(known[0])
        return known[0]

    @property
    def in_memory(self) -> object:
        """What was fetched and not forgotten; None: nothing."""
        return None if self._known is None else self._known[0]

    def forget(self) -> None:
        """Fetch it anew when it is next asked for."""
        self._known = None
