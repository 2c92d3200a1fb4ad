"""`current_job().cancel_signal_to(callback)`: called once, at once, and never after the end."""

from __future__ import annotations

import functools
import subprocess
import threading
from collections import Counter
from typing import Any

import pytest

from jobqueue_widget import JobQueue, JobStatus, current_job
from jobqueue_widget.child.job_context import JobContext, NoJob
from tests.conditions import until
from tests.crash.processes import wait_until


class Job:
    """A context without a worker, and its log."""

    def __init__(self) -> None:
        self.logged = ""
        self.context = JobContext("id", 1, lambda fraction, message: None, self._log)

    def _log(self, text: str) -> None:
        self.logged += text


@pytest.mark.parametrize("again", range(20))
def test_each_is_called_once_whoever_registers_and_asks_at_the_same_time(again: int) -> None:
    job, calls, start = Job().context, Counter[int](), threading.Barrier(6)

    def register(first: int) -> None:
        start.wait()
        for number in range(first, first + 10):
            job.cancel_signal_to(functools.partial(calls.update, [number]))

    def ask() -> None:
        start.wait()
        job.request_cancel()

    threads = [threading.Thread(target=register, args=(first,)) for first in (0, 10, 20)]
    threads += [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(calls) == 30, 10)
    assert set(calls.values()) == {1}
    assert job.noticed
    job.finish()


def test_one_that_was_taken_back_is_not_called() -> None:
    job, calls = Job().context, list[str]()
    taken_back = job.cancel_signal_to(lambda: calls.append("taken back"))
    taken_back()
    taken_back()
    with job.cancel_signal_to(lambda: calls.append("after its block")):
        pass
    with pytest.raises(LookupError), job.cancel_signal_to(lambda: calls.append("after an error")):
        raise LookupError
    job.request_cancel()
    assert not job.noticed, "nothing was there to be told"
    with job.cancel_signal_to(lambda: calls.append("asked already")):
        wait_until(lambda: calls == ["asked already"], 10)
    assert job.noticed


def test_none_is_called_after_the_end() -> None:
    job, calls = Job().context, list[str]()
    job.cancel_signal_to(lambda: calls.append("before"))
    job.finish()
    job.request_cancel()
    job.cancel_signal_to(lambda: calls.append("after"))
    assert not job.noticed
    assert not any("cancel-signal" in thread.name for thread in threading.enumerate())
    assert calls == []


def test_one_that_hangs_or_raises_holds_up_no_other() -> None:
    job, release, called = Job(), threading.Event(), threading.Event()
    job.context.cancel_signal_to(lambda: release.wait(20))
    job.context.cancel_signal_to(lambda: 1 // 0)
    job.context.cancel_signal_to(called.set)
    job.context.request_cancel()
    assert called.wait(10)
    wait_until(lambda: job.logged.count("cancel_signal_to() failed") == 1, 10)
    assert "ZeroDivisionError" in job.logged
    release.set()


@pytest.mark.parametrize("job", [Job().context, NoJob(), current_job()], ids=repr)
@pytest.mark.parametrize("callback", [None, 3, "kill"])
def test_what_cannot_be_called_is_refused(job: Any, callback: Any) -> None:
    with pytest.raises(TypeError, match=r"such as process\.kill; got"):
        job.cancel_signal_to(callback)


def test_outside_a_job_it_does_nothing() -> None:
    with current_job().cancel_signal_to(lambda: pytest.fail("called")) as taken_back:
        taken_back()


def wait_for_a_process(swallow: bool) -> int:
    """A job that waits where no request to stop comes through, but by its process."""
    process = subprocess.Popen(["/bin/sleep", "600"])
    with process, current_job().cancel_signal_to(process.kill):
        code = process.wait()
    if code and not swallow:
        raise subprocess.CalledProcessError(code, "sleep")
    return code


@pytest.mark.parametrize("swallow", [False, True])
async def test_a_thread_that_waits_for_a_process_is_cancelled_by_its_end(swallow: bool) -> None:
    async with JobQueue(executor="thread", cancel_timeout=30) as queue:
        job = queue.submit_nowait(wait_for_a_process, swallow)
        await until(lambda: job.status is JobStatus.running)
        job.cancel()
        await queue.wait_for_job(job, timeout=20)
        assert job.status is JobStatus.cancelled
        assert job.partial_result == (-9 if swallow else None)
