"""Sends what one job of a worker reports and displays. Loaded by path; standard library only."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..baseline import flush_streams
from ..displays.account import Outputs
from ..job_context import JobContext, readable_report
from ..pipes import Pipes, write_log
from ..wire import DISPLAY, METRICS, PROGRESS, join_parts, pieces
from .series import Point


class WorkerJob(JobContext):
    """A job of a worker; what it has left behind is silent, as the next one has the log then."""

    def __init__(
        self,
        job_id: str,
        attempt: int,
        number: int,
        function: bytes,
        pipes: Pipes,
        on_held_back: Callable[[], None],
    ) -> None:
        super().__init__(
            job_id, attempt, self._send_report, write_log, on_held_back, self._send_points
        )
        self.number, self.function = number, function
        self._pipes = pipes
        self._outputs: Outputs | None = None

    def log(self, text: object) -> None:
        """Write a line to the job's log."""
        if not self._over:
            super().log(text)

    def takes(self, text: str) -> bool:
        """Drop it after the end; until then all that this process prints is the job's."""
        return bool(self._over)

    @property
    def outputs(self) -> Outputs | None:
        """What takes what it displays; None after its end."""
        if self._outputs is None:
            self._outputs = Outputs(self._send_output)
        return None if self._over else self._outputs

    def _send_report(self, fraction: object, message: object) -> None:
        frame = json.dumps(readable_report(fraction, message)).encode()
        self._pipes.send(PROGRESS, self.number, [frame])

    def _send_points(self, points: dict[str, list[Point]]) -> None:
        self._pipes.send(METRICS, self.number, [json.dumps(points).encode()])

    def _send_output(self, told: dict[str, Any], body: bytes) -> None:
        """Send an output, behind all that was printed before it."""
        flush_streams()
        parts = join_parts([json.dumps(told).encode(), body])
        self._pipes.write(pieces(DISPLAY, self.number, parts))
