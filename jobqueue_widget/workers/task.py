"""What a worker process tells of its job, and how that is passed on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from .._core.jobs import JobFailure
from ..child.capture.series import Points
from ..protocols import Reporter


class Task(ABC):
    """A job as its worker knows it. Called on the I/O thread.

    Unless a method is overridden its `reporter` is told, or nobody where that knows no such thing.
    """

    reporter: Reporter

    def on_starting(self) -> None:
        """Tell that the worker is not ready yet. Any thread."""
        self.reporter.phase("starting")

    def on_started(self) -> None:
        """Tell that the worker is ready and has the job."""
        self.reporter.phase(None)

    def on_progress(self, fraction: object, message: object) -> None:
        """Pass a report of progress on."""
        self.reporter.progress(fraction, message)

    def on_metrics(self, points: Points, *, anew: bool = False) -> None:
        """Pass on what the job has measured since the last time; `anew`: all that it has."""
        self.reporter.metrics(points, anew=anew)

    def on_log(self, data: bytes) -> None:
        """Pass on what the job printed."""
        self.reporter.log(data)

    def on_output(self, told: dict[str, Any], body: bytes) -> None:
        """Pass on what the job displayed, after what it printed before."""
        self.reporter.output(told, body)

    def on_returned(self, told: object) -> None:  # noqa: B027 - not every worker says so
        """Note that the job's body has returned (`wire.returned`); its value may still not come."""

    def on_outcome(  # noqa: B027 - as above
        self, meta: dict[str, Any], parts: Sequence[memoryview]
    ) -> None:
        """Take how the job's body ended, ahead of its end: its exit handlers or finalizers run."""

    @abstractmethod
    def on_end(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> bool:
        """Take the job's end, after all its log. True if the worker must end before it is told."""

    @abstractmethod
    def on_free(self) -> None:
        """Tell the end, after `on_end`, now that the worker can take another job."""

    @abstractmethod
    def on_death(self, failure: JobFailure) -> None:
        """Take that the process died or was killed, with all that it had started."""

    @abstractmethod
    def on_not_started(self, failure: JobFailure) -> None:
        """Take, instead of `on_death`, that the worker could not start because of the machine."""

    def on_kill_failed(self, reason: str) -> None:
        """Tell that the worker was killed and still runs."""
        self.reporter.kill_failed(reason)
