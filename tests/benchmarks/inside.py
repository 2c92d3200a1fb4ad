"""What a progress bar costs a job, beside the same bar without a queue."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from statistics import median

from jobqueue_widget import JobQueue

from . import work
from .measure import OURS, REPOSITORY, Effort, Figures, Limit, Probe, Row, Side
from .throughput import warm


def _plain(iterations: int) -> float:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "tests/benchmarks/work.py"), str(iterations)],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return float(done.stdout)


def _ours(effort: Effort) -> Figures:
    """Both in turn, and the ratio: a busy machine slows both."""

    async def run() -> Figures:
        ratios = []
        async with JobQueue() as queue:
            await warm(queue)
            for _ in range(effort.times(5, 1)):
                plain = _plain(effort.size)
                inside = await queue.submit_nowait(work.bar_seconds, effort.size)
                ratios.append(inside / plain)
        return {"ratio": median(ratios)}

    return asyncio.run(run())


PROBES = (Probe("bar", {OURS: Side(_ours)}, size=5_000_000, quick_size=500_000),)

ROWS = (
    Row(
        "bar",
        "a tqdm loop inside a job, cost per iteration beside plain tqdm",
        "bar",
        "ratio",
        "x",
        must=(Limit(1.1),),
        want=(Limit(1.02),),
        analysis="the hook is in what draws the bar, ten times a second, not in the iteration.",
    ),
)
