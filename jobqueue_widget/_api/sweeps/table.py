"""Makes a table of a group: parameters, results and how each job went, one row per item."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..._core.jobs import JobStatus
from ..._runtime.storage.data_frame import data_frame
from ..._secrets.arguments import shown_arguments
from ..._secrets.parameters import by_name
from ...job import Job

HOW = (
    "status",
    "error_type",
    "error",
    "seconds",
    "memory_mib",
    "attempt",
    "retry_of",
    "started",
    "ended",
)
TIMES = ("started", "ended")


def table_of(jobs: Sequence[Job]) -> Any:
    """Return a DataFrame with one row per job, its id as the index.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    parameters = [_parameters(job) for job in jobs]
    results = [_results(job) for job in jobs]
    measured = [_measured(job) for job in jobs]
    named = _names(parameters, "parameter", {"id", *HOW})
    told = _names(results, "result", {"id", *HOW, *named.values()})
    metric = _names(measured, "metric", {"id", *HOW, *named.values(), *told.values()})
    rows = [
        {
            "id": job.id,
            **{named[name]: value for name, value in given.items()},
            **{told[name]: value for name, value in result.items()},
            **{metric[name]: value for name, value in values.items()},
            **_how(job),
        }
        for job, given, result, values in zip(jobs, parameters, results, measured, strict=True)
    ]
    columns = ["id", *named.values(), *told.values(), *metric.values(), *HOW]
    frame = data_frame(rows, columns).set_index("id")
    import pandas as pd

    for name in TIMES:
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def _names(rows: Iterable[Mapping[str, object]], what: str, taken: set[str]) -> dict[str, str]:
    """Name the columns of all that stands in these rows; what is taken gets a prefix."""
    found = dict.fromkeys(name for row in rows for name in row)
    return {name: f"{what}.{name}" if name in taken else name for name in found}


def _parameters(job: Job) -> dict[str, object]:
    """Return the arguments by name, or by place where the target does not tell; no secrets."""
    spec = job._record.spec
    return {name: value for name, value, _ in by_name(spec.target, *shown_arguments(spec))}


def _results(job: Job) -> dict[str, object]:
    """Return the result: by key if it is a dictionary whose keys are texts."""
    if job.status is not JobStatus.completed:
        return {}
    value = job._shown_result()
    if isinstance(value, Mapping) and value and all(isinstance(key, str) for key in value):
        return dict(value)
    return {"result": value}


def _measured(job: Job) -> dict[str, object]:
    """Return the last, the least and the greatest value of each metric."""
    found: dict[str, object] = {}
    for name, points in job.metrics.items():
        values = [value for _, value in points if value is not None]
        found[name] = points[-1][1]
        found[f"{name}.min"] = min(values, default=None)
        found[f"{name}.max"] = max(values, default=None)
    return found


def _how(job: Job) -> dict[str, object]:
    failure = job.failure if job.status is JobStatus.failed else None
    started, ended = job.started_at, job.completed_at
    return {
        "status": job.status.value,
        "error_type": None if failure is None else failure.type_name,
        "error": job.error or job.cancel_reason,
        "seconds": math.nan if started is None or ended is None else max(0.0, ended - started),
        "memory_mib": (job.used_peak or {}).get("ram_mib", math.nan),
        "attempt": job.attempt,
        "retry_of": job.retry_of,
        "started": _instant(started),
        "ended": _instant(ended),
    }


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
