"""Strict priority, then first in first out; and every way to change what comes next."""

from __future__ import annotations

import asyncio
import random

import pytest

from jobqueue_widget import Job, JobQueue, JobStatus, QueueIdleError
from tests.conditions import until


async def noop() -> None:
    pass


def pending(queue: JobQueue) -> list[str]:
    return [row["id"] for row in queue.get_state()["pending"]]


async def test_higher_priority_first_then_first_in_first_out() -> None:
    queue = JobQueue()
    ids = [await queue.submit(noop, priority=p) for p in (0, 5, 0, 5, -1)]
    assert pending(queue) == [ids[1], ids[3], ids[0], ids[2], ids[4]]
    async with queue:
        started: list[str | None] = []
        queue.subscribe(lambda e: started.append(e.job_id) if e.type == "started" else None)
        await queue.join(timeout=10)
        await asyncio.sleep(0)
    assert started == [ids[1], ids[3], ids[0], ids[2], ids[4]]


async def test_jobs_sort_in_dispatch_order() -> None:
    queue = JobQueue()
    for p in (0, 3, 1, 3):
        await queue.submit(noop, priority=p)
    assert [job.id for job in sorted(queue.jobs())] == pending(queue)


async def test_reorder_keeps_the_rank_within_the_new_priority() -> None:
    queue = JobQueue()
    a, b, c = [await queue.submit(noop) for _ in range(3)]
    assert queue.reorder(c, 1)
    assert pending(queue) == [c, a, b]
    assert queue.reorder(a, 1)
    assert pending(queue) == [a, c, b]


async def test_a_moved_job_takes_the_priority_of_where_it_goes() -> None:
    queue = JobQueue()
    high, low, other = [await queue.submit(noop, priority=p) for p in (9, 0, 0)]
    assert queue.move(other, before=high)
    assert pending(queue) == [other, high, low]
    job = queue.get_job(other)
    assert job is not None
    assert job.priority == 9
    assert queue.move(other, to="bottom")
    assert pending(queue) == [high, low, other]
    assert queue.move(low, to="top")
    assert pending(queue) == [low, high, other]
    assert queue.move(low, after=other)
    assert pending(queue) == [high, other, low]


async def test_random_moves_agree_with_a_list(seed: int) -> None:
    dice = random.Random(f"{seed} moves")
    queue = JobQueue()
    model = [await queue.submit(noop) for _ in range(30)]
    for _ in range(2000):
        job, anchor = dice.sample(model, 2)
        before = dice.random() < 0.5
        assert queue.move(job, before=anchor) if before else queue.move(job, after=anchor)
        model.remove(job)
        model.insert(model.index(anchor) + (not before), job)
    assert pending(queue) == model
    assert [queue.position(job) for job in model] == list(range(30))


async def test_only_pending_jobs_can_be_moved() -> None:
    async with JobQueue() as queue:
        done = queue.submit_nowait(noop)
        await done
        assert not queue.move(done, to="top")
        assert not queue.reorder(done.id, 5)
        assert not queue.hold(done)


async def test_a_held_job_keeps_its_place_and_is_passed() -> None:
    queue = JobQueue()
    a, b = await queue.submit(noop), await queue.submit(noop)
    assert queue.hold(a)
    assert pending(queue) == [a, b]
    async with queue:
        await queue.wait_for_job(b, timeout=10)
        job = queue.get_job(a)
        assert job is not None
        assert job.status is JobStatus.pending
        assert job.held
        assert queue.release(a)
        await queue.wait_for_job(a, timeout=10)


async def test_a_hold_that_ends_in_a_cancel_is_a_removal_with_undo() -> None:
    async with JobQueue() as queue:
        removed, kept = queue.submit_nowait(noop), queue.submit_nowait(noop)
        queue.hold(removed, seconds=0.05, then="cancel")
        queue.hold(kept, seconds=0.05, then="cancel")
        queue.release(kept)
        await queue.join(timeout=10)
        assert removed.status is JobStatus.cancelled
        assert kept.status is JobStatus.completed


async def test_a_hold_that_is_over_releases() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(noop)
        queue.hold(job, seconds=0.03)
        await queue.join(timeout=10)
        assert job.status is JobStatus.completed


