"""The kernel's side of a plugin's worker: a worker process that also streams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..child import wire
from ..protocols import IoThread
from .pipes import FROM_PLUGINS
from .process import WorkerProcess
from .task import Task


class PluginProcess(WorkerProcess):
    """One worker of one plugin."""

    script = Path(__file__).parents[1] / "child" / "plugins" / "plugin_worker.py"
    kinds = FROM_PLUGINS

    def __init__(
        self,
        io: IoThread,
        command: Sequence[str],
        environ: Mapping[str, str],
        run_id: str,
        on_gone: Callable[[WorkerProcess], None],
        on_output: Callable[[bytes], None],
    ) -> None:
        super().__init__(io, command, environ, run_id, lambda _: None, self._note_end)
        self._then_gone = on_gone
        self._on_output = on_output
        self.ended = threading.Event()  # set when no process of it is left

    @property
    def kept_from_starting(self) -> bool:
        """True if the machine kept it from starting; False for a missing interpreter."""
        error = self.start_error
        if isinstance(error, OSError) and error.filename == self._command[0]:
            return False
        return super().kept_from_starting

    def _is_unread(self) -> bool:
        return False  # a call has several steps, and one before may have done something

    def give_credit(self, task: Task) -> None:
        """Let the worker send one more chunk of a stream. Any thread."""
        with self._lock.held:
            if self._task is task:
                self._say(wire.NEXT, self.number)

    def _handle(self, kind: bytes, number: int, body: bytearray) -> None:
        if kind == wire.CHUNK:
            self._on_chunk(number, body)
        else:
            super()._handle(kind, number, body)

    def _on_chunk(self, number: int, body: bytearray) -> None:
        task = self._task
        if task is None or number != self.number:
            return
        if (end := self._read_end(body, "a chunk")) is not None:
            task.on_chunk(*end)  # type: ignore[attr-defined]

    def _keep_log(self, data: bytes) -> None:
        super()._keep_log(data)
        self._on_output(data)

    def _note_end(self, worker: WorkerProcess) -> None:
        self._then_gone(worker)
        self.ended.set()
