"""A station on its kernel's own machine: jobs come in and news goes out through two pipes."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from .._core.jobs import JobFailure
from ..worker import wire
from ..worker.pipes import FrameReader, PipeWriter, prepare_pipe
from .piped_kernel import ONLY_JOBS
from .station import ANSWER_SECONDS, Station

logger = logging.getLogger(__name__)


class PipedStation(Station):
    """Told and telling on its I/O thread, with no other thread or loop in between.

    A pipe loses nothing, so news is told once. While the kernel does not read, it gathers as in any
    station, with the newest of each kind. The end of the kernel's pipe is the end of its jobs.
    """

    def __init__(
        self,
        name: str,
        lanes: int,
        settings: Mapping[str, Any],
        ends: tuple[int, int],
        arguments_of: Callable[[str], bytes | None],
    ) -> None:
        self._arguments_of = arguments_of
        self._writer: PipeWriter | None = PipeWriter(ends[0])
        self._reader: FrameReader | None = FrameReader(ends[1], ONLY_JOBS)
        for end in ends:
            prepare_pipe(end)
        self._will_write = False
        super().__init__(name, lanes, settings, self._write_soon)
        self._io.watch(ends[1], self._read)

    # -- any thread --------------------------------------------------------------------------

    def _write_soon(self) -> None:
        """Once for all that is told in one turn of the I/O thread."""
        with self._lock:
            if self._will_write:
                return
            self._will_write = True
        self._io.call(self._write_news)

    def close(self) -> None:
        """Let the kernel see the end when everything is gone."""
        super().close()
        self._close_pipes()

    # -- I/O thread --------------------------------------------------------------------------

    def _read(self) -> None:
        assert self._reader is not None
        try:
            if self._reader.read(self._begin):
                return
            logger.debug("the kernel of %s has closed its pipe", self.where)
        except Exception as error:
            logger.warning("the kernel of %s sent what is no job: %r", self.where, error)
        self._close_pipes()
        if not self._closed:
            self.end_all()

    def _begin(self, kind: bytes, number: int, body: bytearray) -> None:
        token, job = wire.load_plain([memoryview(body)])
        self._io.call_later(ANSWER_SECONDS, self._say_that_it_is_here, token)
        try:
            arguments = self._arguments_of(token)
            self.begin(token, job if arguments is None else {**job, "call": arguments})
        except Exception as error:
            logger.debug("a job could not be begun", exc_info=True)
            text = f"it could not be begun: {type(error).__name__}: {error}"
            self.refuse(token, job, JobFailure("StationFailed", text))

    def _say_that_it_is_here(self, token: str) -> None:
        if token in self._jobs and token not in self._ended:
            self.tell(token)

    def _write_news(self) -> None:
        writer = self._writer
        with self._lock:
            self._will_write = False
        if writer is None or not writer.write(()):
            return  # what waits comes with it, as soon as the kernel reads
        news = self.take_once()
        if news and not writer.write(wire.frame(wire.ANSWER, 0, [pickle.dumps(news, 5)])):
            self._io.watch_writable(writer.fd, self._go_on)

    def _go_on(self) -> None:
        writer = self._writer
        if writer is not None and writer.write(()):
            self._io.watch_writable(writer.fd, None)
            self._write_news()

    def _close_pipes(self) -> None:
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        for end in (reader, writer):
            if end is not None:
                self._io.unwatch(end.fd)
                os.close(end.fd)
