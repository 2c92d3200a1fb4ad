"""What the runtime must do after a transition; the core itself does nothing."""

from __future__ import annotations

from typing import Literal

from .jobs import JobRecord
from .spec import EMPTY

TimerKind = Literal["grace", "limit", "backoff", "hold", "deadline"]
TIMER_BITS: dict[TimerKind, int] = {"grace": 1, "limit": 2, "backoff": 4, "hold": 8, "deadline": 16}


class Effect:
    """Something the runtime must do for one job."""

    __slots__ = ("job",)

    def __init__(self, job: JobRecord) -> None:
        self.job = job

    def __repr__(self) -> str:
        details = [f"{name}={getattr(self, name)!r}" for name in type(self).__slots__]
        return f"{type(self).__name__}({self.job.id}{''.join(', ' + text for text in details)})"

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]


class Launch(Effect):
    """Start the attempt on its executor."""

    __slots__ = ()


class Ask(Effect):
    """Ask the execution to stop."""

    __slots__ = ()


class Kill(Effect):
    """Force the execution to end."""

    __slots__ = ()


class MakeRoom(Effect):
    """Unload idle plugins, and tell the core which ones."""

    __slots__ = ()


class Wake(Effect):
    """Run the dispatcher: a job may be able to start, or a lane is free."""

    __slots__ = ()


class ReleaseWaiters(Effect):
    """Wake whoever waits for the end of the job."""

    __slots__ = ()


class Evict(Effect):
    """Drop what the runtime holds of a job that is no longer kept (its log)."""

    __slots__ = ()


class Paused(Effect):
    """Tell that the queue was paused because of this job."""

    __slots__ = ()


class Superseded(Effect):
    """Show that another try has taken the place of this job, which has ended."""

    __slots__ = ()


class Reranked(Effect):
    """Write down a rank that was changed to make room for another job; nobody is told."""

    __slots__ = ()


class Recalled(Effect):
    """Write down that a stop which its time limit had caused is a cancellation; nobody is told."""

    __slots__ = ()


class ArmTimer(Effect):
    """Start the job's timer of this kind: after `seconds` the core gets the event it stands for."""

    __slots__ = ("kind", "seconds")

    def __init__(self, job: JobRecord, kind: TimerKind, seconds: float) -> None:
        self.job = job
        self.kind = kind
        self.seconds = seconds


class DisarmTimer(Effect):
    """Cancel the job's timer of this kind."""

    __slots__ = ("kind",)

    def __init__(self, job: JobRecord, kind: TimerKind) -> None:
        self.job = job
        self.kind = kind


class Publish(Effect):
    """Tell subscribers; `type` is the public name of the event, `payload` its details."""

    __slots__ = ("payload", "type")

    def __init__(self, job: JobRecord, type: str, payload: object = EMPTY) -> None:
        self.job = job
        self.type = type
        self.payload = payload
