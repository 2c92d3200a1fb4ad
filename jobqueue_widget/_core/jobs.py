"""The record of one job: its request, its state, how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .outcomes import (
    CANCELLED,
    COMPLETED,
    EMPTY_AMOUNTS,
    ENDED,
    FAILED,
    PENDING,
    RUNNING,
    BlockReason,
    Holder,
    JobFailure,
    JobStatus,
    NotKept,
    Outcome,
    OutcomeKind,
)
from .spec import JobSpec

if TYPE_CHECKING:
    from .machine.rescue import Rescue
    from .machine.usage import Usage
    from .sweeps.group import Group

CancelPhase = Literal["asked", "forcing"]


@dataclass(slots=True, weakref_slot=True, eq=False, repr=False)
class JobRecord:
    """Everything that is true about one job now.

    From its submit or restore on, the core's rules change it, under the queue's lock. The runtime
    sets `log`, `usage` and `hold_until`, and `Job` sets `handle`.
    """

    #: What was asked for: function, arguments, options. Always.
    spec: JobSpec
    #: The higher one starts first. Always; counts while pending.
    priority: int
    #: Which submission of its queue it was, from 1. Always.
    number: int
    #: Epoch seconds of its submit. Always.
    created_at: float

    #: The id that users see. Always.
    id: str = field(init=False)
    #: Its place among jobs of its priority; the lower one starts first. Counts while pending.
    rank: int = field(init=False)
    #: Its entry in the `PendingOrder`. While pending; None else.
    entry: tuple[int, int, JobRecord] | None = None
    #: The stage: pending, running, or how it ended.
    status: JobStatus = PENDING
    #: The attempt that runs, or the next one while pending; the last one when it has ended.
    attempt: int = 1
    #: The revision of the state in which it last changed. Always.
    revision: int = 0
    #: The codes of all events that it was told of, in order. For error messages.
    history: str = ""
    #: Epoch seconds of the start of its attempt. Once it has run.
    started_at: float | None = None
    #: Epoch seconds of its end. Once it has ended.
    completed_at: float | None = None

    #: True if its user has it held back. While pending.
    held: bool = False
    #: What happens when the hold expires. While held.
    hold_then: Literal["release", "cancel"] = "release"
    #: Epoch seconds at which the hold expires; None: never. While held.
    hold_until: float | None = None
    #: True if it waits for the time of its next attempt, or of its first one. While pending.
    backing_off: bool = False
    #: Epoch seconds before which its next attempt does not start; None: at once. While pending.
    starts_at: float | None = None
    #: How many starts of this attempt failed for a reason of the machine. Until it has ended.
    failed_starts: int = 0
    #: What is or was unloaded so that an attempt finds more memory. From then on.
    rescue: Rescue | None = None
    #: The jobs that it comes after. Until it has ended.
    parents: tuple[JobRecord, ...] = ()
    #: How many of `parents` have not ended. While pending.
    parents_left: int = 0
    #: The jobs that come after it, if any. Until it has ended.
    children: list[JobRecord] | None = None
    #: How many jobs that come after it have not ended. Always.
    needed_by: int = 0
    #: How many of these take its result as an argument. Always.
    taken_by: int = 0
    #: True if its user asked for it after a restore, which pauses others. While pending.
    let_through: bool = False
    #: Why it was not started when it was its turn. While pending.
    block_reason: BlockReason | None = None

    #: The name of the executor that runs it. Once it has been launched.
    executor_name: str = ""
    #: True if that executor can force it to end. Once it has been launched.
    can_kill: bool = False
    #: True from its launch until its work is really gone, which may be after its end.
    lane_taken: bool = False
    #: What it does before its body runs; None: that runs. While running.
    run_phase: str | None = None
    #: The machine or worker of this attempt, if its executor tells. From its launch on.
    where: str | None = None
    #: How far a cancel has come: asked or forcing; None: nobody asked. While running.
    cancel_phase: CancelPhase | None = None
    #: True if its time limit or its deadline is what asked it to stop. While running.
    limit_hit: bool = False
    #: True if its deadline has passed. Until it has ended.
    deadline_hit: bool = False
    #: The `TIMER_BITS` of its armed timers. Until it has ended.
    timers: int = 0
    #: From 0.0 to 1.0; None: unknown. From its launch on.
    progress: float | None = 0.0
    #: What it last said of its progress. From its launch on.
    message: str = ""

    #: The number of its end, counted over all sessions of a journal; 0 until it has ended.
    ended_number: int = 0
    #: What it returned, in part if it is not completed. Once it has ended.
    result: object = None
    #: Why it failed. Once it has failed, and while it is tried again.
    failure: JobFailure | None = None
    #: What whoever cancelled it gave as reason. From the first request on.
    cancel_reason: str = ""
    #: True if it completed though it was asked to stop. Once it has ended.
    finished_before_cancel: bool = False
    #: The id of the job of which this is another try, or None. Always.
    retry_of: str | None = None
    #: The other try that has taken its place, if there is one. Once it has ended.
    retried_by: JobRecord | None = None
    #: The groups that count it, once for each item that it stands for. From its submit on.
    groups: tuple[Group, ...] = ()
    #: True if its key is that of an earlier job but for the function's code. Always.
    function_changed: bool = False
    #: The runtime's `JobLog`. Once something was written.
    log: object = None
    #: The runtime's `KeptOutputs`. Once something was displayed.
    outputs: object = None
    #: The runtime's `KeptMetrics`. Once something was measured.
    metrics: object = None
    #: A weak reference to the `Job` that its user holds. Once there was one.
    handle: Callable[[], object] | None = None
    #: What is reserved and was seen to be used. From its admission on.
    usage: Usage | None = None

    def __post_init__(self) -> None:
        self.id = self.spec.id
        self.rank = self.number << 32

    @property
    def startable(self) -> bool:
        """True if nothing of its own keeps a pending job from starting."""
        return not (self.held or self.backing_off or self.parents_left)

    @property
    def is_retried(self) -> bool:
        """True if it has failed and another try stands for it: it needs nobody any more."""
        return self.status is FAILED and self.retried_by is not None

    @property
    def is_referenced(self) -> bool:
        """True if its user has a handle of it, or a job after it has not ended."""
        handle = self.handle
        return self.needed_by > 0 or (handle is not None and handle() is not None)

    def __lt__(self, other: JobRecord) -> bool:
        """Break ties of (-priority, rank), as two ranks may be equal after moves."""
        return self.number < other.number

    def __repr__(self) -> str:
        return f"JobRecord({self.id}, {self.status.value}, attempt {self.attempt}, {self.history})"


__all__ = [
    "CANCELLED",
    "COMPLETED",
    "EMPTY_AMOUNTS",
    "ENDED",
    "FAILED",
    "PENDING",
    "RUNNING",
    "BlockReason",
    "CancelPhase",
    "Holder",
    "JobFailure",
    "JobRecord",
    "JobStatus",
    "NotKept",
    "Outcome",
    "OutcomeKind",
]
