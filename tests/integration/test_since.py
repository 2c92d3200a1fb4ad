"""What has ended since an instant: `queue.since()`, and the page's request for it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import InvalidOptionError, JobQueue
from jobqueue_widget._api.lookback import since as counting
from jobqueue_widget._core.jobs import JobRecord
from jobqueue_widget._runtime.storage.spans import Spans
from tests.conditions import until
from tests.integration.test_widget_model import HOSTILE, shown
from tests.journals import as_if_killed, opened, running
from tests.kernels import VERSIONS, Kernel


async def rest(seconds: float = 0) -> None:
    await asyncio.sleep(seconds)


async def fail(what: str) -> None:
    raise type(what, (Exception,), {})("no luck")


def counts(queue: JobQueue, moment: float) -> tuple[int, int, int]:
    told = queue.since(moment)
    return told.completed, told.failed, told.cancelled


def slowest_of(queue: JobQueue, moment: float) -> str:
    """The id of the job that ran longest, however busy the machine is."""
    seconds = {
        job.id: job.completed_at - job.started_at
        for job in queue.jobs()
        if job.started_at and job.completed_at and job.completed_at >= moment
    }
    return max(seconds, key=lambda one: seconds[one])


async def test_it_counts_what_ended_by_status_and_kind_and_finds_the_slowest() -> None:
    async with JobQueue() as queue:
        for _ in range(3):
            await queue.submit_nowait(rest)
        moment = time.time()
        queue.submit_nowait(rest, 0.1)
        for what in ("A", "B", "B", "B"):
            queue.submit_nowait(fail, what)
        late = queue.options(timeout=0.02).submit_nowait(rest, 60)
        queue.submit_nowait(rest, 60)
        await queue.wait_for_job(late)
        queue.cancel_all("all")
        await queue.join(timeout=10)
        told = queue.since(moment)
        assert counts(queue, moment) == (1, 5, 1)
        assert told.kinds == {"B": 3, "A": 1, "time limit": 1}
        assert next(iter(told.kinds)) == "B"
        assert told.slowest == slowest_of(queue, moment)
        assert told.slowest_seconds >= 0.1
        assert told.moment == moment <= told.now
        assert told.whole
        assert not told.restarted
        assert counts(queue, 0) == (4, 5, 1)
        assert counts(queue, time.time() + 60) == (0, 0, 0)
        assert queue.since(datetime.fromtimestamp(moment)).completed == 1


async def test_what_was_tried_again_counts_once_and_what_is_hidden_does_not() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(fail, "A")
        await queue.wait_for_job(job)
        again = job.retry()
        await queue.wait_for_job(again)
        assert counts(queue, 0) == (0, 1, 0)
        queue.clear_history()
        assert counts(queue, 0) == (0, 0, 0)
        await queue.submit_nowait(rest)
        assert counts(queue, 0) == (1, 0, 0)
        assert queue.since(0).slowest is not None


async def test_it_says_if_more_has_ended_than_is_kept() -> None:
    async with JobQueue(keep_ended=5, max_history=5) as queue:
        moment = time.time()
        for number in range(5):
            await queue.submit_nowait(rest)
            assert queue.since(moment).whole, number
        await queue.submit_nowait(rest)
        told = queue.since(moment)
        assert (told.completed, told.whole) == (5, False)
        later = time.time()
        await queue.submit_nowait(rest)
        assert queue.since(later).whole


async def test_it_looks_at_little_more_than_what_has_ended_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting, "PASSED", 10)
    looked: list[str] = []
    real = Spans.end_of

    def noting(spans: Spans, job: JobRecord) -> float:
        looked.append(job.id)
        return real(spans, job)

    monkeypatch.setattr(Spans, "end_of", noting)
    async with JobQueue() as queue:
        jobs = [queue.submit_nowait(rest) for _ in range(100)]
        await queue.join(timeout=10)
        since = jobs[95].completed_at
        assert since is not None
        assert queue.since(since).completed >= 5
        assert len(looked) <= 5 + 10 + 5


async def test_it_counts_over_a_restart_and_finds_what_the_kernel_took_along(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    async with running(path) as queue:
        await queue.submit_nowait(int)
        moment = time.time()
        await queue.submit_nowait(int)
        failed = queue.submit_nowait(int, "none")
        await queue.wait_for_job(failed)
        works = queue.submit_nowait(time.sleep, 60)
        await until(lambda: works.phase is None and works.status.value == "running")
        left = time.time()  # nothing was written since: the page was there longer than its kernel
        assert not queue.since(moment).restarted
        copy = as_if_killed(path)
        works.cancel(force=True)
    with opened(copy) as again:
        told = again.since(moment)
        assert (told.completed, told.failed, told.cancelled) == (1, 2, 0)
        assert told.kinds == {"ValueError": 1, "KernelDied": 1}
        assert told.restarted
        assert told.whole
        assert again.since(left).failed == 1
        assert counts(again, time.time()) == (0, 0, 0)
        assert not again.since(time.time()).restarted


@pytest.mark.parametrize("moment", [None, "yesterday", float("nan"), True, 1e300])
async def test_what_is_no_instant_is_refused(moment: Any) -> None:
    queue = JobQueue()
    with pytest.raises(InvalidOptionError, match="moment must be epoch seconds or a datetime"):
        queue.since(moment)
    await queue.close()


# -- the page's request --------------------------------------------------------------------------


async def test_a_page_gets_counts_kinds_and_the_slowest() -> None:
    async with shown() as (queue, page):
        moment = time.time()
        view = queue.options(label="slow \u202e" + "x" * 200)
        view.submit_nowait(rest, 0.05)
        for number in range(30):
            view.submit_nowait(fail, f"Kind{number % 25}")
        await queue.join(timeout=10)
        told = page.ask("since", moment=moment)["v"]
        assert (told["completed"], told["failed"], told["cancelled"]) == (1, 30, 0)
        assert len(told["kinds"]) == 20
        assert [count for _, count in told["kinds"]] == [2] * 5 + [1] * 15
        assert sum(count for _, count in told["kinds"]) + told["more_kinds"] == 30
        assert told["slowest"]["job"] == slowest_of(queue, moment)
        assert told["slowest"]["seconds"] >= 0.05
        assert len(told["slowest"]["title"]) <= 80
        assert "\u202e" not in json.dumps(told, ensure_ascii=False)
        nothing = page.ask("since", moment=moment + 1e6)["v"]
        assert (nothing["completed"], nothing["kinds"], nothing["slowest"]) == (0, [], None)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"moment": "0"},
        {"moment": None},
        {"moment": float("nan")},
        {"moment": 1e300},
        {"moment": True},
    ],
)
async def test_a_page_that_asks_for_no_instant_is_refused(arguments: dict[str, Any]) -> None:
    async with shown() as (_, page):
        assert page.code_of("since", **arguments) == "bad_request"


async def test_hostile_names_of_failures_are_shown_as_texts() -> None:
    async with shown() as (queue, page):
        for name in HOSTILE:
            queue.submit_nowait(fail, name.encode("utf-8", "replace").decode().replace("\x00", ""))
        await queue.join(timeout=10)
        told = json.dumps(page.ask("since", moment=0), ensure_ascii=False)
        assert "\u202e" not in told
        assert "\x1b" not in told


CELL = """
import time
from jobqueue_widget import JobQueue
queue = await JobQueue().start()
left = time.time()
await queue.submit_nowait(time.sleep, 0.01)
await queue.wait_for_job(queue.submit_nowait(int, "x"))
told = queue.since(left)
found = told.completed, told.failed, dict(told.kinds), told.whole
"""


@pytest.fixture
def kernel(loop_of_the_client: None) -> Iterator[Kernel]:
    kernel = Kernel(VERSIONS[0])
    yield kernel
    kernel.close()


def test_in_a_notebook_one_reads_what_happened_since(kernel: Kernel) -> None:
    kernel.run(CELL)
    assert kernel.value_of("found") == (1, 1, {"ValueError": 1}, True)
    kernel.run("await queue.close()")
