"""A queue with a journal after its kernel is gone: everything is there, nothing runs by itself."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import datetime
import enum
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
from IPython.display import HTML, display

from jobqueue_widget import (
    InvalidOptionError,
    Job,
    JobCancelled,
    JobEvictedError,
    JobFailedError,
    JobQueue,
    QueueIdleError,
    current_job,
    read_journal,
)
from jobqueue_widget._core.stored import Session
from jobqueue_widget._persistence.sqlite.journal import SqliteJournal
from jobqueue_widget.errors import JournalInUseError, NotRestorableError, QueueExistsError
from jobqueue_widget.testing import FakePluginHost, inspect
from tests.conditions import until
from tests.journals import as_if_killed, let_go, opened, running

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")


async def double(number: int) -> int:
    return 2 * number


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def hang_once(noted: Path) -> str:
    """Waits for ever the first time."""
    try:
        os.close(os.open(noted, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "done"
    else:
        await asyncio.Event().wait()
        return "never"


def talk(text: str) -> str:
    print(text)
    return text.upper()


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def by_label(queue: JobQueue) -> dict[str | None, Job]:
    return {job.label: job for job in queue.jobs()}


# -- what was accepted -----------------------------------------------------------------------------


@pytest.mark.parametrize("target", [double, talk, lambda number: number])
def test_a_job_is_in_the_journal_when_submit_returns(target: object, path: Path) -> None:
    with opened(path) as queue:
        for number in range(3):
            job = queue.submit_nowait(target, number)
            with opened(as_if_killed(path, number)) as again:
                assert [one.id for one in again.jobs()] == [one.id for one in queue.jobs()]
                assert again.get_job(job.id) is not None


async def test_history_comes_back_with_results_failures_and_logs(path: Path) -> None:
    async with running(path) as queue:
        view = queue.options
        jobs = [
            view(label="coroutine", tags=["a", "b"]).submit_nowait(double, 4),
            view(label="function").submit_nowait(talk, "hello"),
            view(label="typed here").submit_nowait(lambda: {"x": [1, 2, (3,)]}),
            view(label="failed").submit_nowait(fail, "on purpose"),
            view(label="cancelled").submit_nowait(double, 5),
        ]
        jobs[-1].cancel(reason="not wanted")
        await queue.join()
        told = [job.as_dict() for job in jobs]
        order = [job.id for job in queue.jobs()]
        copy = as_if_killed(path)
    with opened(copy) as again:
        assert not again.paused  # nothing waits
        assert [job.id for job in again.jobs()] == order
        for job, before in zip(jobs, told, strict=True):
            restored = again.get_job(job.id)
            assert restored is not None
            assert restored.as_dict() == before
        found = by_label(again)
        assert found["function"].get_result() == "HELLO"
        assert found["function"].logs() == "hello\n"
        assert found["coroutine"].tags == ("a", "b")
        failure = found["failed"].failure
        assert failure is not None
        assert "in fail" in failure.traceback
        with pytest.raises(JobFailedError, match="on purpose"):
            await found["failed"]
        assert found["cancelled"].cancel_reason == "not wanted"
        assert again.get_state()["stats"] == {
            "total_pending": 0,
            "total_running": 0,
            "total_completed": 3,
            "total_failed": 1,
            "total_cancelled": 1,
            "total_accepted": 5,
        }


def says_and(waits_for: threading.Event) -> None:
    current_job().report(0.6, "epoch 6")
    waits_for.wait()
    raise ValueError("on purpose")


async def test_progress_and_message_of_what_did_not_complete_are_of_one_moment(path: Path) -> None:
    fails, never = threading.Event(), threading.Event()
    fails.set()
    async with running(path) as queue:
        view = queue.options(executor="thread")
        failed, asked = (view.submit_nowait(says_and, event) for event in (fails, never))
        await queue.wait_for_job(failed)
        await until(lambda: asked.status_message != "")
        asked.cancel()
        copy = as_if_killed(path)
        never.set()
    assert (failed.progress, failed.status_message) == (0.6, "epoch 6")
    with opened(copy) as again:
        for job, known in ((again.get_job(failed.id), 0.6), (again.get_job(asked.id), -1.0)):
            assert job is not None
            assert (job.progress, job.status_message) == (known, "epoch 6"), job.status


def measures(fails: bool) -> None:
    for step in range(3):
        current_job().report(step / 4, step=step, loss=1 / 2**step, gap=math.nan)
    display(HTML("<b>ünïts</b>"))  # type: ignore[no-untyped-call]
    if fails:
        raise ValueError("on purpose")


CURVES = {"loss": [(0, 1.0), (1, 0.5), (2, 0.25)], "gap": [(0, None), (1, None), (2, None)]}


@pytest.mark.parametrize("fails", [False, True])
async def test_what_a_job_measured_and_displayed_comes_back(path: Path, fails: bool) -> None:
    async with running(path) as queue:
        first = queue.submit_nowait(measures, fails)
        await queue.join()
        copy = as_if_killed(path)
        told = first.metrics, [one.data["text/html"] for one in first.outputs], first.progress
    assert told == (CURVES, ["<b>ünïts</b>"], 0.5 if fails else 1.0)
    for kept in (copy, path):  # killed, and closed
        with opened(kept) as again:
            job = again[first.id]
            assert (job.metrics, [o.data["text/html"] for o in job.outputs], job.progress) == told
            again.forget(job)
            assert (job.metrics, len(job.outputs)) == (CURVES, 1)  # a handle keeps what it holds
        with opened(kept) as again:
            assert again.jobs() == []
        assert b"ts</b>" not in kept.read_bytes()


async def test_pending_jobs_come_back_in_order_and_run_when_they_may(path: Path) -> None:
    with opened(path) as queue:
        jobs = queue.map(double, range(6))
        high = queue.submit_nowait(double, 100, priority=5)
        jobs[5].cancel()
        queue.move(jobs[4], before=jobs[1])
        queue.reorder(jobs[3], 7)
        queue.hold(jobs[2])
        order = [job.id for job in queue.jobs("pending")]
        assert order[:2] == [jobs[3].id, high.id]
        copy = as_if_killed(path)
    ran: list[str] = []
    async with running(copy) as again:
        assert [job.id for job in again.jobs("pending")] == order
        assert again.paused
        with pytest.raises(QueueIdleError, match=r"paused \(6 jobs restored from \d\d:\d\d — rev"):
            await again.join()
        again.subscribe(
            lambda event: ran.append(event.job_id or "") if event.type == "started" else 0
        )
        again.resume()
        with pytest.raises(QueueIdleError, match="1 job held"):
            await again.join()
        held = jobs[2].id
        assert [job.id for job in again.jobs("pending")] == [held]
        await again.wait_for_job(order[-1]) if order[-1] != held else None
        assert ran == [job_id for job_id in order if job_id != held]
        again.release(held)
        assert (await again.wait_for_job(held)).get_result() == 4


async def test_many_moves_between_two_jobs_come_back_in_order(path: Path) -> None:
    with opened(path) as queue:
        jobs = queue.map(double, range(12))
        for step in range(120):
            queue.move(jobs[1 + step % 11], after=jobs[0])
        order = [job.id for job in queue.jobs("pending")]
        copy = as_if_killed(path)
    with opened(copy) as again:
        assert [job.id for job in again.jobs("pending")] == order


# -- what ran --------------------------------------------------------------------------------------


async def test_what_ran_has_failed_and_runs_again_only_on_request(path: Path) -> None:
    noted = path.with_name("noted")
    async with running(path) as queue:
        job = queue.submit_nowait(hang_once, noted)
        waiting = queue.submit_nowait(double, 1)
        await until(noted.exists)
        copy = as_if_killed(path)
        job.cancel()
        waiting.cancel()
    async with running(copy) as again:
        interrupted = again.jobs("failed")[0]
        assert interrupted.id == job.id
        assert interrupted.error == "KernelDied: interrupted by kernel exit"
        assert interrupted.completed_at is not None
        again.resume()
        await again.join()
        retried = interrupted.retry()
        assert retried.retry_of == job.id
        assert await retried == "done"
    with opened(copy) as later:
        assert later.jobs("failed")[0].error == "KernelDied: interrupted by kernel exit"
        found = later.get_job(retried.id)
        assert found is not None
        assert (found.result, found.retry_of) == ("done", job.id)


async def test_an_idempotent_job_with_retries_left_runs_again_after_the_review(path: Path) -> None:
    async with running(path, max_running=3) as queue:
        views = {
            "may": queue.options(label="may", retries=1, idempotent=True),
            "may not": queue.options(label="may not", retries=1),
            "asked": queue.options(label="asked", retries=1, idempotent=True),
        }
        jobs = {label: view.submit_nowait(hang) for label, view in views.items()}
        await until(lambda: all(job.logs() for job in jobs.values()))
        jobs["asked"].cancel(timeout=60)
        copy = as_if_killed(path)
        for job in jobs.values():
            job.cancel(force=True)
        await queue.join()
    with opened(copy) as again:
        found = by_label(again)
        assert (found["may"].status.value, found["may"].attempt) == ("pending", 2)
        assert found["may not"].status.value == "failed"
        assert found["asked"].status.value == "cancelled"
        assert again.paused


def hang() -> None:
    """Does not listen."""
    print("here", flush=True)
    while True:
        with contextlib.suppress(JobCancelled):
            time.sleep(60)


# -- review, or not --------------------------------------------------------------------------------


async def test_restored_jobs_run_by_themselves_if_that_was_asked_for(path: Path) -> None:
    with opened(path) as queue:
        job = queue.submit_nowait(talk, "hi")
    async with running(path, on_restore="run") as again:
        assert not again.paused
        await again.join()
        assert again[job.id].result == "HI"


def test_a_pause_of_the_user_is_kept_and_a_review_that_is_over_is_not(path: Path) -> None:
    with opened(path) as queue:
        queue.pause("the GPU is needed")
    with opened(path) as queue:
        pause = inspect(queue).pause
        assert pause is not None
        assert pause.reason == "the GPU is needed"
        queue.submit_nowait(double, 1)
    with opened(path) as queue:
        pause = inspect(queue).pause
        assert pause is not None
        assert pause.reason.startswith("1 job restored from ")
        assert pause.reason.endswith("(was paused: the GPU is needed)")
        queue.cancel_all("all")
    with opened(path) as queue:
        assert not queue.paused
        queue.pause()
        queue.resume()
    with opened(path) as queue:
        assert not queue.paused


def test_ids_go_on_and_keep_their_meaning(path: Path) -> None:
    with opened(path, keep_ended=2, max_history=2) as queue:
        first = queue.map(double, range(5))
        queue.cancel_all("all")
    with opened(path, keep_ended=2, max_history=2) as queue:
        new = queue.submit_nowait(double, 9)
        assert new._record.number == 6
        assert new.id not in {job.id for job in first}
        assert queue.get_job(first[4].id) is not None
        with pytest.raises(JobEvictedError, match="keep_ended=2"):
            queue.retry(first[0].id)
        assert queue.get_state()["stats"]["total_cancelled"] == 5
        assert queue.clear_history() == 2
    with opened(path, keep_ended=2, max_history=2) as queue:
        assert [job.id for job in queue.jobs()] == [new.id, first[4].id, first[3].id]
        assert queue.get_history() == []
        assert queue.get_state()["stats"]["total_cancelled"] == 5
        assert queue.get_state()["stats"]["total_accepted"] == 6


def test_dependencies_come_back(path: Path) -> None:
    with opened(path) as queue:
        first = queue.options(label="first").submit_nowait(double, 1)
        second = queue.options(label="second", after=first).submit_nowait(double, 2)
        queue.options(label="third", after=[first, second]).submit_nowait(double, 3)
    with opened(path) as queue:
        found = by_label(queue)
        found["first"].cancel()
        assert found["second"].cancel_reason == "dependency cancelled: first"
        assert found["third"].cancel_reason == "dependency cancelled: first"


async def deaf(gate: list[asyncio.Event]) -> None:
    while not gate[0].is_set():
        with contextlib.suppress(asyncio.CancelledError):
            await gate[0].wait()


async def test_what_was_cancelled_after_its_time_limit_was_over_comes_back_cancelled(
    path: Path,
) -> None:
    """It had been asked to stop before, but for another reason."""
    gate = [asyncio.Event()]
    async with running(path) as queue:
        options = queue.options(timeout=0.05, retries=3, idempotent=True)
        job = options.submit_nowait(deaf, gate)
        await until(lambda: job.cancel_phase == "asked")
        assert job.cancel(reason="enough")
        copy = as_if_killed(path)
        gate[0].set()
    with opened(copy) as queue:
        assert queue[job.id].status.value == "cancelled"
        assert queue[job.id].cancel_reason == "enough"


async def test_what_waits_for_a_job_that_was_interrupted_is_cancelled_though_none_is_kept(
    path: Path,
) -> None:
    """The job has failed with its kernel, and has left the history before what waits is there."""
    async with running(path) as queue:
        first = queue.options(label="first").submit_nowait(wait_for_ever)
        second = queue.options(label="second", after=first).submit_nowait(double, 2)
        queue.options(label="third", after=second).submit_nowait(double, 3)
        other = queue.options(label="other").submit_nowait(double, 4)
        await until(lambda: first.status.value == "running")
        copy = as_if_killed(path)
    with opened(copy, keep_ended=0, max_history=0) as queue:
        assert [job.id for job in queue.jobs()] == [other.id]
        stats = queue.get_state()["stats"]
        assert (stats["total_failed"], stats["total_cancelled"]) == (1, 2)


def test_a_retry_comes_back_with_what_it_waits_for_and_not_with_what_had_ended(path: Path) -> None:
    with opened(path) as queue:
        first = queue.options(label="first").submit_nowait(double, 1)
        second = queue.options(label="second").submit_nowait(double, 2)
        child = queue.options(label="child", after=[first, second]).submit_nowait(double, 3)
        first.cancel()
        assert child.retry().status.value == "pending"
    with opened(path) as queue:
        (again,) = (job for job in queue.jobs("pending") if job.label == "child")
        assert [parent.spec.title for parent in again._record.parents] == ["second"]
        old = next(job for job in queue.jobs("cancelled") if job.label == "child")
        third = old.retry()
        assert "does not wait for first" in third.logs()
        copy = as_if_killed(path)
    with opened(copy) as queue:
        found = queue.get_job(third.id)
        assert found is not None
        assert found.status.value == "pending"
        assert [parent.spec.title for parent in found._record.parents] == ["second"]


def test_a_hold_goes_on_for_what_was_left_of_it(path: Path) -> None:
    with opened(path) as queue:
        kept, removed = queue.map(double, range(2))
        queue.hold(kept, seconds=3600)
        queue.hold(removed, seconds=0.05, then="cancel")
        copy = as_if_killed(path)
        for job in (kept, removed):
            queue.release(job)
    with opened(copy) as again:
        held = again.get_job(kept.id)
        assert held is not None
        assert held.held
        left = inspect(again).seconds_left(held, "hold")
        assert left is not None
        assert 3000 < left <= 3600
        gone = again.get_job(removed.id)
        assert gone is not None
        for _ in range(400):
            if gone.done:
                break
            threading.Event().wait(0.01)
        assert gone.cancel_reason == "removed"
        again.release(held)


# -- results ---------------------------------------------------------------------------------------


class Odd:
    def __reduce__(self) -> str:
        raise TypeError("not me")


def make(kind: str) -> object:
    return {"large": b"x" * 3_000_000, "odd": Odd(), "none": None, "set": {1, 2}}[kind]


async def test_results_come_back_large_ones_from_files_and_odd_ones_as_text(path: Path) -> None:
    async with running(path, executor="thread") as queue:
        jobs = {kind: queue.submit_nowait(make, kind) for kind in ("large", "odd", "none", "set")}
        await queue.join()
        files = path.with_name("runs.db.results")
        await until(lambda: files.exists() and any(files.iterdir()))
        assert [file.stat().st_mode & 0o777 for file in files.iterdir()] == [0o600]
        ids = {kind: job.id for kind, job in jobs.items()}
    with opened(path) as again:
        found = {kind: again[job_id] for kind, job_id in ids.items()}
        assert found["large"].result == b"x" * 3_000_000
        assert found["none"].get_result() is None
        assert found["set"].result == {1, 2}
        assert "it cannot be pickled (TypeError); it was <Odd>" in repr(found["odd"].result)
        with pytest.raises(NotRestorableError, match="it cannot be pickled"):
            found["odd"].get_result()
        assert again.clear_history() == 4
    assert list(path.with_name("runs.db.results").iterdir())


class Mute(str):
    """Cannot be encoded by its own method."""

    __slots__ = ()

    def encode(self, *args: object) -> bytes:
        raise ValueError("no")


@pytest.mark.parametrize(
    "value",
    [10**5000, -(10**5000), {10**5000}, [{"digits": 10**5000}], b"x" * 100_000, [10**5000] * 1_000],
    ids=lambda value: type(value).__name__,
)
async def test_no_value_stops_the_journal(value: object, path: Path) -> None:
    async def give() -> object:
        current_job().report(0.5, Mute("half"))
        return value

    async with running(path) as queue:
        jobs = [queue.submit_nowait(give), queue.submit_nowait(double, 1)]
        await queue.join()
        queue.pause()
        cancelled = queue.submit_nowait(double, 1)
        cancelled.cancel(reason=Mute("not now"))
    with opened(path) as again:
        assert again[jobs[0].id].get_result() == value
        assert again[jobs[1].id].get_result() == 2
        assert again[cancelled.id].cancel_reason == "not now"


class Proxy:
    """As a library's proxy of what is not there."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError("there is nothing")


