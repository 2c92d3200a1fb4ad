"""What was tried again is no failure any more, wherever failures are counted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue
from jobqueue_widget.__main__ import main
from jobqueue_widget.testing import inspect
from jobqueue_widget.widget.static_table import queue_text
from tests.conditions import until
from tests.integration.test_widget_model import Page, shown
from tests.journals import as_if_killed, opened, running


def fails(number: int) -> None:
    raise ValueError(f"{number} fails")


async def unless(lucky: set[int], number: int) -> int:
    if number not in lucky:
        fails(number)
    return number


def told(page: Page) -> dict[str, Any]:
    """What a page counts as failed: in the toolbar, the chip, the list, by kind, since it left."""
    summary = page.widget.summary
    found = page.ask("list", view={"status": "failed"})["v"]
    since = page.ask("since", moment=0)["v"]
    return {
        "toolbar": summary["counts"]["failed"],
        "chip": summary["listed"]["kept"][1],
        "list": sum(found["listed"]["jobs"]),
        "kinds": sum(count for _, count in page.ask("kinds")["v"]["kinds"]),
        "since": since["failed"],
    }


def heading(queue: JobQueue) -> str:
    words = queue.to_html().partition("<b>")[2].partition("</b>")[0]
    assert words in queue_text(queue)
    return words


@pytest.mark.parametrize("group", [None, "sweep"])
async def test_all_that_counts_failures_agrees_after_a_retry(group: str | None) -> None:
    async with shown() as (queue, page):
        lucky = {0}
        given = queue.options(group=group)
        jobs = [given.submit_nowait(unless, lucky, number) for number in range(4)]
        await queue.join()
        await until(lambda: page.widget.summary["counts"]["failed"] == 3)
        assert set(told(page).values()) == {3}
        assert "1 completed, 3 failed" in heading(queue)
        lucky.add(1)
        for job in jobs[1:3]:
            job.retry()
        await queue.join()
        await until(lambda: page.widget.summary["counts"]["completed"] == 2)
        assert set(told(page).values()) == {2}
        assert "2 completed, 2 failed" in heading(queue)
        counts, listed = page.widget.summary["counts"], page.widget.summary["listed"]
        assert (counts["retried"], counts["cancelled"]) == (2, 0)
        assert listed["kept"] == [2, 2, 0, 0 if group else 2]
        assert sum(listed["kept"]) == len(queue.jobs()) - (2 if group else 0)
        assert page.ask("many_jobs", act="retry", view={"status": "failed"})["v"]["count"] == 2
        await queue.join()
        assert queue.get_state()["stats"]["total_failed"] == 6, "attempts are counted as ever"
        inspect(queue).validate()


async def test_what_is_hidden_or_kept_no_more_keeps_the_counts_right() -> None:
    async with shown(keep_ended=3, max_history=3) as (queue, page):
        lucky = {2}
        first, second = (queue.submit_nowait(unless, lucky, number) for number in range(2))
        await queue.join()
        again = first.retry()
        await queue.join()
        queue.clear_history()
        assert inspect(queue).snapshot()["listed"]["kept"] == [0, 0, 0, 0]
        second.retry()
        inspect(queue).validate()
        assert inspect(queue).undo_clear() == 3
        await queue.join()
        inspect(queue).validate()
        for _ in range(4):
            await queue.submit_nowait(unless, lucky, 2)
        again.retry()  # of a job that only its handle keeps
        await queue.join()
        counts = inspect(queue).snapshot()["counts"]
        assert (counts["failed"], counts["retried"], counts["completed"]) == (2, 3, 4)
        inspect(queue).validate()
        assert page.ask("hello")["ok"]


async def test_a_restart_counts_as_before(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with running(path, keep_ended=4, max_history=4) as queue:
        jobs = [queue.submit_nowait(fails, number) for number in range(3)]
        await queue.join()
        for job in jobs[:2]:
            job.retry()
        await queue.join()
        before = inspect(queue).snapshot()
        assert (before["counts"]["failed"], before["counts"]["retried"]) == (3, 2)
        copy = as_if_killed(path)
    with opened(copy, keep_ended=4, max_history=4) as again:
        after = inspect(again).snapshot()
        assert after["counts"] == before["counts"], "one of those tried again was forgotten"
        assert after["listed"]["kept"] == before["listed"]["kept"] == [0, 3, 0, 1]
        inspect(again).validate()


async def test_the_table_in_a_terminal_tells_them_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.db"
    async with running(path) as queue:
        first, _ = (queue.submit_nowait(fails, number) for number in range(2))
        await queue.join()
        first.retry()
        await queue.join()
        first.retry()  # of the row that was clicked: it is the second try that is replaced
        await queue.join()
    await asyncio.to_thread(main, [str(path), "--status", "failed"])
    *_, counts = capsys.readouterr().out.splitlines()
    assert counts == "0 pending · 0 running · 0 completed · 2 failed · 0 cancelled · 2 retried"
