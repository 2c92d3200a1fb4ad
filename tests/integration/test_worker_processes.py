"""Workers: warm, replaced when they must be, asked and forced, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue_widget import (
    JobCancelled,
    JobCancelledError,
    JobQueue,
    JobStatus,
    NotKept,
    ResultNotKeptError,
    UnpicklableJobError,
    current_job,
)
from jobqueue_widget._core import retrying
from jobqueue_widget.executors.process import ProcessExecutor
from jobqueue_widget.testing import inspect
from jobqueue_widget.workers.process import WorkerProcess
from tests.crash.processes import alive
from tests.sockets import Listeners

SOON = 20.0
REPOSITORY = str(Path(__file__).parents[2])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.005)


# -- warm workers ----------------------------------------------------------------------------------


async def test_a_worker_serves_many_jobs() -> None:
    async with JobQueue() as queue:
        pids = [await queue.submit_nowait(os.getpid) for _ in range(5)]
        assert len(set(pids)) == 1
        assert pids[0] != os.getpid()


async def test_lanes_run_at_the_same_time() -> None:
    async with JobQueue(max_running=3) as queue:
        jobs = queue.map(lambda _: time.sleep(0.3), range(3))
        await until(lambda: all(job.status is JobStatus.running for job in jobs))
        await queue.join(timeout=SOON)


async def test_a_fresh_job_gets_a_new_worker_and_leaves_it_to_nobody() -> None:
    async with JobQueue() as queue:
        warm = await queue.submit_nowait(os.getpid)
        fresh = await queue.options(fresh=True).submit_nowait(os.getpid)
        again = await queue.submit_nowait(os.getpid)
        assert fresh not in (warm, again)


async def test_a_worker_is_replaced_after_so_many_jobs() -> None:
    async with JobQueue(recycle_after=2) as queue:
        pids = [await queue.submit_nowait(os.getpid) for _ in range(6)]
        assert len(set(pids)) == 3


async def test_restarting_replaces_warm_workers() -> None:
    async with JobQueue() as queue:
        before = await queue.submit_nowait(os.getpid)
        queue.restart_workers()
        assert await queue.submit_nowait(os.getpid) != before


async def test_a_worker_that_dies_while_idle_is_replaced_silently() -> None:
    async with JobQueue() as queue:
        pid = await queue.submit_nowait(os.getpid)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not alive(pid))
        await asyncio.sleep(0.05)
        assert await queue.submit_nowait(os.getpid) != pid


@pytest.mark.parametrize("size", [1, 4 << 20], ids=["small", "more than its pipe holds"])
@pytest.mark.parametrize("how", ["stopped when it was given", "dead when it was given"])
async def test_a_worker_that_dies_without_reading_its_job_does_not_cost_the_job(
    how: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave_a_mark(data: bytes) -> int:
        with open(tmp_path / "marks", "ab") as file:
            file.write(b".")
        return os.getpid()

    monkeypatch.setattr(retrying, "wait_seconds", lambda count: 0.01)
    async with JobQueue(max_running=2) as queue:
        pid = await queue.submit_nowait(os.getpid)
        os.kill(pid, signal.SIGSTOP if how.startswith("stopped") else signal.SIGKILL)
        jobs = [queue.submit_nowait(leave_a_mark, bytes(size)) for _ in range(2)]
        if how.startswith("stopped"):
            await until(lambda: all(job.status is JobStatus.running for job in jobs))
            os.kill(pid, signal.SIGKILL)
        await queue.join(timeout=SOON)
        assert [job.status for job in jobs] == [JobStatus.completed] * 2, [j.error for j in jobs]
        assert pid not in [job.result for job in jobs]
        assert [job.attempt for job in jobs] == [1, 1]
        assert (tmp_path / "marks").read_bytes() == b".."


def is_ready(worker: WorkerProcess) -> bool:
    return worker.was_ready


async def test_a_worker_that_becomes_ready_while_it_is_given_a_job_is_given_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames_for = ProcessExecutor.frames_for
    waited: list[WorkerProcess] = []

    def late(self: ProcessExecutor, worker: WorkerProcess, *rest: Any) -> Any:
        if not worker.was_ready and threading.current_thread() is threading.main_thread():
            waited.append(worker)
            while not is_ready(worker):
                time.sleep(0.01)
            heard = threading.Event()
            self.context.io.call(heard.set)  # behind the worker's word that it is ready
            heard.wait(SOON)
        return frames_for(self, worker, *rest)

    def wait_for(path: Path) -> int:
        while not path.exists():
            time.sleep(0.01)
        return os.getpid()

    monkeypatch.setattr(ProcessExecutor, "frames_for", late)
    async with JobQueue(max_running=3) as queue:
        jobs = [queue.submit_nowait(wait_for, tmp_path / "go")]
        await until(lambda: len(inspect(queue).workers) == 2)  # it works, and a spare one starts
        jobs += [queue.submit_nowait(wait_for, tmp_path / "go") for _ in range(2)]
        await until(lambda: len(queue.jobs("running")) == 3)
        (tmp_path / "go").touch()
        assert len({await job for job in jobs}) == 3
        assert waited


async def test_a_job_that_its_worker_has_read_is_not_run_again(tmp_path: Path) -> None:
    def die(mark: Path) -> None:
        with open(mark, "ab") as file:
            file.write(b".")
        os.kill(os.getpid(), signal.SIGKILL)

    class Reads:
        """Ends its process while it is unpickled, before any body begins."""

        def __reduce__(self) -> Any:
            return die, (tmp_path / "marks",)

    async with JobQueue() as queue:
        jobs = [queue.submit_nowait(die, tmp_path / "marks")]
        jobs += [queue.submit_nowait(print, Reads())]
        await queue.join(timeout=SOON)
        assert ["SIGKILL" in str(job.error) for job in jobs] == [True, True]
        assert [job.status for job in jobs] == [JobStatus.failed] * 2
        assert (tmp_path / "marks").read_bytes() == b".."


async def test_jobs_see_the_folder_path_and_environment_of_their_submit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with JobQueue(env={"GIVEN": "by the queue"}) as queue:
        await queue.submit_nowait(os.getpid)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("SET_IN_A_CELL", "yes")
        monkeypatch.setenv("JUPYTER_TOKEN", "secret")
        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / "written_in_a_cell.py").write_text("value = 41\n")

        def look() -> tuple[Any, ...]:
            import importlib

            written_in_a_cell = importlib.import_module("written_in_a_cell")
            names = ("SET_IN_A_CELL", "GIVEN", "JUPYTER_TOKEN")
            return os.getcwd(), [os.environ.get(name) for name in names], written_in_a_cell.value

        job = queue.submit_nowait(look)
        monkeypatch.setenv("SET_IN_A_CELL", "too late")
        monkeypatch.chdir("/")
        sys.path.remove(str(tmp_path))
        assert await job == (str(tmp_path), ["yes", "by the queue", None], 41)


async def test_a_job_starts_from_a_clean_process() -> None:
    def makes_a_mess() -> None:
        os.chdir("/")
        os.environ["LEFT"] = "over"
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.stdout = None
        sys.argv.append("left")

    def looks() -> tuple[object, ...]:
        return os.getcwd(), os.environ.get("LEFT"), len(sys.argv), sys.stdout is None

    async with JobQueue(cancel_timeout=5) as queue:
        await queue.submit_nowait(makes_a_mess)
        assert await queue.submit_nowait(looks) == (os.getcwd(), None, 1, False)
        job = queue.submit_nowait(time.sleep, 60)
        await until(lambda: job.status is JobStatus.running)
        await asyncio.sleep(0.05)
        job.cancel()
        await until(lambda: job.done)
        assert job.status is JobStatus.cancelled, "the request to stop still gets through"
        assert job.failure is not None
        assert job.failure.signal_name is None


# -- functions typed in a notebook -----------------------------------------------------------------


def test_what_is_typed_in_main_runs_and_keeps_its_types(tmp_path: Path) -> None:
    source = f"""
