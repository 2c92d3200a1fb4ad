"""The plain values that a journal keeps of a queue, written by a recorder, read at a restore."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

COUNTED = ("completed", "failed", "cancelled", "retried")
"""What is counted of forgotten jobs: how they ended, and those of the failed ones tried again."""


class StoredRequest(NamedTuple):
    """The request of a job, written once. `options` is JSON, `shown` the arguments as text.

    `number` names a job in its journal: it counts up over all sessions.

    `call` is the pickle of the arguments, `function` the digest of a `KeptFunction`. `seal` proves
    that this user wrote both. `missing` says why there is no call to run again.
    """

    number: int
    id: str
    kind: str
    name: str
    options: str
    shown: str
    missing: str | None
    function: bytes | None
    call: bytes | None
    seal: bytes | None
    retry_of: str | None
    created_at: float

    def sealed_parts(self) -> tuple[bytes, ...]:
        """Return what the seal proves: all that decides what will run."""
        return (
            b"request",
            self.id.encode(),
            self.kind.encode(),
            self.name.encode("utf-8", "replace"),
            self.options.encode("utf-8", "replace"),
            self.function or b"",
            self.call or b"",
        )


class StoredState(NamedTuple):
    """The state of a job, written at each change but progress. `failure` is JSON."""

    number: int
    id: str
    status: str
    attempt: int
    priority: int
    rank: int
    asked: bool
    held: bool
    hold_then: str
    hold_until: float | None
    started_at: float | None
    completed_at: float | None
    message: str
    executor: str
    cancel_reason: str
    finished_before_cancel: bool
    failure: str | None
    ended_number: int | None
    place: str | None
    progress: float | None = None
    """From 0 to 1 at the end; None while it runs, and where the job has told nothing."""


class KeptFunction(NamedTuple):
    """The pickle of a function, kept once for all jobs; `source` is JSON of its source lines."""

    digest: bytes
    data: bytes
    source: str | None


class KeptResult(NamedTuple):
    """A job's result: its pickle, or (form "text") why there is none.

    A pickle begins with 0x80; other data are what `wire.join_parts` makes of one and its buffers.
    Form "not kept": the queue never had the value, and JSON says what it was and why.
    """

    form: Literal["pickle", "text", "not kept"]
    data: bytes
    shown: str
    seal: bytes | None


class KeptTold(NamedTuple):
    """What an ended job has told beside its log, each as JSON; None: nothing of that kind."""

    metrics: str | None
    outputs: str | None
    usage: str | None = None


class Session(NamedTuple):
    """One kernel that had the journal; `ended_at` is None if it did not close that."""

    run_id: str
    pid: int
    host: str
    title: str
    started_at: float
    seen_at: float
    ended_at: float | None


@dataclass(slots=True)
class Changes:
    """The changes of one transaction, which writes all or none of them."""

    run_id: str
    seen_at: float
    numbers_given: int
    functions: list[KeptFunction] = field(default_factory=list)
    requests: list[StoredRequest] = field(default_factory=list)
    standings: list[StoredState] = field(default_factory=list)  # the name of their table
    logs: list[tuple[str, bytes]] = field(default_factory=list)
    results: list[tuple[str, KeptResult]] = field(default_factory=list)
    told: list[tuple[str, KeptTold]] = field(default_factory=list)
    forgotten: list[tuple[int, str]] = field(default_factory=list)
    """Numbers of jobs to forget, and their ids if they may have left anything."""
    erased: bool = False
    """True if nothing of forgotten jobs and unused functions may be readable afterwards."""
    counted: dict[str, int] = field(default_factory=dict)
    """How many jobs were forgotten, also some that were never written, by `COUNTED`."""
    pause: tuple[str, float] | None = None
    pause_changed: bool = False
    cleared_to: int | None = None
    """Ended jobs up to this number are not shown; None if that has not changed."""
    ended: bool = False
    """True in the last transaction of a queue that closes."""


@dataclass(slots=True)
class Contents:
    """All of a journal but results, logs and functions, which are read one by one when needed."""

    jobs: list[tuple[StoredRequest, StoredState]] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    numbers_given: int = 0
    forgotten: dict[str, int] = field(default_factory=dict)
    """How many jobs were forgotten, by `COUNTED`; earlier versions wrote no "retried"."""
    pause: tuple[str, float] | None = None
    cleared_to: int = 0
    """Ended jobs up to this number are not shown."""
    with_log: frozenset[str] = frozenset()
    with_told: frozenset[str] = frozenset()
    with_result: frozenset[str] = frozenset()
    with_value: frozenset[str] | None = None
    """Those of `with_result` that are pickles, and no texts of what was; None: nobody looked."""
    owned: bool = True
    """False if the file belongs to another user, so that nothing in it is trusted."""
    complete: bool = True
    """False if writing failed before the last session ended, so that jobs may have run since."""
    notices: list[str] = field(default_factory=list)
    """What the user must know about how the journal was opened."""
