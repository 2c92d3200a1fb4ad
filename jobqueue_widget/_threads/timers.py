"""Keeps the timers of jobs (grace period, time limit, back-off, hold), on an injected clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from .._core.effects import TimerKind
from .._core.jobs import JobRecord
from .listeners import nothing

Key = tuple[str, TimerKind]
Fire = Callable[[JobRecord, TimerKind, int], None]


class CallLater(Protocol):
    """Anything that can call back later: the I/O thread, an event loop, a test's clock."""

    def __call__(
        self, seconds: float, callback: Callable[..., object], *args: object
    ) -> Callable[[], None]:
        """Call back after `seconds`; returns what cancels it."""
        ...


class Timers:
    """At most one timer per job and kind.

    Every method is called under the lock of the engine, so arming and disarming happen in the
    order of the transitions that wanted them; `fire` is called without it and must check
    `take`, under the lock, that its timer is still the one that counts.
    """

    def __init__(
        self, call_later: CallLater, fire: Fire, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._call_later = call_later
        self._fire = fire
        self._monotonic = monotonic
        self._suspended = False
        self._token = 0
        self._armed: dict[Key, tuple[int, float, JobRecord, Callable[[], None]]] = {}

    def arm(self, job: JobRecord, kind: TimerKind, seconds: float) -> None:
        """Start, or start again, the timer of this kind."""
        self.disarm(job, kind)
        self._arm_at(job, kind, self._monotonic() + seconds)

    def _arm_at(self, job: JobRecord, kind: TimerKind, due: float) -> None:
        self._token += 1
        cancel: Callable[[], None] = nothing
        if not self._suspended:
            seconds = max(0.0, due - self._monotonic())
            cancel = self._call_later(seconds, self._fire, job, kind, self._token)
        self._armed[job.id, kind] = (self._token, due, job, cancel)

    def disarm(self, job: JobRecord, kind: TimerKind) -> None:
        """Forget it, if there is one."""
        entry = self._armed.pop((job.id, kind), None)
        if entry is not None:
            entry[3]()

    def take(self, job: JobRecord, kind: TimerKind, token: int) -> bool:
        """True, once, if the timer that fired is the one that is armed."""
        entry = self._armed.get((job.id, kind))
        if entry is None or entry[0] != token:
            return False
        del self._armed[job.id, kind]
        return True

    def seconds_left(self, job: JobRecord, kind: TimerKind) -> float | None:
        """Until it fires; None if it is not armed."""
        entry = self._armed.get((job.id, kind))
        return None if entry is None else max(0.0, entry[1] - self._monotonic())

    @property
    def count(self) -> int:
        """How many are armed."""
        return len(self._armed)

    def suspend(self) -> None:
        """Keep the instants and let go of the calls, when the clock's thread goes away."""
        self._suspended = True
        for entry in self._armed.values():
            entry[3]()

    def resume(self) -> None:
        """Arm again what is still wanted, at the same instants."""
        self._suspended = False
        for (_, kind), (_, due, job, _) in list(self._armed.items()):
            self._arm_at(job, kind, due)
