"""At every step of a job's way, everything that can go wrong there: told within a second, and over.

Unpickling the result happens in the kernel: what would end a process there is not tried, because
code that a user's own job sends back to the user's own kernel runs with the kernel's rights.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue_widget import JobQueue, JobStatus
from tests.conditions import until

SOON = 20.0
DEATHS = {
    "error": "ValueError: on purpose",
    "base exception": "KeyboardInterrupt",
    "sys.exit": "SystemExit",
    "os._exit": "code 7",
    "segfault": "SIGSEGV",
    "kill -9": "SIGKILL",
}
HANGS = ("stopped", "in C with the GIL held")


def come_to_grief(how: str) -> None:
    """End, or hang, in this way."""
    if how == "error":
        raise ValueError("on purpose")
    if how == "base exception":
        raise KeyboardInterrupt
    if how == "sys.exit":
        raise SystemExit(3)
    if how == "os._exit":
        os._exit(7)
    if how == "segfault":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "kill -9":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    ctypes.PyDLL(None).sleep(60)


class WhenPacked:
    """Comes to grief when it is pickled."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        come_to_grief(self.how)
        return int, ()


class WhenUnpacked:
    """Comes to grief when it is unpickled."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return come_to_grief, (self.how,)


class Closure:
    """A callable that comes to grief when the worker unpickles it."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __call__(self) -> None:
        """Never reached."""

    def __reduce__(self) -> Any:
        return come_to_grief, (self.how,)


def submit(queue: JobQueue, step: str, how: str) -> Any:
    steps: dict[str, Callable[[], Any]] = {
        "unpickle the function": lambda: queue.submit_nowait(Closure(how)),
        "unpickle the arguments": lambda: queue.submit_nowait(print, WhenUnpacked(how)),
        "run": lambda: queue.submit_nowait(come_to_grief, how),
        "pickle the result": lambda: queue.submit_nowait(WhenPacked, how),
    }
    return steps[step]()


STEPS = ("unpickle the function", "unpickle the arguments", "run", "pickle the result")


@pytest.mark.parametrize("how", DEATHS)
@pytest.mark.parametrize("step", STEPS)
async def test_a_job_that_comes_to_grief_says_how_and_the_next_one_runs(
    step: str, how: str
) -> None:
    async with JobQueue() as queue:
        await queue.submit_nowait(int)
        job = submit(queue, step, how)
        await queue.wait_for_job(job, timeout=SOON)
        assert job.status is JobStatus.failed
        assert DEATHS[how] in job.error
        assert job.completed_at - job.started_at < 1.0
        assert await queue.submit_nowait(pow, 2, 3) == 8
        assert queue._engine.bugs == 0


@pytest.mark.parametrize("how", HANGS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("means", ["a time limit", "force"])
async def test_a_job_that_hangs_is_ended_and_the_next_one_runs(
    step: str, how: str, means: str
) -> None:
    async with JobQueue(cancel_timeout=0.1) as queue:
        view: Any = queue.options(timeout=0.2) if means == "a time limit" else queue
        await queue.submit_nowait(int)
        job = submit(view, step, how)
        if means == "force":
            await until(lambda: job.status is JobStatus.running and job.phase is None)
            assert job.cancel(force=True)
        assert await queue.submit_nowait(pow, 2, 3) == 8
        assert job.done
        if means == "force":
            assert job.status is JobStatus.cancelled
        else:
            assert job.error == "TimeLimitExceeded: time limit 0.2 s"


@pytest.mark.parametrize("how", ["error", "base exception", "sys.exit"])
async def test_a_result_that_breaks_on_arrival_fails_its_job_only(how: str) -> None:
    async with JobQueue() as queue:
        worker = await queue.submit_nowait(os.getpid)
        job = queue.submit_nowait(WhenUnpacked, how)
        await queue.wait_for_job(job, timeout=SOON)
        assert job.status is JobStatus.failed
        assert DEATHS[how].partition(":")[0] in str(job.error)
        assert await queue.submit_nowait(os.getpid) == worker


# -- what a job can do to the process that the next one runs in ----------------------------------


def closes_what_it_can() -> None:
    os.closerange(3, 50)


def breaks_the_tools() -> None:
    import json
    import pickle

    json.dumps = pickle.dumps = pickle.loads = None  # type: ignore[assignment]
    os.write = None  # type: ignore[assignment]


def empties_the_module_table() -> None:
    import sys

    for name in list(sys.modules):
        if name not in ("builtins", "sys"):
            del sys.modules[name]


def blocks_every_signal() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def removes_its_folder() -> None:
    import shutil
    import tempfile

    folder = tempfile.mkdtemp()
    os.chdir(folder)
    shutil.rmtree(folder)


def limits_the_stack() -> None:
    import sys

    sys.setrecursionlimit(60)


def leaves_a_bomb() -> None:
    import atexit

    atexit.register(come_to_grief, "kill -9")


async def result_of(queue: JobQueue, function: Callable[..., Any], *args: Any) -> Any:
    job = queue.submit_nowait(function, *args)
    await queue.wait_for_job(job, timeout=SOON)
    return job.get_result()


@pytest.mark.parametrize(
    "act",
    [
        closes_what_it_can,
        breaks_the_tools,
        empties_the_module_table,
        blocks_every_signal,
        removes_its_folder,
        limits_the_stack,
        leaves_a_bomb,
    ],
    ids=lambda act: act.__name__,
)
async def test_a_job_that_damages_its_process_harms_no_other_job(act: Callable[[], None]) -> None:
    async with JobQueue(cancel_timeout=0.2) as queue:
        job = queue.submit_nowait(act)
        await queue.wait_for_job(job, timeout=SOON)
        if job.status is not JobStatus.completed:
            assert job.error
        # the next one runs, if need be in another worker, and can be stopped
        assert await result_of(queue, pow, 2, 3) == 8
        sleeper = queue.submit_nowait(time.sleep, 60)
        await until(lambda: sleeper.status is JobStatus.running and sleeper.phase is None)
        assert sleeper.cancel()
        await queue.wait_for_job(sleeper, timeout=SOON)
        assert sleeper.status is JobStatus.cancelled
