"""Restores jobs, whose function and arguments are read, proved and unpickled at first use."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from .._core.jobs import JobRecord, NotKept
from .._core.spec import NOTHING, JobOptions, JobSpec
from .._core.stored import KeptResult, KeptTold, StoredRequest
from .._runtime.storage.told.logs import JobLog, no_file
from .._threads.locks import Lock
from ..child import loading
from ..errors import JournalError, NotRestorableError
from ..executors.missing import MissingExecutor
from ..protocols import Executor, Journal, TakesPacked
from ..workers.packing import Packed
from ..workers.surroundings import Snapshot
from .pythons import split, unmarked, why_foreign
from .sqlite.signing import Signer

__all__ = ["MISSING", "JournalReader", "RestoredSpec", "restored_log"]

_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")

logger = logging.getLogger(__name__)

MISSING = MissingExecutor()
ANOTHER_CLASS = "a restored result is of a class that this notebook does not have"


class JournalReader:
    """Reads what a journal kept of single jobs; with `why_not` nothing is ever unpickled."""

    def __init__(self, journal: Journal, signer: Signer, why_not: str | None) -> None:
        self._journal = journal
        self._signer = signer
        self._why_not = why_not
        self._foreign: dict[bytes, str | None] = {}  # why functions cannot run here, by digest
        self._functions: weakref.WeakValueDictionary[bytes, Packed] = weakref.WeakValueDictionary()

    def why_lost(self, request: StoredRequest) -> str | None:
        """Say why a request cannot run again; None if it can, as far as its arguments tell."""
        why = request.missing or self._why_not or why_foreign(request.call or b"")
        if why is None and not self._signer.proves(request.seal, *request.sealed_parts()):
            why = self._signer.why_not or (
                "they are not sealed with this user's key, so they are not unpickled"
            )
        return None if why is None else f"arguments cannot be restored: {why}"

    def proves(self, request: StoredRequest, missing: str | None) -> bool:
        """True if this user's key has sealed a request; `missing`: what `why_lost` has said."""
        if missing is None:
            return True
        return self._why_not is None and self._signer.proves(request.seal, *request.sealed_parts())

    def request(self, number: int) -> StoredRequest:
        """Read a request, with its call.

        Raises:
            NotRestorableError: it is not there, or cannot be proved.
        """
        kept = _kept(self._journal.request, number, "its arguments", "are")
        why = self.why_lost(kept)
        if why is not None:
            raise NotRestorableError(why)
        return kept

    def arguments_of(self, job: JobRecord) -> Callable[[str], object]:
        """Return a function that reads the arguments or payload that a job has let go."""
        number, options, executor = job.number, job.spec.options, job.spec.executor
        title = f"job {job.spec.title!r} ({job.id})"

        def read(name: str) -> object:
            try:
                spec = RestoredSpec(self.request(number), options, None, self)
            except NotRestorableError as error:
                raise NotRestorableError(f"{title}: {error}; submit it again") from error
            spec.executor = executor
            return getattr(spec, name)

        return read

    def why_no_function(self, digest: bytes | None) -> str | None:
        """Say why a function cannot run here; None if it can, or if that shows later."""
        if digest is not None and digest not in self._foreign:
            with contextlib.suppress(NotRestorableError):
                self.function(digest)
        return None if digest is None else self._foreign.get(digest)

    def function(self, digest: bytes) -> Packed:
        """Read a function's pickle, which the seal of its job proves by its digest.

        Raises:
            NotRestorableError: it is not there, or was changed.
        """
        known = self._functions.get(digest)
        if known is not None:
            return known
        kept = _kept(self._journal.function, digest, "its function", "is")
        why = self._foreign[digest] = why_foreign(kept.data)
        if why is not None:
            raise NotRestorableError(f"its function cannot be restored: {why}")
        packed = Packed(unmarked(kept.data), _sources(kept.source))
        if packed.digest != digest:
            raise NotRestorableError("its function was changed in the journal: it is not unpickled")
        return self._functions.setdefault(digest, packed)

    def result(self, job_id: str) -> tuple[object, Callable[[], bool] | None]:
        """Read a job's result; a `NotKept` if it was not kept or cannot be read or proved.

        The second value is None, or says if a cell has defined a class of it since: then the result
        must be read again.
        """
        try:
            kept = self._journal.result(job_id)
        except JournalError as error:
            return NotKept(reason=f"it cannot be restored: {error}"), None
        if kept is None:
            lost = "it cannot be restored: its kernel ended before it was written"
            return NotKept(reason=lost), None
        if kept.form == "not kept":
            return _told(kept.data), None
        parts, why = self._parts(job_id, kept)
        if parts:
            try:
                found = loading.read(parts[0], parts[1:])
            except Exception as error:
                why = f"unpickling failed ({type(error).__name__}: {error})"
            else:
                for how in found.differences:
                    warnings.warn(f"{ANOTHER_CLASS}: {how}", UserWarning, stacklevel=5)
                return found.value, found.is_outdated if found.strangers else None
        return NotKept(repr=kept.shown, reason=f"it cannot be restored: {why}"), None

    def packed(self, job_id: str) -> Sequence[memoryview] | None:
        """Read the pickle of a result and its buffers; None if only its value can be had.

        That is so if it holds code: where a cell has run again, this notebook has newer classes.
        """
        try:
            kept = self._journal.result(job_id)
        except JournalError:
            return None
        parts = [] if kept is None else self._parts(job_id, kept)[0]
        return parts if parts and b"cloudpickle" not in bytes(parts[0]) else None

    def _parts(self, job_id: str, kept: KeptResult) -> tuple[list[memoryview], str]:
        """Return the pickle of a result and its buffers; or none, and why it is not unpickled."""
        if kept.form != "pickle":
            return [], kept.data.decode("utf-8", "replace")
        why = self._why_not
        if why is None and not self._signer.proves(
            kept.seal, b"result", job_id.encode(), kept.data
        ):
            why = "it is not sealed with this user's key, so it is not unpickled"
        if why is None:
            parts = split(kept.data)  # it is sealed, so this does not fail
            why = why_foreign(parts[0])
        return ([], why) if why else (parts, "")

    def shown(self, job_id: str) -> str:
        """Read a result as text, or say why it cannot be read."""
        try:
            kept = self._journal.result(job_id)
        except JournalError as error:
            return f"<{error}>"
        return "" if kept is None else kept.shown

    def log(self, job_id: str) -> bytes:
        """Read the end of a job's output; a note if that cannot be read."""
        try:
            return self._journal.log(job_id)
        except JournalError as error:
            return f"[{error}]\n".encode("utf-8", "backslashreplace")

    def told(self, job_id: str) -> KeptTold:
        """Read what else a job has told; nothing if that cannot be read."""
        try:
            return self._journal.told(job_id)
        except JournalError as error:
            logger.warning("what job %s has told cannot be read: %s", job_id, error)
            return KeptTold(None, None)


