"""Reads how a job ended, as its worker packed it: a value, an error or a stop."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .._core.jobs import JobFailure, NotKept, Outcome
from ..child import loading, wire
from ..child.calls import references
from ..errors import NotRestorableError
from .packing import PackedCall, call_bytes

logger = logging.getLogger(__name__)


def decode(meta: dict[str, Any], parts: Sequence[memoryview]) -> Outcome:
    """Return the outcome that an end frame tells. Any thread; never raises."""
    kind = meta["kind"]
    if kind == "value":
        value, size = _value(meta, parts)
        return Outcome.of_value(value, noticed=meta.get("noticed") is True, size=size)
    exception = None
    if parts:
        try:
            loaded = wire.load(parts)
            exception = loaded if isinstance(loaded, BaseException) else None
        except BaseException as error:
            logger.debug("the exception of a job could not be loaded: %r", error)
    failure = JobFailure.of_end(meta, exception)
    return Outcome.of_stop(failure) if kind == "cancelled" else Outcome.of_error(failure)


def undecoded(error: BaseException, meta: dict[str, Any], parts: Sequence[memoryview]) -> Outcome:
    """Return what is known of a result that cannot be read because of `error`."""
    if meta["kind"] != "value":
        return decode(meta, ())
    if "file" in meta:
        Path(meta["file"]).unlink(missing_ok=True)
    return Outcome.of_value(unreadable(error, parts), noticed=meta.get("noticed") is True)


class PackedValue:
    """A value as its worker has packed it: its parts, or the file of them, which goes with it."""

    def __init__(self, parts: Sequence[bytes | memoryview], file: str = "", type: str = "") -> None:
        self._parts = parts
        self._file = file
        self.type = type  # the name of its class, if it was told
        self.size = os.path.getsize(file) if file else wire.size_of(parts)

    @property
    def shown(self) -> str:
        """The value as text, without reading it."""
        return f"<{self.type or 'packed'}>"

    def move_to(self, path: Path) -> None:
        """Put it into a file of this name, in the folder of the other one.

        Raises:
            OSError: there is no room for it; nothing of it is left there.
        """
        if self._file:
            os.replace(self._file, path)
            self._file = ""
        else:
            wire.write_new(str(path), wire.join_parts(self._parts))

    def __del__(self) -> None:
        """Remove a file that nobody has taken over: the end of the job was told already."""
        if self._file:
            with contextlib.suppress(OSError):
                os.unlink(self._file)

    def value(self) -> object:
        """Read it; a `NotKept` if that fails. May run code of the user's classes."""
        told = {"file": self._file} if self._file else {}
        return _value({"plain": False, **told}, [memoryview(one) for one in self._parts])[0]


def outcome_of(
    decode: Callable[[dict[str, Any], Sequence[memoryview]], Outcome],
    keeps: bool,
    meta: dict[str, Any],
    parts: Sequence[memoryview],
    returned: object,
) -> Outcome:
    """Decode what an end frame tells, or keep its value packed if that is wanted. Never raises.

    Packed stays, if `keeps`, a value that may be large, or runs code when it is read. `returned` is
    what its worker had told of the value before.
    """
    is_there = meta["kind"] == "value" and "lost" not in meta
    if not (keeps and is_there) or (
        not runs_code(meta, parts) and wire.size_of(parts) <= wire.SMALL
    ):
        return decode(meta, parts)
    told = returned if isinstance(returned, dict) else {}
    try:
        value = PackedValue(parts, meta.get("file", ""), wire.clean(str(told.get("type", ""))))
    except Exception as error:  # somebody has removed its file
        return undecoded(error, meta, parts)
    return Outcome.of_value(value, noticed=meta.get("noticed") is True)


def runs_code(meta: dict[str, Any], parts: Sequence[memoryview]) -> bool:
    """True if decoding may run code of the user's classes, or takes a while."""
    return bool(meta.get("file") or (parts and not meta.get("plain")))


def decode_aside(
    name: str, meta: dict[str, Any], parts: Sequence[memoryview], take: Callable[[Outcome], object]
) -> None:
    """Decode for `take`: at once, or in a thread of its own if that may run somebody's code."""
    if not runs_code(meta, parts):
        take(decode(meta, parts))
        return
    thread = threading.Thread(target=lambda: take(decode(meta, parts)), name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        take(undecoded(error, meta, parts))


class CallReader:
    """Reads the arguments of a job from the pickle of its call; serves as its `JobSpec.lazy`."""

    __slots__ = ("_call",)

    def __init__(self, call: bytes | PackedCall) -> None:
        self._call = call

    def __call__(self, name: str) -> object:
        """Return the positional arguments if `name` is "args", else those by keyword.

        They are unpickled at each call, since whoever gets them may change them.

        Raises:
            NotRestorableError: they cannot be unpickled here.
        """
        try:
            args, kwargs = loading.load(call_bytes(self._call))[:2]
        except Exception as error:
            raise NotRestorableError(
                f"the arguments cannot be unpickled here: {type(error).__name__}: {error}"
            ) from error
        return args if name == "args" else kwargs


def _value(meta: dict[str, Any], parts: Sequence[memoryview]) -> tuple[object, int]:
    """Return a value and its size, or a `NotKept` that says why it is not here."""
    if "lost" in meta:
        return lost_value(meta["lost"]), 0
    try:
        if "file" in meta:
            parts = read_spooled(meta["file"])
        value = wire.load_plain(parts) if meta["plain"] else wire.load(parts)
        return value, wire.size_of(parts)
    except BaseException as error:
        return unreadable(error, parts), 0


def lost_value(told: Any) -> NotKept:
    """Read what `wire.not_kept` tells, though a worker may send anything."""
    told = told if isinstance(told, dict) else {}
    words = {name: wire.clean(str(told.get(name, ""))) for name in ("type", "repr", "reason")}
    size = told.get("size")
    return NotKept(size=size if type(size) is int and size >= 0 else None, **words)


def unreadable(error: BaseException, parts: Sequence[memoryview]) -> NotKept:
    """Describe a value that came back and cannot be read in this process."""
    name, message, text = wire.describe(error)
    logger.info("a result cannot be read here:\n%s", text)
    reason = wire.clean(f"it came back, but cannot be read here: {name}: {message}")
    return NotKept(size=wire.size_of(parts) or None, reason=reason)


def read_spooled(path: str) -> list[memoryview]:
    """Read a large result into memory and remove its file.

    Mapped into memory instead, the removed file would go on taking room that no listing shows.
    """
    try:
        return references.read_parts(path)
    finally:
        Path(path).unlink(missing_ok=True)


def drop_unfinished(spool: str, worker: str, number: int) -> None:
    """Remove the file of a result that a worker was writing when it died.

    `number` is that of the job in its worker.
    """
    for path in Path(spool).glob(f"result-{worker}-{number}-*"):
        path.unlink(missing_ok=True)
