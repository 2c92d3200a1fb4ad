"""The backend for joblib: each batch of calls is a job. Imported when joblib first uses it."""

from __future__ import annotations

import contextlib
import itertools
import operator
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
)

from ..._threads.locks import Lock
from ...child.job_context import current_job
from ...errors import (
    JobFailedError,
    JobQueueError,
    QueueIdleError,
    QueueStoppedError,
    WaitTimeoutError,
)
from ...job import Job

if TYPE_CHECKING:
    from ..control import OptionsView
    from .futures import JobFuture

LOOK_SECONDS = 0.1  # within which a failed batch ends the call
CANCELLED = "its joblib call has ended"


class QueueBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the batches of `joblib.Parallel` as jobs of a queue.

    Args:
        queue: whose lanes they run on.
        view: the same queue with the options of these jobs.
        nesting_level: how deep this is in other calls of joblib.
    """

    default_n_jobs = -1
    supports_retrieve_callback = True

    def __init__(self, queue: Any, view: OptionsView, nesting_level: int | None = None) -> None:
        super().__init__(nesting_level=nesting_level)
        self._queue = queue
        self._view = view
        self._open: set[JobFuture] = set()  # batches whose result joblib has not taken yet
        self._is_over = True  # a job of a call that has ended is not wanted any more
        self._has_failed = False
        self._taken = 0  # calls of the function that have become jobs
        self._group: str | None = None
        self._lock = Lock()
        self.parallel: Any = None

    def __reduce__(self) -> str:
        raise TypeError("a joblib backend over a JobQueue stays in its process, as its queue does")

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return the number of lanes, at least 2: for 1 joblib makes no batches and no jobs."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        return 1 if n_jobs == 1 else max(2, self._queue._engine.max_running)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **given: Any) -> int:
        """Begin to serve one `Parallel`; return how many batches it should have under way.

        Raises:
            FallbackToBackend: it is called in a job of this queue, whose lane it would wait for;
                or joblib was told to run everything in this thread.
            QueueIdleError: the queue is not started.
        """
        found = self.effective_n_jobs(n_jobs)
        if found == 1 or self._queue.get_job(current_job().id or "") is not None:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        phase = self._queue._engine.life.phase
        if phase != "started":
            raise QueueIdleError(
                f"the queue is {phase}, so that no call of joblib would end: "
                "`await queue.start()` first"
            )
        self.parallel = parallel
        return found

    def start_call(self) -> None:
        """Begin one call."""
        with self._lock.held:
            self._is_over = self._has_failed = False
            self._taken = 0
            self._group = None

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> JobFuture:
        """Make a job of a batch."""
        job = self._submit(func)
        future = cast("JobFuture", job.future())
        with self._lock.held:
            self._open.add(future)
            is_over = self._is_over
        if is_over:  # it was aborted meanwhile, in another thread
            job.cancel(reason=CANCELLED)

        def take(done: JobFuture) -> None:
            try:
                if callback is not None:
                    callback(done)
            finally:
                self._open.discard(done)

        future.add_done_callback(take)
        return future

    def _submit(self, batch: Any) -> Job:
        with self._lock.held:
            first = self._taken + 1
            self._taken += len(batch)
            last = self._taken
        view = self._view
        which = f"{first}" if first == last else f"{first}-{last}"
        of = f" of {self.parallel.n_tasks}" if self.parallel.n_tasks else ""
        name = view._options.label or name_of(batch)
        group = view._options.group or self._group_name(name)
        options = replace(view._options, label=f"{name} {which}{of}", group=group)
        return view._control.submit(operator.call, (batch,), {}, options, view._priority)

    def _group_name(self, name: str) -> str:
        """Return the name of the group that has the jobs of this call, which is a new one."""
        with self._lock.held:
            if self._group is None:
                engine = self._queue._engine
                with engine.lock.held:
                    taken = set(engine.state.groups.named)
                numbered = (f"{name} ({number})" for number in itertools.count(2))
                names = itertools.chain([name], numbered)
                self._group = next(one for one in names if one not in taken)
            return self._group

    def retrieve_result_callback(self, out: JobFuture) -> Any:
        """Return what a batch gave, or raise what it raised, with where that was."""
        try:
            return out.job.get_result()
        except JobFailedError as error:
            self._has_failed = True
            raised = error.failure.exception
            if raised is None:
                raise
            raised.add_note(f"in job {out.job.title!r}:\n{error.failure.traceback}")
            raise raised from None
        except JobQueueError:  # cancelled, or it cannot come back
            self._has_failed = True
            raise

    @contextlib.contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Wait as `JobQueue.wait` does, so that buttons stay alive; joblib then finds all done."""
        if not self.parallel.return_generator and self.parallel.timeout is None:
            try:
                self._wait()
            except QueueStoppedError:  # nothing would ever come
                raise
            except JobQueueError:  # then joblib waits in its own way
                pass
        yield

    def _wait(self) -> None:
        while not self._has_failed and (left := list(self._open)):
            pending = [one.job for one in left if not one.job.done]
            if not pending:
                time.sleep(0.001)  # until joblib has taken it, and given what comes next
                continue
            with contextlib.suppress(WaitTimeoutError):
                self._queue.wait(pending[0], timeout=LOOK_SECONDS)

    def stop_call(self) -> None:
        """End one call: nothing that is left of it is wanted."""
        self.abort_everything()

    def terminate(self) -> None:
        """End the service of one `Parallel`."""
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what is left of a call."""
        with self._lock.held:
            self._is_over = True
            left = list(self._open)
        for future in left:
            future.job.cancel(reason=CANCELLED)


def name_of(batch: Any) -> str:
    """Return the name of the function that a batch calls, also of one that an object wraps."""
    function = batch.items[0][0]
    for _ in range(10):
        if isinstance(getattr(function, "__name__", None), str):
            return str(function.__name__)
        inner = getattr(function, "function", None) or getattr(function, "func", None)
        if inner is None:
            break
        function = inner
    return type(function).__name__
