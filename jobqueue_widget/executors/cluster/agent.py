"""Runs jobs of a kernel elsewhere: in our worker processes on this machine, told of in batches.

Lives in a process of an engine (a Dask worker, a Ray actor), which carries the calls. The workers,
and the code that asks and ends them, are the very same as in the kernel's own machine.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..._core.jobs import Outcome
from ..._core.spec import JobOptions, JobSpec
from ..._runtime.storage.spool import Spool
from ..._threads.locks import Lock
from ..._threads.supervisor import Supervisor
from ...child.capture.series import Metrics, Points
from ...child.displays.account import MOST
from ...protocols import Execution, IoThread
from ...workers.packing import Packed
from ..process import ProcessExecutor

logger = logging.getLogger(__name__)

LOG_WAITING = 4 * 1024 * 1024  # bytes of one job's log that wait to be fetched
OUTPUTS_WAITING = 2 * MOST
CLOSE_SECONDS = 5.0
ANSWER_SECONDS = 0.02  # that a call waits for the end of the job that it has begun
ANSWERS_KEPT = 1000  # far more than there can be calls under way

Updates = dict[str, Any]


class Raw:
    """An end as the worker told it, for a kernel that will read it."""

    def __init__(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> None:
        self.meta = meta
        self.parts = [bytes(part) for part in parts]


class _RawExecutor(ProcessExecutor):
    decodes = False

    @staticmethod
    def decode(meta: dict[str, Any], parts: Sequence[memoryview]) -> Outcome:
        return Outcome.of_value(Raw(meta, parts))


class _AgentContext:
    """The context of the executor here, in place of a queue's."""

    loop: asyncio.AbstractEventLoop  # never asked for
    cancel_timeout = 0.0
    progress_poll_interval = 1.0

    def __init__(self, io: IoThread, name: str, lanes: int, settings: Mapping[str, Any]) -> None:
        self.io = io
        self.queue_name = self.run_id = name
        self.max_running = lanes
        self.max_result_bytes: int | None = settings["max_result_bytes"]
        self.env: Mapping[str, str] | None = settings["env"]
        self.recycle_after: int | None = settings["recycle_after"]
        self._spool = Spool(within=settings.get("scratch"))
        self.spool_dir = self._spool.path
        self.remove_files = self._spool.remove

    def call_on_loop(self, callback: Callable[..., object], *args: object) -> None:
        self.io.call(callback, *args)


class _BufferingReporter:
    """Keep the newest of each kind that a job reports, until it is fetched."""

    def __init__(self, agent: Agent, token: str, job_id: str, attempt: int) -> None:
        self._agent = agent
        self._token = token
        self.job_id = job_id
        self.attempt = attempt
        self.priority = 0
        self.devices: tuple[str, ...] = ()  # its engine keeps the account
        self.forwards = False  # whoever reads it decides

    def phase(self, text: str | None, where: str | None = None) -> None:
        self._agent.tell(self._token, phase=[text])

    def progress(self, fraction: object, message: object = None) -> None:
        self._agent.tell(self._token, progress=[fraction, message])

    def metrics(self, points: Points, *, anew: bool = False) -> None:
        self._agent.tell(self._token, metrics=points)

    def log(self, data: bytes | str) -> None:
        raw = data if isinstance(data, bytes) else data.encode("utf-8", "backslashreplace")
        self._agent.tell(self._token, log=raw)

    def output(self, told: dict[str, Any], body: bytes) -> None:
        self._agent.tell(self._token, outputs=[(told, body)])

    def kill_failed(self, reason: str) -> None:
        self._agent.tell(self._token, kill_failed=reason)

    def ended(self, outcome: Outcome) -> None:
        raw, failure = outcome.value, outcome.failure
        end: Updates = {"kind": "stopped", "meta": None, "parts": [], "file": None}
        if isinstance(raw, Raw):
            end.update(kind="told", meta=raw.meta, parts=raw.parts)
            if "file" in raw.meta:
                end["file"] = os.path.getsize(raw.meta["file"])
        elif failure is not None:
            told = (failure.type_name, failure.message, failure.traceback)
            end.update(kind="died", meta=[*told, failure.exit_code, failure.signal_name])
        self._agent.tell(self._token, end=end)


