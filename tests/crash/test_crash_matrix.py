"""At every step of a job's way, everything that can go wrong there: told within a second, and over.

Unpickling the result happens in the kernel: what would end or stop a whole process is not tried
there, because what a user's job sends back to the user's kernel runs with the kernel's rights.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import Job, JobQueue, JobStatus, ResultNotKeptError
from jobqueue_widget.executors import process
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.crash.grief import WaitsWhenUnpacked, WhenPacked, WhenUnpacked, come_to_grief

SOON = 20.0
ERRORS = {
    "error": "ValueError: on purpose",
    "base exception": "KeyboardInterrupt",
    "sys.exit": "SystemExit",
}
DEATHS = {
    "os._exit": "worker exited with code 7",
    "segfault": "worker ended by SIGSEGV",
    "kill -9": "worker ended by SIGKILL",
}
HANGS = ("stopped", "in C with the GIL held")

Submit = Callable[[Any, str], Job]  # to a queue or a view of it, how it comes to grief

STEPS: dict[str, Submit] = {
    "unpickle the function": lambda queue, how: queue.submit_nowait(WhenUnpacked(how)),
    "unpickle the arguments": lambda queue, how: queue.submit_nowait(print, WhenUnpacked(how)),
    "run": lambda queue, how: queue.submit_nowait(come_to_grief, how),
    "pickle the result": lambda queue, how: queue.submit_nowait(WhenPacked, how),
}


class Death:
    """Notes when a process ends, as the system tells it."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)
        self._at = 0.0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        readable, _, _ = select.select([self._fd], [], [], SOON)
        self._at = time.time() if readable else 0.0
        os.close(self._fd)

    def seconds_until_told(self, job: Job) -> float:
        """From the end of the process to the end of the job, as it is recorded."""
        self._thread.join()
        assert self._at, "the process did not end"
        assert job.completed_at is not None
        return job.completed_at - self._at


@pytest.mark.parametrize("how", ERRORS)
@pytest.mark.parametrize("step", STEPS)
async def test_whatever_a_job_raises_is_told_by_name_and_its_worker_lives(
    step: str, how: str
) -> None:
    async with JobQueue() as queue:
        worker = await queue.submit_nowait(os.getpid)
        job = STEPS[step](queue, how)
        after = queue.submit_nowait(os.getpid)
        await queue.wait_for_job(job, timeout=SOON)
        if step == "pickle the result":  # its work is done, and stays done
            assert job.status is JobStatus.completed
            with pytest.raises(ResultNotKeptError, match=ERRORS[how]):
                await job
        else:
            assert job.status is JobStatus.failed
            assert ERRORS[how] in str(job.error)
        assert await after == worker
        assert inspect(queue).faults.bugs == 0


@pytest.mark.parametrize("how", DEATHS)
@pytest.mark.parametrize("step", STEPS)
async def test_a_job_whose_process_dies_says_how_within_a_second_and_the_next_one_runs(
    step: str, how: str
) -> None:
    async with JobQueue() as queue:
        worker = await queue.submit_nowait(os.getpid)
        death = Death(worker)
        job = STEPS[step](queue, how)
        after = queue.submit_nowait(os.getpid)
        await queue.wait_for_job(job, timeout=SOON)
        if step == "pickle the result":
            assert job.status is JobStatus.completed
            with pytest.raises(ResultNotKeptError, match=DEATHS[how]):
                await job
        else:
            assert job.status is JobStatus.failed
            assert DEATHS[how] in str(job.error)
        assert death.seconds_until_told(job) < 1.0
        assert await after != worker
        assert inspect(queue).faults.bugs == 0


@pytest.mark.parametrize("how", HANGS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("means", ["a time limit", "force"])
async def test_a_job_that_hangs_is_ended_and_the_next_one_runs(
    step: str, how: str, means: str
) -> None:
    async with JobQueue(cancel_timeout=0.1) as queue:
        view: Any = queue.options(timeout=0.2) if means == "a time limit" else queue
        death = Death(await queue.submit_nowait(os.getpid))
        job = STEPS[step](view, how)
        after = queue.submit_nowait(pow, 2, 3)
        if means == "force":
            await until(lambda: job.status is JobStatus.running and job.phase is None)
            if step == "pickle the result":
                run: Any = inspect(queue).engine.runs[job.id]
                await until(lambda: run.execution._returned is not None)
            assert job.cancel(force=True)
        assert await after == 8
        assert death.seconds_until_told(job) < 1.0
        if step == "pickle the result":
            assert job.status is JobStatus.completed
            assert job.finished_before_cancel == (means == "force")
            with pytest.raises(ResultNotKeptError, match=r"worker ended by .* before it was sent"):
                await job
        elif means == "force":
            assert job.status is JobStatus.cancelled
        else:
            assert job.status is JobStatus.failed
            assert job.error == "TimeLimitExceeded: time limit 0.2 s"


# -- unpickling the result, in the kernel ----------------------------------------------------------


@pytest.mark.parametrize("how", ERRORS)
async def test_a_result_that_breaks_on_arrival_is_told_and_costs_no_more(how: str) -> None:
    async with JobQueue() as queue:
        worker = await queue.submit_nowait(os.getpid)
        job = queue.submit_nowait(WhenUnpacked, how)
        await queue.wait_for_job(job, timeout=SOON)
        assert job.status is JobStatus.completed
        with pytest.raises(ResultNotKeptError, match=ERRORS[how]):
            await job
        assert await queue.submit_nowait(os.getpid) == worker


async def test_a_result_that_hangs_on_arrival_is_told_of_and_keeps_its_lane_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "KILL_PATIENCE", 0.1)
    go_on = tmp_path / "go on"
    async with JobQueue(max_running=2, cancel_timeout=0.1) as queue:
        job = queue.options(timeout=0.1).submit_nowait(WaitsWhenUnpacked, str(go_on))
        others = [queue.submit_nowait(pow, 2, 3) for _ in range(3)]
        await queue.wait_for_job(job, timeout=SOON)
        assert job.status is JobStatus.failed
        assert "could not be ended: its result is still being unpickled" in str(job.error)
        assert [await other for other in others] == [8, 8, 8]
        assert inspect(queue).lanes.taken == 1
        go_on.touch()
        await until(lambda: inspect(queue).lanes.taken == 0)
        assert inspect(queue).faults.bugs == 0


async def test_a_forced_job_whose_result_is_still_being_read_keeps_its_result(
    tmp_path: Path,
) -> None:
    go_on = tmp_path / "go on"
    async with JobQueue() as queue:
        job = queue.submit_nowait(WaitsWhenUnpacked, str(go_on))
        await until(lambda: any(t.name == f"decode-{job.id}" for t in threading.enumerate()))
        assert job.cancel(force=True)
        go_on.touch()
        assert await job == str(go_on)
        assert job.finished_before_cancel
