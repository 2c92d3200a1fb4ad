"""Bounds what is kept of ended jobs: logs, what they have displayed, measured and used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...._core.jobs import JobRecord
from ...._core.stored import KeptTold
from ..arguments import LIGHT
from ..shelf import Shelf
from .logs import JobLog
from .metrics import KeptMetrics
from .outputs import KeptOutputs
from .samples import samples_of

if TYPE_CHECKING:
    from ...._threads.locks import Lock

Shorten = Callable[[JobRecord], None]

LOG_MEMORY, LOG_FILES = 64 << 20, 1 << 30  # bytes of logs of ended jobs
OUTPUTS_MEMORY = 256 << 20  # bytes of what ended jobs have displayed
METRICS_MEMORY, SHORT = 128 << 20, 40  # bytes; points of a series of the oldest jobs beyond that
NOTHING_TOLD = (None, None, None, None)
SAMPLES_MEMORY = 64 << 20  # bytes of what ended jobs have used over time; then as for metrics


def told_of(job: JobRecord) -> tuple[object, ...]:
    """Return what is kept of a job beside its result; None for what there is not."""
    return job.log, job.outputs, job.metrics, samples_of(job)


def has_told(job: JobRecord) -> bool:
    """True if any of it is there."""
    return told_of(job) != NOTHING_TOLD


def stored_of(job: JobRecord) -> KeptTold:
    """Return what a job has told beside its log as it stands in a journal."""
    samples = samples_of(job)
    return KeptTold(
        job.metrics.as_json() if isinstance(job.metrics, KeptMetrics) else None,
        job.outputs.as_json() if isinstance(job.outputs, KeptOutputs) else None,
        None if samples is None else samples.as_json(),
    )


class Printed:
    """Counts what ended jobs have told, and shortens that of the oldest. Any thread."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._logs = Shelf()
        self._log_files = Shelf()
        self._outputs = Shelf()
        self._metrics = Shelf()
        self._samples = Shelf()

    def note(self, job: JobRecord) -> None:
        """Count what a job that has ended has told."""
        if type(job.log) is JobLog:
            self._note_log(job, job.log)
        if type(job.outputs) is KeptOutputs:
            self._bound(self._outputs, OUTPUTS_MEMORY, job, job.outputs.size, _drop_outputs)
        if type(job.metrics) is KeptMetrics:
            self._bound(self._metrics, METRICS_MEMORY, job, job.metrics.size, _shorten_metrics)
        if (samples := samples_of(job)) is not None:
            self._bound(self._samples, SAMPLES_MEMORY, job, samples.size, _shorten_samples)

    def _note_log(self, job: JobRecord, log: JobLog) -> None:
        """Count a log; of the logs of the oldest jobs only the end stays."""
        with self._lock.held:
            for shelf, size in zip((self._logs, self._log_files), log.kept, strict=True):
                if size > LIGHT:
                    shelf.put(job, size)
        for shelf, limit in ((self._logs, LOG_MEMORY), (self._log_files, LOG_FILES)):
            while shelf.total > limit and (jobs := shelf.jobs()):
                with self._lock.held:
                    self._logs.take(jobs[0])
                    self._log_files.take(jobs[0])
                if isinstance(jobs[0].log, JobLog):
                    jobs[0].log.shorten(LIGHT)

    def _bound(self, shelf: Shelf, most: int, job: JobRecord, size: int, shorten: Shorten) -> None:
        """Count what a job has told; that of the oldest jobs is shortened beyond so many bytes."""
        with self._lock.held:
            shelf.put(job, size)
        while shelf.total > most and (oldest := shelf.jobs()[:1]):
            with self._lock.held:
                shelf.take(oldest[0])
            shorten(oldest[0])

    def holds(self, job: JobRecord) -> bool:
        """True if a job has left a file, or much in memory, that goes with its last handle."""
        shelves = self._log_files, self._outputs, self._metrics, self._samples
        return any(job in shelf for shelf in shelves)

    def take(self, job: JobRecord) -> None:
        """Forget a job, and delete the file of its log."""
        with self._lock.held:
            told = self._outputs, self._metrics, self._samples
            for shelf in (self._logs, self._log_files, *told):
                shelf.take(job)
        if isinstance(job.log, JobLog):
            job.log.remove()


def _drop_outputs(job: JobRecord) -> None:
    if isinstance(job.outputs, KeptOutputs):
        job.outputs.drop()


def _shorten_metrics(job: JobRecord) -> None:
    if isinstance(job.metrics, KeptMetrics):
        job.metrics.shorten(SHORT)


def _shorten_samples(job: JobRecord) -> None:
    if (samples := samples_of(job)) is not None:
        samples.shorten(SHORT)
