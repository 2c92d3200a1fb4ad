"""Groups in the widget: a bounded number of rows that count exactly, acts on a group, forecasts."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue_widget import JobQueue, JobStatus
from jobqueue_widget._api.sweeps import forecasts
from jobqueue_widget._api.sweeps.forecasts import Estimate, HasDrawings, forecast_of
from jobqueue_widget._core.sweeps.eta import Forecast
from jobqueue_widget.testing import inspect
from jobqueue_widget.widget import model
from jobqueue_widget.widget.display import PROVIDER
from jobqueue_widget.widget.model import GROUP_ROWS, SentGroup, sent_group, shown_groups
from tests.conditions import until
from tests.integration.test_widget_model import HOSTILE, Page, shown

STATUSES = [status.value for status in JobStatus]


async def fine(*_: object) -> None:
    pass


async def unless(lucky: set[int], number: int) -> int:
    if number not in lucky:
        raise ValueError(f"{number} had no luck")
    return number


async def gated(gate: asyncio.Event, number: int) -> int:
    await gate.wait()
    return number


def counts(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in (*STATUSES, "more", "retriable") if name in row}


def names(page: Page) -> list[str]:
    return [row["name"] for row in page.widget.groups]


async def test_a_row_of_a_group_counts_its_items_by_what_they_are_now() -> None:
    async with shown(max_running=2) as (queue, page):
        gate = asyncio.Event()
        queue.options(group="sweep 7").map(gated, itertools.repeat(gate), range(5))
        queue.submit_nowait(fine)  # of no group
        await until(
            lambda: [counts(r) for r in page.widget.groups] == [{"pending": 3, "running": 2}]
        )
        assert names(page) == ["sweep 7"]
        assert page.widget.summary["counts"]["groups"] == 1
        gate.set()
        await until(lambda: [counts(row) for row in page.widget.groups] == [{"completed": 5}])


async def test_what_has_failed_is_retried_and_each_item_counts_once() -> None:
    async with shown() as (queue, page):
        lucky = {0, 2}
        runs = queue.options(group="mixed").map(unless, itertools.repeat(lucky), range(4))
        await queue.join()
        half = {"completed": 2, "failed": 2, "retriable": 2}
        await until(lambda: [counts(row) for row in page.widget.groups] == [half])
        (row,) = page.widget.groups
        lucky |= {1, 3}
        assert page.ask("retry_group", group=row["id"])["v"]["count"] == 2
        assert await runs == [0, 1, 2, 3]
        await until(lambda: [counts(row) for row in page.widget.groups] == [{"completed": 4}])
        refused = page.ask("retry_group", group=row["id"])["e"]
        assert refused == {"code": "stale", "msg": "nothing of it has failed any more"}


async def test_a_group_is_cancelled_and_draws_no_more() -> None:
    async with shown() as (queue, page):
        gate = asyncio.Event()
        runs = queue.options(group="endless", ahead=4).map(
            gated, itertools.repeat(gate), itertools.count()
        )
        other = queue.submit_nowait(gated, gate, 1)
        await until(lambda: [row.get("more") for row in page.widget.groups] == [-1])
        (row,) = page.widget.groups
        assert page.ask("cancel_group", group=row["id"])["v"]["count"] >= 4
        await until(lambda: runs.done)
        assert runs.counts["cancelled"] == sum(runs.counts.values())
        assert {job.cancel_reason for job in runs} == {"cancelled in the widget"}
        assert not other.done
        await until(lambda: [row.get("more") for row in page.widget.groups] == [None])
        gate.set()
        await other


async def test_a_group_that_was_looked_up_ends_the_drawing_of_its_map() -> None:
    async with JobQueue() as queue:
        gate = asyncio.Event()
        wait = partial(gated, gate)
        runs = queue.options(ahead=3, group="mine").map(wait, itertools.count())
        others = queue.options(ahead=3, group="others").map(wait, itertools.count())
        queue.group("mine").cancel()
        await until(lambda: runs.done)
        assert not others.done
        others.cancel()


async def test_what_is_still_to_come_is_told_as_far_as_it_is_known() -> None:
    async with shown() as (queue, page):
        gate = asyncio.Event()
        runs = queue.options(ahead=10).map(partial(gated, gate), [1] * 500)
        await until(lambda: [sum(counts(row).values()) for row in page.widget.groups] == [500])
        assert page.widget.groups[0]["more"] >= 480
        runs.cancel()


@pytest.mark.parametrize("op", ["cancel_group", "retry_group"])
async def test_requests_for_groups_are_checked(op: str) -> None:
    async with shown() as (queue, page):
        queue.map(fine, [1, 2])
        await queue.join()
        strange: list[Any] = ["1", None, -1, 1.5, True, [1], {}, 10**30]
        for odd in strange:
            assert page.code_of(op, group=odd) == "bad_request"
        assert page.code_of(op) == "bad_request"
        assert page.code_of(op, group=0) == "not_found"
        assert page.code_of(op, group=99) == "not_found"
        for odd in strange:
            window = {"list": "group", "start": 0, "end": 9, "group": odd}
            assert page.code_of("rows", **window) == "bad_request"
        stale = {"t": "req", "cid": "page", "rid": "late", "op": op, "epoch": "another kernel"}
        page.commands.handle({**stale, "a": {"group": 1}})
        assert page.answers[-1]["e"]["code"] == "gone"


async def test_a_group_that_is_forgotten_is_not_found() -> None:
    async with shown() as (queue, page):
        queue.map(fine, [1, 2])
        await queue.join()
        await until(lambda: len(page.widget.groups) == 1)
        number = page.widget.groups[0]["id"]
        queue.forget(*queue.jobs())
        assert page.code_of("cancel_group", group=number) == "not_found"
        await until(lambda: page.widget.groups == [])
        queue.map(fine, [1])
        await until(lambda: len(page.widget.groups) == 1)
        assert page.widget.groups[0]["id"] > number  # never again another group's


def jobs_of(page: Page, number: int, **view: str) -> list[str]:
    """The jobs that a page shows below a group, all of them or those that match."""
    window: dict[str, Any] = {"list": "group", "group": number, "start": 0, "end": 200}
    if view:
        page.ask("list", view=view)  # as of now
        window["view"] = view
    answer = page.ask("rows", **window)["v"]
    assert answer["total"] == len(answer["rows"])
    assert {row["group"] for row in answer["rows"]} <= {number}
    return [row["id"] for row in answer["rows"]]


async def test_jobs_of_a_group_stand_below_it_and_under_a_filter_those_that_match() -> None:
    async with shown(max_running=1) as (queue, page):
        gate = asyncio.Event()
        first = queue.options(group="a", label="first {1}").map(
            gated, itertools.repeat(gate), range(3)
        )
        queue.options(group="b", label="second {1}").map(gated, itertools.repeat(gate), range(3))
        alone = queue.submit_nowait(gated, gate, 7)
        await queue.cancel(first[2])
        await until(lambda: page.widget.summary["listed"]["kept"] == [0, 0, 1, 0])
        number = {row["name"]: row["id"] for row in page.widget.groups}["a"]
        assert [row["listed"] for row in page.widget.groups] == [3, 3]
        assert page.widget.summary["listed"]["singles"] == [0, 1, 0]
        await until(lambda: page.widget.summary["listed"]["groups"] == [1, 1, 0])
        assert jobs_of(page, number) == [job.id for job in first]  # in the order of its items
        window = page.ask("rows", list="pending", start=0, end=9)["v"]
        assert [(row["id"], row["position"]) for row in window["rows"]] == [(alone.id, 4)]
        assert jobs_of(page, number, status="cancelled") == [first[2].id]
        assert jobs_of(page, number, text="first 1") == [first[1].id]
        assert jobs_of(page, number, text="second") == []
        found = page.ask("list", view={"status": "cancelled"})["v"]
        assert found["listed"] == {"singles": [0, 0, 0], "groups": [0, 0, 1], "jobs": [0, 0, 1]}
        assert [(group[0], group[11:]) for group in found["groups"]] == [(number, [2])]
        gate.set()
        await queue.join()


async def test_an_item_that_was_tried_again_is_listed_once() -> None:
    async with shown() as (queue, page):
        lucky = {0}
        runs = queue.options(group="mixed").map(unless, itertools.repeat(lucky), range(2))
        await queue.join()
        await until(lambda: page.widget.summary["listed"]["kept"] == [1, 1, 0, 0])
        lucky.add(1)
        await runs.retry_failed()
        await until(lambda: page.widget.summary["listed"]["kept"] == [2, 0, 0, 0])
        number = page.widget.groups[0]["id"]
        assert jobs_of(page, number) == [job.id for job in runs]
        assert page.ask("list", view={"status": "failed"})["v"]["listed"]["jobs"] == [0, 0, 0]
        queue.clear_history()
        await until(lambda: page.widget.summary["listed"]["groups"] == [0, 0, 0])
        assert page.widget.groups == []
        assert inspect(queue).undo_clear() == 3
        await until(lambda: page.widget.summary["listed"]["kept"] == [2, 0, 0, 0])
        assert jobs_of(page, number) == [job.id for job in runs]


async def test_all_groups_are_reached_and_all_that_is_kept_though_few_rows_are_told() -> None:
    async with shown(max_history=5) as (queue, page):
        for number in range(60):
            queue.options(group=f"group {number}").map(fine, [1])
        singles = [queue.submit_nowait(fine) for _ in range(30)]
        await queue.join()
        listed = {"singles": [0, 0, 30], "groups": [0, 0, 60], "kept": [90, 0, 0, 0]}
        await until(lambda: page.widget.summary["listed"] == listed)
        assert len(page.widget.groups) == GROUP_ROWS
        assert len(page.widget.history) == 5
        last = page.ask("rows", list="groups", start=50, end=100)["v"]
        assert last["total"] == 60
        assert [group[1] for group in last["rows"]] == [f"group {n}" for n in range(9, -1, -1)]
        rows = page.ask("rows", list="history", start=0, end=99)["v"]["rows"]
        assert [row["id"] for row in rows] == [job.id for job in reversed(singles)]


async def test_items_that_the_queue_has_let_go_still_count_and_count_once() -> None:
    async with shown(keep_ended=10, max_history=5) as (queue, page):
        lucky: set[int] = set(range(2, 40))
        runs = queue.options(group="long").map(unless, itertools.repeat(lucky), range(40))
        await queue.join()
        whole = {"completed": 38, "failed": 2}
        await until(lambda: [counts(row) for row in page.widget.groups] == [whole])
        assert sum(queue.group("long").counts.values()) == 10
        number = page.widget.groups[0]["id"]
        assert page.code_of("retry_group", group=number) == "stale"  # they are not kept here
        lucky |= {0, 1}
        await runs.retry_failed()  # who holds the map has them
        await until(lambda: [counts(row) for row in page.widget.groups] == [{"completed": 40}])


async def test_of_many_groups_those_at_work_are_told_and_then_the_newest() -> None:
    async with shown(max_running=1) as (queue, page):
        gate = asyncio.Event()
        old = queue.options(group="old").map(gated, [gate], [1])
        for number in range(60):
            queue.options(group=f"done {number}", priority=5).submit_nowait(fine)
        await until(lambda: queue.group("done 59").counts["pending"] == 1)
        gate.set()
        await queue.join()
        gate.clear()
        old.retry_failed()
        again = queue.options(group="old").submit_nowait(gated, gate, 1)
        told = ["old", *(f"done {n}" for n in range(59, 59 - GROUP_ROWS + 1, -1))]
        await until(lambda: names(page) == told)
        assert page.widget.summary["counts"]["groups"] == 61
        gate.set()
        await again


async def test_a_name_is_one_bounded_line_of_text() -> None:
    async with shown() as (queue, page):
        for text in HOSTILE:
            queue.options(group=f"{text} {'x' * 500}").map(fine, [1])
        await queue.join()
        await until(lambda: len(page.widget.groups) == len(HOSTILE))
        told = json.dumps(page.widget.groups, ensure_ascii=False)
        assert all(len(name) <= 80 and name.isprintable() for name in names(page))
        assert "\u202e" not in told
        for row in page.widget.groups:  # the number stands for it, whatever its name is
            assert len(jobs_of(page, row["id"])) == 1


STANDING = st.fixed_dictionaries(
    {"id": st.integers(1, 3), "name": st.sampled_from(["sweep", "of\ntwo lines"])},
    optional={name: st.integers(1, 2) for name in ("running", "failed", "retriable", "more")},
)
MOMENT = st.tuples(
    st.lists(STANDING, max_size=3, unique_by=lambda row: row["id"]),
    st.dictionaries(st.integers(1, 3), st.sampled_from([10.5, 20.5])),
)


@given(moments=st.lists(MOMENT, max_size=6))
def test_groups_that_are_taken_as_they_were_are_what_they_would_be_anew(moments: list[Any]) -> None:
    last: Sequence[SentGroup] = ()
    for rows, ends in moments:
        last = shown_groups(rows, Estimate(ends=ends), last)
        anew = shown_groups(rows, Estimate(ends=ends))
        assert last == anew
        plain = [sent_group(dict(row)) for row in anew]
        assert [sent_group(row) for row in last] == plain
        again = shown_groups([dict(row) for row in rows], Estimate(ends=dict(ends)), last)
        assert all(one is other for one, other in zip(again, last, strict=True))


async def test_forecasts_are_made_seldom_and_only_for_who_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = 0

    def counted(control: HasDrawings) -> Forecast:
        nonlocal made
        made += 1
        return forecast_of(control)

    monkeypatch.setattr(forecasts, "forecast_of", counted)
    monkeypatch.setattr(forecasts, "EVERY", 3600.0)
    monkeypatch.setattr(model, "LEAST_WAIT", -1.0)
    async with shown(max_running=1) as (queue, page):
        runs = queue.options(group="timed").map(asyncio.sleep, [0.05] * 3 + [600] * 5)
        await until(lambda: runs.counts["completed"] == 3 and queue.eta is not None)
        assert made == 0  # nobody has asked for anything
        assert page.widget.summary["done_at"] is None
        page.ask("hello")
        await until(lambda: any("done_at" in row for row in page.widget.groups))
        (row,) = page.widget.groups
        window = {"list": "group", "group": row["id"], "start": 0, "end": 200}
        below = page.ask("rows", **window)["v"]["rows"]
        now = inspect(queue).clock.wall()
        assert row["done_at"] == page.widget.summary["done_at"]
        assert now - 60 < row["done_at"] < now + 60
        starts = [one["start_about"] for one in below if "start_about" in one]
        assert len(starts) == 4
        assert all(now - 60 < at <= row["done_at"] for at in starts)
        assert starts == sorted(starts)
        last = jobs_of(page, row["id"], text=queue.jobs("pending")[-1].id)
        assert last == [queue.jobs("pending")[-1].id]
        queue.pause()
        await until(lambda: page.widget.summary["done_at"] is None)
        queue.resume()
        await until(lambda: page.widget.summary["done_at"] is not None)
        assert made == 1  # however many flushes there were
        runs.cancel()


async def test_the_cell_of_a_group_tells_of_it_alone_and_acts_on_it_as_number_0() -> None:
    async with shown(max_running=2) as (queue, of_queue):
        lucky = {0}
        group = queue.map(unless, itertools.repeat(lucky), range(3))  # without a name
        queue.options(group="other").map(fine, range(2))
        page = Page(queue, PROVIDER.shown_group(queue, group).widget)
        assert PROVIDER.shown_group(queue, group).widget is page.widget
        await until(lambda: page.widget.groups[0].get("failed") == 2)
        (row,) = page.widget.groups
        assert (row["id"], counts(row)) == (0, {"completed": 1, "failed": 2, "retriable": 2})
        assert row["kinds"] == ["2 of ValueError, as: ValueError: 1 had no luck"]
        assert of_queue.code_of("retry_group", group=0) == "not_found"
        lucky |= {1, 2}
        assert page.ask("retry_group", group=0)["ok"]
        await until(lambda: [counts(r) for r in page.widget.groups] == [{"completed": 3}])
        assert "kinds" not in page.widget.groups[0]
        page.widget.close()
        assert PROVIDER.shown_group(queue, group).widget is not page.widget
        PROVIDER.shown_group(queue, group).widget.close()


async def test_the_cell_of_a_group_cancels_what_is_left_and_hides_what_a_page_must_not_see() -> (
    None
):
    async with shown(max_running=1) as (queue, _):
        gate = asyncio.Event()
        group = queue.options(group="".join(HOSTILE[:3]) * 9).map(
            gated, itertools.repeat(gate), range(3)
        )
        page = Page(queue, PROVIDER.shown_group(queue, group).widget)
        assert len(page.widget.groups[0]["name"]) <= 80
        assert page.ask("cancel_group", group=0)["ok"]
        await until(lambda: counts(page.widget.groups[0]) == {"cancelled": 3})
        assert group.counts["cancelled"] == 3
        page.widget.close()
