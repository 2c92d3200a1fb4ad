"""Fetches the result of a job at its first use."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from .jobs import JobRecord, NotKept

IsOutdated = Callable[[], bool] | None


class LazyResult:
    """Stands for a job's result, which it fetches at its first use. Any thread.

    `load` returns the result, and None or a function that says if it is outdated. `on_load` is told
    of a value that stays in memory until `forget`.
    """

    __slots__ = ("_job", "_known", "_load", "_on_load", "lost", "shown")

    def __init__(
        self,
        job: JobRecord,
        load: Callable[[JobRecord], tuple[object, IsOutdated]],
        shown: Callable[[], str],
        on_load: Callable[[JobRecord, object], object],
        *,
        lost: bool = False,
    ) -> None:
        self.lost = lost  # it is known that there is no value
        self.shown = shown  # the result as text, without loading it
        self._job = weakref.ref(job)  # which holds this object: no cycle
        self._load = load
        self._on_load = on_load
        self._known: tuple[object, IsOutdated] | None = None

    def get(self, *, or_fail: bool = False) -> object:
        """Return the result, or a `NotKept`.

        Raises:
            OSError: with `or_fail`, if it is there and cannot be read just now.
        """
        known = self._known
        if known is not None and (known[1] is None or not known[1]()):
            return known[0]
        job = self._job()
        if job is None:
            return NotKept(reason="its job is gone")
        try:
            known = self._load(job)
        except OSError as error:
            if or_fail:
                raise
            known = NotKept(reason=f"its file cannot be read now: {error}"), None
        self.lost = type(known[0]) is NotKept
        if not self.lost:  # else the next call tries again
            self._known = known
            self._on_load(job, known[0])
        return known[0]

    @property
    def in_memory(self) -> object:
        """The result that was fetched and not forgotten; None if there is none."""
        return None if self._known is None else self._known[0]

    def forget(self) -> None:
        """Drop the result, to be fetched anew at its next use."""
        self._known = None
