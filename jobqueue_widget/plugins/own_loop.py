"""Runs one coroutine in a thread and on an event loop of its own, where it may block or sleep."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from .._threads.locks import Lock


class OwnLoop:
    """A coroutine that runs; `on_end(value, error)` is told its end, on the thread."""

    def __init__(
        self,
        name: str,
        begin: Callable[[], Coroutine[Any, Any, Any]],
        on_end: Callable[[Any, BaseException | None], None],
    ) -> None:
        self._begin = begin
        self._on_end = on_end
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def cancel(self) -> None:
        """Cancel it. Any thread, returns at once."""
        with self._lock.held:
            self._cancelled = True
            if self._loop is not None and self._task is not None:
                with contextlib.suppress(RuntimeError):  # it has just ended
                    self._loop.call_soon_threadsafe(self._task.cancel)

    def _run(self) -> None:
        value, problem = None, None
        try:
            value = asyncio.run(self._body())
        except BaseException as error:
            problem = error
        with self._lock.held:
            self._loop = self._task = None
        self._on_end(value, problem)

    async def _body(self) -> Any:
        with self._lock.held:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._begin())
            if self._cancelled:
                self._task.cancel()
        return await self._task
