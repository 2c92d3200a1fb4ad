"""Very many threads and tasks act on one queue at once; every number still adds up."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

import pytest

from jobqueue_widget import Job, JobEvent, JobQueue, JobStatus, current_job
from jobqueue_widget.testing import inspect
from tests.conditions import until

THREADS = 32
SUBMITS = 1_000


async def quick(number: int) -> int:
    return number


def consistent(queue: JobQueue) -> None:
    """R2: at every moment that a reader can see."""
    stats = queue.get_state()["stats"]
    ended = stats["total_completed"] + stats["total_failed"] + stats["total_cancelled"]
    assert ended + stats["total_pending"] + stats["total_running"] == stats["total_accepted"]


def storm(queue: JobQueue, name: int, seed: int, target: Callable[..., object]) -> list[Job]:
    """One thread's part: submits, with every other command in between."""
    dice = random.Random(f"{seed} {name}")
    jobs: list[Job] = []
    for number in range(SUBMITS):
        jobs.append(queue.submit_nowait(target, number, priority=dice.choice((-1, 0, 3))))
        other, fate = dice.choice(jobs), dice.random()
        if fate < 0.1:
            queue.cancel_nowait(other)
        elif fate < 0.15:
            queue.move(other, to="top")
        elif fate < 0.2:
            queue.reorder(other, 7)
        elif fate < 0.25:
            queue.hold(other, 0.01)
        elif fate < 0.251:
            consistent(queue)
    return jobs


