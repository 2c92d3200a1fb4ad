"""The core beside a plain model of it: whatever is done to both, they tell the same."""

from __future__ import annotations

from collections import Counter
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobqueue_widget._core import effects as fx
from jobqueue_widget._core import events as ev
from jobqueue_widget._core import retrying
from jobqueue_widget._core.jobs import BlockReason, JobFailure, JobRecord, NotKept, Outcome
from jobqueue_widget._core.spec import JobKey, JobOptions, JobSpec, TargetKind
from jobqueue_widget._core.state import Pause, QueueState
from jobqueue_widget._core.sweeps.group import Group
from jobqueue_widget._core.sweeps.groups import jobs_of, latest
from jobqueue_widget._core.transitions import apply
from jobqueue_widget._runtime.sweeps.keyed import accept_prepared, end_review
from jobqueue_widget._threads.locks import Lock

from .model import PlainJob, PlainQueue, chained
from .taking import CHAINED

MAX_HISTORY = 3
LISTEN = 3.0  # seconds between ask and force, where the limit of a job is the cause
ERRORS = (
    JobFailure("ValueError", "no"),
    JobFailure("WorkerDied", "worker ended by SIGKILL", signal_name="SIGKILL"),
    JobFailure("RuntimeError", "CUDA out of memory"),
)
picks = st.integers(0, 1_000)
looks = st.sampled_from([True, True, True, False])  # does the dispatcher look at once?
seconds = st.sampled_from([0.0, 0.5, 4.0, 30.0])
Place = Literal["before", "after", "top", "bottom"]
places: st.SearchStrategy[Place] = st.sampled_from(["before", "after", "top", "bottom"])
outcomes = st.sampled_from(
    [
        *[Outcome.of_value("result")] * 4,  # most work ends well
        *[Outcome.of_value("a part", noticed=True)] * 2,
        *[Outcome.of_value(NotKept(reason="too large"))] * 2,
        *map(Outcome.of_error, ERRORS),
        Outcome.of_stop(),
        Outcome.of_stop(ERRORS[0]),
    ]
)


