"""Runs plain functions on any executor with the interface of `concurrent.futures`."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

from ..._core.jobs import BlockReason
from ..._core.spec import JobSpec
from ..._threads.listeners import Listeners
from ..._threads.locks import Lock
from ...errors import InvalidOptionError
from ...protocols import ExecutorContext, Reporter
from ...workers.packing import Packed, PackedCall, Packer
from ..cluster.execution import check_function
from .call import FuturesExecution, Submits

FIRST_LOOK = 0.05  # seconds


class FuturesExecutor:
    """Jobs on an executor of yours: a ProcessPoolExecutor, loky, ipyparallel, executorlib.

    You made it and you shut it down. The package must be importable where its functions run.
    Most have no way to stop a call that runs: a job is asked, and keeps its lane until it returns.
    What it reports and logs, and the request to stop, go through files in `folder`; on another
    machine that does not see it they come with the result, and nothing can be asked.

    Args:
        executor: anything with `submit(function, *args)` that gives a future.
        folder: a folder that both sides see, for engines on other machines; default: a private
            temporary one.
        capacity: how many jobs it runs at once; default: what it says itself, else one.
        ends_running: `cancel()` of its futures ends a call that runs, as those of submitit do; then
            a job that does not listen is forced that way.

    Raises:
        InvalidOptionError: it has no `submit`, or an argument is of the wrong type.

    Example:
        ```python
        with ProcessPoolExecutor(4) as pool:
            queue = JobQueue(executor=FuturesExecutor(pool))
        ```
    """

    admits_by_itself = True  # its jobs take nothing of this machine that we could promise
    launches_anywhere = True

    def __init__(
        self,
        executor: Submits,
        *,
        folder: str | os.PathLike[str] | None = None,
        capacity: int | None = None,
        ends_running: bool = False,
    ) -> None:
        _check_submits(executor)
        if capacity is not None and capacity < 1:
            raise InvalidOptionError(f"capacity must be an integer of at least 1, not {capacity!r}")
        self._executor = executor
        self._folder = None if folder is None else Path(folder).absolute()
        self._capacity = capacity
        self.can_kill = ends_running
        self._packer = Packer()
        self._lock = Lock()
        self._at_work: dict[int, FuturesExecution] = {}
        self._refused = False  # a job was told that there is no worker for it
        self._broken = ""
        self._listeners = Listeners()
        self._context: ExecutorContext | None = None
        self._looking = False
        self._asking: threading.Thread | None = None

    @property
    def name(self) -> str:
        """The class of the user's executor, and whose it is."""
        kind = type(self._executor)
        package = kind.__module__.partition(".")[0]
        return kind.__name__ if package == "concurrent" else f"{package} {kind.__name__}"

    @property
    def capacity(self) -> int | None:
        """Number of jobs it runs at once, where that is known."""
        if self._capacity is not None:
            return self._capacity
        said = getattr(self._executor, "_max_workers", None)
        return said if isinstance(said, int) and said > 0 else None

    def replace(self, executor: Submits) -> None:
        """Use another executor, after the first broke or was shut down. Any thread."""
        _check_submits(executor)
        with self._lock.held:
            self._executor, self._broken = executor, ""
        self._listeners.tell()

    # -- protocols.Executor ------------------------------------------------------------------

    def prepare(self, spec: JobSpec) -> tuple[Packed, bytes | PackedCall]:
        """Pickle the function and its arguments now.

        Raises:
            UnpicklableJobError: naming what is in the way.
            InvalidOptionError: it is no plain function, or asks for resources, which this
                interface cannot pass on.
        """
        if spec.options.resources:
            raise InvalidOptionError(
                f"resources={spec.options.resources!r} cannot be passed on: "
                f"{self.name}.submit() takes a function and its arguments only"
            )
        check_function(spec, self.name)
        target = cast("Callable[..., object]", spec.target)
        return self._packer.pack(target, spec.args, spec.kwargs)

    def payload_of(self, function: Packed, call: bytes) -> tuple[Packed, bytes]:
        """Return what `prepare` made, from what a journal kept of it."""
        return function, call

    def open(self, context: ExecutorContext) -> None:
        """Bind to a queue.

        Raises:
            RuntimeError: another queue has it.
        """
        if self._context is not None:
            raise RuntimeError(
                f"this {self.name} serves the queue {self._context.queue_name} already; "
                "make one FuturesExecutor per queue"
            )
        self._context = context

    def launch(self, spec: JobSpec, reporter: Reporter) -> FuturesExecution:
        """Submit one attempt of a job to the engine."""
        context = self._context
        assert context is not None, "launch before open"
        folder = self._folder or context.spool_dir()
        stem = str(folder / f"{context.run_id}-{spec.id}-{reporter.attempt}")
        execution = FuturesExecution(self, self._executor, spec, reporter, stem)
        with self._lock.held:
            self._at_work[id(execution)] = execution
        execution.begin(context)
        self._look_soon()
        return execution

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """Return why a job must wait: the engine is broken, or our jobs have all its workers."""
        if self._broken:
            return BlockReason(f"{self.name} takes no more jobs: {self._broken}")
        capacity = self.capacity
        with self._lock.held:
            if capacity is None or len(self._at_work) < capacity:
                return None
            self._refused = True
        return BlockReason(
            f"all {capacity} workers of {self.name} have a job",
            need={"workers": 1},
            have={"workers": 0},
        )

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when a slot is free again, or there is another executor."""
        return self._listeners.add(wake)

    async def close(self) -> None:
        """Let go of the queue. The user's executor is left as it is, with what still runs there."""
        self.kill_all_now()

    def kill_all_now(self) -> bool:
        """End nothing; return True if nothing runs."""
        self._context = None
        return not self._at_work

    def after_fork(self) -> None:
        """Forget the calls in a forked child: they are the parent's."""
        self._lock = Lock()
        self._context = None

    # -- for the executions ------------------------------------------------------------------

    def forget(self, execution: FuturesExecution) -> None:
        """Release the slot of a job that is over."""
        with self._lock.held:
            self._at_work.pop(id(execution), None)
            wakes, self._refused = self._refused, False
        if wakes:
            self._listeners.tell()

    def has_broken(self, engine: Submits, error: BaseException) -> None:
        """Keep jobs from an engine that takes no more, unless it has been replaced already."""
        with self._lock.held:
            if engine is not self._executor:
                return
            self._broken = (
                f"{type(error).__name__}: {error}; give it a new one: "
                "executor.replace(…), and the queue goes on"
            )

    # -- looking: a tick while jobs run ------------------------------------------------------

    def _look_soon(self, seconds: float = FIRST_LOOK) -> None:
        context = self._context
        with self._lock.held:
            if self._looking or context is None or not self._at_work:
                return
            self._looking = True
        context.io.call_later(seconds, self._look, context)

    def _look(self, context: ExecutorContext) -> None:
        """Look at every job that is at work. I/O thread."""
        with self._lock.held:
            self._looking = False
            executions = list(self._at_work.values())
        for execution in executions:
            execution.look()
        quiet = [execution for execution in executions if execution.tells_nothing]
        if quiet and (self._asking is None or not self._asking.is_alive()):
            # its engine may take seconds to answer, and this thread serves the whole queue
            self._asking = threading.Thread(
                target=_ask_whether_done, args=(quiet,), name=f"done-{self.name}", daemon=True
            )
            with contextlib.suppress(RuntimeError):  # no thread to be had: see the next look
                self._asking.start()
        self._look_soon(min(1.0, context.progress_poll_interval))


def _ask_whether_done(executions: list[FuturesExecution]) -> None:
    for execution in executions:
        execution.ask_whether_done()


def _check_submits(executor: object) -> None:
    if not callable(getattr(executor, "submit", None)):
        raise InvalidOptionError(
            f"{type(executor).__name__} has no submit(); pass an executor such as "
            "concurrent.futures.ProcessPoolExecutor(4)"
        )
