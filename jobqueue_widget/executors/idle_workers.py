"""Warm workers of plain functions as something that holds memory, and may be let go for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from .._threads.listeners import nothing
from ..protocols import LoadedPlugin
from ..workers.packing import Packed
from ..workers.pool import Pool
from ..workers.process import WorkerProcess

GONE_PATIENCE = 5.0
LOOK_INTERVAL = 0.01


class IdleWorkers:
    """A `protocols.OffersResources`: each worker is one, needs nothing and may go while it is idle.

    A function may keep something large in its worker for the next call. Whoever needs that memory
    more has the worker ended; the next function gets another.
    """

    def __init__(self, pool: Callable[[], Pool | None]) -> None:
        self._pool = pool

    def requirements(self, name: str) -> Mapping[str, float]:
        """Return nothing: what a function needs, its job says."""
        return {}

    def loaded(self) -> list[LoadedPlugin]:
        """List every worker with a process; they are let go before any plugin is."""
        pool = self._pool()
        workers = [] if pool is None else pool.workers()
        return [
            LoadedPlugin(name_of(worker.pid), worker.pid, busy, 0.0)
            for worker, busy in workers
            if worker.pid
        ]

    def next_name(self, fits: Callable[[WorkerProcess], bool], code: Packed) -> str | None:
        """Name the worker that a job of this function would get, of those that fit it."""
        pool = self._pool()
        worker = None if pool is None else pool.next_worker(fits, code)
        return None if worker is None or not worker.pid else name_of(worker.pid)

    def evict(self, name: str) -> str | None:
        """End a worker by name; return why not, or None. Blocks until it is gone."""
        pool = self._pool()
        for worker, _ in () if pool is None else pool.workers():
            if name_of(worker.pid) == name:
                assert pool is not None
                if not pool.let_go(worker):
                    return "busy"
                deadline = time.monotonic() + GONE_PATIENCE
                while not worker.gone and time.monotonic() < deadline:
                    time.sleep(LOOK_INTERVAL)
                return None if worker.gone else "it is still there"
        return "not loaded"

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Do nothing: the ends of their jobs tell what matters."""
        return nothing


def name_of(pid: int) -> str:
    """Name a worker in a sentence."""
    return f"worker {pid}"
