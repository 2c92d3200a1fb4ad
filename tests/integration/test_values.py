"""Every value comes back as it was, through every executor and journal, and changes no class."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from jobqueue_widget import Job, JobFailedError, JobQueue
from jobqueue_widget.executors.futures.executor import FuturesExecutor
from jobqueue_widget.testing import MemoryJournal
from tests.journals import let_go
from tests.values import Names, built_in, change, notebook, same, states, values

Note = Callable[[str], None]
Heaps = list[list[object]]
Through = Callable[[Heaps, Callable[[], None]], Heaps]
QUICK = settings(  # a value that is small already is not worth a thousand jobs more
    max_examples=15, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
LONG = settings(QUICK, max_examples=500, derandomize=False)
PARTS = 5
TOGETHER = 25  # lists of values that share a journal
PLACES = ["process", "thread", "coroutine", "a pool of threads", "a pool of processes"]
JOURNALS = ["memory", "sqlite"]


@contextlib.contextmanager
def jobs_in(place: str, names: Names) -> Iterator[Through]:
    """What brings values to jobs there and back, in turn as a result and in an exception."""
    with contextlib.ExitStack() as stack:
        settings: dict[str, Any] = {"max_running": 1, "loop": "thread", "max_history": 0}
        if place.startswith("a pool"):
            kind = ThreadPoolExecutor if place.endswith("threads") else ProcessPoolExecutor
            settings["executor"] = FuturesExecutor(stack.enter_context(kind(1)))
        queue = stack.enter_context(JobQueue(**settings))
        chosen = queue.options(executor="thread") if place == "thread" else queue
        targets = itertools.cycle(
            [names["echo_later"], names["fail_later"]]
            if place == "coroutine"
            else [names["echo"], names["fail"]]
        )

        def through(heaps: Heaps, meanwhile: Callable[[], None]) -> Heaps:
            found = []
            for drawn, target in zip(heaps, targets, strict=False):
                job = chosen.submit_nowait(target, drawn)
                meanwhile()
                queue.wait(job)
                found.append(told_by(job))
            return found

        yield through


def told_by(job: Job) -> Any:
    try:
        return job.get_result()
    except JobFailedError as error:
        failure: Any = error.__cause__
        return failure.code


@contextlib.contextmanager
def restarts(kind: str, names: Names, folder: Path) -> Iterator[Through]:
    """What brings values as results into a journal, and reads them in another kernel."""
    numbers = itertools.count()

    def through(heaps: Heaps, meanwhile: Callable[[], None]) -> Heaps:
        kept = MemoryJournal() if kind == "memory" else folder / f"{next(numbers)}.db"
        with JobQueue(max_running=1, loop="thread", journal=kept) as queue:
            jobs = [queue.submit_nowait(names["echo"], drawn) for drawn in heaps]
            queue.wait(*jobs)
        let_go(queue)
        meanwhile()
        tracker = cloudpickle.cloudpickle
        tracker._DYNAMIC_CLASS_TRACKER_BY_ID.clear()  # the new kernel knows none of them
        tracker._DYNAMIC_CLASS_TRACKER_BY_CLASS.clear()
        again = JobQueue(journal=kept)
        try:
            return [again[job.id].result for job in jobs]
        finally:
            let_go(again)

    yield through


def heap_of(one: st.SearchStrategy[Any]) -> st.SearchStrategy[list[object]]:
    return st.lists(one, min_size=5, max_size=40)


def play(names: Names, through: Through, limits: settings, part: int = 0, together: int = 1) -> int:
    """Draw lists of values, send so many at a time, and look at them and at the classes.

    Returns:
        How many values it were.
    """
    heaps: Heaps = []

    @seed(part)
    @limits
    @given(heap_of(values(names)) | heap_of(built_in()))
    def draw(drawn: list[object]) -> None:
        heaps.append(drawn)

    draw()
    changed: dict[str, object] = {}

    def meanwhile() -> None:
        change(names)
        changed.update(states(names))

    for at in range(0, len(heaps), together):
        sent = heaps[at : at + together]
        for drawn, found in zip(sent, through(sent, meanwhile), strict=True):
            assert same(found, drawn), (found, drawn)
        now = states(names)
        assert [name for name in now if now[name] != changed[name]] == [], "a class was changed"
    return sum(map(len, heaps))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("place", PLACES)
def test_a_value_comes_back_from_a_job_and_changes_no_class(place: str, note: Note) -> None:
    with notebook() as names, jobs_in(place, names) as through:
        note(f"{play(names, through, QUICK)} values through {place}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", JOURNALS)
def test_a_value_comes_back_after_a_restart(kind: str, tmp_path: Path, note: Note) -> None:
    with notebook() as names, restarts(kind, names, tmp_path) as through:
        count = play(names, through, QUICK, together=TOGETHER)
        note(f"{count} values through a journal ({kind})")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
@pytest.mark.parametrize("place", PLACES)
def test_very_many_values_come_back_from_jobs(place: str, part: int, seed: int, note: Note) -> None:
    with notebook() as names, jobs_in(place, names) as through:
        count = play(names, through, LONG, seed * PARTS + part)
        note(f"{count:,} values through {place}")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
@pytest.mark.parametrize("kind", JOURNALS)
def test_very_many_values_come_back_after_a_restart(
    kind: str, part: int, seed: int, tmp_path: Path, note: Note
) -> None:
    with notebook() as names, restarts(kind, names, tmp_path) as through:
        count = play(names, through, LONG, seed * PARTS + part, TOGETHER)
        note(f"{count:,} values through a journal ({kind})")
