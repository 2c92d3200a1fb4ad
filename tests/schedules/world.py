"""One schedule's world: a real queue on virtual time, its executors, the truth about its jobs."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
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

from . import keyed, promises, restart, taking
from .executor import Attempt, DicedExecutor, ObservedCoroutines, WorkersExecutor
from .loop import OtherThread, Outside, OutsideIo, VirtualLoop
from .restart import Journal
from .taking import Handed

EPOCH = 1_700_000_000.0
JOURNALED = 0.2  # of all schedules


@dataclass(eq=False)
class Tracked:
    """A job that was accepted, with what its submitter knows about it."""

    job: Job
    record: JobRecord
    after: tuple[Tracked, ...] = ()
    handed: Handed = field(default_factory=Handed)
    relies_on: tuple[Tracked, ...] = ()  # what its queue kept of these when it was submitted
    text: str | None = None  # of its key
    is_anyway: bool = False  # its user wanted it to run also if its key was known
    was_asked_for: bool = False  # its user was given it for its key
    before: Tracked | None = None  # the same job in the kernel that has died
    at_death: tuple[JobStatus, bool] = (JobStatus.pending, False)  # and if it was asked to stop
    cannot_run: bool = False  # what it needs went with its kernel
    attempts: list[Attempt] = field(default_factory=list)
    told_asked: bool = False  # a cancel() said True while it was running
    final: tuple[object, ...] | None = None
    next: Tracked | None = None  # another try, which has taken its place
    knows_parents: bool = True  # they have all come back
    ended_at_restart: bool = False  # it had ended before its queue was made, or ended with that

    @property
    def parents(self) -> tuple[Tracked, ...]:
        """The jobs that it waits for, each once."""
        return tuple({one.number: one for one in (*self.after, *self.handed.jobs)}.values())

    @property
    def value(self) -> object:
        """What its work really returned."""
        if not self.attempts and self.before is not None:
            return self.before.value
        outcome = self.attempts[-1].outcome
        assert outcome is not None
        return outcome.value

    @property
    def before_status(self) -> JobStatus | None:
        """How it was when its kernel died, if it is of an earlier one."""
        return None if self.before is None else self.before.at_death[0]

    @property
    def last_attempt(self) -> int:
        """The number of the last attempt that was launched, also in an earlier kernel."""
        if self.attempts:
            return self.attempts[-1].number
        return 0 if self.before is None else self.before.last_attempt

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

    def __init__(self, seed: str, thread: OtherThread, before: World | None = None) -> None:
        self.seed = seed
        self.dice = dice = random.Random(seed)
        self.outside = Outside(thread)
        if before is not None:
            self.outside.now = before.outside.now + dice.choice((0.0, 5.0, 100.0))
        self.io = OutsideIo(self.outside, dice)
        self.wall_offset = 0.0
        self.over = False  # whatever resists gives in
        self.loop: VirtualLoop
        self.complaints: list[str] = [] if before is None else list(before.complaints)
        self.trace: list[str] = [] if before is None else list(before.trace)
        self.turns_left: int | None = None  # of the loop, until the kernel dies, or the loop
        self.ends_with_a_reading = False  # the loop, soon after one has begun
        self.journal: Journal | None = None
        if before is not None and before.journal is not None:
            self.journal = before.journal.copy()
        elif dice.random() < JOURNALED:
            self.journal = Journal()
        self.jobs: dict[int, Tracked] = {}
        self.groups: list[JobGroup] = []
        self.forgotten: set[int] = set()  # numbers of those that a user has had deleted
        self.not_back: Counter[str] = Counter()  # how those had ended that did not come back
        self.by_text: dict[str, list[Tracked]] = {}  # those with keys, by the text of these
        self.calls: list[keyed.Call] = []  # submits with keys that are under way
        self.keys_asked: set[str] = set()
        self.read_aside: set[str] = set()  # ids of jobs whose results are, or were, read first
        self.alive: list[Attempt] = []
        self.events: dict[int, list[str]] = {}  # by number; 0: of the whole queue
        self.stops = 0
        self.waits: list[asyncio.Task[None]] = []
        self.max_running = dice.choice((1, 1, 2, 4))
        self.executors = [
            dice.choice((DicedExecutor, WorkersExecutor))(self, dice, number)
            for number in range(dice.choice((1, 1, 2, 3)))
        ]
        more: dict[str, Any] = {}
        if self.journal is not None:
            more["journal"], more["executor"] = self.journal, self.executors[0]
            more["on_restore"] = dice.choice(("pause", "pause", "run"))
        self.queue = WorldQueue(
            self,
            **more,
            max_running=self.max_running,
            cancel_timeout=dice.choice((0.0, 0.5, 3.0)),
            max_history=dice.choice((0, 2, 100)),
            keep_ended=dice.choice((0, 3, 1000)),
            backfill=dice.random() < 0.3,
            max_bypass=dice.choice((0.0, 1.0, 100.0)),
        )
        self.engine: Engine
        self.coroutines = ObservedCoroutines(self)
        self._revision_seen = -1
        if before is not None:
            restart.bring_back(self, before)
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
        number = engine.ids.number_of(job_id, engine.earlier_runs | {engine.run_id})
        assert number is not None, job_id
        return number

    # -- jobs --------------------------------------------------------------------------------

    @property
    def accepted(self) -> int:
        """How many jobs there were, with those of earlier kernels that did not come back."""
        return len(self.jobs) + self.not_back.total()

    def came_back(self, old: Tracked, job: Job) -> Tracked:
        """Go on with a job of an earlier kernel."""
        tracked = Tracked(job, job._record, text=old.text, is_anyway=old.is_anyway, before=old)
        tracked.ended_at_restart = job.done
        self.note(f"came back {tracked.number} {job.status}")
        self._enter(tracked)
        return tracked

    def _enter(self, tracked: Tracked) -> None:
        self.jobs[tracked.number] = tracked
        if tracked.text is not None:
            self.by_text.setdefault(tracked.text, []).append(tracked)

    def track(
        self,
        job: Job,
        after: tuple[Tracked, ...] = (),
        handed: Handed | None = None,
        text: str | None = None,
        *,
        is_anyway: bool = False,
    ) -> Tracked:
        """Remember a job that was accepted."""
        tracked = Tracked(job, job._record, after, handed or Handed())
        tracked.text, tracked.is_anyway = text, is_anyway
        tracked.was_asked_for = text is not None
        self._enter(tracked)
        taking.note_submit(self, tracked)
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
        restart.check_launch(self, attempt)
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
        if event.type == "ended" and event.job_id is not None:
            restart.check_told(self, event.job_id)

    def check_moment(self) -> None:
        """Does anything contradict anything?"""
        if self.engine.state.revision != self._revision_seen:
            self._revision_seen = self.engine.state.revision
            promises.check_moment(self)

    def turn_is_over(self) -> None:
        """After every turn of the loop."""
        self.check_moment()
        promises.check_turn(self)
        if self.turns_left is not None:
            self.turns_left -= 1
            if self.turns_left <= 0:
                self.turns_left = None
                raise restart.Killed

    def prepared(self, spec: JobSpec) -> None:
        """A job is being made; if it has a key, others may come between."""
        if not self.calls or spec.id in self.engine.state.jobs:  # it is filled in, and starts
            return
        self.calls[-1].preparing(spec)
        if len(self.calls) == 1 and self.dice.random() < 0.2:
            keyed.disturb(self, self.calls[0])
        for call in self.calls:
            call.look()

    # -- loops -------------------------------------------------------------------------------

    def new_loop(self) -> VirtualLoop:
        """The next event loop; time goes on."""
        self.loop = VirtualLoop(self.outside, self.dice, self.turn_is_over)
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
            force = self.dice.random() < 0.3
            asked = queue.cancel_nowait(tracked.job, timeout=0.5, force=force)
            tracked.told_asked |= asked and running
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
