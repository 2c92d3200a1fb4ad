"""How soon a kernel has what a detached job tells, and has the job again after a restart."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from jobqueue_widget import Job, JobQueue, current_job
from jobqueue_widget.testing import inspect

from .measure import OURS, REPOSITORY, Effort, Figures, Limit, Probe, Row, Side

PATIENCE = 30.0  # seconds
KERNEL = """
import asyncio, sys
from jobqueue_widget import JobQueue
from tests.benchmarks.detached import report_for_ever

async def main():
    queue = await JobQueue(journal=sys.argv[1], detached=True).start()
    job = queue.submit_nowait(report_for_ever)
    while not job.as_row()["message"]:
        await asyncio.sleep(0.01)
    print("it reports", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def report_for_ever() -> None:
    """Report the time of each report."""
    while True:
        current_job().report(0.5, repr(time.monotonic()))
        time.sleep(0.06)  # so that none is held back


async def _next_report(job: Job, before: str) -> str:
    async with asyncio.timeout(PATIENCE):
        while job.as_row()["message"] in ("", before):
            await asyncio.sleep(0.001)
    return str(job.as_row()["message"])


def _follow(effort: Effort) -> Figures:
    """From a report in the job to the row that shows it."""

    async def follow(journal: Path) -> list[float]:
        seconds = []
        async with JobQueue(journal=journal, detached=True) as queue:
            job = queue.submit_nowait(report_for_ever)
            told = await _next_report(job, "")
            for _ in range(effort.size):
                told = await _next_report(job, told)
                seconds.append(time.monotonic() - float(told))
            await queue.close(detached="cancel")
        return seconds

    with tempfile.TemporaryDirectory(dir=".") as folder:
        seconds = asyncio.run(follow(Path(folder) / "runs.db"))
    return {"median": median(seconds), "longest": max(seconds)}


def _restart(effort: Effort) -> Figures:
    """From the line with `open` and `start` to a row with a report made after it, kernel killed."""

    async def again(journal: Path) -> float:
        begin = time.monotonic()
        queue = await JobQueue.open(journal).start()
        (job,) = queue.jobs()
        told = ""
        while not told or float(told) < begin:
            told = await _next_report(job, told)
        seconds = time.monotonic() - begin
        await queue.close(detached="cancel")
        inspect(queue).validate()
        return seconds

    with tempfile.TemporaryDirectory(dir=".") as folder:
        journal = Path(folder).absolute() / "runs.db"
        command = [sys.executable, "-c", KERNEL, str(journal)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as kernel:
            assert kernel.stdout is not None
            kernel.stdout.readline()
            os.kill(kernel.pid, signal.SIGKILL)
        return {"s": asyncio.run(again(journal))}


PROBES = (
    Probe("detached-report", {OURS: Side(_follow)}, size=30, quick_size=5),
    Probe("detached-restart", {OURS: Side(_restart)}),
)

_LOOKS = "its folder is looked at every 0.2 s."

ROWS = (
    Row(
        "detached-report",
        "a detached job's report is in its row, the longest of 30",
        "detached-report",
        "longest",
        "s",
        must=(Limit(0.5),),
        analysis=_LOOKS,
    ),
    Row(
        "detached-restart",
        "kernel killed; from the cell to a new report of the job in its row",
        "detached-restart",
        "s",
        "s",
        must=(Limit(1.0),),
        analysis=_LOOKS,
    ),
)
