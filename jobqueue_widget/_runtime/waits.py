"""Jobs that wait for jobs: finds it when none of them could ever go on, and says so to one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._core.jobs import JobRecord
from .._threads.locks import Lock
from ..child.job_context import current_job
from ..errors import WouldDeadlockError
from .lifecycle import started_engines

if TYPE_CHECKING:
    from .engine_view import EngineView
    from .waiting import Waiter


@dataclass(eq=False, slots=True)
class Wait:
    """One job's code waits for another job, for as long as it takes."""

    job: JobRecord
    lanes: EngineView  # of the job that is waited for
    target: JobRecord
    waiter: Waiter


class Waits:
    """All such waits of this process: a circle may go through several queues.

    A wait with a time limit ends by itself, so it is none of these. A job that waits for several
    at a time goes on as long as one of them may end.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._all: list[Wait] = []

    @contextmanager
    def entered(
        self, engine: EngineView, target: JobRecord, waiter: Waiter, timeout: float | None
    ) -> Iterator[None]:
        """While the code of a job (or anybody else's) waits for `target`.

        Raises:
            WouldDeadlockError: all lanes would be held by jobs that wait for pending ones.
        """
        job = None if timeout is not None else _job_of_this_code()
        if job is None:
            yield
            return
        wait = Wait(job, engine, target, waiter)
        with self._lock.held:  # of two that close a circle together the second one is told
            self._all.append(wait)
            stuck = self._stuck()
            if job in stuck:
                self._all.remove(wait)
                raise WouldDeadlockError(self._text(wait, stuck))
        try:
            yield
        finally:
            self._leave(wait)

    def _leave(self, wait: Wait) -> None:
        """Take a wait away, and tell one that can never end now."""
        with self._lock.held:
            self._all.remove(wait)
            stuck = self._stuck()
            told = next((one for one in self._all if one.job in stuck), None)
            text = "" if told is None else self._text(told, stuck)
        if told is not None:
            told.waiter.settle(WouldDeadlockError(text))

    def _stuck(self) -> set[JobRecord]:  # under the lock
        """The most jobs that only wait for one another, and for pending ones that get no lane."""
        waits: dict[JobRecord, list[Wait]] = {}
        for wait in self._all:
            waits.setdefault(wait.job, []).append(wait)
        stuck = {job for job in waits if not job.status.ended}
        while loose := {job for job in stuck if not all(_never_ends(w, stuck) for w in waits[job])}:
            stuck -= loose
        return stuck

    def _text(self, wait: Wait, stuck: Iterable[JobRecord]) -> str:  # under the lock
        others = [one for one in self._all if one.job in stuck and one.job is not wait.job]
        told = "".join(f"; {_named(one.job)} waits for {_named(one.target)}" for one in others)
        lanes = wait.lanes.max_running
        return (
            f"{_named(wait.job)} would wait for {_named(wait.target)} for ever: every lane "
            f"({lanes}) is held by a job that waits{told}. Cures: more lanes (max_running="
            f"{lanes + 1}); or submit the work that needs the results when they are there, with "
            "the results as its arguments (options(after=…) orders it)"
        )


def _never_ends(wait: Wait, stuck: set[JobRecord]) -> bool:
    """True if those would have to go on first. Read without the engine's lock, so: now."""
    target, state = wait.target, wait.lanes.state
    if target.status.ended:
        return False
    running = list(state.running.values())
    if target.entry is None:
        return target in stuck
    if state.lanes_taken < wait.lanes.max_running or state.lanes_taken > len(running):
        return False  # a lane is free, or will be once something else is gone
    return all(job in stuck for job in running)


def _job_of_this_code() -> JobRecord | None:
    """The running job, of whatever queue, whose code this is."""
    name = current_job().id
    if name is None:
        return None
    found = (engine.state.running.get(name) for engine in started_engines())
    return next((job for job in found if job is not None), None)


def _named(job: JobRecord) -> str:
    return f"job {job.spec.title!r} ({job.id[:8]})"


WAITS = Waits()
