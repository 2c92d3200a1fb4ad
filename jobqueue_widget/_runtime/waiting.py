"""Lets callers wait for a job, or for an idle queue; every waiter wakes at last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .._threads.threadless import HAS_THREADS
from ..errors import QueueIdleError, UnsupportedLoopError

if TYPE_CHECKING:
    from .._core.jobs import JobRecord
    from .._core.sweeps.group import Group
    from .engine_view import EngineView, LifeView

NOBODY_ELSE = (
    "the browser's Python has one thread, and nothing goes on while it waits: use `await job`, "
    "`await queue.join()` or `async for`"
)


class Waiter:
    """One thing waited for by one coroutine or one thread; settles once, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may settle it, too
        self._settled = False
        self._error: BaseException | None = None
        self._wake: Callable[[], object] | None = None

    def settle(self, error: BaseException | None = None) -> None:
        """Let it go on, or fail with `error`. Later calls change nothing."""
        with self._lock:
            if self._settled:
                return
            self._settled, self._error = True, error
            wake = self._wake
        if wake is not None:
            wake()

    async def wait(self) -> None:
        """Wait on the running loop."""
        loop = asyncio.get_running_loop()
        thread = threading.get_ident()
        future: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not future.done():
                future.set_result(None)

        def wake() -> None:
            try:
                if threading.get_ident() == thread:
                    finish()
                else:
                    loop.call_soon_threadsafe(finish)
            except RuntimeError:  # that loop is closed: nobody waits there any more
                return

        with self._lock:
            self._wake = wake
            settled = self._settled
        if not settled:
            await future
        if self._error is not None:
            raise self._error

    def wait_blocking(self, timeout: float | None) -> bool:
        """Wait in this thread; False if the time is over."""
        event = threading.Event()
        with self._lock:
            self._wake = event.set
            settled = self._settled
        if not (settled or HAS_THREADS):
            raise UnsupportedLoopError(NOBODY_ELSE)
        if not settled and not event.wait(timeout):
            return False
        if self._error is not None:
            raise self._error
        return True

    def then(self, act: Callable[[BaseException | None], object]) -> None:
        """Do this once it has settled, on whatever thread settles it; now if it has."""
        with self._lock:
            self._wake = lambda: act(self._error)
            settled = self._settled
        if settled:
            act(self._error)


