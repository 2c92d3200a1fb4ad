"""Shows tests what a queue holds and does not show: its public name is `testing.inspect`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .._runtime.settings import Clock
from ..executors.process import ProcessExecutor
from . import rows
from .listed import listing

if TYPE_CHECKING:
    from .._core.effects import TimerKind
    from .._core.jobs import JobRecord
    from .._core.state import Pause
    from .._runtime.engine import Engine
    from ..job import Job
    from ..protocols import Journal
    from ..queue import JobQueue
    from ..workers.process import WorkerProcess


class Faults(NamedTuple):
    """Counts of what should not have happened, since the queue was made."""

    bugs: int = 0  # told of a job what cannot be: the executor is wrong, or we are
    odd_reports: int = 0  # progress that could not be read as it came
    late_reports: int = 0  # told of an attempt that was over
    failed_subscribers: int = 0  # exceptions of callbacks of `subscribe`
    dropped_events: int = 0  # that subscribers were too slow for


class Lanes(NamedTuple):
    """Number of jobs that may run at a time, and of these places that are not free."""

    total: int
    taken: int  # also by work that was declared failed and is not gone, and by a start that waits


class Kept(NamedTuple):
    """Bytes that ended jobs have left, without what is too small to be counted."""

    memory: int
    disk: int
    full: str | None  # why nothing may start, if it is because of that


class Worker(NamedTuple):
    """One warm process for plain functions."""

    pid: int
    at_work: bool
    process: WorkerProcess  # its inside may change with any version


class Alive(NamedTuple):
    """Parts of a queue that still live; `Alive()`, nothing, is left after `stop()`."""

    executions: int = 0  # attempts whose work has not ended, also of jobs that were given up
    workers: int = 0
    tasks: int = 0  # of the queue's own on its loop, coroutine jobs not among them
    threads: tuple[str, ...] = ()  # their names; of queues with the same `name=` together


class Inspection:
    """What a queue holds and does not show, as it is whenever you ask. Any thread.

    Nothing here changes anything but the methods that say so. It does not keep the queue: one
    that nobody else has is dropped, and can still be asked here.

    Records, and all that is reached through `engine`, are the inside of this package: they may
    change with any version. The rest is meant to stay.
    """

    def __init__(self, queue: JobQueue) -> None:
        self.engine: Engine = queue._engine  # to replace parts, or to play what cannot be caused
        self._submission = queue._submission
        self._control = queue._control

    # -- jobs ----------------------------------------------------------------------------------

    @property
    def records(self) -> dict[str, JobRecord]:
        """What the queue knows of each job that it keeps, by id."""
        with self.engine.lock.held:
            return dict(self.engine.state.jobs)

    @property
    def ended(self) -> list[JobRecord]:
        """Records of ended jobs, hidden ones too, in the order of their ends."""
        with self.engine.lock.held:
            return list(self.engine.state.ended)

    def record(self, job: Job) -> JobRecord:
        """Return the record of a job, also of one that only its handle keeps."""
        return job._record

    @property
    def startable(self) -> int:
        """Number of pending jobs that a free lane would take: not held, backing off or waiting."""
        return self.engine.state.order.ready_count

    @property
    def lanes(self) -> Lanes:
        """Lanes of all kinds of jobs together."""
        return Lanes(self.engine.max_running, self.engine.state.lanes_taken)

    @property
    def pause(self) -> Pause | None:
        """Why the queue is paused, and since when; None if it is not."""
        return self.engine.state.pause

    # -- what lives ----------------------------------------------------------------------------

    @property
    def run_id(self) -> str:
        """Id of the queue in this process; its workers carry it in their environment."""
        return self.engine.run_id

    @property
    def phase(self) -> str:
        """Phase as in `get_state()`: "not started", "started", "stopping", "stopped", "closed"."""
        return self.engine.life.phase

    @property
    def clock(self) -> Clock:
        """Clock of the queue: `wall()` for what is shown, `monotonic()` to wait."""
        return Clock(self.engine.now, self.engine.monotonic)

    @property
    def alive(self) -> Alive:
        """What has not ended yet. A stopped queue keeps timers of pending jobs: see `timers`."""
        engine, prefix = self.engine, f"{self.engine.title}-"
        names = [thread.name for thread in threading.enumerate()]
        tasks = {*engine._tasks.copy(), engine.life._lifeline, engine.life._stopping}
        return Alive(
            len(engine.runs),
            len(self.workers),
            sum(not task.done() for task in tasks if task is not None),
            tuple(sorted(name for name in names if name.startswith(prefix))),
        )

    @property
    def timers(self) -> int:
        """Number of armed timers: of holds, time limits, pauses before a retry, and stops."""
        return self.engine.timers.count

    def seconds_left(self, job: Job, timer: TimerKind) -> float | None:
        """Return the seconds until a "hold", "limit", "backoff" or "grace" (a stop) is due."""
        with self.engine.lock.held:
            return self.engine.timers.seconds_left(job._record, timer)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The warm processes for plain functions."""
        executor = self._submission.built_in("process")
        pool = executor.pool if isinstance(executor, ProcessExecutor) else None
        there = [] if pool is None else pool.workers()
        return tuple(Worker(process.pid, at_work, process) for process, at_work in there)

    @property
    def processes(self) -> dict[str, int]:
        """The process of each job that runs in one, of functions and plugins, by the job's id."""
        return dict(self.engine.resources.processes())

    # -- what is kept --------------------------------------------------------------------------

    @property
    def journal(self) -> Journal | None:
        """Journal in which the queue is written down."""
        return None if self.engine.recorder is None else self.engine.recorder.journal

    @property
    def folder(self) -> Path | None:
        """Private folder for large results and logs, once it is needed; it goes with the queue."""
        return self.engine.spool.made

    @property
    def kept(self) -> Kept:
        """Bytes that count for `keep_bytes` and `spool_bytes`."""
        keeper = self.engine.keeper
        full = keeper.full
        return Kept(keeper.memory, keeper.disk, None if full is None else full.text)

    def settle(self) -> None:
        """Wait until results that are on their way are in their files and in the journal."""
        self.engine.keeper.settle()
        if self.engine.recorder is not None:
            self.engine.recorder.settle()
            self.engine.recorder.flush()

    def tidy(self) -> None:
        """Look whether ended jobs have left more than they may, and wait for what that moves."""
        self.engine.keeper.tidy()
        self.engine.keeper.settle()

    def let_go(self) -> None:
        """Let go of the journal as a kernel that ends in order: what is pending stays so there.

        For tests of restarts, in the process of the next queue. Stop the queue first; it takes no
        more jobs afterwards.
        """
        if self.engine.recorder is not None:
            self.engine.recorder.close()
        self.engine.life.phase = "closed"
        self.engine.io.close()

    # -- whether all is well -------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """`Faults()` if executors, subscribers and we have done what they must."""
        engine, told = self.engine, self.engine.publisher
        return Faults(
            engine.bugs, engine.odd_reports, engine.late_reports, told.failures, told.dropped
        )

    def validate(self) -> None:
        """Check that what the queue knows of its jobs fits together.

        Raises:
            AssertionError: one thing contradicts another.
        """
        with self.engine.lock.held:
            self.engine.state.validate()

    # -- what the widget has -------------------------------------------------------------------

    @property
    def notice(self) -> str:
        """What the widget's banner tells of the queue, of its journal for instance; or ""."""
        return self.engine.notice

    @property
    def meters(self) -> dict[str, Any]:
        """The widget's meters of memory and its idle plugins; empty if no job cares for memory."""
        return self.engine.resources.shown()

    def snapshot(
        self, running: int = 8, pending: int = 25, history: int = 20, groups: int = 20
    ) -> dict[str, Any]:
        """Return what the widget draws: counts, state, and at most so many rows of each list."""
        drawings = self._control.drawings
        return rows.snapshot(self.engine, running, pending, history, None, groups, drawings)

    def part(self, name: listing.PartName, start: int, stop: int, number: int = 0) -> rows.Rows:
        """Return rows of a part of the list that a widget shows: see `_api/listed/listing.py`."""
        drawings = self._control.drawings
        return listing.part_of(self.engine, name, start, stop, number, drawings)

    def undo_clear(self) -> int:
        """Show again what was just hidden, as the widget's Undo; return how many jobs."""
        return self.engine.history.undo()


def inspect(queue: JobQueue) -> Inspection:
    """Look at what a queue holds, for tests of executors, plugin hosts and code with queues.

    Example:
        ```python
        async with JobQueue() as queue:
            assert await queue.submit_nowait(pow, 2, 10) == 1024
            assert inspect(queue).faults == Faults()
        assert inspect(queue).alive == Alive()
        ```
    """
    return Inspection(queue)
