"""Reads and writes a worker's pipes in frames, without blocking or copying large bodies."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable

from ..child import wire
from .system.contract import ReadEnd, WriteEnd

READ_SIZE = 1 << 16

FROM_WORKERS = frozenset(
    {wire.READY, wire.PROGRESS, wire.METRICS, wire.MORE, wire.END, wire.ANSWER}
    | {wire.VALUE, wire.RETURNED, wire.OUTCOME, wire.DISPLAY}
)
FROM_PLUGINS = frozenset(
    {wire.READY, wire.PROGRESS, wire.METRICS, wire.MORE, wire.END, wire.ANSWER, wire.CHUNK}
)

OnFrame = Callable[[bytes, int, bytearray], None]


class PipeWriter:
    """Writes bytes to a worker, and keeps those that its pipe does not take yet. Under a lock."""

    def __init__(self, end: WriteEnd) -> None:
        self._end = end
        self.broken = False  # the other end is closed
        self.taken = 0  # bytes that the pipe has taken of the last job; its owner sets it to 0
        self._left: deque[bytes | memoryview] = deque()

    @property
    def fd(self) -> int:
        """What to watch for the pipe to take more."""
        return self._end.fd

    def write(self, pieces: Iterable[bytes | memoryview]) -> bool:
        """Write as many bytes as the pipe takes now; False if some are left for a later call.

        Raises:
            OSError: the system takes none; those that are left are dropped.
        """
        left = self._left
        left.extend(filter(len, pieces))
        try:
            while left:
                count = self._end.write(left)
                self.taken += count
                while count:
                    if count < len(left[0]):
                        left[0] = memoryview(left[0])[count:]
                        break
                    count -= len(left.popleft())
        except BlockingIOError:
            return False
        except BrokenPipeError:  # the worker has ended, which is noticed elsewhere
            left.clear()
            self.broken = True
        except BaseException:
            left.clear()
            raise
        return True

    def is_unread(self) -> bool:
        """True if it is certain that nobody has read more of the last job than its header.

        A process that was killed while it waited for a job may still have read that.
        """
        return self.taken - self._end.unread() <= wire.HEADER.size


class FrameReader:
    """Reads the frames that come from a worker. I/O thread."""

    def __init__(self, end: ReadEnd, kinds: frozenset[bytes] = FROM_WORKERS) -> None:
        self._end = end
        self._kinds = kinds
        self._input = bytearray()
        self._header: tuple[bytes, int, int] = (b"", 0, 0)
        self._body: bytearray | None = None
        self._filled = 0

    @property
    def fd(self) -> int:
        """What to watch for more."""
        return self._end.fd

    def read(self, on_frame: OnFrame) -> bool:
        """Read what is in the pipe and hand over every whole frame; False at the pipe's end.

        Raises:
            ProtocolError: this is no frame of ours; nothing large was allocated for it.
        """
        try:
            while True:
                if self._body is not None:
                    if not self._fill_body(self._body, on_frame):
                        return False
                    continue
                data = self._end.read(READ_SIZE)
                if not data:
                    return False
                self._input += data
                self._split(on_frame)
                if len(data) < READ_SIZE and self._body is None:
                    return True
        except BlockingIOError:
            return True

    def rewind(self) -> None:
        """Read a frame that was not whole from its beginning: of a file, which may be cut there."""
        read = len(self._input) if self._body is None else wire.HEADER.size + self._filled
        if read:
            os.lseek(self.fd, -read, os.SEEK_CUR)
            self._input.clear()
            self._body = None

    def _fill_body(self, body: bytearray, on_frame: OnFrame) -> bool:
        count = self._end.read_into(memoryview(body)[self._filled :])
        self._filled += count
        if self._filled == len(body):
            self._body = None
            on_frame(self._header[0], self._header[1], body)
        return count > 0

    def _split(self, on_frame: OnFrame) -> None:
        size = wire.HEADER.size
        while len(self._input) >= size:
            kind, number, length = self._header = wire.HEADER.unpack_from(self._input)
            if length > wire.FRAME_CAP or kind not in self._kinds:
                self._input.clear()
                raise wire.ProtocolError(
                    f"sent what is no frame of ours ({kind!r}, {length} bytes)"
                )
            end = size + length
            if len(self._input) < end:
                if length > READ_SIZE:
                    self._body = bytearray(length)
                    self._filled = len(self._input) - size
                    self._body[: self._filled] = self._input[size:]
                    self._input.clear()
                return
            body = self._input[size:end]
            del self._input[:end]
            on_frame(kind, number, body)