class Closed(dict):  # type: ignore[type-arg]
    """Tells nobody what it has."""

    def items(self) -> NoReturn:
        raise RuntimeError("closed")


@pytest.mark.parametrize(
    "make_one", [Proxy, lambda: Closed(a=1), lambda: [Closed()], lambda: {"token": Proxy()}]
)
async def test_what_cannot_be_searched_for_secrets_is_run_and_not_written(
    make_one: Callable[[], object], path: Path
) -> None:
    value = make_one()

    async def use(argument: object = None) -> bool:
        return argument is not None or value is not None

    async with running(path) as queue:
        jobs = [queue.submit_nowait(use), queue.submit_nowait(use, value)]
        assert [await job for job in jobs] == [True, True]
    with opened(path) as again:
        assert [again[job.id].get_result() for job in jobs] == [True, True]


@dataclass
class Part:
    name: str
    folder: Path


class Shade(enum.Enum):
    DARK = 1


class Nameless:
    def __repr__(self) -> str:
        raise ValueError("on purpose")


BUSY: dict[str, Any] = {f"option_{number}": Path(f"part-{number:04}") for number in range(20)}
SHOWN: list[tuple[tuple[object, ...], dict[str, Any]]] = [
    ((Path("part-0001.csv"),), {}),
    (({"lr": 0.1, "path": Path("a")},), {}),
    ((datetime.date(2026, 1, 2),), {"shade": Shade.DARK}),
    ((np.float64(0.25), np.arange(3)), {"frame": pd.DataFrame({"a": [1, 2]})}),
    ((Part("a", Path("b")), [Part("c", Path("d"))]), {}),
    ((Nameless(), "plain", 3), {}),
    (("x" * 300, ["y" * 50] * 50), {}),
    ((Path("first"),), BUSY),
    (("a" * 37, "b" * 37), {}),  # 80 characters, and one more
    (("a" * 37, "b" * 38), {"note": ""}),
    ((Path("with =formula"), "zeile\nzwei \ud800"), {}),
]


