"""Calls of a plugin that no queue makes: waited for, awaited, or read as a stream."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._core.jobs import JobFailure, NotKept, Outcome
from ..child.job_context import current_job
from ..child.plugins import typed
from ..errors import PluginFailedError, ResultNotKeptError, UnsendableValueError
from .run import Operation, PluginRun
from .slots import NullReporter, Plugin

STOP_PATIENCE = 3.0  # seconds between asking a call that nobody waits for any more and forcing it

_numbers = itertools.count(1)


def pack(
    args: Sequence[object], kwargs: Mapping[str, object], types: typed.Types, plugin: str
) -> list[Any]:
    """Pack arguments to be sent: files and paths as text, everything else as it is.

    Raises:
        UnsendableValueError: naming the place inside the argument.
    """
    sent = ([_as_path(value) for value in args], {k: _as_path(v) for k, v in kwargs.items()})
    try:
        return typed.encode(sent, types, "call")
    except typed.NotSendable:
        named = {f"args[{place}]": value for place, value in enumerate(sent[0])} | sent[1]
    for name, value in named.items():
        try:
            typed.encode(value, types, name)
        except typed.NotSendable as error:
            raise UnsendableValueError(f"plugin {plugin!r}: {error}") from None
    raise UnsendableValueError(f"plugin {plugin!r}: its arguments are nested too deeply to be sent")


def _as_path(value: object) -> object:
    """Return a file or a Path as text, as plugins of the reference system get it."""
    write = getattr(value, "to_temp_file", None)
    if callable(write) and not isinstance(value, type):
        return str(write())
    return str(value) if isinstance(value, Path) else value


class Call:
    """One call, begun."""

    def __init__(
        self,
        plugin: Plugin,
        operation: Operation,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        on_chunk: Callable[[Outcome], None] | None = None,
    ) -> None:
        name = plugin.meta.name
        payload = pack(args, kwargs, plugin.runtime.types, name)
        reporter = NullReporter(f"{name}-call-{next(_numbers)}", current_job())
        self._plugin = plugin
        self.done = reporter.done  # gets its outcome
        self.run = PluginRun(
            plugin, operation, reporter, payload, who=f"a call of {name}", on_chunk=on_chunk
        )

    def begin(self) -> None:
        """Enter the line, on the I/O thread: an interrupt of this one would leave it half there."""
        self._plugin.runtime.io.call(self._plugin.enter, self.run)

    def wait(self) -> Any:
        """Begin and return the value, in this thread; an interrupt stops the call.

        Raises:
            PluginFailedError: it raised, or its worker ended.
        """
        try:
            self.begin()
            return self.value_of(self.done.result())
        finally:
            self.stop()

    async def value(self) -> Any:
        """Await the value; cancelling stops the call, by force if need be."""
        try:
            self.begin()
            return self.value_of(await asyncio.shield(asyncio.wrap_future(self.done)))
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop the call, unless it has ended: nobody waits for it any more."""
        if not self.run.over:
            later = self._plugin.runtime.io.call_later(STOP_PATIENCE, self._force)
            self.run.at_end(later)
            self.run.ask_to_stop()

    def _force(self) -> None:
        if not self.run.over:
            self.run.kill()

    def value_of(self, outcome: Outcome) -> Any:
        """Return the value of its end, or of a piece.

        Raises:
            PluginFailedError: it raised, or its worker ended.
        """
        if outcome.kind == "value":
            if type(outcome.value) is NotKept:
                raise ResultNotKeptError(f"plugin {self._plugin.meta.name!r}", outcome.value)
            return outcome.value
        failure = outcome.failure or JobFailure("JobCancelled", "it was asked to stop")
        raise PluginFailedError(self._plugin.meta.name, failure)


async def stream(
    plugin: Plugin,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    begun: Callable[[PluginRun], None],
) -> AsyncGenerator[Any, None]:
    """Yield the pieces of a stream as they come; the plugin is never far ahead of the reader."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[Outcome | None] = asyncio.Queue()

    def on_piece(piece: Outcome | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be gone by now
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

    call = Call(plugin, "stream", args, kwargs, on_piece)
    call.done.add_done_callback(lambda _: on_piece(None))
    begun(call.run)
    try:
        call.begin()
        while (piece := await pieces.get()) is not None:
            yield call.value_of(piece)
            call.run.next_chunk()
        call.value_of(call.done.result())
    finally:
        call.stop()


def stream_sync(
    plugin: Plugin, args: Sequence[object], kwargs: Mapping[str, object]
) -> Generator[Any, None, None]:
    """Yield the pieces in a thread that may wait; closing it stops the call."""
    pieces: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
    call = Call(plugin, "stream", args, kwargs, pieces.put)
    call.done.add_done_callback(lambda _: pieces.put(None))
    try:
        call.begin()
        while (piece := pieces.get()) is not None:
            yield call.value_of(piece)
            call.run.next_chunk()
        call.value_of(call.done.result())
    finally:
        call.stop()
