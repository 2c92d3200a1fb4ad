"""Thousands of seeded schedules of the real queue on virtual time, and proof that this finds bugs.

A schedule that breaks a promise names its seed; `python -m tests.schedules "SEED"` replays it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator

import pytest

from tests.replay import check

from .loop import Deadlock, OtherThread, Outside, Runaway, VirtualLoop
from .schedule import run_schedule

IN_CHECK = 5_000
IN_LONG = 100_000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Executors, subscribers and jobs fail on purpose; what they log is not news here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def run_many(seed: int, count: int, thread: OtherThread, note: Callable[[str], None]) -> None:
    begun = time.perf_counter()
    jobs = turns = 0
    for number in range(count):
        verdict = run_schedule(f"{seed} {number}", thread)
        check(verdict, "schedule", "tests.schedules")
        jobs += verdict.jobs
        turns += verdict.turns
    seconds = time.perf_counter() - begun
    note(f"{count} schedules, {jobs} jobs, {turns} turns of the loop, 0 broken, {seconds:.0f} s")


@pytest.mark.timeout(300)
def test_no_schedule_breaks_a_promise(
    seed: int, thread: OtherThread, note: Callable[[str], None]
) -> None:
    run_many(seed, IN_CHECK, thread, note)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_schedule_of_very_many_breaks_a_promise(
    seed: int, thread: OtherThread, note: Callable[[str], None]
) -> None:
    run_many(seed, IN_LONG, thread, note)


def test_the_same_seed_is_the_same_schedule(seed: int, thread: OtherThread) -> None:
    for number in range(50):
        first = run_schedule(f"{seed} again {number}", thread)
        second = run_schedule(f"{seed} again {number}", thread)
        assert first.trace == second.trace
        assert first.turns == second.turns


def test_different_seeds_are_different_schedules(seed: int, thread: OtherThread) -> None:
    traces = {tuple(run_schedule(f"{seed} {number}", thread).trace) for number in range(200)}
    assert len(traces) > 150


# -- the world itself --------------------------------------------------------------------------


@pytest.fixture
def loop(thread: OtherThread) -> Iterator[VirtualLoop]:
    virtual = VirtualLoop(Outside(thread), random.Random(1))
    yield virtual
    for task in virtual.open_tasks():
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    virtual.close()


def test_time_passes_at_once_and_in_order(loop: VirtualLoop) -> None:
    seen: list[float] = []

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append(loop.time())

    async def several() -> None:
        await asyncio.gather(sleep(3_000.0), sleep(1.0), sleep(2.0))

    loop.run_until_complete(several())
    assert seen == [1.0, 2.0, 3_000.0]


def test_a_deadlock_raises_instead_of_hanging(loop: VirtualLoop) -> None:
    with pytest.raises(Deadlock, match="these wait"):
        loop.run_until_complete(asyncio.Event().wait())


def test_a_loop_that_never_rests_raises_instead_of_hanging(loop: VirtualLoop) -> None:
    async def restless() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Runaway):
        loop.run_until_complete(restless())
