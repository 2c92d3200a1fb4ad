"""When a queue runs: start, stop, close, and how its loop, process or owner can end before it."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Container, Coroutine
from typing import TYPE_CHECKING, Literal, Protocol

from .._core import events as ev
from .._core.jobs import JobFailure, Outcome
from .._threads.bridge import LoopBridge, give_up
from .._threads.locks import Lock
from .._threads.private_loop import PrivateLoop
from ..errors import QueueClosedError, QueueStoppedError, UnsupportedLoopError
from .detached import runs as detached
from .dispatcher import outlives_its_loop
from .engine_view import EngineView, do_all
from .waiting import Waiter, Waiters

if TYPE_CHECKING:
    from .._threads.timers import Timers
    from .runner import Run

TURN_TICK = 0.25
STOP_MARGIN = 2.0  # seconds beyond its own time limit that a stop may take in all
FORCE_PATIENCE = 1.0  # seconds for work that `stop` forces to be gone

Phase = Literal["not started", "started", "stopping", "stopped", "closed"]

_started: set[Driven] = set()
_all: weakref.WeakSet[Lifecycle] = weakref.WeakSet()
_hooks_lock = Lock()


class Driven(detached.Follows, Protocol):
    """What a lifecycle uses of its engine besides."""

    timers: Timers
    waiters: Waiters

    def set_pause(self, reason: str | None) -> bool: ...
    def bind(self, loop: asyncio.AbstractEventLoop) -> None: ...
    def spawn(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]: ...
    def end_run(self, run: Run, outcome: Outcome) -> None: ...
    def end_beside_jobs(self) -> None: ...
    def close(self) -> None: ...
    def after_fork(self) -> None: ...


class Lifecycle:
    """Binds an engine to a loop and lets go of it again, however the loop ends."""

    def __init__(self, engine: Driven) -> None:
        self._engine = engine
        self.phase: Phase = "not started"
        self.loop_is_lost = self.is_exiting = False
        self._bridge: LoopBridge | None = None
        self._private: PrivateLoop | None = None
        self._left_loop: asyncio.AbstractEventLoop | None = None  # of work that would not end
        self._lifeline: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._stop_waiters: list[Waiter] = []
        self._lock = threading.RLock()
        self._abandoned = self._closing = False
        self._pid = os.getpid()
        _all.add(self)
        with _hooks_lock.held:
            _install_hooks()

    # -- asking ------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raise if the queue takes no more jobs."""
        if self.phase == "closed" or self._closing:
            raise QueueClosedError(
                "this queue was closed and takes no more jobs; make a new one: JobQueue(...)"
            )
        if self._pid != os.getpid():
            raise QueueClosedError(
                f"this queue belongs to process {self._pid} and this is a fork of it; "
                "make a new JobQueue(...) here"
            )

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The owner loop while started."""
        return self._bridge.loop if self._bridge else None

    @property
    def is_on_loop_thread(self) -> bool:
        """True on the thread of the owner loop."""
        return self._bridge is not None and self._bridge.is_here

    @property
    def loop_is_closed(self) -> bool:
        """True if the owner loop was closed under the queue."""
        bridge = self._bridge
        return bridge is None or bridge.loop.is_closed()

    def post(self, callback: Callable[..., object], *args: object) -> bool:
        """Run on the owner loop soon. Any thread. False if there is none, or it is closed."""
        bridge = self._bridge
        if bridge is None:
            return False
        if bridge.post(callback, *args):
            return True
        self.loop_is_lost = True  # handled by whoever holds no lock next
        return False

    def post_turn(self, turn: Callable[[], object]) -> bool:
        """Have the loop look at the timers after a tick, where the I/O thread cannot be started."""
        bridge = self._bridge
        return bridge is not None and bridge.post(bridge.loop.call_later, TURN_TICK, turn)

    # -- start -------------------------------------------------------------------------------

    def start(self) -> bool:
        """Bind to the running loop, or to a private one. Idempotent. False while it stops."""
        with self._lock:
            self.check_open()
            self.handle_lost_loop()
            if self.phase in ("started", "stopping"):
                return self.phase == "started"
            if self._engine.settings.loop == "thread":
                self._private = PrivateLoop(f"{self._engine.title}-loop")
                self._private.call(self._bind)
            else:
                try:
                    asyncio.get_running_loop()
                except RuntimeError:
                    raise UnsupportedLoopError(
                        "start() needs a running event loop: use `await queue.start()` in a "
                        'notebook or coroutine, or JobQueue(loop="thread") in a plain script'
                    ) from None
                self._bind()
            return True

    def _bind(self) -> None:
        """On the loop that will be the owner."""
        engine = self._engine
        loop = asyncio.get_running_loop()
        self._left_loop = None
        engine.bind(loop)
        self._bridge = LoopBridge(loop)
        self._lifeline = loop.create_task(self._live(), name=f"{engine.title}-lifeline")
        _started.add(engine)
        with engine.lock.held:
            self.phase = "started"
            engine.timers.resume()
            engine.publish("queue_started")
        detached.follow_all(engine)
        self.post(engine.dispatcher.run)  # wake() might trust a wish that went to no loop

    async def _live(self) -> None:
        """Notices the end of `asyncio.run`, which cancels every task: then the queue stops."""
        forever: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            await forever
        except asyncio.CancelledError:
            if self._lifeline is asyncio.current_task():  # not one that a stop has let go of
                self._engine.logger.info("the event loop of the queue is ending: the queue stops")
                # In this very turn: coroutine jobs were cancelled too and end in the next one.
                self._ask_running(self._engine.settings.cancel_timeout)
                await self._stop_shared("cancel", 5.0)
            raise

    async def start_after_stop(self) -> None:
        """Start; wait first for a stop that is under way."""
        while not self.start():
            await self.stop("cancel", 5.0)

    # -- stop --------------------------------------------------------------------------------

    async def stop(self, running: Literal["cancel", "wait"], timeout: float) -> None:
        """Stop, from any loop; concurrent calls share one stop."""
        bridge, private = self._bridge, self._private
        self.handle_lost_loop()
        if bridge is None or self._bridge is None:
            return
        if asyncio.get_running_loop() is bridge.loop:
            await self._stop_shared(running, timeout)
        else:
            await self._stop_from_elsewhere(bridge, running, timeout).wait()
            if private is not None:
                private.join()

    def stop_blocking(self, running: Literal["cancel", "wait"], timeout: float) -> None:
        """Stop a queue with a private loop from a thread without one."""
        bridge, private = self._bridge, self._private
        if bridge is not None and private is not None:
            self._stop_from_elsewhere(bridge, running, timeout).wait_blocking(None)
            private.join()

    def _stop_from_elsewhere(
        self, bridge: LoopBridge, running: Literal["cancel", "wait"], timeout: float
    ) -> Waiter:
        """Settles when the queue has let go of that loop, also if the loop ends before it hears."""
        waiter = Waiter()
        self._stop_waiters.append(waiter)

        async def stop() -> None:
            try:
                await self._stop_shared(running, timeout)
            except Exception as error:
                waiter.settle(error)
            else:
                waiter.settle()

        def begin() -> None:
            if self._bridge is bridge:
                self._engine.spawn(stop())

        if not bridge.post(begin):
            self.handle_lost_loop()
        if self._bridge is not bridge:  # it has let go, perhaps before it knew of this waiter
            waiter.settle()
        return waiter

    async def _stop_shared(self, running: Literal["cancel", "wait"], timeout: float) -> None:
        while self._is_bound_to(asyncio.get_running_loop()):
            task = self._stopping
            if task is None or task.done():
                stop = self._stop_here(running, timeout)
                task = self._stopping = asyncio.get_running_loop().create_task(stop)
            await asyncio.wait({task})
            if not task.cancelled():  # by the end of asyncio.run: then what is left is done anew
                task.result()
                return

    async def _stop_here(self, running: Literal["cancel", "wait"], timeout: float) -> None:
        """On the owner loop. Afterwards nothing of this queue executes."""
        engine = self._engine
        if self.phase in ("stopped", "closed") or not self._is_bound_to(asyncio.get_running_loop()):
            return
        with engine.lock.held:
            self.phase = "stopping"
        error = QueueStoppedError(
            "the queue was stopped; its pending jobs run after the next start()"
        )
        engine.waiters.stop(error, pending_only=True)
        deadline = engine.monotonic() + timeout
        if running == "wait":
            await engine.waiters.until_ended([*engine.state.running.values()], deadline)
        grace = max(0.0, min(engine.settings.cancel_timeout, deadline - engine.monotonic()))
        self._ask_running(grace)
        await engine.waiters.until_ended(
            detached.others(engine), max(deadline, engine.monotonic() + grace)
        )
        for job in detached.others(engine):  # whoever asked may have given more time
            engine.do(ev.CancelTimedOut(job, job.attempt))
        await engine.waiters.until_ended(
            detached.others(engine), engine.monotonic() + FORCE_PATIENCE
        )
        for job in detached.others(engine):
            run = engine.runs.get(job.id)
            if run is not None:
                why = "was not over in time" if job.can_kill else "cannot be forced"
                run.kill_failed(f"the queue stopped, and this work {why}")
        detached.leave_all(engine)
        await engine.dispatcher.close(deadline + STOP_MARGIN)
        engine.keeper.settle()
        with self._lock:  # nobody starts it in between: whoever waits from then on is not stopped
            self._unbind("stopped")
            engine.waiters.stop(error, pending_only=False)

    def _is_bound_to(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self._bridge is not None and self._bridge.loop is loop

    def _ask_running(self, grace: float) -> None:
        """Ask every job that runs to stop, unless it was asked already; start no other."""
        engine = self._engine
        with engine.lock.held:
            self.phase = "stopping"
            unasked = [job for job in detached.others(engine) if job.cancel_phase is None]
        do_all(engine, (ev.CancelRequested(job, False, grace, "queue stopped") for job in unasked))

    def _unbind(self, phase: Phase) -> None:
        """Let go of the loop and the I/O thread. Under the lock."""
        engine = self._engine
        with engine.lock.held:
            self.phase = phase
            engine.publish("queue_stopped")
            engine.timers.suspend()
        engine.publisher.deliver()
        if self._bridge is not None and engine.runs:
            self._left_loop = self._bridge.loop
        self._bridge = self._stopping = None
        self.loop_is_lost = False
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            if lifeline.get_loop().is_closed():
                give_up(lifeline)
            else:
                lifeline.cancel()
        engine.end_beside_jobs()
        private, self._private = self._private, None
        if private is not None:
            private.close()
        _started.discard(engine)
        waiters, self._stop_waiters = self._stop_waiters, []
        for waiter in waiters:
            waiter.settle()

    async def end_detached(self) -> None:
        """End what needs no kernel; a queue that is not started is started for that."""
        engine = self._engine
        if self.phase != "closed" and len(detached.others(engine)) < len(engine.state.running):
            if self.phase != "started":
                engine.set_pause("the queue is closed")
                await self.start_after_stop()
            await detached.end_all(engine)

    def refuse(self) -> None:
        """Take no more jobs and do not start again."""
        self._closing = True

    def close(self) -> None:
        """Cancel what is pending and take no more jobs, for good. After a stop."""
        engine = self._engine
        with engine.lock.held:
            self.phase = "closed"
            engine.publish("queue_closed")
            pending = engine.state.order.slice(0)
        do_all(engine, (ev.CancelRequested(job, False, 0.0, "queue closed") for job in pending))
        engine.close()

    # -- the loop, the owner or the process ends first -----------------------------------------

    def handle_lost_loop(self) -> None:
        """If the loop was closed without `stop`: running jobs fail, pending ones stay."""
        loops = (self._left_loop, self.loop)
        if not any(loop is not None and loop.is_closed() for loop in loops):
            return  # without the lock, which a thread may hold that waits for this one
        with self._lock:
            if self._left_loop is not None and self._left_loop.is_closed():
                self._left_loop = None
                self._end_what_hung_on_the_loop()
            if self._bridge is None or not self._bridge.loop.is_closed():
                return
            engine = self._engine
            self.phase = "stopping"
            self._bridge = None  # what ends below has nobody to tell there
            detached.leave_all(engine)
            self._end_what_hung_on_the_loop(engine.dispatcher.kill_all_now())
            for run in list(engine.runs.values()):
                run.kill_failed("its event loop closed, and this work cannot be forced")
            engine.dispatcher.forget()
            self._unbind("stopped")
        error = QueueStoppedError("the event loop of the queue was closed")
        engine.waiters.stop(error, pending_only=False)

    def _end_what_hung_on_the_loop(self, killed: Container[int] = ()) -> None:
        """End the runs whose coroutines went with a closed loop; threads go on.

        `killed` holds `id()` of executors of which nothing is left either.
        """
        failure = JobFailure("EventLoopClosed", "its event loop closed while it was running")
        for run in list(self._engine.runs.values()):
            executor = run.job.spec.executor
            if id(executor) in killed or not outlives_its_loop(executor):
                self._engine.end_run(run, Outcome.of_error(failure))

    def abandon(self) -> None:
        """Let work go on to its end, then close: the user's JobQueue object is gone.

        The garbage collector may call this anywhere, also where a lock of ours is held: so it
        takes none.
        """
        self._abandoned = True
        bridge = self._bridge
        if bridge is not None and not bridge.loop.is_closed():
            bridge.loop.call_soon_threadsafe(self._check_abandoned)

    def _check_abandoned(self) -> None:
        if not (self._engine.state.open_count or self._engine.state.drawings):
            self.on_idle()

    def on_idle(self) -> None:
        """Called whenever nothing is pending or running."""
        if not self._abandoned or self.phase != "started":
            return
        self._abandoned = False
        warnings.warn(
            f"JobQueue {self._engine.settings.name!r} was dropped without stop(); it is closed now",
            ResourceWarning,
            stacklevel=2,
        )
        self.post(lambda: self._engine.spawn(self._close_abandoned()))

    async def _close_abandoned(self) -> None:
        await self._stop_shared("cancel", 1.0)
        self.close()

    def at_exit(self) -> None:
        """No worker outlives the interpreter. What a journal says stays: the next kernel tells."""
        if self._bridge is not None and self._pid == os.getpid():
            self.is_exiting = True
            self._engine.dispatcher.kill_all_now()

    def after_fork(self) -> None:
        """In a forked child: the threads, the loop and the workers are the parent's."""
        self._engine.after_fork()
        self._lock = threading.RLock()
        for task in (self._lifeline, self._stopping):
            if task is not None:
                give_up(task)
        self._bridge = self._lifeline = self._stopping = self._private = None


def started_engines() -> list[EngineView]:
    """List the engines of all queues of this process that are started."""
    return list(_started)


@functools.cache
def _install_hooks() -> None:
    """Once per process, with the first queue: interpreter exit and fork."""
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _at_exit() -> None:
    for life in list(_all):
        life.at_exit()


def _after_fork() -> None:
    _started.clear()
    for life in list(_all):
        life.after_fork()
