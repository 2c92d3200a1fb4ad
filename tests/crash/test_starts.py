"""Whatever fails while a job is started ends that start with the reason, and nothing else.

The places are found, not listed: one start is watched, and every call of the system that is made
for it in this process, between the job's transition to running and its body, fails in its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import jobqueue_widget
from jobqueue_widget import JobQueue, PluginManager
from jobqueue_widget._core import rules, starting
from jobqueue_widget._core.starting import lies_with_the_machine
from jobqueue_widget._runtime.runner import Run
from jobqueue_widget._runtime.supervisor import Supervisor
from jobqueue_widget.errors import InvalidOptionError
from jobqueue_widget.executors.thread import ThreadExecutor
from jobqueue_widget.worker.piped import PipedWorker
from tests.crash.processes import wait_until
from tests.leaks import Resources
from tests.own_manager import own_manager

PACKAGE = str(Path(jobqueue_widget.__file__).parent)
CAN_FAIL = {
    "posix",
    "_posixsubprocess",
    "select",
    "_io",
    "io",
    "_pickle",
}  # of the system, or large
CANNOT_FAIL = {"getpid", "fspath", "getppid", "register_at_fork"}
UNDOING = {"close", "waitpid", "kill", "killpg", "unlink", "rmdir", "__exit__"}
NOT_OURS = {"posix.read in _execute_child", "io.open in __init__"}  # `subprocess` leaks there
SAID = "as the test wants it"
NUMBERS = ("EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "ENOSPC", "EACCES")
ERRORS: dict[str, Callable[[], BaseException]] = {
    **{name: partial(OSError, getattr(errno, name), SAID) for name in NUMBERS},
    "no thread": lambda: RuntimeError(f"can't start new thread ({SAID})"),
    "ValueError": lambda: ValueError(SAID),
    "AssertionError": lambda: AssertionError(SAID),
    "MemoryError": lambda: MemoryError(SAID),
}


class Fault:
    """Counts calls of the system between Launched and the body; the one of that number fails."""

    def __init__(self, number: int = -1, error: BaseException | None = None) -> None:
        self.sites: list[str] = []
        self.number, self.error = number, error
        self.raised = ""
        self._begun = self._over = False

    @contextlib.contextmanager
    def watching(self, threads: Sequence[Supervisor]) -> Iterator[None]:
        """This thread, those that begin meanwhile, and these, which may be there."""
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)
        for thread in threads:
            thread.call(sys.setprofile, self._on_event)
        try:
            yield
        finally:
            for thread in threads:
                thread.call(sys.setprofile, None)
            sys.setprofile(None)
            threading.setprofile(None)

    def body_begins(self) -> None:
        self._over = True

    def _on_event(self, frame: FrameType, event: str, arg: Any) -> None:
        if self._over:
            return
        if event == "return" and frame.f_code is rules.launch.__code__:
            self._begun = True
        elif event == "call" and self._begun and _is_the_body(frame):
            self._over = True
        elif event == "c_call" and self._begun and _can_fail(arg) and _is_ours(frame):
            site = f"{_name(arg)} in {frame.f_code.co_name}"
            if site in NOT_OURS:
                return
            self.sites.append(site)
            if len(self.sites) - 1 == self.number and self.error is not None:
                self._over = True
                self.raised = self.sites[-1]
                raise self.error


def _is_the_body(frame: FrameType) -> bool:
    """The worker has been given the job, or the job has ended before it began."""
    code = frame.f_code
    if code is Run.phase.__code__:
        return frame.f_locals["text"] is None
    return code is Run.ended.__code__ or code is PipedWorker._read_frames.__code__


def _can_fail(call: Any) -> bool:
    name, owner = call.__name__, getattr(call, "__self__", None)
    module = getattr(call, "__module__", None) or type(owner).__module__
    if module == "_thread":
        return bool(name == "start_new_thread")
    return module in CAN_FAIL and name not in (*CANNOT_FAIL, *UNDOING) and name[0] != "W"


def _is_ours(frame: FrameType | None) -> bool:
    if threading.current_thread().name in ("jobqueue-guard", "jobqueue-resources"):
        return False  # a failure there is nobody's start
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            return True
        if frame.f_code.co_name in ("emit", "handle"):
            return False  # of a logger
        frame = frame.f_back
    return False


def _name(call: Any) -> str:
    owner = getattr(call, "__self__", None)
    module = getattr(call, "__module__", None) or type(owner).__name__
    return f"{module}.{call.__name__}"


# -- one start of each kind -----------------------------------------------------------------------


class Kind:
    """One way for a job to start: what is submitted, and what is there before."""

    def __init__(self, name: str, submit: Callable[[JobQueue], Any], before: str = "") -> None:
        self.name, self.submit, self.before = name, submit, before

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


KINDS = [
    Kind("process", lambda queue: queue.submit_nowait(elsewhere)),
    Kind("warm process", lambda queue: queue.submit_nowait(elsewhere), "a job"),
    Kind("thread", lambda queue: queue.options(executor="thread").submit_nowait(elsewhere)),
    Kind("coroutine", lambda queue: queue.submit_nowait(in_the_loop)),
    Kind(
        "plugin",
        lambda queue: queue.submit_nowait("toolbox", "echo", 3),
        "a plugin without its worker",
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
        threads.append(queue.manager._house.io)
    elif kind.before:
        threads.append(queue._engine.io)
    if kind.before == "a job":
        assert await asyncio.wait_for(kind.submit(queue), 20) == 3
    with fault.watching(threads):
        job = kind.submit(queue)
        await asyncio.wait_for(queue.wait_for_job(job), 20)
    assert await asyncio.wait_for(kind.submit(queue), 20) == 3, "the next job"
    assert queue._engine.bugs == 0
    queue._engine.state.validate()
    began = time.monotonic()
    await queue.stop(timeout=5)
    assert time.monotonic() - began < 7
    await asyncio.wait_for(queue.close(), 7)
    return job


@pytest.fixture
def quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "wait_seconds", lambda count: 0.01 * count)


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
    watch = Fault()
    assert (await play(kind, watch, tmp_path / "watched")).status.value == "completed"
    names = list(ERRORS)
    sites = {site: number for number, site in reversed([*enumerate(watch.sites)])}  # the first each
    for place, (site, number) in enumerate(sites.items()):
        await one_fault(kind, number, names[place % len(names)], site, tmp_path / str(number))
    note(f"{kind.name}: {len(sites)} calls of {len(watch.sites)}")


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
    watch = Fault()
    await play(kind, watch, tmp_path / "watched")
    for number, site in enumerate(watch.sites):
        for name in ERRORS:
            await one_fault(kind, number, name, site, tmp_path / f"{number} {name}")
    note(f"{kind.name}: {len(watch.sites)} calls, each with {len(ERRORS)} errors")


async def one_fault(kind: Kind, number: int, name: str, site: str, folder: Path) -> None:
    before = Resources.now()
    fault = Fault(number, ERRORS[name]())
    try:
        job = await play(kind, fault, folder)
    except BaseException as error:
        raise AssertionError(
            f"{name} at call {number}, {fault.raised or site}: {error!r}"
        ) from error
    where = f"{name} at call {number}, {fault.raised}: {job.status}, {job.error}"
    if job.status.value != "completed":
        assert fault.error is not None
        assert job.status.value == "failed", where
        assert not lies_with_the_machine(fault.error), where
        assert SAID in str(job.error), where
    left = before.wait_for_what_is_new_to_go()
    assert not left, f"{where}: {left}"


# -- what does not pass by itself -----------------------------------------------------------------


def no_interpreter(patch: pytest.MonkeyPatch) -> str:
    patch.setattr(sys, "executable", "/nowhere/python")
    return "/nowhere/python"


def no_descriptors(patch: pytest.MonkeyPatch) -> str:
    def pipe() -> tuple[int, int]:
        raise OSError(errno.EMFILE, SAID)

    patch.setattr(os, "pipe", pipe)
    return SAID


def no_threads(patch: pytest.MonkeyPatch) -> str:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start new thread ({SAID})")

    patch.setattr(threading.Thread, "start", start)
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
            assert said in str(queue._engine.state.pause)
            assert jobs[2].status.value == "pending"
            queue.resume()
        assert await asyncio.wait_for(jobs[2], 20) == 3


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
            assert queue._engine.state.order.first() is first._record
            assert second.status.value == "pending"
            assert queue._engine.state.lanes_taken == 1
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