@pytest.mark.timeout(300)
@pytest.mark.parametrize("loop", ["current", "thread"])
async def test_a_storm_of_threads_loses_nothing(
    loop: Literal["current", "thread"], seed: int, note: Callable[[str], None]
) -> None:
    queue = JobQueue(max_running=4, loop=loop, keep_ended=1_000_000)
    made: list[list[Job]] = []
    ends: Counter[str] = Counter()
    queue.subscribe(lambda event: ends.update([event.job_id or ""] * (event.type == "ended")))
    await queue.start()
    threads = [
        threading.Thread(target=lambda name=name: made.append(storm(queue, name, seed, quick)))
        for name in range(THREADS)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        consistent(queue)
        await asyncio.sleep(0.5)
    await queue.join(timeout=200)
    consistent(queue)
    seconds = time.perf_counter() - begun
    await queue.stop()
    jobs = [job for part in made for job in part]
    assert len(jobs) == len({job.id for job in jobs}) == THREADS * SUBMITS
    assert all(job.done for job in jobs)
    assert not [job for job in jobs if job.status is JobStatus.failed]
    assert queue.get_state()["stats"]["total_accepted"] == len(jobs)
    assert inspect(queue).faults.bugs == 0
    if not inspect(queue).faults.dropped_events:
        assert set(ends.values()) == {1}
    note(f"{THREADS} threads x {SUBMITS} submits in {seconds:.1f} s: {len(jobs)} jobs, 0 lost")


@pytest.mark.timeout(300)
async def test_a_storm_of_function_jobs_with_a_blocked_loop_loses_nothing(seed: int) -> None:
    async with JobQueue(max_running=2, keep_ended=1_000_000) as queue:
        made: list[Job] = []

        def part(name: int) -> None:
            dice = random.Random(f"{seed} functions {name}")
            for number in range(150):
                job = queue.submit_nowait(pow, number, 2)
                made.append(job)
                if dice.random() < 0.2:
                    queue.cancel_nowait(dice.choice(made), force=dice.random() < 0.1)

        threads = [threading.Thread(target=part, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(0.3)  # noqa: ASYNC251 - a cell that blocks the loop
            await asyncio.sleep(0)
        while any(thread.is_alive() for thread in threads):
            await asyncio.sleep(0.01)
        await queue.join(timeout=200)
        assert len(made) == 1_200
        for job in made:
            assert job.done
            assert job.status is not JobStatus.failed, job.error
        assert inspect(queue).faults.bugs == 0


# -- start and stop --------------------------------------------------------------------------------


class Tally:
    """Jobs that count how often each of them has run."""

    def __init__(self, queue: JobQueue) -> None:
        self.ran: Counter[int] = Counter()
        queue.pause()  # no warning, and nothing starts while they are submitted
        self.jobs = [queue.submit_nowait(self.count, number) for number in range(200)]
        queue.resume()

    async def count(self, number: int) -> None:
        self.ran[number] += 1
        await asyncio.sleep(0)

    def check(self) -> None:
        """Each has ended, and ran once, or was cancelled by a stop before or while it ran."""
        assert max(self.ran.values()) == 1
        for number, job in enumerate(self.jobs):
            assert job.done
            assert self.ran[number] == 1 or job.status is JobStatus.cancelled
        assert any(job.status is JobStatus.completed for job in self.jobs)


async def restless(queue: JobQueue, dice: random.Random) -> None:
    """Start and stop it, again and again."""
    for _ in range(30):
        await dice.choice((queue.start, queue.stop))()
        await asyncio.sleep(dice.choice((0, 0, 0.001)))


async def test_starting_and_stopping_from_many_tasks_runs_every_job_once(seed: int) -> None:
    dice = random.Random(f"{seed} start and stop")
    async with JobQueue(max_running=2) as queue:
        tally = Tally(queue)
        await asyncio.gather(*(restless(queue, dice) for _ in range(5)))
        await queue.start()
        await queue.join(timeout=30)
    tally.check()
    assert inspect(queue).faults.bugs == 0


@pytest.mark.parametrize("loop", ["current", "thread"])
async def test_starting_and_stopping_from_many_loops_runs_every_job_once(
    loop: Literal["current", "thread"], seed: int
) -> None:
    async with JobQueue(max_running=2, loop=loop) as queue:
        tally, failures = Tally(queue), []

        def part(name: int) -> None:
            try:
                asyncio.run(restless(queue, random.Random(f"{seed} loops {name}")))
            except Exception as error:  # told below: a thread has nobody to raise it to
                failures.append(error)

        threads = [threading.Thread(target=part, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        await until(lambda: not any(thread.is_alive() for thread in threads), 50)
        assert failures == []
        await queue.start()
        await queue.join(timeout=30)
    tally.check()
    assert inspect(queue).faults.bugs == 0


# -- events and progress ---------------------------------------------------------------------------


async def test_readers_on_other_loops_see_every_end(seed: int) -> None:
    async with JobQueue(max_running=4) as queue:
        ready, ends = threading.Barrier(5), [0] * 4

        def read(place: int) -> None:
            async def follow() -> None:
                stream = queue.events()
                ready.wait()
                async for event in stream:
                    ends[place] += event.type == "ended"
                    if ends[place] == 100:
                        return

            asyncio.run(follow())

        threads = [threading.Thread(target=read, args=(place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.to_thread(ready.wait)
        for number in range(100):
            queue.submit_nowait(quick, number)
        await queue.join(timeout=20)
        for thread in threads:
            await asyncio.to_thread(thread.join, 20)
        assert ends == [100] * 4


async def test_a_storm_of_progress_is_thinned_and_ends_with_the_last_report(
    note: Callable[[str], None],
) -> None:
    async def reports() -> None:
        job = current_job()
        for number in range(20_000):
            job.report(number / 20_000, f"step {number}")
            if number % 500 == 0:
                await asyncio.sleep(0)
        job.report(0.75, "last")

    async with JobQueue(max_running=4) as queue:
        seen: list[JobEvent] = []
        queue.subscribe(seen.append)
        stream = queue.events()
        jobs = [queue.submit_nowait(reports) for _ in range(4)]
        await queue.join(timeout=50)
        await until(lambda: sum(event.type == "ended" for event in seen) == 4)
        for job in jobs:
            assert job.status_message == "last"
            told = [event for event in seen if event.job_id == job.id]
            assert [event.type for event in told][-2:] == ["progress", "ended"]
            steps = [event.payload["progress"] for event in told if event.type == "progress"]
            assert steps[:-1] == sorted(steps[:-1])  # type: ignore[type-var]
            assert steps[-1] == 0.75
        assert stream.dropped + len(stream._events) < 10_000
        assert inspect(queue).faults.odd_reports == inspect(queue).faults.bugs == 0
        note(f"80,000 reports made {len(seen)} events")


async def test_many_subscribers_of_very_many_events_each_see_all_of_them_in_order() -> None:
    async with JobQueue(max_running=4) as queue:
        seen: list[list[JobEvent]] = [[] for _ in range(5)]
        for one in seen:
            queue.subscribe(one.append)

        def breaks(event: JobEvent) -> None:
            raise RuntimeError("a subscriber on purpose")

        queue.subscribe(breaks)
        jobs: list[Job] = []
        for _ in range(35):
            jobs += queue.map(quick, range(100))
            await queue.join(timeout=50)
        await until(lambda: len(seen[0]) >= 3 * len(jobs))
        assert seen[1:] == [seen[0]] * 4
        assert len(seen[0]) >= 10_000
        lives = Counter((event.job_id, event.type) for event in seen[0])
        for job in jobs:
            for kind in ("submitted", "started", "ended"):
                assert lives[job.id, kind] == 1
        assert inspect(queue).faults.failed_subscribers == 3
        assert inspect(queue).faults.dropped_events == 0


# -- two queues ------------------------------------------------------------------------------------


async def test_two_queues_in_one_process_do_not_touch_each_other() -> None:
    async with JobQueue(name="one") as one, JobQueue(name="two") as two:
        pids = [await queue.submit_nowait(os.getpid) for queue in (one, two)]
        assert pids[0] != pids[1]
        slow = one.submit_nowait(time.sleep, 60)
        kept = two.submit_nowait(time.sleep, 0.2)
        assert slow.cancel(force=True)
        await two.wait_for_job(kept, timeout=20)
        assert kept.status is JobStatus.completed
        assert await two.submit_nowait(os.getpid) == pids[1]