def _kept(read: Callable[[_Key], _Kept | None], key: _Key, what: str, verb: str) -> _Kept:
    """Read what a journal has under a key.

    Raises:
        NotRestorableError: there is nothing, or it cannot be read.
    """
    try:
        kept = read(key)
    except JournalError as error:
        raise NotRestorableError(f"{what} cannot be read: {error}") from error
    if kept is None:
        raise NotRestorableError(f"{what} {verb} not in the journal any more")
    return kept


def _sources(text: str | None) -> dict[str, list[str]] | None:
    """Read the source that the codec has written; None if it cannot be read."""
    try:
        found = json.loads(text or "null")
        if isinstance(found, list):  # as 0.1 wrote it: file and lines of the function alone
            found = {found[0]: found[1]}
        sound = all(isinstance(line, str) for lines in found.values() for line in lines)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    return found if sound and all(isinstance(lines, list) for lines in found.values()) else None


def _told(data: bytes) -> NotKept:
    """Read what the codec has written of a result that was not kept."""
    try:
        found = json.loads(data)
        size = found["size"]
        words = {name: str(found[name]) for name in ("type", "repr", "reason")}
        return NotKept(size=size if isinstance(size, int) else None, **words)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return NotKept(reason=f"it was not kept, and why cannot be read: {error}")


