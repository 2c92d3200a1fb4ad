"""The worker's private ends of its pipes: frames to and from the kernel, and its log.

Loaded by path in the worker; standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import Any

from .wire import BINARY, HEADER, frame, write_all


class Pipes:
    """The private ends of the pipes."""

    def __init__(self, control: int, jobs: int, frames: int) -> None:
        self.control, self.jobs, self.frames = map(opened, (control, jobs, frames))
        for fd in (self.control, self.jobs, self.frames):
            os.set_inheritable(fd, False)
        self._log = os.dup(2)
        self._null = os.open(os.devnull, os.O_RDWR)
        self._free_lock()
        self.set_standard_ones()

    def _free_lock(self) -> None:
        self._lock = threading.Lock()
        self._writer: int | None = None
        self._to_come: list[list[Any]] = []

    def set_standard_ones(self) -> None:
        """Make stdin empty and send what is printed to the log, whatever a job did to these."""
        os.dup2(self._null, 0)
        os.dup2(self._log, 1)
        os.dup2(self._log, 2)

    def let_go(self) -> None:
        """Close them in a forked copy, so that nothing it says is taken for the worker's."""
        for fd in (self.jobs, self.frames, self.control):
            os.dup2(self._null, fd, inheritable=False)
        self._free_lock()

    def send(self, kind: bytes, number: int, parts: list[Any]) -> None:
        """Write one frame."""
        self.write(frame(kind, number, parts))

    def write(self, whole: list[Any]) -> None:
        """Write a frame whole, also beside other threads and a finalizer within a write."""
        if self._writer == threading.get_ident():
            self._to_come.append(whole)
            return
        with self._lock:
            self._writer = threading.get_ident()
            try:
                self.put(whole)
                while self._to_come:
                    self.put(self._to_come.pop(0))
            finally:
                self._writer = None

    def put(self, whole: list[Any]) -> None:
        """Write the bytes of a frame. Under the lock."""
        write_all(self.frames, whole)

    def read_frame(self, fd: int) -> tuple[bytes, int, bytearray]:
        """Read the next frame; end the process at the end of the pipe: the kernel is gone."""
        head = self.read_exactly(fd, HEADER.size)
        if head is not None:
            kind, number, length = HEADER.unpack(head)
            data = self.read_exactly(fd, length)
            if data is not None:
                return kind, number, data
        die_with_group()
        raise SystemExit

    @staticmethod
    def read_exactly(fd: int, count: int) -> bytearray | None:
        """Read exactly `count` bytes; None at the end of the pipe."""
        data = bytearray(count)
        view = memoryview(data)
        while len(view):
            got = os.read(fd, min(len(view), 1 << 20))
            if not got:
                return None
            view[: len(got)] = got
            view = view[len(got) :]
        return data


def opened(passed: int) -> int:
    """Return the descriptor of a pipe that was passed on, which on Windows is a handle."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.open_osfhandle(passed, BINARY)
    return passed


def joined(pieces: list[bytearray]) -> bytearray:
    """Join the pieces, and empty their list: they are not needed twice."""
    data = pieces[0] if len(pieces) == 1 else bytearray().join(pieces)
    pieces.clear()
    return data


def write_log(text: str) -> None:
    """Write into the log, whatever sys.stderr is now."""
    with contextlib.suppress(OSError):
        write_all(2, [text.encode("utf-8", "backslashreplace")])


def die_with_group() -> None:
    """End this process and all of its session, as the kernel is gone."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(113)