import sys; sys.path.insert(0, {REPOSITORY!r})
from dataclasses import dataclass
from jobqueue_widget import JobQueue
SCALE = 3
@dataclass
class Point:
    x: int
def scaled(point): return Point(point.x * SCALE)
def make(offset): return lambda value: value + offset
with JobQueue(loop="thread") as queue:
    jobs = [queue.submit_nowait(scaled, Point(2)), queue.submit_nowait(make(5), 1)]
    queue.wait(timeout=20)
    print(isinstance(jobs[0].result, Point), jobs[0].result, jobs[1].result)
"""
    ran = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == "True Point(x=6) 6\n", ran.stderr
    assert not ran.stderr


async def test_arguments_are_a_snapshot_of_when_they_were_submitted() -> None:
    async with JobQueue() as queue:
        values = [1, 2]
        job = queue.submit_nowait(sum, values)
        values.append(100)
        assert await job == 3


LOCK = threading.Lock()


@pytest.mark.parametrize(
    ("submit", "told"),
    [
        (lambda queue: queue.submit_nowait(print, 1, threading.Lock()), "argument 2 (lock)"),
        (lambda queue: queue.submit_nowait(print, end=threading.Lock()), "argument 'end' (lock)"),
        (
            lambda queue: (lambda lock: queue.submit_nowait(lambda: lock))(threading.Lock()),
            "captured variable 'lock'",
        ),
    ],
    ids=["argument", "keyword", "captured"],
)
async def test_what_cannot_be_sent_is_named_and_nothing_is_enqueued(
    submit: Callable[[JobQueue], object], told: str
) -> None:
    async with JobQueue() as queue:
        with pytest.raises(UnpicklableJobError) as caught:
            submit(queue)
        assert told in str(caught.value)
        assert not queue.jobs()


# -- results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 70_000, 5_000_000, 70_000_000, 200_000_000])
async def test_results_of_any_size_come_back_as_they_were(size: int) -> None:
    async with JobQueue() as queue:
        result = await queue.submit_nowait(lambda: b"ab" * (size // 2))
        assert len(result) == size // 2 * 2
        assert result[:2] == b"ab"[: len(result)]


async def test_arrays_come_back_writable_and_equal() -> None:
    numpy = pytest.importorskip("numpy")

    def make() -> Any:
        import numpy as np

        return {"small": np.arange(10), "large": np.arange(12_000_000)}

    async with JobQueue() as queue:
        result = await queue.submit_nowait(make)
        assert numpy.array_equal(result["large"], numpy.arange(12_000_000))
        result["large"][0] = 7
        result["small"][0] = 7


async def test_values_keep_their_exact_types() -> None:
    value = {1: (2, [3.5, None]), "inf": [float("inf")], b"b": {4, 5}, False: frozenset({6})}
    async with JobQueue() as queue:
        result = await queue.submit_nowait(lambda: value)
        assert result == value
        assert type(result[1]) is type(value[1])


async def test_a_large_argument_arrives() -> None:
    async with JobQueue() as queue:
        assert await queue.submit_nowait(len, b"x" * 100_000_000) == 100_000_000


async def test_a_result_above_the_limit_is_not_kept_and_keeps_the_worker() -> None:
    async with JobQueue(max_result_bytes=1000) as queue:
        before = await queue.submit_nowait(os.getpid)
        job = queue.submit_nowait(lambda: "x" * 5000)
        await queue.wait_for_job(job, timeout=SOON)
        assert job.status is JobStatus.completed
        kept = job.result
        assert isinstance(kept, NotKept)
        assert kept.type == "str"
        assert kept.repr.startswith("'xxx")
        assert (kept.size or 0) >= 5000
        assert "max_result_bytes=1,000" in kept.reason
        assert str(job.note).startswith("result not kept: it has 5,0")
        with pytest.raises(ResultNotKeptError, match="max_result_bytes=1,000; it was str 'xxx"):
            await job
        assert await queue.submit_nowait(os.getpid) == before


async def test_a_result_that_hangs_while_it_is_read_holds_up_nobody_else() -> None:
    class Slow:
        def __reduce__(self) -> Any:
            return time.sleep, (1.5,)

    async with JobQueue(max_running=2) as queue:
        slow = queue.submit_nowait(lambda: Slow())
        await until(lambda: slow.status is JobStatus.running)
        started = time.monotonic()
        assert await queue.submit_nowait(pow, 2, 3) == 8
        assert time.monotonic() - started < 1.4
        await queue.join(timeout=SOON)


# -- asking and forcing ----------------------------------------------------------------------------


async def running(queue: JobQueue, body: Callable[..., object], *args: object) -> Any:
    job = queue.submit_nowait(body, *args)
    await until(lambda: job.status is JobStatus.running and job.phase is None)
    await asyncio.sleep(0.1)
    return job


async def test_asking_wakes_a_sleeping_job_and_keeps_its_worker() -> None:
    async with JobQueue(cancel_timeout=10) as queue:
        before = await queue.submit_nowait(os.getpid)
        job = await running(queue, time.sleep, 60)
        job.cancel()
        await queue.wait_for_job(job, timeout=SOON)
        assert job.status is JobStatus.cancelled
        assert await queue.submit_nowait(os.getpid) == before


async def test_a_job_may_clean_up_when_it_is_asked(tmp_path: Path) -> None:
    note = tmp_path / "note"

    def body() -> None:
        try:
            time.sleep(60)
        except JobCancelled:
            note.write_text("cleaned up")
            raise

    async with JobQueue(cancel_timeout=10) as queue:
        job = await running(queue, body)
        job.cancel()
        await queue.wait_for_job(job, timeout=SOON)
        assert note.read_text() == "cleaned up"


async def test_a_value_returned_after_the_request_was_noticed_is_a_part() -> None:
    def body() -> str:
        try:
            time.sleep(60)
        except JobCancelled:
            return "partial"
        return "all"

    async with JobQueue(cancel_timeout=10) as queue:
        job = await running(queue, body)
        job.cancel()
        with pytest.raises(JobCancelledError):
            await job
        assert (job.result, job.partial_result) == (None, "partial")
        assert not job.finished_before_cancel


async def test_a_checkpoint_raises_when_asked() -> None:
    def body() -> None:
        while True:
            with contextlib.suppress(JobCancelled):
                time.sleep(0.01)
            current_job().checkpoint()

    async with JobQueue(cancel_timeout=10) as queue:
        job = await running(queue, body)
        job.cancel()
        await queue.wait_for_job(job, timeout=SOON)
        assert job.status is JobStatus.cancelled


async def test_a_request_never_reaches_the_next_job() -> None:
    async with JobQueue(cancel_timeout=10) as queue:
        for delay in range(40):
            job = queue.submit_nowait(time.sleep, 0.002)
            after = queue.submit_nowait(time.sleep, 0.004)
            await asyncio.sleep(delay * 0.0003)
            job.cancel()
            await queue.join(timeout=SOON)
            assert after.status is JobStatus.completed, after.error


async def test_forcing_at_random_moments_never_loses_a_lane(seed: int) -> None:
    dice = random.Random(f"{seed} forcing")
    async with JobQueue(max_running=2) as queue:
        for _ in range(60):
            jobs = queue.map(lambda seconds: time.sleep(seconds), [0.02, 0.02, 0.02])
            await asyncio.sleep(dice.random() * 0.05)
            for job in jobs:
                await queue.cancel(job, force=True)
            await queue.join(timeout=SOON)
            assert all(job.done for job in jobs)
        assert await queue.submit_nowait(pow, 2, 3) == 8
        assert inspect(queue).faults.bugs == 0


async def test_a_queue_whose_folder_for_large_files_was_removed_goes_on_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    size = 40_000_000

    def talk(times: int) -> None:
        for _ in range(times):
            print("x" * 999)

    def clean() -> None:
        for folder in tmp_path.glob("jobqueue-*"):
            shutil.rmtree(folder)

    async with JobQueue(journal=tmp_path / "runs.db") as queue:
        for _ in range(2):
            await queue.submit_nowait(pow, 2, 3)
            clean()
            assert len(await queue.submit_nowait(bytes, size)) == size
            job = queue.submit_nowait(talk, 1_000)
            await job
            clean()
            assert job.logs(10).count("x" * 999) == 10
            await queue.stop()
            await queue.start()
        assert not inspect(queue).notice


# -- with a blocked loop ---------------------------------------------------------------------------


async def test_a_blocked_loop_stops_neither_ends_nor_starts_nor_limits_nor_force() -> None:
    async with JobQueue(cancel_timeout=0.1) as queue:
        await queue.submit_nowait(os.getpid)
        first = queue.submit_nowait(pow, 2, 3)
        limited = queue.options(timeout=0.1).submit_nowait(time.sleep, 60)
        cancelled = queue.submit_nowait(time.sleep, 60)
        threading.Timer(0.6, lambda: queue.cancel_nowait(cancelled, force=True)).start()
        last = queue.submit_nowait(pow, 2, 4)
        await asyncio.sleep(0)
        time.sleep(2.0)  # noqa: ASYNC251 - the blocking cell
        assert first.result == 8
        assert limited.error == "TimeLimitExceeded: time limit 0.1 s"
        assert cancelled.status is JobStatus.cancelled
        assert last.result == 16


def test_no_socket_is_opened(tmp_path: Path) -> None:
    async def scenario() -> None:
        listeners = Listeners()
        async with JobQueue() as queue:
            pid = await queue.submit_nowait(os.getpid)
            assert listeners.new(psutil.Process(pid)) == {}

    asyncio.run(scenario())
