"""Every value comes back as it was, through every executor and journal, and changes no class."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from jobqueue_widget import JobQueue
from jobqueue_widget.executors.futures import FuturesExecutor
from jobqueue_widget.testing import MemoryJournal
from jobqueue_widget.worker import byvalue, loading
from tests.journals import let_go
from tests.values import Names, change, notebook, same, states, values

Note = Callable[[str], None]
QUICK = settings(  # a value that is small already is not worth a thousand jobs more
    max_examples=15, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
LONG = settings(QUICK, max_examples=200, derandomize=False)
PARTS = 5  # no test may take three minutes
PLACES = ["process", "thread", "coroutine", "a pool of threads", "a pool of processes"]


@contextlib.contextmanager
def echoes(place: str, names: Names) -> Iterator[Callable[[object], object]]:
    """What brings a value to a job there and back."""
    with contextlib.ExitStack() as stack:
        settings: dict[str, Any] = {"max_running": 1, "loop": "thread", "max_history": 0}
        if place.startswith("a pool"):
            kind = ThreadPoolExecutor if place.endswith("threads") else ProcessPoolExecutor
            settings["executor"] = FuturesExecutor(stack.enter_context(kind(1)))
        queue = stack.enter_context(JobQueue(**settings))
        target = names["echo"]
        if place == "coroutine":

            async def target(value: object) -> object:
                return value

        chosen = queue.options(executor="thread") if place == "thread" else queue

        def through(value: object) -> object:
            job = chosen.submit_nowait(target, value)
            change(names)
            queue.wait(job)
            return job.get_result()

        yield through


def comes_back(
    through: Callable[[object], object], names: Names, drawn: list[object], counted: list[int]
) -> None:
    changed = []

    def watched(value: object) -> object:
        found = through(value)
        changed.append(states(names))
        return found

    found = watched(drawn)
    assert same(found, drawn), (found, drawn)
    assert states(names) == changed[0]
    counted[0] += len(drawn)


def play(place: str, limits: settings, note: Note, part: int = 0) -> None:
    counted = [0]
    with notebook() as names, echoes(place, names) as through:
        made = st.lists(values(names), min_size=5, max_size=40)

        @seed(part)
        @limits
        @given(made)
        def each(drawn: list[object]) -> None:
            before = {name: vars(names[name]).get("rate") for name in ("Plain", "Data")}
            comes_back(through, names, drawn, counted)
            for name, rate in before.items():
                assert names[name].rate == (rate or 0) + 1, name
                assert names[name].told(None) == "now"

        each()
    note(f"{counted[0]:,} values through {place}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("place", PLACES)
def test_a_value_comes_back_from_a_job_and_changes_no_class(place: str, note: Note) -> None:
    play(place, QUICK, note)


@pytest.mark.long
@pytest.mark.timeout(170)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
@pytest.mark.parametrize("place", PLACES)
def test_very_many_values_come_back_from_jobs(place: str, part: int, note: Note) -> None:
    play(place, LONG, note, part)


def play_restart(kind: str, limits: settings, folder: Path, note: Note, part: int = 0) -> None:
    counted, place = [0], [0]
    with notebook() as names:

        def through(value: object) -> object:
            place[0] += 1
            kept = MemoryJournal() if kind == "memory" else folder / f"{place[0]}.db"
            with JobQueue(max_running=1, loop="thread", journal=kept) as queue:
                job = queue.submit_nowait(names["echo"], value)
                queue.wait(job)
            let_go(queue)
            change(names)
            tracker = cloudpickle.cloudpickle
            tracker._DYNAMIC_CLASS_TRACKER_BY_ID.clear()  # the new kernel knows none of them
            tracker._DYNAMIC_CLASS_TRACKER_BY_CLASS.clear()
            again = JobQueue(journal=kept)
            try:
                return again[job.id].result
            finally:
                let_go(again)

        @seed(part)
        @limits
        @given(st.lists(values(names), min_size=5, max_size=40))
        def each(drawn: list[object]) -> None:
            comes_back(through, names, drawn, counted)

        each()
    note(f"{counted[0]:,} values through a journal ({kind})")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_value_comes_back_after_a_restart(kind: str, tmp_path: Path, note: Note) -> None:
    play_restart(kind, settings(QUICK, max_examples=6), tmp_path, note)


@pytest.mark.long
@pytest.mark.timeout(170)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_very_many_values_come_back_after_a_restart(
    kind: str, part: int, tmp_path: Path, note: Note
) -> None:
    play_restart(kind, settings(LONG, max_examples=60), tmp_path, note, part)


@pytest.mark.long
@pytest.mark.timeout(170)
@pytest.mark.parametrize("part", range(1, 8 * PARTS + 1))
def test_very_many_values_are_read_as_they_were_pickled(part: int, note: Note) -> None:
    counted = [0]
    with notebook() as names:

        @seed(part)
        @settings(LONG, max_examples=300)
        @given(st.lists(values(names), min_size=5, max_size=40))
        def each(drawn: list[object]) -> None:
            comes_back(lambda v: loading.load(byvalue.dumps(v)), names, drawn, counted)

        each()
    note(f"{counted[0]:,} values pickled and read")
