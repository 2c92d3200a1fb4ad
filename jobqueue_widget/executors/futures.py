"""Runs plain functions on any executor with the interface of `concurrent.futures`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from .._core.jobs import BlockReason, JobSpec, Outcome
from .._runtime.failures import failure_of
from ..errors import InvalidOptionError
from ..protocols import ExecutorContext, Reporter
from ..worker import guest
from ..worker.packing import Packed, Packer
from ..worker.unpacking import decode
from .remote import check_function

logger = logging.getLogger(__name__)

FIRST_LOOK = 0.05  # seconds


class Submits(Protocol):
    """What is needed of the user's executor."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Start a call; what stands for it has `result()`, `done()` and `cancel()`."""
        ...


@runtime_checkable
class _Calls(Protocol):
    """A future that tells when it is done; others (submitit's jobs) are looked at."""

    def add_done_callback(self, callback: Callable[[Any], object]) -> object:
        """Call it once, then."""


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
        self._folder = None if folder is None else Path(folder)
        self._capacity = capacity
        self.can_kill = ends_running
        self._packer = Packer()
        self._lock = threading.Lock()
        self._at_work: dict[int, FuturesExecution] = {}
        self._broken = ""
        self._wakes: list[Callable[[], None]] = []
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
        """How many it runs at once, where that is known."""
        if self._capacity is not None:
            return self._capacity
        said = getattr(self._executor, "_max_workers", None)
        return said if isinstance(said, int) and said > 0 else None

    def replace(self, executor: Submits) -> None:
        """Go on with another one, after the first broke or was shut down. Any thread."""
        _check_submits(executor)
        with self._lock:
            self._executor, self._broken = executor, ""
        self.wake()

    # -- protocols.Executor ------------------------------------------------------------------

    def prepare(self, spec: JobSpec) -> tuple[Packed, bytes]:
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
        """What `prepare` made, from what a journal kept of it."""
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
        """Hand it to the engine."""
        assert self._context is not None, "launch before open"
        folder = (self._folder or self._context.spool_dir()) / f"{spec.id}-{reporter.attempt}"
        execution = FuturesExecution(self, spec, reporter, folder)
        with self._lock:
            self._at_work[id(execution)] = execution
        execution.begin(self._executor, self._context)
        self._look_soon()
        return execution

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """It is broken, or all of its workers are taken by our jobs."""
        if self._broken:
            return BlockReason(f"{self.name} takes no more jobs: {self._broken}")
        capacity, taken = self.capacity, len(self._at_work)
        if capacity is None or taken < capacity:
            return None
        return BlockReason(
            f"all {capacity} workers of {self.name} have a job",
            need={"workers": 1},
            have={"workers": 0},
        )

    async def make_room(self, spec: JobSpec) -> bool:
        """There is nothing to evict."""
        return False

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """A place is free again, or there is another executor."""
        self._wakes.append(wake)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._wakes.remove(wake)

        return unsubscribe

    async def close(self) -> None:
        """The user's executor is left as it is; what still runs tells its end when it has one."""
        self._context = None

    # -- for the executions ------------------------------------------------------------------

    def forget(self, execution: FuturesExecution) -> None:
        """It is over; its place is free."""
        with self._lock:
            self._at_work.pop(id(execution), None)

    def has_broken(self, error: BaseException) -> None:
        """No further job would start: keep them."""
        with self._lock:
            self._broken = (
                f"{type(error).__name__}: {error}; give it a new one: "
                "executor.replace(…), and the queue goes on"
            )

    def wake(self) -> None:
        """Something may start that could not before. Any thread."""
        for wake in list(self._wakes):
            wake()

    # -- looking: a tick while jobs run ------------------------------------------------------

    def _look_soon(self, seconds: float = FIRST_LOOK) -> None:
        context = self._context
        with self._lock:
            if self._looking or context is None or not self._at_work:
                return
            self._looking = True
        context.io.call_later(seconds, self._look, context)

    def _look(self, context: ExecutorContext) -> None:
        """I/O thread."""
        with self._lock:
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
            self._asking.start()
        self._look_soon(min(1.0, context.progress_poll_interval))


def _ask_whether_done(executions: list[FuturesExecution]) -> None:
    for execution in executions:
        execution.ask_whether_done()


