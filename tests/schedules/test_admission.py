"""Two queues, one machine, plugins that hold on to memory: thousands of seeded schedules.

At each launch everything that runs may still grow to all that it asked for, and idle plugins hold
what they hold: together that must fit. No plugin that executes is asked to go, and nothing stays
blocked. A schedule that breaks this names its seed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import pytest

from .loop import OtherThread
from .machine import Floor

IN_CHECK = 300
IN_LONG = 10_000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Hosts and sources fail on purpose; what is logged then is not news here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def run_many(seed: int, count: int, thread: OtherThread, note: Callable[[str], None]) -> None:
    begun = time.perf_counter()
    sums = dict.fromkeys(("admitted", "blocked", "refused", "evictions", "rescued"), 0)
    for number in range(count):
        floor = Floor(f"{seed} {number}", thread)
        try:
            floor.run()
        except BaseException as error:
            floor.complain(f"{type(error).__name__}: {error}")
        trace = "\n".join(floor.trace[-60:])
        assert not floor.complaints, f"seed {floor.seed!r}: {floor.complaints}\n{trace}"
        for name in sums:
            sums[name] += getattr(floor, name)
    told = ", ".join(f"{value} {name}" for name, value in sums.items())
    seconds = time.perf_counter() - begun
    note(f"{count} schedules, {told}, 0 promised twice, 0 busy ones evicted, {seconds:.0f} s")
    assert all(sums.values()), f"something never happened: {sums}"


@pytest.mark.timeout(300)
def test_nothing_is_promised_twice_and_nothing_busy_is_unloaded(
    seed: int, thread: OtherThread, note: Callable[[str], None]
) -> None:
    run_many(seed, IN_CHECK, thread, note)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_nothing_is_promised_twice_in_very_many_schedules(
    seed: int, thread: OtherThread, note: Callable[[str], None]
) -> None:
    run_many(seed, IN_LONG, thread, note)


def test_the_same_seed_is_the_same_schedule(seed: int, thread: OtherThread) -> None:
    for number in range(20):
        floors = [Floor(f"{seed} again {number}", thread) for _ in range(2)]
        for floor in floors:
            floor.run()
        assert floors[0].trace == floors[1].trace
