"""Decides what starts next: runs whenever something changed, never by polling."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Protocol, cast

from .._core import events as ev
from .._core.jobs import BlockReason, JobFailure, JobRecord
from .._core.machine.resources import Impossible
from .._core.texts.causes import Stated
from .._machine.admission import MEASURING
from .._threads.interrupts import UNINTERRUPTED
from ..protocols import LaunchesAnywhere, SupportsEmergencyStop
from .engine_view import EngineView
from .failures import outcome_of_start, said_of

if TYPE_CHECKING:
    from ..protocols import Executor
    from .engine_view import LifeView
    from .executor_context import QueueContext
    from .queue_resources import QueueResources
    from .runner import Run
    from .storage.keeper import Keeper

LOOK_AHEAD = 64  # jobs that are looked at behind a blocked one
BATCH = 64  # launches before other callbacks of the loop get their turn


class LaunchesJobs(EngineView, Protocol):
    """What the dispatcher uses of its engine besides."""

    context: QueueContext
    keeper: Keeper
    resources: QueueResources

    def launch(
        self, job: JobRecord, executor: Executor, passed: Collection[JobRecord]
    ) -> Run | None: ...
    def spawn(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]: ...


class Dispatcher:
    """Fills free lanes in order: strict priority, then first in first out.

    A job that may not start now (its executor says so, or memory is short) keeps those behind it
    waiting, unless it `may_be_passed` or `backfill` is on. A job that was passed for `max_bypass`
    seconds is passed no more, but by what leaves alone all that it needs: a lane and its memory.
    """

    def __init__(
        self, engine: LaunchesJobs, life: LifeView, backfill: bool, max_bypass: float
    ) -> None:
        self._engine = engine
        self._life = life
        self._backfill = backfill
        self._max_bypass = max_bypass
        self._opened: dict[int, tuple[Executor, Callable[[], None]]] = {}
        self._anywhere: set[int] = set()
        self._emergency: list[SupportsEmergencyStop] = []
        self._first_blocked: dict[str, float] = {}
        self._unchecked: deque[JobRecord] = deque()  # may ask for more than there will ever be
        self._turn = threading.Lock()
        self._wanted = False

    # -- executors ---------------------------------------------------------------------------

    def open(self, executor: Executor) -> BaseException | None:
        """Open an executor for this start of the queue, once; return what kept it from opening."""
        if id(executor) in self._opened:
            return None
        try:
            executor.open(self._engine.context)
            unsubscribe = executor.subscribe(self._engine.wake)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._engine.logger.exception("the executor %r could not be opened", executor)
            return error
        self._opened[id(executor)] = (executor, unsubscribe)
        self._engine.resources.open(executor)
        if isinstance(executor, LaunchesAnywhere) and executor.launches_anywhere:
            self._anywhere.add(id(executor))
        if isinstance(executor, SupportsEmergencyStop):
            self._emergency.append(executor)
        return None

    def kill_all_now(self) -> set[int]:
        """End all work that can be ended, now that the loop or the interpreter is gone. Any thread.

        Returns:
            `id()` of each executor of which nothing is left.
        """
        return {id(executor) for executor in self._emergency if executor.kill_all_now()}

    def after_fork(self) -> None:
        """Let go of what is open in a forked child, as it belongs to the parent."""
        for executor in self._emergency:
            executor.after_fork()
        self.forget()

    def forget(self) -> None:
        """Forget all executors that are open, without awaiting anything."""
        for _, unsubscribe in self._opened.values():
            unsubscribe()
        self._opened.clear()
        self._engine.resources.forget()
        self._anywhere.clear()
        self._emergency.clear()

    async def close(self, deadline: float) -> None:
        """Close every executor, by then (monotonic); one that fails to is logged."""
        executors = [executor for executor, _ in self._opened.values()]
        self.forget()
        for executor in executors:
            task = self._engine.spawn(_close(executor))
            left = max(0.0, deadline - self._engine.monotonic())
            done, _ = await asyncio.wait({task}, timeout=left)
            if not done:  # whatever it makes of that is not waited for
                task.cancel()
                self._engine.logger.error("the executor %s did not close in time", executor.name)
                await asyncio.sleep(0)
            elif not task.cancelled() and (error := task.exception()) is not None:
                self._engine.logger.error(
                    "the executor %s failed to close", executor.name, exc_info=error
                )

    # -- dispatch ----------------------------------------------------------------------------

    def run(self) -> None:
        """Start what may start. Any thread; whoever comes while another is at it leaves it to them.

        Off the owner loop only jobs of executors that can launch anywhere start, so that worker
        processes stay busy while a cell blocks the loop; for others the loop is woken.
        """
        self._wanted = True
        while self._wanted and self._turn.acquire(blocking=False):
            try:
                self._wanted = False
                if self._unchecked:
                    self._refuse_the_impossible()
                self._fill_lanes()
            finally:
                self._turn.release()

    def check(self, job: JobRecord) -> None:
        """Have a new job looked at: one that asks too much fails without waiting for its turn."""
        self._unchecked.append(job)

    def _refuse_the_impossible(self) -> None:
        resources = self._engine.resources
        if not self._engine.accepts_dispatch or not resources.knows_the_machine():
            return
        while self._unchecked:
            job = self._unchecked.popleft()
            verdict = resources.impossible(job)
            if verdict is not None:
                self._refuse(job, verdict)

    def _refuse(self, job: JobRecord, verdict: Impossible) -> None:
        stated = Stated(shortfall=verdict.short)
        failure = JobFailure("ImpossibleRequest", verdict.text, stated=stated)
        self._engine.do(ev.Refused(job, failure))

    def _fill_lanes(self) -> None:
        engine, state = self._engine, self._engine.state
        for _ in range(BATCH):  # a user's engine may grow meanwhile
            if state.lanes_taken >= engine.max_running or not self._start_one():
                return
        engine.wake()

    def _start_one(self) -> bool:
        engine = self._engine
        state = engine.state
        if not engine.accepts_dispatch or state.starts_nothing:
            return False
        if (full := engine.keeper.full) is not None:
            with engine.lock.held:
                first = state.order.first_ready()
            if first is not None and first.block_reason != full:
                engine.do(ev.Blocked(first, full))
            return False
        job, passed = self._choose()
        if job is None:
            return False
        executor = cast("Executor", job.spec.executor)
        problem = self.open(executor)
        with UNINTERRUPTED:
            run = engine.launch(job, executor, passed)
            if run is None:  # another thread was quicker: cancelled, held or moved it
                engine.resources.give_back(job)
                return True
            self._first_blocked.pop(job.id, None)
            if problem is None:
                run.start(executor)
            else:
                why = f"{type(problem).__name__}: {said_of(problem)}"
                text = f"its executor {executor.name!r} could not be opened: {why}"
                run.ended(outcome_of_start(problem, text, "ExecutorError"))
        return True

    def _choose(self) -> tuple[JobRecord | None, Collection[JobRecord]]:
        """Find the first job that may start, and the blocked ones that it passes (told why).

        Off the owner loop it goes no further than executors that may be asked there.
        """
        engine = self._engine
        with engine.lock.held:
            first = engine.state.order.first_ready()
        if first is None or self._is_left_to_the_loop(first):
            return None, ()
        verdict = self._look_at(first, None, may_evict=True)
        if verdict is None:
            return first, ()
        candidates = [first]
        with engine.lock.held:
            for job in engine.state.order.ready():
                if job is not first:
                    candidates.append(job)
                if len(candidates) > LOOK_AHEAD:
                    break
        blocked: dict[JobRecord, BlockReason] = {}
        short: set[JobRecord] = set()  # of memory or processors
        kept: JobRecord | None = None  # whoever passes leaves alone what this one needs
        chosen = None
        for job in candidates:
            if job is not first:
                if self._is_left_to_the_loop(job):
                    break
                verdict = self._look_at(job, kept, may_evict=not short)
            if verdict is None:
                chosen = job
                break
            if isinstance(verdict, Impossible):
                self._refuse(job, verdict)
                engine.wake()
                if job is first:
                    return None, ()
                continue
            reason, is_short = verdict
            blocked[job] = reason
            if is_short:
                short.add(job)
            if reason is MEASURING:
                break  # it is a matter of milliseconds
            if not self._may_be_passed(job, reason):
                if kept is None and is_short and self._can_spare_a_lane():
                    kept = job
                elif kept is None or not is_short:
                    break
        for job, why in blocked.items():
            if why is not MEASURING and why != job.block_reason:
                engine.do(ev.Blocked(job, why))
        return chosen, blocked.keys()

    def _can_spare_a_lane(self) -> bool:
        """With `backfill`, a lane is left for the job that was passed long enough."""
        return self._backfill and self._engine.state.lanes_taken + 1 < self._engine.max_running

    def _is_left_to_the_loop(self, job: JobRecord) -> bool:
        """True, with the loop woken, if its executor must not be asked on this thread."""
        life = self._life
        if life.is_on_loop_thread:
            return False
        if id(job.spec.executor) in self._anywhere and not life.loop_is_closed:
            return False
        self._engine.wake()
        return True

    def _look_at(
        self, job: JobRecord, kept: JobRecord | None, *, may_evict: bool
    ) -> tuple[BlockReason, bool] | Impossible | None:
        """Return None if a job may start, its need reserved; else why not, and if memory is short.

        `kept`: a job whose need must be left alone.
        """
        reason = self._blocked(job)
        if reason is not None:
            return reason, False
        resources = self._engine.resources
        if not resources.concerns(job.spec):
            return None
        verdict = resources.ask(job, kept, may_evict=may_evict)
        return (verdict, True) if isinstance(verdict, BlockReason) else verdict

    def _blocked(self, job: JobRecord) -> BlockReason | None:
        executor = cast("Executor", job.spec.executor)
        if self.open(executor) is not None:
            return None  # opened before it is asked: it must be able to wake us
        try:
            return executor.blocked_by(job.spec)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._engine.logger.exception("%s.blocked_by failed", executor.name)
            return BlockReason(f"its executor cannot say whether it may start: {error}")

    def _may_be_passed(self, job: JobRecord, reason: BlockReason) -> bool:
        if reason.may_be_passed:
            return True
        if not self._backfill:
            return False
        now = self._engine.monotonic()
        return now - self._first_blocked.setdefault(job.id, now) < self._max_bypass


async def _close(executor: Executor) -> None:
    await executor.close()


def outlives_its_loop(executor: object) -> bool:
    """True if its work goes on when the loop that it was launched from is closed."""
    anywhere = isinstance(executor, LaunchesAnywhere) and executor.launches_anywhere
    return anywhere or isinstance(executor, SupportsEmergencyStop)
