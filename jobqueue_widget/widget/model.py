"""Makes the state that the front end is given: bounded, plain, the same for every view."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Protocol

from .._api.rows import KnownRows, has_changed, tell_apart
from .._api.schema import FREE_TEXTS, USUAL
from .._api.sweeps.forecasts import Estimate
from .._api.sweeps.group import JobGroup
from .._core.sweeps.standing import STATUSES
from .._core.texts.fitting import LINE, ends, fit
from ..job import Job
from ..queue import JobQueue
from .texts import visible

PROTOCOL = 1
RUNNING_ROWS = 8
HEAD_ROWS = 25
HISTORY_ROWS = 20
GROUP_ROWS = 20
METERS = 12
MOST_KINDS = 5
REMARK = 120  # characters of what is said of a kind of failures
NOTE_LIMIT = 300  # a sentence that says what is wrong, and where it is kept
LONGEST = 2_000  # characters that are looked at of a text

INSTANTS = (("created_at", 0), ("started_at", 2), ("completed_at", 2))  # digits that are shown
LEAST_WAIT = 10.0  # seconds; of a start that is nearer nothing is said
GROUP = ("id", "name", "done_at", *STATUSES, "retriable", "more", "kinds")
"""What is sent of a group, in this order."""

State = dict[str, Any]


class Source(Protocol):
    """Where the state of a widget comes from: the values of all its traits but `seq`."""

    queue: JobQueue
    epoch: str

    def state(self) -> State:
        """Return the values of all traits, as of one moment."""

    def is_over(self) -> bool:
        """Return True when the state will not change any more."""

    def is_outdated(self) -> bool:
        """Return True if a cell has redefined a function that a row is about: no event says so."""

    def with_starts(self, rows: Sequence[State]) -> Sequence[State]:
        """Return rows of pending jobs with when they will start, as far as that is known."""

    def estimate(self) -> bool:
        """Look when jobs will start and end, if it is time for that; True: it is another state."""


class _SignsOfLife:
    """Notes when each running job was last seen to change: `news_at` of its row."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[tuple[object, ...], float]] = {}

    def mark(self, rows: list[State], now: float) -> None:
        """Add `news_at` to the rows of running jobs and forget all others."""
        seen: dict[str, tuple[tuple[object, ...], float]] = {}
        for row in rows:
            shown = (row["progress"], row["message"], row["phase"], row["cancel_phase"])
            known = self._seen.get(row["id"])
            since = known[1] if known is not None and known[0] == shown else now
            seen[row["id"]] = (shown, since)
            row["news_at"] = since
        self._seen = seen


def summary_of(snapshot: State, epoch: str, done_at: float | None = None) -> State:
    """Return the small part that changes most: counts, the banner's facts, the kernel's clock."""
    paused = snapshot["paused"]
    return {
        "proto": PROTOCOL,
        "epoch": epoch,
        "rev": snapshot["revision"],
        "t": snapshot["now"],
        "name": shorten(snapshot["name"]),
        "phase": snapshot["phase"],
        "paused": paused and {**paused, "reason": shorten(paused["reason"])},
        "counts": snapshot["counts"],
        "listed": snapshot["listed"],
        "cleared": snapshot["cleared"],
        "done_at": done_at,
        "lag": snapshot["lag"],
        "beat": 1.0,
        "max_running": snapshot["max_running"],
        "cancel_timeout": snapshot["cancel_timeout"],
        "note": shorten(snapshot["note"], NOTE_LIMIT),
        "alone": snapshot["alone"],
    }


class _Estimating:
    """The part of a source that tells of what is still to come. One forecast serves all."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue
        self.epoch = uuid.uuid4().hex

    def estimate(self) -> bool:
        """Look when jobs will start and end, if it is time for that; True: it is another state."""
        return self.queue._renew_estimate()

    def with_starts(self, rows: Sequence[State]) -> Sequence[State]:
        """Return rows of pending jobs with when they will start, as far as that is known."""
        estimate = self.queue._estimate
        if estimate.is_empty:
            return rows
        return [TimedRow(row, _start_of(row, estimate)) for row in rows]


class QueueSource(_Estimating):
    """Source of a queue's widget."""

    def __init__(self, queue: JobQueue) -> None:
        super().__init__(queue)
        self._life = _SignsOfLife()
        self._timed: dict[str, TimedRow] = {}  # pending rows with their starts, as last sent
        self._known = KnownRows(SentRow.made_of, beside)
        self._bell = False
        self._groups: Sequence[SentGroup] = ()  # as last sent

    def set_bell(self, on: bool) -> None:
        """Have a page that nobody looks at tell when all is done, or do not."""
        self._bell = on

    def state(self) -> State:
        """Return the values of all traits, as of one moment."""
        lists = RUNNING_ROWS, HEAD_ROWS, HISTORY_ROWS
        snapshot = self.queue._snapshot(*lists, self._known, GROUP_ROWS, windowed=True)
        self._life.mark(snapshot["running"], snapshot["now"])
        estimate = self.queue._estimate
        self._groups = shown_groups(snapshot["groups"], estimate, self._groups)
        return {
            "summary": summary_of(snapshot, self.epoch, estimate.done_at),
            "running": snapshot["running"],
            "head": self._timed_rows(snapshot["pending"], estimate),
            "history": snapshot["history"],
            "groups": self._groups,
            "job": {},
            "resources": shown_resources(self.queue),
            "bell": self._bell,
        }

    def _timed_rows(self, rows: Sequence[State], estimate: Estimate) -> Sequence[State]:
        """Do as `with_starts`, but make rows anew only where something has changed."""
        before, self._timed = self._timed, {}
        if estimate.is_empty:
            return rows
        timed = []
        for row in rows:
            at, made = _start_of(row, estimate), before.get(row["id"])
            if made is None or made["start_about"] != at or made.of is not row:
                made = TimedRow(row, at)
            self._timed[row["id"]] = made
            timed.append(made)
        return timed

    def is_over(self) -> bool:
        """Return False: a queue may always be given more to do."""
        return False

    def is_outdated(self) -> bool:
        """Return True if a cell has redefined the function of a row that was sent."""
        return self._known.is_outdated()


