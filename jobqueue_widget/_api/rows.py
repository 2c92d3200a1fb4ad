"""Makes what readers are given: the state dict of the reference system, rows and windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any, Literal

from .._core.jobs import (
    CANCELLED,
    COMPLETED,
    FAILED,
    PENDING,
    BlockReason,
    JobRecord,
    JobStatus,
    NotKept,
)
from .._core.machine.told import unchecked_text
from .._core.spec import JobSpec
from .._core.sweeps.group import Group
from .._core.sweeps.membership import is_grouped
from .._core.sweeps.standing import Coming, sections_of, standings
from .._core.texts.fitting import LINE, fit_all
from .._core.texts.words import cancel_text, error_text
from .._runtime.detached import runs as detached
from .._runtime.engine import Engine
from .._secrets.arguments import arguments_line
from .schema import USUAL
from .sweeps.latest import Look, differs_now

HISTORY_IN_STATE = 20
CHANGED = "has changed since it was last submitted with these arguments"
WILL_NOT_SURVIVE = "will not survive a restart"
KNOWN_BY_THE_WIDGET = ("news_at", "start_about")

WindowName = Literal["running", "pending", "history"]
RowDict = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows start … stop of a list of `total` rows, as of `revision`."""

    revision: int
    total: int
    rows: Sequence[dict[str, Any]]


def progress_of(job: JobRecord) -> float:
    """Return the progress as the reference system has it: -1.0 for unknown."""
    return -1.0 if job.progress is None else job.progress


def _running(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "plugin_name": job.spec.name,
        "status": job.status.value,
        "started_at": job.started_at,
        "progress": progress_of(job),
        "status_message": job.message,
        "cancel_phase": job.cancel_phase,
    }


def _ended(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "plugin_name": job.spec.name,
        "status": job.status.value,
        "completed_at": job.completed_at,
        "error": error_text(job),
        "cancel_reason": cancel_text(job),
    }


def block_dict(reason: BlockReason | None) -> dict[str, Any] | None:
    """Return a block reason with quantities as plain values: need, have and holders."""
    if reason is None or reason.need is None:
        return None
    return {
        "need": dict(reason.need),
        "have": dict(reason.have or {}),
        "holders": [asdict(holder) for holder in reason.holders],
    }


def blocked_text(job: JobRecord) -> str | None:
    """Say why a job does not start, where there is more to say than that it waits."""
    if job.block_reason is not None:
        return job.block_reason.text
    left = job.parents_left
    return f"waits for {left} job{'s' if left > 1 else ''}" if left else None


def state_dict(engine: Engine) -> dict[str, Any]:
    """Return all of a queue at one moment, for `queue.get_state()`."""
    with engine.lock.held:
        state = engine.state
        running = [_running(job) for job in state.running.values()]
        pending = [
            {
                "id": job.id,
                "plugin_name": job.spec.name,
                "priority": job.priority,
                "position": place,
                "block_reason": blocked_text(job),
                "block": block_dict(job.block_reason),
            }
            for place, job in enumerate(state.order.slice(0))
        ]
        history = [_ended(job) for job in islice(state.history(), HISTORY_IN_STATE)]
        totals = state.totals
        return {
            "running": running[0] if running else None,
            "running_all": running,
            "pending": pending,
            "history": history,
            "stats": {
                "total_pending": len(pending),
                "total_running": len(running),
                "total_completed": totals.completed,
                "total_failed": totals.failed,
                "total_cancelled": totals.cancelled,
                "total_accepted": totals.accepted,
            },
            "paused": state.pause is not None,
            "phase": engine.life.phase,
            "revision": state.revision,
        }


def _never_started() -> RowDict:
    row = {"id": "", "title": "", "name": "", **USUAL, "finished_before_cancel": False}
    row["block_reason"] = row.pop("block")
    for name in KNOWN_BY_THE_WIDGET:
        del row[name]
    return row


NEVER_STARTED = _never_started()


def row(engine: Engine, job: JobRecord, position: int | None = None) -> RowDict:
    """Return one job as plain values for a front end, without `args`. Under the lock.

    Of those that have never started there may be very many: what only a start or an end sets is
    not asked of them.
    """
    spec, reason = job.spec, job.block_reason
    shown = NEVER_STARTED.copy()
    shown["id"] = job.id
    shown["title"] = spec.options.label or spec.name
    shown["name"] = spec.name
    shown["retry_of"] = job.retry_of
    shown["hold_then"] = job.hold_then
    shown["priority"] = job.priority
    shown["position"] = position
    shown["tags"] = spec.options.tags
    shown["created_at"] = job.created_at
    shown["held"] = job.held
    shown["hold_until"] = job.hold_until
    shown["starts_at"] = job.starts_at
    if reason is not None or job.parents_left:
        shown["block_reason"] = blocked_text(job)
    if job.groups or spec.options.group is not None:
        shown["group"] = number_of(job, engine.state.groups.named)
    if spec.secrets is not None:
        shown["note"] = note_of(job, False)
    elif job.function_changed:
        shown["note"] = _changed(spec)
    if job.status is not PENDING or job.started_at is not None:
        _add_what_it_did(shown, engine, job)
    return shown


