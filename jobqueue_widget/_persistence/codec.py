"""Turns jobs into the plain values that a journal keeps: packed, sealed, without secrets."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from .._core.jobs import JobFailure, JobRecord, NotKept
from .._core.lazy import LazyResult
from .._core.spec import DEFAULT_OPTIONS, NOTHING, JobKey, JobOptions, JobSpec
from .._core.stored import Changes, KeptFunction, KeptResult, StoredRequest, StoredState
from .._core.texts.causes import kinds_from, stated_as_plain, stated_from
from .._core.texts.fitting import ends, fit
from .._core.texts.hiding import Secrets, with_texts
from .._runtime.storage.told.logs import JobLog
from .._runtime.storage.told.printed import stored_of
from .._secrets.arguments import arguments_line
from .._secrets.variables import texts_of
from ..child import byvalue
from ..child.wire import is_plain, plain
from ..errors import NotRestorableError, UnpicklableJobError
from ..workers.packing import Packed, Packer, call_bytes, is_packed
from .lazy_spec import RestoredSpec
from .pythons import joined, marked
from .sources import own_lines
from .sqlite.signing import Signer
from .surroundings import is_env, kept_of, without_secrets

CALL_CAP = 64 * 1024 * 1024  # bytes of pickled arguments
RESULT_CAP = 256 * 1024 * 1024  # bytes of a pickled result
LARGEST = 2**63 - 1  # the largest integer of SQLite; a larger priority is written as this
LOG_TAIL = 32 * 1024  # bytes that are kept of a log
LIGHT = 64 * 1024  # characters or bytes up to which a result is pickled at once
_BY_VALUE = b"cloudpickle"  # is in each pickle of a class or function by value
_ABSENT: tuple[object, ...] = (None, "", [], {})
_WORDS = ("type_name", "message", "traceback", "signal_name")  # of a failure
SHOWN = 200  # characters of a result as text
SECRET = "secret values are never written; submit the job again"


class Kept:
    """What has yet to be written of one job's request."""

    __slots__ = ("function", "request")

    def __init__(self, request: StoredRequest | None, function: KeptFunction | None = None) -> None:
        self.request = request
        self.function = function


WRITTEN: Final = Kept(None)


