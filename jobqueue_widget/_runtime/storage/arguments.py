"""Bounds what the arguments of completed jobs take: kept as pickles first, then let go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..._core.spec import JobSpec
from ...workers.packing import is_packed
from ...workers.unpacking import CallReader
from .shelf import Shelf
from .sizes import size_of

if TYPE_CHECKING:
    from ..._core.jobs import JobRecord
    from ..._threads.locks import Lock
    from ..engine_view import EngineView

ARGUMENTS_SHARE = 4  # a quarter of what may be kept in memory
LIGHT = 4096  # bytes that are not counted
LARGE_FUNCTION = 1 << 20  # bytes of a pickled function that holds data

Describe = Callable[[JobSpec], str]


class ReadsArguments(Protocol):
    """Reads from the journal the arguments that are not in memory any more."""

    def arguments_of(self, job: JobRecord) -> Callable[[str], object]: ...


class KeptArguments(Shelf):
    """The arguments of completed jobs that are counted, oldest first."""

    def __init__(self, engine: EngineView, lock: Lock) -> None:
        super().__init__()
        self._engine = engine
        self._lock = lock

    def note(self, job: JobRecord, describe: Describe) -> None:
        """Count arguments; where there is a pickle of the call, keep that and drop the objects."""
        spec = job.spec
        if spec.restored:  # they stand in the journal
            spec.empty("args", "kwargs", "payload")
            return
        payload = spec.payload
        if is_packed(payload):
            function, call = payload
            size = len(call)
            if len(function.data) > LARGE_FUNCTION:
                size += 2 * len(function.data)  # the function itself holds the same
            if size <= LIGHT:
                return
            spec.shown = spec.shown or describe(spec)
            spec.lazy = CallReader(call)
            spec.empty("args", "kwargs")
        else:
            size = sum(size_of(given) for given in (spec.args, spec.kwargs) if given)
            if size <= LIGHT:
                return
        with self._lock.held:
            self.put(job, size)

    def let_go(
        self,
        keep: int,
        memory: Callable[[], int],
        describe: Describe,
        reader: ReadsArguments | None,
    ) -> None:
        """Let the oldest go until they take a quarter of `keep` bytes, and with others all."""
        for job in self.jobs():
            if memory() <= keep and self.total <= keep // ARGUMENTS_SHARE:
                break
            with self._lock.held:
                size = self.take(job)
            spec = job.spec
            spec.shown = spec.shown or describe(spec)
            if reader is not None and self._stands_in_the_journal(job):
                spec.lost = "its arguments stood in the journal, which is not there any more"
                spec.lazy = reader.arguments_of(job)
            else:
                spec.refuse(
                    f"its arguments ({size:,} bytes) were let go after it had completed, "
                    f"for those of ended jobs may take a quarter of keep_bytes={keep:,}"
                )
            spec.empty("args", "kwargs", "payload")

    def _stands_in_the_journal(self, job: JobRecord) -> bool:
        recorder = self._engine.recorder
        return (
            recorder is not None and recorder.has_written(job) and job.id in self._engine.state.jobs
        )
