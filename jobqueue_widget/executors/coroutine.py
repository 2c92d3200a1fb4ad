"""Runs coroutine functions as tasks on the queue's loop: can be asked to stop, never forced."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, cast

from .._core.jobs import Outcome
from .._core.spec import JobSpec
from .._runtime.failures import failure_of
from .._runtime.local_job import LocalJobContext
from .._threads.bridge import give_up
from ..child.job_context import JobCancelled, bind, is_good_end, outside
from ..child.keeping import Kept
from ..protocols import ExecutorContext, Reporter, TellStacks
from ..workers.definitions import owner_of
from .stacks import of_task
from .starting import StartsAtOnce


class CoroutineExecutor(StartsAtOnce):
    """One asyncio task per job. A coroutine that swallows its cancellation cannot be forced."""

    name = "coroutine"
    can_kill = False

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._variables = contextvars.Context()
        self._tasks: set[asyncio.Task[None]] = set()
        self._kept = Kept()

    def open(self, context: ExecutorContext) -> None:
        """Use the queue's loop; jobs see the context variables of now, not one another's."""
        self._loop = context.loop
        self._variables = contextvars.copy_context()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Return what lets go of jobs whose loop was closed under them, as nobody can run them."""
        return self._give_up_lost_tasks

    def _give_up_lost_tasks(self) -> None:
        for task in list(self._tasks):
            if task.get_loop().is_closed():
                give_up(task)

    def launch(self, spec: JobSpec, reporter: Reporter) -> CoroutineExecution:
        """Make the task. Arguments that do not fit fail the job when it first runs."""
        assert self._loop is not None, "launch before open"
        variables = self._variables.copy()
        loop, tasks = self._loop, self._tasks
        return CoroutineExecution(loop, spec, reporter, variables, tasks, self._kept)

    def restart_workers(self) -> None:
        """Let go of what jobs have kept."""
        self._kept.clear()

    async def close(self) -> None:
        """Let finished tasks leave; those that swallow their cancellation stay, as told."""
        tasks = [task for task in self._tasks if not task.cancelling()]
        if tasks:
            await asyncio.wait(tasks, timeout=0.1)
        self._kept.clear()
        self._loop = None


class CoroutineExecution:
    """One task."""

    __slots__ = (
        "_asked",
        "_context",
        "_loop",
        "_reported",
        "_reporter",
        "_spec",
        "_task",
        "_tasks",
    )
    can_be_killed = False

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spec: JobSpec,
        reporter: Reporter,
        variables: contextvars.Context,
        tasks: set[asyncio.Task[None]],
        kept: Kept,
    ) -> None:
        self._loop = loop
        self._spec = spec
        self._reporter = reporter
        self._reported = self._asked = False
        self._context = LocalJobContext(reporter)
        self._context.keep_in(kept, lambda: owner_of(spec.target))
        variables.run(bind, self._context)
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        self._task = loop.create_task(self._body(), context=variables)
        tasks.add(self._task)
        self._task.add_done_callback(self._done)

    async def _body(self) -> None:
        """Catch everything: asyncio lets SystemExit and KeyboardInterrupt end the whole loop."""
        spec = self._spec
        try:
            target = cast("Callable[..., Coroutine[Any, Any, object]]", spec.target)
            value = await target(*spec.args, **spec.kwargs)
            outcome = Outcome.of_value(value, noticed=self._context.noticed)
        except asyncio.CancelledError:
            if not self._asked:
                return  # told by `_done`, one turn later: the end of asyncio.run cancels us first
            outcome = Outcome.of_stop()
        except BaseException as error:
            outcome = self._outcome_of(error)
        self._end(outcome)
        if self._task is not None:  # as it is in the first step of an eager task
            self._task.remove_done_callback(self._done)  # saves the loop a callback per job
            self._tasks.discard(self._task)

    def _outcome_of(self, error: BaseException) -> Outcome:
        if isinstance(error, JobCancelled):
            return Outcome.of_stop()
        if is_good_end(error):
            return Outcome.of_value(None, noticed=self._context.noticed)
        return Outcome.of_error(failure_of(error))

    def _done(self, task: asyncio.Task[None]) -> None:
        """Tells of what `_body` did not: a task cancelled before its first step, or by others."""
        self._tasks.discard(task)
        if not self._reported:
            self._end(Outcome.of_stop())

    def _end(self, outcome: Outcome) -> None:
        self._reported = True
        self._context.finish()
        outside(self._reporter.ended)(outcome)

    def ask_to_stop(self) -> bool:
        """Cancel the task, from any thread."""
        self._asked = True
        self._context.request_cancel()
        assert self._task is not None, "asked before it was launched"
        try:
            running_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            running_here = False
        if running_here:
            self._cancel_task()
        else:
            try:
                self._loop.call_soon_threadsafe(self._cancel_task)
            except RuntimeError:
                return False
        return True

    def _cancel_task(self) -> None:
        """Raise CancelledError in the coroutine, unless it has ended. On the loop."""
        assert self._task is not None
        if self._task.cancel():
            self._context.noticed = True

    def ask_stack(self, tell: TellStacks) -> None:
        """Tell where its task is, and those that it waits for."""
        assert self._task is not None, "asked before it was launched"
        tell(of_task(self._task), "")

    def kill(self) -> None:
        """Say that this cannot be done: `can_be_killed` is False."""
        self._reporter.kill_failed("a coroutine cannot be forced to end")
