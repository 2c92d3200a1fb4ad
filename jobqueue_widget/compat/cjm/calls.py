"""Calls into a plugin host or a plugin that may block, break or be missing."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from ..._runtime.failures import failure_of


def current_config(plugin: Any) -> Any:
    """Ask the plugin for its configuration; None if it cannot say."""
    ask = getattr(plugin, "get_current_config", None)
    return ask() if callable(ask) else None


def reserved_keywords(host: Any) -> frozenset[str]:
    """List the host's own parameters, with which a plugin's keyword would collide."""
    method = getattr(host, "execute_plugin_async", None)
    function = getattr(method, "__func__", method)
    try:
        parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return frozenset()
    return frozenset(
        parameter.name
        for parameter in parameters
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    )


async def in_thread(call: Callable[..., Any], *args: Any) -> Any:
    """Call like asyncio.to_thread, in a daemon thread: one that hangs holds up nothing."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()  # whoever awaits it may leave, and the call goes on

    def run() -> None:
        try:
            future.set_result(call(*args))
        except BaseException as error:
            future.set_exception(RuntimeError(str(failure_of(error))))

    threading.Thread(target=run, name="plugin-aside", daemon=True).start()
    return await asyncio.wrap_future(future)


async def guarded(call: Callable[[], Awaitable[Any]]) -> Any:
    """Await a plugin's own coroutine: whatever it raises is an Exception afterwards.

    A SystemExit would end the host's loop, a CancelledError would look like our own.
    """
    try:
        return await call()
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raise RuntimeError(str(failure_of(error))) from None
