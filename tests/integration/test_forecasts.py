"""When jobs of a queue start and all is done: what it says of itself, over a restart too."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from jobqueue_widget import Job, JobQueue, current_job
from tests.conditions import until

NAP = 0.02


async def nap() -> None:
    await asyncio.sleep(NAP)


async def naps(_: int) -> None:
    await asyncio.sleep(NAP)


async def endless() -> None:
    await asyncio.Event().wait()


def eta(queue: JobQueue) -> float | None:
    return queue.eta


def starts(queue: JobQueue, *jobs: Job) -> list[float | None]:
    return [queue.starts_in(job) for job in jobs]


async def test_each_group_is_told_for_its_own_jobs_whatever_their_name_is() -> None:
    """A map, another of the same name, what is tried again of the first, and all of the name."""
    marks: set[int] = set()

    async def unless(number: int) -> None:
        await asyncio.sleep(0.01)
        assert number in marks

    async with JobQueue() as queue:
        view = queue.options(group="mine", ahead=2)
        first = view.map(unless, range(3))
        await first.wait_drawn()
        await queue.join()
        marks.update(range(100))
        await queue.submit_nowait(unless, 0)
        queue.submit_nowait(unless, 0)
        again, later = first.retry_failed(), view.map(unless, range(20))
        found = [one.eta for one in (again, first, later, queue.group("mine"))]
        assert None not in found
        mine, parent, second, all_of_it = (one or 0.0 for one in found)
        assert parent == pytest.approx(mine, rel=0.1)
        assert all_of_it == pytest.approx(second, rel=0.1)
        assert 0 < 3 * mine < second
        assert (again.name, again.title) == ("mine", "mine (tried again)")
        assert first.title == queue.group("mine").title == "mine"
        assert "'mine (tried again)' of 3" in repr(again)
        assert "mine (tried again)" in again._repr_html_()
        await queue.join()


async def test_a_queue_says_when_as_soon_as_it_knows() -> None:
    async with JobQueue() as queue:
        assert eta(queue) == 0.0
        first = queue.submit_nowait(nap)
        assert eta(queue) is None
        assert queue.starts_in(first) is None
        await first
        blocker = queue.submit_nowait(endless)
        await until(lambda: blocker.started_at)
        assert eta(queue) is None, "nobody knows how long this one takes"
        blocker.cancel()
        await until(lambda: blocker.done)
        queue.pause()
        one, two, three = (queue.submit_nowait(nap) for _ in range(3))
        after = queue.options(after=three).submit_nowait(nap)
        assert eta(queue) is None, "nobody knows when it will be resumed"
        queue.hold(two)
        queue.resume()
        at = starts(queue, one, three, after)
        assert None not in at
        assert at == sorted(at, key=lambda start: start or 0.0)
        assert queue.starts_in(two) is eta(queue) is None
        queue.release(two)
        left = eta(queue)
        assert left is not None
        assert 2 * NAP < left < 4 * 10 * NAP
        await queue.join()
        assert eta(queue) == 0.0
        assert starts(queue, one, two) == [None, None]
        assert queue.starts_in("no such job") is None


async def test_a_group_says_when_it_is_done() -> None:
    async with JobQueue() as queue:
        assert queue.map(naps, []).eta == 0.0
        first = queue.map(naps, range(10))
        assert [group.eta for group in (first,)] == [None]
        await first[0]
        assert first.eta is not None
        later = queue.map(naps, range(3))
        at = [group.eta for group in (first, later)]
        assert None not in at
        assert at == sorted(at, key=lambda left: left or 0.0)
        assert at[1] == pytest.approx(eta(queue), rel=0.2)
        queue.hold(later[1])
        assert [group.eta is None for group in (first, later)] == [False, True]
        queue.cancel_all("all")
        await until(lambda: first.done and later.done)
        assert [group.eta for group in (first, later)] == [0.0, 0.0]


async def test_what_is_not_drawn_counts_as_far_as_it_is_known() -> None:
    async with JobQueue() as queue:
        await queue.submit_nowait(naps, 0)
        long = queue.options(ahead=5).map(naps, range(1_000))
        left = long.eta
        assert left is not None
        assert left > 900 * NAP
        assert eta(queue) == pytest.approx(left, rel=0.1)
        ever = queue.options(ahead=5).map(naps, itertools.count())
        assert ever.eta is None
        assert eta(queue) is None
        assert long.eta is not None
        queue.cancel_all("all")


async def reporting() -> None:
    current_job().report(0.5)
    await asyncio.Event().wait()


async def test_the_progress_of_the_first_tells_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobqueue_widget._core.sweeps.eta.JUST_BEGUN", 0.0)
    async with JobQueue() as queue:
        jobs = [queue.submit_nowait(reporting) for _ in range(3)]
        await until(lambda: jobs[0].progress == 0.5)
        at = starts(queue, *jobs[1:])
        assert at[0]
        assert at[1]
        assert at[1] > 2 * at[0]
        queue.cancel_all("all")


async def test_the_morning_after_begins_with_what_was_learned(tmp_path: Path) -> None:
    async with JobQueue(journal=tmp_path / "runs.db") as queue:
        await queue.submit_nowait(nap)
        await queue.close()
    async with JobQueue(journal=tmp_path / "runs.db") as queue:
        jobs = [queue.submit_nowait(nap) for _ in range(3)]
        left = eta(queue)
        assert left is not None
        assert left > NAP
        assert queue.starts_in(jobs[2])
        await queue.join()
        await queue.close()
