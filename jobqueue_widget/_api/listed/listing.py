"""The list of a front end: parts of it as they are now, and what a filter finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Literal

from ..._core.jobs import FAILED, PENDING, RUNNING, JobRecord, JobStatus
from ..._core.machine.resources import RAM
from ..._core.sweeps.group import Group
from ..._core.sweeps.membership import is_grouped
from ..._core.sweeps.standing import Coming, listed, sections_of, standings
from ..._runtime.engine import Engine
from ..._runtime.storage.told.metrics import metric_names_of, metrics_of
from ..._runtime.storage.told.samples import peak_of
from ..._secrets.arguments import arguments_line
from ..control import searchable
from ..rows import RowDict, Rows, add_arguments, number_of, row
from ..sweeps.group import kind_of

PartName = Literal["running", "pending", "history", "group", "groups"]
SECTIONS: tuple[PartName, ...] = ("running", "pending", "history")


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is to show: jobs with a text in their words, of a status, failed of a kind.

    Failed are those that were not tried again.

    `sort`: "start", "duration", "memory" or "metric:" and its name; "" for the usual order. What
    has no such value comes last, also where it goes `down`.
    """

    text: str = ""
    status: str = ""
    kind: str = ""
    sort: str = ""
    down: bool = False


def part_of(
    engine: Engine,
    name: PartName,
    start: int,
    stop: int,
    number: int = 0,
    drawings: Sequence[Coming] = (),
) -> Rows:
    """Return rows start ≤ i < stop of a part of the whole list, all of one moment.

    "running", "pending" and "history" are the jobs in no group, "group" those of the one with that
    number, "groups" how the groups stand.
    """
    start = max(0, start)
    stop = max(start, stop)
    with engine.lock.held:
        state = engine.state
        if name == "groups":
            groups = list(chain(*sections_of(state)))
            shown = standings(state, groups[start:stop], drawings)
            return Rows(state.revision, len(groups), shown)
        if name == "pending":
            jobs, total = state.order.singles(start, stop), state.order.single_count
        elif name == "history":
            jobs, total = state.shelf.singles(start, stop), state.shelf.single_count
        else:
            if name == "running":
                found = [job for job in state.running.values() if not is_grouped(job)]
            else:
                named = state.groups.named.values()
                found = [job for one in named if one.number == number for job in listed(state, one)]
            jobs, total = found[start:stop], len(found)
        rows = _rows(engine, jobs)
        revision = state.revision
    add_arguments(rows, jobs)
    return Rows(revision, total, rows)


def _rows(engine: Engine, jobs: Sequence[JobRecord]) -> list[RowDict]:
    order = engine.state.order
    return [row(engine, job, None if job.entry is None else order.position(job)) for job in jobs]


@dataclass(slots=True)
class Found:
    """What a filter has found at one moment: in each section groups and jobs that are in none."""

    revision: int
    singles: dict[PartName, list[JobRecord]]
    groups: tuple[list[Group], list[Group], list[Group]] = field(
        default_factory=lambda: ([], [], [])
    )
    members: dict[int, list[JobRecord]] = field(default_factory=dict)
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])  # by what the jobs are

    def jobs(self) -> list[JobRecord]:
        """List all jobs that were found, as they stand in the list."""
        parts: list[JobRecord] = []
        for name, groups in zip(SECTIONS, self.groups, strict=True):
            for group in groups:
                parts += self.members[group.number]
            parts += self.singles[name]
        return parts

    def part(
        self,
        engine: Engine,
        name: PartName,
        start: int,
        stop: int,
        number: int = 0,
        drawings: Sequence[Coming] = (),
    ) -> Rows:
        """Do as `part_of`, of what was found; the rows are of now."""
        if name == "groups":
            groups = list(chain(*self.groups))
            with engine.lock.held:
                shown = standings(engine.state, islice(groups, start, stop), drawings)
            for one in shown:
                one["listed"] = len(self.members[one["id"]])
            return Rows(self.revision, len(groups), shown)
        found = self.members.get(number, []) if name == "group" else self.singles[name]
        jobs = found[start:stop]
        with engine.lock.held:
            rows = _rows(engine, jobs)
        add_arguments(rows, jobs)
        return Rows(self.revision, len(found), rows)

    def sizes(self) -> dict[str, list[int]]:
        """Count groups, jobs in none, and all jobs of each section."""
        return {
            "singles": [len(self.singles[name]) for name in SECTIONS],
            "groups": [len(groups) for groups in self.groups],
            "jobs": self.counts,
        }


