"""Counts what has ended since an instant: by status, failures by kind, and the slowest job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ..._core.jobs import COMPLETED, FAILED, JobRecord
from ..._runtime.engine import Engine
from ..sweeps.group import kind_of

PASSED = 1_000  # jobs in a row that ended before, after which nobody looks on: clocks may jump


@dataclass(frozen=True, slots=True)
class Since:
    """What has ended since an instant, without what was hidden and without tries that came again.

    Attributes:
        moment: that instant, as epoch seconds.
        now: the same, when it was counted.
        completed: how many jobs completed.
        failed: how many failed.
        cancelled: how many were cancelled.
        kinds: how many failed of what, the most frequent kind first, as in `JobGroup.failures`.
        slowest: the id of the job that ran longest; None if none ran.
        slowest_seconds: how long its last attempt took.
        whole: False if more has ended since than is kept.
        restarted: True if the queue came back from its journal since.

    """

    moment: float
    now: float
    completed: int
    failed: int
    cancelled: int
    kinds: Mapping[str, int]
    slowest: str | None
    slowest_seconds: float
    whole: bool
    restarted: bool


def since(engine: Engine, moment: float) -> Since:
    """Count what has ended since an instant. Looks at the jobs that have, and few more."""
    with engine.lock.held:
        state, now = engine.state, engine.now()
        ended, hidden_to = list(state.ended), state.cleared_to
        dropped = state.totals.ended - len(ended)
    counts, kinds = Counter[str](), Counter[str]()
    slowest: JobRecord | None = None
    longest = 0.0
    for job in _ended_since(ended, moment, engine.spans.end_of):
        if not _counts(job, hidden_to):
            continue
        counts[job.status.value] += 1
        if job.status is FAILED:
            kinds[kind_of(job)] += 1
        seconds = _seconds(job)
        if seconds is not None and (slowest is None or seconds > longest):
            slowest, longest = job, seconds
    return Since(
        moment,
        now,
        counts[COMPLETED.value],
        counts[FAILED.value],
        counts["cancelled"],
        dict(kinds.most_common()),
        None if slowest is None else slowest.id,
        longest,
        not dropped or bool(ended and engine.spans.end_of(ended[0]) < moment),
        engine.spans.restored_at is not None and engine.spans.restored_at >= moment,
    )


def failed_between(engine: Engine, moment: float, end: float) -> list[JobRecord]:
    """List what `since` has counted as failed, as of an instant `end`, the oldest first.

    What was tried again after that is left out.
    """
    with engine.lock.held:
        ended, hidden_to = list(engine.state.ended), engine.state.cleared_to
    end_of = engine.spans.end_of
    found = [
        job
        for job in _ended_since(ended, moment, end_of)
        if job.status is FAILED and _counts(job, hidden_to) and end_of(job) <= end
    ]
    return found[::-1]


def _counts(job: JobRecord, hidden_to: int) -> bool:
    return job.ended_number > hidden_to and job.retried_by is None


def _ended_since(
    ended: list[JobRecord], moment: float, end_of: Callable[[JobRecord], float]
) -> Iterator[JobRecord]:
    """List these jobs, the newest first."""
    passed = 0
    for job in reversed(ended):
        if end_of(job) >= moment:
            passed = 0
            yield job
        else:
            passed += 1
            if passed == PASSED:
                return


def _seconds(job: JobRecord) -> float | None:
    start, end = job.started_at, job.completed_at
    return None if start is None or end is None else max(0.0, end - start)
