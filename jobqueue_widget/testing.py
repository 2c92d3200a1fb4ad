"""Helps tests of code that uses a queue: doubles in memory, and a look at what a queue holds."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ._api.inspection import Alive as Alive
from ._api.inspection import Faults as Faults
from ._api.inspection import Inspection as Inspection
from ._api.inspection import Kept as Kept
from ._api.inspection import Lanes as Lanes
from ._api.inspection import Worker as Worker
from ._api.inspection import inspect as inspect
from ._core.stored import (
    Changes,
    Contents,
    KeptFunction,
    KeptResult,
    KeptTold,
    Session,
    StoredRequest,
    StoredState,
)
from ._machine.shared import admission_over
from .errors import JournalError, JournalInUseError
from .protocols import ResourceSource

REPLACE_PATIENCE = 5.0  # seconds; as long as the reference manager waits for a busy worker


@contextlib.contextmanager
def machine_with(source: ResourceSource) -> Iterator[None]:
    """Let queues that are made inside go by these figures, not by those of the real machine.

    Example:
        ```python
        class Small:
            def read(self, pids):
                return MachineStats(ram_total_mib=4096, ram_available_mib=1024, cpus=2)


        with machine_with(Small()):
            queue = JobQueue()
        ```
    """
    with admission_over(source):
        yield


class WorkerReplaced(BaseException):
    """The worker of a plugin was forced to end; raised in the plugin's function."""


