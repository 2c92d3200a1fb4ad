"""A result that is fetched when somebody looks at it."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from .jobs import JobRecord, NotKept

IsOutdated = Callable[[], bool] | None


class LazyResult:
    """Stands for a job's result that is fetched when somebody looks at it. Any thread.

    `load` gives it, and what says whether it would be another one by now; None: never.
    `on_load` is told of a value that is in memory now, until `forget`.
    """

    __slots__ = ("_job", "_known", "_load", "_on_load", "shown")

    def __init__(
        self,
        job: JobRecord,
        load: Callable[[JobRecord], tuple[object, IsOutdated]],
        shown: Callable[[], str],
        on_load: Callable[[JobRecord, object], object],
    ) -> None:
        self.shown = shown  # as text, without loading it
        self._job = weakref.ref(job)  # which has this one: neither may hold the other
        self._load = load
        self._on_load = on_load
        self._known: tuple[object, IsOutdated] | None = None

    def get(self) -> object:
        """The result, or a `NotKept`; raises what loading it raises."""
        known = self._known
        if known is not None and (known[1] is None or not known[1]()):
            return known[0]
        job = self._job()
        if job is None:
            return NotKept(reason="its job is gone")
        known = self._load(job)
        if type(known[0]) is not NotKept:  # what cannot be read now is asked for again
            self._known = known
            self._on_load(job, known[0])
        return known[0]

    @property
    def in_memory(self) -> object:
        """What was fetched and not forgotten; None: nothing."""
        return None if self._known is None else self._known[0]

    def forget(self) -> None:
        """Fetch it anew when it is next asked for."""
        self._known = None
