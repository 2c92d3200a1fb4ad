"""What users of the reference system look for on a queue and its jobs: ids, settings, lists."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import (
    InvalidOptionError,
    JobEvictedError,
    JobQueue,
    JobStatus,
    UnknownJobError,
)
from jobqueue_widget._core.ids import JobIds
from jobqueue_widget.testing import FakePluginHost, inspect
from tests.conditions import until


async def nothing() -> None:
    pass


async def fail() -> None:
    raise ValueError("no")


# -- ids -------------------------------------------------------------------------------------------


def test_an_id_is_a_uuid_and_its_first_eight_characters_tell_the_jobs_of_a_queue_apart() -> None:
    queue = JobQueue()
    queue.pause()
    ids = [queue.options().submit_nowait(nothing).id for _ in range(5_000)]
    assert all(str(uuid.UUID(job_id)) == job_id for job_id in ids)
    assert all(uuid.UUID(job_id).variant == uuid.RFC_4122 for job_id in ids)
    assert len({job_id[:8] for job_id in ids}) == len(ids)
    queue.cancel_all("all")


def test_ids_lead_back_to_their_numbers() -> None:
    dice = random.Random(7)
    for _ in range(200):
        run_id = f"{dice.randrange(1 << 32):08x}"
        ids = JobIds(run_id, dice.randbytes(5))
        for number in (1, 2, dice.randrange(1, 1 << 32), dice.randrange(1, 1 << 44)):
            job_id = ids.id_of(number)
            assert ids.number_of(job_id, frozenset({run_id, "ffffffff"})) == number
            assert ids.number_of(job_id, frozenset({"00000000"})) is None
        assert ids.number_of(f"{run_id}-17", frozenset({run_id})) == 17  # of 0.1
    for odd in ("", "-", "x" * 36, f"{run_id}-", f"{run_id}-x", "zzzzzzzz" + ids.id_of(1)[8:]):
        assert ids.number_of(odd, frozenset({run_id})) is None


async def test_a_journal_gives_no_two_jobs_the_same_first_characters(tmp_path: Path) -> None:
    ids: list[str] = []
    for _ in range(4):
        async with JobQueue(journal=tmp_path / "runs.db", on_restore="run") as queue:
            ids += [await queue.submit(nothing) for _ in range(50)]
            await queue.join(timeout=20)
            with pytest.raises(UnknownJobError):
                queue.retry("0" * 36)
        await queue.close()
    assert len({job_id[:8] for job_id in ids}) == len(ids) == 200


async def test_the_id_of_a_forgotten_job_is_known_as_such_even_if_a_journal_has_no_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    async with JobQueue(journal=path) as queue:
        gone = await queue.submit(nothing)
        await queue.join(timeout=20)
        queue.forget(gone)
        await queue.close()
    for _ in range(2):
        async with JobQueue(journal=path, on_restore="run") as queue:
            with pytest.raises(JobEvictedError):
                queue.retry(gone)
            await queue.wait_for_job(last := await queue.submit(nothing))
            queue.forget(last)
            await queue.close()


async def test_the_id_of_a_job_that_is_kept_no_longer_is_told_from_one_that_never_was() -> None:
    async with JobQueue(max_history=1, keep_ended=1) as queue:
        first, _ = await queue.submit(nothing), await queue.submit(nothing)
        await queue.join(timeout=10)
        with pytest.raises(JobEvictedError):
            await queue.wait_for_job(first)
        with pytest.raises(UnknownJobError):
            await queue.wait_for_job(inspect(queue).engine.ids.id_of(99))
        with pytest.raises(UnknownJobError):
            await queue.wait_for_job(str(uuid.uuid4()))


# -- settings as attributes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "bad"),
    [
        ("max_history", 7, -1),
        ("max_history", 0, 2.5),
        ("cancel_timeout", 0.25, None),
        ("cancel_timeout", 0, float("nan")),
        ("progress_poll_interval", 0.5, 0),
        ("logger", logging.getLogger("mine"), "mine"),
    ],
    ids=str,
)
def test_a_setting_is_read_and_set_as_an_attribute(name: str, value: Any, bad: Any) -> None:
    queue = JobQueue()
    setattr(queue, name, value)
    assert getattr(queue, name) == value
    with pytest.raises(InvalidOptionError, match=name):
        setattr(queue, name, bad)
    assert getattr(queue, name) == value


async def test_a_history_that_is_set_shorter_or_longer_holds_at_once() -> None:
    async with JobQueue(max_history=3, keep_ended=2) as queue:
        jobs = [queue.submit_nowait(nothing) for _ in range(5)]
        await queue.join(timeout=10)
        assert queue.get_history() == jobs[:1:-1]
        queue.max_history = 1
        assert queue.get_history() == jobs[:3:-1]
        assert queue.window("history", 0, 9).total == 1
        await queue.submit_nowait(nothing)
        assert len(queue.jobs("completed")) == 2  # keep_ended holds again
        queue.max_history = 5
        jobs = [queue.submit_nowait(nothing) for _ in range(5)]
        await queue.join(timeout=10)
        assert queue.get_history() == jobs[::-1]


def deaf(plugin: Any, seconds: float) -> str:
    plugin.report(-1.0, "amount unknown")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        plugin.pause(0.02)
    return "done"


async def test_a_cancel_timeout_that_is_set_holds_for_what_is_cancelled_next() -> None:
    async with JobQueue(FakePluginHost(deaf=deaf), cancel_timeout=30.0) as queue:
        job = queue.submit_nowait("deaf", 20.0)
        await until(lambda: job.started_at is not None and job.phase is None)
        queue.cancel_timeout = 0.1
        await queue.cancel(job)
        await queue.wait_for_job(job, timeout=5)
        assert job.status is JobStatus.cancelled


async def test_a_poll_interval_that_is_set_holds_and_minus_one_is_unknown() -> None:
    async with JobQueue(FakePluginHost(deaf=deaf), progress_poll_interval=0.05) as queue:
        job = queue.submit_nowait("deaf", 20.0)
        await until(lambda: job.status_message == "amount unknown")
        assert job.progress == -1.0
        queue.progress_poll_interval = 0.01
        await queue.cancel(job, force=True)


class InProcess:
    """A host as the reference's tests have it: no process, and calls that hear nothing."""

    def get_plugin(self, name: str) -> object:
        return object()

    async def execute_plugin_async(self, name: str, /, *args: object, **kwargs: object) -> object:
        await asyncio.sleep(600)
        return "never"

    def reload_plugin(self, name: str, config: object = None) -> bool:
        return True


