"""Asks a resource scheduler whether a plugin may start, where a wait for it holds up nobody."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable

from .._threads.locks import Lock

OnAnswer = Callable[[bool, BaseException | None], None]


class Gate:
    """One question, in a thread and on an event loop of its own: schedulers may block or sleep."""

    def __init__(self, ask: Callable[[], Awaitable[bool]], on_answer: OnAnswer) -> None:
        self._ask = ask
        self._on_answer = on_answer
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[bool] | None = None
        self._stopped = False
        threading.Thread(target=self._run, name="plugin-gate", daemon=True).start()

    def stop(self) -> None:
        """Stop asking: nobody wants to know any more. Any thread, returns at once."""
        with self._lock.held:
            self._stopped = True
            loop, task = self._loop, self._task
            if loop is not None and task is not None:
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(task.cancel)

    def _run(self) -> None:
        allowed, problem = False, None
        try:
            allowed = asyncio.run(self._answer())
        except BaseException as error:
            problem = error
        with self._lock.held:
            self._loop = self._task = None
            stopped = self._stopped
        if not stopped:
            self._on_answer(allowed, problem)

    async def _answer(self) -> bool:
        async def ask() -> bool:
            return bool(await self._ask())

        with self._lock.held:
            if self._stopped:
                return False
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(ask())
        return await self._task
