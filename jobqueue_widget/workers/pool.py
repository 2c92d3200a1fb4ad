"""Keeps the workers of one queue: a warm one per lane and a spare, replaced when they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from .._threads.locks import Lock
from ..protocols import IoThread
from .packing import Packed
from .process import WorkerProcess, end_now
from .sources import stamp_of
from .surroundings import Setup
from .task import Task

FAILED_STARTS = 3  # in a row, after which no spare is started until a job asks for a worker
SPARE_DELAY = 0.05  # seconds that a job has the machine for itself before a new spare is started

Frames = list[bytes | memoryview]
MakeFrames = Callable[[WorkerProcess], tuple[int, Frames]]


class Pool:
    """Hands out workers. Methods are for any thread unless they say "I/O thread"."""

    def __init__(self, io: IoThread, lanes: int, run_id: str, recycle_after: int | None) -> None:
        self._io = io
        self._lanes = lanes
        self._run_id = run_id
        self._recycle_after = recycle_after
        self._lock = Lock()
        self._idle: list[WorkerProcess] = []  # in the order of their last use
        self._all: set[WorkerProcess] = set()
        self._old: set[WorkerProcess] = set()  # busy workers to be replaced after their job
        self._told: set[object] = set()  # changes of modules that were told in a log
        self._latest: Setup | None = None  # the setup that the next job will probably want
        self._failed_starts = 0
        self._keep_values = False  # a worker has kept a value of a job, at any time
        self._closing = False
        self._on_empty: Callable[[], None] | None = None

    def give(
        self, task: Task, make: MakeFrames, setup: Setup, code: Packed, *, fresh: bool
    ) -> WorkerProcess | None:
        """Give `task` to a worker and return that; None if there is none: add one, try again."""
        while True:
            with self._lock.held:
                self._latest = setup
                worker = self._pick(fresh, setup, code)
                spare_wanted = not self._idle
            if worker is None:
                return None
            if self._is_stale(worker, task):
                worker.close()
                continue
            try:
                number, frames = make(worker)
            except BaseException:
                with self._lock.held:
                    self._idle.append(worker)
                raise
            worker.code = code
            if worker.give(task, frames, number):
                if spare_wanted:
                    self._io.call_later(SPARE_DELAY, self.keep_spare)
                return worker

    def _is_stale(self, worker: WorkerProcess, task: Task) -> bool:
        """True if a user's module was changed after the worker imported it; told once in a log."""
        path = worker.sources.changed()
        if path is None:
            return False
        copy = path, stamp_of(path)
        if copy not in self._told:
            self._told.add(copy)
            name = os.path.basename(path)
            text = f"[{name} has changed since it was imported: a new worker runs this job]\n"
            task.on_log(text.encode("utf-8", "backslashreplace"))
        return True

    def _places(self, code: Packed) -> Sequence[int]:
        """List places of idle workers, the best for this function first. Under the lock."""
        places = range(len(self._idle) - 1, -1, -1)
        if not self._keep_values:
            return places
        digest = code.digest
        return sorted(places, key=lambda place: self._idle[place].rank_for(digest))

    def _pick(self, fresh: bool, setup: Setup, code: Packed) -> WorkerProcess | None:
        for place in self._places(code):
            worker = self._idle[place]
            if not worker.serves(setup) or (fresh and worker.jobs_done):
                continue
            del self._idle[place]
            return worker
        return None

    def workers(self) -> list[tuple[WorkerProcess, bool]]:
        """List all workers, and whether each is at work."""
        with self._lock.held:
            return [(worker, worker not in self._idle) for worker in self._all]

    def next_worker(
        self, fits: Callable[[WorkerProcess], bool], code: Packed
    ) -> WorkerProcess | None:
        """Find the idle worker that a job of this function would get, of those that fit it."""
        with self._lock.held:
            workers = (self._idle[place] for place in self._places(code))
            return next((worker for worker in workers if fits(worker)), None)

    def let_go(self, worker: WorkerProcess) -> bool:
        """End an idle worker; False if it is at work."""
        with self._lock.held:
            if worker not in self._idle:
                return False
            self._idle.remove(worker)
        worker.close()
        return True

    # -- I/O thread --------------------------------------------------------------------------

    def add_worker(self, setup: Setup) -> BaseException | None:
        """Start one more worker, if need be in place of an idle one with another setup.

        Returns:
            Why it could not be started, if so.
        """
        worker = WorkerProcess(
            self._io,
            [sys.executable],
            setup.environ,
            self._run_id,
            self._freed,
            self._lost,
            setup.at_start,
            self._ready,
        )
        leaves: list[WorkerProcess] = []
        with self._lock.held:
            if self._closing:
                return None
            if len(self._all) > self._lanes:
                leaves = [other for other in self._idle if not other.serves(setup)][:1]
                self._idle = [other for other in self._idle if other not in leaves]
            self._all.add(worker)
            self._idle.insert(0, worker)
        for other in leaves:
            other.close()
        worker.start()
        return worker.start_error

    def keep_spare(self) -> None:
        """Keep one idle worker beside busy ones, so that the next job never waits for a start."""
        with self._lock.held:
            setup = self._latest
            wanted = (
                not self._closing
                and setup is not None
                and not any(worker.serves(setup) for worker in self._idle)
                and len(self._all) <= self._lanes
                and self._failed_starts < FAILED_STARTS
            )
        if wanted and setup is not None:
            self.add_worker(setup)

    def _ready(self, worker: WorkerProcess) -> None:
        """Let a new worker go if there are enough; it is idle, or about to be given a job."""
        with self._lock.held:
            self._failed_starts = 0
            leaves = worker in self._idle and len(self._all) > self._lanes + 1
            if leaves:
                self._idle.remove(worker)
        if leaves:
            worker.close()
            self.keep_spare()

    def _freed(self, worker: WorkerProcess) -> None:
        """Take back a worker that was given a job."""
        with self._lock.held:
            self._failed_starts = 0
            self._keep_values = self._keep_values or bool(worker.kept)
            worn = self._recycle_after is not None and worker.jobs_done >= self._recycle_after
            surplus = len(self._all) > self._lanes + 1
            leaves = self._closing or worn or worker in self._old or surplus
            if not leaves and worker not in self._idle:
                self._idle.append(worker)
        if leaves:
            worker.close()
            self.keep_spare()

    def _lost(self, worker: WorkerProcess) -> None:
        with self._lock.held:
            self._all.discard(worker)
            self._old.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)
            if not worker.was_ready:
                self._failed_starts += 1
            empty = self._on_empty if not self._all else None
        if empty is not None:
            empty()
        elif worker.was_ready:
            self.keep_spare()

    # -- replacing and closing -----------------------------------------------------------------

    def replace_all(self) -> None:
        """Replace idle workers now and busy ones after their job."""
        with self._lock.held:
            idle, self._idle = self._idle, []
            self._old = self._all - set(idle)
        for worker in idle:
            worker.close()

    def retire(self, worker: WorkerProcess) -> None:
        """Give no further job to a worker."""
        with self._lock.held:
            self._old.add(worker)

    def close(self, on_empty: Callable[[], None]) -> None:
        """Let every worker exit, and call `on_empty` when all have ended. Any thread."""
        with self._lock.held:
            self._closing = True
            self._on_empty = on_empty
            workers, idle = list(self._all), list(self._idle)
            self._idle.clear()
        for worker in workers:
            if worker in idle:
                worker.close()
            else:
                worker.kill(None, "the queue stopped")
        if not workers:
            on_empty()

    def kill_now(self) -> bool:
        """End all workers at once, without the I/O thread; True if all are gone in a second."""
        with self._lock.held:
            self._closing = True
            workers = list(self._all)
        return end_now(workers)

    def forget_after_fork(self) -> None:
        """Forget the workers in a forked child: they are the parent's."""
        self._lock = Lock()
        for worker in self._all:
            worker.forget_after_fork()
        self._all.clear()
        self._idle.clear()
