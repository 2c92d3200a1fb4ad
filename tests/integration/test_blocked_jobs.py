"""A job whose executor says "not now": why it waits, who may pass it, and what lets it go on."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from jobqueue_widget import BlockReason, Job, JobQueue, JobStatus, current_job
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget.executors.thread import ThreadExecution, ThreadExecutor
from jobqueue_widget.protocols import ExecutorContext, Reporter
from tests.conditions import until


class Gate(ThreadExecutor):
    """Threads behind a gate that lets nothing through until it is opened."""

    name = "gate"

    def __init__(self, *, passable: bool = False) -> None:
        super().__init__()
        self.reason: BlockReason | None = BlockReason("the gate is shut", may_be_passed=passable)
        self._wake: Callable[[], None] = lambda: None

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wake = wake
        return super().subscribe(wake)

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        return self.reason

    def open_gate(self) -> None:
        self.reason = None
        self._wake()


async def behind(queue: JobQueue, gate: Gate) -> tuple[Job, Job]:
    """A job that the gate blocks, and one behind it that could start."""
    blocked = queue.options(executor=gate).submit_nowait(int)
    free = queue.options(executor="thread").submit_nowait(int)
    await until(lambda: blocked.block_reason)
    return blocked, free


async def test_a_blocked_job_stays_pending_and_says_why() -> None:
    gate = Gate()
    async with JobQueue() as queue:
        blocked, _ = await behind(queue, gate)
        assert blocked.status is JobStatus.pending
        assert blocked.block_reason == "the gate is shut"
        assert queue.window("pending", 0, 1).rows[0]["block_reason"] == "the gate is shut"
        gate.open_gate()
        await queue.join(timeout=10)
        assert blocked.done
        assert blocked.block_reason is None


async def test_those_behind_a_blocked_job_wait_for_it() -> None:
    gate = Gate()
    async with JobQueue() as queue:
        started: list[str | None] = []
        queue.subscribe(lambda e: started.append(e.job_id) if e.type == "started" else None)
        blocked, free = await behind(queue, gate)
        gate.open_gate()
        await queue.join(timeout=10)
    assert started == [blocked.id, free.id]


async def test_a_job_that_may_be_passed_is_passed() -> None:
    gate = Gate(passable=True)
    async with JobQueue() as queue:
        blocked, free = await behind(queue, gate)
        await queue.wait_for_job(free, timeout=10)
        assert blocked.status is JobStatus.pending
        gate.open_gate()
        await queue.join(timeout=10)


async def test_with_backfill_a_blocked_job_is_passed() -> None:
    gate = Gate()
    async with JobQueue(backfill=True, max_bypass=60.0) as queue:
        blocked, free = await behind(queue, gate)
        await queue.wait_for_job(free, timeout=10)
        gate.open_gate()
        await queue.wait_for_job(blocked, timeout=10)


async def test_with_backfill_a_job_is_not_passed_for_longer_than_agreed() -> None:
    gate = Gate()
    async with JobQueue(backfill=True, max_bypass=0.0) as queue:
        blocked, free = await behind(queue, gate)
        assert free.status is JobStatus.pending
        gate.open_gate()
        await queue.wait_for_job(blocked, timeout=10)
        await queue.wait_for_job(free, timeout=10)


@pytest.mark.parametrize("act", ["cancel", "hold"])
async def test_whoever_takes_the_blocked_job_away_lets_those_behind_start(act: str) -> None:
    gate = Gate()
    async with JobQueue() as queue:
        blocked, free = await behind(queue, gate)
        if act == "cancel":
            assert blocked.cancel()
        else:
            assert queue.hold(blocked)
        await queue.wait_for_job(free, timeout=10)
        assert free.status is JobStatus.completed
        queue.cancel_nowait(blocked)


class BrokenGate(Gate):
    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        raise OSError("no answer")


async def test_an_executor_that_cannot_answer_blocks_its_own_jobs_and_is_quoted() -> None:
    async with JobQueue() as queue:
        blocked, free = await behind(queue, BrokenGate())
        assert blocked.block_reason is not None
        assert "no answer" in blocked.block_reason
        blocked.cancel()
        await queue.wait_for_job(free, timeout=10)


class SlowStart(ThreadExecutor):
    """Lets others act between the launch and the moment when the execution is known."""

    name = "slow start"

    def __init__(self) -> None:
        super().__init__()
        self.launching = threading.Event()
        self.go_on = threading.Event()

    def open(self, context: ExecutorContext) -> None:
        """Needs nothing of the queue."""

    def launch(self, spec: JobSpec, reporter: Reporter) -> ThreadExecution:
        self.launching.set()
        assert self.go_on.wait(10)
        return super().launch(spec, reporter)


def until_asked(begun: threading.Event) -> None:
    begun.set()
    while True:
        current_job().checkpoint()


async def test_a_request_that_comes_before_the_work_is_known_is_passed_on() -> None:
    slow, begun = SlowStart(), threading.Event()
    async with JobQueue() as queue:
        job = queue.options(executor=slow).submit_nowait(until_asked, begun)

        def cancel() -> None:
            assert slow.launching.wait(10)
            job.cancel()
            slow.go_on.set()

        thread = threading.Thread(target=cancel)
        thread.start()
        await queue.wait_for_job(job, timeout=10)
        thread.join()
        assert job.status is JobStatus.cancelled
        assert begun.is_set()
