"""Runs jobs of a kernel in a process of an engine on its machine, one after the other, for a while.

One call of the engine brings many jobs: they come through a named pipe, and what they report, print
and return goes back through two more. The process stays the engine's: nothing here can end a job,
and with the call's end everything is as it was.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import os
import pickle
import platform
import select
import threading
from collections import deque
from collections.abc import Callable

from . import guest, wire
from .jobside import bind_process
from .pipes import FrameReader

FROM_KERNEL = frozenset({wire.JOB, wire.MORE, wire.ASK, wire.EXIT})
_hidden = (__file__, *guest.HIDDEN)


def serve(
    kernel: tuple[str, int], names: tuple[str, str, str], spool: str, max_result_bytes: int | None
) -> bool:
    """Until the kernel says that it is enough, or is gone.

    Returns:
        False if this process cannot be lent: it is elsewhere, the kernel's own, or works for
        others in other threads.

    """
    is_alone = threading.current_thread() is threading.main_thread()
    if not is_alone or kernel == (platform.node(), os.getpid()):
        return False
    with contextlib.ExitStack() as stack:
        try:
            jobs = os.open(names[0], os.O_RDONLY | os.O_NONBLOCK)
            stack.callback(os.close, jobs)
            frames = os.open(names[1], os.O_WRONLY | os.O_NONBLOCK)  # fails if nobody reads it
            stack.callback(os.close, frames)
            log = os.open(names[2], os.O_WRONLY | os.O_NONBLOCK)
            stack.callback(os.close, log)
        except OSError:
            return False  # or the kernel has not waited for it
        for fd in (frames, log):
            os.set_blocking(fd, True)
        stack.enter_context(contextlib.suppress(BrokenPipeError))  # it is gone
        print_again = stack.enter_context(guest.printing_to(log))
        _Server(jobs, frames, log, spool, max_result_bytes, print_again).run()
    return True


class _Inbox:
    """What the kernel sends: jobs while none runs, then only that this one shall stop."""

    def __init__(self, fd: int) -> None:
        self._reader = FrameReader(fd, FROM_KERNEL)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._lock = threading.Lock()
        self._frames: deque[tuple[bytes, int, bytearray]] = deque()
        self._running = 0  # the job that may read too; a thread that it has left may not
        self._asked = 0

    def next(self) -> tuple[bytes, int, bytearray] | None:
        """Waits for it; None: the kernel is gone."""
        while not self._frames:
            self._poll.poll()
            if not self._reader.read(self._take):
                return None
        return self._frames.popleft()

    def begin(self, number: int) -> None:
        """That job runs; 0: none does."""
        with self._lock:
            self._running = number

    def is_asked(self, number: int) -> bool:
        """Whether that job shall stop. Any thread of the job."""
        with self._lock:
            if number == self._running:
                self._reader.read(self._take)
            return self._asked == number

    def _take(self, kind: bytes, number: int, body: bytearray) -> None:
        if kind == wire.ASK:
            self._asked = number
        else:
            self._frames.append((kind, number, body))


class _Server:
    """One job at a time."""

    def __init__(
        self,
        jobs: int,
        frames: int,
        log: int,
        spool: str,
        max_result_bytes: int | None,
        print_again: Callable[[], None],
    ) -> None:
        self.inbox = _Inbox(jobs)
        self._frames = frames
        self.log_fd = log
        self._spool = spool
        self._max_result_bytes = max_result_bytes
        self._print_again = print_again
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def run(self) -> None:
        self.send(wire.frame(wire.READY, 0, [json.dumps([platform.node(), os.getpid()]).encode()]))
        more: list[bytearray] = []
        while (frame := self.inbox.next()) is not None and frame[0] != wire.EXIT:
            kind, number, data = frame
            more.append(data)
            if kind == wire.JOB:
                data, more = bytearray().join(more) if len(more) > 1 else data, []
                self._run_one(number, data)

    def _run_one(self, number: int, data: bytearray) -> None:
        """To one end, whatever happens."""
        job_id, attempt, function, call, source = pickle.loads(data)
        desk = _PipeDesk(self, number)
        context = guest.GuestContext(job_id, attempt, desk)
        bind_process(context)
        self.inbox.begin(number)
        try:
            meta, parts = contextvars.copy_context().run(
                guest.outcome_of, context, function, call, source, desk.log, self._pack
            )
        finally:
            if self.is_copy:  # in a fork that the job made, and that came here with it
                os._exit(0)
            self.inbox.begin(0)
            guest.rest()
        self._print_again()
        self.send(wire.end_frame(number, meta, parts))

    @property
    def is_copy(self) -> bool:
        """In a fork that a job made: nothing that it says or asks is the job's."""
        return os.getpid() != self._pid

    def _pack(self, value: object) -> tuple[dict[str, object], list[bytes | memoryview]]:
        meta, parts = wire.pack_value(value, self._max_result_bytes, _hidden)
        return wire.spooled(meta, parts, self._spool)

    def send(self, frame: list[bytes | memoryview]) -> None:
        with self._lock:
            wire.write_all(self._frames, frame)


class _PipeDesk:
    """A `guest.Desk` of pipes, for one job."""

    def __init__(self, server: _Server, number: int) -> None:
        self._server = server
        self._number = number

    def report(self, fraction: object, message: object) -> None:
        if not self._server.is_copy:
            report = json.dumps(guest.readable_report(fraction, message)).encode()
            self._server.send(wire.frame(wire.PROGRESS, self._number, [report]))

    def log(self, text: str) -> None:
        with contextlib.suppress(OSError):
            wire.write_all(self._server.log_fd, [text.encode("utf-8", "backslashreplace")])

    def is_asked(self) -> bool:
        return not self._server.is_copy and self._server.inbox.is_asked(self._number)
