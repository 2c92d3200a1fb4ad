"""Executors whose executions end, resist, fail and lie as the dice say, within the contract."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from jobqueue_widget._core.jobs import BlockReason, JobFailure, NotKept, Outcome, OutcomeKind
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget.executors.coroutine import CoroutineExecution, CoroutineExecutor
from jobqueue_widget.protocols import ExecutorContext, Reporter

if TYPE_CHECKING:
    from .world import World

Gate = Literal["open", "passable", "shut", "broken"]


class Broken(Exception):
    """What a bad executor, subscriber or job raises."""


class VeryBroken(BaseException):
    """The same, past every `except Exception`."""


@dataclass
class Attempt:
    """What really happened to one attempt: the truth that the queue's word is compared with."""

    spec: JobSpec
    number: int
    launched_at: float
    can_kill: bool
    asked_at: float | None = None
    killed_at: float | None = None
    gone_at: float | None = None
    outcome: Outcome | None = None

    @property
    def alive(self) -> bool:
        """True until the work is really gone."""
        return self.gone_at is None


class Plays(Protocol):
    """An executor of the play: at the end everything that only time could end does end."""

    def give_up(self) -> None:
        """End all work soon and refuse nothing any more."""


class DicedExecution:
    """One attempt with a fate."""

    def __init__(self, executor: DicedExecutor, attempt: Attempt, reporter: Reporter) -> None:
        self._executor = executor
        self._attempt = attempt
        self._reporter = reporter
        self._dice = dice = executor.dice
        self._listens = dice.random() < 0.6
        self._told = False
        self.can_be_killed = executor.can_kill
        if dice.random() < 0.2:
            reporter.phase("starting")
            self._later(dice.choice((0.0, 0.5)), reporter.phase, None)
        if dice.random() < 0.3:
            report = dice.choice((0.5, None, 7, float("nan"), "odd", 10**400))
            self._later(dice.choice((0.0, 0.3, 2.0)), reporter.progress, report, "half")
        moment = dice.choice((None, 0.0, 0.0, 0.1, 1.0, 1.0, 2.5, 6.0))
        if dice.random() < 0.1:
            self.end(self._outcome())
        elif moment is not None or not (self._listens or self.can_be_killed):
            self._later(6.0 if moment is None else moment, self.end, self._outcome())

    def _outcome(self, kinds: tuple[OutcomeKind, ...] = ("value", "value", "error")) -> Outcome:
        kind = self._dice.choice(kinds)
        if kind == "value" and self._dice.random() < 0.05:
            return Outcome.of_value(NotKept(type="frame", reason="as the dice fell"))
        if kind == "value":
            value = (self._attempt.spec.id, self._attempt.number)
            noticed = self._attempt.asked_at is not None and self._dice.random() < 0.5
            return Outcome.of_value(value, noticed=noticed)
        if kind == "error":
            return Outcome.of_error(JobFailure("Broken", "as the dice fell"))
        return Outcome.of_stop()

    def _later(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        self._executor.later(seconds, callback, *args)

    def end(self, outcome: Outcome) -> None:
        """The work is gone; tell so, now and then late, twice or with an afterthought."""
        if not self._attempt.alive:
            return
        self._executor.gone(self._attempt, outcome)
        self._tell(outcome)
        if self._dice.random() < 0.15:
            self._later(self._dice.choice((0.0, 1.5)), self._reporter.ended, Outcome.of_value(0))
        if self._dice.random() < 0.15:
            self._reporter.progress(0.9, "too late")
        if self._dice.random() < 0.1:
            self._reporter.phase("too late")
            self._reporter.kill_failed("too late")

    def _tell(self, outcome: Outcome) -> None:
        if self._told:
            return
        self._told = True
        self._reporter.ended(outcome)

    def ask_to_stop(self) -> bool:
        """Listen, or not, or break."""
        world, attempt = self._executor.world, self._attempt
        if attempt.asked_at is None:
            attempt.asked_at = world.outside.now
        if not attempt.alive:
            return False
        if self._dice.random() < 0.1:
            raise Broken("asking")
        if self._listens:
            delay = self._dice.choice((0.0, 0.0, 0.2, 1.0))
            kinds: tuple[OutcomeKind, ...] = ("cancelled", "cancelled", "error", "value")
            if delay == 0.0 and self._dice.random() < 0.3:
                self.end(self._outcome(kinds))
            else:
                self._later(delay, self.end, self._outcome(kinds))
        return self._listens

    def kill(self) -> None:
        """End, at once or slowly; or say that it failed, or raise, and end much later."""
        world, attempt = self._executor.world, self._attempt
        if not self.can_be_killed:
            world.complain("kill of what cannot be killed")
        if attempt.killed_at is None:
            attempt.killed_at = world.outside.now
        if not attempt.alive:
            return
        fate = self._dice.random()
        if fate < 0.6:
            delay = self._dice.choice((0.0, 0.3, 2.0))
            self._later(delay, self.end, self._outcome(("cancelled", "error", "value")))
        elif fate < 0.7:
            self.end(self._outcome(("cancelled",)))
        else:
            self._later(self._dice.choice((3.0, 8.0)), self.end, self._outcome())
            if fate < 0.85:
                raise Broken("killing")
            self._later(self._dice.choice((0.0, 0.5)), self._reporter.kill_failed, "too strong")

    def give_up(self) -> None:
        """Nothing lasts for ever."""
        self._later(0.1, self.end, self._outcome())


class DicedExecutor:
    """A place for plain functions; `later` is where its reports come from."""

    capacity: int | None = None

    def __init__(self, world: World, dice: random.Random, number: int) -> None:
        self.world = world
        self.dice = dice
        self.name = f"diced-{number}"
        self.can_kill = dice.random() < 0.7
        self.launches_anywhere = False
        self._gate: Gate = "open"
        self._moody = dice.random() < 0.3
        self._wake: Callable[[], None] | None = None
        self._running: list[DicedExecution] = []
        self._gave_up = False

    def later(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        """On the loop, where it is called by a hand of its own or by the other thread."""
        loop, world = self.world.loop, self.world
        if loop.is_closed():
            return
        if self.dice.random() < 0.5:
            args = (callback, *args)
            callback = world.outside.thread.run
        if world.outside.thread.is_here:
            loop.call_soon_threadsafe(loop.call_later, seconds, callback, *args)
        else:
            loop.call_later(seconds, callback, *args)

    def gone(self, attempt: Attempt, outcome: Outcome) -> None:
        """Write down the truth."""
        self.world.gone(attempt, outcome)

    # -- protocols.Executor --------------------------------------------------------------------

    def prepare(self, spec: JobSpec) -> object:
        """Now and then it cannot: the submit fails and nothing is enqueued."""
        if self.dice.random() < 0.03:
            raise Broken("prepare")
        self.world.prepared(spec)
        return None

    def open(self, context: ExecutorContext) -> None:
        """Now and then it cannot."""
        if not self._gave_up and self.dice.random() < 0.05:
            raise Broken("open")

    def launch(self, spec: JobSpec, reporter: Reporter) -> DicedExecution:
        """Start, or break; either way the world looks whether this was allowed."""
        attempt = Attempt(spec, reporter.attempt, self.world.outside.now, self.can_kill)
        self.world.launched(attempt)
        if self.dice.random() < 0.05:
            self.world.interfere(spec)
        fate = self.dice.random()
        if fate < 0.05:
            self.gone(attempt, Outcome.of_error(JobFailure("Broken", "launch")))
            raise Broken("launch") if fate < 0.04 else VeryBroken("launch")
        execution = DicedExecution(self, attempt, reporter)
        self._running.append(execution)
        if self._gave_up:
            execution.give_up()
        elif self._moody and self.dice.random() < 0.5:
            self._shut()
        return execution

    def _shut(self) -> None:
        self._gate = self.dice.choice(("passable", "shut", "shut", "broken"))
        self.world.outside.call_later(self.dice.choice((0.5, 3.0)), self._open_gate)

    def _open_gate(self) -> None:
        self._gate = "open"
        if self._wake is not None:
            self._wake()

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """Others act just then: the queue has chosen a job and has not launched it."""
        if self.dice.random() < 0.1:
            self.world.interfere()
        return self.reason_for(spec)

    def reason_for(self, spec: JobSpec) -> BlockReason | None:
        """The gate stands in the way of every other job."""
        if self._gate == "open" or self.world.number_of(spec.id) % 3 == 0:
            return None
        if self._gate == "broken":
            raise Broken("blocked_by")
        return BlockReason("the gate is shut", may_be_passed=self._gate == "passable")

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """One subscriber at a time: the queue that opened it."""
        self._wake = wake

        def unsubscribe() -> None:
            self._wake = None

        return unsubscribe

    async def close(self) -> None:
        """Takes a while; now and then it breaks."""
        await self.world.dawdle()
        if self.dice.random() < 0.1:
            raise Broken("close")

    def end_one(self) -> None:
        """Some work of ours ends now."""
        if self._running:
            self.dice.choice(self._running).end(Outcome.of_value("ended at a bad moment"))

    def give_up(self) -> None:
        """End all work soon and refuse nothing any more."""
        self._gave_up = True
        self._moody = False
        self._open_gate()
        for execution in self._running:
            execution.give_up()


class WorkersExecutor(DicedExecutor):
    """Work outside the loop's thread that would outlive the loop, as worker processes would."""

    def __init__(self, world: World, dice: random.Random, number: int) -> None:
        super().__init__(world, dice, number)
        self.can_kill = True
        self.launches_anywhere = dice.random() < 0.5

    def later(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        """On the other thread."""
        self.world.outside.call_later(seconds, callback, *args)

    def kill_all_now(self) -> bool:
        """The loop is lost: all work ends now."""
        for execution in self._running:
            execution.end(Outcome.of_error(JobFailure("WorkerDied", "killed")))
        return True

    def after_fork(self) -> None:
        """Nobody forks here."""


class ObservedCoroutines(CoroutineExecutor):
    """The real executor of coroutine functions, with the world looking on."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def launch(self, spec: JobSpec, reporter: Reporter) -> CoroutineExecution:
        """As the real one."""
        attempt = Attempt(spec, reporter.attempt, self._world.outside.now, False)
        self._world.launched(attempt)
        return super().launch(spec, _Observer(self._world, attempt, reporter))

    def give_up(self) -> None:
        """The bodies look at the world themselves."""


class _Observer:
    """A reporter that writes down the truth before it passes it on."""

    def __init__(self, world: World, attempt: Attempt, reporter: Reporter) -> None:
        self._world = world
        self._attempt = attempt
        self.job_id, self.attempt = reporter.job_id, reporter.attempt
        self.priority, self.devices = reporter.priority, reporter.devices
        self.forwards = reporter.forwards
        self.phase, self.progress, self.log = reporter.phase, reporter.progress, reporter.log
        self.metrics = reporter.metrics
        self.kill_failed, self.output = reporter.kill_failed, reporter.output
        self._ended = reporter.ended

    def ended(self, outcome: Outcome) -> None:
        """The task is over."""
        self._world.gone(self._attempt, outcome)
        self._ended(outcome)
