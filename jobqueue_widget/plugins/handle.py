"""What `get_plugin` gives: one loaded plugin, with the calls of the reference system's proxies."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, TextIO

import psutil

from ..child.plugins import typed
from . import calls
from .slots import Plugin

ANSWER_PATIENCE = 2.0  # seconds for a worker to answer; one whose interpreter C code holds does not


class PluginHandle:
    """One loaded plugin, from outside. It goes past the scheduler; the manager's calls do not."""

    def __init__(self, plugin: Plugin, unload: weakref.WeakMethod[Callable[[str], bool]]) -> None:
        self._plugin = plugin
        self._unload = unload
        self._measured: dict[int, psutil.Process] = {}
        self._log_file: TextIO | None = None

    def __repr__(self) -> str:
        return f"PluginHandle({self.name!r}, version={self.version!r}, pid={self.pid})"

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self._plugin.meta.name

    @property
    def version(self) -> str:
        """The plugin's version."""
        return self._plugin.meta.version

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Manifest of the plugin."""
        return self._plugin.meta.manifest

    @property
    def pid(self) -> int | None:
        """Process id of its first worker; None while there is none."""
        return next(iter(self.pids), None)

    @property
    def pids(self) -> list[int]:
        """Process ids of its workers that are there now."""
        workers = [slot.worker for slot in self._plugin.slots]
        return [worker.pid for worker in workers if worker is not None and worker.pid]

    @property
    def process(self) -> psutil.Process | None:
        """Process of its first worker; None while there is none."""
        try:
            return None if self.pid is None else psutil.Process(self.pid)
        except psutil.NoSuchProcess:
            return None

    # -- what the reference's proxies have besides -----------------------------------------------

    @property
    def port(self) -> None:
        """None: no worker listens."""

    @property
    def base_url(self) -> None:
        """None: no worker listens."""

    @property
    def log_path(self) -> Path:
        """A file that has the plugin's log, and goes on with it; made when it is first asked for.

        `logs/NAME.log` in the manager's data folder.

        Raises:
            OSError: it cannot be written.
        """
        path = self._plugin.runtime.data_dir / "logs" / f"{self.name}.log"
        self._plugin.log.copy_to(path)
        return path

    @property
    def log_file(self) -> TextIO:
        """Its log file, open for appending until the plugin is unloaded.

        Raises:
            OSError: it cannot be written.
        """
        if self._log_file is None or self._log_file.closed:
            self._log_file = self.log_path.open("a", encoding="utf-8")
        return self._log_file

    def report_progress(self, progress: float, message: str = "") -> None:
        """Set what `get_progress` tells; a plugin does it itself while it runs."""
        self._plugin.note_progress(progress, message)

    def close(self) -> None:
        """The plugin was unloaded."""
        if self._log_file is not None:
            self._log_file.close()

    def __enter__(self) -> PluginHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    async def __aenter__(self) -> PluginHandle:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cleanup()

    # -- calls ---------------------------------------------------------------------------------

    def initialize(self, config: Mapping[str, Any] | None = None) -> None:
        """Give it another configuration.

        Raises:
            RuntimeError: it does not take it; the one before stays.
        """
        if problem := self._plugin.configure(config or {}):
            raise RuntimeError(f"plugin {self.name!r} does not take this configuration: {problem}")

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run it, in its worker, and wait."""
        return calls.Call(self._plugin, "execute", args, kwargs).wait()

    async def execute_async(self, *args: Any, **kwargs: Any) -> Any:
        """Run it and await the result."""
        return await calls.Call(self._plugin, "execute", args, kwargs).value()

    def execute_stream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        """The pieces of its stream."""
        return calls.stream(self._plugin, args, kwargs, lambda _: None)

    def execute_stream_sync(self, *args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        """The pieces of its stream; each is waited for in this thread."""
        return calls.stream_sync(self._plugin, args, kwargs)

    def cancel(self) -> bool:
        """Ask what runs now to stop. False: nothing runs."""
        with self._plugin.runtime.lock.held:
            runs = [slot.run for slot in self._plugin.slots if slot.run and slot.run.is_work]
        for run in runs:
            run.ask_to_stop()
        return bool(runs)

    async def cancel_async(self) -> bool:
        """Do the same, awaited."""
        return self.cancel()

    def cleanup(self) -> None:
        """Unload it."""
        unload = self._unload()
        if unload is not None:
            unload(self.name)

    # -- questions -----------------------------------------------------------------------------

    def get_progress(self) -> dict[str, Any]:
        """What it reported last: `progress` (0.0 to 1.0, or -1.0) and `message`."""
        progress, message = self._plugin.progress
        return {"progress": progress, "message": message}

    async def get_progress_async(self) -> dict[str, Any]:
        """Do the same, awaited."""
        return self.get_progress()

    def get_current_config(self) -> dict[str, Any]:
        """What the plugin says it is configured with; what we gave it while it does not answer."""
        answer = self._ask("config")
        return answer if isinstance(answer, dict) else dict(self._plugin.configuration[0])

    def get_config_schema(self) -> dict[str, Any]:
        """What can be configured: the plugin's word, or else its manifest's."""
        answer = self._ask("config_schema")
        if isinstance(answer, dict):
            return answer
        return dict(self._plugin.meta.config_schema or {})

    def health(self) -> dict[str, Any] | None:
        """`pid` and `busy` from the worker itself; None if it does not answer."""
        answer = self._ask("health")
        return answer if isinstance(answer, dict) else None

    def is_alive(self) -> bool:
        """True if it has a worker that answers."""
        return self.health() is not None

    def get_stats(self) -> dict[str, Any]:
        """Figures of its workers and children: `pid`, `cpu_percent`, `memory_rss_mb` (MiB)."""
        family: list[psutil.Process] = []
        for pid in self.pids:
            try:
                one = self._measured.setdefault(pid, psutil.Process(pid))
                family += [one, *one.children(recursive=True)]
            except psutil.Error:
                self._measured.pop(pid, None)
        memory, percent = 0, 0.0
        for process in family:
            try:
                memory += process.memory_info().rss
                percent += process.cpu_percent() if process.pid in self._measured else 0.0
            except psutil.Error:
                continue
        return {"pid": self.pid, "cpu_percent": percent, "memory_rss_mb": memory / 2**20}

    def _ask(self, question: str) -> Any:
        """A worker's answer; None if there is no worker, it fails, or does not come."""
        loaded = [slot.worker for slot in self._plugin.slots if slot.is_loaded]
        if not loaded or loaded[0] is None:
            return None
        answer: Future[Any] = Future()

        def on_answer(parts: Sequence[memoryview] | None, problem: str) -> None:
            try:
                value = None if parts is None else typed.decode(parts, self._plugin.runtime.types)
            except typed.NotReadable as error:
                value, problem = None, str(error)
            if problem:
                self._plugin.log.write(f"[{problem}]\n")
            if not answer.done():
                answer.set_result(value)

        loaded[0].question(question, on_answer)
        try:
            return answer.result(ANSWER_PATIENCE)
        except FutureTimeoutError:
            return None
