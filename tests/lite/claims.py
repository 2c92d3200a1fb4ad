"""What holds where there are no threads and no processes; each function is one claim.

They run in the browser's Python, in Node (`in_node.mjs`), and in one like it on Linux
(`imitation.py`). So pytest is not to be had here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent import futures
from typing import Any

import jobqueue_widget
from jobqueue_widget import JobQueue, JobStatus, current_job, track
from jobqueue_widget.errors import JobQueueError, NotSupportedError, UnsupportedLoopError

PATIENCE = 20.0  # seconds


async def until(holds: Callable[[], object]) -> None:
    """Wait for it on the loop."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.01)


def refusal(act: Callable[[], object], kind: type[JobQueueError] = NotSupportedError) -> str:
    """The text with which it is refused."""
    try:
        act()
    except kind as error:
        return str(error)
    raise AssertionError("it was not refused")


async def double(n: int) -> int:
    for _ in track(range(4), "working"):
        await asyncio.sleep(0.02)
    print("doubled", n)
    return 2 * n


async def forever() -> None:
    current_job().report(0.5, "half")
    await asyncio.sleep(3600)


async def a_job_runs_with_its_progress_and_its_log() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(double, 21)
        await until(lambda: job.progress >= 0.5)
        assert job.status is JobStatus.running
        assert await job == 42
        assert "doubled 21" in job.logs()


async def a_running_job_is_cancelled() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(forever)
        behind = queue.submit_nowait(double, 1)
        await until(lambda: job.progress == 0.5)
        assert job.cancel(reason="seen enough")
        await queue.wait_for_job(job)
        assert (job.status, job.cancel_reason) == (JobStatus.cancelled, "seen enough")
        assert await behind == 2


async def a_job_that_swallows_its_cancellation_says_so() -> None:
    over = asyncio.Event()

    async def deaf() -> None:
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await over.wait()

    async with JobQueue(cancel_timeout=0.1) as queue:
        job = queue.submit_nowait(deaf)
        await until(lambda: job.status is JobStatus.running)
        await asyncio.sleep(0)
        job.cancel()
        await until(lambda: job.cancel_note is not None)
        over.set()
        await queue.wait_for_job(job)


async def a_time_limit_ends_a_job() -> None:
    async with JobQueue() as queue:
        began = time.monotonic()
        job = queue.options(timeout=0.3).submit_nowait(forever)
        await queue.wait_for_job(job)
        assert job.status is JobStatus.failed
        assert "time limit" in str(job.error), job.error
        assert 0.3 <= time.monotonic() - began < 3.0


async def what_failed_is_tried_again() -> None:
    async def second_time() -> int:
        if current_job().attempt == 1:
            raise OSError("not yet")
        return current_job().attempt

    async with JobQueue() as queue:
        job = queue.options(retries=2, backoff=0.1).submit_nowait(second_time)
        assert await job == 2


async def delays_and_holds_end_by_themselves() -> None:
    async with JobQueue() as queue:
        held = queue.submit_nowait(double, 1)
        assert queue.hold(held, 0.2)
        delayed = queue.options(delay=0.1).submit_nowait(double, 2)
        assert await queue.submit_nowait(double, 3) == 6
        assert (await held, await delayed) == (2, 4)


async def priority_and_lanes_hold() -> None:
    order: list[str] = []

    async def note(name: str) -> None:
        order.append(name)

    async with JobQueue(max_running=2) as queue:
        queue.pause("until all are there")
        queue.submit_nowait(note, "last")
        for name in ("first", "second"):
            queue.options(priority=5).submit_nowait(note, name)
        queue.resume()
        await queue.join()
    assert order == ["first", "second", "last"]


async def a_long_map_is_drawn_and_its_jobs_come_as_they_end() -> None:
    async with JobQueue(max_running=50) as queue:
        group = queue.options(ahead=10).map(double, range(60))
        seen = [job.get_result() async for job in group.as_completed()]
        assert sorted(seen) == list(range(0, 120, 2))
        assert await group == list(range(0, 120, 2))


async def results_beyond_the_memory_for_them_move_into_files() -> None:
    async def large(n: int) -> bytes:
        return bytes([n]) * 200_000

    async with JobQueue(keep_bytes=300_000) as queue:
        jobs = [queue.submit_nowait(large, n) for n in range(5)]
        await queue.join()
        await asyncio.sleep(0.1)
        for n, job in enumerate(jobs):
            assert job.get_result() == bytes([n]) * 200_000


async def a_result_is_an_argument_of_the_next_job() -> None:
    async with JobQueue() as queue:
        first = queue.submit_nowait(double, 3)
        assert await queue.submit_nowait(double, first) == 12


