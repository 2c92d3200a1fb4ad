"""Drives an executor without a queue, and has a reporter that remembers."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jobqueue_widget._api.callers.targets import classify
from jobqueue_widget._core.jobs import Outcome
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget._runtime.storage.told.metrics import KeptMetrics
from jobqueue_widget._threads.supervisor import Supervisor
from jobqueue_widget.child.capture.series import Points
from jobqueue_widget.protocols import Execution, Executor, IoThread
from tests.conditions import until
from tests.contract.subjects import Call

numbers = itertools.count(1)


class Recorder:
    """A `Reporter` that keeps everything it is told, in order."""

    def __init__(self, job_id: str = "job") -> None:
        self.job_id = job_id
        self.attempt = 1
        self.priority = 0
        self.devices: tuple[str, ...] = ()
        self.forwards = False
        self.phases: list[str | None] = []
        self.where: str | None = None
        self.reports: list[tuple[object, object]] = []
        self.outputs: list[tuple[dict[str, Any], bytes]] = []
        self.measured = KeptMetrics()
        self.ends: list[Outcome] = []
        self.kills_failed: list[str] = []
        self.told = threading.Event()
        self._log = b""

    def phase(self, text: str | None, where: str | None = None) -> None:
        self.phases.append(text)
        self.where = where or self.where

    def progress(self, fraction: object, message: object = None) -> None:
        self.reports.append((fraction, message))

    def metrics(self, points: Points, *, anew: bool = False) -> None:
        self.measured = KeptMetrics() if anew else self.measured
        self.measured.take(self.attempt, points)

    def log(self, data: bytes | str) -> None:
        self._log += data.encode() if isinstance(data, str) else data

    def output(self, told: dict[str, Any], body: bytes) -> None:
        self.outputs.append((told, body))

    def ended(self, outcome: Outcome) -> None:
        self.ends.append(outcome)
        self.told.set()

    def kill_failed(self, reason: str) -> None:
        self.kills_failed.append(reason)

    @property
    def text(self) -> str:
        return self._log.decode()

    async def end(self) -> Outcome:
        """The one end, when it has been told."""
        await until(lambda: self.ends)
        return self.ends[0]


class DirectContext:
    """An `ExecutorContext` with a real I/O thread."""

    max_running = 2
    cancel_timeout = 3.0
    progress_poll_interval = 0.02
    max_result_bytes: int | None = None
    env: Mapping[str, str] | None = None
    recycle_after: int | None = None

    def __init__(self, folder: Path) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.supervisor = Supervisor("contract-io")
        self.io: IoThread = self.supervisor
        self.run_id = f"contract{next(numbers)}"
        self.queue_name = "contract"
        self._folder = folder

    def call_on_loop(self, callback: Callable[..., object], *args: object) -> None:
        self.loop.call_soon_threadsafe(callback, *args)

    def spool_dir(self) -> Path:
        return self._folder


class Bench:
    """An open executor to launch on."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def launch(self, call: Call) -> tuple[Execution, Recorder]:
        target, *args = call
        kind, name = classify(target)
        recorder = Recorder(f"job-{next(numbers)}")
        spec = JobSpec(recorder.job_id, kind, target, name, tuple(args))
        spec.payload = self.executor.prepare(spec)
        return self.executor.launch(spec, recorder), recorder


@asynccontextmanager
async def opened(executor: Executor, folder: Path) -> AsyncIterator[Bench]:
    """Open it, and close it and its I/O thread at the end."""
    context = DirectContext(folder)
    executor.open(context)
    try:
        yield Bench(executor)
    finally:
        await executor.close()
        context.supervisor.close()