class FakePlugin:
    """One worker of a plugin: its function gets it as `plugin`, the host shows it.

    `cancel_requested` is True once the running job was asked to stop; the function may look.
    """

    def __init__(self, function: Callable[..., object], log: list[str], config: object) -> None:
        self.cancel_requested = False
        self._function = function
        self._log = log
        self._config = config
        self._progress: dict[str, object] = {"progress": 0.0, "message": ""}
        self._replaced = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    # -- for the function ----------------------------------------------------------------------

    def report(self, progress: object, message: object = "") -> None:
        """Set what `get_progress` answers from now on."""
        self._progress = {"progress": progress, "message": message}

    def log(self, text: str) -> None:
        """Add a line to the plugin's log."""
        self._log.append(text)

    def pause(self, seconds: float) -> None:
        """Sleep.

        Raises:
            WorkerReplaced: at once when the worker is forced to end.
        """
        if self._replaced.wait(seconds):
            raise WorkerReplaced("the worker of this plugin was replaced")

    # -- for the host's users --------------------------------------------------------------------

    def cancel(self) -> None:
        """Ask the running function to stop."""
        self.cancel_requested = True

    def get_progress(self) -> dict[str, object]:
        """Return what was reported last."""
        return self._progress

    def get_current_config(self) -> object:
        """Return the configuration that the plugin was loaded with."""
        return self._config

    def run(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Call the function, in this thread."""
        self._idle.clear()
        try:
            self.pause(0)  # it may have been replaced already
            return self._function(self, *args, **kwargs)
        finally:
            self.cancel_requested = False
            self._idle.set()

    def replace(self) -> bool:
        """End the function where it next pauses. False: it does not pause, and runs on."""
        self._replaced.set()
        return self._idle.wait(REPLACE_PATIENCE)


class FakePluginHost:
    """Functions as plugins, in threads; like the reference manager, without its processes.

    Each function is called as `function(plugin, *args, **kwargs)` with a `FakePlugin`. One that
    waits by `plugin.pause(seconds)` can be forced to end. `reloads` lists what was reloaded, each
    as (name, configuration).

    Example:
        ```python
        def train(plugin, epochs):
            for epoch in range(epochs):
                plugin.report(epoch / epochs, f"epoch {epoch}")
                plugin.pause(0.1)
            return epochs


        async with JobQueue(FakePluginHost(train=train)) as queue:
            assert await queue.submit_nowait("train", 3) == 3
        ```
    """

    def __init__(self, **functions: Callable[..., object]) -> None:
        self.reloads: list[tuple[str, object]] = []
        self._functions = functions
        self._logs: dict[str, list[str]] = {name: [] for name in functions}
        self._plugins = {name: self.make_plugin(name, None) for name in functions}

    def make_plugin(self, name: str, config: object) -> FakePlugin:
        """Make a fresh worker; override this for plugins with other abilities."""
        return FakePlugin(self._functions[name], self._logs[name], config)

    def get_plugin(self, name: str) -> FakePlugin | None:
        """Return the plugin, or None."""
        return self._plugins.get(name)

    async def execute_plugin_async(self, plugin: str, /, *args: Any, **kwargs: Any) -> object:
        """Run the function in a thread.

        Raises:
            ConnectionError: its worker was replaced meanwhile.
        """
        worker = self._plugins[plugin]
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[object, Exception | None]] = loop.create_future()

        def settle(value: object, error: Exception | None) -> None:
            if not done.done():
                done.set_result((value, error))

        def run() -> None:
            value, error = None, None
            try:
                value = worker.run(args, kwargs)
            except Exception as raised:
                error = raised
            except BaseException as raised:  # a worker would have died of it
                error = ConnectionError(f"the worker ended: {type(raised).__name__}: {raised}")
            with contextlib.suppress(RuntimeError):  # the loop may be gone by now
                loop.call_soon_threadsafe(settle, value, error)

        threading.Thread(target=run, name=f"fake-plugin-{plugin}", daemon=True).start()
        value, error = await done
        if error is not None:
            raise error
        return value

    def reload_plugin(self, name: str, config: object = None) -> bool:
        """Put a fresh worker in the place of the old one. False: the old one would not end."""
        self.reloads.append((name, config))
        if not self._plugins[name].replace():
            return False
        self._plugins[name] = self.make_plugin(name, config)
        return True

    def get_plugin_logs(self, name: str, lines: int = 100) -> str:
        """Return the last lines of that plugin's log, of all its jobs."""
        return "".join(f"{line}\n" for line in self._logs[name][-lines:])


class MemoryJournal:
    """A journal in memory: it outlives its queue, not its process. For tests of restarts.

    `fail_next(n)` lets the next n writes fail, as on a full disk.
    """

    def __init__(self) -> None:
        self._requests: dict[str, StoredRequest] = {}
        self._states: dict[str, StoredState] = {}
        self._functions: dict[bytes, KeptFunction] = {}
        self._results: dict[str, KeptResult] = {}
        self._logs: dict[str, bytes] = {}
        self._told: dict[str, KeptTold] = {}
        self._sessions: list[Session] = []
        self._forgotten: dict[str, int] = {}
        self._pause: tuple[str, float] | None = None
        self._cleared_to = 0
        self._numbers_given = 0
        self._complete = True
        self._failures = 0
        self._open = False

    @property
    def place(self) -> str:
        """Return "": nothing names a journal in memory."""
        return ""

    def fail_next(self, writes: int) -> None:
        """Let the next so many writes fail."""
        self._failures = writes

    def open(self, session: Session) -> Contents:
        """Take the journal, and return what it has kept.

        Raises:
            JournalInUseError: a queue has it.
        """
        if self._open:
            raise JournalInUseError("this journal is in use; close the queue that has it first")
        self._open = True
        ids = sorted(self._requests, key=lambda job_id: self._requests[job_id].number)
        contents = Contents(
            jobs=[(self._requests[job_id], self._states[job_id]) for job_id in ids],
            sessions=list(self._sessions),
            numbers_given=self._numbers_given,
            forgotten=dict(self._forgotten),
            pause=self._pause,
            cleared_to=self._cleared_to,
            with_log=frozenset(self._logs),
            with_told=frozenset(self._told),
            with_result=frozenset(self._results),
            with_value=frozenset(i for i, one in self._results.items() if one.form == "pickle"),
            complete=self._complete,
        )
        self._sessions.append(session)
        return contents

    def write(self, changes: Changes) -> None:
        """Keep all of the changes or nothing."""
        if not self._open:
            raise JournalError("this journal is closed")
        if self._failures:
            self._failures -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._functions |= {function.digest: function for function in changes.functions}
        self._requests |= {request.id: request for request in changes.requests}
        self._states |= {state.id: state for state in changes.standings}
        self._logs |= dict(changes.logs)
        self._told |= dict(changes.told)
        self._results |= dict(changes.results)
        if gone := {number for number, _ in changes.forgotten}:
            for job_id in [one.id for one in self._requests.values() if one.number in gone]:
                for kept in (self._requests, self._states, self._logs, self._told, self._results):
                    kept.pop(job_id, None)
        if changes.erased:
            needed = {request.function for request in self._requests.values()}
            for digest in self._functions.keys() - needed:
                del self._functions[digest]
        for status, count in changes.counted.items():
            self._forgotten[status] = self._forgotten.get(status, 0) + count
        self._numbers_given = changes.numbers_given
        if changes.pause_changed:
            self._pause = changes.pause
        if changes.cleared_to is not None:
            self._cleared_to = changes.cleared_to
        self._sessions[-1] = self._sessions[-1]._replace(
            seen_at=changes.seen_at, ended_at=changes.seen_at if changes.ended else None
        )

    def request(self, number: int) -> StoredRequest | None:
        """Return the request of the job with this number."""
        found = (one for one in self._requests.values() if one.number == number)
        return next(found, None)

    def function(self, digest: bytes) -> KeptFunction | None:
        """Return a function that some job refers to."""
        return self._functions.get(digest)

    def result(self, job_id: str) -> KeptResult | None:
        """Return the result of an ended job."""
        return self._results.get(job_id)

    def log(self, job_id: str) -> bytes:
        """Return the end of what a job printed."""
        return self._logs.get(job_id, b"")

    def told(self, job_id: str) -> KeptTold:
        """Return what else it has told."""
        return self._told.get(job_id, KeptTold(None, None))

    def mark_incomplete(self) -> None:
        """Note that a write has failed."""
        self._complete = False

    def mark_complete(self) -> None:
        """Note that what was missing has been written since."""
        self._complete = True

    def close(self) -> None:
        """Let go of the journal."""
        self._open = False
