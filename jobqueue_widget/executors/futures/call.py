"""Runs one job as one call of the user's executor, watched through a few files."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from ..._core.jobs import Outcome
from ..._core.spec import JobSpec
from ..._runtime.failures import failure_of
from ..._threads.locks import Lock
from ...child.capture.series import readable
from ...protocols import ExecutorContext, Reporter
from ...workers.packing import Packed, PackedCall, call_bytes
from ...workers.unpacking import decode_aside
from . import foreign_runner

logger = logging.getLogger(__name__)


@runtime_checkable
class CallsBack(Protocol):
    """A future that tells when it is done; others (submitit's jobs) are looked at."""

    def add_done_callback(self, callback: Callable[[Any], object]) -> object:
        """Call back once, when it is done."""


class Submits(Protocol):
    """What is needed of the user's executor."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Start a call; what stands for it has `result()`, `done()` and `cancel()`."""


class Owner(Protocol):
    """The `FuturesExecutor`, as its calls see it. Any thread."""

    can_kill: bool

    def forget(self, execution: FuturesExecution) -> None:
        """Release the slot of a call that has ended."""

    def has_broken(self, engine: Submits, error: BaseException) -> None:
        """Note that the user's executor takes no more calls."""


class FuturesExecution:
    """One call of the user's executor."""

    def __init__(
        self, executor: Owner, engine: Submits, spec: JobSpec, reporter: Reporter, stem: str
    ) -> None:
        self._executor = executor
        self._engine = engine
        self._spec = spec
        self._reporter = reporter
        self._stem = stem
        self.can_be_killed = executor.can_kill
        self._future: Any = None
        self._calls = True
        self._lock = Lock()
        self._reading = Lock()
        self._over = False
        self._asked = False
        self._answered = False
        self._log_start = self._log_read = 0
        self._report_seen: object = None
        self._metrics_read = 0

    def begin(self, context: ExecutorContext) -> None:
        """Submit the call; what the engine refuses is reported as the end of the job."""
        function, call = cast("tuple[Packed, bytes | PackedCall]", self._spec.payload)
        job = {
            "id": self._spec.id,
            "attempt": self._reporter.attempt,
            "function": function.data,
            "call": call_bytes(call),
            "source": function.source,
            "files": self._stem,
            "again": bool(self._spec.options.idempotent),
            "kernel": [platform.node(), os.getpid()],
            "max_result_bytes": context.max_result_bytes,
        }
        try:
            self._make_its_file()
            self._future = self._engine.submit(foreign_runner.run, job)
        except BaseException as error:
            if isinstance(error, (BrokenExecutor, RuntimeError)):
                self._executor.has_broken(self._engine, error)
            self._end(Outcome.of_error(failure_of(error)))
            if isinstance(error, KeyboardInterrupt):
                raise  # it happened to arrive here and is not ours to swallow
            return
        self._calls = isinstance(self._future, CallsBack)
        if self._calls:
            self._future.add_done_callback(self._on_done)

    def _make_its_file(self) -> None:
        waiting = Path(self._stem + foreign_runner.WAITING)
        try:
            waiting.touch(0o600)
        except FileNotFoundError:
            waiting.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            waiting.touch(0o600)

    # -- protocols.Execution -----------------------------------------------------------------

    def ask_to_stop(self) -> bool:
        """Withdraw the call if it has not begun, else leave the request in a file it looks for."""
        self._asked = True
        if self._over:
            return False
        if self._withdraw():
            return True  # its end is told, or will be by the future
        try:
            Path(self._stem + foreign_runner.ASK).touch()
        except OSError:
            return False  # it has just ended
        return True

    def kill(self) -> None:
        """Withdraw the call if it has not begun, else let the engine end it, if the engine can."""
        self._asked = True
        if self._over or self._withdraw():
            return
        if self.can_be_killed:
            threading.Thread(target=self._end_there, name="futures-cancel", daemon=True).start()
        else:
            self._reporter.kill_failed("this engine cannot stop a running job")

    def _withdraw(self) -> bool:
        """Keep the call from beginning, by taking away a file without which nobody begins it.

        To cancel the future is not enough: with some that succeeds while the call runs elsewhere.
        Nor is it enough to remove the file: on Windows that succeeds while another renames it.
        """
        if self._future is None:
            return False
        taken = self._stem + foreign_runner.NOT_BEGUN
        try:
            os.rename(self._stem + foreign_runner.WAITING, taken)
            os.unlink(taken)
        except FileNotFoundError:
            return False
        except OSError:
            logger.debug("%s cannot be removed: the future is believed", self._stem)
            return bool(self._future.cancel())
        if self._future.cancel() or not self._calls:
            self._end(Outcome.of_stop())
        return True

    def _end_there(self) -> None:
        """Cancel the future in a thread of its own: an engine may run a program for that."""
        try:
            self._future.cancel()
        except Exception as error:
            self._reporter.kill_failed(f"{type(error).__name__}: {error}")

    # -- what the engine tells ---------------------------------------------------------------

    def look(self) -> None:
        """Read what the call has written by now: its begin, log and report. I/O thread."""
        with self._reading.held:
            if self._answered or self._over:
                return
            if self._has_begun():
                self._read_log()
                self._read_report()
                self._read_metrics()

    @property
    def tells_nothing(self) -> bool:
        """True if its future calls nobody back, and must be asked whether it is done."""
        return not self._calls and not self._over

    def ask_whether_done(self) -> None:
        """Ask its future whether it is done. Any thread but the I/O thread."""
        try:
            done = self._future.done()
        except Exception as error:
            logger.debug("%s does not say whether it is done: %r", self._future, error)
            return
        if done:
            self._on_done(self._future)

    def _has_begun(self) -> bool:
        if self._log_start:
            return True
        try:
            with open(self._stem + foreign_runner.BEGUN, "rb") as file:
                line = file.readline(1000)
            host, pid = json.loads(line[: line.index(b"\n")])
        except (OSError, ValueError):
            running = getattr(self._future, "running", None)
            waits = not (callable(running) and running())
            self._reporter.phase("waiting for a worker" if waits else None)
            return False
        self._log_start = len(line)
        self._reporter.phase(None, f"{host} (process {pid})")
        return True

    def _read_log(self) -> None:
        with contextlib.suppress(OSError), open(self._stem + foreign_runner.BEGUN, "rb") as file:
            file.seek(self._log_start + self._log_read)
            while data := file.read(1 << 16):
                self._log_read += len(data)
                self._reporter.log(data)

    def _read_report(self) -> None:
        try:
            report = json.loads(Path(self._stem + foreign_runner.REPORT).read_bytes())
        except (OSError, ValueError):
            return
        self._tell_report(report)

    def _tell_report(self, report: Any) -> None:
        shown = repr(report)  # not a number is never equal to itself
        if report is not None and shown != self._report_seen:
            self._report_seen = shown
            self._reporter.progress(*report)

    def _read_metrics(self) -> None:
        with contextlib.suppress(OSError), open(self._stem + foreign_runner.METRICS, "rb") as file:
            file.seek(self._metrics_read)
            for line in file:
                if line.endswith(b"\n"):  # all of it is there
                    self._metrics_read += len(line)
                    self._tell_metrics(line)

    def _tell_metrics(self, line: bytes, *, anew: bool = False) -> None:
        with contextlib.suppress(ValueError, TypeError):
            self._reporter.metrics(readable(json.loads(line)), anew=anew)

    def _on_done(self, future: Any) -> None:
        """Read what the call returned, or how it failed. Any thread of the engine."""
        try:
            answer = future.result()
        except CancelledError:
            self._end(Outcome.of_stop())
            return
        except BaseException as error:
            if isinstance(error, BrokenExecutor):
                self._executor.has_broken(self._engine, error)
            failure = failure_of(error)
            self._end(Outcome.of_stop(failure) if self._asked else Outcome.of_error(failure))
            return
        with self._reading.held:
            self._answered = True
            self._reporter.phase(None, answer["where"])
            self._catch_up(answer)
        if self._asked and answer["meta"].get("type") == foreign_runner.WITHDRAWN:
            self._end(Outcome.of_stop())
            return
        parts = [memoryview(part) for part in answer["parts"]]
        decode_aside(f"decode-{self._spec.id}", answer["meta"], parts, self._end)

    def _catch_up(self, answer: dict[str, Any]) -> None:
        """Report what came after the last look, from the answer where files are missing."""
        missing = answer["log_size"] - self._log_read
        if missing > len(answer["log_tail"]) and self._has_begun():
            self._read_log()
            missing = answer["log_size"] - self._log_read
        if missing > 0:
            self._reporter.log(answer["log_tail"][-missing:])
        report = answer["report"]
        self._tell_report(None if report is None else list(report))
        if answer["metrics"]:
            self._reporter.metrics(answer["metrics"], anew=True)

    def _end(self, outcome: Outcome) -> None:
        with self._lock.held:
            if self._over:
                return
            self._over = True
        self._executor.forget(self)
        for name in foreign_runner.NAMES:
            with contextlib.suppress(OSError):
                os.unlink(self._stem + name)
        self._reporter.ended(outcome)
