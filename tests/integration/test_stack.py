"""`job.stack()` tells where a job is right now, of whatever kind, and does not disturb it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobqueue_widget import FuturesExecutor, JobQueue, current_job
from jobqueue_widget._api.callers import stack
from jobqueue_widget.child import stacks
from jobqueue_widget.errors import JobNotRunningError, NotSupportedError, WaitTimeoutError
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.own_manager import own_manager


def innermost(report: Callable[..., None]) -> None:
    report(0.5)
    time.sleep(60)


def sleeps() -> None:
    innermost(current_job().report)


def spins() -> None:
    current_job().report(0.5)
    while True:
        pass


def recurses(depth: int = 400) -> None:
    if depth:
        recurses(depth - 1)
    else:
        innermost(current_job().report)


def has_a_helper() -> None:
    threading.Thread(target=sleeps, name="the helper", daemon=True).start()
    time.sleep(60)


def runs_a_loop() -> None:
    asyncio.run(nap())


async def nap() -> None:
    current_job().report(0.5)
    await asyncio.sleep(60)


async def awaits() -> None:
    await nap()


async def gathers() -> None:
    await asyncio.gather(nap(), nap())


async def generates() -> Any:
    await nap()
    yield 1


async def iterates() -> None:
    async for _ in generates():
        pass


KINDS: list[tuple[str | None, Any, list[str]]] = [
    (None, sleeps, ["in sleeps\n", "in innermost\n", "time.sleep(60)"]),
    (None, spins, ["in spins\n"]),
    (None, recurses, ["in recurses\n", "in innermost\n"]),
    (None, has_a_helper, ["MainThread:\n", "in has_a_helper\n", "the helper:\n", "in innermost\n"]),
    (None, runs_a_loop, ["in runs_a_loop\n", "in run\n"]),
    ("thread", sleeps, ["in sleeps\n", "in innermost\n"]),
    (None, nap, ["in nap\n", "await asyncio.sleep(60)", "in sleep\n"]),
    (None, awaits, ["in awaits\n", "await nap()", "in nap\n"]),
    (None, gathers, ["Task-", "in gathers\n", "in nap\n"]),
    (None, iterates, ["in iterates\n", "in generates\n", "in nap\n"]),
]


@pytest.mark.parametrize(
    ("executor", "target", "expected"),
    KINDS,
    ids=[f"{target.__name__}-{executor}" for executor, target, _ in KINDS],
)
async def test_it_tells_where_a_job_of_this_kind_is(
    executor: str | None, target: Any, expected: list[str]
) -> None:
    async with JobQueue(cancel_timeout=0.5) as queue:
        with_options = queue.options(executor=executor) if executor else queue
        released = threading.Event()
        if executor == "thread":  # which cannot be ended: it waits for us
            job = with_options.submit_nowait(wait_for, released)
            expected = ["in wait_for\n", "in Event.wait\n"]
        else:
            job = with_options.submit_nowait(target)
        await until(lambda: job.progress == 0.5)
        try:
            await until(lambda: expected[-1] in job.stack())
            told = job.stack()
            places = [told.index(one) for one in expected]
            assert places == sorted(places), told
            ours = [line for line in told.splitlines() if "jobqueue_widget/jobqueue" in line]
            assert not any("function_worker" in line or "job_context" in line for line in ours)
            assert told.endswith("\n")
        finally:
            released.set()
        job.cancel()
        await queue.wait_for_job(job)


def wait_for(released: threading.Event) -> str:
    current_job().report(0.5)
    released.wait(20)
    return "untouched"


@pytest.mark.parametrize("round_number", range(3))
async def test_asking_does_not_disturb_the_job(round_number: int) -> None:
    """A system call goes on, its worker serves the next job, and no thread is left there."""

    def pauses() -> str:
        current_job().report(0.5)
        try:
            signal.pause()  # which any signal with a handler ends
        except BaseException as error:
            return f"ended by {type(error).__name__}"
        return "a signal came"

    async with JobQueue() as queue:
        first = await queue.submit_nowait(os.getpid)
        job = queue.submit_nowait(pauses)
        await until(lambda: job.progress == 0.5)
        await until(lambda: "signal.pause()" in job.stack())
        for _ in range(20):
            assert "signal.pause()" in job.stack()
        job.cancel()
        await queue.wait_for_job(job)
        assert job.partial_result == "ended by JobCancelled"
        assert await queue.submit_nowait(os.getpid) == first
        assert await queue.submit_nowait(threading.active_count) == 3


async def test_a_job_may_ask_for_its_own() -> None:
    async with JobQueue(executor="thread") as queue:

        def in_thread() -> str:
            while True:
                try:
                    return queue[str(current_job().id)].stack()
                except JobNotRunningError:  # its thread is ahead of the one that launches it
                    time.sleep(0.001)

        async def in_task() -> str:
            return queue[str(current_job().id)].stack()

        for target in (in_thread, in_task):
            told = await queue.submit_nowait(target)
            assert told.count("File ") == 1
            assert f"in {target.__qualname__}\n" in told


async def test_one_that_runs_on_the_loop_is_seen_from_another_thread() -> None:
    async with JobQueue() as queue:
        told: list[str] = []

        async def computes() -> int:
            seeks = threading.Thread(target=lambda: told.append(job.stack()))
            seeks.start()
            seeks.join()
            return 3

        job = queue.submit_nowait(computes)
        assert await job == 3
        assert "computes\n    seeks." in told[0]


async def test_a_plugin_tells_where_its_call_is(tmp_path: Path) -> None:
    with own_manager(tmp_path, plugins=["toolbox"]) as manager:
        async with JobQueue(manager) as queue:
            path = tmp_path / "begun"
            job = queue.submit_nowait("toolbox", "sleep", path=str(path))
            await until(path.exists)
            await until(lambda: "in Toolbox.do_sleep" in job.stack() or "do_sleep" in job.stack())
            assert "toolbox.py" in job.stack()
            job.cancel()
            await queue.wait_for_job(job)


async def test_a_secret_is_not_shown() -> None:
    async with JobQueue() as queue:

        def logs_in(password: str) -> None:
            current_job().report(0.5)
            time.sleep(60) if password == "correct-horse" else None

        job = queue.submit_nowait(logs_in, password="correct-horse")
        await until(lambda: job.progress == 0.5)
        await until(lambda: "time.sleep" in job.stack())
        assert "correct-horse" not in job.stack()
        job.cancel()
        await queue.wait_for_job(job)


# -- what has none -------------------------------------------------------------------------------


async def test_a_job_that_does_not_run_has_none() -> None:
    async with JobQueue() as queue:
        running = queue.submit_nowait(time.sleep, 60)
        pending = queue.submit_nowait(time.sleep, 60)
        with pytest.raises(JobNotRunningError, match="is pending"):
            pending.stack()
        await until(lambda: running.status == "running")
        running.cancel()
        await queue.wait_for_job(running)
        with pytest.raises(JobNotRunningError, match="is cancelled"):
            running.stack()


def test_the_next_job_of_a_worker_is_not_taken_for_the_one_that_was_asked() -> None:
    contexts = [SimpleNamespace(number=number) for number in (1, 2)]  # the first one ends meanwhile
    body = type("Body", (), {"context": property(lambda _: contexts.pop(0))})()
    sent: list[bytes] = []
    pipes = SimpleNamespace(send=lambda kind, number, parts: sent.append(b"".join(parts)))
    stacks._answer(SimpleNamespace(body=body, threads=set(), pipes=pipes), 7, "1")
    assert b"it has just ended" in sent[0]
    assert b"test_stack.py" not in sent[0]


async def test_it_begins_and_ends_at_any_moment() -> None:
    """Whatever is asked while jobs come and go: a stack or one clear error, at once."""
    async with JobQueue(max_running=2) as queue:
        jobs = queue.map(sum, [[1, 2]] * 60)
        asked = 0
        while not all(job.done for job in jobs):
            for job in jobs:
                try:
                    assert isinstance(job.stack(), str)
                    asked += 1
                except JobNotRunningError:
                    continue
            await asyncio.sleep(0.001)  # with 0 the other threads may not get the GIL for a minute
        assert [await job for job in jobs] == [3] * 60
        assert inspect(queue).faults.bugs == 0


@pytest.mark.parametrize("how", ["C code", "stopped"])
async def test_one_that_cannot_answer_is_told_in_time(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "PATIENCE", 0.3)

    def holds() -> None:
        current_job().report(0.5)
        ctypes.PyDLL(None).sleep(60)  # a PyDLL keeps the GIL in its calls

    async with JobQueue(cancel_timeout=0.1) as queue:
        job = queue.submit_nowait(holds if how == "C code" else sleeps)
        await until(lambda: job.progress == 0.5)
        if how == "stopped":
            for worker in inspect(queue).workers:
                os.kill(worker.pid, signal.SIGSTOP)
        else:
            await until(lambda: does_not_answer(job))
        with pytest.raises(WaitTimeoutError, match="does not answer"):
            job.stack()
        job.cancel()
        await queue.wait_for_job(job)


def does_not_answer(job: Any) -> bool:
    try:
        job.stack()
    except WaitTimeoutError:
        return True
    return False


async def test_engines_that_do_not_tell_say_so(tmp_path: Path) -> None:
    def waits_for(path: Path) -> None:
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.002)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        async with JobQueue(executor=FuturesExecutor(pool)) as queue:
            job = queue.submit_nowait(waits_for, tmp_path / "released")
            await until(lambda: job.status == "running")
            with pytest.raises(NotSupportedError, match="does not tell"):
                job.stack()
            (tmp_path / "released").touch()
            await queue.wait_for_job(job)
