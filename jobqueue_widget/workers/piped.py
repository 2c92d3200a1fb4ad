"""The kernel's side of a worker's pipes: gives it jobs one at a time, reads frames and log."""

from __future__ import annotations

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from .._threads.locks import Lock
from ..child import wire
from ..child.capture.series import readable
from ..protocols import IoThread, Stack, TellStacks
from .pipes import READ_SIZE, FrameReader, PipeWriter
from .system.contract import ReadEnd, WriteEnd
from .task import Task

CLOSED_PIPE_PATIENCE = 0.2  # seconds for a worker that can tell nothing any more to end
PIPE_SIZE = 1 << 20  # no pipe holds more
LOG_READS = 64  # per callback, so that much output does not keep the I/O thread from other work

OnAnswer = Callable[[Sequence[memoryview] | None, str], None]
"""Called with the parts of an answer, or with None and why there is none."""


class PipedWorker(ABC):
    """A worker at the other end of pipes; subclasses start and end it. Any thread unless stated."""

    def __init__(
        self, io: IoThread, on_free: Callable[[Any], None], on_gone: Callable[[Any], None]
    ) -> None:
        self._io = io
        self._on_free = on_free
        self._on_gone = on_gone
        self._lock = Lock()
        self.was_ready = False  # for a job, at any time
        self._dying = False
        self.gone = False
        self._task: Task | None = None
        self.number = 0  # of its job, or of its last one
        self._queued: list[bytes | memoryview] | None = None
        self._pieces: list[bytearray] = []  # pieces so far of an end too large for one frame
        self._writer: PipeWriter | None = None
        self._reader: FrameReader | None = None
        self._log: ReadEnd | None = None
        self._cancel_timers: list[Callable[[], None]] = []
        self.jobs_done = 0
        self.start_error: BaseException | None = None  # why it, or its last job, could not start
        self._questions: dict[int, OnAnswer] = {}
        self._question_numbers = itertools.count(1)
        self.setup: object = None  # the setup that it has last taken over

    @property
    def usable(self) -> bool:
        """True while the worker can take a job, now or when it is ready."""
        return not self._dying and not self.gone

    def call_later(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        """Call back on the I/O thread, whatever becomes of this worker."""
        self._io.call_later(seconds, callback, *args)

    def _later(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        self._cancel_timers.append(self._io.call_later(seconds, callback, *args))

    # -- jobs ----------------------------------------------------------------------------------

    def give(self, task: Task, frames: list[bytes | memoryview], number: int) -> bool:
        """Let the worker work on `task`, one at a time; False if it cannot any more."""
        with self._lock.held:
            if not self.usable:
                return False
            assert self._task is None, "a worker takes one job at a time"
            self._task, self.number = task, number
            if self._writer is not None:
                self._writer.taken = 0
            if not self.was_ready:
                self._queued = frames
                task.on_starting()
                return True
        try:
            self._write(frames)
        except Exception as error:  # it has the task, which ends with the worker, once
            self._io.call(self._on_unsent, error)
        return True

    def take_back(self, task: Task) -> bool:
        """Undo `give` while the job has not been sent; True if it never ran."""
        with self._lock.held:
            if self._task is not task or self._queued is None:
                return False
            self._task = self._queued = None
        self._io.call(self._on_free, self)
        return True

    def ask(self, task: Task) -> None:
        """Ask the job to stop."""
        with self._lock.held:
            if self._task is not task:
                return
            self._say(wire.ASK, self.number)

    def close(self) -> None:
        """Let an idle worker exit."""
        with self._lock.held:
            if self._dying or self.gone:
                return
            self._dying = True
            self._say(wire.EXIT, 0)
        self._on_leaving()

    @abstractmethod
    def _on_leaving(self) -> None:
        """Make sure that a worker exits which was let go. Any thread."""

    @abstractmethod
    def _say(self, kind: bytes, number: int, body: bytes = b"") -> None:
        """Send a frame of a few bytes, which is read also while a job runs. Under the lock."""

    # -- questions -----------------------------------------------------------------------------

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

    def ask_stack(self, task: Task, tell: TellStacks) -> None:
        """Ask where its job is now, if it still is that one. Any thread."""

        def on_answer(parts: Sequence[memoryview] | None, problem: str) -> None:
            tell(*((None, problem) if parts is None else (read_stacks(parts), "")))

        with self._lock.held:
            is_there = self._task is task and self._queued is None
            number = self.number
        if is_there:
            self.question(f"stack {number}", on_answer)
        else:
            tell(None, "its function has not begun")

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

    def _forget_questions(self) -> None:
        with self._lock.held:
            left, self._questions = self._questions, {}
        for on_answer in left.values():
            on_answer(None, "its worker has ended")

    # -- pipes ---------------------------------------------------------------------------------

    def _open(self, jobs: WriteEnd, frames: ReadEnd, log: ReadEnd, kinds: frozenset[bytes]) -> None:
        """Begin to read and write our ends of the pipes; `kinds` are the frames that may come."""
        self._writer = PipeWriter(jobs)
        self._reader = FrameReader(frames, kinds)
        self._log = log
        self._io.watch(frames.fd, self._read_frames)
        self._io.watch(log.fd, self._read_log)

    def _write(self, pieces: list[bytes | memoryview]) -> None:
        """Write what the pipe takes now from this thread, and the rest from the I/O thread."""
        with self._lock.held:
            if not self.gone and self._writer is not None and not self._writer.write(pieces):
                self._io.watch_writable(self._writer.fd, self._write_rest)

    def _write_rest(self) -> None:
        try:
            with self._lock.held:
                if not self.gone and self._writer is not None and self._writer.write(()):
                    self._io.watch_writable(self._writer.fd, None)
        except Exception as error:
            self._on_unsent(error)

    def _on_unsent(self, error: Exception) -> None:
        """Give up a worker that was sent half a job, as nothing can follow. I/O thread."""
        self.start_error = error
        self._break(f"could not be sent its job: {error}")

    def _read_frames(self) -> None:
        """Handle every frame that is in the pipe. I/O thread."""
        reader = self._reader
        if reader is None or self.gone:
            return
        try:
            if reader.read(self._gather):
                return
            self._io.unwatch(reader.fd)
            self._later(CLOSED_PIPE_PATIENCE, self._break, "closed its pipe")
        except wire.ProtocolError as error:
            self._break(str(error))

    def _gather(self, kind: bytes, number: int, body: bytearray) -> None:
        """Take one frame, with the pieces of it that came before."""
        if kind == wire.MORE:
            if self._task is not None and number == self.number:
                self._pieces.append(body)
            return
        if self._pieces:
            body = bytearray().join([*self._pieces, body])
            self._pieces.clear()
        self._handle(kind, number, body)

    def _handle(self, kind: bytes, number: int, body: bytearray) -> None:
        task = self._task
        if kind == wire.READY:
            self._become_ready()
        elif kind == wire.ANSWER:
            self._on_answer(number, body)
        elif task is None or number != self.number:
            return  # a frame of an earlier job
        elif kind == wire.VALUE:
            self._end_task(task, wire.PLAIN_VALUE, [memoryview(body)])
        elif kind == wire.PROGRESS:
            try:
                fraction, message = json.loads(body)
            except (ValueError, TypeError) as error:
                self._break(f"sent progress that cannot be read: {error}")
                return
            task.on_progress(fraction, message)
        elif kind == wire.METRICS:
            try:
                points = readable(json.loads(body))
            except (ValueError, TypeError) as error:
                self._break(f"sent metrics that cannot be read: {error}")
                return
            task.on_metrics(points)
        elif kind == wire.RETURNED:
            try:
                task.on_returned(json.loads(body))
            except ValueError as error:
                self._break(f"sent what cannot be read: {error}")
        elif kind == wire.DISPLAY:
            self._show(task, body)
        elif kind == wire.OUTCOME:
            if (end := self._read_end(body, "an outcome")) is not None:
                task.on_outcome(*end)
        else:
            if (end := self._read_end(body, "an end")) is not None:
                self._end_task(task, *end)

    def _show(self, task: Task, body: bytearray) -> None:
        try:
            told, shown = wire.split_parts(memoryview(body))
            words = dict(json.loads(bytes(told)))
        except (wire.ProtocolError, ValueError, TypeError) as error:
            self._break(f"sent an output that cannot be read: {error}")
            return
        self._drain_log()
        task.on_output(words, bytes(shown))

    def _read_end(self, body: bytearray, what: str) -> tuple[dict[str, Any], list[Any]] | None:
        try:
            return wire.read_end(memoryview(body))
        except (wire.ProtocolError, ValueError) as error:
            self._break(f"sent {what} that cannot be read: {error}")
            return None

    def _become_ready(self) -> None:
        with self._lock.held:
            self.was_ready = True
            frames, self._queued = self._queued, None
            task = self._task
        if frames is not None and task is not None:
            self._write(frames)
            task.on_started()
        else:
            self._on_ready()

    def _on_ready(self) -> None:  # noqa: B027 - not all have to do something
        """Do what follows when it is ready before it is given a job. I/O thread."""

    def _end_task(self, task: Task, meta: dict[str, Any], parts: Sequence[memoryview]) -> None:
        self._drain_log()
        must_go = task.on_end(meta, parts)
        self.jobs_done += 1
        if must_go:
            self._kill(task, "its job left something behind")
            return
        with self._lock.held:
            self._task = None
        self._on_free(self)
        task.on_free()

    def _read_log(self) -> None:
        log = self._log
        if log is None:
            return
        try:
            for _ in range(LOG_READS):
                data = log.read(READ_SIZE)
                if not data:
                    self._io.unwatch(log.fd)
                    return
                self._keep_log(data)
                if self._task is not None:
                    self._task.on_log(data)
        except BlockingIOError:
            return

    @abstractmethod
    def _keep_log(self, data: bytes) -> None:
        """Keep what the worker printed, in a job or in none."""

    def _drain_log(self) -> None:
        """Read all that the job has printed, which is in the pipe before its end frame."""
        if self._log is None or not self._log.has_data():  # most print nothing
            return
        for _ in range(PIPE_SIZE // READ_SIZE // LOG_READS + 1):
            self._read_log()

    # -- for subclasses (I/O thread) ------------------------------------------------------------

    @abstractmethod
    def _break(self, what: str) -> None:
        """Handle a protocol violation: stop reading from this worker."""

    @abstractmethod
    def _kill(self, task: Task | None, why: str) -> None:
        """End the worker and all that it started; with `task` only if it still works on that."""


def read_stacks(parts: Sequence[memoryview]) -> list[Stack]:
    """Read what `child/stacks.py` has sent; what cannot be read is nothing."""
    try:
        told = json.loads(bytes(parts[0]))
        return [
            Stack(str(name), tuple((str(file), int(line), str(of)) for file, line, of in frames))
            for name, frames in told
        ]
    except (ValueError, TypeError, IndexError):
        return []
