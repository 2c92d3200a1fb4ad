"""Keeps what the processes of running jobs use over time: a sample each second, thinned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from ...._core.jobs import JobRecord
from ...._core.machine.resources import CPUS, GPU, RAM, MachineStats
from ...._core.machine.usage import Usage
from ....child.capture.series import Point
from .metrics import KeptMetrics

YOUNG = 1.0  # seconds for which nothing is kept of an attempt
APART = 0.9  # seconds between two samples at least: the machine may be looked at more often


class SampledRun(Protocol):
    """What a sample is taken of."""

    job: JobRecord
    job_id: str
    attempt: int
    over: bool


class _Last(NamedTuple):
    attempt: int  # and not the run, which would hold its job until the next look
    pid: int
    began: float
    at: float
    cpu_seconds: float | None


class Sampler:
    """Makes samples of the looks at the machine. One thread at a time; nothing of ended runs."""

    def __init__(self) -> None:
        self._last: dict[str, _Last] = {}

    def note(
        self,
        running: Iterable[tuple[SampledRun, int]],
        stats: MachineStats,
        now: float,
        wall: float,
    ) -> None:
        """Note what the processes of these runs hold, and have used since the last sample.

        Args:
            running: runs with the roots of their process trees.
            stats: the machine.
            now: seconds of the monotonic clock.
            wall: epoch seconds, by which an attempt has begun.
        """
        before, self._last = self._last, {}
        for run, pid in running:
            seen = stats.processes.get(pid)
            if seen is None or run.over:
                continue
            usage = run.job.usage = run.job.usage or Usage({})
            usage.note(seen)
            last, used = before.get(run.job_id), stats.cpu_seconds.get(pid)
            if last is not None and last.attempt == run.attempt:
                began = last.began
            else:
                began, last = now - max(0.0, wall - (run.job.started_at or wall)), None
            if last is not None and last.pid != pid:
                last = None
            if last is not None and now - last.at < APART:
                self._last[run.job_id] = last
                continue
            self._last[run.job_id] = _Last(run.attempt, pid, began, now, used)
            if now - began < YOUNG:
                continue
            values = {RAM: seen.ram_mib}
            if last is not None and used is not None and last.cpu_seconds is not None:
                values[CPUS] = max(0.0, used - last.cpu_seconds) / (now - last.at)
            kept = usage.samples
            if not isinstance(kept, KeptMetrics):
                kept = usage.samples = KeptMetrics()
            if seen.gpu_mib or GPU in kept:
                values[GPU] = sum(seen.gpu_mib.values())
            at = round(now - began, 2)
            points = {name: [(at, round(value, 3))] for name, value in values.items()}
            kept.take(run.attempt, points)


def samples_of(job: JobRecord) -> KeptMetrics | None:
    """Return the samples of a job, if there are any."""
    kept = None if job.usage is None else job.usage.samples
    return kept if isinstance(kept, KeptMetrics) else None


def usage_of(job: JobRecord) -> dict[str, list[Point]]:
    """Return what a job has used over time, by the name of the resource."""
    kept = samples_of(job)
    return {} if kept is None else kept.read()


def peak_of(job: JobRecord) -> dict[str, float] | None:
    """Return the most memory that a job was seen to hold; None if it was never read."""
    seen = None if job.usage is None else job.usage.seen()
    if seen is None and job.usage is not None:  # one that has come back from a journal
        points = usage_of(job)
        tops = {name: [v for _, v in points.get(name, ()) if v is not None] for name in (RAM, GPU)}
        seen = {name: max(values) for name, values in tops.items() if values} or None
    return seen
