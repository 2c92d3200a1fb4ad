"""Stands for an executor of jobs that cannot run here: it says why, and fails them if they must."""

from __future__ import annotations

from .._core.jobs import JobFailure
from .._core.spec import JobSpec
from .._runtime.failures import RefusedRun
from ..protocols import Reporter
from .starting import StartsAtOnce


class MissingExecutor(StartsAtOnce):
    """Jobs that came back from a journal without what they need. They are held until released."""

    name = "missing"
    can_kill = True
    launches_anywhere = True

    def launch(self, spec: JobSpec, reporter: Reporter) -> RefusedRun:
        """Fail a job that was released all the same, saying why it cannot run."""
        why = getattr(spec, "missing", None) or "it cannot be restored"
        return RefusedRun(reporter, JobFailure("NotRestorableError", str(why)))

    async def close(self) -> None:
        """Do nothing: nothing is held."""
