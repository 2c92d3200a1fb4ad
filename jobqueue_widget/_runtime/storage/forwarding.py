"""Gives a job the results of others that are its arguments: packed for a process, else as values.

A result that a worker has packed is passed on as it is; the kernel does not unpickle it.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ..._core.jobs import JobRecord, NotKept
from ..._core.lazy import LazyResult
from ..._core.retrying import lies_with_the_machine
from ..._core.spec import JobSpec
from ...child import byvalue, wire
from ...child.calls import references
from ...child.calls.references import ResultOf
from ...errors import UnpicklableJobError
from ...protocols import Executor, SharesFiles
from ...workers.packing import PackedCall, call_bytes, is_packed
from .places import Replacing

if TYPE_CHECKING:
    from pathlib import Path


INLINE = 64 * 1024  # bytes of a packed result that go with the call; a larger one gets a file


class KeepsResults(Protocol):
    """What is asked of the keeper (`keeper.py`). Any thread."""

    def file_of(self, job: JobRecord) -> Path | None: ...
    def packed(self, job: JobRecord) -> Sequence[memoryview] | None: ...
    def write_parts(self, job: JobRecord, parts: Sequence[bytes | memoryview]) -> Path | None: ...


class ResultLostError(Exception):
    """Raised for an argument that is the result of a job which is not there any more."""

    def __init__(self, title: str, lost: NotKept) -> None:
        super().__init__(title, lost)
        self.title, self.lost = title, lost


class Forwarding:
    """Makes of a job that takes results, and runs by now, the one that is launched."""

    def __init__(self, job: JobRecord, executor: Executor, keeper: KeepsResults) -> None:
        self._spec = job.spec
        self._executor = executor
        self._keeper = keeper
        known = {parent.id: parent for parent in job.parents}
        self._parents = [known[job_id] for job_id in job.spec.takes]

    @property
    def is_quick(self) -> bool:
        """True if nobody's code runs for it, and nothing is read or written."""
        return all(map(self._is_at_hand, self._parents))

    def _is_at_hand(self, parent: JobRecord) -> bool:
        value = parent.result
        packs = is_packed(self._spec.payload)
        if packs and self._keeper.file_of(parent) is not None:
            return self._shares_files
        if type(value) is LazyResult:
            value = value.in_memory
            if value is None:
                return False
        return wire.is_plain(value) if packs else True

    @property
    def _shares_files(self) -> bool:
        return isinstance(self._executor, SharesFiles) and self._executor.shares_files

    def spec(self) -> JobSpec:
        """Return what is launched. May run code of the user's classes.

        Raises:
            ResultLostError: a result is not there.
            UnpicklableJobError: one cannot be sent to where the job runs.
            OSError, MemoryError: the machine has no room for it just now.
        """
        spec = self._spec
        launched = spec.again(spec.id)
        payload = spec.payload
        if is_packed(payload):
            launched.payload = payload[0], self._call(payload[1])
            return launched
        values = [self._value(parent) for parent in self._parents]
        fill = Replacing((ResultOf,), lambda one: values[one.place])
        launched.args, launched.kwargs = fill.arguments(spec.args, spec.kwargs)
        launched.lazy = None
        launched.payload = self._executor.prepare(launched)
        return launched

    def _value(self, parent: JobRecord) -> object:
        value = parent.result
        if type(value) is LazyResult:
            value = value.get(or_fail=True)
        if type(value) is NotKept:
            raise ResultLostError(parent.spec.title, value)
        return value

    def _call(self, call: bytes | PackedCall) -> PackedCall:
        sources = [(parent.spec.title, self._source(parent)) for parent in self._parents]
        return PackedCall(list(references.head_of(call_bytes(call), sources)))

    def _source(self, parent: JobRecord) -> references.Source:
        path = self._keeper.file_of(parent)
        if path is None:
            parts = self._keeper.packed(parent) or self._packed(parent)
            if wire.size_of(parts) <= INLINE or not self._shares_files:
                return parts
            path = self._keeper.write_parts(parent, parts)
            if path is None:
                return parts
        if self._shares_files:
            return str(path)
        try:
            return references.read_parts(str(path))
        except (FileNotFoundError, EOFError, wire.ProtocolError) as error:
            reason = f"its file cannot be read: {type(error).__name__}: {error}"
            raise ResultLostError(parent.spec.title, NotKept(reason=reason)) from error

    def _packed(self, parent: JobRecord) -> Sequence[bytes | memoryview]:
        value = self._value(parent)
        try:
            return wire.dump(value, pickle.dumps if wire.is_plain(value) else byvalue.dumps)
        except Exception as error:
            if lies_with_the_machine(error) and not isinstance(error, FileNotFoundError):
                raise
            told = f"{type(error).__name__}: {error}"
            raise UnpicklableJobError(
                f"the result of {parent.spec.title} ({type(value).__name__}) cannot be sent to "
                f"a worker: {told}; let both run in threads, or return something else"
            ) from error


def takes(child: JobRecord, parent: JobRecord) -> bool:
    """True if a job has the result of another one among its arguments."""
    return parent.id in child.spec.takes
