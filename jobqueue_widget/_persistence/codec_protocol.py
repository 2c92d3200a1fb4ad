"""What is needed of whoever puts jobs into plain values, and reads them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .._core.jobs import JobRecord
from .._core.lazy import IsOutdated
from .._core.stored import KeptFunction, KeptResult, StoredRequest, StoredState


class Codec(Protocol):
    """Puts jobs into plain values: what may be written of them, and how."""

    def prepare(self, job: JobRecord) -> None:
        """Pack what was asked for. In the thread of its caller, before it is accepted."""

    def request(self, job: JobRecord) -> tuple[StoredRequest, KeptFunction | None] | None:
        """Return what was asked for; None once it was written."""

    def written(self, job: JobRecord) -> None:
        """Note that what was asked for is kept now."""

    def state(self, job: JobRecord) -> StoredState:
        """Take down the job's state, but for its failure. Under the engine's lock: quick."""
        ...

    def finish(self, job: JobRecord, state: StoredState) -> StoredState:
        """Add its failure, and hide what is secret."""
        ...

    def anew(self, job: JobRecord) -> None:
        """Pack again what was asked for, and its function: they are written no longer."""

    def erased(self) -> None:
        """Note that functions that were written may have gone with their jobs."""

    def log(self, job: JobRecord) -> bytes:
        """Return the end of its log."""
        ...

    def is_light(self, value: object) -> bool:
        """True if a result may be pickled at once: few built-in values."""
        ...

    def result_to_come(self, job: JobRecord) -> KeptResult:
        """Return what stands there until its result is pickled."""
        ...

    def result(self, job: JobRecord) -> KeptResult:
        """Return its result as it will be kept. May run the user's code; never raises."""
        ...


class Reader(Protocol):
    """Read from the journal what is not in memory any more."""

    def result(self, job_id: str) -> tuple[object, IsOutdated]:
        """Return what a job returned, and what says whether it is to be read again."""
        ...

    def arguments_of(self, job: JobRecord) -> Callable[[str], object]:
        """What reads the arguments, or the payload, of a job that let them go."""
        ...
