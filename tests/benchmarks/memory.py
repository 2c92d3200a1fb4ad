"""What a pending job keeps in memory, and that a queue which runs for ever does not grow."""

from __future__ import annotations

import asyncio
import gc
import os

import psutil

from jobqueue_widget import JobQueue

from . import work
from .measure import OURS, Effort, Figures, Limit, Measure, Probe, Row, Side
from .peers import InProcessManager, reference_queue
from .scale import FUNCTION, PLUGIN, REFERENCE

MIB = 1024 * 1024
BATCH = 1_000
LARGE = 80_000_000  # bytes
SETTLED_AFTER = 20_000  # twice `keep_ended`


def resident() -> int:
    """Bytes of this process in memory now."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def _ours(target: object) -> Measure:
    async def run(effort: Effort) -> Figures:
        async with JobQueue(InProcessManager()) as queue:
            queue.pause()
            queue.submit_nowait(target, -1)
            before = resident()
            for number in range(effort.size):
                queue.submit_nowait(target, number)
            figures = {"bytes": (resident() - before) / effort.size}
            queue.cancel_all("pending")
            return figures

    return lambda effort: asyncio.run(run(effort))


def _reference(effort: Effort) -> Figures:
    async def run() -> Figures:
        with reference_queue(real_worker=False) as queue:
            await queue.submit("noop", -1)
            before = resident()
            for number in range(effort.size):
                await queue.submit("noop", number)
            return {"bytes": (resident() - before) / effort.size}

    return asyncio.run(run())


def _many(effort: Effort) -> Figures:
    """One batch after the other, so that nothing but what the queue keeps can add up."""

    async def run() -> Figures:
        settled_at = min(SETTLED_AFTER, effort.size // 2)
        settled = 0
        async with JobQueue() as queue:
            for done in range(0, effort.size, BATCH):
                if done == settled_at:
                    settled = resident()
                for number in range(BATCH):
                    queue.submit_nowait(work.nothing_async, number)
                await queue.join()
            return {"growth": (resident() - settled) / MIB}

    return asyncio.run(run())


def _large(effort: Effort) -> Figures:
    """Jobs of an 80 MB argument and an 80 MB result, each awaited and dropped."""

    async def run() -> Figures:
        async with JobQueue() as queue:
            await queue.submit_nowait(work.as_large, b"")
            before = resident()
            for _ in range(effort.size):
                await queue.submit_nowait(work.as_large, os.urandom(LARGE))
            return {"growth": (resident() - before) / MIB}

    return asyncio.run(run())


PROBES = (
    Probe("large", {OURS: Side(_large, samples=1)}, size=100, quick_size=10, patience=600.0),
    Probe(
        "memory",
        {
            OURS: Side(_ours(work.nothing_async)),
            PLUGIN: Side(_ours("noop"), is_judged=True),
            FUNCTION: Side(_ours(work.nothing)),
            REFERENCE: Side(_reference),
        },
        size=100_000,
        quick_size=20_000,
        also_sizes={1_000: (OURS, PLUGIN, FUNCTION), 1_000_000: (OURS,)},
    ),
    Probe(
        "million",
        {OURS: Side(_many, samples=1)},
        size=1_000_000,
        quick_size=40_000,
        patience=600.0,
    ),
)

ROWS = (
    Row(
        "memory-large",
        "100 jobs of an 80 MB argument and result, awaited and dropped: what stays in memory",
        "large",
        "growth",
        "MiB",
        must=(Limit(1_024),),
        want=(Limit(300),),
    ),
    Row(
        "memory-pending",
        "memory per pending job, small arguments",
        "memory",
        "bytes",
        "B",
        must=(Limit(1_200),),
        want=(Limit(800),),
        analysis=(
            "the record has 37 fields (328 B), the spec 11 (120 B); the entry in the order and the "
            "arguments take 140 B, id, number, rank and time 145 B, the dict of ids 100 B."
        ),
        grows="O(n)",
    ),
    Row(
        "memory-million",
        "1,000,000 short jobs through one queue: growth after the first 20,000",
        "million",
        "growth",
        "MiB",
        must=(Limit(4),),  # 4 B a job, which is what the allocator may lose: nothing is kept
    ),
)