class TwoQueues(RuleBasedStateMachine):
    """Plays the runtime: timers on a virtual clock, executions, a dispatcher that must be woken."""

    @initialize(
        lanes=st.integers(1, 3),
        keep=st.integers(0, 8),
        started=st.sampled_from([True, True, False]),
    )
    def open(self, lanes: int, keep: int, started: bool) -> None:
        self.lanes = lanes
        self.state = QueueState(MAX_HISTORY, keep)
        self.model = PlainQueue(
            max(keep, MAX_HISTORY),
            lambda job, attempt: retrying.chance_of(self.record(job), attempt),
        )
        self.records: list[JobRecord] = []
        self.maps: list[Group] = []  # as those of the model
        self.started = started
        self.awake = False  # a dispatch is on its way
        self.no_room: set[int] = set()  # numbers of jobs that their executor does not take now
        self.due: dict[tuple[int, fx.TimerKind], float] = {}
        self.released: list[int] = []
        self.revision = 0
        self.cleared_before = 0
        self.seen: object = ([], [])

    # -- choosing --------------------------------------------------------------------------------

    def any_job(self, pick: int) -> PlainJob:
        return self.model.jobs[pick % len(self.model.jobs)]

    def pending_or_any(self, pick: int) -> PlainJob:
        """Often the first in the order: with it most is decided."""
        jobs = self.model.order or self.model.jobs
        if pick % 8 == 0:
            return self.any_job(pick)
        return jobs[0] if pick % 8 < 4 else jobs[pick % len(jobs)]

    def running(self, pick: int) -> PlainJob:
        return self.model.running[pick % len(self.model.running)]

    def zombies(self) -> list[PlainJob]:
        return [job for job in self.model.jobs if job.ended and job.has_lane]

    def record(self, job: PlainJob) -> JobRecord:
        return self.records[job.number - 1]

    # -- applying --------------------------------------------------------------------------------

    def apply(self, event: ev.Event) -> bool:
        """Do to the core what the rule has done to the model, and carry the effects out."""
        told = apply(self.state, event, self.model.now)
        self.carry_out(told or [])
        return told is not None

    def carry_out(self, told: list[fx.Effect]) -> None:
        """Act on the effects of a step, which must be those that the model expects."""
        said: list[tuple[str, int]] = []
        ended: list[int] = []
        forgotten: list[int] = []
        for effect in told:
            number = effect.job.number
            if isinstance(effect, fx.ArmTimer):
                self.due[number, effect.kind] = self.model.now + effect.seconds
            elif isinstance(effect, fx.DisarmTimer):
                self.due.pop((number, effect.kind), None)
            elif isinstance(effect, fx.Wake):
                self.awake = True
            elif isinstance(effect, fx.ReleaseWaiters):
                ended.append(number)
            elif isinstance(effect, fx.Evict):
                forgotten.append(number)
            elif isinstance(effect, (fx.Launch, fx.Ask, fx.Kill)):
                said.append((type(effect).__name__, number))
        assert said == self.model.to_execution
        assert sorted(ended) == sorted(job.number for job in self.model.just_ended)
        self.released += ended
        self.model.keep(lambda job: ended.index(job.number))
        assert forgotten == [job.number for job in self.model.just_forgotten]
        self.model.begin_step()

    # -- users -----------------------------------------------------------------------------------

    @rule(
        priority=st.integers(-1, 2),
        retries=st.sampled_from([0, 0, 1, 3]),
        limit=st.sampled_from([None, None, 2.0, 60.0]),
        can_kill=st.sampled_from([True, True, False]),
        plugin=st.booleans(),
        after=st.one_of(st.just([]), st.lists(picks, min_size=2, max_size=3)),
        whatever=st.booleans(),
        delay=st.sampled_from([None, None, None, 0.0, 5.0]),
        deadline=st.sampled_from([None, None, 6.0, 70.0]),
        retry_on=st.sampled_from(
            [(), (), ("ValueError",), ("worker died", "RuntimeError"), ("time limit", "Exception")]
        ),
        first_wait=st.sampled_from([None, None, 0.0, 90.0]),
        takes=st.sampled_from([0, 0, 1, 2, 3]),
        count=st.integers(1, 3),
        group=st.sampled_from([None, None, "a", "b"]),
        look=looks,
    )
    def submit(
        self,
        priority: int,
        retries: int,
        limit: float | None,
        can_kill: bool,
        plugin: bool,
        after: list[int],
        whatever: bool,
        delay: float | None,
        deadline: float | None,
        retry_on: tuple[str, ...],
        first_wait: float | None,
        takes: int,
        count: int,
        group: str | None,
        look: bool,
    ) -> None:
        """One or several, which may take results of those that they wait for; a group as a map."""
        if group is not None:
            self.maps.append(Group(group))
            self.model.maps.append([])
        parents = [self.pending_or_any(pick) for pick in after] if self.model.jobs else []
        for _ in range(count):
            job = PlainJob(0, priority, 0, retries, limit, can_kill, parents, plugin=plugin)
            job.takes = [] if whatever else list(dict.fromkeys(parents))[:takes]
            job.whatever, job.delay, job.deadline = whatever, delay, deadline
            job.retry_on, job.first_wait = retry_on, first_wait
            job.group = group
            self.add(job, groups=() if group is None else (self.maps[-1],))
            if group is not None:
                self.model.maps[-1].append(job)
        self.dispatch(look)

    def add(
        self, job: PlainJob, repeats: PlainJob | None = None, groups: tuple[Group, ...] = ()
    ) -> None:
        record = self.make(job, groups)
        old = None if repeats is None else self.record(repeats)
        record.retry_of = None if old is None else old.id
        self.records.append(record)
        self.model.submit(job, repeats)
        self.apply(ev.Submitted(record, tuple(map(self.record, job.parents)), old))
        job.rank = record.rank

    def make(self, job: PlainJob, groups: tuple[Group, ...] = ()) -> JobRecord:
        job.number = len(self.records) + 1
        options = JobOptions(
            timeout=job.limit,
            deadline=job.deadline,
            delay=job.delay,
            retries=job.retries,
            retry_on=job.retry_on,
            backoff=job.first_wait,
            after_failure="run" if job.whatever else "cancel",
            group=job.group,
            key=None if job.key is None else JobKey(job.key),
        )
        kind: TargetKind = "plugin" if job.plugin else "function"
        spec = JobSpec(f"q-{job.number}", kind, len, f"job {job.number}", options=options)
        spec.takes = {self.record(one).id: place for place, one in enumerate(job.takes)}
        record = JobRecord(spec, job.priority, job.number, self.model.now)
        record.groups = groups
        return record

    @rule(key=st.sampled_from("xyz"), group=st.sampled_from([None, "a"]), look=looks)
    def submit_with_key(self, key: str, group: str | None, look: bool) -> None:
        """It is given the job that stands for the key, or there is a new one."""
        found, before = self.model.standing(key), self.model.newest(key)
        job = PlainJob(0, 0, key=key, group=group)
        record = self.make(job)
        record.retry_of = None if before is None else self.record(before).id
        if found is None:
            self.records.append(record)
            self.model.submit(job, before)
        else:
            self.model.ask_again(found, group)
        outside: list[fx.Effect] = []
        given = accept_prepared(self.accepting(), [(record, ())], group, outside)
        assert given == [record if found is None else self.record(found)]
        self.carry_out(outside)
        job.rank = record.rank
        self.model.end_review()
        end_review(self.accepting())
        self.dispatch(look)

    @precondition(lambda self: any(job.key and job.ended for job in self.model.jobs))
    @rule(pick=picks)
    def retry_one_with_a_key(self, pick: int) -> None:
        """A retry has the key of what it repeats, though that may stand."""
        ended = [job for job in self.model.jobs if job.key and job.ended]
        old = ended[pick % len(ended)]
        group = old.group if old.latest.ended else None
        self.add(PlainJob(0, 0, key=old.key, group=group), old)

    def accepting(self) -> Any:
        """What accepts jobs with keys, as far as it needs an engine."""

        def set_pause(_: None) -> None:
            self.state.set_pause(None)
            self.awake = True

        return SimpleNamespace(
            state=self.state,
            lock=Lock(),
            life=SimpleNamespace(check_open=lambda: None),
            resources=SimpleNamespace(concerns=lambda _: False),
            apply_inside=lambda event: apply(self.state, event, self.model.now) or [],
            set_pause=set_pause,
        )

    @precondition(lambda self: self.not_needed())
    @rule(pick=picks)
    def a_result_is_let_go(self, pick: int) -> None:
        """Nobody waits for it, and there is no more room."""
        jobs = self.not_needed()
        job = jobs[pick % len(jobs)]
        self.model.let_go(job)
        job.result = NotKept(reason="let go")
        self.apply(ev.ResultMoved(self.record(job), job.result))

    def not_needed(self) -> list[PlainJob]:
        needed = [one for job in self.model.jobs if not job.ended for one in job.parents]
        return [one for one in self.model.jobs if one.done and one.is_kept and one not in needed]

    @precondition(lambda self: any(job.ended for job in self.model.jobs))
    @rule(pick=picks, look=looks)
    def retry(self, pick: int, look: bool) -> None:
        ended = [job for job in self.model.jobs if job.ended]
        old = ended[pick % len(ended)]
        job = PlainJob(0, old.priority, 0, old.retries, old.limit, old.can_kill)
        job.group = old.group if old.latest.ended else None  # else it is a copy
        self.add(job, old)
        self.dispatch(look)

    @precondition(lambda self: self.model.jobs and self.maps)
    @rule(pick=picks, which=picks)
    def join(self, pick: int, which: int) -> None:
        """A job that is there already is an item of a map, too, as one with the same key."""
        job, place = self.any_job(pick), which % len(self.maps)
        group = self.maps[place]
        self.model.join(job, self.model.maps[place], group.name)
        self.apply(ev.Joined(self.record(job), group))

    @precondition(lambda self: self.model.jobs)
    @rule(pick=picks, priority=st.one_of(st.none(), st.integers(-1, 2)), beside=picks, where=places)
    def arrange(self, pick: int, priority: int | None, beside: int, where: Place) -> None:
        """Another priority or, if None is given, another place."""
        job = self.pending_or_any(pick)
        record = self.record(job)
        if priority is not None:
            expected = self.model.reprioritize(job, priority)
            assert self.apply(ev.Reprioritized(record, priority)) == expected
            return
        anchor = self.pending_or_any(beside) if where in ("before", "after") else None
        expected = self.model.move(job, anchor, where)
        event = ev.Moved(record, self.record(anchor) if anchor is not None else None, where)
        assert self.apply(event) == expected
        # Only the order gives ranks; the model looks where the jobs stand, then takes them over.
        assert [one.number for one in self.state.order.slice(0)] == numbers(self.model.order)
        for one in self.model.order:
            one.rank = self.record(one).rank

    @precondition(lambda self: self.model.jobs)
    @rule(
        pick=picks,
        how=st.sampled_from(["hold", "hold", "release", "release", "no room", "room"]),
        time=st.one_of(st.none(), seconds),
        then=st.sampled_from(["release", "cancel"]),
    )
    def hold_or_release(
        self, pick: int, how: str, time: float | None, then: Literal["release", "cancel"]
    ) -> None:
        job = self.pending_or_any(pick)
        if how == "hold":
            expected = self.model.hold(job, time, then)
            assert self.apply(ev.Held(self.record(job), time, then)) == expected
        elif how == "release":
            expected = self.model.release(job)
            assert self.apply(ev.Released(self.record(job))) == expected
        elif how == "no room":
            first = self.model.next_to_start or job
            self.no_room.add(first.number)
            self.dispatch(look=True)
        elif self.no_room:
            self.no_room.clear()
            self.awake = True  # its executor wakes the queue

    @precondition(lambda self: self.model.jobs)
    @rule(pick=picks, among_running=st.booleans(), force=st.booleans(), time=seconds)
    def cancel(self, pick: int, among_running: bool, force: bool, time: float) -> None:
        running = among_running and self.model.running
        job = self.running(pick) if running else self.pending_or_any(pick)
        self.request_stop(job, force, time, f"reason {pick}")

    def request_stop(self, job: PlainJob, force: bool, time: float, reason: str) -> None:
        expected = self.model.cancel(job, force, time, reason)
        event = ev.CancelRequested(self.record(job), force, time, reason)
        assert self.apply(event) == expected

    # -- the queue as a whole --------------------------------------------------------------------

    @rule(
        what=st.sampled_from(
            ["start", "stop", "pause", "resume", "resume", "review", "clear", "undo", "look"]
        )
    )
    def control(self, what: str) -> None:
        if what == "start" and not self.started:
            self.started = self.awake = True
            self.fire_what_is_due()
        elif what == "stop" and self.started:
            self.stop()
        elif what in ("pause", "resume"):
            paused = what == "pause"
            pause = Pause("", self.model.now) if paused else None
            is_other = self.model.paused != paused or self.model.review
            assert self.state.set_pause(pause) == is_other
            self.model.paused, self.model.review = paused, False
            self.awake = True  # the engine looks again, whatever was changed
        elif what == "review" and not self.model.paused:
            assert self.state.set_pause(Pause("", self.model.now, for_review=True))
            self.model.paused = self.model.review = True
        elif what == "clear":
            self.model.clear_history()
            self.cleared_before = self.state.cleared_to
            self.state.clear_history()
        elif what == "undo":
            self.model.undo_clear()
            self.state.clear_history(self.cleared_before)
        self.dispatch(what == "look")

    @precondition(lambda self: self.model.ended)
    @rule(picks=st.sets(st.integers(0, 20)))
    def forget(self, picks: set[int]) -> None:
        kept = [*self.model.ended, *self.model.awaited]
        jobs = list(dict.fromkeys(kept[pick % len(kept)] for pick in sorted(picks)))
        self.model.begin_step()
        self.model.forget(jobs)
        gone = self.state.forget([self.record(job) for job in jobs])
        assert [effect.job.number for effect in gone] == numbers(self.model.just_forgotten)
        self.model.begin_step()

    def stop(self) -> None:
        """Ask, force, and what cannot be forced is told as it is; what is pending stays."""
        pending = set(numbers(self.model.order))
        for job in list(self.model.running):
            if job.stop is None:
                self.request_stop(job, False, LISTEN, "queue stopped")
        for job in list(self.model.running):
            if job.stop == "asked":
                self.model.grace_is_over(job)
                self.apply(ev.CancelTimedOut(self.record(job), job.attempt))
            if job.stop == "forcing":
                self.end(job, Outcome.of_stop())
            else:
                self.kill_fails(job, "cannot be forced")
        self.started = False
        assert not self.model.running
        orphans = {job.number for job in self.model.jobs if job.orphan}
        assert pending - orphans <= set(numbers(self.model.order))

    def dispatch(self, look: bool) -> None:
        """If it was woken: fill the lanes in order, up to a job that its executor cannot take."""
        if not (look and self.awake and self.started):
            return
        self.awake = False
        while (job := self.can_start()) is not None:
            record = self.record(job)
            assert self.state.order.first_ready() is record
            if job.number in self.no_room:
                self.model.block(job, "no room")
                self.apply(ev.Blocked(record, BlockReason("no room")))
                return
            self.model.launch(job)
            self.apply(ev.Launched(record, "process", job.can_kill))

    def can_start(self) -> PlainJob | None:
        is_paused = self.model.paused and not self.model.review
        if not self.started or is_paused or self.model.lanes_taken >= self.lanes:
            return None
        return self.model.next_to_start

    # -- the work --------------------------------------------------------------------------------

    @precondition(lambda self: self.model.running)
    @rule(pick=picks, fraction=st.sampled_from([None, 0.5]), text=st.sampled_from([None, "text"]))
    def report(self, pick: int, fraction: float | None, text: str | None) -> None:
        """Progress, or (an odd pick) the phase before the body runs."""
        job = self.running(pick)
        record = self.record(job)
        if pick % 2:
            self.model.change_phase(job, text)
            self.apply(ev.PhaseChanged(record, job.attempt, text))
        else:
            self.model.report(job, fraction, text)
            self.apply(ev.Progressed(record, job.attempt, fraction, text))

    @precondition(lambda self: self.model.running)
    @rule(pick=picks, outcome=outcomes, idle=st.booleans(), look=looks)
    def work_ends(self, pick: int, outcome: Outcome, idle: bool, look: bool) -> None:
        self.end(self.running(pick), outcome, "ocr" if idle else None)
        self.dispatch(look)

    @precondition(lambda self: any(job.rescue == "unloading" for job in self.model.order))
    @rule(pick=picks, unloaded=st.sampled_from(["ocr", "ocr", None]), look=looks)
    def room_is_made(self, pick: int, unloaded: str | None, look: bool) -> None:
        waiting = [job for job in self.model.order if job.rescue == "unloading"]
        job = waiting[pick % len(waiting)]
        event = ev.RoomMade(self.record(job), job.attempt, () if unloaded is None else (unloaded,))
        self.model.room_is_made(job, unloaded)
        self.apply(event)
        self.dispatch(look)

    def end(self, job: PlainJob, outcome: Outcome, idle: str | None = None) -> None:
        attempt = job.attempt
        if outcome.kind == "value":
            is_kept = type(outcome.value) is not NotKept
            self.model.finish(job, outcome.value, outcome.noticed, is_kept)
        else:
            self.model.break_off(job, str(outcome.failure) if outcome.failure else None, idle)
        self.apply(ev.Ended(self.record(job), attempt, outcome, (idle,) if idle else ()))

    @precondition(lambda self: self.model.running or self.zombies())
    @rule(pick=picks, outcome=outcomes, look=looks)
    def work_cannot_be_ended_or_is_gone_at_last(
        self, pick: int, outcome: Outcome, look: bool
    ) -> None:
        left = self.zombies()
        if left and (pick % 4 or not self.model.running):
            job = left[pick % len(left)]
            self.model.gone_at_last(job)
            self.apply(ev.Ended(self.record(job), job.attempt, outcome))
        else:
            self.kill_fails(self.running(pick), "no such process")
        self.dispatch(look)

    def kill_fails(self, job: PlainJob, why: str) -> None:
        self.model.cannot_be_killed(job, why)
        self.apply(ev.KillFailed(self.record(job), job.attempt, why))

    @precondition(lambda self: self.model.jobs)
    @rule(
        pick=picks, kind=st.sampled_from(["phase", "progress", "end", "limit", "backoff", "room"])
    )
    def news_of_an_earlier_attempt_comes_too_late(self, pick: int, kind: str) -> None:
        job = self.any_job(pick)
        record, attempt = self.record(job), job.attempt - 1
        if kind == "phase":
            self.apply(ev.PhaseChanged(record, attempt, "late"))
        elif kind == "progress":
            self.apply(ev.Progressed(record, attempt, 0.9, "late"))
        elif kind == "end" and job.status != "pending":
            self.apply(ev.Ended(record, attempt, Outcome.of_value("late")))
        elif kind == "limit":
            self.apply(ev.TimedOut(record, attempt, LISTEN))
        elif kind == "backoff":
            self.apply(ev.BackoffOver(record, attempt))
        elif kind == "room" and (job.status == "pending" or job.ended):
            self.apply(ev.RoomMade(record, attempt, ("ocr",)))

    # -- time ------------------------------------------------------------------------------------

    @rule(passed=st.sampled_from([0.1, 1.0, 3.0, 10.0, 100.0, 1e9]), look=looks)
    def time_passes(self, passed: float, look: bool) -> None:
        self.model.now += passed
        self.fire_what_is_due()
        self.dispatch(look)

    @precondition(lambda self: self.started and any(job.timers for job in self.model.running))
    @rule(pick=picks, look=looks)
    def a_timer_of_a_running_job_is_due(self, pick: int, look: bool) -> None:
        due = [when for job in self.model.running for when in job.timers.values()]
        self.model.now = max(self.model.now, due[pick % len(due)])
        self.fire_what_is_due()
        self.dispatch(look)

    def fire_what_is_due(self) -> None:
        """The I/O thread, which lives while the queue is started, keeps the timers."""
        while self.started:
            due = [(when, key) for key, when in self.due.items() if when <= self.model.now]
            if not due:
                return
            number, kind = min(due)[1]
            del self.due[number, kind]
            job = self.model.jobs[number - 1]
            del job.timers[kind]
            self.fire(job, kind)

    def fire(self, job: PlainJob, kind: fx.TimerKind) -> None:
        record = self.record(job)
        if kind == "hold":
            self.model.hold_is_over(job)
            self.apply(ev.HoldExpired(record))
        elif kind == "backoff":
            self.model.backoff_is_over(job)
            self.apply(ev.BackoffOver(record, record.attempt))  # the model may have ended it
        elif kind == "limit":
            self.model.limit_is_over(job, LISTEN)
            self.apply(ev.TimedOut(record, job.attempt, LISTEN))
        elif kind == "deadline":
            self.model.deadline_is_over(job, LISTEN)
            self.apply(ev.DeadlinePassed(record, LISTEN))
        else:
            self.model.grace_is_over(job)
            self.apply(ev.CancelTimedOut(record, job.attempt))

    # -- what must be so after each step ---------------------------------------------------------

    @invariant()
    def everything_agrees(self) -> None:
        self.state.validate()
        self.both_have_the_same_lists_and_counters()
        self.both_tell_the_same_of_each_job()
        self.both_tell_the_same_of_each_group()
        self.each_job_that_has_ended_let_its_waiters_go_once()
        self.the_timers_are_those_that_are_wanted()
        self.nothing_that_could_start_is_forgotten()
        self.the_revision_grows_with_each_change()

    def both_have_the_same_lists_and_counters(self) -> None:
        state, model = self.state, self.model
        assert [job.number for job in state.order.slice(0)] == numbers(model.order)
        assert [job.number for job in state.order.ready()] == numbers(model.may_start)
        assert [job.number for job in state.running.values()] == numbers(model.running)
        kept = numbers(model.ended)
        assert [job.number for job in state.ended] == kept
        shown = numbers(model.shown)
        assert [job.number for job in state.history()] == shown[:MAX_HISTORY]
        assert state.count_after(state.cleared_to) == len(shown)
        assert [job.number for job in state.awaited.values()] == numbers(model.awaited)
        assert state.jobs.keys() == {f"q-{number}" for number in numbers(model.kept)}
        for key in "xyz":
            found = state.keys.standing(JobKey(key))
            standing = model.standing(key)
            assert found is (None if standing is None else self.record(standing))
        totals = state.totals
        assert totals.accepted == len(model.jobs)
        assert model.counts == {
            "completed": totals.completed,
            "failed": totals.failed,
            "cancelled": totals.cancelled,
        }
        retried = [job for job in model.jobs if job.status == "failed" and job.retried is not None]
        assert totals.retried == len(retried)
        assert state.lanes_taken == model.lanes_taken <= self.lanes
        assert (state.pause is not None) == model.paused

    def both_tell_the_same_of_each_job(self) -> None:
        for job in self.model.jobs:
            assert facts_of(self.record(job)) == facts_of_plain(job)
            if job.orphan:
                reasons = {self.reason_of(parent) for parent in job.parents}
                assert self.record(job).cancel_reason in reasons

    def reason_of(self, parent: PlainJob) -> str:
        """What a job after this one is told, with what this one was told itself."""
        if parent.done:
            value = parent.result
            return f"result not kept: job {parent.number}: {getattr(value, 'reason', '')}"
        told = f"dependency {parent.status}: job {parent.number}"
        if not parent.orphan:
            return told
        return chained(told, self.record(parent).cancel_reason)

    def both_tell_the_same_of_each_group(self) -> None:
        """Each item once, by its latest try; of a named group what is kept, of a map all."""
        for job in self.model.jobs:
            assert latest(self.record(job)) is self.record(job.latest)
        for group, items in zip(self.maps, self.model.maps, strict=True):
            assert counted(group) == Counter(job.latest.status for job in items)
        named = self.state.groups.named
        for name in ("a", "b"):
            kept = self.model.in_group(name)
            assert (name in named) == bool(kept)
            if kept:
                assert counted(named[name]) == Counter(job.status for job in kept)
                found = {job.number for job in jobs_of(named[name])}
                assert found == set(numbers(kept))

    def each_job_that_has_ended_let_its_waiters_go_once(self) -> None:
        assert sorted(self.released) == [job.number for job in self.model.jobs if job.ended]

    def the_timers_are_those_that_are_wanted(self) -> None:
        wanted = {
            (job.number, kind): due for job in self.model.jobs for kind, due in job.timers.items()
        }
        assert self.due == wanted

    def nothing_that_could_start_is_forgotten(self) -> None:
        job = self.can_start()
        assert job is None or self.awake or job.number in self.no_room, "a lost wake-up"

    def the_revision_grows_with_each_change(self) -> None:
        facts = [
            facts_of_plain(job)[:-1] for job in self.model.jobs
        ]  # a reason is shown at the end
        seen = facts, numbers(self.model.order)
        if seen != self.seen:
            assert self.state.revision > self.revision
        self.seen, self.revision = seen, self.state.revision