def lines_of(queue: JobQueue, path: Path) -> list[tuple[Any, ...]]:
    """A job's arguments wherever a user meets them as one line."""
    file = queue.export(path.with_name("out.csv"))
    with file.open(encoding="utf-8", newline="") as rows:
        exported = {row["id"]: row["arguments"] for row in csv.DictReader(rows)}
    read = {record.id: record.arguments for record in read_journal(path)}
    return [
        (
            *(job.id, job.describe_arguments(), job.describe_arguments(2_000)),
            *(job.as_row()["args"], exported[job.id], read[job.id]),
        )
        for job in sorted(queue.jobs(), key=lambda job: job._record.number)
    ]


async def test_the_line_of_arguments_that_was_shown_is_kept(path: Path) -> None:
    async def take(*args: object, **kwargs: object) -> None: ...

    queue = JobQueue(journal=path)
    for args, kwargs in SHOWN:
        queue.submit_nowait(take, *args, **kwargs)
    changed = [Path("as it was")]
    queue.submit_nowait(take, changed)
    changed.append(Path("changed"))
    before = lines_of(queue, path)
    let_go(queue)
    assert len({line[1] for line in before}) == len(SHOWN) + 1
    assert "part-0001.csv" in str(before[0])
    assert "changed" not in str(before[-1][1:2])
    for _ in range(2):
        with opened(path) as again:
            after = lines_of(again, path)
            assert [line[:2] + line[3:] for line in after] == [
                line[:2] + line[3:] for line in before
            ]
            # Longer ones too, but for what was changed since.
            assert [line[2] for line in after[:-1]] == [line[2] for line in before[:-1]]


