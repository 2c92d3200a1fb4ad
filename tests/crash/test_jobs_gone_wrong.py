"""Whatever a job does to its process ends that job, with a reason, and the next one runs."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import psutil
import pytest

from jobqueue_widget import Job, JobQueue, JobStatus, ResultNotKeptError
from jobqueue_widget._runtime.storage.told.logs import JobLog

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


def ignores_every_signal() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(60)


def swallows_everything() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


@pytest.mark.parametrize("body", [ignores_every_signal, swallows_everything])
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


async def test_a_job_that_closes_its_own_pipes_ends_with_a_reason() -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, closes_its_pipes)
        assert job.status is JobStatus.failed
        assert "worker" in str(job.error)


def speaks_as_its_worker(kind: bytes, text: str) -> None:
    import gc
    import time

    from jobqueue_widget import current_job

    pipes: Any = next(one for one in gc.get_objects() if type(one).__name__ == "Pipes")
    body = text.encode()
    if kind in (b"E", b"D"):  # one part, or two, as the worker packs them
        parts = [body, b""][: 1 if kind == b"E" else 2]
        lengths = [len(parts), *map(len, parts)]
        body = b"".join(length.to_bytes(8, "big") for length in lengths) + body
    pipes.send(kind, current_job().number, [body])  # type: ignore[union-attr]
    time.sleep(60)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((b"E", text) for text in ("[]", "3", "null", "{}", '{"kind": "value"}', "no json")),
        (b"E", '{"kind": "error", "type": 1, "message": [], "traceback": null}'),
        *((b"D", text) for text in ("3", "null", "[1]", "no json")),
        *((b"P", text) for text in ("3", "null", "[1]", '{"a": 1}', "no json")),
    ],
)
async def test_a_job_that_forges_the_words_of_its_worker_ends_with_it(
    kind: bytes, text: str
) -> None:
    async with JobQueue() as queue:
        job = await outcome_of(queue, speaks_as_its_worker, kind, text)
        assert job.status is JobStatus.failed
        assert "cannot be read" in str(job.error)


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


async def test_a_result_that_cannot_be_packed_is_told_and_keeps_job_and_worker() -> None:
    async with JobQueue() as queue:
        before = await queue.submit_nowait(os.getpid)
        job = await outcome_of(queue, lambda: BrokenOnTheWayBack())
        assert job.status is JobStatus.completed
        with pytest.raises(ResultNotKeptError, match=r"stays here.*BrokenOnTheWayBack"):
            await job
        assert await queue.submit_nowait(os.getpid) == before


async def test_a_gibibyte_without_a_newline_is_drained_and_takes_no_memory_of_the_kernel(
    note: Callable[[str], None],
) -> None:
    def floods() -> str:
        block = b"x" * (1 << 20)
        for _ in range(1024):
            left = memoryview(block)
            while left:
                left = left[os.write(1, left) :]
        return "done"

    async with JobQueue() as queue:
        await queue.submit_nowait(pow, 2, 3)
        before, most = psutil.Process().memory_info().rss, 0
        job = queue.submit_nowait(floods)
        while not job.done:
            most = max(most, psutil.Process().memory_info().rss - before)
            await asyncio.sleep(0.01)
        assert job.result == "done"
        assert len(job.logs(10)) < 3 << 20
        assert cast("JobLog", job._record.log).size == 1 << 30
        assert most < 64 << 20
        note(f"1 GiB of output took {most / (1 << 20):.0f} MiB of the kernel's memory")


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
