"""The context of jobs that run in this process, as tasks or threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..child.capture import tqdm
from ..child.capture.inside import Capture
from ..child.displays.account import Outputs
from ..child.displays.display import hooks_of_a_kernel
from ..child.job_context import JobContext, bind, bound_job, current_job, outside

if TYPE_CHECKING:
    from ..child.keeping import Kept
    from ..protocols import Reporter


class LocalJobContext(JobContext):
    """A job that runs in this process, as a task or a thread. Prepares the process for it."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._outputs: Outputs | None = None
        super().__init__(
            reporter.job_id,
            reporter.attempt,
            outside(reporter.progress),
            outside(reporter.log),
            send_metrics=outside(reporter.metrics),
        )
        CAPTURE.prepare()

    @property
    def outputs(self) -> Outputs:
        """What takes the job's outputs."""
        if self._outputs is None:
            self._outputs = Outputs(outside(self._reporter.output))
        return self._outputs

    def keep_in(self, kept: Kept, whose: Callable[[], Hashable]) -> None:
        """Keep values in these, under what `whose()` gives; that is asked if there are any."""
        self.kept, self._whose = kept, whose

    def whose(self) -> Hashable:
        """Return what was given for its function."""
        return self._whose()

    def takes(self, text: str) -> bool:
        """Append it to the job's log, also of a thread that the job has left behind."""
        self._log(text)
        return True


def hooks(current: Callable[[], Any]) -> dict[str, Callable[[ModuleType], None]]:
    """Return what to do with modules of this process."""
    return {**tqdm.hooks(current), **hooks_of_a_kernel()}


CAPTURE = Capture(bound_job, current_job, hooks)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: bind(None))  # a copy of a job is no job
