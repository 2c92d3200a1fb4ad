"""The events that can happen to a job or to the queue: facts and requests, which decide nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from .effects import TimerKind
from .jobs import BlockReason, JobFailure, JobRecord, JobStatus, Outcome
from .sweeps.group import Group

Accepted = Sequence[tuple[JobRecord, tuple[JobRecord, ...]]]
"""New jobs, each with those that it waits for."""
Repeated = Mapping[JobRecord, JobRecord]
"""By new jobs: the jobs that they are another try of."""
NONE_REPEATED: Repeated = MappingProxyType({})


@dataclass(slots=True)
class Event:
    """An event of one job. A *command* that does not fit is refused; any other is a bug."""

    job: JobRecord
    code: ClassVar[str] = "?"
    is_command: ClassVar[bool] = False

    def __init_subclass__(cls, *, code: str = "", is_command: bool = False) -> None:
        if code:  # else it is made once more, with its slots
            cls.code, cls.is_command = code, is_command


@dataclass(slots=True)
class Submitted(Event, code="S"):
    """A new job was accepted; `parents` are the jobs it waits for, `repeated` what it repeats."""

    parents: tuple[JobRecord, ...] = ()
    repeated: JobRecord | None = None


@dataclass(slots=True)
class Restored(Event, code="R"):
    """A journal had the job, with status `was`; `parents` are the jobs it waits for.

    Whoever restores has counted in `taken_by` of each the jobs that take its result.

    `asked`: it ran and somebody wanted it to end. `seen_at`: when its kernel last gave a sign of
    life (epoch seconds). `hold_left`, `delay_left` and `deadline_left`: seconds that are left.
    `goes_on`: it ran, and needs no kernel for that; `grace` as the `timeout` of CancelRequested.
    """

    was: JobStatus
    parents: tuple[JobRecord, ...] = ()
    asked: bool = False
    seen_at: float = 0.0
    hold_left: float | None = None
    delay_left: float | None = None
    deadline_left: float | None = None
    goes_on: bool = False
    grace: float = 0.0


@dataclass(slots=True)
class Joined(Event, code="g"):
    """The job is one more item of a group, also of the one that its queue has by that name."""

    group: Group | str


@dataclass(slots=True)
class Reprioritized(Event, code="p", is_command=True):
    """Give the job another priority; its rank stays."""

    priority: int


@dataclass(slots=True)
class Moved(Event, code="m", is_command=True):
    """Move the job: beside `anchor`, or at one end (`anchor` None)."""

    anchor: JobRecord | None
    where: Literal["before", "after", "top", "bottom"]

    @property
    def anchor_is_gone(self) -> bool:
        """True if there was an anchor and it is pending no more."""
        return self.anchor is not None and self.anchor.entry is None


@dataclass(slots=True)
class Resubmitted(Event, code="k", is_command=True):
    """The user has submitted the key of this pending job again, and is given this job."""


@dataclass(slots=True)
class Held(Event, code="h", is_command=True):
    """Hold the job in its place; `seconds` None: until it is released."""

    seconds: float | None
    then: Literal["release", "cancel"]


@dataclass(slots=True)
class Released(Event, code="r", is_command=True):
    """A caller ends the hold of the job."""


@dataclass(slots=True)
class HoldExpired(Event, code="H"):
    """The time of the job's hold is over."""


@dataclass(slots=True)
class BackoffOver(Event, code="B"):
    """The job's back-off is over, so that its next attempt may start."""

    attempt: int


@dataclass(slots=True)
class RoomMade(Event, code="M"):
    """What was unloaded after the job ran out of memory; nothing if `unloaded` is empty."""

    attempt: int
    unloaded: tuple[str, ...]


@dataclass(slots=True)
class Blocked(Event, code="b"):
    """The dispatcher found why the job may not start now; None if nothing keeps it any more."""

    reason: BlockReason | None


@dataclass(slots=True)
class Refused(Event, code="x"):
    """The dispatcher found that the job can never start here."""

    failure: JobFailure


@dataclass(slots=True)
class Launched(Event, code="L"):
    """The dispatcher gave the job a lane."""

    executor_name: str
    can_kill: bool


@dataclass(slots=True)
class PhaseChanged(Event, code="f"):
    """The phase of a launched job; `text` None: its body runs; `where` None: as told before."""

    attempt: int
    text: str | None
    where: str | None = None


@dataclass(slots=True)
class Progressed(Event, code="."):
    """A report of progress: `fraction` 0.0-1.0 or None if unknown; `message` None: as before."""

    attempt: int
    fraction: float | None
    message: str | None


@dataclass(slots=True)
class CancelRequested(Event, code="c", is_command=True):
    """Somebody wants the job to end; `timeout` is the grace period before force, in seconds."""

    force: bool
    timeout: float
    reason: str


@dataclass(slots=True)
class Withdrawn(Event, code="w", is_command=True):
    """Somebody wants the job not to run, unless it does already."""

    reason: str


@dataclass(slots=True)
class CancelTimedOut(Event, code="C"):
    """The grace period is over and the job, which was asked to stop, still runs."""

    attempt: int


@dataclass(slots=True)
class TimedOut(Event, code="T"):
    """The job has run into its own time limit; `timeout` as in CancelRequested."""

    attempt: int
    timeout: float


@dataclass(slots=True)
class DeadlinePassed(Event, code="D"):
    """The time since the submit that the job was given is over; `timeout` as in CancelRequested."""

    timeout: float


@dataclass(slots=True)
class Ended(Event, code="E"):
    """The work of this attempt has really ended; `idle` could be unloaded if it lacked memory."""

    attempt: int
    outcome: Outcome
    idle: tuple[str, ...] = ()


@dataclass(slots=True)
class KillFailed(Event, code="K"):
    """The work could not be ended; it still has its lane."""

    attempt: int
    reason: str


@dataclass(slots=True)
class ResultMoved(Event, code="k"):
    """The result of an ended job is kept in another place, or (a `NotKept`) no longer."""

    result: object


def of_timer(job: JobRecord, kind: TimerKind, grace: float) -> Event:
    """Return the event of a timer that is due; `grace` as the `timeout` of CancelRequested."""
    if kind == "grace":
        return CancelTimedOut(job, job.attempt)
    if kind == "limit":
        return TimedOut(job, job.attempt, grace)
    if kind == "deadline":
        return DeadlinePassed(job, grace)
    return BackoffOver(job, job.attempt) if kind == "backoff" else HoldExpired(job)
