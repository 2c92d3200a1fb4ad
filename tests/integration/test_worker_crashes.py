"""Whatever a job does to its process ends that job, with a reason, and the next one runs."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue_widget import Job, JobQueue, JobStatus

SOON = 20.0


async def outcome_of(queue: JobQueue, body: Callable[..., object], *args: object) -> Job:
    """Run it, and prove that the next job runs too."""
    job = queue.submit_nowait(body, *args)
    await queue.wait_for_job(job, timeout=SOON)
    after = queue.submit_nowait(pow, 2, 10)
    await queue.wait_for_job(after, timeout=SOON)
    assert after.result == 1024
    return job


class BrokenText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class BrokenPickle(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle")


class HugeText(Exception):
    def __str__(self) -> str:
        return "x" * 100_000_000


def raises(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: sys.exit(3), "SystemExit"),
        (lambda: exec("raise KeyboardInterrupt"), "KeyboardInterrupt"),
        (lambda: exec("raise GeneratorExit"), "GeneratorExit"),
        (lambda: exec("import asyncio; raise asyncio.CancelledError"), "CancelledError"),
        (
            lambda: exec("raise ExceptionGroup('two', [ValueError(1), TypeError(2)])"),
            "ExceptionGroup",
        ),
        (lambda: exec("def f(): f()\nf()", {}), "RecursionError"),
    ],
    ids=["error", "exit", "interrupt", "generator", "cancelled", "group", "recursion"],
)
async def test_an_exception_of_any_class_fails_the_job_and_is_named(
    body: Callable[[], object], name: str
) -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, body)
        assert job.status is JobStatus.failed
        assert job.failure is not None
        assert job.failure.type_name == name
        assert str(job.error).startswith(name)
        assert name in job.failure.traceback


async def test_the_exception_itself_comes_back_where_it_can() -> None:
    async with JobQueue() as queue:
        with pytest.raises(Exception, match="ZeroDivisionError") as caught:
            await queue.submit_nowait(lambda: 1 / 0)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("kind", ["BrokenText", "BrokenPickle", "HugeText"])
async def test_an_exception_that_cannot_be_shown_or_sent_still_says_its_type(kind: str) -> None:
    def body() -> None:
        raise {"BrokenText": BrokenText, "BrokenPickle": BrokenPickle, "HugeText": HugeText}[kind]()

    async with JobQueue() as queue:
        job = await outcome_of(queue, body)
        assert job.failure is not None
        assert job.failure.type_name == kind
        assert len(job.failure.message) + len(job.failure.traceback) <= 65_536


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
async def test_a_signal_that_ends_the_worker_is_named(number: signal.Signals) -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, lambda: os.kill(os.getpid(), number))
        assert job.status is JobStatus.failed
        assert job.failure is not None
        assert job.failure.signal_name == number.name
        assert f"worker ended by {number.name}" in job.failure.message


async def test_a_death_is_told_within_a_second() -> None:
    async with JobQueue() as queue:
        await queue.submit_nowait(os.getpid)
        job = queue.submit_nowait(lambda: os.kill(os.getpid(), 9))
        await queue.wait_for_job(job, timeout=SOON)
        assert job.completed_at is not None
        assert job.started_at is not None
        assert job.completed_at - job.started_at < 1.0


async def test_an_exit_code_is_named() -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, lambda: os._exit(7))
        assert job.failure is not None
        assert job.failure.exit_code == 7


def in_c_with_the_gil_held() -> None:
    ctypes.PyDLL(None).sleep(60)


def ignores_every_signal() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(60)


def stops_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


def swallows_everything() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


@pytest.mark.parametrize(
    "body", [in_c_with_the_gil_held, ignores_every_signal, stops_itself, swallows_everything]
)
async def test_what_does_not_listen_is_forced(body: Callable[[], None]) -> None:
    async with JobQueue(cancel_timeout=0.2) as queue:
        job = queue.submit_nowait(body)
        async with asyncio.timeout(SOON):
            while job.status.value != "running" or job.phase is not None:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert job.cancel()
        assert await queue.submit_nowait(pow, 2, 3) == 8
        assert job.status is JobStatus.cancelled


def closes_its_pipes() -> None:
    os.closerange(0, 256)


def closes_standard_streams() -> str:
    for fd in (0, 1, 2):
        os.close(fd)
    return "still here"


async def test_a_job_that_closes_its_own_pipes_ends_with_a_reason() -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, closes_its_pipes)
        assert job.status is JobStatus.failed
        assert "worker" in str(job.error)


async def test_a_job_that_closes_its_standard_streams_keeps_its_result() -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, closes_standard_streams)
        assert job.result == "still here"


def takes_too_much_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    block = bytearray(8 << 30)
    block[0] = 1


async def test_running_out_of_memory_fails_the_job_only() -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, takes_too_much_memory)
        assert job.status is JobStatus.failed
        assert "MemoryError" in str(job.error)


class BrokenOnTheWayBack:
    def __reduce__(self) -> Any:
        raise RuntimeError("stays here")


class BrokenOnArrival:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit(4)",)


class KillsTheWorkerWhenPacked:
    def __reduce__(self) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


class BrokenInTheWorker:
    def __init__(self, act: str) -> None:
        self.act = act

    def __reduce__(self) -> Any:
        return exec, (self.act,)


async def test_a_result_that_cannot_be_packed_fails_the_job_and_keeps_the_worker() -> None:
    async with JobQueue() as queue:
        before = await queue.submit_nowait(os.getpid)
        job = await outcome_of(queue, lambda: BrokenOnTheWayBack())
        assert "BrokenOnTheWayBack" in str(job.error)
        assert "stays here" in str(job.error)
        assert await queue.submit_nowait(os.getpid) == before


async def test_a_result_that_cannot_be_read_fails_the_job_and_nothing_else() -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, lambda: BrokenOnArrival())
        assert job.status is JobStatus.failed
        assert "SystemExit" in str(job.error)


async def test_dying_while_the_result_is_packed_is_a_death_like_another() -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, lambda: KillsTheWorkerWhenPacked())
        assert "SIGKILL" in str(job.error)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        ("raise ValueError('on arrival')", "on arrival"),
        ("raise SystemExit(1)", "SystemExit"),
        ("import os; os._exit(5)", "code 5"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
    ],
)
async def test_arguments_that_break_while_they_are_unpacked_fail_the_job(
    act: str, told: str
) -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, print, BrokenInTheWorker(act))
        assert job.status is JobStatus.failed
        assert told in str(job.error)


async def test_a_flood_without_a_newline_is_drained_and_bounded() -> None:
    def floods() -> str:
        block = b"x" * (1 << 20)
        for _ in range(256):
            os.write(1, block)
        return "done"

    async with JobQueue() as queue:
        job = await outcome_of(queue, floods)
        assert job.result == "done"
        assert len(job.logs(10)) < 3 << 20


async def test_output_of_one_job_is_never_in_the_log_of_another() -> None:
    async with JobQueue() as queue:
        jobs = queue.map(lambda number: print(f"<{number}>"), range(50))
        await queue.join(timeout=SOON)
        assert [job.logs() for job in jobs] == [f"<{number}>\n" for number in range(50)]


async def test_a_pickled_progress_storm_ends_with_its_last_report() -> None:
    def storms() -> None:
        from jobqueue_widget import current_job

        for number in range(100_000):
            current_job().report(number / 100_000, f"{number}")
        current_job().report(0.5, "last")

    async with JobQueue() as queue:
        job = await outcome_of(queue, storms)
        assert job.status_message == "last"
