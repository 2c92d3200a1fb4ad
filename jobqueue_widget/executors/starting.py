"""What executors share that start a job whenever a lane is free."""

from __future__ import annotations

from collections.abc import Callable

from .._core.jobs import BlockReason
from .._core.spec import JobSpec
from .._threads.listeners import nothing


class StartsAtOnce:
    """The lanes are the only limit: part of a `protocols.Executor`."""

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """Return None: nothing blocks a job but the lanes."""
        return None

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Do nothing: nothing here ever changes what may start."""
        return nothing
