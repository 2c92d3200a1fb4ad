"""A night in half an hour: what grows in the kernel and in the page while jobs come and go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import CDPSession

from tests.browser.conftest import Open
from tests.browser.lab import Notebook

pytestmark = pytest.mark.browser

LANES = 4
A_SECOND = 20_000 / 1800  # so many jobs are submitted
FAILED, CANCELLED, TAKEN_BACK = 25, 40, 60  # each so manieth is
SETUP = f"""
import asyncio, os, threading, time
from jobqueue_widget import JobQueue, current_job

def train(number):
    job = current_job()
    for step in range(8):
        loss = f"loss {{1 / (step + 1):.12f}}"
        job.report(step / 8, f"epoch {{number:06}} of a long night, step {{step}}, {{loss}}")
        print("epoch", number, "step", step, "of eight, and all is well")
        time.sleep({LANES / A_SECOND / 8 * 0.75})
    if number % {FAILED} == 0:
        raise ValueError(f"the loss of epoch {{number}} is not a number")
    return {{"loss": number, "weights": bytes(1000)}}

async def feed(jobs):
    begun = time.monotonic()
    for number in range(jobs):
        await asyncio.sleep(begun + number / {A_SECOND} - time.monotonic())
        job = queue.submit_nowait(train, number)
        if number % {CANCELLED} == 1:
            asyncio.get_running_loop().call_later(0.3, job.cancel)
        elif number % {TAKEN_BACK} == 2:
            job.cancel()

def figures():
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(os.listdir("/proc/self/fd")), threading.active_count(), sum(
        queue.get_state()["stats"][f"total_{{how}}"] for how in ("completed", "failed", "cancelled")
    )
"""


class Figures(NamedTuple):
    """One look at the kernel and the page; sizes in MiB."""

    minute: float
    ended: int
    kernel: float
    descriptors: int
    threads: int
    page: float

    def __str__(self) -> str:
        return (
            f"minute {self.minute:4.1f}: {self.ended:6,} ended, kernel {self.kernel:6.1f} MiB, "
            f"{self.descriptors} descriptors, {self.threads} threads, page {self.page:5.1f} MiB"
        )


def look(notebook: Notebook, session: CDPSession, begun: float) -> Figures:
    session.send("HeapProfiler.collectGarbage")
    heap: dict[str, Any] = session.send("Runtime.getHeapUsage")
    resident, descriptors, threads, ended = notebook.value_of("figures()")
    minute = (time.monotonic() - begun) / 60
    return Figures(minute, ended, resident / 2**20, descriptors, threads, heap["usedSize"] / 2**20)


def soak(
    notebook: Notebook, minutes: float, every: float, say: Callable[[str], None]
) -> list[Figures]:
    """Feed the queue for so many minutes; the figures, one look `every` so many minutes."""
    session = notebook.page.context.new_cdp_session(notebook.page)
    begun = time.monotonic()
    curve: list[Figures] = []
    while not curve or curve[-1].minute < minutes:
        notebook.page.wait_for_timeout(every * 60_000)
        curve.append(look(notebook, session, begun))
        say(str(curve[-1]))
    return curve


@pytest.mark.parametrize(
    ("minutes", "keep_ended", "flat_from"),
    [
        pytest.param(0.5, 1_000, 0.25, id="short", marks=pytest.mark.timeout(180)),
        pytest.param(
            *(30, 1_000, 10), id="long", marks=[pytest.mark.long, pytest.mark.timeout(2400)]
        ),
        pytest.param(  # the 12,000th job ends in minute 18
            *(30, 10_000, 19), id="default", marks=[pytest.mark.long, pytest.mark.timeout(2400)]
        ),
    ],
)
def test_nothing_grows_while_jobs_come_and_go(
    minutes: float,
    keep_ended: int,
    flat_from: float,
    open_notebook: Open,
    note: Callable[[str], None],
) -> None:
    jobs = int(minutes * 60 * A_SECOND)
    notebook = open_notebook(
        SETUP,
        f"queue = await JobQueue(max_running={LANES}, keep_ended={keep_ended}).start(); queue",
        f"feeding = asyncio.get_running_loop().create_task(feed({jobs}))",
    )
    curve = soak(notebook, minutes, min(minutes / 4, 1.0), note)
    notebook.replace("await feeding; await queue.join()", "figures()")
    assert notebook.value_of("figures()[-1]") == jobs
    flat = [figures for figures in curve if figures.minute >= flat_from]
    first, last = flat[0], flat[-1]
    assert last.ended > 0.8 * jobs, "the machine is too slow for this test to tell anything"
    assert last.descriptors <= first.descriptors + 2
    assert last.threads <= first.threads + 1
    assert last.page - first.page < 2
    if minutes >= 30:
        assert last.kernel - first.kernel < 5
