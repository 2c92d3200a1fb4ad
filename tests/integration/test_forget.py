"""`forget` deletes ended jobs for good: what is selected, what is refused, that nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import (
    InvalidOptionError,
    Job,
    JobEvictedError,
    JobNotFinishedError,
    JobQueue,
    JournalError,
    SqliteJournal,
    UnknownJobError,
)
from jobqueue_widget._core.jobs import JobStatus
from jobqueue_widget._core.stored import Changes
from jobqueue_widget.testing import MemoryJournal, inspect
from tests.conditions import until
from tests.crash.test_journal_faults import Failing, FailingJournal
from tests.journals import as_if_killed, opened, running

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal" / "runs.db"


async def chore(kind: str) -> str:
    if kind == "failed":
        raise ValueError("on purpose")
    return kind


async def four(queue: JobQueue) -> dict[str, Job]:
    """One job that has ended in each way, and one that waits."""
    jobs = {kind: queue.submit_nowait(chore, kind) for kind in ("completed", "failed")}
    await queue.join()
    queue.pause()
    jobs |= {kind: queue.submit_nowait(chore, kind) for kind in ("cancelled", "pending")}
    jobs["cancelled"].cancel()
    for seconds, job in enumerate(jobs.values()):
        if job.done:
            job._record.completed_at = 1_000.0 + seconds
    return jobs


# -- what is selected ------------------------------------------------------------------------------

ALL = {"completed", "failed", "cancelled"}
BERLIN = timezone(timedelta(hours=2))
SELECTIONS: dict[str, tuple[Callable[[dict[str, Job]], tuple[Any, dict[str, Any]]], set[str]]] = {
    "a job": (lambda jobs: ([jobs["failed"]], {}), {"failed"}),
    "an id": (lambda jobs: ([jobs["failed"].id], {}), {"failed"}),
    "several": (
        lambda jobs: ([jobs["failed"], jobs["completed"].id], {}),
        {"failed", "completed"},
    ),
    "the same twice": (lambda jobs: ([jobs["failed"], jobs["failed"].id], {}), {"failed"}),
    "a status": (lambda _: ((), {"status": "failed"}), {"failed"}),
    "a member": (lambda _: ((), {"status": JobStatus.failed}), {"failed"}),
    "statuses": (lambda _: ((), {"status": ["failed", "completed"]}), {"failed", "completed"}),
    "a set of them": (
        lambda _: ((), {"status": {JobStatus.failed, "cancelled"}}),
        ALL - {"completed"},
    ),
    "all": (lambda _: ((), {"status": sorted(ALL)}), ALL),
    "before an instant": (lambda _: ((), {"before": 1_001}), {"completed"}),
    "before a local time": (
        lambda _: ((), {"before": datetime.fromtimestamp(1_001.5)}),
        {"completed", "failed"},
    ),
    "before a time of a zone": (
        lambda _: ((), {"before": datetime.fromtimestamp(1_001.5, BERLIN)}),
        {"completed", "failed"},
    ),
    "before the first": (lambda _: ((), {"before": -5.5}), set()),
    "before and a status": (lambda _: ((), {"before": 1_002.0, "status": "failed"}), {"failed"}),
    "jobs of a status": (
        lambda jobs: ([jobs["failed"], jobs["completed"]], {"status": "failed"}),
        {"failed"},
    ),
    "jobs before": (lambda jobs: ([jobs["failed"]], {"before": 1_001.0}), set()),
}


@pytest.mark.parametrize("is_hidden", [False, True], ids=["shown", "hidden"])
@pytest.mark.parametrize("name", SELECTIONS)
async def test_what_is_selected_goes_and_nothing_else(
    name: str, is_hidden: bool, path: Path
) -> None:
    select, gone = SELECTIONS[name]
    async with running(path) as queue:
        jobs = await four(queue)
        if is_hidden:
            queue.clear_history()
        chosen, how = select(jobs)
        stats = queue.get_state()["stats"]
        assert queue.forget(*chosen, **how) == len(gone)
        left = {kind for kind, job in jobs.items() if queue.get_job(job.id) is not None}
        assert left == jobs.keys() - gone
        assert len(queue.jobs()) == len(left)
        assert queue.get_state()["stats"] == stats, "what has ended is counted all the same"
        inspect(queue).validate()
        shown = [] if is_hidden else [kind for kind in reversed(jobs) if kind in left & ALL]
        assert [job.args[0] for job in queue.get_history()] == shown
    with opened(path) as again:
        assert {job.id for job in again.jobs()} == {jobs[kind].id for kind in left}
        assert again.get_state()["stats"] == stats
        assert [job.args[0] for job in again.get_history()] == shown


# -- what is refused -------------------------------------------------------------------------------


def _with_before(value: object) -> Callable[[dict[str, Job]], tuple[Any, Any]]:
    return lambda _: ((), {"before": value})


NOT_AN_INSTANT = "before must be epoch seconds or a datetime"
REFUSED: dict[str, tuple[Callable[[dict[str, Job]], tuple[Any, Any]], type[Exception], str]] = {
    "nothing": (lambda _: ((), {}), InvalidOptionError, "without a selection"),
    "a pending job": (
        lambda jobs: ([jobs["completed"], jobs["pending"]], {}),
        JobNotFinishedError,
        "is pending, and only ended jobs .* cancel it first",
    ),
    "a pending one that other words leave out": (
        lambda jobs: ([jobs["pending"].id], {"status": "failed"}),
        JobNotFinishedError,
        "is pending",
    ),
    "an unknown id": (
        lambda jobs: ([jobs["completed"], "0-0"], {}),
        UnknownJobError,
        "no job of this queue",
    ),
    "a job of another queue": (
        lambda _: ([JobQueue().submit_nowait(chore, "")], {}),
        UnknownJobError,
        "a job of another queue",
    ),
    "a list": (lambda jobs: ([[jobs["failed"]]], {}), InvalidOptionError, r"forget\(\*jobs\)"),
    "a number": (lambda _: ([3], {}), InvalidOptionError, "not int"),
    "None": (lambda _: ([None], {}), InvalidOptionError, "not NoneType"),
    "a status that has not ended": (
        lambda _: ((), {"status": "pending"}),
        InvalidOptionError,
        "only ended jobs",
    ),
    "one among others": (
        lambda _: ((), {"status": ["failed", "running"]}),
        InvalidOptionError,
        "only ended jobs",
    ),
    "a misspelt status": (
        lambda _: ((), {"status": "faild"}),
        InvalidOptionError,
        '"completed", "failed", "cancelled"',
    ),
    "no status at all": (lambda _: ((), {"status": []}), InvalidOptionError, "one or some of"),
    "a status that is none": (lambda _: ((), {"status": 3}), InvalidOptionError, "one or some of"),
    "nested statuses": (
        lambda _: ((), {"status": [["failed"]]}),
        InvalidOptionError,
        "one or some of",
    ),
    **{
        f"before={value!r:.20}": (
            _with_before(value),
            InvalidOptionError,
            NOT_AN_INSTANT,
        )
        for value in (
            *("yesterday", "2026-01-01", True, float("nan"), float("inf"), 10**400, 1j),
            *(date(2026, 1, 1), timedelta(days=1), [1.0], b"1", object, datetime.min),
        )
    },
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_is_refused_and_nothing_has_changed(name: str, path: Path) -> None:
    select, error, words = REFUSED[name]
    async with running(path) as queue:
        jobs = await four(queue)
        chosen, how = select(jobs)
        before = queue.get_state()
        with pytest.raises(error, match=words):
            queue.forget(*chosen, **how)
        assert queue.get_state() == before
    with opened(path) as again:
        assert len(again.jobs()) == len(jobs)


async def test_a_job_that_runs_is_refused_and_one_that_was_forgotten_too() -> None:
    go = asyncio.Event()
    async with JobQueue() as queue:
        job = queue.submit_nowait(go.wait)
        await until(lambda: job.status.value == "running")
        with pytest.raises(JobNotFinishedError, match="is running"):
            queue.forget(job)
        go.set()
        await job
        assert queue.forget(job) == 1
        with pytest.raises(JobEvictedError, match="nothing to forget"):
            queue.forget(job)
        with pytest.raises(JobEvictedError, match="no longer kept"):
            queue.forget(job.id)


# -- nothing is left -------------------------------------------------------------------------------

CANARY = "canary-5f1e"


def tells(text: str, size: int) -> str:
    print("the log says", text)
    return text * size


def raises(text: str) -> None:
    raise ValueError(text)


def files_with(folder: Path, text: str) -> list[str]:
    """The files in which it stands, as text or as Python or SQLite may write it."""
    wanted = (text.encode(), text.encode("utf-16-le"))
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return [file.name for file in files if any(one in file.read_bytes() for one in wanted)]


@pytest.mark.parametrize("sync", ["full", "normal"])
async def test_nothing_of_a_forgotten_job_can_be_read(sync: Any, path: Path) -> None:
    by_value = eval(f"lambda: {CANARY!r} + ' stands in the function'")
    async with running(SqliteJournal(path, sync=sync), executor="thread") as queue:
        view = queue.options(label=CANARY, tags=[CANARY])
        jobs = [view.submit_nowait(tells, CANARY, size) for size in (1, 10, 20_000, 200_000)]
        jobs += [view.submit_nowait(raises, CANARY), view.submit_nowait(by_value)]
        other = queue.submit_nowait(tells, "another", 3)
        await queue.join()
        queue.pause()
        jobs.append(queue.submit_nowait(tells, "x", 1))
        jobs[-1].cancel(reason=CANARY)
        large = path.with_name("runs.db.results") / f"{jobs[3].id}.pickle"
        await until(large.exists)
        assert len(files_with(path.parent, CANARY)) >= 2
        assert queue.forget(*jobs) == len(jobs)
        assert files_with(path.parent, CANARY) == []
        assert queue[other.id].result == "another" * 3
    with opened(path) as again:
        assert again[other.id].result == "another" * 3
        assert again[other.id].retry().args == ("another", 3)


async def test_a_function_that_was_deleted_is_written_again_with_its_next_job(path: Path) -> None:
    factor = 3

    def triple(number: int) -> int:
        return number * factor

    async with running(path) as queue:
        first = queue.submit_nowait(triple, 2)
        assert await first == 6
        queue.forget(first)
        queue.pause()
        second, third = queue.submit_nowait(triple, 3), first.retry()
        copy = as_if_killed(path)
        queue.resume()
        assert await second == 9
        assert await third == 6
    async with running(copy, on_restore="run") as again:
        assert [await again[job.id] for job in (second, third)] == [9, 6]


# -- what users hold -------------------------------------------------------------------------------


@pytest.mark.parametrize("is_restored", [False, True], ids=["of this kernel", "restored"])
async def test_a_handle_keeps_what_it_holds(is_restored: bool, path: Path) -> None:
    async with running(path, executor="thread", keep_bytes=1_000) as queue:
        made = [queue.submit_nowait(tells, "word", size) for size in (1, 400_000)]
        made.append(queue.submit_nowait(raises, "why"))
        made += [queue.submit_nowait(len, bytes(100_000)) for _ in range(2)]  # these are let go
        await queue.join()
        ids = [job.id for job in made]
        if is_restored:
            inspect(queue).settle()  # a large result is written after its end is told
            await queue.stop()
            copy = as_if_killed(path)
        else:
            await _check_handles(queue, made)
    if is_restored:
        async with running(copy, executor="thread", keep_bytes=1_000) as again:
            await _check_handles(again, [again[job_id] for job_id in ids])


async def _check_handles(queue: JobQueue, jobs: list[Job]) -> None:
    small, large, failed, *arguments = jobs
    assert queue.forget(*jobs) == 5
    assert queue.jobs() == []
    assert small.result == "word"
    assert large.result == "word" * 400_000
    assert small.logs() == large.logs() == "the log says word\n"
    assert failed.error == "ValueError: why"
    assert small.args == ("word", 1)
    assert [job.args for job in arguments] == [(bytes(100_000),)] * 2
    assert await arguments[0].retry() == 100_000
    again = small.retry()
    assert again.retry_of == small.id
    assert await again == "word"


async def test_a_long_log_stays_with_its_handle_and_goes_with_it() -> None:
    def talks() -> None:
        for number in range(60_000):
            print(f"line {number} of the log")

    async with JobQueue(executor="thread") as queue:
        job: Job | None = queue.submit_nowait(talks)
        assert job is not None
        await job
        before = job.read_log(0, 100)
        spool = inspect(queue).folder
        assert spool is not None
        queue.forget(job)
        assert job.read_log(0, 100) == before
        assert list(spool.glob("*.log"))
        del job
        await queue.submit_nowait(chore, "another end")
        await until(lambda: not list(spool.glob("*.log")))


async def test_a_job_after_a_forgotten_one_still_runs(path: Path) -> None:
    async with running(path) as queue:
        first = queue.submit_nowait(chore, "first")
        await first
        queue.pause()
        second = queue.submit_nowait(chore, "second")
        third = queue.options(after=[first, second]).submit_nowait(chore, "third")
        assert queue.forget(first) == 1
        assert third.status is JobStatus.pending
        copy = as_if_killed(path)
        queue.resume()
        assert await third == "third"
        assert queue.forget(second) == 1
        with pytest.raises(InvalidOptionError, match="no job that this queue still keeps"):
            queue.options(after=first)
    async with running(copy, on_restore="run") as again:
        assert await again[third.id] == "third"


def test_numbers_go_on_after_all_was_forgotten(path: Path) -> None:
    with opened(path) as queue:
        for job in (jobs := queue.map(chore, "abc")):
            job.cancel()
        queue.clear_history()
        assert queue.forget(status="cancelled") == 3
        assert inspect(queue).undo_clear() == 0
    with opened(path) as queue:
        new = queue.submit_nowait(chore, "d")
        new.cancel()
        assert new._record.number == 4
        assert queue.get_history() == [new]
        with pytest.raises(JobEvictedError):
            queue.forget(jobs[0].id)


# -- the journal -----------------------------------------------------------------------------------


@pytest.fixture
def failing() -> Iterator[Callable[[int, int], None]]:
    Failing.plan()
    yield Failing.plan
    Failing.plan()


def _refusal(queue: JobQueue, *jobs: Job) -> str:
    try:
        assert queue.forget(*jobs) == len(jobs)
    except JournalError as error:
        return str(error)
    return ""


async def test_a_journal_that_fails_at_any_statement_loses_nothing(
    failing: Callable[[int, int], None], path: Path, note: Callable[[str], None]
) -> None:
    async with running(FailingJournal(path)) as queue:
        jobs = await four(queue)
        refused = 0
        for first in itertools.count(1):
            failing(first, 1)
            said = _refusal(queue, jobs["failed"], jobs["completed"])
            if not said:
                break
            assert "no job was forgotten: the journal cannot be written" in said
            refused += 1
            assert len(queue.jobs()) == 4
            assert await jobs["completed"] == "completed"
            with contextlib.closing(sqlite3.connect(path)) as looked:
                assert looked.execute("SELECT count(*) FROM standings").fetchone() == (4,)
        assert refused >= 6
        note(f"failed at each of {refused} statements")
        failing(10**9, 1)
    with opened(path) as again:
        assert len(again.jobs()) == 2
        assert again.get_state()["stats"]["total_accepted"] == 4


@pytest.mark.filterwarnings("ignore:The journal cannot be written")
def test_what_is_not_written_yet_is_written_before_or_nothing_is_forgotten() -> None:
    journal = MemoryJournal()
    with opened(journal) as queue:
        journal.fail_next(2)
        job, other = queue.map(chore, "ab")
        job.cancel()
        with pytest.raises(JournalError, match="no job was forgotten"):
            queue.forget(job)
        assert queue.get_job(job.id) == job
        assert queue.forget(job) == 1
    with opened(journal) as again:
        assert [found.id for found in again.jobs()] == [other.id]


async def test_a_queue_that_is_closed_says_that_its_journal_is_too(path: Path) -> None:
    queue = JobQueue(journal=path)
    job = queue.submit_nowait(chore, "a")
    await queue.close()
    with pytest.raises(JournalError, match="no job was forgotten"):
        queue.forget(job)
    assert queue.get_job(job.id) == job


class Counting(SqliteJournal):
    written = 0

    def write(self, changes: Changes) -> None:
        self.written += 1
        super().write(changes)


def test_many_jobs_are_one_transaction(path: Path) -> None:
    journal = Counting(path)
    with opened(journal) as queue:
        queue.options(ahead=1_500).map(chore, "x" * 1_500)
        queue.cancel_all("all")
        before = journal.written
        assert queue.forget(status="cancelled") == 1_500
        assert journal.written - before == 1
    with opened(path) as again:
        assert again.jobs() == []


async def test_others_may_end_jobs_and_push_them_out_meanwhile(path: Path) -> None:
    async with running(path, keep_ended=20, max_history=5, loop="thread") as queue:
        counts: list[int] = []

        def forget() -> None:
            while not over.is_set():
                counts.append(queue.forget(status=["completed", "cancelled"]))

        over = threading.Event()
        threads = [threading.Thread(target=forget) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            queue.map(chore, "x" * 40)
            await queue.join()
        over.set()
        for thread in threads:
            thread.join()
        inspect(queue).validate()
        assert 0 < sum(counts) <= 400
        stats = queue.get_state()["stats"]
        left = {job.id for job in queue.jobs()}
    with opened(path) as again:
        assert {job.id for job in again.jobs()} == left
        assert again.get_state()["stats"] == stats
