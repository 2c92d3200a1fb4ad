"""The values that describe a job: its status, how an attempt ended, why it failed or waits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Literal

from .texts.causes import (
    NOTHING_STATED,
    Category,
    Stated,
    category_of,
    is_one_of,
    is_out_of_memory,
    is_retriable,
    kind_of,
    kinds_from,
    shortfall_of,
    stated_from,
)

EMPTY_AMOUNTS: Mapping[str, float] = MappingProxyType({})

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
        """Make a failure of what a worker tells: type, message, traceback, kinds, stated."""
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

    def is_any_of(self, names: Collection[str]) -> bool:
        """True if a class of its exception, or of what it was raised from, has one of these names.

        The names in `causes.NO_EXCEPTION` stand for ends that are no exception of the job.
        """
        return is_one_of(self._names(), names, was_raised=bool(self.kinds))

    @property
    def kind(self) -> str:
        """What failures are sorted by: "worker died", "time limit", "deadline", or its type."""
        return kind_of(self.type_name)

    @property
    def category(self) -> Category | None:
        """The kind of cause: "user_input", "transient", "resource" or "fatal"; None if unknown.

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

        That holds for "transient" and "resource", except for what this machine will never have,
        unless the exception says otherwise.
        """
        return is_retriable(self.category, self._names(), self.stated)

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before another attempt, if the exception says so; else None."""
        return self.stated.retry_after

    @property
    def shortfall(self) -> Mapping[str, float] | None:
        """What was missing, by the name of the resource ("gpu_mib": MiB); None if unknown."""
        return shortfall_of(self.message, self.stated)

    @property
    def out_of_memory(self) -> bool:
        """True for MemoryError, a full GPU, and a process that the system ended for its memory."""
        return is_out_of_memory(self._names(), self.message, self.stated)

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name


@dataclass(frozen=True, slots=True)
class NotKept:
    """Stands for the result of a job that returned, and says why its value is not here.

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


@dataclass(slots=True, eq=False, repr=False)
class Outcome:
    """How one attempt of a job ended: a value, an error, or a stop (`cancelled`).

    `noticed`: the work knew of a request to stop before it returned its value. `size`: the bytes
    that the value came in, if it is a copy of what the job returned; 0 if it is that very object.
    `took`: the seconds from its start to its end, if nobody was there to see that.
    """

    kind: OutcomeKind
    value: object = None
    failure: JobFailure | None = None
    noticed: bool = False
    size: int = 0
    took: float | None = None

    @classmethod
    def of_value(cls, value: object, *, noticed: bool = False, size: int = 0) -> Outcome:
        """Make the outcome of a job that returned `value`, and had `noticed` a request to stop."""
        return cls("value", value, noticed=noticed, size=size)

    @classmethod
    def of_error(cls, failure: JobFailure) -> Outcome:
        """Make the outcome of a job that raised, died with its process or could not start."""
        return cls("error", None, failure)

    @classmethod
    def of_start(cls, failure: JobFailure) -> Outcome:
        """Make the outcome of a start that failed for no fault of the job, to be tried again."""
        return cls("unstarted", None, failure)

    @classmethod
    def of_stop(cls, failure: JobFailure | None = None) -> Outcome:
        """Make the outcome of work that was cancelled; the core decides if anybody asked for it."""
        return cls("cancelled", None, failure)

    def __repr__(self) -> str:
        return f"Outcome({self.kind!r}, failure={self.failure!s})"


@dataclass(frozen=True, slots=True)
class Holder:
    """A running job, or a loaded and idle plugin, that has what a blocked job needs.

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
        """Return the payload of the event `blocked`."""
        return {"reason": self.text, "need": self.need, "have": self.have, "holders": self.holders}

    def __str__(self) -> str:
        return self.text