def find(engine: Engine, wanted: Filter) -> Found:
    """Look at all jobs that lists show. Not under the lock: a `repr` is the user's code."""
    with engine.lock.held:
        state = engine.state
        listed_jobs = (list(state.running.values()), state.order.slice(0), _ended(engine))
        by_name = dict(state.groups.named)
        revision = state.revision
    groups = {group.number: group for group in by_name.values()}
    matches = _matcher(wanted)
    found = Found(revision, {name: [] for name in SECTIONS})
    for place, (name, jobs) in enumerate(zip(SECTIONS, listed_jobs, strict=True)):
        for job in jobs:
            if not matches(job):
                continue
            found.counts[place] += 1
            number = number_of(job, by_name)
            if number in groups:
                found.members.setdefault(number, []).append(job)
            else:
                found.singles[name].append(job)
    for number, jobs in found.members.items():
        group = groups[number]
        statuses = {job.status for job in jobs}
        section = 0 if RUNNING in statuses else 1 if PENDING in statuses else 2
        found.groups[section].append(group)
        jobs.sort(key=group.place_of)
    for place, several in enumerate(found.groups):
        several.sort(key=lambda group: group.number, reverse=place == 2)
    if wanted.sort:
        for jobs in (*found.singles.values(), *found.members.values()):
            _sort(jobs, wanted, engine.now())
    return found


def _sort(jobs: list[JobRecord], wanted: Filter, now: float) -> None:
    values = {job: _value_of(job, wanted.sort, now) for job in jobs}
    sign = -1 if wanted.down else 1
    jobs.sort(key=lambda job: ((value := values[job]) is None, sign * (value or 0)))


def _value_of(job: JobRecord, sort: str, now: float) -> float | None:
    started = job.started_at
    if sort == "start":
        return started
    if sort == "duration":
        return None if started is None else (job.completed_at or now) - started
    if sort == "memory":
        return (peak_of(job) or {}).get(RAM)
    points = metrics_of(job).get(sort.removeprefix("metric:"), [])
    return next((value for _, value in reversed(points) if value is not None), None)


def metrics(engine: Engine) -> list[str]:
    """List the names of metrics by which jobs can be sorted."""
    with engine.lock.held:
        state = engine.state
        jobs = [*state.running.values(), *state.order.slice(0), *_ended(engine)]
    return sorted({name for job in jobs for name in metric_names_of(job)})


def _ended(engine: Engine) -> list[JobRecord]:
    state = engine.state
    return list(state.shelf.shown(reversed(state.ended)))


def _matcher(wanted: Filter) -> Callable[[JobRecord], bool]:
    text, kind = wanted.text.casefold(), wanted.kind
    status = JobStatus(wanted.status) if wanted.status else None

    def matches(job: JobRecord) -> bool:
        if status is not None and (job.status is not status or job.is_retried):
            return False
        if kind and not (_has_failed(job) and kind_of(job) == kind):
            return False
        return not text or text in _words(job)

    return matches


def _words(job: JobRecord) -> str:
    spec = job.spec
    more = f"{spec.options.group or ''}\n{arguments_line(spec)}"
    return f"{searchable(job)}\n{more.casefold()}"


def kinds(engine: Engine) -> Counter[str]:
    """Count the failed jobs that are shown and were not tried again, by their kind."""
    with engine.lock.held:
        jobs = _ended(engine)
    return Counter(kind_of(job) for job in jobs if _has_failed(job))


def _has_failed(job: JobRecord) -> bool:
    return job.status is FAILED and not job.is_retried
