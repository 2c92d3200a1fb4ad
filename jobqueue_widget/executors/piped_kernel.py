"""The kernel's ends of two pipes to a station on its own machine: jobs go out, news comes in.

Named for a moment, in a folder of this user's only, since the process at the other end is the
child of another one. A station elsewhere finds no such names, and the engine's calls do all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from ..worker import wire
from ..worker.pipes import FrameReader, PipeWriter, prepare_pipe

logger = logging.getLogger(__name__)

ONLY_JOBS = frozenset({wire.JOB})
ONLY_NEWS = frozenset({wire.ANSWER})

News = dict[str, Any]
Names = tuple[str, str]


class PipedKernel:
    """Both ends, on the running loop: `offer`, then `connect` once the station has opened its own.

    Args:
        on_news: what a station tells, by token.
        on_end: its process has closed the pipe, or sends what is no news.

    """

    def __init__(self, on_news: Callable[[News], None], on_end: Callable[[], None]) -> None:
        self._on_news = on_news
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._folder = ""
        self._until_connected: int | None = None  # the station never reads what nobody writes to
        self._reader: FrameReader | None = None
        self._writer: PipeWriter | None = None

    def offer(self) -> Names | None:
        """What the station has to open, to write to and to read from; None: no pipes here."""
        if sys.platform == "win32":
            return None
        try:
            self._folder = tempfile.mkdtemp(prefix="jobqueue-pipes-")
            names = os.path.join(self._folder, "news"), os.path.join(self._folder, "jobs")
            for name in names:
                os.mkfifo(name, 0o600)
            self._reader = FrameReader(os.open(names[0], os.O_RDONLY | os.O_NONBLOCK), ONLY_NEWS)
            self._until_connected = os.open(names[1], os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            logger.debug("no pipes to a station: %r", error)
            self.close()
            return None
        return names

    def connect(self) -> None:
        """The station says that it has opened its ends."""
        assert self._reader is not None, "connect before offer"
        fd = os.open(os.path.join(self._folder, "jobs"), os.O_WRONLY | os.O_NONBLOCK)
        self._writer = PipeWriter(fd)
        for end in (self._reader.fd, fd):
            prepare_pipe(end)
        self._remove_names()
        self._loop.add_reader(self._reader.fd, self._read)

    def send(self, token: str, job: dict[str, Any]) -> bool:
        """One attempt of one job. False: the station is gone and cannot have got it."""
        if self._writer is None:
            return False
        frames = wire.frame(wire.JOB, 0, [pickle.dumps((token, job), 5)])
        if not self._writer.write(frames):
            self._loop.add_writer(self._writer.fd, self._write)
        return not self._writer.broken

    def close(self) -> None:
        """Both ends, and the names if they are still there."""
        self._remove_names()
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        if reader is not None:
            self._loop.remove_reader(reader.fd)
            os.close(reader.fd)
        if writer is not None:
            self._loop.remove_writer(writer.fd)
            os.close(writer.fd)

    def _remove_names(self) -> None:
        if self._until_connected is not None:
            os.close(self._until_connected)
            self._until_connected = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def _write(self) -> None:
        if self._writer is not None and self._writer.write(()):
            self._loop.remove_writer(self._writer.fd)

    def _read(self) -> None:
        assert self._reader is not None
        heard: list[News] = []
        try:
            is_open = self._reader.read(lambda _kind, _number, body: heard.append(_news_in(body)))
        except Exception as error:
            logger.warning("a station sent what is no news: %r", error)
            is_open = False
        if not is_open:
            self.close()
        for news in heard:
            self._on_news(news)
        if not is_open:
            self._on_end()


def _news_in(body: bytearray) -> News:
    news: News = wire.load_plain([memoryview(body)])
    return news


def open_ends(names: Names) -> tuple[int, int] | None:
    """The station's ends, to write to and to read from; None: its kernel is on another machine."""
    write: int | None = None
    try:
        write = os.open(names[0], os.O_WRONLY | os.O_NONBLOCK)  # fails where nobody reads it
        return write, os.open(names[1], os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        if write is not None:
            with contextlib.suppress(OSError):
                os.close(write)
        return None
