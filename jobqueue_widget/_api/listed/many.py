"""Acts on many jobs of a list at once; the last one can be undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from ..._core.jobs import FAILED, JobRecord
from ...errors import JobQueueError
from ...job import Job
from ..control import Control

UNDO_SECONDS = 8.0  # so long a removed job is held before it is cancelled
REASON = "cancelled in the widget"

ActName = Literal["cancel", "retry", "hold", "release"]


class Undo(Protocol):
    """Takes back what was done, as far as nothing has come of it; returns of how many jobs."""

    def __call__(self) -> int: ...


class Many:
    """What a front end does to several jobs of one queue. Any thread."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._undo: Undo = lambda: 0
        self._acts: dict[ActName, Callable[[Sequence[JobRecord]], tuple[int, Undo]]] = {
            "cancel": self._cancel,
            "retry": self._retry,
            "hold": self._hold,
            "release": self._release,
        }

    def act(self, name: ActName, jobs: Sequence[JobRecord]) -> int:
        """Do it to those of these jobs of which it can be done; return how many these are."""
        count, undo = self._acts[name](jobs)
        if count:
            self._undo = undo
        return count

    def undo(self) -> int:
        """Take back the last act; return of how many jobs."""
        undo, self._undo = self._undo, lambda: 0
        return undo()

    def _cancel(self, jobs: Sequence[JobRecord]) -> tuple[int, Undo]:
        """Ask running jobs to stop, and hold pending ones for a while before they are cancelled."""
        control = self._control
        running = [job for job in jobs if job.entry is None and not job.status.ended]
        pending = [job for job in jobs if job.entry is not None]
        held = [job for job in pending if job.held and job.hold_then != "cancel"]
        stopped = control.cancel_several(running, False, None, REASON) if running else 0
        count = control.hold_several(lambda: pending, UNDO_SECONDS, "cancel", ())

        def undo() -> int:
            left = [job for job in pending if job.entry is not None and job.hold_then == "cancel"]
            released = control.release_several(left)
            control.hold_several(lambda: [job for job in held if job in left], None, "release", ())
            return released

        return stopped + count, undo

    def _retry(self, jobs: Sequence[JobRecord]) -> tuple[int, Undo]:
        """Queue failed jobs again, but for those that were already, or that cannot be."""
        control = self._control
        again: list[JobRecord] = []
        for job in jobs:
            if job.status is not FAILED or job.retried_by is not None:
                continue
            try:
                again.append(Job(job, control).retry()._record)
            except JobQueueError:  # its row says why, when that one is tried alone
                continue

        def undo() -> int:
            waiting = [job for job in again if job.entry is not None]
            return control.cancel_several(waiting, False, None, "undone in the widget")

        return len(again), undo

    def _hold(self, jobs: Sequence[JobRecord]) -> tuple[int, Undo]:
        control = self._control
        chosen = [job for job in jobs if job.entry is not None and not job.held]
        count = control.hold_several(lambda: chosen, None, "release", ())
        return count, lambda: control.release_several([job for job in chosen if job.held])

    def _release(self, jobs: Sequence[JobRecord]) -> tuple[int, Undo]:
        control = self._control
        chosen = [job for job in jobs if job.entry is not None and job.held]
        count = control.release_several(chosen)
        return count, lambda: control.hold_several(lambda: chosen, None, "release", ())
