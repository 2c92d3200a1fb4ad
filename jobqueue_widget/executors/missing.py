"""Stands for an executor of jobs that cannot run here: it says why, and fails them if they must."""

from __future__ import annotations

from .._core.jobs import JobFailure, Outcome
from .._core.spec import JobSpec
from ..protocols import Reporter
from .starting import StartsAtOnce


class MissingExecutor(StartsAtOnce):
    """Jobs that came back from a journal without what they need. They are held until released."""

    name = "missing"
    can_kill = True
    launches_anywhere = True

    def launch(self, spec: JobSpec, reporter: Reporter) -> NothingToRun:
        """Fail a job that was released all the same, saying why it cannot run."""
        why = getattr(spec, "missing", None) or "it cannot be restored"
        reporter.ended(Outcome.of_error(JobFailure("NotRestorableError", str(why))))
        return NothingToRun()

    async def close(self) -> None:
        """Do nothing: nothing is held."""


class NothingToRun:
    """An execution that is over."""

    can_be_killed = True

    def ask_to_stop(self) -> bool:
        """Do nothing: it has ended."""
        return False

    def kill(self) -> None:
        """Do nothing: it has ended."""
