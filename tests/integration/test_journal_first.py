"""In the journal first: before a job begins, before its end is told, before `submit` returns."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, current_job, read_journal
from jobqueue_widget._runtime.publish import JobEvent
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.journals import running

GOLDEN = Path(__file__).with_name("journal-1.sql")


def status_in(path: str, job_id: str) -> str:
    """Where the file says that the job is."""
    return next(record.status for record in read_journal(path) if record.id == job_id)


def look(path: str) -> str:
    """What the journal says of the job that looks."""
    return status_in(path, str(current_job().id))


async def look_here(path: str) -> str:
    return look(path)


@pytest.mark.parametrize("kind", ["coroutine", "thread", "process"])
async def test_a_job_is_running_in_the_journal_before_it_begins(kind: str, tmp_path: Path) -> None:
    path = str(tmp_path / "runs.db")
    target = look_here if kind == "coroutine" else look
    async with running(path) as queue:
        view = queue.options(executor=None if kind == "coroutine" else kind)
        jobs = [view.submit_nowait(target, path) for _ in range(30)]
        assert [await job for job in jobs] == ["running"] * 30


async def test_an_end_is_in_the_journal_before_whoever_waits_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "runs.db")
    seen: list[str] = []

    def note(event: JobEvent) -> None:
        if event.type == "ended" and event.job_id is not None:
            seen.append(status_in(path, event.job_id))

    async with running(path) as queue:
        queue.subscribe(note)
        for _ in range(20):
            job = queue.submit_nowait(len, "abc")
            await job
            assert status_in(path, job.id) == "completed"
            cancelled = queue.options(after=queue.submit_nowait(asyncio.sleep, 60))
            waiting = cancelled.submit_nowait(len, "abc")
            queue.cancel_all("all")
            assert status_in(path, waiting.id) == "cancelled"
            await queue.join()
        await until(lambda: len(seen) == 60)
    assert set(seen) == {"completed", "cancelled"}


# -- journals of earlier versions ------------------------------------------------------------------


def test_a_journal_of_version_1_opens_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    connection = sqlite3.connect(path)
    connection.executescript(GOLDEN.read_text(encoding="utf-8"))
    connection.close()
    data = tmp_path / "data"
    data.mkdir()
    (data / "journal.key").write_bytes(b"0123456789abcdef0123456789abcdef")
    (data / "journal.key").chmod(0o600)
    monkeypatch.setenv("JOBQUEUE_DATA_DIR", str(data))
    queue = JobQueue(journal=path, on_restore="run", loop="thread")
    with queue:
        queue.release(queue["held"])
        queue.wait(queue["held"], queue["next"], timeout=30)
        told = {job.label: (job.status.value, job.result, job.error) for job in queue.jobs()}
        assert told == {
            "done": ("completed", {"digits": (1, 2)}, None),
            "failed": ("failed", None, "TypeError: object of type 'int' has no len()"),
            "ran": ("failed", None, "KernelDied: interrupted by kernel exit"),
            "held": ("completed", 3, None),
            "next": ("completed", 8, None),
            "secret": ("pending", None, None),
        }
        assert queue["secret"].held
        assert queue["done"].tags == ("a", "b")
        assert "TypeError" in (queue["failed"].failure or pytest.fail("no failure")).traceback
        assert queue["done"].id == "0f1e2d3c-1"
        queue["secret"].cancel()
    inspect(queue).let_go()
