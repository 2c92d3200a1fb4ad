"""The backend for joblib: each batch of calls is a job. Imported when joblib first uses it."""

from __future__ import annotations

import contextlib
import itertools
import math
import operator
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
)

from ..._threads.locks import Lock
from ...child.job_context import current_job
from ...errors import JobFailedError, JobQueueError, QueueIdleError, WaitTimeoutError
from ...job import Job

if TYPE_CHECKING:
    from ..control import OptionsView

LOOK_SECONDS = 0.1  # within which a failed batch ends the call
CANCELLED = "its joblib call has ended"


@dataclass(eq=False, slots=True)
class Batch:
    """Calls of one job, and what joblib wants to be told when it has ended."""

    calls: Any
    callback: Callable[[Any], object]
    job: Job | None = None


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
        self._open: set[Batch] = set()  # those whose result joblib has not taken yet
        self._later: deque[Batch] = deque()  # more than `n_jobs` at a time
        self._most = math.inf
        self._is_over = True  # a job of a call that has ended is not wanted any more
        self._has_failed = False
        self._taken = 0  # calls of the function that have become jobs
        self._group: str | None = None
        self._lock = Lock()
        self.parallel: Any = None

    def __reduce__(self) -> str:
        raise TypeError("a joblib backend over a JobQueue stays in its process, as its queue does")

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many calls run at a time; at least 2: for 1 joblib makes no jobs."""
        return 1 if n_jobs == 1 else max(2, self._most_of(n_jobs))

    def _most_of(self, n_jobs: int | None) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        lanes: int = self._queue._engine.max_running
        wanted = -1 if n_jobs is None else n_jobs
        return max(1, lanes + 1 + wanted) if wanted < 0 else min(wanted, lanes)

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
        most = self._most_of(n_jobs)  # if these are all lanes, the next batch waits for one there
        self._most = most if most < self._queue._engine.max_running else math.inf
        return found

    def start_call(self) -> None:
        """Begin one call."""
        with self._lock.held:
            self._is_over = self._has_failed = False
            self._taken = 0
            self._group = None
            self._later.clear()

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> None:
        """Make a job of a batch, now or when there are less than `n_jobs` of them."""
        batch = Batch(func, callback or (lambda _: None))
        with self._lock.held:
            if len(self._open) >= self._most:
                self._later.append(batch)
                return
            self._open.add(batch)
        self._start(batch)

    def _start(self, batch: Batch) -> None:
        engine = self._queue._engine
        try:
            job = batch.job = self._submit(batch.calls)
            if self._is_over:  # it was aborted meanwhile, in another thread
                job.cancel(reason=CANCELLED)
            waiter = engine.waiters.for_job(job._record)
            self._view._control.check_can_wait(job._record)
        except Exception as error:  # raised in a thread of the queue joblib would not hear of it
            self._end(batch, error)
            return
        waiter.then(lambda error: engine.aside.call(lambda: self._end(batch, error)))
        engine.dispatcher.run()  # whoever waits for it may block this very thread

    def _end(self, batch: Batch, error: BaseException | None) -> None:
        """Tell joblib that a job has ended, or never will; make one of what comes next."""
        try:
            batch.callback(batch if error is None else error)
        finally:
            if error is not None and batch.job is not None:  # it is not the call's any more
                batch.job.cancel(reason=CANCELLED)
            with self._lock.held:
                self._open.discard(batch)
                if self._has_failed or self._is_over:
                    self._later.clear()
                following = self._later.popleft() if self._later else None
                if following is not None:
                    self._open.add(following)
            if following is not None:
                self._start(following)

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

    def retrieve_result_callback(self, out: Batch | BaseException) -> Any:
        """Return what a batch gave, or raise what it raised, with where that was."""
        if not isinstance(out, Batch):  # it is no job, or the queue was stopped
            self._has_failed = True
            raise out
        job = out.job
        assert job is not None, "it has ended"
        try:
            return job.get_result()
        except JobFailedError as error:
            self._has_failed = True
            raised = error.failure.exception
            if raised is None:
                raise
            raised.add_note(f"in job {job.title!r}:\n{error.failure.traceback}")
            raise raised from None
        except JobQueueError:  # cancelled, or it cannot come back
            self._has_failed = True
            raise

    @contextlib.contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Wait as `JobQueue.wait` does, so that buttons stay alive; joblib then finds all done."""
        if not self.parallel.return_generator and self.parallel.timeout is None:
            with contextlib.suppress(JobQueueError):  # then joblib waits in its own way
                self._wait()
        yield

    def _wait(self) -> None:
        while not self._has_failed and (left := list(self._open)):
            pending = [one.job for one in left if one.job is not None and not one.job.done]
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
            self._later.clear()
            left = [batch.job for batch in self._open]
        for job in left:
            if job is not None:
                job.cancel(reason=CANCELLED)


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
