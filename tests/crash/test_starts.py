"""Whatever fails while a job is started ends that start with the reason, and nothing else.

The places are found, not listed: one start is watched, and every call of the system that is made
for it in this process, between the job's transition to running and its body, fails in its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, PluginManager
from jobqueue_widget._core import retrying
from jobqueue_widget._threads.supervisor import Supervisor
from jobqueue_widget.errors import InvalidOptionError
from jobqueue_widget.executors.thread import ThreadExecutor
from jobqueue_widget.testing import inspect
from tests.crash.faults import Fault
from tests.crash.processes import wait_until
from tests.leaks import Resources
from tests.own_manager import own_manager
from tests.threads import NO_ROOM, no_threads

SAID = "as the test wants it"
OF_ONE_PLACE = 4  # calls, as for the pipes of a worker; looking for a library makes a hundred
SECOND = {"posix.pipe in <genexpr> for open_pipes.<locals>.<genexpr>, 2"}  # one is there already
NUMBERS = ("EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "ENOSPC", "EACCES")
NO_THREAD = "no thread"
ERRORS: dict[str, Callable[[], BaseException]] = {
    NO_THREAD: lambda: RuntimeError(f"{NO_ROOM} ({SAID})"),
    "ValueError": lambda: ValueError(SAID),
    "AssertionError": lambda: AssertionError(SAID),
    "MemoryError": lambda: MemoryError(SAID),
    **{name: partial(OSError, getattr(errno, name), SAID) for name in NUMBERS},
}
OF_THE_MACHINE = {*NUMBERS, NO_THREAD, "MemoryError"}


# -- one start of each kind -----------------------------------------------------------------------


class Kind:
    """One way for a job to start: what is submitted, and what is there before."""

    def __init__(
        self,
        name: str,
        submit: Callable[[JobQueue], Any],
        before: str = "",
        *,
        is_quick: bool = False,
    ) -> None:
        self.name, self.submit, self.before = name, submit, before
        self.is_quick = is_quick  # enough to try every error at every call

    @contextlib.contextmanager
    def queue(self, folder: Path) -> Iterator[JobQueue]:
        with contextlib.ExitStack() as stack:
            manager = None
            if self.before == "a plugin without its worker":
                folder.mkdir()
                manager = stack.enter_context(own_manager(folder, plugins=["toolbox"]))
                plugin = manager.get_plugin("toolbox")
                assert plugin is not None
                assert plugin.pid is not None
                os.kill(plugin.pid, signal.SIGKILL)
                wait_until(lambda: plugin.pid is None, 10)
            yield JobQueue(manager, cancel_timeout=0.2)


async def in_the_loop() -> int:
    return 3


def elsewhere() -> int:
    return 3


class Made:
    """Takes a thread to be packed for another job: it may run code then."""


def taken(made: list[Made]) -> int:
    return 2 + len(made)


KINDS = [
    Kind("process", lambda queue: queue.submit_nowait(elsewhere)),
    Kind("warm process", lambda queue: queue.submit_nowait(elsewhere), "a job"),
    Kind(
        "thread",
        lambda queue: queue.options(executor="thread").submit_nowait(elsewhere),
        is_quick=True,
    ),
    Kind("coroutine", lambda queue: queue.submit_nowait(in_the_loop), is_quick=True),
    Kind(
        "plugin",
        lambda queue: queue.submit_nowait("toolbox", "echo", 3),
        "a plugin without its worker",
    ),
    Kind(
        "result to be packed",
        lambda queue: queue.submit_nowait(taken, [queue["made"]]),
        "a result of a thread",
    ),
    Kind(
        "result in a file",
        lambda queue: queue.options(executor="thread").submit_nowait(taken, [queue["made"]]),
        "a packed result",
    ),
]


async def play(kind: Kind, fault: Fault, folder: Path) -> Any:
    """One job while the fault is there, one after it, and the end of the queue."""
    with kind.queue(folder) as queue:
        return await play_in(queue, kind, fault)


async def play_in(queue: JobQueue, kind: Kind, fault: Fault) -> Any:
    await queue.start()
    threads = []
    if isinstance(queue.manager, PluginManager):
        threads.append(queue.manager._runtime.io)
    elif kind.before:
        threads.append(inspect(queue).engine.io)
    if "result" in kind.before:
        executor = "thread" if "thread" in kind.before else "process"
        queue.pause()
        made = queue.options(executor=executor, label="made").submit_nowait(Made)
        child = queue.submit_nowait(taken, [made])  # so that it stays packed
        queue.hold(child)
        queue.resume()
        await asyncio.wait_for(queue.wait_for_job(made), 20)
        assert (made.status.value, child.status.value) == ("completed", "pending"), made.error
        child.cancel()
    if kind.before == "a job":
        assert await asyncio.wait_for(kind.submit(queue), 20) == 3
    with fault.watching(threads):
        job = kind.submit(queue)
        await asyncio.wait_for(queue.wait_for_job(job), 20)
    assert await asyncio.wait_for(kind.submit(queue), 20) == 3, "the next job"
    assert inspect(queue).faults.bugs == 0
    inspect(queue).validate()
    began = time.monotonic()
    await queue.stop(timeout=5)
    assert time.monotonic() - began < 7
    await asyncio.wait_for(queue.close(), 7)
    return job


@pytest.fixture
def quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "wait_seconds", lambda count: 0.01 * count)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_start_that_fails_anywhere_ends_or_is_tried_again_and_wedges_nothing(
    kind: Kind,
    tmp_path: Path,
    quick_waits: None,
    note: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    calls = await calls_of(kind, tmp_path)
    few = [call for call in calls if call.endswith(", 1") or call in SECOND]
    faults = [
        (call, name)
        for place, call in enumerate(few)
        for name in (ERRORS if kind.is_quick else likely(call, place))
    ]
    await fail(kind, faults, tmp_path)
    assert {*calls} >= SECOND or "process" not in kind.name or kind.before
    note(f"{kind.name}: {len(faults)} faults in {len(few)} calls of {len(calls)}")


async def calls_of(kind: Kind, folder: Path) -> list[str]:
    """Those of its start, but for what is done once in a process only."""
    for round_ in "first", "second":
        watch = Fault()
        assert (await play(kind, watch, folder / round_)).status.value == "completed"
    return watch.calls


async def fail(kind: Kind, faults: list[tuple[str, str]], folder: Path) -> int:
    """Each of them by itself; which threads come before the body differs, but most take place."""
    raised = 0
    for number, (call, name) in enumerate(faults):
        raised += await one_fault(kind, call, name, folder / str(number))
    assert raised > len(faults) / 2, f"{raised} of {len(faults)} took place"
    return raised


def likely(call: str, place: int) -> set[str]:
    """One of all errors in turn, and what a thread that cannot be started raises."""
    turn = list(ERRORS)[3 * place % len(ERRORS)]
    return {turn, NO_THREAD} if "start_new_thread" in call else {turn}


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_start_may_fail_anywhere_with_anything(
    kind: Kind,
    tmp_path: Path,
    quick_waits: None,
    note: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    calls = await calls_of(kind, tmp_path)
    places = {call.rpartition(", ")[0] for call in calls}
    some = [call for call in calls if int(call.rpartition(", ")[2]) <= OF_ONE_PLACE]
    faults = list(itertools.product(some, ERRORS))
    raised = await fail(kind, faults, tmp_path)
    note(f"{kind.name}: {len(some)} calls in {len(places)} places, each with {len(ERRORS)} errors")
    note(f"{kind.name}: {raised} of these {len(faults)} took place")


async def one_fault(kind: Kind, call: str, name: str, folder: Path) -> bool:
    """False: the call was not made this time."""
    before = Resources.now()
    fault = Fault(call, ERRORS[name]())
    try:
        job = await play(kind, fault, folder)
    except BaseException as error:
        raise AssertionError(f"{name} at {call}: {error!r}") from error
    where = f"{name} at {call}: {job.status}, {job.error}"
    if job.status.value != "completed":
        assert job.status.value == "failed", where
        assert name not in OF_THE_MACHINE, where
        assert SAID in str(job.error), where
    was_raised = fault.was_raised
    del job, fault  # which keep the queue, and so the file of a result
    left = before.wait_for_what_is_new_to_go()
    assert not left, f"{where}: {left}"
    return was_raised


# -- what does not pass by itself -----------------------------------------------------------------


def no_interpreter(patch: pytest.MonkeyPatch) -> str:
    patch.setattr(sys, "executable", "/nowhere/python")
    return "/nowhere/python"


def no_descriptors(patch: pytest.MonkeyPatch) -> str:
    def pipe() -> tuple[int, int]:
        raise OSError(errno.EMFILE, SAID)

    patch.setattr(os, "pipe", pipe)
    return SAID


@pytest.mark.parametrize("executor", ["process", "thread"])
@pytest.mark.parametrize("trouble", [no_interpreter, no_descriptors, no_threads])
async def test_what_cannot_be_started_fails_and_two_of_them_pause_the_queue(
    trouble: Callable[[pytest.MonkeyPatch], str], executor: str, quick_waits: None
) -> None:
    if executor == "thread" and trouble is no_interpreter:
        return
    async with JobQueue(cancel_timeout=0.2) as queue:
        view = queue.options(executor=executor, retries=2)
        with pytest.MonkeyPatch.context() as patch:
            said = trouble(patch)
            jobs = [view.submit_nowait(elsewhere) for _ in range(3)]
            spent = time.process_time()
            for job in jobs[:2]:
                if trouble is no_descriptors and executor == "thread":
                    assert await asyncio.wait_for(job, 20) == 3  # it wants none
                    continue
                await asyncio.wait_for(queue.wait_for_job(job), 20)
                assert job.status.value == "failed"
                assert job.attempt == 1
                assert said in str(job.error)
            assert time.process_time() - spent < 2, "it spins"
        if jobs[0].status.value == "failed":
            assert queue.paused
            assert said in str(inspect(queue).pause)
            assert jobs[2].status.value == "pending"
            queue.resume()
        assert await asyncio.wait_for(jobs[2], 20) == 3


@pytest.mark.parametrize("error", [AttributeError(), PermissionError(), OSError(errno.ENOSYS, "")])
async def test_workers_run_where_there_is_no_pidfd(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(pid: int) -> int:
        raise error

    monkeypatch.setattr(os, "pidfd_open", refused)
    async with JobQueue() as queue:
        job = queue.submit_nowait(elsewhere)
        assert await asyncio.wait_for(job, 20) == 3
        assert job.attempt == 1


def test_a_wake_up_that_failed_is_made_up_for_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    io, called = Supervisor("io"), threading.Event()
    io.call(int)
    wait_until(lambda: not io._awake, 10)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: int(""))
        with pytest.raises(ValueError, match="int"):
            io.call(int)
    io.call(called.set)
    assert called.wait(10)
    io.close()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_no_exception_of_a_start_ends_the_thread_that_looks_after_workers(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def popen(*args: object, **options: object) -> None:  # an audit hook of the user's, say
        raise kind(SAID)

    async with JobQueue() as queue:
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", popen)
            job = queue.submit_nowait(elsewhere)
            await asyncio.wait_for(queue.wait_for_job(job), 20)
        assert SAID in str(job.error)
        assert await asyncio.wait_for(queue.submit_nowait(elsewhere), 20) == 3


async def test_a_job_that_waits_for_another_start_says_why_and_keeps_place_and_lane() -> None:
    async with JobQueue() as queue:
        with pytest.MonkeyPatch.context() as patch:
            said = no_interpreter(patch)
            first, second = (queue.submit_nowait(elsewhere) for _ in range(2))
            async for event in queue.events():
                if event.type == "retrying":
                    break
            assert first.status.value == "pending"
            assert said in str(first.block_reason)
            assert queue.jobs("pending")[0] is first
            assert second.status.value == "pending"
            assert inspect(queue).lanes.taken == 1
        assert [await first, await second] == [3, 3]
        assert first.attempt == 1


async def test_a_stop_does_not_wait_for_another_start() -> None:
    queue = await JobQueue().start()
    with pytest.MonkeyPatch.context() as patch:
        no_interpreter(patch)
        job = queue.submit_nowait(elsewhere)
        async for event in queue.events():
            if event.type == "retrying":
                break
        await asyncio.wait_for(queue.stop(), 7)
        assert job.status.value == "pending"
    await queue.start()
    assert await asyncio.wait_for(job, 20) == 3
    await queue.close()


@pytest.mark.parametrize(
    "env", [{"A=B": "1"}, {"": "1"}, {"A\0": "1"}, {"A": "1\0"}, {"A": "\ud800"}]
)
def test_an_environment_that_no_process_can_have_is_refused_where_it_is_given(
    env: dict[str, str],
) -> None:
    with pytest.raises(InvalidOptionError, match="env"):
        JobQueue(env=env)


async def test_a_stop_is_over_in_time_though_an_executor_never_closes() -> None:
    async def close() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
                return
            if released.is_set():
                return

    released = asyncio.Event()
    queue = await JobQueue().start()
    with pytest.MonkeyPatch.context() as patch:
        assert await queue.options(executor="thread").submit_nowait(elsewhere) == 3
        patch.setattr(ThreadExecutor, "close", lambda executor: close())
        began = time.monotonic()
        await queue.stop(timeout=0.5)
        assert 0.5 < time.monotonic() - began < 20
        released.set()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    await queue.close()
