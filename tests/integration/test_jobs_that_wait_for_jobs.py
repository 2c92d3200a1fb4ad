"""A job may wait for others as long as one of them can end; a circle is told, naming its jobs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from jobqueue_widget import Job, JobQueue

WAIT = 20.0


def answer() -> int:
    return 3


def ask(queue: JobQueue, executor: str, **options: str) -> Job:
    """A job that submits another one and waits for it."""
    view = queue.options(executor=executor, **options)
    child = queue.options(executor="thread", label="child")
    if executor == "thread":

        def blocking() -> object:
            job = child.submit_nowait(answer)
            queue.wait(job)
            return job.result

        return view.submit_nowait(blocking)

    async def awaiting() -> object:
        return await child.submit_nowait(answer)

    return view.submit_nowait(awaiting)


@pytest.mark.parametrize("executor", ["thread", "coroutine"])
async def test_a_job_that_waits_while_a_lane_is_free_is_not_refused(executor: str) -> None:
    async with JobQueue(max_running=2) as queue:
        assert await asyncio.wait_for(ask(queue, executor), WAIT) == 3


@pytest.mark.parametrize(
    "executors", [("coroutine",) * 2, ("thread",) * 2, ("coroutine", "thread")]
)
async def test_of_parents_on_all_lanes_one_is_told_and_the_others_go_on(
    executors: tuple[str, ...],
) -> None:
    async with JobQueue(max_running=2) as queue:
        parents = [
            ask(queue, executor, label=f"parent {number}")
            for number, executor in enumerate(executors)
        ]
        await asyncio.wait_for(queue.join(), WAIT)
        told = [job for job in parents if job.status.value == "failed"]
        assert len(told) == 1
        assert [job.result for job in parents if job not in told] == [3]
        text = str(told[0].error)
        assert text.startswith("WouldDeadlockError")
        for word in ("parent 0", "parent 1", "child", "max_running=3", "arguments"):
            assert word in text


async def test_a_circle_through_two_queues_is_found() -> None:
    async with JobQueue(name="a") as a, JobQueue(name="b") as b:
        began = asyncio.Event()

        async def wait_there(other: JobQueue, also: asyncio.Event | None) -> object:
            if also is not None:
                await also.wait()
            began.set()
            return await other.options(executor="thread").submit_nowait(answer)

        first = a.submit_nowait(wait_there, b, began)
        second = b.submit_nowait(wait_there, a, None)
        await asyncio.wait_for(asyncio.gather(a.join(), b.join()), WAIT)
        assert sorted(job.status.value for job in (first, second)) == ["completed", "failed"]


async def test_a_wait_with_a_time_limit_ends_by_itself() -> None:
    async with JobQueue() as queue:

        async def patient() -> str:
            try:
                await queue.wait_for_job(queue.submit_nowait(answer), timeout=0.05)
            except TimeoutError:
                return "too late"
            return "there"

        assert await asyncio.wait_for(queue.submit_nowait(patient), WAIT) == "too late"


async def test_a_circle_that_closes_when_another_wait_ends_is_told_too() -> None:
    async with JobQueue(max_running=2) as queue:
        release = asyncio.Event()

        async def slow() -> None:
            await release.wait()

        async def both() -> object:
            quick, late = queue.submit_nowait(slow), queue.submit_nowait(waits)
            return await asyncio.gather(quick, late)

        async def waits() -> object:
            return await queue.submit_nowait(answer)

        parent = queue.submit_nowait(both)
        await asyncio.sleep(0)
        release.set()
        await asyncio.wait_for(queue.join(), WAIT)
        assert parent.status.value == "failed"
        assert "WouldDeadlockError" in str(parent.error)


async def test_whoever_is_no_job_may_wait_as_ever() -> None:
    async with JobQueue() as queue:
        hold = asyncio.Event()
        first = queue.submit_nowait(hold.wait)
        second = queue.options(executor="thread").submit_nowait(answer)
        waiting = asyncio.ensure_future(queue.wait_for_job(second))
        hold.set()
        await asyncio.wait_for(waiting, WAIT)
        assert await first is True


@dataclass
class Node:
    """A job that waits for those below it, one after the other or together."""

    together: bool
    executor: str
    below: list[Node] = field(default_factory=list)

    @property
    def inner(self) -> int:
        return bool(self.below) + sum(node.inner for node in self.below)


def grow(dice: random.Random, depth: int) -> Node:
    width = dice.choice((0, 1, 1, 2, 3)) if depth else 0
    node = Node(dice.random() < 0.5, dice.choice(("coroutine", "thread")))
    node.below = [grow(dice, depth - 1) for _ in range(width)]
    return node


def submit(queue: JobQueue, node: Node) -> Job:
    def blocking() -> int:
        jobs = [submit(queue, child) for child in node.below] if node.together else []
        for number, child in enumerate(node.below):
            queue.wait(jobs[number] if jobs else submit(queue, child))
        return 1

    async def awaiting() -> int:
        if node.together:
            await asyncio.gather(*[submit(queue, child) for child in node.below])
        else:
            for child in node.below:
                await submit(queue, child)
        return 1

    body: Callable[[], object] = blocking if node.executor == "thread" else awaiting
    return queue.options(executor=node.executor).submit_nowait(body)


async def test_no_tree_of_waiting_jobs_hangs_and_none_with_lanes_enough_is_refused(
    seed: int, note: Callable[[str], None]
) -> None:
    dice = random.Random(f"{seed} trees that wait")
    refused = 0
    for _ in range(60):
        trees = [grow(dice, 3) for _ in range(dice.randint(1, 3))]
        enough = sum(tree.inner for tree in trees) + 1
        lanes = dice.choice((1, 2, 3, enough))
        async with JobQueue(max_running=lanes) as queue:
            for tree in trees:
                submit(queue, tree)
            await asyncio.wait_for(queue.join(), WAIT)
            errors = [str(job.error) for job in queue.jobs() if job.status.value == "failed"]
            refused += bool(errors)
            if lanes >= enough:
                assert not errors
    assert 0 < refused < 60
    note(f"60 forests, {refused} with a circle")
