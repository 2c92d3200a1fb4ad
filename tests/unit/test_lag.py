"""A loop that does not answer is told once, with the cure, and again when it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from jobqueue_widget._core import events as ev
from jobqueue_widget._core.jobs import JobRecord, Outcome
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget._runtime.engine import Clock, Engine, Settings
from jobqueue_widget._runtime.publish import JobEvent


class Scene:
    """A started engine with a job that runs, on a clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Callable[..., object], tuple[object, ...]]] = []
        clock = Clock(wall=lambda: self.now, monotonic=lambda: self.now)
        self.engine = Engine(Settings(), clock, self.call_later)
        self.watch = self.engine.watch
        self.job = JobRecord(JobSpec("q-1", "function", len, "len"), 0, 1, 0.0)
        self.engine.do(ev.Submitted(self.job))
        self.engine.do(ev.Launched(self.job, "none", True))
        self.told: list[JobEvent] = []
        self.engine.publisher.subscribe(self.told.append)

    def call_later(
        self, seconds: float, callback: Callable[..., object], *args: object
    ) -> Callable[[], None]:
        self.calls.append((self.now + seconds, callback, args))
        return lambda: None

    def pass_time(self, seconds: float) -> None:
        """Let time pass and due timers fire, while the loop (whose code this is) gets no turn."""
        end = self.now + seconds
        while due := [call for call in self.calls if call[0] <= end]:
            first = min(due, key=lambda call: call[0])
            self.calls.remove(first)
            self.now = max(self.now, first[0])
            first[1](*first[2])
        self.now = end

    def end_the_job(self) -> None:
        self.engine.do(ev.Ended(self.job, 1, Outcome.of_value(1)))

    async def types_told(self) -> list[str]:
        for _ in range(10):  # turns of the loop, in which it answers and delivers
            await asyncio.sleep(0)
        return [event.type for event in self.told if event.type.startswith("loop")]


@asynccontextmanager
async def watched_job() -> AsyncIterator[Scene]:
    scene = Scene()
    scene.engine.life.start()
    scene.watch.begin()
    try:
        yield scene
    finally:
        if scene.job.completed_at is None:
            scene.end_the_job()
        await scene.engine.life.stop("cancel", 0.0)


async def test_a_loop_that_answers_is_not_complained_about() -> None:
    async with watched_job() as scene:
        for _ in range(5):
            scene.pass_time(1.0)
            assert await scene.types_told() == []
            assert scene.watch.lag == 0.0


async def test_a_blocked_loop_is_told_once_and_so_is_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watched_job() as scene:
        scene.pass_time(5.5)
        assert scene.watch.lag == 4.5, "since the ping that did not come back"
        assert await scene.types_told() == ["loop_blocked", "loop_unblocked"]
        blocked = next(event for event in scene.told if event.type == "loop_blocked")
        assert "await" in str(blocked.payload["cure"])
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "has not answered" in caplog.text
        assert scene.watch.lag == 0.0


async def test_a_second_blockade_is_told_again() -> None:
    async with watched_job() as scene:
        for _ in range(2):
            scene.pass_time(3.0)
            await scene.types_told()
        assert await scene.types_told() == ["loop_blocked", "loop_unblocked"] * 2


async def test_it_ticks_only_while_jobs_run() -> None:
    async with watched_job() as scene:
        scene.watch.begin()
        assert len(scene.calls) == 1, "one tick however many jobs begin"
        scene.end_the_job()
        scene.pass_time(10.0)
        assert scene.calls == []
        assert scene.watch.lag == 0.0
