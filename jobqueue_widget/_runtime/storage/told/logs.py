"""The log of one job: the newest part in memory, the first part in a file, both bounded."""

from __future__ import annotations

import bisect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

MEMORY_BYTES = 256 * 1024
FILE_BYTES = 64 * 1024 * 1024
MOST_TIMES = 2_048
GONE = b"[... the beginning was removed from the folder for temporary files ...]\n"


class JobLog:
    """Bytes in, text out. Any thread.

    The newest 256 KiB stay in memory. What leaves memory goes to a file of at most 64 MiB; beyond
    that it is dropped, counted, and the gap is named where it is read across.
    """

    def __init__(
        self,
        path: Callable[[], Path],
        memory_bytes: int = MEMORY_BYTES,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self._path = path
        self._file: Path | None = None
        self._memory_limit = memory_bytes
        self._file_limit = file_bytes
        self._chunks: deque[bytes] = deque()
        self._in_memory = 0
        self._in_file = 0
        self._dropped = 0
        self._lock = threading.RLock()  # a finalizer may print in the middle of a write
        self._coming: list[bytes] = []
        self._is_writing = False
        self._copy: Path | None = None
        self._times: list[tuple[int, float]] = []  # where what came at an instant begins
        self._apart = 1.0  # seconds between two of them

    @property
    def size(self) -> int:
        """Bytes written so far, also those that were dropped."""
        return self._in_file + self._dropped + self._in_memory

    def write(self, data: bytes | str) -> None:
        """Append."""
        if isinstance(data, str):
            data = data.encode("utf-8", "backslashreplace")
        if not data:
            return
        with self._lock:
            self._coming.append(data)
            while self._coming and not self._is_writing:  # else that one writes it
                self._is_writing = True
                try:
                    while self._coming:
                        self._append(self._coming.pop(0))
                finally:
                    self._is_writing = False

    def _append(self, data: bytes) -> None:
        self._note_time()
        if self._copy is not None:
            self._append_to_copy(data)
        if self._chunks and len(self._chunks[-1]) + len(data) < 1024:
            self._chunks[-1] += data
        else:
            self._chunks.append(bytes(data))
        self._in_memory += len(data)
        if self._in_memory > self._memory_limit:
            self._spill()

    def _note_time(self) -> None:
        now, times = time.time(), self._times
        if times and 0 <= now - times[-1][1] < self._apart:
            return
        times.append((self.size, now))
        if len(times) > MOST_TIMES:
            self._times = times[::2]
            self._apart *= 2

    def forget_times(self) -> None:
        """Say of nothing written so far when that was."""
        with self._lock:
            self._times.clear()

    def times(self, start: int, end: int) -> list[tuple[int, float]]:
        """Return when the bytes from `start` to `end` came: offsets, each with its instant."""
        with self._lock:
            known = bisect.bisect_right(self._times, start, key=lambda one: one[0])
            found = self._times[max(0, known - 1) : bisect.bisect_left(self._times, (end, 0.0))]
        return [(max(start, offset), instant) for offset, instant in found]

    def copy_to(self, path: Path) -> None:
        """Append all that is still here to a file, and from now on all that comes.

        Raises:
            OSError: the file cannot be written.
        """
        with self._lock:
            if self._copy == path:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(b"".join(self._chunks))
            self._copy = path

    def _append_to_copy(self, data: bytes) -> None:
        assert self._copy is not None
        try:
            with self._copy.open("ab") as file:
                file.write(data)
        except OSError as error:
            logger.warning("the copy of a log ends here: %s", error)
            self._copy = None

    def _spill(self) -> None:
        leaving: list[bytes] = []
        while self._in_memory > self._memory_limit // 2:
            chunk = self._chunks.popleft()
            keep = self._memory_limit // 2 - (self._in_memory - len(chunk))
            if keep > 0:
                self._chunks.appendleft(chunk[-keep:])
                chunk = chunk[:-keep]
            self._in_memory -= len(chunk)
            leaving.append(chunk)
        data = b"".join(leaving)
        fits = data[: max(0, self._file_limit - self._in_file)] if not self._dropped else b""
        if fits:
            try:
                if self._file is None:
                    self._file = self._path()
                with self._file.open("ab") as file:
                    file.write(fits)
            except OSError as error:
                logger.warning("a job's log goes on in memory only: %s", error)
                fits = b""
        self._in_file += len(fits)
        self._dropped += len(data) - len(fits)

    def read(self, start: int = 0, limit: int = 65536) -> tuple[int, bytes]:
        """Bytes from offset `start` on; where they really start (later, if that part is gone)."""
        with self._lock:
            if start < self._in_file and self._file is not None:
                found = self._from_file(start, min(limit, self._in_file - start))
                if found is not None:
                    return start, found
            first = self._in_file + self._dropped
            start = max(start, first)
            return start, b"".join(self._chunks)[start - first : start - first + limit]

    def _from_file(self, start: int, limit: int) -> bytes | None:
        """Under the lock. None: who cleans the folder for temporary files has removed it."""
        try:
            assert self._file is not None
            with self._file.open("rb") as file:
                file.seek(start)
                return file.read(limit)
        except OSError as error:
            logger.warning("the beginning of a job's log is gone: %s", error)
            return None

    def tail(self, lines: int) -> str:
        """The last `lines` lines as text; bytes that are not UTF-8 are shown escaped."""
        if lines <= 0:
            return ""
        with self._lock:
            data = b"".join(self._chunks)
            if data.count(b"\n") <= lines and (self._in_file or self._dropped):
                if self._dropped:
                    data = b"[... %d bytes were dropped here ...]\n" % self._dropped + data
                elif self._file is not None:
                    found = self._from_file(max(0, self._in_file - 1024 * 1024), 1024 * 1024)
                    data = (GONE if found is None else found) + data
        kept = data.splitlines(keepends=True)[-lines:]
        return b"".join(kept).decode("utf-8", "backslashreplace")

    @property
    def kept(self) -> tuple[int, int]:
        """Bytes in memory and in the file."""
        return self._in_memory, self._in_file

    def shorten(self, limit: int) -> None:
        """Keep the newest `limit` bytes only: the rest counts as dropped."""
        with self._lock:
            data = b"".join(self._chunks)
            self._chunks = deque([data[-limit:]])
            self._dropped += len(data) - len(self._chunks[0])
            self._in_memory = len(self._chunks[0])
        self.remove()

    def remove(self) -> None:
        """Delete the file; memory goes with the object."""
        with self._lock:
            if self._file is not None:
                self._file.unlink(missing_ok=True)
                self._file = None
                self._dropped += self._in_file
                self._in_file = 0


def tail_of(log: object, lines: int) -> str:
    """Return the last lines of a log; None: nothing was written."""
    return log.tail(lines) if isinstance(log, JobLog) else ""


def part_of(log: object, start: int, limit: int) -> tuple[int, bytes, int]:
    """Return where a part of a log begins, its bytes, and how many the log has.

    Args:
        log: a `JobLog`; None: nothing was written.
        start: byte offset; -1: its last `limit` bytes.
        limit: at most so many bytes.
    """
    if not isinstance(log, JobLog):
        return 0, b"", 0
    size = log.size
    start, data = log.read(max(0, size - limit) if start < 0 else start, limit)
    return start, data, size


def times_of(log: object, start: int, end: int) -> list[tuple[int, float]]:
    """Return when a part of a log was written: byte offsets, each with its instant."""
    return log.times(start, end) if isinstance(log, JobLog) else []


def no_file() -> Path:
    """Stand for the path of a log that has no file."""
    raise OSError("this log has no file")
