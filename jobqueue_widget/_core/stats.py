"""Exact counters: every job ever accepted is in exactly one of them."""

from __future__ import annotations

from dataclasses import dataclass

from .jobs import COMPLETED, FAILED, JobStatus


@dataclass(slots=True)
class Totals:
    """Counts since the queue was made; they never shrink, whatever is evicted."""

    accepted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def ended(self) -> int:
        """Completed, failed and cancelled together."""
        return self.completed + self.failed + self.cancelled

    def count(self, status: JobStatus) -> None:
        """Add one job that ended this way."""
        if status is COMPLETED:
            self.completed += 1
        elif status is FAILED:
            self.failed += 1
        else:
            self.cancelled += 1