class Waiters:
    """Everybody who waits for a job of one queue, or for all of them."""

    def __init__(self, engine: EngineView, life: LifeView) -> None:
        self._engine = engine
        self._life = life
        self._joiners: list[Waiter] = []
        self._by_job: dict[str, list[Waiter]] = {}
        self._by_group: dict[Group, list[Waiter]] = {}  # each is a joiner, too
        self._at_end: dict[str, list[Callable[[], object]]] = {}
        self.unseen: list[JobRecord] = []  # ended without a kernel, which is not told yet

    def for_job(self, job: JobRecord) -> Waiter:
        """Settles when the job has ended."""
        waiter = Waiter()
        with self._engine.lock.held:
            if job.status.ended:
                waiter.settle()
            else:
                self._by_job.setdefault(job.id, []).append(waiter)
        return waiter

    async def until_ended(self, jobs: Iterable[JobRecord], deadline: float) -> None:
        """Wait until these jobs have ended, at most until `deadline` (monotonic)."""
        for job in jobs:
            waiter = self.for_job(job)
            try:
                async with asyncio.timeout(max(0.0, deadline - self._engine.monotonic())):
                    await waiter.wait()
            except TimeoutError:
                self.forget(waiter, job)
                return

    def at_end(self, job: JobRecord, callback: Callable[[], object]) -> None:
        """Call back when the job has ended, on whatever thread ends it; now if it has.

        Unlike a waiter, it does not give up when the queue is stopped: that may be started again.
        """
        with self._engine.lock.held:
            will_come = self.add_at_end(job, callback)
        if not will_come:
            callback()

    def add_at_end(self, job: JobRecord, callback: Callable[[], object]) -> bool:
        """Do the same under the lock, but for a job that has ended: then return False."""
        if job.status.ended:
            return False
        self._at_end.setdefault(job.id, []).append(callback)
        return True

    def for_all(self) -> Waiter:
        """Settles when nothing is pending or running, or fails when that cannot happen."""
        waiter = Waiter()
        with self._engine.lock.held:
            self._joiners.append(waiter)
        self.check_idle()
        return waiter

    def for_group(self, group: Group) -> Waiter:
        """Settles when all of a group have ended, or fails when that cannot happen by itself."""
        waiter = Waiter()
        with self._engine.lock.held:
            if not group.open_count:
                waiter.settle()
                return waiter
            self._joiners.append(waiter)
            self._by_group.setdefault(group, []).append(waiter)
        self.check_idle()
        return waiter

    def has(self, job: JobRecord) -> bool:
        """True if somebody waits for this job. Under the lock; nobody comes once it has ended."""
        if job.id in self._by_job or job.id in self._at_end:
            return True
        return bool(self._by_group) and any(group in self._by_group for group in job.groups)

    def release(self, job: JobRecord) -> None:
        """Wake whoever waits for this job, which has ended: nobody can begin to wait for it now."""
        if not (self._by_job or self._at_end or self._by_group):
            return
        with self._engine.lock.held:
            waiters = self._by_job.pop(job.id, [])
            callbacks = self._at_end.pop(job.id, [])
            if self._by_group:
                kept = job.id in self._engine.state.jobs  # else it has left its groups already
                for group in job.groups if kept else list(self._by_group):
                    if not group.open_count:
                        waiters += self._by_group.pop(group, ())
        for waiter in waiters:
            waiter.settle()
        for callback in callbacks:
            callback()

    def forget(self, waiter: Waiter, job: JobRecord | None = None) -> None:
        """Forget a waiter that gave up (time-out, cancellation)."""
        with self._engine.lock.held:
            if job is None:
                if waiter in self._joiners:
                    self._joiners.remove(waiter)
                return
            waiters = self._by_job.get(job.id, [])
            if waiter in waiters:
                waiters.remove(waiter)
                if not waiters:
                    del self._by_job[job.id]

    def release_group(self, group: Group) -> None:
        """Wake whoever waits for this group, if all of it has ended."""
        with self._engine.lock.held:
            waiters = [] if group.open_count else self._by_group.pop(group, [])
        for waiter in waiters:
            waiter.settle()

    def forget_group(self, waiter: Waiter, group: Group) -> None:
        """Forget a waiter for a group, whether it gave up or not."""
        self.forget(waiter)
        with self._engine.lock.held:
            left = [one for one in self._by_group.pop(group, ()) if one is not waiter]
            if left:
                self._by_group[group] = left

    def check_idle(self) -> None:
        """Let joiners go when there is nothing left, or nothing that can ever start by itself."""
        state = self._engine.state
        if state.running:
            return
        if not state.open_count and not state.drawings:
            self._life.on_idle()
        if not self._joiners:
            return
        with self._engine.lock.held:
            error: Exception | None = None
            more_may_come = state.drawings > state.drawings_held and not state.order
            if self._more_will_start or more_may_come:
                return
            if state.open_count or state.drawings:
                reason = self.why_stuck()
                if reason is None:
                    return
                error = QueueIdleError(reason)
            over = [group for group in self._by_group if not group.open_count]
            woken = [waiter for group in over for waiter in self._by_group.pop(group)]
            joiners, self._joiners = self._joiners, []
        for waiter in woken:  # before: what is left is not theirs
            waiter.settle()
        for waiter in joiners:
            waiter.settle(error)

    @property
    def _more_will_start(self) -> bool:
        """True if items of a map are on their way that start by themselves, or may in a review."""
        state = self._engine.state
        can_start = state.in_review or not state.starts_nothing
        return bool(state.drawing_now) and can_start and self._life.phase == "started"

    def why_stuck(self) -> str | None:
        """Why what is left will not start by itself; None if it will. Under the lock."""
        state = self._engine.state
        if state.running or (state.waits_for_a_timer and self._life.phase != "stopped"):
            return None
        causes = []
        if state.pause is not None and state.starts_nothing:
            causes.append(
                "queue paused" + (f" ({state.pause.reason})" if state.pause.reason else "")
            )
        if self._life.phase != "started":
            causes.append(f"queue {self._life.phase}")
        waiting = len(state.order) - state.order.ready_count
        if state.drawings_held:
            causes.append("the rest of a map held")
        if not causes and (state.order.ready_count or not waiting):
            return None
        held = [job for job in state.order.waiting() if job.held]
        lost = [job for job in held if job.spec.missing is not None]
        if len(held) > len(lost):
            causes.insert(0, f"{_jobs(len(held) - len(lost))} held")
        cures = ["resume(), release(…) or start() lets it go on"] if causes else []
        if lost:
            causes.append(f"{_jobs(len(lost))} cannot run again ({lost[0].spec.missing})")
            cures.append(f"cancel() takes {'it' if len(lost) == 1 else 'them'} away")
        if not causes:
            return None
        told, cure = ", ".join(causes), "; ".join(cures)
        return f"{len(state.order)} pending, none can start: {told}; {cure}"

    def stop(self, error: Exception, *, pending_only: bool) -> None:
        """Wake everybody who waits for what will not run now."""
        with self._engine.lock.held:
            joiners, self._joiners = self._joiners, []
            left: dict[str, list[Waiter]] = {}
            stopped: list[Waiter] = []
            for job_id, waiters in self._by_job.items():
                if pending_only and job_id in self._engine.state.running:
                    left[job_id] = waiters
                else:
                    stopped += waiters
            self._by_job = left
        for waiter in (*joiners, *stopped):
            waiter.settle(error)


def _jobs(count: int) -> str:
    return f"{count} job{'s'[: count > 1]}"