class SealedCodec:
    """Turns jobs into plain values: pickles that the user's key seals. Decides what is written."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._packer = Packer()
        self._functions: set[bytes] = set()  # digests of functions that the journal has

    # -- requests ------------------------------------------------------------------------------

    def prepare(self, job: JobRecord) -> None:
        """Pack the request of a job, before it is accepted, in the thread of its caller."""
        spec = job.spec
        if isinstance(spec, RestoredSpec):
            try:
                request = spec.asked_for()
            except NotRestorableError as error:  # the journal is written anew after a loss
                request = spec.request._replace(missing=plain(str(error)), function=None)
            request = request._replace(
                id=job.id,
                number=job.number,
                options=_as_now(request.options, spec.options),
                retry_of=job.retry_of,
                created_at=job.created_at,
            )
            spec.kept = Kept(self._sealed(request))
            spec.secrets = with_texts(None, texts_of(spec))
            return
        told = arguments_line(spec)  # shown again after a restart
        function, call, missing = None, None, SECRET
        if spec.secrets is None or not spec.secrets.withheld:
            function, call, missing = self._packed(spec)
        request = StoredRequest(
            job.number,
            job.id,
            spec.kind,
            plain(spec.name),
            options_as_json(spec.options, None if missing else kept_of(spec), spec.takes),
            told,
            missing or None,
            None if function is None else function.digest,
            call,
            None,
            job.retry_of,
            job.created_at,
        )
        spec.kept = Kept(self._sealed(request), function)

    def _packed(self, spec: JobSpec) -> tuple[KeptFunction | None, bytes | None, str]:
        """Return the packed function and call, and "" or why there is no call."""
        if spec.options.executor is not None and not isinstance(spec.options.executor, str):
            return None, None, "its executor is an object of the kernel that is gone"
        if spec.lost:  # the journal is written anew after a loss
            return None, None, plain(spec.lost)
        payload, packed = spec.payload, None
        try:
            if is_packed(payload):
                packed, call = payload[0], call_bytes(payload[1])
                if _BY_VALUE in call:  # it holds whole cells as source: pack it without
                    call = self._pack_call(spec)
            else:
                if spec.kind != "plugin":
                    target = cast("Callable[..., object]", spec.target)
                    packed = self._packer.pack_function(target)
                call = self._pack_call(spec)
        except UnpicklableJobError as error:
            return None, None, plain(str(error))
        call = marked(call)
        size = len(call) + (0 if packed is None else len(packed.data))
        if size > CALL_CAP:
            return None, None, f"{size >> 20} MiB of arguments are more than a journal keeps"
        if packed is None:
            return None, call, ""
        data = marked(packed.data)
        return KeptFunction(packed.digest, data, self._source(packed, spec)), call, ""

    def _pack_call(self, spec: JobSpec) -> bytes:
        call = self._packer.pack_call(spec.args, dict(spec.kwargs), with_sources=False)
        return call_bytes(call)

    def _source(self, packed: Packed, spec: JobSpec) -> str | None:
        if packed.source is None or packed.digest in self._functions:
            return None  # there is no source, or it is written already
        lines = own_lines(spec.target, packed.source)
        return json.dumps(lines)

    def _sealed(self, request: StoredRequest) -> StoredRequest:
        if request.missing is not None:  # its key may still stand for what it has returned
            has_key = '"key"' in request.options
            seal = self._signer.seal(*request.sealed_parts()) if has_key else None
            return request._replace(seal=seal)
        seal = self._signer.seal(*request.sealed_parts())
        if seal is None:
            why = self._signer.why_not
            return request._replace(missing=why, function=None, call=None, seal=None)
        return request._replace(seal=seal)

    def request(self, job: JobRecord) -> tuple[StoredRequest, KeptFunction | None] | None:
        """Return the request of a job, and its function if new; None once that is written."""
        kept = job.spec.kept
        if not isinstance(kept, Kept) or kept.request is None:
            return None
        function = kept.function
        if function is not None and function.digest in self._functions:
            function = None
        return kept.request, function

    def written(self, job: JobRecord) -> None:
        """Note that the request of a job is in the journal."""
        kept = job.spec.kept
        if isinstance(kept, Kept) and kept.request is not None:
            if kept.function is not None:
                self._functions.add(kept.function.digest)
            job.spec.kept = WRITTEN

    def anew(self, job: JobRecord) -> None:
        """Pack a request and its function again, after the journal has lost them."""
        self.erased()
        self.prepare(job)

    def erased(self) -> None:
        """Note that functions in the journal may have been deleted with their jobs."""
        self._functions.clear()

    # -- states --------------------------------------------------------------------------------

    def state(self, job: JobRecord) -> StoredState:
        """Copy a job's state, without its failure. Under the engine's lock, so quick."""
        lost = isinstance(job.spec, RestoredSpec) and job.spec.is_lost
        return StoredState(
            job.number,
            job.id,
            job.status.value,
            job.attempt,
            max(-LARGEST, min(LARGEST, job.priority)),
            job.rank,
            job.cancel_phase is not None and not job.limit_hit,
            job.held and not lost,  # a lost job is held again at the restore if still lost
            job.hold_then,
            job.hold_until,
            job.started_at,
            job.completed_at,
            job.message,
            job.executor_name,
            job.cancel_reason,
            job.finished_before_cancel,
            None,
            job.ended_number or None,
            job.where,
            job.progress if job.status.ended else None,
        )

    def finish(self, job: JobRecord, state: StoredState) -> StoredState:
        """Add the job's failure to a state, and make every text one that can be encoded."""
        failure = job.failure
        return state._replace(
            failure=None if failure is None else failure_as_json(failure),
            message=plain(state.message),
            executor=plain(state.executor),
            cancel_reason=plain(state.cancel_reason),
            place=None if state.place is None else plain(state.place),
        )

    def add_told(self, job: JobRecord, changes: Changes) -> None:
        """Add what an ended job has printed, measured, displayed and used."""
        if isinstance(job.log, JobLog):
            _, tail = job.log.read(max(0, job.log.size - LOG_TAIL), LOG_TAIL)
            if tail:
                changes.logs.append((job.id, tail))
        if any(told := stored_of(job)):
            changes.told.append((job.id, told))

    # -- results -------------------------------------------------------------------------------

    def is_light(self, value: object) -> bool:
        """True if a result may be pickled at once: few built-in values."""
        if type(value) is NotKept:
            return True
        if type(value) is str or type(value) is bytes:
            return len(value) <= LIGHT
        return is_plain(value, 50)

    def result_to_come(self, job: JobRecord) -> KeptResult:
        """Return the text that is kept until the job's result is pickled."""
        shown = _shown(job.result, job.spec.secrets)
        return _text(f"its kernel ended before it was written; it was {shown}", shown)

    def result(self, job: JobRecord, packed: Sequence[memoryview] | None = None) -> KeptResult:
        """Pack an ended job's result, or say why not. May run the user's code; never raises.

        What its worker has `packed` is not unpickled.
        """
        value, secrets = job.result if packed else value_of(job), job.spec.secrets
        shown = _shown(value, secrets)
        if type(value) is NotKept:
            told = {"type": value.type, "size": value.size}
            told |= {"reason": value.reason, "repr": value.repr}
            return KeptResult("not kept", json.dumps(told).encode(), shown, None)
        try:
            if packed:
                data = joined(packed)
            else:
                data = pickle.dumps(value, 5) if is_plain(value) else marked(byvalue.dumps(value))
        except BaseException as error:
            return _text(f"it cannot be pickled ({type(error).__name__}); it was {shown}", shown)
        if secrets is not None and secrets.stands_in(data):
            return _text("it holds a secret of its job, which is never written", "•••")
        if len(data) > RESULT_CAP:
            size = f"{len(data) >> 20} MiB are more than a journal keeps"
            return _text(f"{size}; it was {shown}", shown)
        seal = self._signer.seal(b"result", job.id.encode(), data)
        if seal is None:
            return _text(f"{self._signer.why_not}; it was {shown}", shown)
        return KeptResult("pickle", data, shown, seal)


