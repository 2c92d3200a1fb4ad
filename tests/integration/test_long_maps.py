"""A map of more items than are taken at once: drawn as there is room, and nothing is lost."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import (
    Job,
    JobCancelledError,
    JobEvictedError,
    JobFailedError,
    JobGroup,
    JobQueue,
)
from jobqueue_widget._api.sweeps import arrivals, drawing
from jobqueue_widget._runtime.engine import Engine
from jobqueue_widget._runtime.waiting import Waiter
from jobqueue_widget.errors import (
    DrawingFailedError,
    JobNotFinishedError,
    NotDrawnError,
    NotRestorableError,
    QueueClosedError,
    QueueIdleError,
    QueueStoppedError,
)
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.journals import as_if_killed, opened, running
from tests.threads import no_threads

AHEAD = 20


async def same(number: int) -> int:
    return number


async def endless(number: int) -> int:
    await asyncio.Event().wait()
    return number


def drawn(group: JobGroup) -> int:
    return sum(group.counts.values())


async def test_items_are_drawn_as_there_is_room() -> None:
    taken: list[int] = []
    threads: set[str] = set()

    def items() -> Iterator[int]:
        for number in range(300):
            taken.append(number)
            threads.add(threading.current_thread().name)
            yield number

    most = 0
    async with JobQueue(max_running=3) as queue:
        group = queue.options(ahead=AHEAD).map(same, items())
        assert len(taken) == AHEAD + 1, "one more tells that there are more"
        while not group.done:
            most = max(most, len(taken) - group.counts["completed"])
            await asyncio.sleep(0.001)
        assert await group == list(range(300))
    assert most <= AHEAD + 1 + 3 + drawing.AT_A_TIME
    others = threads - {threading.current_thread().name}
    assert [name.endswith("-drawing") for name in others] == [True]


async def test_a_long_map_returns_at_once_and_holds_the_loop_for_moments_only() -> None:
    async with JobQueue(max_running=2) as queue:
        began = time.perf_counter()
        group = queue.map(endless, range(200_000))
        assert time.perf_counter() - began < 5.0, "it takes 0.1 s; 200,000 jobs would take 20"
        assert drawn(group) == 1_000
        assert len(group) == 200_000
        group.cancel()
        await group.wait_drawn()
        assert len(group) == 1_000


async def test_what_is_not_drawn_is_said_and_never_skipped() -> None:
    async with JobQueue() as queue:
        group = queue.options(ahead=AHEAD).map(endless, range(100))
        assert len(group) == 100
        for place in (AHEAD, 99, -1):
            with pytest.raises(NotDrawnError, match="is not drawn yet, 20 are"):
                group[place]
        for place in (100, -101):
            with pytest.raises(IndexError):
                group[place]
        assert group[0] is group[-100]
        seen: list[Job] = []
        with pytest.raises(NotDrawnError):
            seen.extend(group)
        with pytest.raises(JobNotFinishedError, match="not drawn to its end"):
            group.results()
        assert (group.done, group.progress) == (False, 0.0)
        assert group.cancel() == AHEAD
        assert (group.done, group.progress) == (True, 1.0)
        assert len(list(group)) == len(group) == AHEAD
        with pytest.raises(JobCancelledError):
            await group


@pytest.mark.parametrize("how", ["map", "name"])
async def test_a_map_is_shown_with_all_its_items_also_those_not_drawn_yet(how: str) -> None:
    async with JobQueue() as queue:
        queue.pause()
        mapped = queue.options(ahead=AHEAD, group="mine").map(same, range(100))
        group = mapped if how == "map" else queue.group("mine")
        assert (group.total, group.progress) == (100, 0.0)
        assert f"of 100: {AHEAD} pending, 80 not drawn yet>" in repr(group)
        assert f"0% of 100, {AHEAD} queued, 80 not drawn yet<" in group._repr_html_()
        for place in range(5):
            mapped[place].cancel()
        assert group.progress == 0.05
        assert "5% of 100, 5 cancelled" in group._repr_html_()
        assert "width:5%" in group._repr_html_()
        queue.resume()
        await until(lambda: mapped.done)
        assert (len(mapped), group.total, group.progress) == (100, 100, 1.0)
        assert "drawn" not in repr(group) + group._repr_html_()


@pytest.mark.parametrize("how", ["await", "wait", "in a job"])
async def test_who_has_a_map_by_its_name_waits_for_all_of_it_too(how: str) -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield from range(AHEAD + 1)
        asked.set()
        goes_on.wait(10)
        yield from range(AHEAD + 1, 100)

    async with JobQueue(max_running=2, keep_ended=5, max_history=5) as queue:
        mapped = queue.options(ahead=AHEAD, group="mine").map(same, items())
        group = queue.group("mine")

        async def wait() -> None:
            if how == "wait":
                await asyncio.to_thread(group.wait, 10)
            else:
                await group

        await until(lambda: mapped.counts["completed"] == AHEAD and asked.is_set())
        assert (group.done, mapped.done) == (False, False)
        waits = queue.submit_nowait(wait).future() if how == "in a job" else wait()
        ends = asyncio.ensure_future(
            waits if asyncio.iscoroutine(waits) else asyncio.wrap_future(waits)
        )
        for _ in range(10):
            await asyncio.sleep(0.001)
        goes_on.set()
        await ends
        assert group.done
        assert len(mapped) == 100
        await group.wait_drawn()
        queue.forget(status="completed")
        assert queue.groups() == []


async def test_a_map_without_a_known_end_says_that_there_may_be_more() -> None:
    async with JobQueue() as queue:
        queue.pause()
        group = queue.options(ahead=AHEAD).map(same, itertools.count())
        assert group.total is None
        assert f"of {AHEAD} so far: " in repr(group)
        assert f"0% of {AHEAD} so far, {AHEAD} queued<" in group._repr_html_()
        group.cancel()
        assert f"of {AHEAD}: " in repr(group)
        assert group.total == AHEAD


async def test_an_infinite_iterable_is_drawn_until_somebody_ends_it() -> None:
    async with JobQueue() as queue:
        group = queue.options(ahead=AHEAD, tags="mine").map(same, itertools.count())
        with pytest.raises(TypeError, match="nobody knows how many"):
            len(group)
        with pytest.raises(TypeError, match="nobody knows how many"):
            group[-1]
        await until(lambda: group.counts["completed"] > 5 * AHEAD)
        queue.cancel_all("running")
        queue.cancel_all("all", tag="other")
        at = drawn(group)
        await until(lambda: drawn(group) > at)
        queue.cancel_all("pending", tag="mine")
        at = drawn(group)
        await queue.join()
        assert len(group) == drawn(group)
        assert drawn(group) == at
        assert group.counts["cancelled"]


def meanwhile(act: Callable[[], object], patch: pytest.MonkeyPatch) -> None:
    """Do it as soon as the next jobs are submitted, before the call that does so goes on."""
    perform, here = Engine.perform, threading.get_ident()

    def once(self: Engine, *given: Any, **named: Any) -> None:
        perform(self, *given, **named)
        if threading.get_ident() == here:
            patch.undo()
            act()

    patch.setattr(Engine, "perform", once)


def test_all_is_cancelled_as_soon_as_the_first_items_are_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with JobQueue(loop="thread") as queue:
        meanwhile(lambda: queue.cancel_all("all"), monkeypatch)
        group = queue.options(ahead=AHEAD).map(endless, range(100))
        queue.wait(timeout=10)
        assert group.counts == {**dict.fromkeys(group.counts, 0), "cancelled": AHEAD}


def test_whoever_waits_as_soon_as_the_first_items_are_jobs_waits_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with JobQueue(loop="thread") as queue:
        seen: list[int] = []

        def wait() -> None:
            queue.wait(timeout=10)
            seen.append(len(queue.jobs("completed")))

        meanwhile(wait, monkeypatch)
        queue.options(ahead=AHEAD).map(same, range(100))
        assert seen == [100]


def test_all_is_cancelled_of_a_map_that_comes_while_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups: list[JobGroup] = []

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:  # the drawing of these was ended, and their jobs are not cancelled yet
            groups.append(queue.options(ahead=AHEAD).map(endless, range(100)))

    with JobQueue(loop="thread") as queue:
        queue.options(ahead=AHEAD).map(endless, items())
        queue.cancel_all("all")
        queue.wait(timeout=10)
        assert len(groups) == 1
        assert groups[0].done


async def test_jobs_that_are_held_take_no_room() -> None:
    async with JobQueue() as queue:
        group = queue.options(ahead=AHEAD).map(same, range(100))
        for place in range(AHEAD):
            queue.hold(group[place])
        await until(lambda: group.counts["completed"] == 80)
        queue.release(group[3])
        group[4].cancel()
        queue.hold(group[5], seconds=0.01)
        await until(lambda: group.counts["pending"] == AHEAD - 3)
        group.release()
        assert len(await group_without(group, 4)) == 99
        more = queue.options(ahead=1).map(same, range(3))
        queue.hold(more[0])
        await until(lambda: more.counts["completed"] == 2)
        queue.cancel_all("all")


async def group_without(group: JobGroup, place: int) -> list[int]:
    while not group.done:
        await asyncio.sleep(0.001)
    assert group[place].status == "cancelled"
    return group.results("skip")


@pytest.mark.parametrize("named", [False, True])
async def test_a_map_that_is_held_draws_no_more_until_it_is_released(named: bool) -> None:
    async with JobQueue() as queue:
        mapped = queue.options(ahead=AHEAD, group="mine").map(same, range(100))
        group = queue.group("mine") if named else mapped
        assert group.hold() == AHEAD
        for waits in (mapped.wait_drawn(), queue.join()):
            with pytest.raises(QueueIdleError, match="held"):
                await asyncio.wait_for(waits, 10)
        assert mapped.counts["pending"] == drawn(mapped) == AHEAD
        assert group.release() == AHEAD
        assert await mapped == list(range(100))


async def test_a_map_is_held_for_a_time_and_goes_on_or_ends() -> None:
    async with JobQueue() as queue:
        group = queue.options(ahead=AHEAD).map(same, range(100))
        group.hold(seconds=0.01)
        assert await group == list(range(100))
        group = queue.options(ahead=AHEAD).map(same, range(100))
        group.hold(seconds=0.01, then="cancel")
        await until(lambda: group.done)
        assert (len(group), group.counts["cancelled"]) == (AHEAD, AHEAD)
        group = queue.options(ahead=AHEAD).map(same, range(100))
        group.hold(seconds=30, then="cancel")
        group.release()
        assert await group == list(range(100))


@pytest.mark.parametrize("then", ["release", "cancel"])
async def test_an_item_that_comes_while_its_map_is_held_is_held_too(then: Any) -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield from range(AHEAD + 1)
        asked.set()
        goes_on.wait(10)
        yield from range(AHEAD + 1, 100)

    async with JobQueue() as queue:
        group = queue.options(ahead=AHEAD).map(same, items())
        await until(lambda: group.counts["completed"] == AHEAD and asked.is_set())
        assert group.hold() == 0
        with pytest.raises(QueueIdleError, match="held"):
            await asyncio.wait_for(queue.join(), 10)
        goes_on.set()
        await until(lambda: group.counts["pending"] > 0)
        assert all(job.held for job in group._handles() if not job.done)
        group.hold(seconds=0.01, then=then)
        await until(lambda: group.done)
        assert (len(group) == 100) == (then == "release")


@pytest.mark.parametrize("which", ["map", "name"])
async def test_to_cancel_a_group_ends_what_is_drawn_of_it(which: str) -> None:
    async with JobQueue() as queue:
        mapped = queue.options(ahead=AHEAD, group="mine").map(endless, range(100))
        (mapped if which == "map" else queue.group("mine")).cancel()
        await until(lambda: mapped.done)
        assert len(mapped) == AHEAD


async def test_join_waits_for_what_is_still_to_come() -> None:
    def slowly() -> Iterator[int]:
        for number in range(6):
            time.sleep(0.02 * (number > 1))
            yield number

    async with JobQueue() as queue:
        group = queue.options(ahead=1).map(same, slowly())
        await queue.join()
        assert group.results() == list(range(6))


async def test_an_iterable_that_fails_loses_nothing_of_what_it_gave() -> None:
    def breaks() -> Iterator[int]:
        yield from range(50)
        raise ValueError("line 51 is no number")

    async with JobQueue() as queue:
        group = queue.options(ahead=AHEAD).map(same, breaks())
        for wait in (group.wait_drawn(), _all(group)):
            with pytest.raises(DrawingFailedError, match=r"50 items \(ValueError: line 51") as told:
                await wait
            assert isinstance(told.value.__cause__, ValueError)
        await queue.join()
        assert [job.result for job in group] == list(range(50))


async def _all(group: JobGroup) -> list[int]:
    return await group


async def test_an_item_that_cannot_be_sent_fails_its_job_alone(tmp_path: Path) -> None:
    items = [*range(30), threading.Lock(), *range(30, 40)]
    async with running(tmp_path / "runs.db") as queue:
        group = queue.options(ahead=AHEAD).map(abs, items)
        with pytest.raises(JobFailedError, match=r"argument: .*lock"):
            await group
        assert list(group.failures()) == ["argument"]
        assert group.results("skip") == list(range(40))
        bad = group[30]
        with pytest.raises(NotRestorableError, match="submit it again"):
            bad.retry()
        told = bad.error
    with opened(tmp_path / "runs.db") as queue:
        back = queue[bad.id]
        assert back.error == told
        assert len(queue.group(group.name)) == 41


@pytest.mark.parametrize(
    ("options", "bad", "told"),
    [
        ({"label": lambda number: f"{1 // (number - 30)}"}, 30, "ZeroDivisionError"),
        ({"label": "{0.real}"}, "thirty", "AttributeError"),
        ({"key": lambda number: f"{number}" * (number != 30)}, 30, "empty text"),
        ({}, threading.Lock(), "lock"),
    ],
    ids=["label", "template", "key", "argument"],
)
async def test_a_later_item_that_is_no_job_says_which_it_is_and_how_many_are(
    options: dict[str, Any], bad: object, told: str
) -> None:
    async with JobQueue() as queue:
        items = [*range(30), bad, *range(31, 40)]
        group = queue.options(ahead=AHEAD, **options).map(abs, items)
        await group.wait_drawn()
        await queue.join()
        ((kind, (job,)),) = group.failures().items()
        assert (kind, job is group[30]) == ("argument", True)
        error = str(job.error)
        assert told in error
        assert "item 30 of the map, from 0 on; the 30 before it are submitted" in error
        assert "none" not in error
        assert group.counts["completed"] == 39


async def test_the_first_items_are_taken_all_or_none() -> None:
    async with JobQueue() as queue:
        with pytest.raises(TypeError) as caught:
            queue.options(ahead=AHEAD).map(abs, [1, threading.Lock(), *range(100)])
        assert caught.value.__notes__ == ["it is item 1 of the map, from 0 on; none is submitted"]
        assert len(queue) == 0
        assert queue.map(same, range(3), ()) == []


async def test_a_very_long_map_keeps_what_the_queue_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobqueue_widget._api.sweeps.drawn.MOST_HELD", 10)
    async with JobQueue(keep_ended=100) as queue:
        group = queue.options(ahead=AHEAD).map(same, range(200))
        await queue.join()
        assert group.counts["completed"] == 200
        assert group.progress == 1.0
        assert group[-1].result == 199
        with pytest.raises(JobEvictedError, match="keep_ended"):
            group[0]
        with pytest.raises(JobEvictedError, match="100 items"):
            await group
        assert group.results("skip") == list(range(100, 200))
        last = group[199]
        again = last.retry()
        assert group[199] is again
        assert group.counts["completed"] == 199


@pytest.mark.parametrize("submits", [True, False])
async def test_without_a_thread_it_goes_on_at_the_next_change_or_soon(
    submits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with JobQueue() as queue:
        with monkeypatch.context() as patch:
            no_threads(patch, "*-drawing")
            group = queue.options(ahead=AHEAD).map(same, range(3 * AHEAD))
            await until(lambda: group.counts["completed"] == AHEAD)
            assert drawn(group) == AHEAD
            assert not group.done
        if submits:
            await queue.submit_nowait(same, 0)
        assert await group == list(range(3 * AHEAD))


async def test_a_closed_queue_draws_no_more() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.set()

    async with JobQueue() as queue:
        group = queue.options(ahead=AHEAD).map(endless, items())
        await queue.close()
        with pytest.raises(QueueClosedError):
            await group.wait_drawn()
        del group
        await until(closed.is_set)


@pytest.mark.parametrize("is_known", [True, False])
async def test_what_a_killed_kernel_had_not_drawn_is_said(tmp_path: Path, is_known: bool) -> None:
    items = range(100) if is_known else iter(range(100))
    async with running(tmp_path / "runs.db") as queue:
        group = queue.options(ahead=AHEAD, group="sweep").map(endless, items)
        copy = as_if_killed(tmp_path / "runs.db")
        queue.cancel_all("all")
    more = "of 100: map the others" if is_known else "there may have been more"
    told = pytest.warns(UserWarning, match=f"20 items of the map 'sweep' were submitted.*{more}")
    with told, opened(copy) as queue:
        assert len(queue.group("sweep")) == drawn(group) == AHEAD


async def test_jobs_of_a_long_map_come_as_they_end_and_so_do_those_drawn_later() -> None:
    async with JobQueue(max_running=2) as queue:
        other = queue.submit_nowait(endless, 0)  # what runs besides does not keep them waiting
        group = queue.options(ahead=AHEAD, label="item {number}").map(same, iter(range(100)))
        seen = [job async for job in group.as_completed()]
        assert [job.result for job in seen] == list(range(100))
        assert [job.label for job in seen[::50]] == ["item 0", "item 50"]
        again = await asyncio.to_thread(lambda: [job.result for job in group.as_completed()])
        assert sorted(again) == list(range(100))
        other.cancel()


async def test_jobs_are_not_kept_for_a_reader_who_has_stopped() -> None:
    async with JobQueue(keep_ended=10) as queue:
        group = queue.options(ahead=AHEAD).map(same, itertools.count())
        async for job in group.as_completed():
            first = weakref.ref(job._record)
            break
        del job
        at = drawn(group)
        await until(lambda: drawn(group) > at + 5 * AHEAD)
        later = weakref.ref(queue.jobs()[-1]._record)
        at = drawn(group)
        await until(lambda: drawn(group) > at + 5 * AHEAD)
        gc.collect()
        assert (first(), later()) == (None, None)
        group.cancel()


async def test_an_iterable_may_ask_the_queue_when_it_is_closed() -> None:
    counted: list[int] = []

    def items() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:  # in another thread, as what it shuts down may do
            other = threading.Thread(target=lambda: counted.append(len(queue.jobs())), daemon=True)
            other.start()
            other.join(10)
            counted.append(other.is_alive())

    async with JobQueue() as queue:
        group = queue.options(ahead=AHEAD).map(endless, items())
        group.cancel()
        assert counted == [AHEAD, False]


async def test_a_closed_queue_waits_for_no_iterable_that_has_nothing_to_give() -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield from range(AHEAD + 1)
        asked.set()
        goes_on.wait()

    async with JobQueue() as queue:
        group = queue.options(ahead=AHEAD).map(same, items())
        drawn_to_its_end = asyncio.create_task(group.wait_drawn())
        await until(asked.is_set)
        await queue.close()
        with pytest.raises(QueueStoppedError):
            await asyncio.wait_for(drawn_to_its_end, 10)
        for wait in (group.wait_drawn(), _all(group)):
            with pytest.raises(QueueClosedError):
                await asyncio.wait_for(wait, 10)
        assert group.done
        await asyncio.wait_for(queue.join(), 10)
        goes_on.set()


async def test_a_dropped_queue_goes_on_while_there_are_items_to_come() -> None:
    goes_on = threading.Event()

    def items() -> Iterator[int]:
        yield from range(AHEAD)
        goes_on.wait()
        yield from range(AHEAD, 2 * AHEAD)

    queue = await JobQueue().start()
    group = queue.options(ahead=AHEAD - 1).map(same, items())
    await until(lambda: group.counts["completed"] == AHEAD - 1)
    inside = inspect(queue)
    del queue
    gc.collect()
    await asyncio.sleep(0.001)
    goes_on.set()
    with pytest.warns(ResourceWarning, match="was dropped"):
        await until(lambda: inside.phase == "closed")
    assert group.counts["completed"] == 2 * AHEAD


async def test_a_held_job_does_not_keep_anybody_from_waiting_for_what_is_to_come() -> None:
    def slowly() -> Iterator[int]:
        yield from range(AHEAD)
        for number in range(AHEAD, AHEAD + 3):
            idle.wait()
            yield number

    idle = threading.Event()
    async with JobQueue() as queue:
        held = queue.submit_nowait(same, 0)
        queue.hold(held)
        group = queue.options(ahead=AHEAD - 1).map(same, slowly())
        waits = asyncio.ensure_future(_all(group))
        await until(lambda: group.counts["completed"] == AHEAD - 1)
        idle.set()
        assert await waits == list(range(AHEAD + 3))
        queue.pause("lunch")
        group = queue.options(ahead=AHEAD).map(same, range(100))
        with pytest.raises(QueueIdleError, match="lunch"):
            await group
        queue.cancel_all("all")


async def test_a_map_that_is_run_again_may_be_awaited_before_all_of_it_is_asked_for(
    tmp_path: Path,
) -> None:
    awaited = threading.Event()

    def slowly(count: int) -> Iterator[int]:
        yield from range(AHEAD + 1)
        awaited.wait(10)
        yield from range(AHEAD + 1, count)

    async with running(tmp_path / "runs.db") as queue:
        await queue.options(key="{0}").map(same, range(AHEAD))
    with opened(tmp_path / "runs.db") as queue:
        queue.options(key="{0}").map(same, range(AHEAD, 2 * AHEAD))
        copy = as_if_killed(tmp_path / "runs.db")
    async with running(copy) as queue:
        group = queue.options(key="{0}", ahead=AHEAD).map(same, slowly(2 * AHEAD))
        waits = asyncio.ensure_future(_all(group))
        await asyncio.sleep(0.001)
        awaited.set()
        assert await waits == list(range(2 * AHEAD))


async def test_nobody_waits_for_items_for_which_there_is_never_room() -> None:
    async with JobQueue() as queue:
        queue.pause("lunch")
        group = queue.options(ahead=AHEAD).map(endless, range(100))
        with pytest.raises(QueueIdleError, match="lunch"):
            await asyncio.wait_for(group.wait_drawn(), 10)
        queue.resume()
        waits = asyncio.create_task(group.wait_drawn())
        await until(lambda: group.counts["running"] == 1)
        await queue.stop()
        with pytest.raises(QueueStoppedError):
            await asyncio.wait_for(waits, 10)
        group.cancel()
        await group.wait_drawn()


async def test_a_loop_ends_though_its_map_ends_between_two_of_its_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    goes_on = threading.Event()

    def items() -> Iterator[int]:
        yield from range(AHEAD + 1)
        goes_on.wait()

    async with JobQueue(max_running=2) as queue:
        other = queue.submit_nowait(endless, 0)
        group = queue.options(ahead=AHEAD).map(same, items())
        begin = arrivals.Arrivals._begin

        def late(self: arrivals.Arrivals) -> Waiter:
            if len(seen) == AHEAD + 1:
                goes_on.set()
                while not group.done:
                    time.sleep(0.001)
            return begin(self)

        async def read() -> None:
            async for job in group.as_completed():
                seen.append(job.result)  # noqa: PERF401 - the steps between look at it

        monkeypatch.setattr(drawing, "AT_A_TIME", 1)
        monkeypatch.setattr(arrivals.Arrivals, "_begin", late)
        await asyncio.wait_for(read(), 10)
        assert sorted(seen) == list(range(AHEAD + 1))
        other.cancel()


async def test_a_slow_reader_gets_results_that_the_queue_has_let_go() -> None:
    async with JobQueue(keep_ended=5, max_history=5, keep_bytes=1_000_000) as queue:
        options = queue.options(ahead=5, executor="thread")
        arrived = options.map(bytes, itertools.repeat(300_000, 40)).as_completed()
        await queue.join()
        assert [len(job.result) async for job in arrived] == [300_000] * 40


async def test_a_job_of_several_items_comes_once() -> None:
    read = threading.Event()

    def items() -> Iterator[int]:
        yield from (0, 1, 2, 2, 1, 3, 3)
        read.wait()
        yield from (0, 3, 4)

    async with JobQueue() as queue:
        group = queue.options(ahead=4, key="{0}").map(same, items())
        seen: list[int] = []
        async for job in group.as_completed():
            seen.append(job.result)
            read.set()
        assert seen == [0, 1, 2, 3, 4]
        assert group.results() == [0, 1, 2, 2, 1, 3, 3, 0, 3, 4]


class Bar:
    """Shows how far its items are, as tqdm does: its length is what it was told."""

    def __init__(self, items: Iterable[int], total: int | None = None) -> None:
        self.items, self.total = items, total

    def __len__(self) -> int:
        return self.total  # type: ignore[return-value]

    def __iter__(self) -> Iterator[int]:
        return iter(self.items)


async def test_a_length_that_is_wrong_or_none_changes_nothing() -> None:
    async with JobQueue() as queue:
        assert await queue.map(same, Bar(iter(range(3)))) == [0, 1, 2]
        unknown = queue.options(ahead=AHEAD).map(same, Bar(iter(range(100))))
        with pytest.raises(TypeError, match="nobody knows how many"):
            len(unknown)
        wrong = queue.options(ahead=AHEAD).map(same, Bar(iter(range(100)), total=3))
        assert len(wrong) == AHEAD
        assert wrong[AHEAD - 1].args == (AHEAD - 1,)
        assert await wrong == await unknown == list(range(100))
        assert len(wrong) == 100


async def test_no_item_waits_for_the_next_one_of_a_slow_iterable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[int] = []

    def slowly() -> Iterator[int]:
        yield from range(AHEAD + 1)
        for number in range(AHEAD + 1, AHEAD + 4):
            yield number
            until_it_ran(number)

    def until_it_ran(number: int) -> None:
        for _ in range(300):
            if group.counts["completed"] > number:
                ended.append(number)
                return
            time.sleep(0.01)

    monkeypatch.setattr(drawing, "PATIENCE", 0.0)
    async with JobQueue() as queue:
        group = queue.options(ahead=AHEAD).map(same, slowly())
        await asyncio.wait_for(_all(group), 30)
        assert ended == [AHEAD + 1, AHEAD + 2, AHEAD + 3]


async def test_a_job_waits_for_all_of_a_long_map_too() -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield from range(AHEAD + 1)
        asked.set()
        goes_on.wait()
        yield from range(AHEAD + 1, 3 * AHEAD)

    def waits() -> tuple[bool, int]:
        began.set()
        group.wait(30)
        return group.done, group.counts["completed"]

    async def awaits() -> list[int]:
        return await group

    began = threading.Event()
    async with JobQueue(max_running=3) as queue:
        group = queue.options(ahead=AHEAD).map(same, items())
        await until(asked.is_set)
        blocking = queue.options(executor="thread").submit_nowait(waits)
        awaiting = queue.submit_nowait(awaits)
        await until(began.is_set)
        goes_on.set()
        assert await blocking == (True, 3 * AHEAD)
        assert await awaiting == list(range(3 * AHEAD))