def number_of(job: JobRecord, named: Mapping[str, Group]) -> int:
    """Return the number of the group below which lists show a job; 0 if it stands by itself.

    It is -1 if the queue keeps no job of that group but such as were tried again. `named` are the
    queue's groups by name.
    """
    numbers = [group.number for group in job.groups if group.number]
    if numbers or job.spec.options.group is None:
        return numbers[0] if numbers else 0
    group = named.get(job.spec.options.group)
    return -1 if group is None else group.number


def _add_what_it_did(shown: RowDict, engine: Engine, job: JobRecord) -> None:
    force_in = engine.timers.seconds_left(job, "grace") if job.cancel_phase == "asked" else None
    shown["force_at"] = None if force_in is None else engine.now() + force_in
    shown["differs"] = differs = has_changed(job)
    shown["note"] = note_of(job, differs)
    shown["finished_before_cancel"] = job.finished_before_cancel
    shown["status"] = job.status.value
    shown["attempt"] = job.attempt
    shown["started_at"] = job.started_at
    shown["completed_at"] = job.completed_at
    shown["progress"] = progress_of(job)
    shown["message"] = job.message
    shown["phase"] = job.run_phase
    shown["where"] = job.where
    shown["cancel_phase"] = job.cancel_phase
    shown["can_kill"] = job.can_kill
    shown["error"] = error_text(job)
    shown["cancel_reason"] = cancel_text(job)


def add_arguments(rows: Sequence[dict[str, Any]], jobs: Sequence[JobRecord]) -> None:
    """Fill in `args`. Not under the lock: the `repr` of an argument is the user's code."""
    for shown, job in zip(rows, jobs, strict=True):
        shown["args"] = arguments_line(job.spec)
    tell_apart(rows)


def tell_apart(rows: Sequence[RowDict], names: Sequence[str] = ("args",)) -> Sequence[RowDict]:
    """Cut texts of rows that stand beside one another to what tells them apart."""
    for name in names:
        texts = [row[name] or "" for row in rows]
        if max(map(len, texts), default=0) <= LINE:
            continue
        for row, text in zip(rows, fit_all(texts), strict=True):
            row[name] = text or row[name]
    return rows


def cancel_note(job: JobRecord) -> str | None:
    """Say what cannot be done about a job that was asked to stop and has not."""
    if job.cancel_phase is None or job.can_kill:
        return None
    return f"asked to stop; a {job.executor_name} cannot be forced"


def _is_withheld(job: JobRecord) -> bool:
    return job.spec.secrets is not None and job.spec.secrets.withheld


def note_of(job: JobRecord, differs: bool) -> str | None:
    """Return a remark about a job for its row, or None; `differs`: see `has_changed`."""
    if job.retried_by is not None and job.status is not JobStatus.completed:
        return f"retried → {job.retried_by.id.partition('-')[0]}"
    if job.finished_before_cancel:
        return "finished before the cancel"
    if job.backing_off and job.failure is not None:
        return str(job.failure)
    if type(job.result) is NotKept:
        return f"result not kept: {job.result.reason}"
    if differs:
        return f"{job.spec.name} differs now; Retry runs it as it was"
    if job.cancel_phase is None and job.usage is not None and job.usage.unchecked:
        return unchecked_text(job.usage.unchecked)
    if job.cancel_phase is None and not job.status.ended and _is_withheld(job):
        return WILL_NOT_SURVIVE if job.spec.kept is not None else None
    return cancel_note(job) or (_changed(job.spec) if job.function_changed else None)


def _changed(spec: JobSpec) -> str:
    return f"the {'plugin' if spec.kind == 'plugin' else 'function'} {CHANGED}"


def has_changed(job: JobRecord) -> bool:
    """True if it has ended, and its function is defined otherwise by now. Quick if it is not."""
    return job.status.ended and differs_now(job.spec)


class KnownRow:
    """A row that a reader was given, and whether it is still true."""

    __slots__ = ("differs", "job", "revision", "row", "stays")

    def __init__(self, job: JobRecord, row: RowDict) -> None:
        self.job = job
        self.revision = job.revision
        self.row = row
        self.stays = job.status is not JobStatus.running
        self.differs = row["differs"]

    def is_outdated(self, look: Look) -> bool:
        """Return True if a cell has redefined its function, or set it back."""
        job = self.job
        return (job.status.ended and look.differs(job.spec)) is not self.differs