def value_of(job: JobRecord) -> object:
    """Return a job's result, loaded if it is not in memory."""
    return job.result.get() if type(job.result) is LazyResult else job.result


def _shown(value: object, secrets: Secrets | None) -> str:
    shown = shown_value(value)
    return shown if secrets is None else secrets.hide(shown)


def _text(why: str, shown: str) -> KeptResult:
    return KeptResult("text", plain(why).encode(), shown, None)


def options_as_json(
    options: JobOptions, surroundings: object = None, takes: Iterable[str] = ()
) -> str:
    """Write the options that are set; an executor object by its name only.

    With them: the surroundings, and the ids of the jobs whose results it takes.
    """
    found: dict[str, Any] = {} if surroundings is None else {"surroundings": surroundings}
    if taken := list(takes):
        found["results"] = taken
    if options is DEFAULT_OPTIONS:
        return json.dumps(found)
    for name in JobOptions.__dataclass_fields__:
        value = getattr(options, name)
        if value != getattr(DEFAULT_OPTIONS, name):
            found[name] = value
    if isinstance(found.get("secret"), frozenset):
        found["secret"] = sorted(found["secret"])
    if options.env is not None:
        found["env"] = without_secrets(options.env)[0]
    if "executor" in found and not isinstance(found["executor"], str):
        del found["executor"]
    return json.dumps(found)


