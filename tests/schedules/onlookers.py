"""What users do beside changing the queue: wait, read events, subscribe, look; answers judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from jobqueue_widget import Job, JobGroup
from jobqueue_widget._core.jobs import JobStatus, NotKept
from jobqueue_widget._runtime.publish import JobEvent
from jobqueue_widget.errors import (
    JobCancelledError,
    JobEvictedError,
    JobFailedError,
    JobNotFinishedError,
    QueueIdleError,
    QueueStoppedError,
    ResultNotKeptError,
    WaitTimeoutError,
)

from .executor import Broken, VeryBroken

if TYPE_CHECKING:
    from .world import Tracked, World

SAID_BY_ROWS = {
    "title": "title",
    "retry_of": "retry_of",
    "note": "note",
    "finished_before_cancel": "finished_before_cancel",
    "status": "status",
    "priority": "priority",
    "attempt": "attempt",
    "created_at": "created_at",
    "started_at": "started_at",
    "completed_at": "completed_at",
    "progress": "progress",
    "message": "status_message",
    "phase": "phase",
    "where": "where",
    "cancel_phase": "cancel_phase",
    "held": "held",
    "block_reason": "block_reason",
    "error": "error",
    "cancel_reason": "cancel_reason",
}  # field of a row -> property of the job's handle


class Onlooker:
    """One of several who share the queue and change nothing in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = world.dice
        self.queue = world.queue
        self.waiting: list[asyncio.Task[None]] = []

    # -- choosing ----------------------------------------------------------------------------

    def some_job(self) -> Tracked | None:
        """Any job, the newer the likelier."""
        jobs = list(self.world.jobs.values())
        return self.dice.choice(jobs[-8:]) if jobs else None

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """From this thread or another."""
        return self.world.from_somewhere(function, *args, **options)

    def as_key(self, tracked: Tracked) -> Any:
        """The handle, or the id (None if that is no longer kept)."""
        if self.dice.random() < 0.5:
            return tracked.job
        return tracked.job.id if tracked.job.id in self.world.engine.state.jobs else None

    def expect(self, answer: object, right: object, what: str) -> None:
        """Judge an answer."""
        if answer != right:
            self.world.complain(f"{what}: {answer}, and right was {right}")

    # -- waiting -----------------------------------------------------------------------------

    async def wait_for_job(self) -> None:
        """With or without an end."""
        if (tracked := self.some_job()) is not None:
            timeout = self.dice.choice((None, None, 0.0, 0.5, 3.0))
            self._in_background(self._wait(tracked, timeout))

    async def _wait(self, tracked: Tracked, timeout: float | None) -> None:
        world, begun = self.world, self.world.outside.now
        try:
            if timeout is None and self.dice.random() < 0.5:
                await self._await_result(tracked)
            else:
                await self.queue.wait_for_job(tracked.job, timeout)
        except WaitTimeoutError:
            if timeout is None or world.outside.now < begun + timeout - 1e-6:
                world.complain(f"a wait of {timeout} s gave up at once")
        except QueueStoppedError:
            if not world.stops:
                world.complain("told that the queue was stopped, and nobody stopped it")
        else:
            if not tracked.record.status.ended:
                world.complain(f"a wait for {tracked.number} ended before the job")

    async def _await_result(self, tracked: Tracked) -> None:
        record = tracked.record
        try:
            result = await tracked.job
        except JobFailedError:
            self.expect(record.status, JobStatus.failed, "await raised JobFailedError")
        except JobCancelledError:
            self.expect(record.status, JobStatus.cancelled, "await raised JobCancelledError")
        except ResultNotKeptError:
            self.expect(type(tracked.job.result), NotKept, "await raised ResultNotKeptError")
        else:
            self.expect(record.status, JobStatus.completed, "await returned")
            self.expect(result is tracked.job.result, True, "await returned the result")

    async def wait_by_id(self) -> None:
        """An id may be evicted."""
        if (tracked := self.some_job()) is not None:
            kept = tracked.job.id in self.world.engine.state.jobs
            try:
                await self.queue.wait_for_job(tracked.job.id, 0.0)
            except (WaitTimeoutError, QueueStoppedError):
                return
            except JobEvictedError:
                self.expect(kept, False, "JobEvictedError")

    async def join(self) -> None:
        """Until nothing is left, or nothing can happen."""
        self._in_background(self._join(self.dice.choice((None, 1.0))))

    async def _join(self, timeout: float | None) -> None:
        begun = self.world.outside.now
        try:
            await self.queue.join(timeout)
        except WaitTimeoutError:
            if timeout is None or self.world.outside.now < begun + timeout - 1e-6:
                self.world.complain(f"a join of {timeout} s gave up at once")
        except (QueueIdleError, QueueStoppedError):
            return

    async def wait_for_group(self) -> None:
        """For its results, or for one job after the other."""
        if self.world.groups:
            group = self.dice.choice(self.world.groups)
            one_by_one = self.dice.random() < 0.5
            self._in_background(self._follow(group) if one_by_one else self._await_group(group))

    async def _await_group(self, group: JobGroup) -> None:
        try:
            results = await group
        except (JobFailedError, JobCancelledError, ResultNotKeptError):
            self.expect(group.done, True, "a group raised the error of a job, and is done")
        except JobNotFinishedError:
            self.expect(group.done, False, "somebody has retried one meanwhile")
        except (QueueIdleError, QueueStoppedError):
            return
        else:
            self.expect(len(results), len(group), "the results of a group")

    async def _follow(self, group: JobGroup) -> None:
        seen: list[Job] = []
        different = len({job.id for job in group})  # one may stand for several items
        try:
            async for job in group.as_completed():
                self.expect(job.done, True, "what came as completed has ended")
                seen.append(job)
                await self.world.dawdle()
        except (QueueIdleError, QueueStoppedError):
            return
        self.expect(len(seen), different, "all of a group came as completed")

    async def stop_waiting(self) -> None:
        """Cancel one of my own waits; the job does not mind."""
        self.waiting = [task for task in self.waiting if not task.done()]
        if self.waiting:
            self.dice.choice(self.waiting).cancel()

    def _in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self.world.loop.create_task(coroutine)
        self.waiting.append(task)
        self.world.waits.append(task)

    # -- looking -----------------------------------------------------------------------------

    async def read_events(self) -> None:
        """A stream of some job, or of all, read slowly or to its end."""
        tracked = self.some_job() if self.dice.random() < 0.5 else None
        self._in_background(self._read(tracked, self.dice.randint(1, 20)))

    async def _read(self, tracked: Tracked | None, count: int) -> None:
        ended: set[str | None] = set()
        try:
            stream = self.queue.events(None if tracked is None else tracked.job)
        except JobEvictedError:
            return
        reading = aiter(stream)
        try:
            async with asyncio.timeout(self.dice.choice((1.0, 9.0))):
                async for event in reading:
                    if event.job_id is not None and event.job_id in ended:
                        self.world.complain(f"{event.type} of a job that has ended")
                    if event.type == "ended":
                        ended.add(event.job_id)
                    await self.world.dawdle()
                    if (count := count - 1) <= 0:
                        break
        except TimeoutError:
            return
        finally:
            if not self.world.loop.is_closed():
                await reading.aclose()  # type: ignore[attr-defined]

    async def subscribe(self) -> None:
        """A bad subscriber, or one that meddles."""
        dice, world = self.dice, self.world
        calls = [0]

        def bad(event: JobEvent) -> None:
            calls[0] += 1
            if calls[0] > 3:
                world.complain("a subscriber that failed three times is still called")
            raise dice.choice((Broken, VeryBroken))("subscriber")

        def meddling(event: JobEvent) -> None:
            if event.job_id is None or dice.random() < 0.8:
                return
            tracked = world.jobs.get(world.number_of(event.job_id))
            if tracked is not None:
                running = tracked.record.status is JobStatus.running
                if self.queue.cancel_nowait(tracked.job, reason="meddling") and running:
                    tracked.told_asked = True

        unsubscribe = self.queue.subscribe(dice.choice((bad, meddling)))
        if dice.random() < 0.3:
            unsubscribe()

    async def look(self) -> None:
        """Whatever is read is consistent."""
        state = self.call(self.queue.get_state)
        stats = state["stats"]
        ended = sum(stats[f"total_{s}"] for s in ("completed", "failed", "cancelled"))
        total = ended + stats["total_pending"] + stats["total_running"]
        self.expect(total, stats["total_accepted"], "the sum of what get_state counts")
        rows = self.queue.window("pending", 1, 3)
        self.expect([row["position"] for row in rows.rows], list(range(1, 1 + len(rows.rows))), "")
        for which in ("running", "pending", "history"):
            self._judge_rows(self.queue.window(which, 0, 5).rows)
        self.queue.find("do_nothing")
        repr(self.queue)

    def _judge_rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """What a row says of a job is what its handle says, whatever has become of it."""
        for row in rows:
            job = self.world.jobs[self.world.number_of(row["id"])].job
            for said, name in SAID_BY_ROWS.items():
                self.expect(row[said], getattr(job, name), f"the {said} in a row of {job!r}")