async def test_a_deaf_call_without_a_process_is_over_when_it_is_forced() -> None:
    async with JobQueue(InProcess(), cancel_timeout=0.3) as queue:
        job = queue.submit_nowait("any")
        await until(lambda: job.started_at is not None and job.phase is None)
        began = time.monotonic()
        await queue.cancel(job)
        await queue.wait_for_job(job, timeout=10)
        assert job.status is JobStatus.cancelled
        assert time.monotonic() - began < 0.3 + 2.0  # 5 s and more before; 0.5 s on a quiet machine


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


async def test_what_the_queue_has_to_say_goes_to_the_logger_that_is_set() -> None:
    mine, records = logging.getLogger("mine.own"), Records()
    mine.addHandler(records)
    try:
        async with JobQueue() as queue:
            queue.logger = mine

            def subscriber(_: object) -> None:
                raise RuntimeError("it breaks")

            queue.subscribe(subscriber)
            await queue.submit_nowait(nothing)
            await until(lambda: any("failed on" in text for text in records.texts))
    finally:
        mine.removeHandler(records)


# -- lists, and hooks that are no more ------------------------------------------------------------


async def test_the_lists_of_later_versions_agree_with_the_state() -> None:
    async with JobQueue() as queue:
        done = [queue.submit_nowait(nothing), queue.submit_nowait(fail)]
        await queue.join(timeout=10)
        gate = asyncio.Event()
        running = queue.submit_nowait(gate.wait)
        await until(lambda: running.status is JobStatus.running)
        low, high = queue.submit_nowait(nothing), queue.submit_nowait(nothing, priority=5)
        assert queue.get_running_jobs() == [running]
        assert queue.get_pending() == [high, low]
        assert queue.get_history() == done[::-1]
        assert queue.get_history(limit=1) == done[1:]
        stats, told = queue.get_stats(), queue.get_state()["stats"]
        for name in ("total_pending", "total_completed", "total_failed", "total_cancelled"):
            assert getattr(stats, name) == told[name]
        gate.set()


@pytest.mark.parametrize("hook", ["_execute_job", "_poll_progress", "_move_to_history"])
def test_a_subclass_is_told_once_that_its_hook_is_never_called(hook: str) -> None:
    with pytest.warns(UserWarning, match=rf"Mine\.{hook} is never called.*subscribe"):
        kind: Callable[[], object] = type("Mine", (JobQueue,), {hook: lambda self, *_: None})
    kind()  # without another word


# -- a cancelled job is no error ------------------------------------------------------------------


async def test_a_cancelled_job_has_a_reason_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with JobQueue(journal=path) as queue:
        queue.pause()
        plain, told = queue.submit_nowait(nothing), queue.submit_nowait(nothing)
        child = queue.options(after=told).submit_nowait(nothing)
        plain.cancel()
        told.cancel(reason="not today")
        for job, reason in ((plain, "cancelled"), (told, "not today"), (child, "dependency")):
            assert job.error is None
            assert str(job.cancel_reason).startswith(reason)
            row = next(row for row in queue.window("history", 0, 9).rows if row["id"] == job.id)
            assert (row["error"], row["cancel_reason"]) == (None, job.cancel_reason)
            assert job.as_dict()["cancel_reason"] == job.cancel_reason
        history = queue.get_state()["history"]
        assert {entry["error"] for entry in history} == {None}
        assert set(queue.to_pandas().columns) >= {"error", "cancel_reason"}
        exported = queue.export(tmp_path / "runs.csv").read_text()
        assert "not today" in exported
        assert "cancel_reason" in exported.splitlines()[0]
    await queue.close()
    from jobqueue_widget import read_journal

    records = {record.id: record for record in read_journal(path)}
    assert (records[told.id].error, records[told.id].cancel_reason) == (None, "not today")
    restored = JobQueue(journal=path)
    again = restored[told.id]
    assert (again.error, again.cancel_reason) == (None, "not today")
    await restored.close()
