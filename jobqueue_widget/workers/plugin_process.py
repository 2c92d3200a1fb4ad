"""The kernel's side of a plugin's worker: a worker process that also answers questions."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..child import wire
from ..protocols import IoThread
from .pipes import FROM_PLUGINS
from .process import WorkerProcess
from .task import Task

OnAnswer = Callable[[Sequence[memoryview] | None, str], None]
"""Called with the parts of an answer, or with None and why there is none."""


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
        super().__init__(io, command, environ, run_id, lambda _: None, self._forget_questions)
        self._then_gone = on_gone
        self._on_output = on_output
        self._questions: dict[int, OnAnswer] = {}
        self._question_numbers = itertools.count(1)
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

    def question(self, text: str, on_answer: OnAnswer) -> None:
        """Ask the worker's control thread; the answer comes on the I/O thread. Any thread."""
        number = next(self._question_numbers) & 0xFFFFFFFF
        with self._lock.held:
            able = self.usable and self.was_ready
            if able:
                self._questions[number] = on_answer
                self._say(wire.QUESTION, number, text.encode())
        if not able:
            on_answer(None, "its worker is not there")

    def give_credit(self, task: Task) -> None:
        """Let the worker send one more chunk of a stream. Any thread."""
        with self._lock.held:
            if self._task is task:
                self._say(wire.NEXT, self.number)

    def _handle(self, kind: bytes, number: int, body: bytearray) -> None:
        if kind == wire.ANSWER:
            self._on_answer(number, body)
        elif kind == wire.CHUNK:
            self._on_chunk(number, body)
        else:
            super()._handle(kind, number, body)

    def _on_answer(self, number: int, body: bytearray) -> None:
        on_answer = self._questions.pop(number, None)
        try:
            head, *parts = wire.split_parts(memoryview(body))
            problem = str(json.loads(bytes(head)).get("error", ""))
        except (wire.ProtocolError, ValueError, AttributeError) as error:
            self._break(f"sent an answer that cannot be read: {error}")
            return
        if on_answer is not None:
            on_answer(None if problem else parts, problem)

    def _on_chunk(self, number: int, body: bytearray) -> None:
        task = self._task
        if task is None or number != self.number:
            return
        if (end := self._read_end(body, "a chunk")) is not None:
            task.on_chunk(*end)  # type: ignore[attr-defined]

    def _keep_log(self, data: bytes) -> None:
        super()._keep_log(data)
        self._on_output(data)

    def _forget_questions(self, worker: WorkerProcess) -> None:
        with self._lock.held:
            left, self._questions = self._questions, {}
        for on_answer in left.values():
            on_answer(None, "its worker has ended")
        self._then_gone(worker)
        self.ended.set()
