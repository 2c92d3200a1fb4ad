"""Clearing the history: ended jobs are hidden wherever they are shown, and kept all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import Job, JobQueue
from jobqueue_widget._runtime.engine import Clock, Engine, Settings
from jobqueue_widget.testing import MemoryJournal, inspect
from jobqueue_widget.widget.static_table import queue_text
from tests.journals import opened

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")


async def chore(number: int) -> int:
    return number


def ended(queue: JobQueue, *numbers: int) -> list[Job]:
    jobs = [queue.submit_nowait(chore, number) for number in numbers]
    for job in jobs:
        job.cancel()
    return jobs


def asked(queue: JobQueue, op: str, **a: object) -> object:
    sent: list[Any] = []
    queue.widget.send = sent.append
    queue.widget._commands.handle({"t": "req", "cid": "c", "rid": "1", "op": op, "a": a})
    answer = sent[-1]["v"]
    return answer["history"] if op == "list" else answer["rows"]


SHOWN: dict[str, Callable[[JobQueue], object]] = {
    "get_state": lambda queue: queue.get_state()["history"],
    "get_history": lambda queue: queue.get_history(),
    "window": lambda queue: queue.window("history", 0, 99).rows,
    "total of the window": lambda queue: queue.window("history", 0, 99).total,
    "html": lambda queue: queue.to_html(),
    "plain text": queue_text,
    "widget": lambda queue: queue.widget.history,
    "count of the widget": lambda queue: queue.widget.summary["counts"]["history"],
    "search of the widget": lambda queue: asked(queue, "list", view={"text": "chore"}),
    "filter of the widget": lambda queue: asked(queue, "list", view={"status": "cancelled"}),
    "rows of the widget": lambda queue: asked(queue, "rows", list="history", start=0, end=9),
}
KEPT: dict[str, Callable[[JobQueue], object]] = {
    "jobs": lambda queue: queue.jobs("cancelled"),
    "find": lambda queue: queue.find("chore"),
    "table": lambda queue: queue.to_pandas(),
    "get_job": lambda queue: [queue.get_job(job.id) for job in queue.jobs()],
}


def seen(found: object) -> int:
    """How many jobs are told of."""
    if isinstance(found, str):
        return found.count("chore")
    return found if isinstance(found, int) else len(found)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SHOWN)
def test_what_was_cleared_is_shown_nowhere_until_it_is_undone(name: str) -> None:
    def told() -> int:
        queue.widget.flush()
        return seen(SHOWN[name](queue))

    queue = JobQueue()
    ended(queue, 1, 2)
    assert told() == 2
    assert queue.clear_history() == 2
    assert told() == 0
    ended(queue, 3)
    assert told() == 1
    assert inspect(queue).undo_clear() == 2
    assert told() == 3
    queue.widget.close()


@pytest.mark.parametrize("name", KEPT)
def test_what_was_cleared_is_kept(name: str) -> None:
    queue = JobQueue()
    ended(queue, 1, 2)
    queue.clear_history()
    assert seen(KEPT[name](queue)) == 2


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_it_stays_hidden_when_its_journal_is_opened_again(kind: str, tmp_path: Path) -> None:
    journal = MemoryJournal() if kind == "memory" else None
    again = (lambda: journal) if journal is not None else (lambda: tmp_path / "runs.db")
    with opened(again()) as queue:
        jobs = ended(queue, 1, 2)
        assert queue.clear_history() == 2
        last = ended(queue, 3)[0]
    with opened(again()) as queue:
        assert [job.id for job in queue.get_history()] == [last.id]
        assert [job.id for job in queue.jobs()] == [last.id, jobs[1].id, jobs[0].id]
        assert inspect(queue).undo_clear() == 0, "that was in another kernel"
        assert queue.clear_history() == 1
        assert inspect(queue).undo_clear() == 1
    with opened(again()) as queue:
        assert [job.id for job in queue.get_history()] == [last.id]


class Timed(JobQueue):
    """Its time is set by the test."""

    seconds = 1_000.0

    def _make_engine(self, settings: Settings) -> Engine:
        return Engine(settings, Clock(monotonic=lambda: self.seconds))


def test_it_can_be_undone_for_ten_seconds() -> None:
    queue = Timed()
    for after, hidden in ((9.9, 0), (10.0, 1)):
        ended(queue, 1)
        queue.clear_history()
        queue.seconds += after
        assert inspect(queue).undo_clear() == 1 - hidden
        assert len(queue.get_history()) == 1 - hidden
        inspect(queue).undo_clear()


def test_an_undo_shows_what_the_last_clear_has_hidden_and_no_more() -> None:
    queue = JobQueue()
    ended(queue, 1)
    queue.clear_history()
    ended(queue, 2, 3)
    assert queue.clear_history() == 2
    ended(queue, 4)
    assert inspect(queue).undo_clear() == 2
    assert [job.args for job in queue.get_history()] == [(4,), (3,), (2,)]
    assert inspect(queue).undo_clear() == 0
