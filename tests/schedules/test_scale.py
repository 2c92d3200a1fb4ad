"""A million jobs over a thousand lanes on a virtual clock: cost, memory, order."""

from __future__ import annotations

import heapq
import random
import resource
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import pytest

from jobqueue_widget import JobQueue
from jobqueue_widget._core.jobs import BlockReason, Outcome
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget._runtime.engine import Clock, Engine
from jobqueue_widget._runtime.settings import Settings
from jobqueue_widget.protocols import Execution, ExecutorContext, Reporter
from jobqueue_widget.testing import inspect

LANES = 1_000


class Clockwork:
    """An executor whose jobs take virtual seconds."""

    name = "clockwork"
    can_kill = True
    launches_anywhere = True
    capacity: int | None = LANES

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(f"{seed} scale")
        self.now = 0.0
        self.started: list[int] = []
        self.running: list[tuple[float, int, Reporter]] = []

    def prepare(self, spec: JobSpec) -> object:
        return None

    def open(self, context: ExecutorContext) -> None:
        """Nothing to bind."""

    def launch(self, spec: JobSpec, reporter: Reporter) -> Execution:
        number = cast("Any", reporter).job.number
        self.started.append(number)
        end = self.now + self._dice.expovariate(1.0)
        heapq.heappush(self.running, (end, number, reporter))
        return self  # type: ignore[return-value]

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        return None

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    async def close(self) -> None:
        """Nothing is left."""

    def end_the_next(self) -> None:
        self.now, _, reporter = heapq.heappop(self.running)
        reporter.ended(Outcome.of_value(None))


class VirtualQueue(JobQueue):
    clockwork: Clockwork

    def _make_engine(self, settings: Settings) -> Engine:
        return Engine(settings, Clock(lambda: self.clockwork.now, lambda: self.clockwork.now))


def nothing() -> None:
    """Never called."""


@pytest.mark.parametrize(
    "jobs", [20_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
async def test_a_thousand_lanes_stay_full_and_jobs_start_in_order(
    jobs: int, seed: int, note: Callable[[str], None]
) -> None:
    clockwork = VirtualQueue.clockwork = Clockwork(seed)
    dice = random.Random(f"{seed} priorities")
    queue: Any = VirtualQueue(executor=clockwork, keep_ended=1_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    order = []
    for number in range(1, jobs + 1):
        priority = dice.randrange(5)
        order.append((-priority, number))
        with pytest.warns() if number == 1 else nullcontext():
            queue.submit_nowait(nothing, priority=priority)
    submitted = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    async with queue:
        inside = inspect(queue)
        while inside.startable or clockwork.running:
            if len(clockwork.running) < LANES and inside.startable:
                inside.engine.dispatcher.run()
                continue
            clockwork.end_the_next()
        done = time.perf_counter()
        assert clockwork.started == [number for _, number in sorted(order)]
        assert queue.get_state()["stats"]["total_completed"] == jobs
        assert inside.faults.bugs == 0
    note(
        f"{jobs} jobs over {LANES} lanes: {1e6 * (submitted - begin) / jobs:.0f} µs to submit, "
        f"{1e6 * (done - submitted) / jobs:.0f} µs from one end to the next start, "
        f"{1024 * memory / jobs:.0f} B a job pending, busy for "
        f"{clockwork.now:.0f} s of which {jobs / LANES:.0f} are work"
    )
