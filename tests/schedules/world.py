"""One schedule's world: a real queue on virtual time, its executors, the truth about its jobs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jobqueue_widget import JobGroup
from jobqueue_widget._core.jobs import JobRecord, JobStatus, Outcome
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget._runtime.engine import Clock, Engine, Settings
from jobqueue_widget._runtime.publish import JobEvent
from jobqueue_widget.job import Job
from jobqueue_widget.queue import JobQueue

from . import promises
from .executor import Attempt, DicedExecutor, ObservedCoroutines, WorkersExecutor
from .loop import OtherThread, Outside, OutsideIo, VirtualLoop

EPOCH = 1_700_000_000.0


@dataclass(eq=False)
class Tracked:
    """A job that was accepted, with what its submitter knows about it."""

    job: Job
    record: JobRecord
    parents: tuple[Tracked, ...] = ()
    attempts: list[Attempt] = field(default_factory=list)
    told_asked: bool = False  # a cancel() said True while it was running
    final: tuple[object, ...] | None = None
    next: Tracked | None = None  # another try, which has taken its place

    @property
    def latest(self) -> Tracked:
        """The last try of what this one was to do."""
        return self if self.next is None else self.next.latest

    @property
    def number(self) -> int:
        """The submission number."""
        return self.record.number


class WorldQueue(JobQueue):
    """The queue under test, on the world's clock."""

    def __init__(self, world: World, **arguments: Any) -> None:
        self._world = world
        super().__init__(**arguments)

    def _make_engine(self, settings: Settings) -> Engine:
        return self._world.make_engine(settings)


