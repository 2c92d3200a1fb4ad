"""What ended jobs leave is bounded; what somebody can still ask for is there, or says why not."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobqueue_widget import (
    Job,
    JobQueue,
    NotKept,
    NotRestorableError,
    ResultNotKeptError,
    current_job,
)
from jobqueue_widget._core.lazy import LazyResult
from jobqueue_widget._persistence.lazy_spec import RestoredSpec
from jobqueue_widget._runtime.storage.arguments import LIGHT
from jobqueue_widget._runtime.storage.told import printed
from jobqueue_widget._runtime.storage.told.logs import JobLog
from jobqueue_widget._runtime.storage.told.metrics import POINT_BYTES
from jobqueue_widget.testing import MemoryJournal, inspect
from tests.conditions import until
from tests.journals import let_go, opened, running
from tests.threads import no_threads

KIB = 1024
KEEP, SPOOL = 64 * KIB, 96 * KIB


def make(number: int, size: int) -> bytes:
    """A value that tells by itself which job it is of."""
    return bytes([number % 251]) * size


async def make_here(number: int, size: int) -> bytes:
    return make(number, size)


async def fail_here(data: bytes) -> None:
    raise ValueError(len(data))


def length(data: bytes) -> int:
    return len(data)


@dataclass(frozen=True)
class Asked:
    """One job to come, and what its user does with it."""

    size: int
    is_held: bool  # the handle is kept to the end
    has_child: bool  # that waits all the time
    asks_again: bool  # for the result of some earlier job


SIZES = st.integers(0, 12).map(lambda step: step * 4 * KIB) | st.just(200 * KIB)
ASKED = st.lists(
    st.builds(Asked, SIZES, st.booleans(), st.integers(0, 9).map(lambda n: n == 0), st.booleans()),
    min_size=1,
    max_size=16,
)


def in_memory(queue: JobQueue, kept: list[Job]) -> int:
    """Bytes of the results that this process has, but those that are too small to be counted."""
    records = {*inspect(queue).ended, *(inspect(queue).record(job) for job in kept)}
    found = 0
    for record in records:
        value = record.result
        if type(value) is LazyResult:
            value = value.in_memory
        size = len(value) if isinstance(value, bytes) else 0
        found += size if size > LIGHT else 0
    return found


def on_disk(queue: JobQueue) -> int:
    spool = inspect(queue).folder
    return 0 if spool is None else sum(file.stat().st_size for file in spool.glob("kept-*"))


def is_there(job: Job, number: int, size: int) -> bool:
    """The result is right; or it is said that it is not there, and then both ways say it."""
    found = job.result
    if type(found) is NotKept:
        assert found.reason.startswith("it was let go: ")
        assert found.type == "bytes"
        assert found.size is not None
        assert size <= found.size < size + 64  # of its pickle, where it came from a worker
        assert job.note is not None
        assert "not kept" in job.note
        with pytest.raises(ResultNotKeptError, match="let go"):
            job.get_result()
        return False
    assert found == make(number, size)
    return True


class Play:
    """One queue, and what its user does, checked after each step."""

    def __init__(self, queue: JobQueue, function: Any, *, copies: bool, kept: bool) -> None:
        self.queue = queue
        self.function = function
        self.copies = copies  # results are no objects of the user's own
        self.kept = kept  # a journal has them
        self.ids: list[str] = []
        self.sizes: list[int] = []
        self.held: dict[int, Job] = {}
        self.needed: set[int] = set()
        self.lost = 0

    async def step(self, asked: Asked) -> None:
        queue, number = self.queue, len(self.ids)
        job = queue.submit_nowait(self.function, number, asked.size)
        self.ids.append(job.id)
        self.sizes.append(asked.size)
        if asked.has_child:
            queue.hold(queue.options(after=job).submit_nowait(length, b""))
            self.needed.add(number)
        if asked.is_held:
            self.held[number] = job
        await job
        del job
        if asked.asks_again:
            self.look(number // 2)
        await self.check()

    async def check(self) -> None:
        queue, inside = self.queue, inspect(self.queue)

        def settled() -> bool:
            inside.tidy()
            theirs = 0
            if not self.copies:
                held = {*self.held, *self.needed}
                theirs = sum(self.sizes[n] for n in held if self.sizes[n] > LIGHT)
            return inside.kept.full is not None or in_memory(queue, []) <= KEEP + theirs

        await until(settled)
        assert on_disk(queue) <= SPOOL
        assert on_disk(queue) == inside.kept.disk
        if inside.kept.full is not None:
            held = sum(self.sizes[n] for n in {*self.held, *self.needed})
            assert held > SPOOL or max(self.sizes) > SPOOL

    def look(self, number: int) -> None:
        job = self.queue.get_job(self.ids[number])
        assert job is not None
        there = is_there(job, number, self.sizes[number])
        if number in self.held or number in self.needed or self.kept:
            assert there
        self.lost += not there

    async def end(self) -> None:
        """Everything is asked for once more; then nobody holds anything, and the queue goes on."""
        for number in range(len(self.ids)):
            self.look(number)
        await self.check()
        self.held.clear()
        self.queue.cancel_all("pending")
        self.needed.clear()
        gc.collect()
        inspect(self.queue).tidy()
        await until(lambda: inspect(self.queue).kept.full is None)
        await self.check()
        assert await self.queue.submit_nowait(make_here, 1, 1) == make(1, 1)


async def play(asked: list[Asked], queue: JobQueue, **how: Any) -> Play:
    played = Play(queue, **how)
    for one in asked:
        if inspect(queue).kept.full is not None:
            break  # nothing more starts
        await played.step(one)
    await played.end()
    return played


@given(ASKED)
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
def test_values_of_this_process_are_bounded_but_for_those_that_are_held(asked: list[Asked]) -> None:
    async def run() -> None:
        async with JobQueue(keep_bytes=KEEP, spool_bytes=SPOOL) as queue:
            await play(asked, queue, function=make_here, copies=False, kept=False)

    asyncio.run(run())


@given(ASKED)
@settings(max_examples=4, suppress_health_check=list(HealthCheck))
def test_values_of_workers_are_bounded_also_those_that_are_held(asked: list[Asked]) -> None:
    async def run() -> None:
        async with JobQueue(keep_bytes=KEEP, spool_bytes=SPOOL) as queue:
            await play(asked, queue, function=make, copies=True, kept=False)

    asyncio.run(run())


@given(ASKED)
@settings(max_examples=4, suppress_health_check=list(HealthCheck))
def test_with_a_journal_nothing_is_lost_and_no_file_is_needed(asked: list[Asked]) -> None:
    async def run(folder: str) -> list[str]:
        queue = JobQueue(keep_bytes=KEEP, spool_bytes=0, journal=Path(folder) / "runs.db")
        async with queue:
            played = await play(asked, queue, function=make_here, copies=False, kept=True)
            assert played.lost == 0
            assert on_disk(queue) == 0
        let_go(queue)
        return played.ids

    with tempfile.TemporaryDirectory() as folder:
        ids = asyncio.run(run(folder))
        with opened(Path(folder) / "runs.db", keep_bytes=KEEP, spool_bytes=0) as queue:
            for number, job_id in enumerate(ids):
                job = queue.get_job(job_id)
                assert job is not None
                assert job.result == make(number, asked[number].size)
                inspect(queue).tidy()
                assert in_memory(queue, []) <= KEEP


def kept_arguments(queue: JobQueue) -> int:
    """Bytes of arguments, as objects or pickled, that ended jobs still have."""
    found = 0
    for record in inspect(queue).ended:
        spec = record.spec
        if not spec.lost:
            found += len(spec.args[0])  # type: ignore[arg-type]
    return found


async def take_here(data: bytes) -> int:
    return len(data)


@pytest.mark.parametrize("function", [length, take_here])
async def test_arguments_of_completed_jobs_go_and_a_retry_says_so(function: Any) -> None:
    async with JobQueue(keep_bytes=KEEP) as queue:
        jobs = [queue.submit_nowait(function, make(n, 10 * KIB)) for n in range(8)]
        for job in jobs:
            assert await job == 10 * KIB
        assert kept_arguments(queue) <= KEEP // 4
        assert jobs[-1].args == (make(7, 10 * KIB),)
        assert await jobs[-1].retry() == 10 * KIB
        with pytest.raises(NotRestorableError, match=r"bytes.*let go.*keep_bytes=65,536.*submit"):
            jobs[0].retry()
        with pytest.raises(NotRestorableError, match="let go"):
            _ = jobs[0].args
        assert jobs[0].describe_arguments().startswith("b'")
        assert jobs[0].as_row()["args"] == jobs[0].describe_arguments()
        assert jobs[0].as_dict()["args"] == (jobs[0].describe_arguments(2_000),)


def counted_calls(queue: JobQueue) -> int:
    """Bytes of calls that jobs of an earlier kernel have in memory."""
    specs = [record.spec for record in inspect(queue).ended]
    requests = [cast("RestoredSpec", spec).request for spec in specs if spec.restored]
    return sum(len(request.call or b"") for request in requests)


@pytest.mark.parametrize("executor", [None, "thread"])
@pytest.mark.parametrize("function", [length, take_here])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_with_a_journal_arguments_that_were_let_go_are_read_back(
    function: Any, executor: str | None, kind: str, tmp_path: Path
) -> None:
    journal = MemoryJournal() if kind == "memory" else tmp_path / "runs.db"
    sizes = [10 * KIB + number for number in range(8)]
    async with running(journal, executor=executor, keep_bytes=KEEP) as queue:
        jobs = [queue.submit_nowait(function, make(n, size)) for n, size in enumerate(sizes)]
        assert [await job for job in jobs] == sizes
        assert kept_arguments(queue) <= KEEP // 4
        assert sum(bool(job._record.spec.lost) for job in jobs) >= 6
        assert [job.args for job in jobs] == [(make(n, size),) for n, size in enumerate(sizes)]
        again = [job.retry() for job in jobs]
        assert [await job for job in again] == sizes
        await until(lambda: kept_arguments(queue) <= KEEP // 4)
    with opened(journal, executor=executor, keep_bytes=KEEP) as later:
        found = sorted(later.jobs(), key=lambda job: job.created_at)
        assert [job.args for job in found] == [(make(n, s),) for n, s in enumerate(sizes)] * 2
    with opened(journal, executor=executor, keep_bytes=KEEP) as later:
        assert counted_calls(later) == 0
        third = found[3].id
        restored = later[third].retry()
        assert restored.args == (make(3, sizes[3]),)


async def test_arguments_that_the_journal_forgot_are_said_to_be_gone(tmp_path: Path) -> None:
    async with running(tmp_path / "runs.db", keep_bytes=KEEP, max_history=2, keep_ended=2) as queue:
        jobs = [queue.submit_nowait(length, make(n, 20 * KIB)) for n in range(5)]
        assert [await job for job in jobs] == [20 * KIB] * 5
        assert await queue.submit_nowait(length, b"") == 0
        assert jobs[-1].args == (make(4, 20 * KIB),)
        assert jobs[0]._record.spec.lost
        journal = inspect(queue).journal
        assert journal is not None
        await until(lambda: journal.request(1) is None)
        with pytest.raises(NotRestorableError, match=r"not in the journal any more; submit it"):
            jobs[0].retry()


async def test_arguments_of_a_completed_job_are_those_that_ran() -> None:
    data = bytearray(10 * KIB)
    async with JobQueue() as queue:
        job = queue.submit_nowait(length, data)
        assert await job == 10 * KIB
        data += b"more"
        assert job.args == (bytearray(10 * KIB),)
        assert await job.retry() == 10 * KIB


async def test_what_failed_keeps_its_arguments_for_a_retry() -> None:
    async with JobQueue(keep_bytes=0) as queue:
        failed = queue.submit_nowait(fail_here, make(1, 10 * KIB))
        await queue.join()
        assert failed.args == (make(1, 10 * KIB),)
        await queue.wait_for_job(failed.retry())


async def test_a_full_spool_stops_new_starts_and_says_why() -> None:
    async with JobQueue(keep_bytes=KEEP, spool_bytes=KEEP) as queue:
        held: list[Job] = []
        while inspect(queue).kept.full is None:
            held.append(queue.submit_nowait(make, len(held), 20 * KIB))
            await held[-1]
            inspect(queue).settle()
        waiting = queue.submit_nowait(length, b"x")
        await until(lambda: waiting.block_reason)
        assert "spool_bytes=65,536" in str(waiting.block_reason)
        assert waiting.status == "pending"
        assert [job.result for job in held] == [make(n, 20 * KIB) for n in range(len(held))]
        held.clear()
        assert await waiting == 1


async def test_a_result_of_an_evicted_job_stays_with_its_handle_and_its_file_goes_with_it() -> None:
    async with JobQueue(keep_bytes=0, keep_ended=1, max_history=1) as queue:
        job = queue.submit_nowait(make, 1, 20 * KIB)
        await job
        for n in range(3):
            await queue.submit_nowait(make, n, 0)
        await until(lambda: on_disk(queue) > 0)
        assert job.result == make(1, 20 * KIB)
        del job
        await queue.submit_nowait(make, 2, 0)
        await until(lambda: on_disk(queue) == 0)


def talk(count: int) -> None:
    for number in range(count):
        print(f"{number:1023d}")


async def test_logs_of_ended_jobs_have_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "LOG_MEMORY", 400 * KIB)
    monkeypatch.setattr(printed, "LOG_FILES", 600 * KIB)
    async with JobQueue() as queue:
        jobs: list[Job] = []
        for count in (100, 700, 50, 600, 3, 500):
            jobs.append(queue.submit_nowait(talk, count))
            await jobs[-1]
            kept = [cast("JobLog", job._record.log).kept for job in jobs]
            assert sum(memory for memory, _ in kept) <= 400 * KIB + len(jobs) * LIGHT
            assert sum(file for _, file in kept) <= 600 * KIB
            spool = inspect(queue).folder
            files = [] if spool is None else list(spool.glob("*.log"))
            assert sum(file.stat().st_size for file in files) <= 600 * KIB
        assert jobs[-1].logs(1).strip() == "499"
        assert jobs[1].logs(1).strip() == "699"
        assert "bytes were dropped here" in jobs[1].logs(100)


def show(count: int) -> None:
    for _ in range(count):
        display({"text/html": "x" * KIB}, raw=True)  # type: ignore[name-defined]  # noqa: F821


async def test_outputs_of_ended_jobs_have_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "OUTPUTS_MEMORY", 40 * KIB)
    async with JobQueue() as queue:
        jobs: list[Job] = []
        for count in (10, 20, 15, 30):
            jobs.append(queue.submit_nowait(show, count))
            await jobs[-1]
    assert [(len(job.outputs), job.outputs_lost) for job in jobs] == [
        (0, 10),
        (0, 20),
        (0, 15),
        (30, 0),
    ]


def measure(count: int) -> None:
    for step in range(count):
        current_job().report(step=step, loss=9.0 if step == 7 else step / count)


async def test_of_metrics_of_ended_jobs_few_points_stay_of_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(printed, "METRICS_MEMORY", 400 * POINT_BYTES)
    async with JobQueue() as queue:
        jobs: list[Job] = []
        for count in (200, 150, 300):
            jobs.append(queue.submit_nowait(measure, count))
            await jobs[-1]
    kept = [job.metrics["loss"] for job in jobs]
    assert [len(points) <= printed.SHORT for points in kept] == [True, True, False]
    for count, points in zip((200, 150, 300), kept, strict=True):
        assert {(0, 0.0), (7, 9.0), (count - 1, 1 - 1 / count)} <= set(points), "extremes and ends"
    assert len(kept[-1]) == 300


async def test_results_in_files_outlive_the_close_of_their_queue() -> None:
    queue = JobQueue(keep_bytes=0)
    await queue.start()
    job = queue.submit_nowait(make, 1, 20 * KIB)
    await job
    await queue.close()
    assert on_disk(queue) > 0
    assert job.result == make(1, 20 * KIB)


async def test_a_thread_that_cannot_be_started_is_tried_again_at_the_next_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with JobQueue(keep_bytes=KEEP) as queue:
        with monkeypatch.context() as patch:
            no_threads(patch, "*-keeper")
            for _ in range(3):
                await queue.submit_nowait(bytes, KEEP)
            assert inspect(queue).faults.bugs == 0
        await queue.submit_nowait(bytes, KEEP)
        await until(lambda: inspect(queue).kept.memory <= KEEP)


async def test_a_queue_that_is_full_goes_on_though_a_look_had_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with JobQueue(keep_bytes=KEEP, spool_bytes=KEEP) as queue:
        held = [queue.submit_nowait(bytes, 2 * KEEP) for _ in range(2)]
        await until(lambda: inspect(queue).kept.full is not None)
        with monkeypatch.context() as patch:
            no_threads(patch, "*-keeper")
            tried = inspect(queue).engine.threads
            await until(lambda: bool(tried._waiting))
            held.clear()
        assert await queue.submit_nowait(len, "abc") == 3


@pytest.mark.parametrize("closes", [True, False])
async def test_a_result_that_had_no_thread_to_be_pickled_is_in_the_journal_all_the_same(
    closes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "runs.db") as queue:
        with monkeypatch.context() as patch:
            no_threads(patch, "*-results")
            job = await queue.submit(Path, "a")
            await queue.wait_for_job(job)
            if closes:
                await queue.close()
        if not closes:
            journal: Any = inspect(queue).journal
            await until(lambda: journal.result(job).form == "pickle")
    with opened(tmp_path / "runs.db") as queue:
        assert queue[job].result == Path("a")
