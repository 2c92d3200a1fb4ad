"""The record of one job: its request, its state, how it ended."""

from __future__ import annotations

from collections.abc import Callable
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


class JobRecord:
    """Everything that is true about one job now.

    From its submit or restore on, the core's rules change it, under the queue's lock. The runtime
    sets `log`, `usage` and `hold_until`, and `Job` sets `handle`.
    """

    __slots__ = (
        "__weakref__",
        "attempt",
        "backing_off",
        "block_reason",
        "can_kill",
        "cancel_phase",
        "cancel_reason",
        "children",
        "completed_at",
        "created_at",
        "deadline_hit",
        "ended_number",
        "entry",
        "executor_name",
        "failed_starts",
        "failure",
        "finished_before_cancel",
        "function_changed",
        "groups",
        "handle",
        "held",
        "history",
        "hold_then",
        "hold_until",
        "id",
        "lane_taken",
        "let_through",
        "limit_hit",
        "log",
        "message",
        "metrics",
        "needed_by",
        "number",
        "outputs",
        "parents",
        "parents_left",
        "priority",
        "progress",
        "rank",
        "rescue",
        "result",
        "retried_by",
        "retry_of",
        "revision",
        "run_phase",
        "spec",
        "started_at",
        "starts_at",
        "status",
        "taken_by",
        "timers",
        "usage",
        "where",
    )

    def __init__(self, spec: JobSpec, priority: int, number: int, created_at: float) -> None:
        #: What was asked for: function, arguments, options. Always.
        self.spec = spec
        #: The id that users see. Always, as `number` and `created_at`.
        self.id = spec.id
        #: Which submission of its queue it was, from 1.
        self.number = number
        #: The higher one starts first. Always; counts while pending.
        self.priority = priority
        #: Its place among jobs of its priority; the lower one starts first. Counts while pending.
        self.rank = number << 32
        #: Its entry in the `PendingOrder`. While pending; None else.
        self.entry: tuple[int, int, JobRecord] | None = None
        #: The stage: pending, running, or how it ended.
        self.status = PENDING
        #: The attempt that runs, or the next one while pending; the last one when it has ended.
        self.attempt = 1
        #: The revision of the state in which it last changed. Always.
        self.revision = 0
        #: The codes of all events that it was told of, in order. For error messages.
        self.history = ""
        #: Epoch seconds of its submit.
        self.created_at = created_at
        #: Epoch seconds of the start of its attempt. Once it has run.
        self.started_at: float | None = None
        #: Epoch seconds of its end. Once it has ended.
        self.completed_at: float | None = None

        #: True if its user has it held back. While pending.
        self.held = False
        #: What happens when the hold expires. While held.
        self.hold_then: Literal["release", "cancel"] = "release"
        #: Epoch seconds at which the hold expires; None: never. While held.
        self.hold_until: float | None = None
        #: True if it waits for the time of its next attempt, or of its first one. While pending.
        self.backing_off = False
        #: Epoch seconds before which its next attempt does not start; None: at once. While pending.
        self.starts_at: float | None = None
        #: How many starts of this attempt failed for a reason of the machine. Until it has ended.
        self.failed_starts = 0
        #: What is or was unloaded so that an attempt finds more memory. From then on.
        self.rescue: Rescue | None = None
        #: The jobs that it comes after. Until it has ended.
        self.parents: tuple[JobRecord, ...] = ()
        #: How many of `parents` have not ended. While pending.
        self.parents_left = 0
        #: The jobs that come after it, if any. Until it has ended.
        self.children: list[JobRecord] | None = None
        #: How many jobs that come after it have not ended. Always.
        self.needed_by = 0
        #: How many of these take its result as an argument. Always.
        self.taken_by = 0
        #: True if its user asked for it after a restore, which pauses others. While pending.
        self.let_through = False
        #: Why it was not started when it was its turn. While pending.
        self.block_reason: BlockReason | None = None

        #: The name of the executor that runs it. Once it has been launched.
        self.executor_name = ""
        #: True if that executor can force it to end. Once it has been launched.
        self.can_kill = False
        #: True from its launch until its work is really gone, which may be after its end.
        self.lane_taken = False
        #: What it does before its body runs; None: that runs. While running.
        self.run_phase: str | None = None
        #: The machine or worker of this attempt, if its executor tells. From its launch on.
        self.where: str | None = None
        #: How far a cancel has come: asked or forcing; None: nobody asked. While running.
        self.cancel_phase: CancelPhase | None = None
        #: True if its time limit or its deadline is what asked it to stop. While running.
        self.limit_hit = False
        #: True if its deadline has passed. Until it has ended.
        self.deadline_hit = False
        #: The `TIMER_BITS` of its armed timers. Until it has ended.
        self.timers = 0
        #: From 0.0 to 1.0; None: unknown. From its launch on.
        self.progress: float | None = 0.0
        #: What it last said of its progress. From its launch on.
        self.message = ""

        #: The number of its end, counted over all sessions of a journal; 0 until it has ended.
        self.ended_number = 0
        #: What it returned, in part if it is not completed. Once it has ended.
        self.result: object = None
        #: Why it failed. Once it has failed, and while it is tried again.
        self.failure: JobFailure | None = None
        #: What whoever cancelled it gave as reason. From the first request on.
        self.cancel_reason = ""
        #: True if it completed though it was asked to stop. Once it has ended.
        self.finished_before_cancel = False
        #: The id of the job of which this is another try, or None. Always.
        self.retry_of: str | None = None
        #: The other try that has taken its place, if there is one. Once it has ended.
        self.retried_by: JobRecord | None = None
        #: The groups that count it, once for each item that it stands for. From its submit on.
        self.groups: tuple[Group, ...] = ()
        #: True if its key is that of an earlier job but for the function's code. Always.
        self.function_changed = False
        #: The runtime's `JobLog`. Once something was written.
        self.log: object = None
        #: The runtime's `KeptOutputs`. Once something was displayed.
        self.outputs: object = None
        #: The runtime's `KeptMetrics`. Once something was measured.
        self.metrics: object = None
        #: A weak reference to the `Job` that its user holds. Once there was one.
        self.handle: Callable[[], object] | None = None
        #: What is reserved and was seen to be used. From its admission on.
        self.usage: Usage | None = None

    @property
    def startable(self) -> bool:
        """True if nothing of its own keeps a pending job from starting."""
        return not (self.held or self.backing_off or self.parents_left)

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
