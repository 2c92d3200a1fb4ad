"""The protocol by which a worker process tells how its job goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .._core.jobs import JobFailure
from ..child.capture.series import Points


class Task(Protocol):
    """A job as its worker knows it. Called on the I/O thread."""

    def on_starting(self) -> None:
        """Note that the worker is not ready yet. Any thread."""

    def on_started(self) -> None:
        """Note that the worker is ready and has the job."""

    def on_progress(self, fraction: object, message: object) -> None:
        """Take a report of progress."""

    def on_metrics(self, points: Points) -> None:
        """Take what the job has measured since the last time."""

    def on_log(self, data: bytes) -> None:
        """Take what the job printed."""

    def on_output(self, told: dict[str, Any], body: bytes) -> None:
        """Take what the job displayed, after what it printed before."""

    def on_returned(self, told: object) -> None:
        """Note that the job's body has returned (`wire.returned`); its value may still not come."""

    def on_outcome(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> None:
        """Take how the job's body ended, ahead of its end: its exit handlers or finalizers run."""

    def on_end(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> bool:
        """Take the job's end, after all its log. True if the worker must end before it is told."""
        ...

    def on_free(self) -> None:
        """Tell the end, after `on_end`, now that the worker can take another job."""

    def on_death(self, failure: JobFailure) -> None:
        """Take that the process died or was killed, with all that it had started."""

    def on_not_started(self, failure: JobFailure) -> None:
        """Take, instead of `on_death`, that the worker could not start because of the machine."""

    def on_kill_failed(self, reason: str) -> None:
        """Note that the worker was killed and still runs."""
