"""What a worker process works for, as the worker sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .._core.jobs import JobFailure


class Task(Protocol):
    """What a worker works for. Called on the I/O thread."""

    def on_starting(self) -> None:
        """Its worker is not ready yet. Any thread."""

    def on_started(self) -> None:
        """Its worker is ready and has it."""

    def on_progress(self, fraction: object, message: object) -> None:
        """It reported."""

    def on_log(self, data: bytes) -> None:
        """It printed."""

    def on_returned(self, told: object) -> None:
        """Its body has returned (`wire.returned`); its value may still not come."""

    def on_end(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> bool:
        """It ended; its log is complete. True: the worker must be gone before that is told."""
        ...

    def on_free(self) -> None:
        """After `on_end`: the worker can take another job, so the end may be told now."""

    def on_death(self, failure: JobFailure) -> None:
        """The process died or was killed, and everything that was its is gone."""

    def on_not_started(self, failure: JobFailure) -> None:
        """In the place of `on_death`: its worker never came up, for a reason of the machine."""

    def on_kill_failed(self, reason: str) -> None:
        """It was killed and is still there."""