class Slow:
    """Takes its time to be pickled."""

    go_on = threading.Event()

    def __reduce__(self) -> tuple[object, ...]:
        Slow.go_on.wait(20)
        return (dict, ())


async def test_a_result_that_was_still_being_pickled_is_said_to_be_missing(path: Path) -> None:
    async with running(path, executor="thread") as queue:
        job = queue.submit_nowait(Slow)
        assert isinstance(await job, Slow)  # nobody waits for the pickle
        with opened(as_if_killed(path)) as again:
            assert again[job.id].status.value == "completed"
            assert "its kernel ended before it was written" in repr(again[job.id].result)
        Slow.go_on.set()
    with opened(path) as again:
        assert again[job.id].result == {}


# -- one queue per journal -------------------------------------------------------------------------


def test_a_cell_that_runs_again_gets_the_queue_that_lives(path: Path) -> None:
    queue = JobQueue.open(path, name="mine")
    assert JobQueue.open(str(path)) is queue
    assert JobQueue.open(path.parent / "." / path.name) is queue
    with pytest.raises(QueueExistsError, match=r"JobQueue\.open\("):
        JobQueue(journal=path)
    job = queue.submit_nowait(double, 2)
    let_go(queue)
    with opened(path) as other:
        assert other is not queue
        assert other.get_job(job.id) is not None


