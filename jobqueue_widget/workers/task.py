"""What a worker process works for, as the worker sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .._core.jobs import JobFailure


class Task(Protocol):
    """What a worker works for. Called on the I/O thread."""

    def on_starting(self) -> None:
        """Hear that its worker is not ready yet. Any thread."""

    def on_started(self) -> None:
        """Hear that its worker is ready and has it."""

    def on_progress(self, fraction: object, message: object) -> None:
        """Take a report."""

    def on_log(self, data: bytes) -> None:
        """Take what it printed."""

    def on_returned(self, told: object) -> None:
        """Hear that its body has returned (`wire.returned`); its value may still not come."""

    def on_end(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> bool:
        """Take its end; its log is complete. True: the worker must be gone before it is told."""
        ...

    def on_free(self) -> None:
        """Tell the end, after `on_end`: the worker can take another job."""

    def on_death(self, failure: JobFailure) -> None:
        """The process died or was killed, and everything that was its is gone."""

    def on_not_started(self, failure: JobFailure) -> None:
        """Take, instead of `on_death`, that its worker never came up because of the machine."""

    def on_kill_failed(self, reason: str) -> None:
        """Hear that it was killed and is still there."""