class World:
    """Everything that one seed decides."""

    def __init__(self, seed: str, thread: OtherThread) -> None:
        self.seed = seed
        self.dice = dice = random.Random(seed)
        self.outside = Outside(thread)
        self.io = OutsideIo(self.outside, dice)
        self.wall_offset = 0.0
        self.over = False  # whatever resists gives in
        self.loop: VirtualLoop
        self.complaints: list[str] = []
        self.trace: list[str] = []
        self.jobs: dict[int, Tracked] = {}
        self.groups: list[JobGroup] = []
        self.alive: list[Attempt] = []
        self.events: dict[int, list[str]] = {}  # by number; 0: of the whole queue
        self.stops = 0
        self.waits: list[asyncio.Task[None]] = []
        self.max_running = dice.choice((1, 1, 2, 4))
        self.queue = WorldQueue(
            self,
            max_running=self.max_running,
            cancel_timeout=dice.choice((0.0, 0.5, 3.0)),
            max_history=dice.choice((0, 2, 100)),
            keep_ended=dice.choice((0, 3, 1000)),
            backfill=dice.random() < 0.3,
            max_bypass=dice.choice((0.0, 1.0, 100.0)),
        )
        self.engine: Engine
        self.executors = [
            dice.choice((DicedExecutor, WorkersExecutor))(self, dice, number)
            for number in range(dice.choice((1, 1, 2, 3)))
        ]
        self.coroutines = ObservedCoroutines(self)
        self._revision_seen = -1
        self.queue.subscribe(self._witness)

    def make_engine(self, settings: Settings) -> Engine:
        """The real engine; only its clock and its I/O thread are the world's."""
        self.engine = engine = Engine(
            settings, Clock(self.wall, self.outside.monotonic), self.io.call_later
        )
        engine.io = self.io  # type: ignore[assignment]
        return engine

    def wall(self) -> float:
        """A clock that jumps whenever the dice want; nothing may depend on it."""
        return EPOCH + self.wall_offset + self.outside.now

    # -- notes -------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """A line of the trace; equal seeds give equal traces."""
        self.trace.append(f"{self.outside.now:.3f} {text}")

    def complain(self, text: str) -> None:
        """A promise was broken."""
        self.note(f"BROKEN: {text}")
        self.complaints.append(text)

    def number_of(self, job_id: str) -> int:
        """The submission number, the same in each run of the same seed; ids are not."""
        engine = self.engine
        number = engine.ids.number_of(job_id, frozenset({engine.run_id}))
        assert number is not None, job_id
        return number

    # -- jobs --------------------------------------------------------------------------------

    def track(self, job: Job, parents: tuple[Tracked, ...] = ()) -> Tracked:
        """Remember a job that was accepted."""
        tracked = Tracked(job, job._record, parents)
        self.jobs[tracked.number] = tracked
        self.note(f"submitted {tracked.number} priority {job.priority}")
        return tracked

    def launched(self, attempt: Attempt) -> None:
        """An executor was told to start this; was it allowed?"""
        number = self.number_of(attempt.spec.id)
        self.note(f"launched {number}.{attempt.number}")
        tracked = self.jobs.get(number)
        if tracked is None:
            self.complain(f"job {number} was launched and never accepted")
            return
        promises.check_launch(self, tracked, attempt)
        tracked.attempts.append(attempt)
        self.alive.append(attempt)

    def gone(self, attempt: Attempt, outcome: Outcome) -> None:
        """The work of this attempt is really gone, whatever the queue is told."""
        self.check_moment()
        self.note(f"gone {self.number_of(attempt.spec.id)}.{attempt.number} {outcome.kind}")
        if attempt.alive:
            attempt.gone_at = self.outside.now
            attempt.outcome = outcome
            self.alive.remove(attempt)

    def _witness(self, event: JobEvent) -> None:
        number = 0 if event.job_id is None else self.number_of(event.job_id)
        self.note(f"event {event.type} {number}")
        self.events.setdefault(number, []).append(event.type)

    def check_moment(self) -> None:
        """After every turn of the loop: does anything contradict anything?"""
        if self.engine.state.revision != self._revision_seen:
            self._revision_seen = self.engine.state.revision
            promises.check_moment(self)

    # -- loops -------------------------------------------------------------------------------

    def new_loop(self) -> VirtualLoop:
        """The next event loop; time goes on."""
        self.loop = VirtualLoop(self.outside, self.dice, self.check_moment)
        return self.loop

    async def dawdle(self) -> None:
        """Nothing, some turns, or some time."""
        fate = self.dice.random()
        if fate < 0.4:
            return
        if fate < 0.7:
            for _ in range(self.dice.randint(1, 3)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(self.dice.choice((0.001, 0.1, 0.5, 2.0)))

    def from_somewhere(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call it here, or from the other thread."""
        if self.dice.random() < 0.3:
            return self.outside.thread.run(lambda: function(*args, **options))
        return function(*args, **options)

    def interfere(self, spec: JobSpec | None = None) -> None:
        """Another thread acts in the middle of a dispatch; with `spec`, on the job launched now."""
        if self.over:
            return
        if spec is not None:
            tracked = self.jobs[self.number_of(spec.id)]
        else:
            tracked = self.dice.choice(list(self.jobs.values()))
        self.note(f"somebody interferes with {tracked.number}")
        self.outside.thread.run(self._interfere, tracked, spec is not None)

    def _interfere(self, tracked: Tracked, is_launching: bool) -> None:
        queue, fate = self.queue, self.dice.random()
        if is_launching or fate < 0.3:
            running = tracked.record.status is JobStatus.running
            tracked.told_asked |= queue.cancel_nowait(tracked.job, timeout=0.5) and running
        elif fate < 0.5:
            self.dice.choice(self.executors).end_one()
        elif fate < 0.7:
            queue.move(tracked.job, to="top")
        elif fate < 0.9:
            queue.hold(tracked.job, 1.0)
        else:
            queue.pause("in the middle")

    def give_up(self) -> None:
        """Everything that resists ends soon."""
        self.over = True
        for executor in self.executors:
            executor.give_up()

    def lose_what_hangs_on_the_loop(self) -> None:
        """The loop was closed: what ran on it is gone, though nobody was told."""
        names = {executor.name for executor in self.executors if type(executor) is WorkersExecutor}
        for attempt in list(self.alive):
            if getattr(attempt.spec.executor, "name", "") not in names:
                self.gone(attempt, Outcome.of_stop())
