"""Waiting in a plain notebook cell: runs the kernel's own loop inside the call, without polling."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from typing import Any

from ..errors import UnsupportedLoopError


def can_nest() -> bool:
    """False where asyncio was patched by nest-asyncio 1.x, which loses messages."""
    patched, by_2 = (getattr(asyncio, f"_nest_{name}", False) for name in ("patched", "asyncio2"))
    return not patched or bool(by_2)


def run_nested(make: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine to its end on the loop that is running in this thread.

    asyncio is made re-entrant by nest-asyncio2, here and now and not at import, because that
    cannot be undone. An interrupt ends the coroutine, not what it waits for.

    Raises:
        UnsupportedLoopError: asyncio was already patched by nest-asyncio 1.x, which loses
            messages on current kernels.
    """
    if not can_nest():
        raise UnsupportedLoopError(
            "asyncio was patched by nest-asyncio 1.x in this kernel, under which queue.wait() "
            "would lose messages: use `await queue.join()`, or restart without nest_asyncio.apply()"
        )
    loop = asyncio.get_running_loop()
    nest = importlib.import_module("nest_asyncio2")
    nest.apply(loop)
    task = loop.create_task(make())
    try:
        loop.run_until_complete(task)
    finally:
        task.cancel()
