"""One attempt of a job that outlives its kernel: started here, or found again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from .._core.jobs import JobFailure, Outcome
from .._core.spec import JobSpec
from .._runtime.failures import SurroundingsError, outcome_of_start, said_of
from .._threads.locks import Lock
from ..child import wire
from ..child.detached.folder import ASKED
from ..protocols import ExecutorContext, KeepsDetached, Reporter, TellStacks
from ..workers.detached.folders import Attempt, FolderError, Folders
from ..workers.detached.follower import Follower
from ..workers.surroundings import Setup
from ..workers.task import Task
from ..workers.unpacking import decode

MakeJob = Callable[[], tuple[Setup, Sequence[Any]]]
"""Makes the setup and the frames of the job.

Raises:
    SurroundingsError: its folder or its environment cannot be had here.
"""


def attempt_of(context: ExecutorContext, job_id: str, number: int) -> Attempt:
    """Return the folder of an attempt.

    Raises:
        FolderError: the queue has no place for it.
    """
    if not (isinstance(context, KeepsDetached) and isinstance(context.detached, Folders)):
        raise FolderError("its queue has no journal beside which it could have a folder")
    return context.detached.attempt(job_id, number)


class DetachedExecution(Task):
    """One attempt of one job in a process that no kernel ends; `protocols.Execution`."""

    can_be_killed = True

    def __init__(self, context: ExecutorContext, spec: JobSpec, reporter: Reporter) -> None:
        self.reporter = reporter
        self._context = context
        self._spec = spec
        self._io = context.io
        self._lock = Lock()
        self._over = self._asked = False
        self._returned: object = None  # what its process said of a value before it wrote that
        self._attempt = attempt_of(context, spec.id, reporter.attempt)
        self._follower = Follower(self._io, self._attempt, self)

    def begin(self, make: MakeJob) -> None:
        """Start its process."""
        self.on_starting()
        self._io.call(self._begin, make)

    def _begin(self, make: MakeJob) -> None:
        if self._over:
            return
        asked_before = self._asked
        if asked_before:
            self._end(Outcome.of_stop())
            return
        try:
            setup, frames = make()
            terms = self._terms()
            self._follower.start(setup.environ, self._context.run_id, terms, frames)
            if self._asked:  # before it had a pipe
                self._follower.ask(self)
        except SurroundingsError as error:
            self._end(Outcome.of_error(JobFailure("SurroundingsError", str(error))))
        except BaseException as error:
            self._follower.leave()
            text = f"its process could not be started: {said_of(error)}"
            self._end(outcome_of_start(error, text, "WorkerDied"))

    def _terms(self) -> dict[str, Any]:
        """Say what its process must keep by itself, and what it is."""
        spec, options, context = self._spec, self._spec.options, self._context
        timeout = deadline = None
        if options.timeout is not None:
            text = f"time limit {options.timeout:g} s"
            timeout = (options.timeout, "TimeLimitExceeded", text)
        left = context.deadline_left(spec.id) if isinstance(context, KeepsDetached) else None
        if options.deadline is not None and left is not None:
            text = f"deadline, {options.deadline:g} s after the submit"
            deadline = (time.monotonic() + left, "DeadlineExceeded", text)
        return {
            **{"timeout": timeout, "deadline": deadline, "grace": context.cancel_timeout},
            **{"job": spec.id, "attempt": self.reporter.attempt, "run": context.run_id},
            "devices": self.reporter.devices,
        }

    def adopt(self, asked: bool) -> None:
        """Find its process again, or what it has left; ask that to stop if nobody did so far."""
        self._io.call(self._follower.find)
        if asked and not self._attempt.has(ASKED):
            self.ask_to_stop()

    def leave(self) -> None:
        """Let it go on without this kernel; nothing is told any more."""
        with self._lock.held:
            self._over = True
        self._follower.leave()

    # -- protocols.Execution -------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Its process, which leads a group of its own."""
        return self._follower.pid or None

    def ask_to_stop(self) -> bool:
        """Write it into its pipe."""
        self._asked = True
        self._follower.ask(self)
        return True

    def kill(self) -> None:
        """End its process group and every process of its."""
        self._follower.kill()

    def ask_stack(self, tell: TellStacks) -> None:
        """Ask its process where its function is."""
        self._follower.ask_stack(self, tell)

    # -- workers.task.Task, on the I/O thread --------------------------------------------------

    def on_returned(self, told: object) -> None:
        """Note that it has done its work, whatever becomes of its value."""
        self._returned = told

    def on_end(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> bool:
        """Never called: how it ended stands in a file, which is sealed."""
        raise AssertionError(f"an end came in a frame: {meta}")

    def on_free(self) -> None:
        """Never called, as above."""

    def on_death(self, failure: JobFailure) -> None:
        """Tell how it ended, now that nothing of it is left. Reading that may run its code."""
        name = f"decode-{self._spec.id}"
        thread = threading.Thread(target=self._tell, args=(failure,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._tell(failure)

    def _tell(self, failure: JobFailure) -> None:
        told = self._attempt.outcome()
        if told is not None:
            if told[0].get("processes") or told[0].get("threads"):
                self.reporter.log("[what this job left running was ended with its process]\n")
            outcome = decode(*told)
        elif self._returned is not None:
            reason = f"{failure.message} before it was written"
            outcome = decode(wire.lost(self._returned, reason), ())
        else:
            outcome = Outcome.of_error(self._attempt.alarm() or failure)
        if self._follower.ended_unseen:
            outcome.took = self._attempt.took({} if told is None else told[0])
        self._end(outcome)

    def on_not_started(self, failure: JobFailure) -> None:
        """End an attempt that never began."""
        self._end(Outcome.of_start(failure))

    def _end(self, outcome: Outcome) -> None:
        with self._lock.held:
            if self._over:
                return
            self._over = True
        self.reporter.ended(outcome)
