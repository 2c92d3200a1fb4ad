"""What executors may use of a running queue."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .engine_view import EngineView

if TYPE_CHECKING:
    from .._threads.timers import Timers
    from ..protocols import IoThread
    from .engine_view import LifeView
    from .storage.spool import Spool

ON_WINDOWS = (
    "on Windows a job ends with its kernel; leave it out, and give idempotent=True and retries to "
    "a job of a journal, which the next kernel then runs again"
)
NO_JOURNAL = 'it needs a journal, where the next kernel finds it: JobQueue(journal="runs.db")'


class HasTimers(EngineView, Protocol):
    """What this uses of its engine besides."""

    timers: Timers


class QueueContext:
    """The engine as executors see it: `protocols.ExecutorContext`."""

    def __init__(self, engine: HasTimers, life: LifeView, io: IoThread, spool: Spool) -> None:
        self._engine: HasTimers = weakref.proxy(engine)
        self._life: LifeView = weakref.proxy(life)
        self._spool: Spool = weakref.proxy(spool)
        settings = engine.settings
        self.io = io
        self.run_id = engine.run_id
        self.queue_name = settings.name or engine.run_id
        self.max_result_bytes = settings.max_result_bytes
        self.env = settings.env
        self.recycle_after = settings.recycle_after
        # Else what `workers.detached` keeps their folders in.
        self.detached: object = ON_WINDOWS if sys.platform == "win32" else NO_JOURNAL
        self.loop: asyncio.AbstractEventLoop

    @property
    def cancel_timeout(self) -> float:
        """Seconds between asking and forcing, as it is set now."""
        return self._engine.settings.cancel_timeout

    @property
    def progress_poll_interval(self) -> float:
        """Seconds between polls of a plugin's progress, as it is set now."""
        return self._engine.settings.progress_poll_interval

    @property
    def max_running(self) -> int:
        """How many lanes there are now."""
        return self._engine.max_running

    def call_on_loop(self, callback: Callable[..., object], *args: object) -> None:
        """Run the callback on the owner loop soon; dropped if the loop is gone."""
        self._life.post(callback, *args)

    def deadline_left(self, job_id: str) -> float | None:
        """Seconds until a job's deadline, if it has one that has not passed."""
        return self._engine.timers.seconds_left(self._engine.state.jobs[job_id], "deadline")

    def spool_dir(self) -> Path:
        """A private folder (0700) for large files."""
        return self._spool.path()