async def test_a_hold_survives_a_stop_and_goes_on_after_the_next_start() -> None:
    queue = JobQueue()
    await queue.start()
    job = queue.submit_nowait(noop)
    queue.hold(job, seconds=0.1)
    await queue.stop()
    await asyncio.sleep(0.15)
    assert job.status is JobStatus.pending
    async with queue:
        await queue.join(timeout=10)
    assert job.status.value == "completed"


async def test_a_paused_queue_starts_nothing_and_lets_running_jobs_end() -> None:
    async with JobQueue() as queue:
        running = queue.submit_nowait(asyncio.sleep, 0.03)
        waiting = queue.submit_nowait(noop)
        await until(lambda: running.status is JobStatus.running)
        queue.pause("lunch")
        assert queue.paused
        with pytest.raises(QueueIdleError, match="lunch"):
            await queue.join(timeout=10)
        assert running.status is JobStatus.completed
        assert waiting.status is JobStatus.pending
        queue.resume()
        await queue.join(timeout=10)


async def test_waiting_for_what_can_never_start_says_why() -> None:
    async with JobQueue() as queue:
        queue.hold(queue.submit_nowait(noop))
        with pytest.raises(QueueIdleError, match="1 job held"):
            await queue.join(timeout=10)


def dependants(queue: JobQueue, parent: Job, count: int) -> list[Job]:
    jobs = []
    for _ in range(count):
        parent = queue.options(after=parent).submit_nowait(noop)
        jobs.append(parent)
    return jobs


async def test_a_dependant_starts_after_its_parents_whatever_its_priority() -> None:
    async with JobQueue(max_running=4) as queue:
        one, two = (
            queue.submit_nowait(asyncio.sleep, 0.02),
            queue.submit_nowait(asyncio.sleep, 0.04),
        )
        child = queue.options(after=[one, two], priority=100).submit_nowait(noop)
        await child
        assert child.started_at is not None
        assert two.completed_at is not None
        assert child.started_at >= two.completed_at


async def test_a_failed_parent_cancels_the_whole_chain_and_is_named() -> None:
    async def fails() -> None:
        raise ValueError

    async with JobQueue() as queue:
        parent = queue.options(label="the first").submit_nowait(fails)
        chain = dependants(queue, parent, 2000)
        await queue.join(timeout=10)
        assert all(job.status is JobStatus.cancelled for job in chain)
        assert chain[0].cancel_reason == "dependency failed: the first"
        late = queue.options(after=parent).submit_nowait(noop)
        assert late.status is JobStatus.cancelled


async def test_a_parent_that_completed_already_is_no_obstacle() -> None:
    async with JobQueue() as queue:
        parent = queue.submit_nowait(noop)
        await parent
        await queue.options(after=parent).submit_nowait(noop)


# -- a retry of what comes after others --------------------------------------------------------


@pytest.mark.parametrize("latest", [False, True])
async def test_a_retry_waits_for_what_has_not_ended_and_says_for_what_it_does_not(
    latest: bool,
) -> None:
    async def fails() -> None:
        raise ValueError

    async with JobQueue() as queue:
        over, bad = queue.submit_nowait(noop), queue.options(label="bad").submit_nowait(fails)
        await queue.join()
        queue.pause()
        slow, gone = queue.submit_nowait(noop), queue.options(label="gone").submit_nowait(noop)
        gone.cancel()
        child = queue.options(after=[over, slow]).submit_nowait(noop)
        child.cancel()
        again = child.retry(latest=latest)
        assert again._record.parents == (slow._record,)
        assert again.logs() == ""
        one = queue.options(after=[slow, bad]).submit_nowait(noop)
        assert one.cancel_reason == "dependency failed: bad"
        next_one = one.retry(latest=latest)
        assert next_one._record.parents == (slow._record,)
        assert next_one.logs() == "[it does not wait for bad, which has failed]\n"
        two = queue.options(after=gone).submit_nowait(noop)
        last = two.retry(latest=latest)
        assert last.logs() == "[it does not wait for gone, which was cancelled]\n"
        queue.forget(bad)
        told = f"[it does not wait for {bad.id}, which is no longer kept]\n"
        assert one.retry(latest=latest).logs() == told
        queue.resume()
        await queue.join()
        assert [job.status for job in (again, next_one, last)] == [JobStatus.completed] * 3