class KnownRows:
    """The rows that one reader was given last, so that its next look need not make them anew.

    The row of a pending or ended job is kept until the job changes. That of a running job is made
    at each look.

    Args:
        finish: turns a new row, with its `args`, into the form that the reader wants.
        beside: fits rows in that form to one another, as they stand in one list.
    """

    def __init__(
        self,
        finish: Callable[[RowDict], RowDict],
        beside: Callable[[Sequence[RowDict]], Sequence[RowDict]],
    ) -> None:
        self._finish = finish
        self._beside = beside
        self._known: dict[str, KnownRow] = {}
        self._new: list[KnownRow] = []

    def look_up(self, engine: Engine, jobs: Iterable[JobRecord]) -> list[KnownRow]:
        """Return a row for each job, known or new. Under the lock."""
        known, found, look = self._known, [], Look()
        for job in jobs:
            shown = known.get(job.id)
            if shown is None or shown.revision != job.revision or shown.is_outdated(look):
                shown = KnownRow(job, row(engine, job))
                self._new.append(shown)
            found.append(shown)
        return found

    def is_outdated(self) -> bool:
        """True if a cell has defined the function of one of them anew. Quick, any thread."""
        look = Look()
        return any(shown.is_outdated(look) for shown in self._known.values())

    def finish(self, *lists: list[KnownRow]) -> list[Sequence[RowDict]]:
        """Complete new rows, and return all lists as the reader wants them. Not under the lock."""
        new, self._new = self._new, []
        for shown in new:
            shown.row["args"] = arguments_line(shown.job.spec)
            shown.row = self._finish(shown.row)
        self._known = {shown.job.id: shown for shown in chain(*lists) if shown.stays}
        return [self._beside([shown.row for shown in rows]) for rows in lists]


def cleared_dict(engine: Engine) -> dict[str, Any] | None:
    """Return how many jobs were hidden last, and until when that can be undone. Locked."""
    undoable = engine.history.undoable()
    return undoable and {"count": undoable[0], "until": engine.now() + undoable[1]}


def snapshot(
    engine: Engine,
    running: int,
    pending: int,
    history: int,
    known: KnownRows | None = None,
    groups: int = 0,
    drawings: Sequence[Coming] = (),
    *,
    windowed: bool = False,
) -> dict[str, Any]:
    """Return the first rows of the three lists, the counts and the state, of one moment.

    `position` is None in each row: a pending job's place is the index of its row in the list.
    `groups`: how many groups are told of at most, those of these rows first. `drawings`: of maps
    that have items to come. `windowed`: jobs in groups are read by windows, so that there are no
    pending rows if all are in groups.
    """
    known = known or KnownRows(lambda row: row, tell_apart)
    with engine.lock.held:
        state, totals, pause = engine.state, engine.state.totals, engine.state.pause
        survives = engine.recorder is not None and bool(engine.recorder.journal.place)
        found: dict[str, Any] = {
            "revision": state.revision,
            "now": engine.now(),
            "name": engine.settings.name,
            "phase": engine.life.phase,
            "paused": None if pause is None else {"reason": pause.reason, "since": pause.since},
            "lag": engine.watch.lag,
            "note": engine.notice,
            "alone": detached.sentence(engine) if survives else "",
            "cleared": cleared_dict(engine),
            "max_running": engine.max_running,
            "cancel_timeout": engine.settings.cancel_timeout,
            "survives": survives,
            "counts": {
                "pending": len(state.order),
                "running": len(state.running),
                "held": len(state.order) - state.order.ready_count,
                "completed": totals.completed,
                "failed": totals.failed - totals.retried,
                "cancelled": totals.cancelled,
                "retried": totals.retried,
                "history": state.history_count,
                "clearable": state.count_after(state.cleared_to),
                "groups": len(state.groups.named),
            },
        }
        sections = sections_of(state)
        kept = state.shelf.counts
        found["listed"] = {
            "singles": [
                sum(not is_grouped(job) for job in state.running.values()),
                state.order.single_count,
                state.shelf.single_count,
            ],
            "groups": [len(part) for part in sections],
            "kept": [kept[COMPLETED], kept[FAILED], kept[CANCELLED], state.shelf.retried],
        }
        ahead = state.order.slice(0, 0 if windowed and not state.order.single_count else pending)
        shown = (
            known.look_up(engine, islice(state.running.values(), running)),
            known.look_up(engine, ahead),
            known.look_up(engine, islice(state.history(), history)),
        )
        found["groups"] = []
        if groups and state.groups.named:
            found["groups"] = standings(state, islice(chain(*sections), groups), drawings)
    found["running"], found["pending"], found["history"] = known.finish(*shown)
    return found


def window(engine: Engine, which: WindowName, start: int, stop: int) -> Rows:
    """Return rows start ≤ i < stop of one of the three lists, all of one moment."""
    start = max(0, start)
    with engine.lock.held:
        state = engine.state
        if which == "pending":
            jobs, total = state.order.slice(start, stop), len(state.order)
        elif which == "running":
            jobs, total = list(islice(state.running.values(), start, stop)), len(state.running)
        elif which == "history":
            jobs = list(islice(state.history(), start, max(start, stop)))
            total = state.history_count
        else:
            raise ValueError(f'which must be "running", "pending" or "history", not {which!r}')
        places = range(start, start + len(jobs)) if which == "pending" else [None] * len(jobs)
        rows = [row(engine, job, place) for job, place in zip(jobs, places, strict=True)]
        revision = state.revision
    add_arguments(rows, jobs)
    return Rows(revision, total, rows)
