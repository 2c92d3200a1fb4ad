"""What can happen to a job or to the queue. Events are facts or requests; they decide nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .jobs import BlockReason, JobFailure, JobRecord, JobStatus, Outcome


@dataclass(slots=True)
class JobEventBase:
    """Something about one job. A *command* that does not fit is refused; another kind is a bug."""

    job: JobRecord
    code: ClassVar[str] = "?"
    is_command: ClassVar[bool] = False


@dataclass(slots=True)
class Submitted(JobEventBase):
    """A new job was accepted; `parents` are the jobs it waits for."""

    parents: tuple[JobRecord, ...] = ()
    code: ClassVar[str] = "S"


@dataclass(slots=True)
class Restored(JobEventBase):
    """A job that a journal kept; its record says what it was, `was` where it was.

    `asked`: it ran and somebody wanted it to end. `seen_at`: when its kernel last gave a sign of
    life (epoch seconds). `hold_left`: what is left of the time of its hold, in seconds.
    """

    was: JobStatus
    parents: tuple[JobRecord, ...] = ()
    asked: bool = False
    seen_at: float = 0.0
    hold_left: float | None = None
    code: ClassVar[str] = "R"


@dataclass(slots=True)
class Reprioritized(JobEventBase):
    """Give the job another priority; its rank stays."""

    priority: int
    code: ClassVar[str] = "p"
    is_command: ClassVar[bool] = True


@dataclass(slots=True)
class Moved(JobEventBase):
    """Move the job: beside `anchor`, or at one end (`anchor` None)."""

    anchor: JobRecord | None
    where: Literal["before", "after", "top", "bottom"]
    code: ClassVar[str] = "m"
    is_command: ClassVar[bool] = True

    @property
    def anchor_is_gone(self) -> bool:
        """True if there was one and it is pending no more."""
        return self.anchor is not None and self.anchor.entry is None


@dataclass(slots=True)
class Held(JobEventBase):
    """Keep the place but do not start; `seconds` None = until released."""

    seconds: float | None
    then: Literal["release", "cancel"]
    code: ClassVar[str] = "h"
    is_command: ClassVar[bool] = True


@dataclass(slots=True)
class Released(JobEventBase):
    """A hold is lifted by a caller."""

    code: ClassVar[str] = "r"
    is_command: ClassVar[bool] = True


@dataclass(slots=True)
class HoldExpired(JobEventBase):
    """The time of a hold is over."""

    code: ClassVar[str] = "H"


@dataclass(slots=True)
class BackoffOver(JobEventBase):
    """A retry may start now."""

    attempt: int
    code: ClassVar[str] = "B"


@dataclass(slots=True)
class RoomMade(JobEventBase):
    """Report what was unloaded after the job ran out of memory (none: nothing has changed)."""

    attempt: int
    unloaded: tuple[str, ...]
    code: ClassVar[str] = "M"


@dataclass(slots=True)
class Blocked(JobEventBase):
    """The dispatcher found that it may not start now (None: the reason is gone)."""

    reason: BlockReason | None
    code: ClassVar[str] = "b"


@dataclass(slots=True)
class Refused(JobEventBase):
    """The dispatcher found that it can never start here."""

    failure: JobFailure
    code: ClassVar[str] = "x"


@dataclass(slots=True)
class Launched(JobEventBase):
    """The dispatcher gave it a lane."""

    executor_name: str
    can_kill: bool
    code: ClassVar[str] = "L"


@dataclass(slots=True)
class PhaseChanged(JobEventBase):
    """What a launched job does before its body runs; None: the body runs. `where` None: as told."""

    attempt: int
    text: str | None
    where: str | None = None
    code: ClassVar[str] = "f"


@dataclass(slots=True)
class Progressed(JobEventBase):
    """`fraction` 0.0-1.0, or None for unknown; `message` None keeps the last one."""

    attempt: int
    fraction: float | None
    message: str | None
    code: ClassVar[str] = "."


@dataclass(slots=True)
class CancelRequested(JobEventBase):
    """Somebody wants it to end; `timeout` is the time to listen before force, in seconds."""

    force: bool
    timeout: float
    reason: str
    code: ClassVar[str] = "c"
    is_command: ClassVar[bool] = True


@dataclass(slots=True)
class CancelTimedOut(JobEventBase):
    """The grace period is over and the job, which was asked to stop, still runs."""

    attempt: int
    code: ClassVar[str] = "C"


@dataclass(slots=True)
class TimedOut(JobEventBase):
    """The job has run into its own time limit; `timeout` as in CancelRequested."""

    attempt: int
    timeout: float
    code: ClassVar[str] = "T"


@dataclass(slots=True)
class Ended(JobEventBase):
    """The work of this attempt is really gone; `idle` could be unloaded if it lacked memory."""

    attempt: int
    outcome: Outcome
    idle: tuple[str, ...] = ()
    code: ClassVar[str] = "E"


@dataclass(slots=True)
class KillFailed(JobEventBase):
    """The work could not be ended; it still has its lane."""

    attempt: int
    reason: str
    code: ClassVar[str] = "K"


@dataclass(slots=True)
class ResultMoved(JobEventBase):
    """What an ended job returned is kept in another place, or (a `NotKept`) no longer."""

    result: object
    code: ClassVar[str] = "k"


Event = (
    Submitted
    | Restored
    | Reprioritized
    | Moved
    | Held
    | Released
    | HoldExpired
    | BackoffOver
    | RoomMade
    | Blocked
    | Refused
    | Launched
    | PhaseChanged
    | Progressed
    | CancelRequested
    | CancelTimedOut
    | TimedOut
    | Ended
    | KillFailed
    | ResultMoved
)
"""Every event about a job; ended parents reach their children inside the core."""
