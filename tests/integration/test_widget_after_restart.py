"""What the widget is given of a queue that came back from its journal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, JournalWarning
from jobqueue_widget.testing import MemoryJournal, inspect
from jobqueue_widget.widget.model import QueueSource, State
from tests.conditions import until
from tests.integration.test_widget_model import Page
from tests.journals import as_if_killed, let_go, opened, running

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def double(number: int, password: str = "") -> int:
    return 2 * number


def state_of(queue: JobQueue) -> State:
    return QueueSource(queue).state()


async def killed(path: Path) -> Path:
    async with running(path) as queue:
        queue.options(label="interrupted").submit_nowait(wait_for_ever)
        queue.options(label="waits").submit_nowait(double, 1)
        queue.options(label="lost").submit_nowait(double, 1, password="canary")
        await until(lambda: queue.jobs("running"))
        copy = as_if_killed(path)
        queue.cancel_all("all")
    return copy


async def test_the_banner_says_how_many_came_back_from_when_and_what_to_do(tmp_path: Path) -> None:
    copy = await killed(tmp_path / "runs.db")
    with opened(copy) as queue:
        summary = state_of(queue)["summary"]
        assert summary["paused"]["reason"].startswith("2 jobs restored from ")
        assert summary["paused"]["reason"].endswith(" — review, then Resume")
        assert summary["note"] == ""


async def test_an_interrupted_row_can_be_retried_and_a_lost_one_says_why(tmp_path: Path) -> None:
    copy = await killed(tmp_path / "runs.db")
    queue = JobQueue(journal=copy)
    state = state_of(queue)
    (interrupted,) = state["history"]
    assert (interrupted["title"], interrupted["status"]) == ("interrupted", "failed")
    assert interrupted["error"] == "KernelDied: interrupted by kernel exit"
    waits, lost = state["head"]
    assert (waits["title"], waits["held"]) == ("waits", False)
    assert (lost["title"], lost["held"]) == ("lost", True)
    assert lost["block"].startswith("arguments cannot be restored: secret values are never")
    assert lost["args"] == "1, password=•••"
    page = Page(queue)
    try:
        assert page.ask("retry", job=interrupted["id"])["ok"]
        refused = page.ask("retry", job=lost["id"])
        assert "secret values are never written" in refused["e"]["msg"]
        assert page.ask("resume")["ok"]
        assert state_of(queue)["summary"]["paused"] is None
        assert page.ask("cancel", job=lost["id"])["ok"]
    finally:
        queue.widget.close()
        let_go(queue)


async def test_a_journal_that_fails_is_told_in_the_banner_until_it_is_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from jobqueue_widget._persistence import recorder

    journal = MemoryJournal()
    with opened(journal) as queue:
        journal.fail_next(1)
        with pytest.warns(JournalWarning):
            queue.submit_nowait(double, 1)
        note = state_of(queue)["summary"]["note"]
        assert note.startswith("The journal cannot be written ([Errno 28] No space left")
        monkeypatch.setattr(recorder, "RETRY_AFTER", 0.0)
        recorder_there = inspect(queue).engine.recorder
        assert recorder_there is not None
        recorder_there._retry_at = 0.0
        queue.submit_nowait(double, 2)
        assert state_of(queue)["summary"]["note"] == ""
