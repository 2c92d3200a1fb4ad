"""API.md section 3, row by row: a clear error, and nothing was enqueued or changed."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from jobqueue_widget import (
    FuturesExecutor,
    InvalidOptionError,
    InvalidTargetError,
    JobQueue,
    QueueClosedError,
    UnknownJobError,
)
from jobqueue_widget.executors.thread import ThreadExecutor
from jobqueue_widget.testing import inspect


async def fine(*args: object) -> object:
    return args


@contextmanager
def unchanged(queue: JobQueue) -> Iterator[None]:
    before = queue.get_state()
    yield
    after = queue.get_state()
    assert before == after


async def made() -> None:
    """A coroutine function whose coroutine object is submitted by mistake."""


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (None, "NoneType"),
        (3, "int"),
        ("", "empty"),
        ("  ", "empty"),
        ("plugin", "no plugin manager"),
        (lambda: (yield), "generator"),
    ],
    ids=["None", "number", "empty", "blank", "no manager", "generator"],
)
async def test_what_cannot_be_run_is_refused(target: Any, told: str) -> None:
    queue = JobQueue()
    with unchanged(queue), pytest.raises(InvalidTargetError, match=told) as caught:
        await queue.submit(target)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)


async def test_a_coroutine_object_is_refused_with_the_cure() -> None:
    queue = JobQueue()
    with unchanged(queue), pytest.raises(InvalidTargetError, match=r"pass f, not f\(\)"):
        await queue.submit(made())


async def test_a_job_is_no_target() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(fine)
        with pytest.raises(InvalidTargetError):
            queue.submit_nowait(job)
        assert len(queue.jobs()) == 1


async def test_no_target_at_all_is_refused() -> None:
    queue = JobQueue()
    with unchanged(queue), pytest.raises(InvalidTargetError, match="first argument"):
        await queue.submit()


async def test_a_bad_item_lets_map_enqueue_none() -> None:
    import threading

    queue = JobQueue()
    with unchanged(queue), pytest.raises(TypeError, match="argument 1"):
        queue.map(print, [1, 2, threading.Lock(), 4])


@pytest.mark.parametrize("priority", ["high", 1.5, None, True, [1]])
async def test_a_priority_that_is_no_integer_is_refused(priority: Any) -> None:
    queue = JobQueue()
    job = await queue.submit(fine, priority=3)
    with unchanged(queue), pytest.raises(TypeError, match="priority must be an integer"):
        await queue.submit(fine, priority=priority)
    with unchanged(queue), pytest.raises(TypeError, match="priority must be an integer"):
        queue.reorder(job, priority)


async def test_an_integer_of_another_library_is_a_priority() -> None:
    class Indexed:
        def __index__(self) -> int:
            return 7

    queue = JobQueue()
    job_id = await queue.submit(fine, priority=Indexed())  # type: ignore[arg-type]
    job = queue.get_job(job_id)
    assert job is not None
    assert job.priority == 7


async def test_a_closed_queue_refuses_and_says_what_to_do() -> None:
    queue = JobQueue()
    await queue.start()
    await queue.close()
    with unchanged(queue), pytest.raises(QueueClosedError, match="make a new one"):
        await queue.submit(fine)
    with pytest.raises(RuntimeError):
        await queue.start()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"colour": "red"}, "unknown option 'colour'; known are: "),
        ({"retry": 1}, r"did you mean retry_on or retries\? known are: "),
        ({"labels": "x"}, r"unknown option 'labels'; did you mean label\? known are: "),
        ({"timeout": -1}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": "1"}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"retries": 1.5}, "retries"),
        ({"retries": True}, "retries"),
        ({"label": 3}, "label"),
        ({"label": ""}, "label"),
        ({"tags": [1]}, "tags"),
        ({"idempotent": "yes"}, "idempotent"),
        ({"after": "no-such-job"}, "no-such-job"),
        ({"after": [3]}, "after"),
        ({"resources": 3}, "resources"),
        ({"resources": {"gpu": -1}}, "gpu"),
        ({"executor": "cloud"}, "cloud"),
        ({"executor": 3}, "executor"),
        ({"secret": 3}, "secret"),
        ({"fresh": 1}, "fresh"),
        ({"priority": "high"}, "priority"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
async def test_an_option_that_makes_no_sense_is_named(options: Any, told: str) -> None:
    queue = JobQueue()
    with unchanged(queue), pytest.raises(InvalidOptionError, match=told) as caught:
        queue.options(**options)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "settings",
    [
        {"cancel_timeout": None},
        {"cancel_timeout": -1},
        {"cancel_timeout": float("nan")},
        {"max_history": -1},
        {"max_history": 1.5},
        {"progress_poll_interval": 0},
        {"max_running": 0},
        {"max_running": True},
        {"keep_ended": -1},
        {"loop": "other"},
        {"max_bypass": -1},
        {"max_result_bytes": 0},
        {"recycle_after": 0},
        {"env": {"A": 1}},
        {"name": 3},
        {"executor": "coroutine"},
        {"backfill": 1},
    ],
    ids=lambda value: f"{next(iter(value.items()))}",
)
def test_a_setting_that_makes_no_sense_is_named(settings: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        JobQueue(**settings)


@pytest.mark.parametrize(
    "ask",
    [
        lambda queue: queue.wait_for_job("nobody"),
        lambda queue: queue.wait_for_job(f"{inspect(queue).run_id}-99"),
    ],
)
async def test_waiting_for_an_unknown_job_says_so(ask: Callable[[JobQueue], Any]) -> None:
    queue = JobQueue()
    with pytest.raises(UnknownJobError) as caught:
        await ask(queue)
    assert isinstance(caught.value, ValueError)


async def test_unknown_ids_change_nothing_and_say_so_by_their_answer() -> None:
    queue = JobQueue()
    with unchanged(queue):
        assert not await queue.cancel("nobody")
        assert not queue.cancel_nowait("nobody")
        assert not queue.reorder("nobody", 3)
        assert not queue.move("nobody", to="top")
        assert not queue.hold("nobody")
        assert not queue.release("nobody")
        assert queue.get_job("nobody") is None
        assert queue.get_job_logs("nobody") == ""
        assert queue.position("nobody") is None


async def test_move_needs_exactly_one_place() -> None:
    queue = JobQueue()
    one, two = await queue.submit(fine), await queue.submit(fine)
    for places in ({}, {"to": "middle"}, {"to": "top", "before": two}):
        with unchanged(queue), pytest.raises(InvalidOptionError):
            queue.move(one, **places)  # type: ignore[arg-type]
    with unchanged(queue):
        assert not queue.move(one, before="nobody")


async def test_cancel_all_needs_a_scope() -> None:
    queue = JobQueue()
    await queue.submit(fine)
    with unchanged(queue), pytest.raises(InvalidOptionError, match="scope"):
        queue.cancel_all("everything")  # type: ignore[arg-type]


async def test_an_executor_that_does_not_go_with_the_target_is_refused() -> None:
    queue = JobQueue()
    with unchanged(queue), pytest.raises(InvalidOptionError, match="coroutine"):
        queue.options(executor="process").submit_nowait(fine)
    with unchanged(queue), pytest.raises(InvalidOptionError, match="function"):
        queue.options(executor="coroutine").submit_nowait(len)


async def test_start_without_a_loop_names_the_ways_that_work() -> None:
    queue = JobQueue()
    with pytest.raises(RuntimeError, match='loop="thread"'):
        await asyncio.to_thread(inspect(queue).engine.life.start)
    with pytest.raises(RuntimeError, match="async with"):
        queue.__enter__()


class Awaits:
    async def __call__(self, event: object) -> None:
        """It would never be awaited."""


async def awaits(event: object) -> None:
    """It would never be awaited."""


@pytest.mark.parametrize("callback", [awaits, Awaits(), functools.partial(awaits), None, "text"])
def test_a_subscriber_that_nothing_would_call_is_refused(callback: Any) -> None:
    with pytest.raises(InvalidOptionError, match="a subscriber"):
        JobQueue().subscribe(callback)


class Word(str):
    """A text of a class of its own, which others may not be able to write down."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


