"""One attempt of one job in a process that the user's engine has lent, or as a call if none is."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING

from .._core.jobs import JobFailure, JobSpec, Outcome
from .._runtime.failures import failure_of
from ..protocols import Execution, Reporter
from .lent import Lender, LentWorker, LentWorkers, NotLentError
from .piped_execution import PipedExecution

if TYPE_CHECKING:
    from .futures import Submits


class LentExecution(PipedExecution):
    """One attempt of one job in a process of the user's engine."""

    can_be_killed = False

    def __init__(
        self, workers: LentWorkers, spec: JobSpec, reporter: Reporter, lender: Lender
    ) -> None:
        super().__init__(spec, reporter)
        self._workers = workers
        self._lender = lender
        self._worker: LentWorker | None = None
        self._call: Execution | None = None  # in place of a process, where none is lent
        self._asked = self._forced = False

    def begin(self, engine: Submits) -> None:
        """On a process that the queue has, or on one more; what the engine raises is told."""
        number, frames = self._workers.frames_for(self._spec, self._reporter.attempt)
        while True:
            try:
                worker = self._worker = self._workers.take(engine)
            except NotLentError:
                self._call_instead()
                return
            except BaseException as error:
                if isinstance(error, (BrokenExecutor, RuntimeError)):
                    self._lender.has_broken(engine, error)
                self._end(Outcome.of_error(failure_of(error)))
                if isinstance(error, KeyboardInterrupt):
                    raise  # it happened to arrive here and is not ours to swallow
                return
            if worker.was_ready:
                self.on_started()
            if worker.give(self, frames, number):
                return
            if worker.was_refused:  # by a call that was over at once
                self._call_instead()
                return

    def ask_to_stop(self) -> bool:
        """Pass it on to the process or the call, or take it back before it begins."""
        with self._lock:
            self._asked, call = True, self._call
        return super().ask_to_stop() if call is None else call.ask_to_stop()

    def kill(self) -> None:
        """Take it back if it has not begun; nothing else can be done here."""
        worker = self._worker
        with self._lock:
            self._forced, call = True, self._call
        if call is not None:
            call.kill()
        elif worker is None or worker.take_back(self):
            self._end(Outcome.of_stop())
        else:
            self._reporter.kill_failed("this engine cannot stop a running job")

    def on_starting(self) -> None:
        """It is behind other calls of the engine."""
        self._reporter.phase("waiting for a worker")

    def on_started(self) -> None:
        """Say where."""
        worker = self._worker
        self._reporter.phase(None, worker.where if worker is not None else None)

    def on_death(self, failure: JobFailure) -> None:
        """Its call is over: the process died, is not lent, or the engine was told to drop it."""
        worker = self._worker
        if worker is not None and worker.was_cancelled:
            self._end(Outcome.of_stop())
        elif worker is not None and worker.was_refused:
            self._call_instead()
        else:
            super().on_death(failure)

    def _call_instead(self) -> None:
        self._lender.forget(self)
        call = self._lender.call_instead(self._spec, self._reporter)
        if call is None:
            super()._end(Outcome.of_stop())
            return
        with self._lock:
            self._call, asked, forced = call, self._asked, self._forced
        if asked:
            call.ask_to_stop()
        if forced:
            call.kill()

    def _end(self, outcome: Outcome) -> None:
        self._lender.forget(self)
        super()._end(outcome)
