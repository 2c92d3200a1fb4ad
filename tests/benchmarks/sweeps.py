"""Many jobs as one: a long map, a sweep that is run all again, a result that goes on to a job."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from jobqueue_widget import JobQueue

from . import work
from .measure import OURS, Effort, Figures, Limit, Probe, Row, Side

LARGE = 80_000_000  # bytes


def _long_map(effort: Effort) -> Figures:
    """How soon it returns, and the longest time for which the loop does nothing else, later."""

    async def run() -> Figures:
        async with JobQueue() as queue:
            queue.submit_nowait(work.nothing, 0)
            await queue.join()
            begin = time.perf_counter()
            group = queue.map(time.sleep, [0.002] * effort.size)
            figures = {"returns": time.perf_counter() - begin, "hold": 0.0}
            until = time.perf_counter() + effort.times(3, 1)
            while time.perf_counter() < until:
                begin = time.perf_counter()
                await asyncio.sleep(0)
                figures["hold"] = max(figures["hold"], (time.perf_counter() - begin) * 1e3)
            group.cancel()
            return figures

    return asyncio.run(run())


def _run_all_again(effort: Effort) -> Figures:
    """From the cell that maps to its results, in a new queue of a journal that has them all."""

    async def run(path: Path) -> float:
        async with JobQueue.open(path, keep_ended=2 * effort.size, loop="thread") as queue:
            begin = time.perf_counter()
            group = queue.options(key=True).map(work.nothing_async, range(effort.size))
            await group
            seconds = time.perf_counter() - begin
            assert len(queue) == effort.size, "nothing has run twice"
            await queue.close()
        return seconds

    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "runs.db"
        asyncio.run(run(path))
        return {"seconds": asyncio.run(run(path))}


def _result_on(effort: Effort) -> Figures:
    """What the kernel's processor does for a result of one job that is an argument of another."""

    async def run() -> float:
        async with JobQueue() as queue:
            await queue.submit_nowait(work.nothing)
            used = []
            for _ in range(effort.times(5, 1)):
                begin = time.process_time()
                made = queue.submit_nowait(bytes, effort.size)
                assert await queue.submit_nowait(len, made) == effort.size
                used.append(time.process_time() - begin)
            return min(used)

    return {"ms": asyncio.run(run()) * 1e3}


PROBES = (
    Probe("long-map", {OURS: Side(_long_map)}, size=200_000, quick_size=5_000),
    Probe("run-all-again", {OURS: Side(_run_all_again)}, size=5_000, quick_size=200),
    Probe("result-on", {OURS: Side(_result_on)}, size=LARGE, quick_size=1_000_000),
)

ROWS = (
    Row(
        "map-returns",
        "`map` over 200,000 items returns",
        "long-map",
        "returns",
        "s",
        must=(Limit(0.2),),
    ),
    Row(
        "map-hold",
        "… and the longest hold of the loop afterwards",
        "long-map",
        "hold",
        "ms",
        must=(Limit(20),),
    ),
    Row(
        "run-all-again",
        "5,000 keyed jobs of a journal again, until the results are there",
        "run-all-again",
        "seconds",
        "s",
        must=(Limit(1.0),),
    ),
    Row(
        "result-on",
        "80 MB from one job to the next: the kernel's processor time",
        "result-on",
        "ms",
        "ms",
        must=(Limit(30),),  # to unpickle and pickle it takes 270
    ),
)
