"""One attempt of one job in a worker that is told and tells through pipes, whoever made it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from .._core.jobs import JobFailure, Outcome
from .._core.spec import JobSpec
from .._core.starting import STARTS, wait_seconds
from .._threads.locks import Lock
from ..child import wire
from ..protocols import Reporter
from ..workers.piped import PipedWorker
from ..workers.unpacking import decode, undecoded


class PipedExecution(ABC):
    """A `worker.task.Task`. How it gets its worker, and whether that can be ended, is not here."""

    def __init__(self, spec: JobSpec, reporter: Reporter) -> None:
        self._spec = spec
        self._reporter = reporter
        self._lock = Lock()
        self._worker: PipedWorker | None = None
        self._over = False
        self._ending: tuple[dict[str, Any], Sequence[memoryview]] | None = None
        self._decoding = False
        self._returned: object = None  # what its worker said of a value before it sent that
        self._outcome: Outcome | None = None
        self._await_death = False  # what it left behind must be gone before its end is told

    def ask_to_stop(self) -> bool:
        """Pass it on, unless the job has not been sent: then that is its end."""
        worker = self._worker
        if worker is None or worker.take_back(self):
            self._end(Outcome.of_stop())
        else:
            worker.ask(self)
        return True

    # -- worker.task.Task, on the I/O thread ---------------------------------------------------

    @abstractmethod
    def on_starting(self) -> None:
        """Tell that its worker is not ready yet. Any thread."""

    @abstractmethod
    def on_started(self) -> None:
        """Tell that its worker is ready and has it."""

    def on_progress(self, fraction: object, message: object) -> None:
        """Pass on."""
        self._reporter.progress(fraction, message)

    def on_log(self, data: bytes) -> None:
        """Pass on."""
        self._reporter.log(data)

    def on_returned(self, told: object) -> None:
        """Whatever becomes of its value, it has done its work."""
        self._returned = told

    def on_end(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> bool:
        """Keep how it ended, to be told when its worker is free."""
        self._ending = (meta, parts)
        return False

    def on_free(self) -> None:
        """Tell the end now that the worker is free for the next job."""
        self._begin_decoding()

    def on_death(self, failure: JobFailure) -> None:
        """Tell the end: the process is gone, and everything of it."""
        with self._lock.held:
            self._await_death = False
            if self._decoding:
                return
            outcome = self._outcome
        if outcome is None and self._returned is not None:
            reason = f"{failure.message} before it was sent"
            outcome = self._outcome_of(wire.lost(self._returned, reason), ())
        self._end(outcome or Outcome.of_error(failure))

    def on_not_started(self, failure: JobFailure) -> None:
        """End a job that never ran."""
        self._end(Outcome.of_start(failure))

    def on_kill_failed(self, reason: str) -> None:
        """Pass on."""
        self._reporter.kill_failed(reason)

    # -- reading how it ended --------------------------------------------------------------------

    def _begin_decoding(self, failed: int = 0) -> None:
        """Decode the result: what may run somebody's code, in a thread of its own."""
        assert self._ending is not None
        meta, parts = self._ending
        self._decoding = True
        if not self._runs_code_here(meta, parts):
            self._take(self._outcome_of(meta, parts))
            return
        name = f"decode-{self._spec.id}"
        thread = threading.Thread(target=self._decode, args=(meta, parts), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # there may be room for one in a moment
            failed += 1
            if self._worker is None or failed >= STARTS:
                self._take(undecoded(error, meta, parts))
            else:
                self._worker.call_later(wait_seconds(failed), self._begin_decoding, failed)

    def _runs_code_here(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> bool:
        return bool(meta.get("file") or (parts and not meta.get("plain")))

    def _outcome_of(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> Outcome:
        return decode(meta, parts)

    def _decode(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> None:
        self._take(self._outcome_of(meta, parts))

    def _take(self, outcome: Outcome) -> None:
        with self._lock.held:
            self._outcome, self._decoding = outcome, False
            if self._await_death:
                return
        self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        with self._lock.held:
            if self._over:
                return
            self._over = True
        self._reporter.ended(outcome)
