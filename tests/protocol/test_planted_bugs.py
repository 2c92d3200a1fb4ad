"""Bugs planted on purpose, on either side of the protocol: a run catches each of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.schedules.loop import OtherThread
from tests.schedules.planted import run

from .node import Node, compile_client
from .planted import BUGS, Bug
from .run import play

RUNS = 400

every_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "_"))


def in_pages(bug: Bug, seed: int, folder: Path, thread: OtherThread) -> str | None:
    """What a run says of pages with that bug."""
    node = Node(compile_client(bug.plant(folder), folder))
    try:
        for number in range(RUNS):
            complaints = play(f"{seed} {number}", thread, node).complaints
            if complaints:
                return f"run {number}: {complaints[0]}"
    finally:
        node.close()
    return None


def in_kernel(bug: Bug, seed: int, folder: Path) -> str | None:
    """The same of a kernel's side, in an interpreter that imports the copy."""
    found = run(bug.plant(folder), "tests.protocol", str(seed), "--count", str(RUNS))
    if found.returncode == 0:
        return None
    _, marker, told = found.stdout.partition("\nseed ")
    assert marker, found.stdout[-2000:]
    return " ".join(told.split("\n")[:2])


@every_bug
def test_a_planted_bug_fits_the_code_of_today(bug: Bug) -> None:
    assert bug.source.read_text().count(bug.old) == 1


def test_there_are_enough_of_them() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    of_pages = sum(bug.is_of_the_page for bug in BUGS)
    assert of_pages >= 12
    assert len(BUGS) - of_pages >= 5


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("front_end")
@every_bug
def test_a_planted_bug_is_caught(
    bug: Bug, seed: int, tmp_path: Path, thread: OtherThread, note: Callable[[str], None]
) -> None:
    if bug.is_of_the_page:
        found = in_pages(bug, seed, tmp_path, thread)
    else:
        found = in_kernel(bug, seed, tmp_path)
    assert found is not None, f"{bug.name}: no run of {RUNS} caught it"
    note(f"caught: {found[:120]}")
