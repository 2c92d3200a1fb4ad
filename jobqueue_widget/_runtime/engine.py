"""The engine of one queue: the state under its lock, and what each effect of a transition does."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
from collections.abc import Collection, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from .._core import effects as fx
from .._core import events as ev
from .._core.ids import JobIds
from .._core.jobs import RUNNING, JobRecord, Outcome
from .._core.spec import EMPTY
from .._core.state import Pause, QueueState
from .._core.stored import COUNTED
from .._core.transitions import apply
from .._threads.aside import Aside
from .._threads.attempts import Threads
from .._threads.bridge import give_up
from .._threads.interrupts import UNINTERRUPTED, uninterrupted
from .._threads.locks import Lock
from .._threads.threadless import NewIo
from .._threads.timers import CallLater, Timers
from .alive import KeepAlive
from .detached import runs as detached
from .dispatcher import Dispatcher
from .executor_context import QueueContext
from .lag import LoopWatch
from .lifecycle import Lifecycle
from .publish import JobEvent, Publisher, payload_of
from .queue_resources import QueueResources
from .runner import Run
from .settings import Clock as Clock  # its home is there, most of its readers are here
from .settings import Settings as Settings
from .storage.history import History
from .storage.keeper import Keeper
from .storage.learning import Learning
from .storage.spans import Spans
from .storage.spool import Spool
from .storage.told.logs import JobLog
from .waiting import Waiters

if TYPE_CHECKING:
    from .._machine.admission import Admission
    from .._persistence.recorder import Recorder
    from ..protocols import Executor

LOGGER = logging.getLogger(f"{__name__.partition('.')[0]}.queue")


class Engine:
    """Owns the state, the lock and the effects. Methods are for any thread unless they say so."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        call_later: CallLater | None = None,
        admission: Admission | None = None,
    ) -> None:
        clock = clock or Clock()
        self.settings = settings
        self.run_id = os.urandom(4).hex()
        self.ids = JobIds(self.run_id, os.urandom(5))
        self.lock = Lock()
        self.state = QueueState(settings.max_history, settings.keep_ended)
        self.title = f"jobqueue-{settings.name or self.run_id}"
        self.life = Lifecycle(self)
        self.io = NewIo(f"{self.title}-io", self.life.post_turn, self.lock.inner())
        self.call_later = call_later or self.io.call_later
        self.now = clock.wall
        self.monotonic = clock.monotonic
        self.timers = Timers(self.call_later, self._fire, clock.monotonic)
        self.logger: logging.Logger = LOGGER  # of what the queue itself has to say; may be another
        self.publisher = Publisher(self._request_delivery, lambda: self.logger)
        self.learning = Learning(self)
        self.threads = Threads(self, self.call_later)
        self.spool = Spool()
        self.keeper = Keeper(self, self.spool, self.call_later)
        self.history = History(self)
        self.spans = Spans(max(settings.keep_ended, settings.max_history))
        self.runs: dict[str, Run] = {}
        self.dispatcher = Dispatcher(self, self.life, settings.backfill, settings.max_bypass)
        self.resources = QueueResources(self, admission, self.call_later, self.dispatcher.run)
        self.waiters = Waiters(self, self.life)
        self.aside = Aside(f"{self.title}-callbacks", self._callback_failed)
        self.watch = LoopWatch(self, self.life, self.call_later)
        self.alive = KeepAlive(self, self.call_later, self.waiters.why_stuck)
        self.context = QueueContext(self, self.life, self.io, self.spool)
        self.main_executor: Executor | None = None  # what the queue was made for, if its user's
        self.recorder: Recorder | None = None
        self._orphans, self.left_behind = "", False  # processes of earlier kernels; jobs go on
        self.earlier_runs: frozenset[str] = frozenset()  # of kernels that had the journal before
        self.bugs = self.late_reports = self.odd_reports = 0  # bugs: events that did not fit
        self._numbers = itertools.count(1)
        self.numbers_given = 0
        self._making_logs = threading.RLock()  # a finalizer may print anywhere
        self._delivery_wanted = self._wake_wanted = False
        self._tasks: set[asyncio.Task[None]] = set()

    # -- changing the state ------------------------------------------------------------------

    @uninterrupted
    def do(self, event: ev.Event) -> bool:
        """Apply one event. False: a command that does not fit where the job is now.

        Raises:
            InvalidTransition: a runtime event that does not fit; a bug, and nothing changes.
        """
        with self.lock.held:
            effects = apply(self.state, event, self.now())
            outside = self.perform_inside(effects) if effects else None
        if effects:
            self.perform(outside or [])
        return effects is not None

    def submit(self, jobs: ev.Accepted) -> None:
        """Accept jobs, all of them or (if the queue is closed) none, in one step.

        With a journal they are kept when this returns.
        """
        if self.recorder is not None:
            for job, _ in jobs:
                self.recorder.prepare(job)
        with UNINTERRUPTED:
            with self.lock.held:
                outside = self.accept(jobs, ev.NONE_REPEATED)
            self.perform(outside)

    def accept(self, jobs: ev.Accepted, repeated: ev.Repeated) -> list[fx.Effect]:
        """Accept prepared jobs under the lock; return the effects that are left to `perform`."""
        self.life.check_open()
        outside: list[fx.Effect] = []
        for job, parents in jobs:
            outside += self.apply_inside(ev.Submitted(job, parents, repeated.get(job)))
            if self.resources.concerns(job.spec):
                self.dispatcher.check(job)
        return outside

    def restore(
        self, events: Iterable[ev.Restored], forgotten: Mapping[str, int], cleared_to: int
    ) -> None:
        """Bring back what a journal kept; before anything else happens here."""
        outside: list[fx.Effect] = []
        with self.lock.held:
            self.state.shelf.hidden_to = cleared_to
            counts = (forgotten.get(kind, 0) for kind in COUNTED)
            self.state.count_forgotten(*counts)
            for event in events:  # made one by one: a child looks for its parents
                outside += self.apply_inside(event)
                self.spans.restored(event)
                if self.recorder is not None and event.was is RUNNING:
                    self.recorder.note_job(event.job)
        self.perform(outside)

    def change_settings(self, **changed: Any) -> None:
        """Replace settings that may change, already checked; they hold from now on."""
        with self.lock.held:
            self.settings = replace(self.settings, **changed)
            self.state.max_history = self.settings.max_history
            self.publisher.touch()

    def next_number(self) -> tuple[int, str]:
        """Make the submission number, which counts up and is never reused, and the job's id."""
        number = self.numbers_given = next(self._numbers)
        return number, self.ids.id_of(number)

    def continue_after(self, number: int) -> None:
        """Count on from where an earlier kernel left off."""
        self._numbers, self.numbers_given = itertools.count(number + 1), number

    def launch(
        self, job: JobRecord, executor: Executor, passed: Collection[JobRecord]
    ) -> Run | None:
        """Give the job a lane if it still may have one; its run knows what failed after that.

        Other threads may have changed the order since the job was chosen: it must still be the
        first but for those that it passes because they are blocked.
        """
        with self.lock.held:
            state = self.state
            if not self.accepts_dispatch or state.starts_nothing:
                return None
            if job.entry is None or not job.startable:
                return None
            if state.order.first_ready() is not job:
                ready = state.order.ready()
                if next(ahead for ahead in ready if ahead not in passed) is not job:
                    return None
            run = Run(self, job)
            event = ev.Launched(job, executor.name, executor.can_kill)
            effects = apply(state, event, self.now()) or []
            run.lane = self.spans.begin()
            self.runs[job.id] = run
            try:
                self.perform_inside(effects)
            except BaseException as error:
                run.problem = error
        return run

    @uninterrupted
    def end_run(self, run: Run, outcome: Outcome) -> None:
        """End an attempt, once; all ends go through here."""
        idle = self.resources.idle_beside(run.job, outcome)
        with self.lock.held:
            if run.over:
                self.late_reports += 1
                return
            if self.life.is_exiting and outcome.kind != "value" and run.job.cancel_phase is None:
                return  # it did not fail: it was ended with this process
            run.over = True
            if self.runs.get(run.job_id) is run:
                del self.runs[run.job_id]
            started_at = run.job.started_at
            outside = self.apply_inside(ev.Ended(run.job, run.attempt, outcome, idle))
            begun = None if outcome.kind == "unstarted" else started_at
            now = (run.job.completed_at if run.job.status.ended else None) or self.state.now
            self.spans.end(run.job, run.lane, run.attempt, begun, now)
        self.learning.note_end(run.job, started_at, now)
        self.keeper.note_end(run.job, outcome)
        self.resources.ended(run.job)
        try:
            self.dispatcher.run()  # the next job starts now instead of one turn of the loop later
        finally:
            self.perform(outside, awake=True)

    @uninterrupted
    def set_pause(self, reason: str | None, *, for_review: bool = False) -> bool:
        """Pause (with a reason) or resume (None)."""
        with self.lock.held:
            pause = None if reason is None else Pause(reason, self.now(), for_review)
            if changed := self.state.set_pause(pause):
                self._tell_pause()
        self.wake()
        self.perform([])
        return changed

    def _tell_pause(self) -> None:  # under the lock
        pause = self.state.pause
        self.spans.note_pause(pause, self.now())
        reason = "" if pause is None else pause.reason
        self.publish("resumed" if pause is None else "paused", {"reason": reason})
        if self.recorder is not None:
            self.recorder.note_pause()

    @property
    def max_running(self) -> int:
        """Number of lanes now: as set, else as many as the user's engine has, else 1."""
        fixed, executor = self.settings.max_running, self.main_executor
        if fixed is not None or executor is None:
            return fixed or 1
        return max(1, executor.capacity or 1)

    # -- effects -----------------------------------------------------------------------------

    def apply_inside(self, event: ev.Event) -> list[fx.Effect]:
        """Apply one event under the lock; return the effects that are left to `perform`."""
        return self.perform_inside(apply(self.state, event, self.now()) or [])

    def perform_inside(self, effects: list[fx.Effect]) -> list[fx.Effect]:
        """Do what must keep the order of the transitions; return the rest. Under the lock."""
        rest: list[fx.Effect] = []
        if self.recorder is not None:
            self.recorder.note(effects)
        for effect in effects:
            if isinstance(effect, fx.Publish):
                if self.publisher.active:
                    told = payload_of(effect)
                    event = JobEvent(effect.type, effect.job.id, self.state.now, told)
                    self.publisher.push(event)
            elif isinstance(effect, fx.ArmTimer):
                if effect.kind == "hold":
                    effect.job.hold_until = self.now() + effect.seconds
                self.timers.arm(effect.job, effect.kind, effect.seconds)
            elif isinstance(effect, fx.DisarmTimer):
                self.timers.disarm(effect.job, effect.kind)
            elif isinstance(effect, fx.Paused):
                self._tell_pause()
            elif not isinstance(effect, fx.Launch):  # the dispatcher, which caused it, launches
                rest.append(effect)
        return rest

    def perform(self, effects: list[fx.Effect], *, awake: bool = False) -> None:
        """Do the other effects. Outside the lock. `awake`: the dispatcher has looked already."""
        self.keep()
        for effect in effects:
            kind, job = type(effect), effect.job
            if kind is fx.Wake:
                if not awake:
                    self.wake()
            elif kind is fx.ReleaseWaiters:
                self.waiters.release(job)
            elif kind is fx.Ask or kind is fx.Kill:
                if (run := self.runs.get(job.id)) is not None:
                    (run.ask if kind is fx.Ask else run.kill)()
            elif kind is fx.MakeRoom:
                self.resources.make_room(job)
            elif kind is fx.Evict:
                self.keeper.evicted(job)
        self.waiters.check_idle()  # also a hold may leave nothing that could start
        if self.life.loop_is_lost:
            self.life.handle_lost_loop()

    def publish(self, type: str, payload: Mapping[str, object] = EMPTY) -> None:
        """Tell subscribers something about the whole queue. Under the lock."""
        if self.publisher.active:
            self.publisher.push(JobEvent(type, None, self.now(), payload))

    def _callback_failed(self, error: BaseException) -> None:
        self.logger.error("a callback of a job failed", exc_info=error)

    def _request_delivery(self) -> None:
        if not self._delivery_wanted:
            self._delivery_wanted = True  # before the post: the loop may deliver within it
            if not self.life.post(self._deliver):
                self._delivery_wanted = False

    def _deliver(self) -> None:
        self._delivery_wanted = False
        self.keep()
        self.publisher.deliver()

    @uninterrupted
    def wake(self) -> None:
        """Look again for something to start, soon, on the owner loop."""
        if self._wake_wanted and not self.life.loop_is_closed:  # that the loop is lost is news
            return
        self._wake_wanted = True
        if not self.life.post(self._dispatch):
            self._wake_wanted = False

    def _dispatch(self) -> None:
        self._wake_wanted = False
        self.dispatcher.run()

    @property
    def accepts_dispatch(self) -> bool:
        """True between start and stop, as long as the interpreter is not ending."""
        return self.life.phase == "started" and not self.life.is_exiting

    @uninterrupted  # without an I/O thread timers fire on the loop
    def _fire(self, job: JobRecord, kind: fx.TimerKind, token: int) -> None:
        """Act on a timer that is due: on the I/O thread, or where the injected clock calls back."""
        with self.lock.held:
            if not self.timers.take(job, kind, token):
                return
            outside = self.apply_inside(ev.of_timer(job, kind, self.settings.cancel_timeout))
        self.perform(outside)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine of our own as a task that is not lost. Owner loop."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def begin_beside_jobs(self) -> None:
        """Begin what goes on as long as jobs run. Before each job."""
        self.keep()  # before it begins: at most once
        self.watch.begin()
        self.alive.begin()
        self.resources.begin()

    def end_beside_jobs(self) -> None:
        """End what goes on beside jobs, when the queue lets go of its loop."""
        self._forget_wishes()
        self.watch.end()
        self.alive.end()
        self.resources.end()
        if not self.io.is_current_thread:
            self.io.close()
        self.spool.drop_if_empty()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use this loop from now on."""
        self._forget_wishes()
        self.context.loop = loop

    def _forget_wishes(self) -> None:
        """Forget what was posted to a loop that is no longer the owner."""
        self._wake_wanted = self._delivery_wanted = False
        for task in [task for task in self._tasks if task.get_loop().is_closed()]:
            self._tasks.discard(task)
            give_up(task)

    # -- logs and files ----------------------------------------------------------------------

    def log_of(self, job: JobRecord) -> JobLog:
        """Return the job's log, made at its first use."""
        if isinstance(job.log, JobLog):
            return job.log
        name = f"{job.id}.log"  # not the job, or each would hold the other
        spool = self.spool
        made = JobLog(lambda: spool.path() / name)
        with self._making_logs:
            if job.log is None:  # nothing can come between this and the next step
                job.log = made
            return cast(JobLog, job.log)

    def keep(self) -> None:
        """Write changes into the journal, if there is one, before anybody is told of them."""
        if self.recorder is not None:
            self.recorder.flush()

    @property
    def notice(self) -> str:
        """What the user must be told of the queue itself; "" if all is well."""
        of_journal = "" if self.recorder is None else self.recorder.notice
        found = (of_journal, self._orphans, detached.sentence(self) if self.left_behind else "")
        return ". ".join(text for text in found if text)

    def set_orphans(self, text: str) -> None:
        """Tell of workers that an earlier kernel has left; "" if there are none."""
        with self.lock.held:
            self._orphans = text
            self.publish("orphans", {"text": text})

    def close(self) -> None:
        """Tell and write what is left, for good."""
        self.publisher.deliver()
        self.publisher.close()
        self.io.close()
        if self.recorder is not None:
            self.learning.save()
            self.recorder.close()
        if not self.keeper.has_files():
            self.spool.remove()  # else when nobody has the queue or a job of it any more

    def after_fork(self) -> None:
        """Forget threads, workers and files in a forked child: they are the parent's."""
        self.lock = Lock()
        if self.recorder is not None:
            self.recorder.after_fork()
        self.io.after_fork()
        self.dispatcher.after_fork()
        self.resources.after_fork()
        self.learning.after_fork()