class RestoredSpec(JobSpec):
    """The spec of a restored job, which makes arguments, function and payload at first use.

    `missing` says why it cannot: then their use raises NotRestorableError.
    """

    __slots__ = ("_packed", "_reader", "lacks", "request")
    restored = True

    def __init__(
        self,
        request: StoredRequest,
        options: JobOptions,
        missing: str | None,
        reader: JournalReader,
    ) -> None:
        self.request = request
        self.missing = missing
        self._reader = reader
        self._packed: Packed | None = None
        self.id = request.id
        self.kind = request.kind  # type: ignore[assignment]
        self.name = request.name
        self.named = None
        self.options = options
        self.executor = None
        self.surroundings: object = None
        self.takes = NOTHING
        self.lacks: str | None = None  # what must exist here before the job can run
        self.shown = request.shown
        self.secrets = None
        self.kept = None
        self.lazy = None
        self.lost = ""
        if request.kind == "plugin":
            self.target = request.name

    def __getattr__(self, name: str) -> Any:
        """Fill a slot at its first use."""
        if name not in _LATE:
            raise AttributeError(name)
        self._check()
        try:
            if name == "payload":
                self.payload = self._payload()
            elif name == "target":
                self.target = loading.load(self._function().data)
            else:
                args, kwargs, *_ = loading.load(self.asked_for().call or b"")
                self.args, self.kwargs = args, kwargs
        except NotRestorableError:
            raise
        except Exception as error:
            raise NotRestorableError(
                f"the {name} of {self.name!r} cannot be restored: {type(error).__name__}: {error}"
            ) from error
        return object.__getattribute__(self, name)

    @property
    def is_lost(self) -> bool:
        """True if the job cannot run, as far as is known."""
        return self.missing is not None or self.lacks is not None

    def asked_for(self) -> StoredRequest:
        """Return the request with its call, which for an ended job may be in the journal only.

        Raises:
            NotRestorableError: it is not there any more.
        """
        if self.request.call is None and self.missing is None:
            return self._reader.request(self.request.number)
        return self.request

    def _check(self) -> None:
        if self.missing is not None:
            raise NotRestorableError(f"{self.name!r}: {self.missing}")

    def _function(self) -> Packed:
        return self._packed or self._reader.function(self.request.function or b"")

    def take_over(self) -> None:
        """Load what only the journal has, which is about to forget it."""
        with contextlib.suppress(NotRestorableError):  # raised again at its use
            self.request = self.asked_for()
            if self.request.function is not None:
                self._packed = self._function()

    def _payload(self) -> object:
        executor = cast("Executor", self.executor)
        if isinstance(executor, TakesPacked):
            return executor.payload_of(self._function(), self.asked_for().call or b"")
        return executor.prepare(self)

    def again(self, id: str) -> JobSpec:
        """Return the same request under another id.

        Raises:
            NotRestorableError: it cannot run again.
        """
        self._check()
        snapshot = self.surroundings
        if isinstance(snapshot, Snapshot) and (lacks := snapshot.lacks(self.options.cwd)):
            raise NotRestorableError(f"{self.name!r}: {lacks}")
        spec = RestoredSpec(self.asked_for(), self.options, None, self._reader)
        spec.id = id
        spec.executor = self.executor
        spec.surroundings = snapshot
        spec.takes = self.takes
        spec._packed = self._packed
        return spec


_LATE = frozenset({"args", "kwargs", "target", "payload"})


def restored_log(load: Callable[[], bytes]) -> JobLog:
    """Make a log that is read from the journal at its first use."""
    return _RestoredLog(load)


class _RestoredLog(JobLog):
    def __init__(self, load: Callable[[], bytes]) -> None:
        self._load: Callable[[], bytes] | None = load
        self._filling = Lock()

    def __getattr__(self, name: str) -> Any:
        """Read the log at the first use of one of its fields."""
        if name.startswith("__") or "_load" not in self.__dict__:
            raise AttributeError(name)
        with self._filling.held:
            load, self._load = self._load, None
            if load is not None:
                super().__init__(no_file)
                self.write(load())
                self.forget_times()  # nobody knows by now
        return object.__getattribute__(self, name)