class FuturesExecution:
    """One call of the user's executor."""

    def __init__(
        self, executor: FuturesExecutor, spec: JobSpec, reporter: Reporter, folder: Path
    ) -> None:
        self._executor = executor
        self._spec = spec
        self._reporter = reporter
        self._folder = folder
        self.can_be_killed = executor.can_kill
        self._future: Any = None
        self._calls = True
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._over = False
        self._begun = False
        self._asked = False
        self._answered = False
        self._log_read = 0
        self._report_seen: object = None

    def begin(self, engine: Submits, context: ExecutorContext) -> None:
        """Submit it; what the engine refuses is told."""
        function, call = cast("tuple[Packed, bytes]", self._spec.payload)
        job = {
            "id": self._spec.id,
            "attempt": self._reporter.attempt,
            "function": function.data,
            "call": call,
            "source": function.source,
            "folder": str(self._folder),
            "again": self._spec.options.idempotent,
            "kernel": [platform.node(), os.getpid()],
            "max_result_bytes": context.max_result_bytes,
        }
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._future = engine.submit(guest.run, job)
        except BaseException as error:
            if isinstance(error, (BrokenExecutor, RuntimeError)):
                self._executor.has_broken(error)
            self._end(Outcome.of_error(failure_of(error)))
            if isinstance(error, KeyboardInterrupt):
                raise  # it happened to arrive here and is not ours to swallow
            return
        self._reporter.phase("waiting for a worker")
        self._calls = isinstance(self._future, _Calls)
        if self._calls:
            self._future.add_done_callback(self._on_done)

    # -- protocols.Execution -----------------------------------------------------------------

    def ask_to_stop(self) -> bool:
        """Withdraw it if it has not begun, else leave the request where it looks for it."""
        self._asked = True
        if self._withdraw():
            return True  # its end is told, or will be by the future
        try:
            (self._folder / guest.ASK).touch()
        except OSError:
            return False  # it has just ended
        return True

    def kill(self) -> None:
        """Withdraw it if it has not begun, else let the engine end it if that can."""
        self._asked = True
        if self._over or self._withdraw():
            return
        if self.can_be_killed:
            threading.Thread(target=self._end_there, name="futures-cancel", daemon=True).start()
        else:
            self._reporter.kill_failed("this engine cannot stop a running job")

    def _withdraw(self) -> bool:
        """Keep it from beginning, by taking the place of the one who would begin it.

        What a future says is not enough: some can be cancelled while their call runs elsewhere.
        """
        if self._future is None:
            return False
        own = self._folder / f"{guest.CLAIM}-withdrawn"
        try:
            own.write_text(guest.WITHDRAWN)
            os.link(own, self._folder / guest.CLAIM)
        except FileExistsError:
            return False
        except OSError:
            logger.debug("%s cannot be claimed: the future is believed", self._folder)
            return bool(self._future.cancel())
        if self._future.cancel() or not self._calls:
            self._end(Outcome.of_stop())
        return True

    def _end_there(self) -> None:
        """A thread of its own: an engine may run a program for this."""
        try:
            self._future.cancel()
        except Exception as error:
            self._reporter.kill_failed(f"{type(error).__name__}: {error}")

    # -- what the engine tells ---------------------------------------------------------------

    def look(self) -> None:
        """I/O thread: has it begun, what does it say, and is it done?"""
        with self._reading:
            if self._answered or self._over:
                return
            if not self._begun:
                self._look_for_the_claim()
            if self._begun:
                self._read_log()
                self._read_report()

    @property
    def tells_nothing(self) -> bool:
        """Its future must be asked whether it is done."""
        return not self._calls and not self._over

    def ask_whether_done(self) -> None:
        """Any thread but the I/O thread."""
        try:
            done = self._future.done()
        except Exception as error:
            logger.debug("%s does not say whether it is done: %r", self._future, error)
            return
        if done:
            self._on_done(self._future)

    def _look_for_the_claim(self) -> None:
        try:
            host, pid = json.loads((self._folder / guest.CLAIM).read_bytes())
        except (OSError, ValueError):
            running = getattr(self._future, "running", None)
            if callable(running) and running() and not self._begun:
                self._reporter.phase(None)
            return
        self._begun = True
        self._reporter.phase(None, f"{host} (process {pid})")

    def _read_log(self) -> None:
        with contextlib.suppress(OSError), open(self._folder / guest.LOG, "rb") as file:
            file.seek(self._log_read)
            while data := file.read(1 << 16):
                self._log_read += len(data)
                self._reporter.log(data)

    def _read_report(self) -> None:
        try:
            report = json.loads((self._folder / guest.REPORT).read_bytes())
        except (OSError, ValueError):
            return
        self._tell_report(report)

    def _tell_report(self, report: Any) -> None:
        shown = repr(report)  # not a number is never equal to itself
        if report is not None and shown != self._report_seen:
            self._report_seen = shown
            self._reporter.progress(*report)

    def _on_done(self, future: Any) -> None:
        """Any thread of the engine."""
        try:
            answer = future.result()
        except CancelledError:
            self._end(Outcome.of_stop())
            return
        except BaseException as error:
            if isinstance(error, BrokenExecutor):
                self._executor.has_broken(error)
            failure = failure_of(error)
            if self._asked:
                self._end(Outcome.of_stop(failure))
            else:
                self._end(Outcome.of_error(failure))
            return
        with self._reading:
            self._answered = True
            self._reporter.phase(None, answer["where"])
            self._catch_up(answer)
        if self._asked and answer["meta"].get("type") == guest.WITHDRAWN:
            self._end(Outcome.of_stop())
            return
        self._end(decode(answer["meta"], [memoryview(part) for part in answer["parts"]]))

    def _catch_up(self, answer: dict[str, Any]) -> None:
        """What was said since the last look; the log's file may not be there, or not yet."""
        missing = answer["log_size"] - self._log_read
        if missing > len(answer["log_tail"]):
            self._read_log()
            missing = answer["log_size"] - self._log_read
        if missing > 0:
            self._reporter.log(answer["log_tail"][-missing:])
        report = answer["report"]
        self._tell_report(None if report is None else list(report))

    def _end(self, outcome: Outcome) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
        self._executor.forget(self)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._reporter.ended(outcome)
        self._executor.wake()


def _check_submits(executor: object) -> None:
    if not callable(getattr(executor, "submit", None)):
        raise InvalidOptionError(
            f"{type(executor).__name__} has no submit(); pass an executor such as "
            "concurrent.futures.ProcessPoolExecutor(4)"
        )
