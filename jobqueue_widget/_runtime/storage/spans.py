"""Remembers which attempt ran when on which lane, and when the queue was paused; both bounded."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ..._core.events import Restored
from ..._core.jobs import FAILED, PENDING, RUNNING, JobRecord, JobStatus
from ..._core.lanes.bars import UNKNOWN, Span, placed
from ..._core.state import Pause
from ..._core.stored import Session

BEYOND = 10_000  # attempts that are remembered beyond the jobs that are kept
MOST_PAUSES = 1_000
AWAY = "no kernel had the queue"

_Attempt = tuple[int, float, float, JobStatus, str, int]
"""A lane, start and end, how it ended, the id of the job, and which attempt it was."""


class QueuePause(NamedTuple):
    """A time in which nothing new was started.

    Attributes:
        start: epoch seconds.
        end: the same; of a pause that goes on: now.
        reason: as it was told.
        away: True if no kernel had the queue's journal.

    """

    start: float
    end: float
    reason: str
    away: bool = False


class Spans:
    """The lanes of one queue over time. Under the engine's lock."""

    def __init__(self, kept: int) -> None:
        self._free: list[int] = []
        self._lanes = 0
        self._ended: deque[_Attempt] = deque(maxlen=kept + BEYOND)
        self._unplaced = False
        self.restored_at: float | None = None  # when the journal was taken over
        self._cut_off: set[str] = set()  # jobs that ended with their kernel
        self._pause: Pause | None = None
        self._pauses: deque[QueuePause] = deque(maxlen=MOST_PAUSES)

    def begin(self) -> int:
        """Take the first lane that is free."""
        if self._free:
            return heapq.heappop(self._free)
        self._lanes += 1
        return self._lanes - 1

    def end(
        self, job: JobRecord, lane: int, attempt: int, started_at: float | None, now: float
    ) -> None:
        """Note that an attempt has ended; None: it was never begun. Its lane is free."""
        heapq.heappush(self._free, lane)
        if started_at is not None:
            status = FAILED if job.status is PENDING else job.status  # that one is tried again
            self._ended.append((lane, started_at, now, status, job.id, attempt))

    def restored(self, event: Restored) -> None:
        """Note the last attempt that a journal tells of a job that ran in an earlier kernel."""
        job, start = event.job, event.job.started_at
        if start is None or event.was is PENDING or event.goes_on:
            return
        end, status, attempt = job.completed_at, job.status, job.attempt
        if not job.status.ended:  # it ran when its kernel died, and is tried again
            end, status, attempt = event.seen_at, FAILED, attempt - 1
        elif event.was is RUNNING:
            self._cut_off.add(job.id)
        self._ended.append((UNKNOWN, start, end or start, status, job.id, attempt))
        self._unplaced = True

    def sessions(self, sessions: Sequence[Session], now: float) -> None:
        """Note when no kernel had the journal; the last session is ours."""
        self.restored_at = now if len(sessions) > 1 else None
        for before, after in pairwise(sessions):
            end = before.seen_at if before.ended_at is None else before.ended_at
            if after.started_at > end:
                self._pauses.append(QueuePause(end, after.started_at, AWAY, True))

    def end_of(self, job: JobRecord) -> float:
        """Return when a job ended; of one that its kernel took along, when that was found."""
        if self.restored_at is not None and job.id in self._cut_off:
            return self.restored_at
        return job.completed_at or 0.0

    def note_pause(self, pause: Pause | None, now: float) -> None:
        """Note that the queue is paused now, or goes on."""
        before, self._pause = self._pause, pause
        if before is not None and before is not pause:
            end = now if pause is None else pause.since
            self._pauses.append(QueuePause(before.since, max(before.since, end), before.reason))

    def read(self) -> list[Span]:
        """Return the attempts that have ended, by their ends as far as clocks did not jump."""
        found = [
            Span(lane, start, max(start, end), status.value, job_id, attempt)
            for lane, start, end, status, job_id, attempt in self._ended
        ]
        if self._unplaced:
            found = placed(found)
            self._ended.clear()
            self._ended.extend(
                (lane, start, end, JobStatus(status), job_id, attempt)
                for lane, start, end, status, job_id, attempt in found
            )
            self._unplaced = False
        return found

    def pauses(self, now: float) -> list[QueuePause]:
        """Return the pauses, also the one of now."""
        found = list(self._pauses)
        if self._pause is not None:
            since = self._pause.since
            found.append(QueuePause(since, max(since, now), self._pause.reason))
        return found