class JobSource(_Estimating):
    """Source of one job's live progress cell."""

    def __init__(self, queue: JobQueue, job: Job) -> None:
        super().__init__(queue)
        self._job = job
        self._differs = False  # as it was last told
        self._life = _SignsOfLife()

    def state(self) -> State:
        """Return the job's row and the summary of its queue."""
        over = self.is_over()  # before the row is read: then the row says so, too
        snapshot = self.queue._snapshot(0, 0, 0)
        (row,) = clipped([self._job.as_row()])
        self._differs = row["differs"]
        if row["status"] == "running":
            self._life.mark([row], snapshot["now"])
        elif row["status"] == "pending":
            (row,) = self.with_starts([row])
        summary = summary_of(snapshot, self.epoch)
        if over:  # what else the queue does is no matter here, and nobody waits for a heartbeat
            summary |= {"counts": dict.fromkeys(summary["counts"], 0), "paused": None}
            summary["cleared"] = None
        return {
            "summary": summary,
            "running": [],
            "head": [],
            "history": [],
            "groups": [],
            "job": row,
            "resources": {},
        }

    def is_over(self) -> bool:
        """Return True once the job has ended: then it stays as it is."""
        return self._job.done

    def is_outdated(self) -> bool:
        """Return True if a cell has redefined the function of the job."""
        return has_changed(self._job._record) is not self._differs


class GroupSource(_Estimating):
    """Source of one group's live cell."""

    def __init__(self, queue: JobQueue, group: JobGroup) -> None:
        super().__init__(queue)
        self._group = group
        self._counted: State = {}
        self._kinds: list[str] = []
        self._kinds_due_at = 0.0

    def state(self) -> State:
        """Return how the group stands, and the summary of its queue."""
        over = self.is_over()  # before the row is made: then the row says so, too
        snapshot = self.queue._snapshot(0, 0, 0)
        row = self._group._standing()
        kinds = self._kinds_of(row)
        row["name"] = shorten(row["name"])
        done_at = None if over else self.queue._estimate.end_of(self._group._counted())
        row |= {} if done_at is None else {"done_at": done_at}
        row |= {"kinds": kinds} if kinds else {}
        summary = summary_of(snapshot, self.epoch)
        if over:  # what else the queue does is no matter here, and nobody waits for a heartbeat
            summary |= {"counts": dict.fromkeys(summary["counts"], 0), "paused": None}
            summary["cleared"] = None
        lists: State = {"running": [], "head": [], "history": []}
        return {"summary": summary, **lists, "groups": [row], "job": {}, "resources": {}}

    def _kinds_of(self, row: State) -> list[str]:
        """List failures by kind, anew only if anything has ended, for a hundredth of the time."""
        began = time.monotonic()
        if row != self._counted and (self._group.done or began >= self._kinds_due_at):
            self._counted = dict(row)
            self._kinds = kinds_of(self._group)
            self._kinds_due_at = began + 100 * (time.monotonic() - began)
        return self._kinds

    def is_over(self) -> bool:
        """Return True once all of it has ended and nothing of it can be tried again."""
        return self._group.done and not self._group.counts["failed"]

    def is_outdated(self) -> bool:
        """Return False: no row is about a function."""
        return False


def kinds_of(group: JobGroup) -> list[str]:
    """List the most frequent kinds of failures, each with an example; one bounded line each."""
    found = list(group.failures().items()) if group.counts["failed"] else []
    lines = [f"{len(jobs):,} of {kind}, as: {jobs[0].error}" for kind, jobs in found[:MOST_KINDS]]
    if len(found) > MOST_KINDS:
        lines.append(f"and {len(found) - MOST_KINDS} more kinds")
    return [shorten(line, REMARK) for line in lines]


def shown_resources(queue: JobQueue) -> State:
    """Return meters and idle plugins, a bounded number; empty before a page or a job asks."""
    found = queue._resources()
    if not found:
        return {}
    idle = found["idle"][:METERS]
    return {
        "items": found["items"][:METERS],
        "idle": [{**plugin, "plugin": shorten(plugin["plugin"])} for plugin in idle],
        "at": found["at"],
    }


