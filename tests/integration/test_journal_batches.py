"""What is done to many jobs at once is one transaction of the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, SqliteJournal
from jobqueue_widget._core.stored import Changes
from jobqueue_widget.testing import inspect
from tests.journals import let_go, opened

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")

MANY = 1_500  # more than are applied without letting go of the lock


class Counting(SqliteJournal):
    written = 0

    def write(self, changes: Changes) -> None:
        self.written += 1
        super().write(changes)


async def value(number: int) -> int:
    return number


def many(queue: JobQueue) -> None:
    queue.options(tags=["even"], ahead=MANY).map(value, range(0, MANY, 2))
    first = queue.options(tags=["odd"], ahead=MANY).map(value, range(1, MANY, 2))[0]
    queue.options(after=first).submit_nowait(value, 0)


ACTS: dict[str, tuple[Callable[[JobQueue], int], int, dict[str, int]]] = {
    "cancel all": (lambda queue: queue.cancel_all("all"), MANY, {"cancelled": MANY + 1}),
    "cancel the pending": (
        lambda queue: queue.cancel_all("pending"),
        MANY,
        {"cancelled": MANY + 1},
    ),
    "cancel those of a tag": (
        lambda queue: queue.cancel_all("all", tag="even"),
        MANY // 2,
        {"cancelled": MANY // 2, "pending": MANY // 2 + 1},
    ),
    "clear": (
        lambda queue: queue.cancel_all("all") and queue.clear_history(),
        MANY + 1,
        {"cancelled": MANY + 1},
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_an_act_on_many_jobs_is_one_transaction(act: str, tmp_path: Path) -> None:
    journal = Counting(tmp_path / "runs.db")
    do, count, left = ACTS[act]
    with opened(journal, keep_ended=2 * MANY) as queue:
        many(queue)
        before = journal.written
        assert do(queue) == count
        assert journal.written - before == (2 if act == "clear" else 1)
        inspect(queue).validate()
    with opened(tmp_path / "runs.db", keep_ended=2 * MANY) as again:
        found = [job.status.value for job in again.jobs()]
        assert {one: found.count(one) for one in set(found)} == left


async def test_a_close_is_two(tmp_path: Path) -> None:
    journal = Counting(tmp_path / "runs.db")
    queue = JobQueue(journal=journal, keep_ended=2 * MANY)
    await queue.start()
    queue.pause()
    many(queue)
    before = journal.written
    await queue.close()
    assert journal.written - before == 2  # what it cancels, and its goodbye
    with opened(tmp_path / "runs.db", keep_ended=2 * MANY) as again:
        assert {job.status.value for job in again.jobs()} == {"cancelled"}
        assert {job.cancel_reason for job in again.jobs()} <= {
            "queue closed",
            *(f"dependency cancelled: {job.plugin_name}" for job in again.jobs()),
        }


async def test_what_runs_is_asked_after_what_waits_was_cancelled(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    queue = JobQueue(journal=tmp_path / "runs.db")
    await queue.start()
    runs = queue.submit_nowait(wait)
    await started.wait()
    jobs = queue.options(ahead=MANY).map(value, range(MANY))
    assert queue.cancel_all("all") == MANY + 1
    await queue.join(timeout=20)
    assert runs.status.value == "cancelled"
    assert {job.status.value for job in jobs} == {"cancelled"}
    assert {job.started_at for job in jobs} == {None}
    await queue.stop()
    let_go(queue)
