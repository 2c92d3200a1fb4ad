"""Acts on many jobs at once from the widget: those that are named, or all that a filter finds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conditions import until
from tests.integration.test_widget_model import Page, shown


async def gated(gate: asyncio.Event) -> None:
    await gate.wait()


async def fails(lucky: set[int], number: int) -> int:
    if number not in lucky:
        raise ValueError(number)
    return number


def done(page: Page, act: str, **whose: Any) -> int:
    count: int = page.ask("many_jobs", act=act, **whose)["v"]["count"]
    return count


async def test_many_are_cancelled_and_what_waits_can_be_undone() -> None:
    async with shown(max_running=1) as (queue, page):
        gate = asyncio.Event()
        jobs = [queue.submit_nowait(gated, gate) for _ in range(5)]
        await until(lambda: jobs[0].status.value == "running")
        queue.hold(jobs[4])
        ids = [job.id for job in jobs[1:]]
        assert done(page, "cancel", jobs=[*ids, "nobody"]) == 4
        assert [job.held for job in jobs[1:]] == [True] * 4
        assert [job.status.value for job in jobs[1:]] == ["pending"] * 4
        assert page.ask("undo_many")["v"]["count"] == 4
        assert [job.held for job in jobs[1:]] == [False] * 3 + [True]  # as it was
        assert page.code_of("undo_many") == "stale"
        assert done(page, "cancel", view={}) == 5
        await until(lambda: jobs[0].status.value == "cancelled")
        assert jobs[0].cancel_reason == "cancelled in the widget"
        assert page.ask("undo_many")["v"]["count"] == 4
        gate.set()
        queue.release(jobs[4])
        await queue.join()
        assert [job.status.value for job in jobs] == ["cancelled"] + ["completed"] * 4


async def test_all_failures_of_a_kind_are_retried_at_once_and_that_can_be_undone() -> None:
    async with shown() as (queue, page):
        lucky: set[int] = set()
        jobs = [queue.submit_nowait(fails, lucky, number) for number in range(3)]
        await queue.join()
        queue.pause()
        assert done(page, "retry", view={"status": "failed", "kind": "KeyError"}) == 0
        assert done(page, "retry", view={"status": "failed", "kind": "ValueError"}) == 3
        assert done(page, "retry", view={"status": "failed"}) == 0  # they are queued again already
        assert len(queue.jobs("pending")) == 3
        assert page.ask("undo_many")["v"]["count"] == 3
        assert queue.jobs("pending") == []
        lucky |= {1}
        assert done(page, "retry", jobs=[jobs[0].id]) == 0


async def test_what_a_summary_tells_to_have_failed_is_retried_and_no_other() -> None:
    async with shown() as (queue, page):
        lucky: set[int] = set()
        before, hidden, *jobs = (queue.submit_nowait(fails, lucky, number) for number in range(5))
        await queue.join()
        queue.clear_history()
        assert before.completed_at is not None
        jobs = [queue.submit_nowait(fails, lucky, number) for number in range(3)]
        await queue.join()
        told = page.ask("since", moment=before.completed_at)["v"]
        assert told["failed"] == 3
        later = queue.submit_nowait(fails, lucky, 7)
        await queue.join()
        queue.pause()
        jobs[1].retry()  # by somebody else, after it was told
        span = {"from": told["moment"], "to": told["now"]}
        assert done(page, "retry", **span) == 2
        again = queue.jobs("pending")
        assert [job.retry_of for job in again] == [jobs[1].id, jobs[0].id, jobs[2].id]
        assert (hidden.retried_by, later.retried_by) == (None, None)
        assert done(page, "retry", **span) == 0
        assert done(page, "cancel", **span) == 0, "what has failed is not cancelled"
        assert page.ask("since", moment=told["moment"])["v"]["failed"] == 1
        assert page.ask("undo_many")["v"]["count"] == 2
        assert queue.jobs("pending") == again[:1]


async def test_many_are_held_and_released() -> None:
    async with shown() as (queue, page):
        queue.pause()
        gate = asyncio.Event()
        jobs = [queue.submit_nowait(gated, gate) for _ in range(3)]
        assert done(page, "hold", jobs=[jobs[0].id, jobs[2].id]) == 2
        assert [job.held for job in jobs] == [True, False, True]
        assert done(page, "release", view={}) == 2
        assert page.ask("undo_many")["v"]["count"] == 2
        assert [job.held for job in jobs] == [True, False, True]
        queue.cancel_all("all")


@pytest.mark.parametrize(
    "whose",
    [
        {}, {"jobs": [], "view": {}}, {"jobs": "x"}, {"jobs": [7]}, {"jobs": ["x" * 65]},
        {"jobs": ["x"] * 2_001}, {"view": {"status": "gone"}}, {"view": []},
        {"from": 0}, {"to": 0}, {"from": 0, "to": 1, "view": {}}, {"from": "0", "to": 1},
    ],
)  # fmt: skip
async def test_what_names_no_jobs_is_refused(whose: dict[str, Any]) -> None:
    async with shown() as (_, page):
        assert page.code_of("many_jobs", act="cancel", **whose) == "bad_request"
        assert page.code_of("many_jobs", act="explode", view={}) == "bad_request"