def test_options_that_the_living_queue_does_not_take_over_are_named(path: Path) -> None:
    queue = JobQueue.open(path, max_running=2, env={"TOKEN": "a"})
    with pytest.warns(UserWarning, match="stays as it was made.*: env, max_running; ") as said:
        assert JobQueue.open(path, max_running=4, cancel_timeout=3, env={"TOKEN": "b"}) is queue
    assert said[0].filename == __file__
    with pytest.warns(UserWarning, match="made.*: executor, manager; "):
        JobQueue.open(path, FakePluginHost(), executor="thread")
    assert JobQueue.open(path, None, max_running=2, on_restore="run") is queue  # says nothing
    with pytest.raises(TypeError, match="max_runing"):
        JobQueue.open(path, max_runing=2)
    let_go(queue)


def test_a_journal_that_is_open_without_a_queue_is_in_use(path: Path) -> None:
    journal = SqliteJournal(path)
    other = Session("x", 1, "h", "t", 0.0, 0.0, None)
    with opened(journal), pytest.raises(JournalInUseError, match="this kernel"):
        SqliteJournal(path).open(other)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"journal": 7}, "journal must be a path"),
        ({"journal": ""}, "journal is empty"),
        ({"journal": SqliteJournal}, "journal must be a path"),
        ({"on_restore": "go"}, 'on_restore must be "pause" or "run"'),
    ],
)
def test_bad_arguments_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        JobQueue(**given)  # type: ignore[arg-type]