class SentGroup(dict[str, Any]):
    """How a group stands, as it is shown, with the form in which it is sent; it stays as it is."""

    __slots__ = ("end", "of", "sent")

    def __init__(self, row: State, end: float | None) -> None:
        super().__init__(row)
        self["name"] = shorten(row["name"])
        if end is not None:
            self["done_at"] = end
        self.of = row
        self.end = end
        self.sent = _sent_group(self)


def shown_groups(
    rows: Sequence[State], estimate: Estimate, before: Sequence[SentGroup] = ()
) -> Sequence[SentGroup]:
    """Return how groups stand, with their ends, and names as they are shown: one line, bounded.

    `before`: what this has returned last; of it those are taken that stand still, in their place.
    """
    shown = []
    for row, made in zip_longest(rows, before[: len(rows)]):
        end = estimate.ends.get(row["id"])
        if made is None or made.end != end or made.of != row:
            made = SentGroup(row, end)
        shown.append(made)
    return shown


def sent_group(row: State) -> list[Any]:
    """Return a group as it is sent: its values in the order of `GROUP`, no zeros at the end."""
    return row.sent if isinstance(row, SentGroup) else _sent_group(row)


def _sent_group(row: State) -> list[Any]:
    values = [row.get(name, 0) for name in GROUP]
    items = sum(row.get(status, 0) for status in STATUSES)
    values.append(items - row.get("listed", items))  # how many are not listed: none, as a rule
    while not values[-1]:
        del values[-1]
    return values


class SentRow(dict[str, Any]):
    """A readable row with the form in which it is sent; for rows that stay as they are."""

    __slots__ = ("is_long", "sent")

    def __init__(self, row: State) -> None:
        super().__init__(row)
        self.is_long = _is_long(row)
        self.sent = _sent_row(row)

    @classmethod
    def made_of(cls, row: State) -> State:
        """Make one of a row of the queue; a running job's row stays a dict, since it changes."""
        row = _readable(row)
        return row if row["status"] == "running" else cls(row)


def clipped(rows: Sequence[State]) -> Sequence[State]:
    """Return rows of a list with short texts: traits and messages are bounded."""
    return beside([_readable(row) for row in rows])


def beside(rows: Sequence[State]) -> Sequence[State]:
    """Return readable rows, cut to what tells them apart; none of those given is changed."""
    if not any(row.is_long if isinstance(row, SentRow) else _is_long(row) for row in rows):
        return rows
    cut = tell_apart([dict(row) for row in rows], FREE_TEXTS)
    return [
        SentRow(short) if isinstance(row, SentRow) else short
        for row, short in zip(rows, cut, strict=True)
    ]


def _start_of(row: State, estimate: Estimate) -> float | None:
    at = estimate.start_of(row["id"])
    return None if at is None or at < estimate.at + LEAST_WAIT else at


class TimedRow(SentRow):
    """A row with when it will start, as it was last told; `of` is the one without."""

    __slots__ = ("of",)

    def __init__(self, row: State, at: float | None) -> None:
        dict.__init__(self, row)
        self["start_about"] = at
        self.of = row
        self.is_long = row.is_long if isinstance(row, SentRow) else _is_long(row)
        self.sent = sent_row(row) if at is None else {**sent_row(row), "start_about": at}


def _is_long(row: State) -> bool:
    return any(len(row[name] or "") > LINE for name in FREE_TEXTS)


def _readable(row: State) -> State:
    row["news_at"] = row["start_about"] = None
    for name, digits in INSTANTS:
        if row[name] is not None:
            row[name] = round(row[name], digits)
    row["block"] = row.pop("block_reason")
    row.pop("finished_before_cancel", None)  # the column `note` says it
    for name in FREE_TEXTS:
        if row[name]:
            row[name] = _one_line(row[name])
    row["tags"] = [shorten(tag, 20) for tag in row["tags"][:5]]
    return row


def sent_head(rows: Sequence[State]) -> list[State]:
    """Return the first pending rows as they are sent: a page shows those in groups by windows."""
    if not any(row["group"] for row in rows):
        return [sent_row(row) for row in rows]
    return [
        {**sent_row(row), "position": place} for place, row in enumerate(rows) if not row["group"]
    ]


def sent_row(row: State) -> State:
    """Return the row without columns that hold their default: a third of its bytes."""
    return row.sent if isinstance(row, SentRow) else _sent_row(row)


def _sent_row(row: State) -> State:
    if not row:
        return {}
    sent = {"id": row["id"], "name": row["name"]}
    if row["title"] != row["name"]:
        sent["title"] = row["title"]
    return sent | {name: row[name] for name, usual in USUAL.items() if row[name] != usual}


def shorten(text: str, limit: int = LINE) -> str:
    """Return a text as one line of at most `limit` characters."""
    return fit(_one_line(text), limit)


@lru_cache(maxsize=256)  # the same texts stand in flush after flush
def _one_line(text: str) -> str:
    return " ".join(visible(ends(text, LONGEST // 2)).split())
