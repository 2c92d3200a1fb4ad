"""The values that describe one job: what was asked for, where it is, how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from .spec import JobSpec
from .texts.causes import (
    NOTHING_STATED,
    Category,
    Stated,
    category_of,
    is_out_of_memory,
    is_retriable,
    kinds_from,
    shortfall_of,
    stated_from,
)

if TYPE_CHECKING:
    from .machine.rescue import Rescue

EMPTY_AMOUNTS: Mapping[str, float] = MappingProxyType({})

CancelPhase = Literal["asked", "forcing"]
OutcomeKind = Literal["value", "error", "cancelled", "unstarted"]


class JobStatus(str, Enum):
    """Where a job is. The values are those of the reference system; there is no sixth one."""

    pending = "pending"
    running = "running"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"

    __str__ = str.__str__

    @property
    def ended(self) -> bool:
        """True for completed, failed and cancelled."""
        return self in ENDED


# Looking a member up on its class takes 0.1 µs (Python 3.11), a dozen times per job.
PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = JobStatus
ENDED = frozenset({COMPLETED, FAILED, CANCELLED})


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job did not return a value.

    `exception` is the original exception where it could be kept (its traceback frames are not);
    `traceback` is the formatted text, from the worker if the job ran in one.
    `exit_code` and `signal_name` are set when the process of the job died.
    `kinds` names the classes of the exception and of what caused it; `stated` is what the
    exception says of itself. What follows from all that is `category`, `retriable`, `retry_after`
    and `shortfall`.
    """

    type_name: str
    message: str
    traceback: str = ""
    exit_code: int | None = None
    signal_name: str | None = None
    exception: BaseException | None = field(default=None, compare=False, repr=False)
    kinds: tuple[str, ...] = field(default=(), compare=False, repr=False)
    stated: Stated = field(default=NOTHING_STATED, repr=False)

    @classmethod
    def of_end(
        cls, told: Mapping[str, object], exception: BaseException | None = None
    ) -> JobFailure:
        """What a worker tells of an end: type, message, traceback, kinds, stated."""
        return cls(
            str(told["type"]),
            str(told["message"]),
            str(told["traceback"]),
            exception=exception,
            kinds=kinds_from(told.get("kinds")),
            stated=stated_from(told.get("stated")),
        )

    def _names(self) -> tuple[str, ...]:
        return (*self.kinds, self.type_name)

    @property
    def category(self) -> Category | None:
        """Whose matter it is: "user_input", "transient", "resource" or "fatal"; None: unknown.

        "user_input": what was passed, or the configuration, is wrong. "transient": the network, a
        service, a time limit; it may do later. "resource": memory, disk or processors are not
        enough. "fatal": a mistake in the program, or a crash.
        """
        return category_of(
            self._names(), self.message, self.signal_name, self.exit_code, self.stated
        )

    @property
    def retriable(self) -> bool:
        """True if the same call, made again as it was, may succeed.

        So it is for "transient" and "resource", but for what this machine will never have; unless
        the exception says otherwise.
        """
        return is_retriable(self.category, self._names(), self.stated)

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before that, if the exception says so."""
        return self.stated.retry_after

    @property
    def shortfall(self) -> Mapping[str, float] | None:
        """What was missing, by the name of the resource ("gpu_mib": MiB); None if unknown."""
        return shortfall_of(self.message, self.stated)

    @property
    def out_of_memory(self) -> bool:
        """True for MemoryError, a GPU's lack of memory, and what the system ended for it."""
        return is_out_of_memory(self._names(), self.message, self.stated)

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name


@dataclass(frozen=True, slots=True)
class NotKept:
    """Stands where a result would: the job returned, and its value is not here. Says why.

    `type` is the name of the value's class, `repr` the value as text (shortened), both "" where
    they are not known; `size` is in bytes, None where it is not known.
    """

    type: str = ""
    repr: str = ""
    size: int | None = None
    reason: str = ""

    def __repr__(self) -> str:
        what = f"{self.type} {self.repr}".strip()
        size = "" if self.size is None else f" ({self.size:,} bytes)"
        return f"<not kept: {what}{size}{': ' if what or size else ''}{self.reason}>"


