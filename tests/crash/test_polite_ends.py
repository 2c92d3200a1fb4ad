"""A kernel or a script ends in order while jobs run: nothing is lost, and nothing told failed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, read_journal
from tests.crash.processes import wait_until
from tests.kernels import REPOSITORY, VERSIONS, Kernel

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("loop_of_the_client")]

JOBS = """
import asyncio, os, sys, time
from jobqueue_widget import JobQueue
def sleeps(): time.sleep(600)
def ignores():
    while True:
        try:
            open("ignores", "w").close()
            time.sleep(600)
        except BaseException: pass
async def waits(): await asyncio.sleep(600)
"""
SUBMIT = """
at_work = [
    queue.submit_nowait(sleeps),
    queue.options(executor="thread").submit_nowait(sleeps),
    queue.submit_nowait(waits),
    queue.submit_nowait(ignores),
]
waiting = [*queue.map(pow, range(5), range(5))]
waiting.append(queue.options(executor="thread").submit_nowait(pow, 2, 3))
waiting.append(queue.submit_nowait(waits))
"""
BEGUN = (
    "(all(job.status == 'running' and not job.phase for job in at_work)"
    " and (len(at_work) == 1 or os.path.exists('ignores')))"
)
OPEN = 'queue = await JobQueue.open("runs.db", max_running=4, cancel_timeout=600).start()'
SCRIPT = f"""{JOBS}
def main():
    global queue
    queue = JobQueue(journal="runs.db", max_running=4, cancel_timeout=600, loop="thread")
    queue.__enter__()
    {SUBMIT.strip().replace(chr(10), chr(10) + "    ")}
    while not {BEGUN}: time.sleep(0.01)
    at_work[3].cancel()
main()
"""


def wait_and_shut_down(kernel: Kernel) -> None:
    """In the middle of a cell."""
    kernel.send("await queue.join()")
    kernel.shut_down()


WAYS: dict[str, Callable[[Kernel], object]] = {
    "shut down": Kernel.shut_down,
    "shut down while a cell waits": wait_and_shut_down,
    "a cell that exits": lambda kernel: kernel.send("get_ipython().ask_exit()"),
}


def tell(journal: Path) -> list[tuple[str, str]]:
    """Status and error of each job, in the order in which they were submitted."""
    records = read_journal(journal)
    assert all(r.completed_at >= r.started_at for r in records if r.started_at and r.completed_at)
    return [(record.status, record.error or "") for record in records]


INTERRUPTED = ("failed", "KernelDied: interrupted by kernel exit")
LEFT = [*[INTERRUPTED] * 3, ("cancelled", ""), *[("pending", "")] * 7]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", WAYS)
def test_a_kernel_that_ends_in_order_loses_nothing_and_tells_no_failure(
    way: str, version: str, tmp_path: Path
) -> None:
    kernel = Kernel(version, cwd=tmp_path)
    try:
        for cell in (JOBS, OPEN, SUBMIT):
            kernel.run(cell)
        wait_until(lambda: kernel.value_of(BEGUN), 30)
        kernel.run("at_work[3].cancel()")
        WAYS[way](kernel)
        kernel.until_dead()
    finally:
        kernel.close()
    assert tell(tmp_path / "runs.db") == LEFT


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError"])
def test_a_script_that_ends_with_its_queue_open_loses_nothing(end: str, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", SCRIPT + end], cwd=tmp_path, env=env, check=False)
    assert tell(tmp_path / "runs.db") == LEFT


def test_what_was_pending_at_an_orderly_end_runs_in_the_next_kernel(tmp_path: Path) -> None:
    kernel = Kernel(VERSIONS[0], cwd=tmp_path)
    try:
        kernel.run(JOBS + 'queue = await JobQueue.open("runs.db").start()')
        kernel.run("at_work = [queue.submit_nowait(sleeps)]; jobs = queue.map(pow, [2, 3], [4, 5])")
        wait_until(lambda: kernel.value_of(BEGUN), 30)
        kernel.shut_down()
        kernel.until_dead()
    finally:
        kernel.close()
    with JobQueue(journal=tmp_path / "runs.db", loop="thread") as queue:
        assert queue.paused
        queue.resume()
        queue.wait()
        assert [job.result for job in queue.jobs() if job.plugin_name == "pow"] == [243, 16]