def numbers(jobs: list[PlainJob]) -> list[int]:
    return [job.number for job in jobs]


def counted(group: Group) -> dict[str, int]:
    return {status.value: count for status, count in group.counts.items() if count}


def facts_of(record: JobRecord) -> tuple[object, ...]:
    return (
        record.status.value,
        record.priority,
        record.attempt,
        record.held,
        record.backing_off,
        record.block_reason and record.block_reason.text,
        record.cancel_phase,
        record.run_phase,
        record.lane_taken,
        record.progress,
        record.message,
        None if record.failure is None else str(record.failure),
        record.result,
        record.finished_before_cancel,
        "" if record.cancel_reason.startswith(CHAINED) else record.cancel_reason,
    )


def facts_of_plain(job: PlainJob) -> tuple[object, ...]:
    return (
        job.status,
        job.priority,
        job.attempt,
        job.held,
        job.backing_off,
        job.blocked,
        job.stop,
        job.phase,
        job.has_lane,
        job.progress,
        job.message,
        job.error,
        job.result,
        job.finished_before_cancel,
        job.reason,
    )


def test_both_know_a_job_that_takes_a_result_that_was_let_go() -> None:
    """Four steps in a row that chance seldom finds."""
    both = TwoQueues()
    both.open(started=True, lanes=1, keep=8)
    submit = partial(
        both.submit,
        priority=0,
        retries=0,
        limit=None,
        can_kill=True,
        plugin=False,
        whatever=False,
        delay=None,
        deadline=None,
        retry_on=(),
        first_wait=None,
        count=1,
        group=None,
        look=True,
    )
    submit(after=[], takes=0)
    both.work_ends(idle=False, look=True, outcome=Outcome("value", "result"), pick=0)
    both.a_result_is_let_go(pick=0)
    submit(after=[0], takes=1)
    both.everything_agrees()
    both.teardown()


@pytest.mark.timeout(170)
def test_the_core_agrees_with_a_plain_model() -> None:
    shown_as_found = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)]
    run_state_machine_as_test(
        TwoQueues,
        settings=settings(max_examples=400, stateful_step_count=60, phases=shown_as_found),
    )


@pytest.mark.long
def test_the_core_agrees_with_a_plain_model_over_long_lives() -> None:
    run_state_machine_as_test(TwoQueues, settings=settings(stateful_step_count=150))