async def test_a_closed_queue_has_written_everything_and_let_go(path: Path) -> None:
    queue = await JobQueue(journal=path).start()
    assert await queue.submit_nowait(double, 4) == 8
    waiting = queue.options(after=queue.submit_nowait(wait_for_ever)).submit_nowait(double, 1)
    await queue.close()
    names = ["runs.db", "runs.db.learned.json", "runs.db.lock"]
    assert sorted(file.name for file in path.parent.iterdir()) == names
    with opened(path) as again:
        assert again[waiting.id].status.value == "cancelled"
        assert not again.paused


async def test_a_restored_job_that_needs_too_much_fails_and_one_that_fits_runs(path: Path) -> None:
    with opened(path) as queue:
        huge = queue.options(resources={"ram_mib": 1e12}).submit_nowait(talk, "huge")
        small = queue.options(resources={"ram_mib": 1}).submit_nowait(talk, "small")
        learned = queue.options(resources="learned").submit_nowait(talk, "learned")
        lost = queue.options(resources="learned", secret=True).submit_nowait(talk, "lost")
    async with running(path, on_restore="run") as again:
        again.release(lost.id)
        await again.join(timeout=30)
        assert "secret values are never written" in str(again[lost.id].error)
        assert "ImpossibleRequest" in str(again[huge.id].error)
        assert again[small.id].result == "SMALL"
        assert again[learned.id].result == "LEARNED"