TEXTS: dict[str, Callable[[JobQueue, Any], object]] = {
    "label": lambda queue, text: queue.options(label=text),
    "tags": lambda queue, text: queue.options(tags=[text]),
    "pause": lambda queue, text: queue.pause(text),
    "cancel": lambda queue, text: queue.jobs()[0].cancel(reason=text),
    "name": lambda queue, text: JobQueue(name=text),
}


@pytest.mark.parametrize("where", TEXTS)
@pytest.mark.parametrize("value", [3, 1.5, b"bytes", ["list"], object()])
async def test_what_is_no_text_is_refused_where_it_is_given(where: str, value: object) -> None:
    async with JobQueue() as queue:
        queue.pause()
        queue.submit_nowait(fine)
        with pytest.raises(InvalidOptionError):
            TEXTS[where](queue, value)


@pytest.mark.parametrize("value", [Word("word"), "half of \ud83d a pair"])
async def test_any_text_can_be_shown(value: str) -> None:
    async with JobQueue(name=value) as queue:
        queue.pause(value)
        queue.options(label=value, tags=[value]).submit_nowait(fine)
        json.dumps(queue.widget.get_state(), ensure_ascii=False).encode()
        assert "of" in queue.to_html() or "word" in queue.to_html()
        queue.widget.close()


def test_an_executor_object_of_another_queue_is_refused_where_it_is_given() -> None:
    with ThreadPoolExecutor(1) as pool:
        executor = FuturesExecutor(pool)
        first = JobQueue(executor=executor)
        for act in (
            lambda: JobQueue(executor=executor),
            lambda: JobQueue().options(executor=executor),
        ):
            with pytest.raises(InvalidOptionError, match="belongs to another queue"):
                act()
        first.options(executor=executor)
        del first
        JobQueue(executor=executor)


async def test_an_executor_object_may_go_on_to_the_next_queue() -> None:
    with ThreadPoolExecutor(1) as pool:
        executor = FuturesExecutor(pool)
        for _ in range(2):
            async with JobQueue(executor=executor) as queue:
                assert await queue.submit_nowait(len, "abc") == 3


class WillNotOpen(ThreadExecutor):
    def open(self, context: object) -> None:
        raise RuntimeError("the licence server is away")


async def test_why_an_executor_could_not_be_opened_is_the_error_of_its_jobs() -> None:
    async with JobQueue(executor=WillNotOpen()) as queue:
        job = queue.submit_nowait(len, "abc")
        await queue.wait_for_job(job)
        assert "could not be opened: RuntimeError: the licence server is away" in str(job.error)
