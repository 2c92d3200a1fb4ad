"""Jobs as futures of the standard library, and a queue as one of its executors."""

from __future__ import annotations

import concurrent.futures as standard
import contextlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..._core import events as ev
from ...errors import JobCancelledError, JobFailedError, QueueStoppedError, WaitTimeoutError
from ...job import Job

if TYPE_CHECKING:
    from ..._core.jobs import JobRecord
    from ..._runtime.engine import Engine

Wait = Callable[["list[JobRecord]", "float | None"], None]
Callback = Callable[["JobFuture"], object]


class JobFuture(standard.Future[Any]):
    """The `concurrent.futures.Future` of a job; `job` is its handle.

    It is done when its job has ended. Its result is the job's, its exception the one that the job
    raised, where that could be brought back, else a `JobFailedError`. Callbacks run in a thread of
    their own, one after the other.
    """

    def __init__(self, job: Job, engine: Engine, wait: Wait) -> None:
        super().__init__()
        self.job = job
        self._engine = engine
        self._wait_for = wait
        engine.waiters.at_end(job._record, self._job_has_ended)
        engine.dispatcher.run()  # whoever has it may block this very thread

    def _job_has_ended(self) -> None:
        if self.job.status == "cancelled":
            super().cancel()
            self.set_running_or_notify_cancel()
        else:
            self.set_result(None)  # the value is read by whoever asks for it

    def cancel(self) -> bool:
        """Cancel the job if it has not started; a running one goes on, as in other executors.

        Returns:
            True if the job is cancelled.
        """
        record = self.job._record
        withdrawn = self._engine.do(ev.Withdrawn(record, "its future was cancelled"))
        return withdrawn or self.cancelled()

    def running(self) -> bool:
        """True while the job runs."""
        return self.job.status == "running"

    def result(self, timeout: float | None = None) -> Any:
        """Return the job's result; wait for it, for at most `timeout` seconds.

        Raises:
            TimeoutError: it has not ended in time. It goes on.
            CancelledError: it was cancelled.
            ResultNotKeptError: it completed, and its result could not be sent or kept.
            QueueStoppedError: the queue was stopped, so that it will not run.
            Exception: what the job raised, or a JobFailedError.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error from None
        return self.job.get_result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what `result` raises for a job that has not returned; None if it has.

        Raises:
            TimeoutError, CancelledError, QueueStoppedError: as `result`.
        """
        self._wait(timeout)
        error = self.job.exception()
        if isinstance(error, JobCancelledError):
            raise standard.CancelledError(str(error))
        return (error.failure.exception or error) if isinstance(error, JobFailedError) else error

    def add_done_callback(self, fn: Callback) -> None:
        """Call back with this future once it is done, in a thread of the queue."""
        aside = self._engine.aside
        super().add_done_callback(lambda future: aside.call(lambda: fn(self)))

    def _wait(self, timeout: float | None) -> None:
        if self.done():
            return
        try:
            self._wait_for([self.job._record], timeout)
        except WaitTimeoutError as error:
            raise TimeoutError(str(error)) from None
        with contextlib.suppress(standard.CancelledError):
            super().result(1.0)  # its end is told to waiters and futures one after the other


class QueueExecutor(standard.Executor):
    """A `concurrent.futures.Executor` whose calls are jobs of a queue.

    Args:
        submit: makes a job of a function and its arguments.
    """

    def __init__(self, submit: Callable[..., Job]) -> None:
        self._submit = submit
        self._is_shut_down = False
        self._futures: weakref.WeakSet[standard.Future[Any]] = weakref.WeakSet()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> standard.Future[Any]:
        """Submit a job, and return its future.

        Raises:
            RuntimeError: it was shut down.
            JobQueueError: as `JobQueue.submit_nowait`.
        """
        if self._is_shut_down:
            raise RuntimeError("this executor was shut down; make another: queue.as_executor()")
        future = self._submit(fn, *args, **kwargs).future()
        self._futures.add(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. The queue goes on, as other jobs may be in it.

        Args:
            wait: return when all its jobs have ended.
            cancel_futures: cancel those that have not started.
        """
        self._is_shut_down = True
        futures = list(self._futures)
        if cancel_futures:
            for future in futures:
                future.cancel()
        if wait:
            for future in futures:
                with contextlib.suppress(standard.CancelledError, QueueStoppedError):
                    future.exception()
