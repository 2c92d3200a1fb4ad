"""What `.ci/release-check` runs in each environment, outside the repository: does it work at all?

A queue runs a coroutine, a thread's and a process's job, and is drawn. Nothing of the tests is
needed for it, and nothing but the package's own dependencies.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import jobqueue_widget
from jobqueue_widget import JobQueue, track

THREAD = threading.get_ident()
VIEW = "application/vnd.jupyter.widget-view+json"


async def in_coroutine() -> tuple[int, bool]:
    """Tell where it runs."""
    await asyncio.sleep(0)
    return os.getpid(), threading.get_ident() == THREAD


def in_function() -> tuple[int, bool]:
    """Tell where it runs, with progress."""
    for _ in track(range(3), "counting"):
        pass
    return os.getpid(), threading.get_ident() == THREAD


async def main() -> None:
    """Run one job of each kind and compare what they tell."""
    async with JobQueue(max_running=2) as queue:
        coroutine = queue.submit_nowait(in_coroutine)
        thread = queue.options(executor="thread").submit_nowait(in_function)
        process = queue.options(executor="process").submit_nowait(in_function)
        assert await coroutine == (os.getpid(), True)
        assert await thread == (os.getpid(), False)
        assert (await process)[0] != os.getpid()
        forms, _ = queue._repr_mimebundle_()
        assert forms[VIEW]["model_id"] == queue.widget.model_id
        assert "in_coroutine" in forms["text/plain"], forms["text/plain"]
        assert "in_function" in forms["text/html"]
        assert len(queue.widget.history) == 3


if __name__ == "__main__":
    where = Path(jobqueue_widget.__file__)
    assert where.is_relative_to(sys.prefix), f"this is not the installed one: {where}"
    asyncio.run(main())
