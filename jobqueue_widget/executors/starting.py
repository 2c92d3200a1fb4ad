"""What executors have in common that start a job whenever a lane is free."""

from __future__ import annotations

from collections.abc import Callable

from .._core.jobs import BlockReason
from .._core.spec import JobSpec
from .._threads.listeners import nothing
from ..protocols import ExecutorContext


class StartsAtOnce:
    """Have the lanes as the only limit, and need nothing: part of a `protocols.Executor`."""

    capacity: int | None = None

    def prepare(self, spec: JobSpec) -> object:
        """Return None: the arguments stay in this process."""
        return None

    def open(self, context: ExecutorContext) -> None:
        """Do nothing: nothing of the queue is needed."""

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """Return None: nothing blocks a job but the lanes."""
        return None

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Do nothing: nothing here ever changes what may start."""
        return nothing
