"""What a recorder needs of the code that turns jobs into plain values, and reads them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .._core.jobs import JobRecord
from .._core.lazy import IsOutdated
from .._core.stored import KeptFunction, KeptResult, StoredRequest, StoredState


class Codec(Protocol):
    """Turns jobs into plain values: decides what may be written of them, and how."""

    def prepare(self, job: JobRecord) -> None:
        """Pack the request of a job, before it is accepted, in the thread of its caller."""

    def request(self, job: JobRecord) -> tuple[StoredRequest, KeptFunction | None] | None:
        """Return the request of a job, and its function if new; None once that is written."""

    def written(self, job: JobRecord) -> None:
        """Note that the request of a job is in the journal."""

    def state(self, job: JobRecord) -> StoredState:
        """Copy a job's state, without its failure. Under the engine's lock, so quick."""
        ...

    def finish(self, job: JobRecord, state: StoredState) -> StoredState:
        """Add the job's failure to a state, and make every text one that can be encoded."""
        ...

    def anew(self, job: JobRecord) -> None:
        """Pack a request and its function again, after the journal has lost them."""

    def erased(self) -> None:
        """Note that functions in the journal may have been deleted with their jobs."""

    def log(self, job: JobRecord) -> bytes:
        """Return the end of a job's log."""
        ...

    def is_light(self, value: object) -> bool:
        """True if a result may be pickled at once: few built-in values."""
        ...

    def result_to_come(self, job: JobRecord) -> KeptResult:
        """Return the text that is kept until the job's result is pickled."""
        ...

    def result(self, job: JobRecord) -> KeptResult:
        """Pack a job's result, or say why not. May run the user's code; never raises."""
        ...


class Reader(Protocol):
    """Reads from the journal what is not in memory any more."""

    def result(self, job_id: str) -> tuple[object, IsOutdated]:
        """Return a job's result, and a function that says if it must be read again."""
        ...

    def arguments_of(self, job: JobRecord) -> Callable[[str], object]:
        """Return a function that reads a job's arguments or payload from the journal by name."""
        ...
