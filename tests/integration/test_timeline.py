"""Which attempt ran when on which lane: `queue.timeline()`, and the page's request for it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import InvalidOptionError, JobQueue, Timeline, TimelineBar
from jobqueue_widget._runtime.storage import spans
from jobqueue_widget.testing import MemoryJournal, inspect
from tests.conditions import until
from tests.integration.test_widget_model import shown
from tests.journals import as_if_killed, opened, running
from tests.kernels import VERSIONS, Kernel


async def rest(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def fail() -> None:
    raise ValueError("no luck")


def bars_by_job(told: Timeline) -> dict[str, list[TimelineBar]]:
    found: dict[str, list[TimelineBar]] = {}
    for bar in told.bars:
        found.setdefault(bar.job_id, []).append(bar)
    return found


def none_covers_another(told: Timeline) -> bool:
    return all(a.lane < b.lane or a.end <= b.start for a, b in pairwise(told.bars))


async def test_each_attempt_is_a_bar_on_the_lane_that_it_had() -> None:
    async with JobQueue(max_running=2) as queue:
        began = time.time()
        jobs = [queue.submit_nowait(rest, 0.05) for _ in range(4)]
        again = queue.options(retries=2, backoff=0.01).submit_nowait(fail)
        never = queue.submit_nowait(rest, 0)
        never.cancel()
        await queue.join(timeout=10)
        runs = queue.submit_nowait(rest, 60)
        await until(lambda: runs.status.value == "running")
        told = queue.timeline()
        found = bars_by_job(told)
        assert told.lanes == 2
        assert found.keys() == {*(job.id for job in jobs), again.id, runs.id}, "never ran: no bar"
        assert none_covers_another(told)
        for job in jobs:
            (bar,) = found[job.id]
            assert (bar.start, bar.end, bar.status) == (
                job.started_at,
                job.completed_at,
                "completed",
            )
        assert {bar.lane for job in jobs for bar in found[job.id]} == {0, 1}
        tries = sorted(found[again.id], key=lambda bar: bar.start)
        assert [(bar.attempt, bar.status, bar.failed) for bar in tries] == [
            (1, "failed", 1),
            (2, "failed", 1),
            (3, "failed", 1),
        ]
        (now,) = found[runs.id]
        assert (now.status, now.end) == ("running", told.now)
        assert began <= told.start <= told.end <= time.time()
        runs.cancel()


async def test_only_what_touches_the_time_asked_for_is_told() -> None:
    async with JobQueue() as queue:
        first, second, third = [queue.submit_nowait(rest, 0.03) for _ in range(3)]
        await queue.join(timeout=10)
        start, end = second.started_at, second.completed_at
        assert start is not None
        assert end is not None
        inside = (start + end) / 2
        assert [bar.job_id for bar in queue.timeline(inside, inside).bars] == [second.id]
        noon = datetime.fromtimestamp(inside, UTC)
        assert [bar.job_id for bar in queue.timeline(noon).bars] == [second.id, third.id]
        assert [bar.job_id for bar in queue.timeline(end=noon).bars] == [first.id, second.id]
        assert queue.timeline(0, 1).bars == ()
        few = queue.timeline(limit=2)
        assert [bar.attempts for bar in few.bars] in ([2, 1], [1, 2])


async def test_pauses_are_told_with_their_reasons() -> None:
    async with JobQueue() as queue:
        queue.pause("for lunch")
        await rest(0.02)
        queue.resume()
        queue.pause("once more")
        told = queue.timeline()
        assert [(one.reason, one.away) for one in told.pauses] == [
            ("for lunch", False),
            ("once more", False),
        ]
        assert told.pauses[0].end - told.pauses[0].start >= 0.02
        assert told.pauses[1].end == told.now
        queue.pause("another word for the same pause")
        queue.resume()
        assert len(queue.timeline().pauses) == 2


async def test_what_is_forgotten_or_cleared_keeps_its_time_without_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spans, "BEYOND", 5)
    async with JobQueue(keep_ended=4, max_history=4) as queue:
        jobs = [queue.submit_nowait(rest, 0) for _ in range(3)]
        await queue.join(timeout=10)
        queue.clear_history()
        assert [bar.job_id for bar in queue.timeline().bars] == [job.id for job in jobs]
        queue.forget(jobs[1])
        told = queue.timeline().bars
        assert [bar.job_id for bar in told] == [jobs[0].id, "", jobs[2].id]
        for _ in range(20):
            queue.submit_nowait(rest, 0)
        await queue.join(timeout=10)
        bars = queue.timeline().bars
        assert len(bars) == 9, "bounded: 4 that are kept, 5 beyond those"
        assert [bool(bar.job_id) for bar in bars] == [False] * 5 + [True] * 4


async def test_a_zombie_has_its_lane_until_it_is_gone() -> None:
    go_on = asyncio.Event()

    async def deaf() -> None:
        while not go_on.is_set():
            try:
                await asyncio.wait_for(go_on.wait(), 5)
            except asyncio.CancelledError:
                continue

    queue = JobQueue(cancel_timeout=0.05)
    await queue.start()
    job = queue.submit_nowait(deaf)
    await until(lambda: job.status.value == "running")
    await queue.stop(timeout=0.05)
    assert job.status.value == "failed"
    (bar,) = queue.timeline().bars
    ended = job.completed_at
    assert ended is not None
    assert (bar.status, bar.job_id) == ("failed", job.id)
    assert bar.end >= ended
    go_on.set()
    await until(lambda: not inspect(queue).alive.executions)
    await queue.close()


async def test_after_a_restart_the_bars_of_before_and_the_time_between_are_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    async with running(path, max_running=2) as queue:
        done = [queue.submit_nowait(time.sleep, 0.05) for _ in range(4)]
        failed = queue.submit_nowait(int, "none")
        await queue.join(timeout=20)
        before = queue.timeline()
        works = queue.submit_nowait(time.sleep, 60)
        await until(lambda: works.phase is None and works.status.value == "running")
        copy = as_if_killed(path)
        works.cancel(force=True)
    await rest(0.05)
    with opened(copy) as again:
        told = again.timeline()
        found = bars_by_job(told)
        for bar in before.bars:
            (known,) = found[bar.job_id]
            assert known[1:] == bar[1:], "all but the lane, which is not written"
        assert none_covers_another(told)
        assert told.lanes <= 2
        assert found[failed.id][0].status == "failed"
        assert found[works.id][0].status == "failed"
        assert {job.id for job in done} <= found.keys()
        (away,) = (pause for pause in told.pauses if pause.away)
        assert away.reason == "no kernel had the queue"
        assert away.end - away.start >= 0.05


async def test_a_queue_that_has_never_run_has_an_empty_timeline() -> None:
    queue = JobQueue(journal=MemoryJournal())
    told = queue.timeline()
    assert (told.bars, told.pauses, told.lanes) == ((), (), 0)
    assert told.start == told.end == told.now
    await queue.close()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((float("nan"),), {}),
        (("yesterday",), {}),
        ((2.0, 1.0), {}),
        ((True,), {}),
        ((), {"limit": 0}),
        ((), {"limit": True}),
        ((), {"limit": "many"}),
    ],
)
async def test_what_is_no_time_or_no_number_is_refused(
    arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    queue = JobQueue()
    with pytest.raises(InvalidOptionError):
        queue.timeline(*arguments, **options)
    await queue.close()


# -- the page's request --------------------------------------------------------------------------


async def test_a_page_gets_short_lists_and_titles() -> None:
    async with shown(max_running=1) as (queue, page):
        one = queue.options(label="one \u202e" + "x" * 100).submit_nowait(rest, 0.01)
        queue.submit_nowait(fail)
        await queue.join(timeout=10)
        queue.pause("now")
        zero = one.created_at
        told = page.ask("timeline", **{"from": zero, "to": zero + 60})["v"]
        assert told["zero"] == zero
        assert told["lanes"] == 1
        first, second = told["bars"]
        assert first[0] == 0
        assert 0 <= first[1] < first[2] <= told["now"]
        assert first[3:6] == ["completed", one.id, 1]
        assert first[6].startswith("one \\u202e")
        assert len(first[6]) <= 40
        assert (second[3], second[6]) == ("failed", "fail")
        ((start, end, reason, away),) = told["pauses"]
        assert start <= end
        assert (reason, away) == ("now", False)
        merged = page.ask("timeline", **{"from": zero, "to": zero + 60, "limit": 1})["v"]
        ((lane, _, _, status, job, attempt, title, count, failed, busy),) = merged["bars"]
        assert (lane, status, job, attempt, title, count, failed) == (0, "mixed", "", 0, "", 2, 1)
        assert busy >= 0.01


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"from": 0},
        {"from": 1, "to": 0},
        {"from": "0", "to": 1},
        {"from": float("nan"), "to": 1},
        {"from": 0, "to": float("inf")},
        {"from": 0, "to": 10**300},
        {"from": 0, "to": 1, "limit": 0},
        {"from": 0, "to": 1, "limit": 2_001},
        {"from": 0, "to": 1, "limit": 1.5},
        {"from": 0, "to": 1, "limit": True},
    ],
)
async def test_a_page_that_asks_for_what_cannot_be_is_refused(arguments: dict[str, Any]) -> None:
    async with shown() as (_, page):
        assert page.code_of("timeline", **arguments) == "bad_request"


async def test_the_largest_timeline_has_room_in_a_message() -> None:
    async with shown(max_running=50) as (queue, page):
        for count in (400, 2_600):
            for number in range(count):
                queue.options(label=f"ünïcode {number} " + "é" * 40).submit_nowait(rest, 0)
            await queue.join(timeout=20)
            answer = page.ask("timeline", **{"from": 0, "to": 1e10})
            assert len(json.dumps(answer)) < 256 * 1024
            assert len(answer["v"]["bars"]) == min(2_000, len(queue.jobs()))
        counts = [bar[7] if len(bar) > 7 else 1 for bar in answer["v"]["bars"]]
        assert sum(counts) == 3_000


CELL = """
import time
from jobqueue_widget import JobQueue
queue = await JobQueue(max_running=2).start()
group = queue.map(time.sleep, [0.1] * 4)
await group
told = queue.timeline()
found = told.lanes, sorted(bar.status for bar in told.bars), len({bar.job_id for bar in told.bars})
"""


@pytest.fixture
def kernel(loop_of_the_client: None) -> Iterator[Kernel]:
    kernel = Kernel(VERSIONS[0])
    yield kernel
    kernel.close()


def test_in_a_notebook_one_reads_what_ran_when(kernel: Kernel) -> None:
    kernel.run(CELL)
    assert kernel.value_of("found") == (2, ["completed"] * 4, 4)
    kernel.run("await queue.close()")