async def callbacks_come() -> None:
    told: list[object] = []

    async def stopped() -> None:
        current_job().cancel_signal_to(lambda: told.append("asked"))
        await forever()

    async with JobQueue() as queue:
        job = queue.submit_nowait(stopped)
        job.add_done_callback(lambda ended: told.append(ended.status.value))
        job.future().add_done_callback(lambda future: told.append(future.cancelled()))
        await until(lambda: job.progress == 0.5)
        job.cancel()
        await until(lambda: len(told) == 3)
    assert told[0] == "asked"
    assert {told[1], told[2]} == {"cancelled", True}


async def a_queue_stops_and_starts_again() -> None:
    queue = await JobQueue().start()
    running, waiting = queue.submit_nowait(forever), queue.submit_nowait(double, 4)
    await until(lambda: running.progress == 0.5)
    await queue.stop()
    assert running.status is JobStatus.cancelled
    assert waiting.status is JobStatus.pending
    await queue.start()
    assert await waiting == 8
    await queue.close()


async def the_widget_follows_and_hears_a_click() -> None:
    async with JobQueue(name="shown") as queue:
        widget, sent = queue.widget, list[dict[str, Any]]()
        widget._commands._port._send = sent.append
        job = queue.submit_nowait(forever)
        await until(lambda: widget.running and widget.running[0]["progress"] == 0.5)

        def click(rid: str, op: str, **arguments: object) -> None:
            head = {"t": "req", "cid": "page", "rid": rid, "epoch": widget.summary["epoch"]}
            widget._on_message(widget, {**head, "op": op, "a": arguments}, [])

        click("1", "stack", job=job.id)
        click("2", "timeline", **{"from": 0, "to": 10**10})
        click("3", "cancel", job=job.id)
        await until(lambda: not widget.running and widget.history)
        assert widget.history[0]["id"] == job.id
        assert widget.history[0]["status"] == "cancelled"
        answers = {answer["rid"]: answer["ok"] for answer in sent if answer["t"] == "res"}
        assert answers == {"1": True, "2": True, "3": True}, sent
        forms = queue._repr_mimebundle_()[0]
        assert "forever" in forms["text/plain"]
        assert forms["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id


async def what_cannot_be_had_is_refused_at_the_submit() -> None:
    def plain() -> None: ...

    pool = jobqueue_widget.FuturesExecutor(futures.ThreadPoolExecutor())
    async with JobQueue() as queue:
        needs = {
            "'plain' is a plain function": lambda: queue.submit_nowait(plain),
            "executor='thread'": lambda: queue.options(executor="thread").submit_nowait(plain),
            "executor='process'": lambda: queue.options(executor="process").submit_nowait(plain),
            "plugin 'whisper'": lambda: queue.submit_nowait("whisper", "talk.wav"),
            "PluginManager": lambda: jobqueue_widget.PluginManager,
            "a FuturesExecutor": lambda: queue.options(executor=pool).submit_nowait(plain),
            "'plain'": lambda: queue.map(plain, [1]),
        }
        for named, act in needs.items():
            said = refusal(act)
            assert named in said, said
            assert "no threads and no processes" in said, said
            assert "async def" in said, said
        assert "'plain'" in refusal(lambda: queue.as_executor().submit(plain))
        said = refusal(lambda: queue.options(resources={"ram_mib": 10}).submit_nowait(double, 1))
        assert "leave resources= out" in said, said
        assert len(queue) == 0
        assert (queue.orphans(), queue.end_orphans()) == ([], 0)
    async with JobQueue(executor="thread") as queue:
        assert "executor='thread'" in refusal(lambda: queue.submit_nowait(plain))
        assert await queue.submit_nowait(double, 1) == 2
    assert "leave loop= out" in refusal(lambda: JobQueue(loop="thread"))
    assert "leave journal= out" in refusal(lambda: JobQueue(journal="runs.db"))
    assert "leave journal= out" in refusal(lambda: JobQueue.open("runs.db"))


async def who_waits_without_await_is_told_how() -> None:
    queue = JobQueue()
    with warnings.catch_warnings(action="ignore"):  # it says that the queue is not started
        job = queue.submit_nowait(double, 1)
    said = refusal(lambda: queue.wait(job), UnsupportedLoopError)
    assert "await" in said, said
    await queue.start()
    assert await job == 2
    await queue.close()


CLAIMS = {
    name: claim
    for name, claim in list(globals().items())
    if asyncio.iscoroutinefunction(claim) and claim not in (double, forever, until)
}


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


async def hold(name: str) -> str:
    """How a claim fails, or nothing."""
    complaints = _Complaints()
    logging.getLogger().addHandler(complaints)
    try:
        async with asyncio.timeout(PATIENCE):
            await CLAIMS[name]()
    except BaseException:
        return traceback.format_exc()
    finally:
        logging.getLogger().removeHandler(complaints)
    return "\n".join(complaints.heard)