class Agent:
    """The jobs of one kernel (one open executor of it) on this machine.

    `put`, `run`, `updates` and `answer` are for the loop that made it, the rest for any thread.
    """

    def __init__(self, name: str, lanes: int, settings: Mapping[str, Any]) -> None:
        self.heard = time.monotonic()  # when its kernel said something
        self._loop = asyncio.get_running_loop()
        self._puts: dict[str, bytearray] = {}
        self._told = asyncio.Event()
        self._answers: dict[str, asyncio.Event] = {}
        self._answered: dict[str, Updates] = {}  # the newest; a caller that did not hear asks again
        self._io = Supervisor(f"jobqueue-agent-{name}")
        self._context = _AgentContext(self._io, name, lanes, settings)
        self._executor = _RawExecutor()
        self._executor.open(self._context)
        self._lock = Lock()
        self._jobs: dict[str, Execution | None] = {}  # until their end has been fetched
        self._ended: set[str] = set()
        self._files: dict[str, str] = {}
        self._updates: dict[str, Updates] = {}
        self._attended: dict[str, Updates] = {}  # of jobs whose callers still wait
        self._taken: tuple[int, dict[str, Updates]] = (0, {})
        self._closed = False

    # -- what the kernel wants ---------------------------------------------------------------

    def put(self, token: str, offset: int, data: bytes) -> None:
        """Keep a piece of arguments that are too large for one message."""
        self._puts.setdefault(token, bytearray())[offset:] = data

    async def run(self, token: str, job: Mapping[str, Any]) -> tuple[str, Updates]:
        """Begin it, and wait a moment: the end of a short job is the answer itself."""
        if (put := self._puts.pop(token, None)) is not None:
            job = {**job, "call": bytes(put)}
        if token in self._answered:
            return "known", self._answered[token]
        if token in self._jobs:
            self._stop_attending(token)
            return "known", {}
        ended = self._answers[token] = asyncio.Event()
        self._attended[token] = {}
        self._begin(token, job)
        try:
            await asyncio.wait_for(ended.wait(), ANSWER_SECONDS)
        except TimeoutError:
            logger.debug("%s takes its time", token)
        del self._answers[token]
        with self._lock.held:
            updates = self._attended.pop(token, {})
            if "end" in updates:
                del self._jobs[token]
                self._ended.discard(token)
                self._answered[token] = updates
                while len(self._answered) > ANSWERS_KEPT:
                    del self._answered[next(iter(self._answered))]
        return "begun", updates

    def _begin(self, token: str, job: Mapping[str, Any]) -> None:
        with self._lock.held:
            self._jobs[token] = None
        spec = JobSpec(job["id"], "function", job["name"], job["name"])
        spec.options = JobOptions(fresh=job["fresh"], env=job["env"], cwd=job["cwd"])
        spec.payload = (Packed(job["function"], job["source"]), job["call"])
        execution = self._executor.launch(
            spec, _BufferingReporter(self, token, job["id"], job["attempt"])
        )
        with self._lock.held:
            if token not in self._ended:
                self._jobs[token] = execution

    def _stop_attending(self, token: str) -> None:
        """Keep for the next call what a caller that has gone would have been told."""
        with self._lock.held:
            attended = self._attended.pop(token, None)
            if attended:
                self._updates[token] = attended
        self._told.set()

    def ask(self, token: str) -> None:
        """Ask that attempt to stop; one that has ended is left alone."""
        if (execution := self._jobs.get(token)) is not None:
            execution.ask_to_stop()

    def kill(self, token: str) -> None:
        """Force that attempt to end."""
        if (execution := self._jobs.get(token)) is not None:
            execution.kill()

    def read(self, token: str, offset: int, size: int) -> bytes:
        """Return a piece of a large result."""
        with open(self._files[token], "rb") as file:
            file.seek(offset)
            return file.read(size)

    def drop(self, token: str) -> None:
        """Delete a large result that has been fetched."""
        with self._lock.held:
            path = self._files.pop(token, None)
        if path is not None:
            Path(path).unlink(missing_ok=True)

    # -- updates --------------------------------------------------------------------------------

    def tell(self, token: str, **what: Any) -> None:
        """Keep an update until it is fetched. Any thread; what waits is bounded."""
        with self._lock.held:
            attended = self._attended.get(token)
            updates = self._updates.setdefault(token, {}) if attended is None else attended
            if "log" in what:
                log = updates.get("log", b"") + what.pop("log")
                if len(log) > LOG_WAITING:
                    cut = len(log) - LOG_WAITING // 2
                    log = (
                        b"\n[... %d bytes of the log were lost on the way ...]\n" % cut + log[cut:]
                    )
                updates["log"] = log
            if "outputs" in what:
                outputs = [*updates.get("outputs", ()), *what.pop("outputs")]
                updates["outputs"] = outputs[-OUTPUTS_WAITING:]
            if "metrics" in what and "metrics" in updates:
                waiting = Metrics()
                waiting.add(updates["metrics"])
                waiting.add(what["metrics"])
                what["metrics"] = waiting.points()
            if "end" in what:
                self._jobs[token] = None
                self._ended.add(token)
                meta = what["end"]["meta"]
                if what["end"]["file"] is not None:
                    self._files[token] = meta.pop("file")
            updates.update(what)
        try:
            if attended is None:
                self._loop.call_soon_threadsafe(self._told.set)
            elif "end" in updates:
                self._loop.call_soon_threadsafe(self._answers[token].set)
        except (RuntimeError, KeyError):  # the loop has ended, or the caller has gone
            logger.debug("nobody waits for what %s tells", token)

    @property
    def is_busy(self) -> bool:
        """True while a job is at work, or its end has not been fetched."""
        return bool(self._jobs)

    async def updates(self, seen: int, seconds: float) -> tuple[int, dict[str, Updates]]:
        """Take what is new, as `take` does; wait so long for it."""
        number, updates = self.take(seen)
        if not updates:
            self._told.clear()
            if not self._updates:
                try:
                    await asyncio.wait_for(self._told.wait(), seconds)
                except TimeoutError:
                    return number, {}
            number, updates = self.take(seen)
        return number, updates

    def answer(self) -> None:
        """Let whoever waits for updates have what there is."""
        self._told.set()

    def take(self, seen: int) -> tuple[int, dict[str, Updates]]:
        """Take what is new, numbered; what was taken comes again unless its number was `seen`."""
        with self._lock.held:
            number, taken = self._taken
            if seen < number:
                return self._taken
            for token in self._ended.intersection(taken):
                self._ended.discard(token)
                del self._jobs[token]
            taken, self._updates = self._updates, {}
            self._taken = (number + 1 if taken else number, taken)
            return self._taken

    # -- ending ------------------------------------------------------------------------------

    def close(self) -> None:
        """End everything and wait until it is gone. Not on the I/O thread."""
        with self._lock.held:
            if self._closed:
                return
            self._closed = True
        empty = threading.Event()
        if self._executor.begin_close(empty.set) and not empty.wait(CLOSE_SECONDS):
            logger.warning("workers of %s are not gone after %g s", platform.node(), CLOSE_SECONDS)
        self._io.close()
        self._context.remove_files()

    def kill_now(self) -> None:
        """End every worker without its threads, at the end of the interpreter."""
        self._executor.kill_all_now()
        self._context.remove_files()
