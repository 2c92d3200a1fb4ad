"""Runs plain functions in threads of this process: they can be asked to stop, never forced."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import cast

from .._core.jobs import Outcome
from .._core.spec import JobSpec
from .._runtime.failures import failure_of
from .._runtime.local_job import LocalJobContext
from ..child.job_context import JobCancelled, bind, run_body
from ..child.keeping import Kept
from ..protocols import Reporter, TellStacks
from ..workers.definitions import owner_of
from .stacks import of_thread
from .starting import StartsAtOnce


class ThreadExecutor(StartsAtOnce):
    """One daemon thread per job, for work that must share memory with the notebook.

    Python has no way to end a thread from outside: a job that never looks at
    `current_job().cancel_requested` runs to its end, keeps its lane and says so.
    """

    name = "thread"
    can_kill = False
    launches_anywhere = True

    def __init__(self) -> None:
        self._kept = Kept()

    def launch(self, spec: JobSpec, reporter: Reporter) -> ThreadExecution:
        """Start a thread."""
        return ThreadExecution(spec, reporter, self._kept)

    def restart_workers(self) -> None:
        """Let go of what jobs have kept."""
        self._kept.clear()

    async def close(self) -> None:
        """Let go of what jobs have kept. Threads that are at work are daemons and stay."""
        self._kept.clear()


class ThreadExecution:
    """One job in one thread."""

    can_be_killed = False

    def __init__(self, spec: JobSpec, reporter: Reporter, kept: Kept) -> None:
        self._spec = spec
        self._reporter = reporter
        self._context = LocalJobContext(reporter)
        self._context.keep_in(kept, lambda: owner_of(spec.target))
        variables = contextvars.copy_context()
        self._thread = threading.Thread(
            target=self._run, args=(variables,), name=f"job-{spec.id}", daemon=True
        )
        self._thread.start()

    def _run(self, variables: contextvars.Context) -> None:
        """Tell the end as nobody's: what the queue logs then is not the job's."""
        self._reporter.ended(variables.run(self._body))

    def _body(self) -> Outcome:
        bind(self._context)
        spec = self._spec
        try:
            target = cast("Callable[..., object]", spec.target)
            value = run_body(target, spec.args, dict(spec.kwargs))
            outcome = Outcome.of_value(value, noticed=self._context.noticed)
        except BaseException as error:
            if isinstance(error, JobCancelled):
                outcome = Outcome.of_stop()
            else:
                outcome = Outcome.of_error(failure_of(error))
        self._context.finish()
        return outcome

    def ask_to_stop(self) -> bool:
        """Set the flag that `current_job().cancel_requested` and `checkpoint()` read."""
        self._context.request_cancel()
        return True

    def ask_stack(self, tell: TellStacks) -> None:
        """Tell where its thread is."""
        tell([of_thread(self._thread)], "")

    def kill(self) -> None:
        """Say that this cannot be done: `can_be_killed` is False."""
        self._reporter.kill_failed("a thread cannot be forced to end")
