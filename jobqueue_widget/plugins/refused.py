"""Stands for a call of a plugin that was refused before it began."""

from __future__ import annotations

from .._core.jobs import JobFailure, Outcome
from ..protocols import Reporter


class RefusedRun:
    """An execution that was refused before it began."""

    can_be_killed = True

    def __init__(self, reporter: Reporter, failure: JobFailure) -> None:
        reporter.ended(Outcome.of_error(failure))

    def ask_to_stop(self) -> bool:
        """Do nothing: it has ended."""
        return True

    def kill(self) -> None:
        """Do nothing: it has ended."""

    def kill_now(self) -> bool:
        """Do nothing: it has ended."""
        return True
