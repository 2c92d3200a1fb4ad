"""What jobs print, log, warn and draw is theirs in every executor, and nobody else's."""

from __future__ import annotations

import getpass
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tqdm.std

from jobqueue_widget import FuturesExecutor, Job, JobQueue, current_job
from tests.kernels import REPOSITORY, VERSIONS, Kernel
from tests.sayings import WAYS

pytestmark = pytest.mark.usefixtures("loop_of_the_client")

EXECUTORS = ("process", "thread", "coroutine", "pool of threads")


class Place:
    """A queue that runs plain functions in one kind of place."""

    def __init__(self, kind: str, pool: Any) -> None:
        executor = {"process": "process", "pool of threads": FuturesExecutor(pool)}
        self.kind = kind
        self.queue = JobQueue(executor=executor.get(kind, "thread"), max_running=4)

    def submit(self, function: Callable[..., Any], *args: object) -> Job:
        if self.kind != "coroutine":
            return self.queue.submit_nowait(function, *args)

        async def call() -> Any:
            return function(*args)

        return self.queue.submit_nowait(call)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(params=EXECUTORS)
def place(request: pytest.FixtureRequest, pool: ThreadPoolExecutor) -> Place:
    return Place(request.param, pool)


WARN_TWICE = """
import asyncio, warnings
from concurrent.futures import ThreadPoolExecutor
from tests.integration.test_output_of_jobs import EXECUTORS, Place
def warns():
    warnings.warn("careful", stacklevel=1)
async def main():
    with ThreadPoolExecutor(4) as pool:
        for kind in EXECUTORS:
            place = Place(kind, pool)
            async with place.queue:
                for number in range(3):
                    job = place.submit(warns)
                    await job
                    assert "careful" in job.logs(), (kind, number)
asyncio.run(main())
"""


def test_each_job_says_what_another_one_has_warned_of() -> None:
    """In a process of its own: pytest shows every warning."""
    subprocess.run([sys.executable, "-c", WARN_TWICE], cwd=REPOSITORY, check=True)


SAY_ALL = """
from tests.sayings import everything, missing
from tests.integration.test_output_of_jobs import Place
from concurrent.futures import ThreadPoolExecutor
import warnings
warnings.simplefilter("always")
wrong = {}
with ThreadPoolExecutor(4) as pool:
    for kind in KINDS:
        place = Place(kind, pool)
        async with place.queue:
            jobs = {mark: place.submit(everything, mark) for mark in ("one", "two", "three")}
            print("of the cell", flush=True)
            await place.queue.join(timeout=50)
        for mark, job in jobs.items():
            lost = missing(job.logs(10_000), mark) + ["of the cell"] * ("of the cell" in job.logs())
            if lost or job.error:
                wrong[kind, mark] = lost, job.error
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_all_that_a_job_says_anywhere_is_in_its_log_and_nowhere_else(version: str) -> None:
    kernel = Kernel(version)
    try:
        cell = kernel.send(SAY_ALL.replace("KINDS", repr(EXECUTORS)))
        assert kernel.reply_to(cell)["status"] == "ok"
        assert kernel.value_of("wrong") == {}
        kernel.until_idle_after(cell)
        assert kernel.printed() == "of the cell\n" * len(EXECUTORS)
    finally:
        kernel.close()


@pytest.fixture
def no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that tqdm starts beside its bars stays as long as the process."""
    monkeypatch.setattr(tqdm.std.tqdm, "monitor_interval", 0)


@pytest.mark.usefixtures("no_monitor")
async def test_bars_are_the_progress_of_the_job_that_drew_them(place: Place) -> None:
    def draws(count: int) -> int:
        from tqdm import tqdm
        from tqdm.notebook import tqdm as in_notebooks

        return sum(tqdm(range(count))) + sum(in_notebooks(range(count), display=True))

    async with place.queue:
        jobs = {count: place.submit(draws, count) for count in (3, 5, 7)}
        await place.queue.join(timeout=50)
    for count, job in jobs.items():
        assert (job.progress, job.status_message) == (1.0, f"{count}/{count} it"), job
        assert job.logs() == ""


@pytest.mark.usefixtures("no_monitor")
def test_a_bar_outside_of_jobs_is_drawn_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    with JobQueue(loop="thread", executor="thread") as queue:
        queue.submit_nowait(print, "x")
        queue.wait(timeout=50)
        for _ in tqdm.std.tqdm(range(3)):
            pass
    assert "3/3" in capsys.readouterr().err


async def test_input_is_refused_in_the_same_words(place: Place) -> None:
    def asks() -> str:
        return input("which? ")

    def asks_for_a_password() -> str:
        return getpass.getpass()

    def stops() -> None:
        breakpoint()

    ways = [asks, asks_for_a_password, *([stops] if place.kind == "process" else [])]
    async with place.queue:
        jobs = [place.submit(one) for one in ways]
        await place.queue.join(timeout=50)
    for job in jobs:
        assert job.failure is not None
        assert job.failure.type_name == "EOFError"
        assert "a job cannot ask" in job.failure.message
        assert "pass the answer as an argument" in job.failure.message


def leaves_a_thread(text: str) -> None:
    """It goes on for as long as its process: a word for the log, the progress and a bar."""
    from tqdm import tqdm

    said = threading.Event()

    def goes_on() -> None:
        bar = tqdm(total=10_000_000)
        while True:
            for name in ("prints", "writes", "logs", "tells"):
                WAYS[name](text)
            current_job().report(0.66, text)
            bar.update()
            bar.refresh()
            said.set()
            threading.Event().wait(0.002)

    threading.Thread(target=goes_on, daemon=True, name="left behind").start()
    said.wait()


def listens() -> list[str]:
    print("mine")
    threading.Event().wait(0.3)
    return [thread.name for thread in threading.enumerate()]


async def test_a_thread_that_a_job_left_says_nothing_in_the_next_one() -> None:
    async with JobQueue() as queue:
        first = queue.submit_nowait(leaves_a_thread, "left behind")
        second = queue.submit_nowait(listens)
        assert "left behind" in await second
    assert "left behind" in first.logs()
    assert second.logs() == "mine\n"
    assert second.status_message == ""