class Outcome:
    """How one attempt of a job ended: a value, an error, or a stop (`cancelled`).

    `noticed`: the work knew of a request to stop before it returned its value. `size`: the bytes
    that the value came in, if it is a copy of what the job returned; 0 if it is that very object.
    """

    __slots__ = ("failure", "kind", "noticed", "size", "value")

    def __init__(
        self,
        kind: OutcomeKind,
        value: object = None,
        failure: JobFailure | None = None,
        noticed: bool = False,
        size: int = 0,
    ) -> None:
        self.kind = kind
        self.value = value
        self.failure = failure
        self.noticed = noticed
        self.size = size

    @classmethod
    def of_value(cls, value: object, *, noticed: bool = False, size: int = 0) -> Outcome:
        """The job returned `value`; `noticed` if it knew then that it was asked to stop."""
        return cls("value", value, noticed=noticed, size=size)

    @classmethod
    def of_error(cls, failure: JobFailure) -> Outcome:
        """The job raised, its process died, or it could not be started."""
        return cls("error", None, failure)

    @classmethod
    def of_start(cls, failure: JobFailure) -> Outcome:
        """Its body never began, for a reason that is not the job's: it will be tried again."""
        return cls("unstarted", None, failure)

    @classmethod
    def of_stop(cls, failure: JobFailure | None = None) -> Outcome:
        """The work stopped by a cancellation (whether anybody asked for it is the core's call)."""
        return cls("cancelled", None, failure)

    def __repr__(self) -> str:
        return f"Outcome({self.kind!r}, failure={self.failure!s})"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has what a blocked job needs: a job that runs, or a plugin that is loaded and idle.

    `resource` is "ram_mib", "gpu_mib", "cpus" or "gpus"; `amount` in that unit.
    """

    name: str
    resource: str
    amount: float
    idle: bool

    def __str__(self) -> str:
        return f"{self.name} holds {self.amount:,.6g}{', idle' if self.idle else ''}"


@dataclass(frozen=True, slots=True)
class BlockReason:
    """Why a pending job may not start now, as one sentence and, where it is a quantity, numbers.

    `need` and `have` by the name of the resource ("ram_mib", …).
    `may_be_passed`: jobs behind it may start first without delaying it (its own plugin is busy,
    for instance); False for shared resources, where passing would starve it.
    """

    text: str
    need: Mapping[str, float] | None = None
    have: Mapping[str, float] | None = None
    holders: tuple[Holder, ...] = ()
    may_be_passed: bool = False

    def as_payload(self) -> Mapping[str, object]:
        """What the event `blocked` tells."""
        return {
            "reason": self.text,
            "need": self.need,
            "have": self.have,
            "holders": self.holders,
        }

    def __str__(self) -> str:
        return self.text


class JobRecord:
    """Everything that is true about one job now. Owned and changed by `QueueState` only."""

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
        "ended_number",
        "entry",
        "executor_name",
        "failed_starts",
        "failure",
        "finished_before_cancel",
        "handle",
        "held",
        "history",
        "hold_then",
        "hold_until",
        "id",
        "lane_taken",
        "limit_hit",
        "log",
        "message",
        "needed_by",
        "number",
        "parents",
        "parents_left",
        "priority",
        "progress",
        "rank",
        "rescue",
        "result",
        "retry_of",
        "revision",
        "run_phase",
        "spec",
        "started_at",
        "status",
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
        #: Epoch seconds.
        self.created_at = created_at
        #: Epoch seconds of the start of its attempt. Once it has run.
        self.started_at: float | None = None
        #: Epoch seconds. Once it has ended.
        self.completed_at: float | None = None

        #: True if its user has it held back. While pending.
        self.held = False
        #: What happens when the hold expires. While held.
        self.hold_then: Literal["release", "cancel"] = "release"
        #: When that is, in epoch seconds; None: never. While held.
        self.hold_until: float | None = None
        #: True if it waits for the time of its next attempt. While pending.
        self.backing_off = False
        #: Starts of this attempt that failed through no fault of its own. Until it has ended.
        self.failed_starts = 0
        #: What is or was unloaded so that an attempt finds more memory. From then on.
        self.rescue: Rescue | None = None
        #: The jobs that it comes after. Until it has ended.
        self.parents: tuple[JobRecord, ...] = ()
        #: How many of them have not ended. While pending.
        self.parents_left = 0
        #: The jobs that come after it, if any. Until it has ended.
        self.children: list[JobRecord] | None = None
        #: How many jobs that come after it have not ended. Always.
        self.needed_by = 0
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
        #: True if its time limit is what asked it to stop. While running.
        self.limit_hit = False
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
        #: The runtime's `JobLog`. Once something was written.
        self.log: object = None
        #: A weak reference to the `Job` that its user holds. Once there was one.
        self.handle: Callable[[], object] | None = None
        #: The runtime's `Usage`: what is reserved and was seen to be used. From its admission on.
        self.usage: object = None

    @property
    def startable(self) -> bool:
        """True if nothing of its own keeps a pending job from starting."""
        return not (self.held or self.backing_off or self.parents_left)

    @property
    def is_held(self) -> bool:
        """True if its user has a handle of it, or a job after it has not ended."""
        handle = self.handle
        return self.needed_by > 0 or (handle is not None and handle() is not None)

    def __lt__(self, other: JobRecord) -> bool:
        """Breaks ties of (-priority, rank): after moves two ranks may be equal."""
        return self.number < other.number

    def __repr__(self) -> str:
        return f"JobRecord({self.id}, {self.status.value}, attempt {self.attempt}, {self.history})"
