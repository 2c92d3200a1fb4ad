"""The values that tell of one job: its status, how an attempt ended, why it failed or waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Literal

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
