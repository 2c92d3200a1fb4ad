"""Waiting in a plain notebook cell: runs the kernel's own loop inside the call, without polling."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from typing import Any

from ..errors import UnsupportedLoopError
from .interrupts import UNINTERRUPTED


def can_nest() -> bool:
    """True if the loop that is running in this thread can run inside a call."""
    return not _why_not()


def _why_not() -> str:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return (
            "the queue's event loop does not run here, as between the cells of IPython in a "
            'terminal: await what you wait for, or make the queue with JobQueue(loop="thread")'
        )
    if not isinstance(loop, asyncio.BaseEventLoop):
        return (
            f"a loop of {type(loop).__module__} cannot run inside queue.wait(): "
            "use `await queue.join()`"
        )
    patched, by_2 = (getattr(asyncio, f"_nest_{name}", False) for name in ("patched", "asyncio2"))
    if patched and not by_2:
        return (
            "asyncio was patched by nest-asyncio 1.x in this kernel, under which queue.wait() "
            "would lose messages: use `await queue.join()`, or restart without nest_asyncio.apply()"
        )
    return ""


def run_nested(make: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine to its end on the loop that is running in this thread.

    asyncio is made re-entrant by nest-asyncio2, here and now and not at import, because that
    cannot be undone. An interrupt ends the coroutine, not what it waits for. In a callback, too:
    the turn of the loop that runs us takes as many handles as it has counted at its beginning,
    so those that were taken here are made up for.

    Raises:
        UnsupportedLoopError: asyncio was already patched by nest-asyncio 1.x, which loses
            messages on current kernels; the loop is not one of asyncio's own, as uvloop's; or
            it does not run.
    """
    reason = _why_not()
    if reason:
        raise UnsupportedLoopError(reason)
    loop = asyncio.get_running_loop()
    nest = importlib.import_module("nest_asyncio2")
    nest.apply(loop)
    ready = loop._ready  # type: ignore[attr-defined]  # each loop that can be patched has it
    counted = len(ready)
    task = loop.create_task(make())
    try:
        loop.run_until_complete(task)
    finally:
        with UNINTERRUPTED:
            task.cancel()
            for _ in range(counted - len(ready)):
                loop.call_soon(_nothing)
            # Wakes the loop where this is a signal's handler: it sleeps, and hears of no call_soon.
            loop.call_soon_threadsafe(_nothing)


def _nothing() -> None:
    pass