def _as_now(text: str, options: JobOptions) -> str:
    """Return written options of a job that is tried again: it may wait for fewer others now.

    And if it does not take the place of the one before, it is in no group.
    """
    if '"after"' not in text and '"group"' not in text:
        return text
    found: dict[str, Any] = json.loads(text)
    if "after" in found:
        found["after"] = options.after
    if options.group is None:
        found.pop("group", None)
    return json.dumps(found)


def options_from_json(text: str, read: Callable[[dict[str, Any]], JobOptions]) -> JobOptions:
    """Read options.

    Raises:
        ValueError, ArithmeticError: the text is not from `options_as_json`.
    """
    if text == "{}":
        return DEFAULT_OPTIONS
    found = _loaded(text)
    found.pop("surroundings", None)
    found.pop("results", None)
    key = found.pop("key", None)
    if key is not None and not _is_key(key):
        raise ValueError("its key is something else")
    cwd = found.pop("cwd", None)  # not checked here: a missing folder is told at the start
    if not is_env(found.get("env", {})) or not isinstance(cwd, (str, type(None))):
        raise ValueError("env or cwd is something else")
    item = found.pop("item", None)
    if item is not None:
        item = tuple(item) if isinstance(item, list) else ()
        if [type(one) for one in item] not in ([int, int], [int, type(None)]):
            raise ValueError("item is something else")
    options = read(found)
    if key is not None:
        options = replace(options, key=JobKey(*key))
    return options if cwd is item is None else replace(options, cwd=cwd, item=item)


def _is_key(value: object) -> bool:
    texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return texts and len(cast("list[str]", value)) == len(JobKey._fields)


def takes_from_json(text: str) -> Mapping[str, int]:
    """Read the ids of the jobs whose results a job takes, each with its place."""
    if '"results"' not in text:
        return NOTHING
    try:
        found = _loaded(text).get("results", [])
    except ValueError:
        return NOTHING
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return NOTHING
    return {job_id: place for place, job_id in enumerate(found)} or NOTHING


def surroundings_from_json(text: str) -> object:
    """Read the surroundings that `options_as_json` was given; None if there were none."""
    return None if text == "{}" else _loaded(text).get("surroundings")


def _loaded(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"it is a {type(found).__name__} and has no names")
    return found


def failure_as_json(failure: JobFailure) -> str:
    """Write a failure without its exception object."""
    told: dict[str, Any] = {name: getattr(failure, name) for name in (*_WORDS, "exit_code")}
    told["kinds"] = [plain(name) for name in failure.kinds]
    told["stated"] = stated_as_plain(failure.stated)
    if told["kinds"] == [failure.type_name]:
        del told["kinds"]  # it is read from the name of the type as well
    return json.dumps({name: value for name, value in told.items() if value not in _ABSENT})


def failure_from_json(text: str) -> JobFailure:
    """Read a failure, which has no exception object.

    Raises:
        ValueError: the text is not from `failure_as_json`.
    """
    found = _loaded(text)
    if not all(isinstance(found.get(name) or "", str) for name in _WORDS):
        raise ValueError("its words are no texts")
    if not isinstance(found.get("exit_code"), (int, type(None))):
        raise ValueError("its exit code is no number")
    return JobFailure(
        found.get("type_name") or "",
        found.get("message") or "",
        found.get("traceback") or "",
        found.get("exit_code"),
        found.get("signal_name"),
        kinds=kinds_from(found.get("kinds", [found.get("type_name")])),
        stated=stated_from(found.get("stated")),
    )


def shown_value(value: object) -> str:
    """Show a built-in value as text, and of any other value the name of its type."""
    if type(value) is LazyResult:
        return value.shown()
    if not is_plain(value) and type(value) is not NotKept:
        return f"<{type(value).__name__}>"
    try:
        text = plain(" ".join(ends(repr(value), 2 * SHOWN).split()))
    except (ValueError, RecursionError, MemoryError):  # numbers of thousands of digits have none
        return f"<{type(value).__name__}>"
    return fit(text, SHOWN)
