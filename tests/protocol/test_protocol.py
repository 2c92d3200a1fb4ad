"""The real widget and the real front end over a channel that loses, on virtual time.

A run that breaks a promise names its seed; `python -m tests.protocol "SEED"` replays it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.replay import check
from tests.schedules.loop import OtherThread

from .node import Node
from .run import Verdict, play

IN_CHECK = 50  # of each of three tests: one that takes minutes on a busy machine would be ended
IN_LONG = 1_000


def run_many(
    seed: str, count: int, thread: OtherThread, node: Node, note: Callable[[str], None]
) -> None:
    begun = time.perf_counter()
    messages = updates = largest = 0
    for number in range(count):
        verdict = play(f"{seed} {number}", thread, node)
        check(verdict, "run", "tests.protocol")
        messages += verdict.messages
        updates += verdict.updates
        largest = max(largest, verdict.largest)
    seconds = time.perf_counter() - begun
    note(
        f"{count} runs, {messages} messages of which {updates} flushes, the largest "
        f"{largest} bytes, 0 broken, {seconds:.0f} s"
    )


@pytest.mark.timeout(170)
@pytest.mark.parametrize("part", range(3))
def test_no_run_breaks_a_promise(
    part: int, seed: int, thread: OtherThread, node: Node, note: Callable[[str], None]
) -> None:
    run_many(f"{seed} {part}", IN_CHECK, thread, node, note)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_run_of_very_many_breaks_a_promise(
    seed: int, thread: OtherThread, node: Node, note: Callable[[str], None]
) -> None:
    run_many(f"{seed} long", IN_LONG, thread, node, note)


def test_the_same_seed_is_the_same_run(seed: int, thread: OtherThread, node: Node) -> None:
    for number in range(3):
        first, second = (play(f"{seed} again {number}", thread, node) for _ in range(2))
        assert _without_ids(first) == _without_ids(second)
        assert first.messages == second.messages


def _without_ids(verdict: Verdict) -> list[str]:
    """The trace; ids of jobs begin with a random word."""
    return [line.rpartition(" ")[0] if "-" in line else line for line in verdict.trace]
