"""What the queue's own operations cost with 10 to 1,000,000 jobs pending, by kind of target."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from jobqueue_widget import Job, JobQueue

from . import work
from .measure import OURS, Effort, Figures, Limit, Measure, Probe, Row, Side
from .peers import InProcessManager, reference_queue

PLUGIN, FUNCTION, REFERENCE = "plugin target", "function target", "reference"
ROWS_SHOWN = 50
PRIORITIES = 3


def fill(queue: JobQueue, target: object, jobs: int) -> list[Job]:
    """So many pending jobs of mixed priority."""
    submit = queue.submit_nowait
    return [submit(target, number, priority=number % PRIORITIES) for number in range(jobs)]


def seconds_of(act: Callable[[], object]) -> float:
    """How long it takes, once."""
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def _ours(target: object) -> Measure:
    async def run(effort: Effort) -> Figures:
        choose = random.Random(1)
        async with JobQueue(InProcessManager()) as queue:
            queue.pause()
            jobs = fill(queue, target, effort.size)
            times: dict[str, list[float]] = {"submit": [], "cancel": [], "move": [], "window": []}
            for number in range(effort.times(200, 20)):
                place = choose.randrange(len(jobs))
                anchor, moved = choose.choice(jobs), jobs[place]
                times["move"].append(seconds_of(lambda a=anchor, m=moved: queue.move(m, before=a)))  # type: ignore[misc]
                times["cancel"].append(seconds_of(moved.cancel))
                begin = time.perf_counter()
                jobs[place] = queue.submit_nowait(target, number, priority=number % PRIORITIES)
                times["submit"].append(time.perf_counter() - begin)
                start = choose.randrange(max(1, effort.size - ROWS_SHOWN))
                begin = time.perf_counter()
                queue.window("pending", start, start + ROWS_SHOWN)
                times["window"].append(time.perf_counter() - begin)
            figures = {name: median(values) * 1e6 for name, values in times.items()}
            states = [seconds_of(queue.get_state) for _ in range(effort.times(5, 1))]
            queue.cancel_all("pending")
            return {**figures, "window": figures["window"] / 1e3, "state": median(states) * 1e3}

    return lambda effort: asyncio.run(run(effort))


def _reference(effort: Effort) -> Figures:
    async def timed(awaitable: Any) -> float:
        begin = time.perf_counter()
        await awaitable
        return time.perf_counter() - begin

    async def run() -> Figures:
        choose = random.Random(1)
        with reference_queue(real_worker=False) as queue:
            submit = queue.submit
            ids = [await submit("noop", n, priority=n % PRIORITIES) for n in range(effort.size)]
            submits, cancels, moves = [], [], []
            for number in range(effort.times(20, 5)):
                place = choose.randrange(len(ids))
                priority = choose.randrange(PRIORITIES)
                moves.append(seconds_of(lambda p=place, to=priority: queue.reorder(ids[p], to)))  # type: ignore[misc]
                cancels.append(await timed(queue.cancel(ids[place])))
                begin = time.perf_counter()
                ids[place] = await submit("noop", number, priority=number % PRIORITIES)
                submits.append(time.perf_counter() - begin)
            states = [seconds_of(queue.get_state) for _ in range(effort.times(5, 1))]
            return {
                "submit": median(submits) * 1e6,
                "cancel": median(cancels) * 1e6,
                "move": median(moves) * 1e6,
                "state": median(states) * 1e3,
            }

    return asyncio.run(run())


PROBES = (
    Probe(
        "pending",
        {
            OURS: Side(_ours(work.nothing_async)),
            PLUGIN: Side(_ours("noop"), is_judged=True),
            FUNCTION: Side(_ours(work.nothing)),
            REFERENCE: Side(_reference, samples=3),
        },
        size=100_000,
        quick_size=1_000,
        also_sizes={
            10: (OURS, PLUGIN, FUNCTION, REFERENCE),
            1_000: (OURS, PLUGIN, FUNCTION, REFERENCE),
            1_000_000: (OURS,),
        },
    ),
)

ROWS = (
    Row(
        "pending-submit",
        "100,000 pending: submit one",
        "pending",
        "submit",
        "µs",
        must=(Limit(50),),
        grows="O(log n)",
    ),
    Row(
        "pending-cancel",
        "100,000 pending: cancel one",
        "pending",
        "cancel",
        "µs",
        must=(Limit(20),),
        grows="O(log n)",
    ),
    Row(
        "pending-move",
        "100,000 pending: move one",
        "pending",
        "move",
        "µs",
        must=(Limit(50),),
        grows="O(log n)",
    ),
    Row(
        "pending-window",
        "100,000 pending: window of 50 rows",
        "pending",
        "window",
        "ms",
        must=(Limit(0.2),),
        grows="O(rows + log n)",
    ),
    Row(
        "pending-state",
        "100,000 pending: full get_state()",
        "pending",
        "state",
        "ms",
        must=(Limit(150),),
        grows="O(n)",
    ),
)
