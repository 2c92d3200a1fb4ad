"""Makes the frames between a kernel and a worker, and describes errors; standard library only."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import reprlib
import signal
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from .byvalue import dumps as by_value
from .loading import load as load_here

HEADER = struct.Struct(">cIQ")  # type, job number, length of the payload in bytes
FRAME_CAP = 64 * 1024 * 1024
TEXT_CAP = 64 * 1024
SMALL = 16 * 1024  # bytes up to which the parts of a frame are joined into one

# MORE goes both ways: each piece of a large frame but the last
# kernel -> worker; all but the first two on the control pipe, the last one to plugins only
JOB, MORE, ASK, EXIT, QUESTION, NEXT = b"J", b"M", b"A", b"X", b"Q", b"N"
# worker -> kernel; the second line from functions only, the third from plugins only
READY, PROGRESS, METRICS, END, ANSWER = b"R", b"P", b"S", b"E", b"W"
VALUE, RETURNED, OUTCOME, DISPLAY = b"V", b"T", b"O", b"D"
CHUNK = b"C"
BINARY = getattr(os, "O_BINARY", 0)  # without it Windows changes the ends of lines
SHOWN = 200  # characters that are shown of a value that is not kept
PLAIN_VALUE: dict[str, Any] = {"kind": "value", "plain": True}
"""The meaning of VALUE, the most frequent end, whose payload is the pickle alone."""

_LENGTH = struct.Struct(">Q")


class ProtocolError(Exception):
    """Raised for bytes from a pipe that are not one of our frames."""


def join_parts(parts: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
    """Put an index before parts that are to be written one after the other."""
    index = _LENGTH.pack(len(parts)) + b"".join(_LENGTH.pack(len(part)) for part in parts)
    return [index, *parts]


def frame(
    kind: bytes, number: int, parts: Sequence[bytes | memoryview]
) -> list[bytes | memoryview]:
    """Put a header before parts; joins small ones, so that one write takes them."""
    length = sum(map(len, parts))
    head = HEADER.pack(kind, number, length)
    return [b"".join((head, *parts))] if length <= SMALL else [head, *parts]


def end_frame(
    number: int, meta: dict[str, Any], parts: Sequence[bytes | memoryview]
) -> list[bytes | memoryview]:
    """Make the frame that `read_end` reads: VALUE where that says all, else END."""
    if meta == PLAIN_VALUE and size_of(parts) <= FRAME_CAP // 2:
        return frame(VALUE, number, parts)
    return pieces(END, number, end_parts(meta, parts))


def end_parts(
    meta: dict[str, Any], parts: Sequence[bytes | memoryview]
) -> list[bytes | memoryview]:
    """Make the payload of an END frame."""
    return join_parts([json.dumps(meta).encode(), *parts])


def pieces(
    kind: bytes, number: int, parts: Sequence[bytes | memoryview]
) -> list[bytes | memoryview]:
    """Make one frame, or several to keep each under the cap; parts are not copied."""
    step = FRAME_CAP // 2
    if size_of(parts) <= step:
        return frame(kind, number, parts)
    views = [memoryview(part).cast("B") for part in parts if len(part)]
    slices = [view[at : at + step] for view in views for at in range(0, len(view), step)]
    found: list[bytes | memoryview] = []
    for one in slices[:-1]:
        found += [HEADER.pack(MORE, number, len(one)), one]
    return [*found, *frame(kind, number, slices[-1:])]


def split_parts(data: memoryview) -> list[memoryview]:
    """Split what `join_parts` joined, without copying.

    Raises:
        ProtocolError: the index does not fit the data.
    """
    try:
        (count,) = _LENGTH.unpack_from(data)
        if count > 1 << 20 or 8 * (count + 1) > len(data):
            raise ProtocolError(f"{count} parts do not fit {len(data)} bytes")
        lengths = struct.unpack_from(f">{count}Q", data, 8)
    except struct.error as error:
        raise ProtocolError(str(error)) from None
    offset = 8 * (count + 1)
    if offset + sum(lengths) != len(data):
        raise ProtocolError(f"parts of {sum(lengths)} bytes in {len(data)} bytes")
    parts = []
    for length in lengths:
        parts.append(data[offset : offset + length])
        offset += length
    return parts


def read_end(body: memoryview) -> tuple[dict[str, Any], list[memoryview]]:
    """Read what an END frame tells, and the parts that go with it.

    Raises:
        ProtocolError, ValueError: no worker of ours makes such a frame.
    """
    parts = split_parts(body)
    meta = json.loads(bytes(parts[0])) if parts else None
    if isinstance(meta, dict):
        if meta.get("kind") == "value" and "plain" in meta:
            return meta, parts[1:]
        words = [meta.get(name) for name in ("type", "message", "traceback")]
        if meta.get("kind") in ("error", "cancelled") and all(isinstance(w, str) for w in words):
            return meta, parts[1:]
    raise ProtocolError("it is no end of a job")


def write_all(fd: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Write every byte to a blocking fd."""
    for piece in pieces:
        view = memoryview(piece).cast("B") if len(piece) else memoryview(b"")
        while len(view):
            view = view[os.write(fd, view[: 1 << 20]) :]


def open_new(path: str | os.PathLike[str]) -> int:
    """Open a file of this user alone, which is not there yet, to write bytes into it.

    Raises:
        OSError: it is there, or cannot be made.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o600)


def write_new(path: str, pieces: Sequence[bytes | memoryview]) -> None:
    """Write a file of this user alone, which is not there yet.

    Raises:
        OSError: it is there, or there is no room for it; no part of it is left.
    """
    fd = open_new(path)
    try:
        with open(fd, "wb", buffering=0):  # closed before it is removed, as Windows wants it
            write_all(fd, pieces)
    except BaseException:
        os.unlink(path)
        raise


def dump(value: object, dumps: Callable[..., bytes]) -> list[bytes | memoryview]:
    """Pickle a value, with large buffers beside the pickle instead of inside it."""
    buffers: list[pickle.PickleBuffer] = []
    head = dumps(value, protocol=5, buffer_callback=buffers.append)
    return [head, *(buffer.raw() for buffer in buffers)]


def load(parts: Sequence[memoryview]) -> Any:
    """Unpickle what `dump` packed, with the classes of this process. May run the user's code."""
    return load_here(parts[0], parts[1:])


CONTAINERS = frozenset({list, tuple, set, frozenset})
PLAIN_TYPES = frozenset({type(None), bool, int, float, complex, str, bytes})


def is_plain(value: object, budget: int = 200) -> bool:
    """True if made of at most `budget` built-in values, whose unpickling runs nobody's code."""
    if type(value) in PLAIN_TYPES:
        return True
    left = [value]
    while left:
        budget -= 1
        item = left.pop()
        kind = type(item)
        if kind in PLAIN_TYPES:
            continue
        if budget < 0:
            return False
        if kind is dict:
            members = cast("dict[object, object]", item)
            left += members.keys()
            left += members.values()
        elif kind in CONTAINERS:
            left += cast("Iterable[object]", item)
        else:
            return False
        if len(left) > budget:
            return False
    return True


class PlainUnpickler(pickle.Unpickler):
    """Loads built-in values and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse all classes but `complex`, which has no opcode: a plain value names no other."""
        if (module, name) == ("builtins", "complex"):
            return complex
        raise pickle.UnpicklingError(f"{module}.{name} in a value that was said to be plain")


def load_plain(parts: Sequence[memoryview]) -> Any:
    """Unpickle a value that is said to be plain, and refuse any other."""
    return PlainUnpickler(io.BytesIO(parts[0])).load()


def is_interrupt(error: BaseException) -> bool:
    """True if an error may be the user's own Ctrl-C, which must not be swallowed.

    On other threads, and where SIGINT has another handler as in a kernel that is idle or awaits
    something, a KeyboardInterrupt was raised by code, and would end the loop if not caught.
    """
    return (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def describe(error: BaseException, hidden: tuple[str, ...] = ()) -> tuple[str, str, str]:
    """Return type name, message and traceback of any exception, however broken, each ≤ 64 KiB.

    Frames of the files named in `hidden` (ours) are left out.
    """
    name, module = type(error).__name__, type(error).__module__
    shown = name if module in ("builtins", "__main__") else f"{module}.{name}"
    try:
        message = str(error)
        if type(message) is not str:
            message = str.__str__(message)
    except BaseException as other:
        message = f"<its message cannot be shown: {type(other).__name__}>"
    try:
        report = traceback.TracebackException.from_exception(error, compact=True)
        _hide(report, hidden)
        text = "".join(report.format())
    except BaseException as other:
        text = (
            f"{shown}: {message[:1000]}\n<its traceback cannot be shown: {type(other).__name__}>\n"
        )
    return clean(name), clean(message), clean(text)


def failure_meta(
    error: BaseException, stop: type[BaseException], hidden: tuple[str, ...]
) -> dict[str, Any]:
    """Describe an error for END; one of class `stop` answers a request to stop."""
    name, message, text = describe(error, hidden)
    kind = "cancelled" if isinstance(error, stop) else "error"
    return {"kind": kind, "type": name, "message": message, "traceback": text} | nature_of(error)


_ALL_HAVE = (Exception, BaseException, object)


def nature_of(error: BaseException) -> dict[str, Any]:
    """Return what tells an error's category: names of classes, and what it says of itself.

    The classes are its own and those of its explicit causes. Attributes may also have the names
    that later versions of the reference system use.
    """
    kinds: list[str] = []
    cause: BaseException | None = error
    with contextlib.suppress(BaseException):  # a metaclass or a property runs the user's code
        for _ in range(10):  # causes may form a circle
            if cause is None:
                break
            own = [one for one in type(cause).__mro__ if one not in _ALL_HAVE]
            kinds += [clean(str(one.__name__))[:200] for one in own]
            cause = cause.__cause__
    shortfall = _attribute(error, "resource_shortfall", "shortfall")
    stated = {
        "category": _attribute(error, "category"),
        "retriable": _attribute(error, "retriable", "default_retriable"),
        "retry_after": _attribute(error, "retry_after", "retry_after_seconds"),
        "shortfall": None if shortfall is None else _missing(shortfall),
    }
    plain_ones = {name: _plain_stated(value) for name, value in stated.items()}
    told = {"kinds": kinds[:40], "stated": {n: v for n, v in plain_ones.items() if v is not None}}
    return {name: value for name, value in told.items() if value}


def _attribute(value: object, *names: str) -> Any:
    """Read the first of these attributes that is not None, whatever reading others raises."""
    for name in names:
        try:
            found = getattr(value, name, None)
        except BaseException:
            continue
        if found is not None:
            return found
    return None


def _missing(shortfall: object) -> Any:
    """Return amounts by name, also of an object with `resource`, `needed` and `available`."""
    if isinstance(shortfall, dict):
        return shortfall
    names = ("resource", "needed", "available")
    resource, needed, available = (_plain_stated(_attribute(shortfall, name)) for name in names)
    if isinstance(resource, str) and isinstance(needed, float):
        return {resource: needed - (available if isinstance(available, float) else 0.0)}
    return None


def _plain_stated(value: object) -> Any:
    """Return a text, number, bool or mapping of texts to numbers as for JSON; None for others."""
    if value is True or value is False:
        return value
    try:
        if isinstance(value, str):
            return clean(str.__str__(value))[:100]
        if isinstance(value, (int, float)):
            number = float(value)
            return number if abs(number) < 1e18 else None  # no NaN, no infinity
        if isinstance(value, dict):
            told = [(_plain_stated(key), _plain_stated(value[key])) for key in list(value)[:20]]
            return {key: v for key, v in told if type(key) is str and type(v) is float}
    except BaseException:
        return None
    return None


def pack_exception(error: BaseException, log: Callable[[str], object]) -> list[bytes | memoryview]:
    """Pickle an exception, if that works and is small; else return nothing."""
    try:
        error.__traceback__ = None
        parts = dump(error, by_value)
        if sum(len(part) for part in parts) <= TEXT_CAP:
            return parts
    except BaseException as other:
        log(f"[the exception itself could not be sent: {type(other).__name__}]\n")
    return []


def pack_value(
    value: object, limit: int | None, hidden: tuple[str, ...]
) -> tuple[dict[str, Any], list[bytes | memoryview]]:
    """Pack a result to be sent, or say why it cannot be, for `read_end`."""
    is_of_built_ins = is_plain(value)
    try:
        parts = dump(value, pickle.dumps if is_of_built_ins else by_value)
    except BaseException as error:
        name, message, _ = describe(error, hidden)
        return not_kept(value, f"it cannot be pickled: {name}: {message}"), []
    if why := too_large(parts, limit):
        return not_kept(value, why, size_of(parts)), []
    return {"kind": "value", "plain": is_of_built_ins}, parts


def returned(kind: type, noticed: bool) -> dict[str, Any]:
    """Make what RETURNED tells: the body has returned, though its value may never come."""
    return {"type": clean(_name_of_type(kind)), "noticed": noticed}


def lost(told: object, reason: str) -> dict[str, Any]:
    """Make the end of a job whose value is lost; `told` is what `returned` said, if valid."""
    known = told if isinstance(told, dict) else {}
    value = {"type": known.get("type", ""), "reason": clean(reason)}
    return noted({**PLAIN_VALUE, "lost": value}, known.get("noticed") is True)


def noted(meta: dict[str, Any], noticed: bool) -> dict[str, Any]:
    """Add that the job knew of a request to stop when it returned."""
    return {**meta, "noticed": True} if noticed else meta


def size_of(parts: Sequence[bytes | memoryview]) -> int:
    """Return the size of all parts in bytes."""
    return sum(map(len, parts))


def too_large(parts: Sequence[bytes | memoryview], limit: int | None) -> str:
    """Say why a packed result is too large to be sent back; "" if it is not."""
    if limit is None or size_of(parts) <= limit:
        return ""
    return f"it has {size_of(parts):,} bytes, more than max_result_bytes={limit:,}"


def not_kept(value: object, reason: str, size: int | None = None) -> dict[str, Any]:
    """Describe a value that cannot be sent, and why; the job is done, as its body returned."""
    try:
        shown = _SHORT.repr(value)
        shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + "…"
    except BaseException as error:
        shown = f"<its repr failed: {type(error).__name__}>"
    lost = {"reason": clean(reason), "type": clean(_name_of_type(type(value)))}
    return {**PLAIN_VALUE, "lost": {**lost, "repr": clean(shown), "size": size}}


def _name_of_type(kind: type) -> str:
    """Name a class with its module, also if its metaclass gives no text for them."""
    try:
        module, name = f"{kind.__module__}", f"{kind.__qualname__}"
        return name if module in ("builtins", "__main__") else f"{module}.{name}"
    except BaseException:
        return str(type.__dict__["__name__"].__get__(kind))


class ShortRepr(reprlib.Repr):
    """A `repr` that looks only at the first items, however many there are, also of bytes."""

    def repr_bytes(self, value: bytes, level: int) -> str:
        """Write both ends of bytes."""
        ends = value if len(value) <= 2 * SHOWN else value[:SHOWN] + value[-SHOWN:]
        return self.repr_instance(ends, level)

    repr_bytearray = repr_bytes


_SHORT = ShortRepr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = SHOWN


def spooled(
    meta: dict[str, Any], parts: list[bytes | memoryview], spool: str, whose: str
) -> tuple[dict[str, Any], list[bytes | memoryview]]:
    """Write parts too large for a frame to a file in `spool`, named by `whose`.

    Raises:
        OSError: there is no room for it; no file is left.
    """
    if size_of(parts) <= FRAME_CAP // 2:
        return meta, parts
    path = os.path.join(spool, f"result-{whose}-{time.monotonic_ns()}")
    # Made again, as cleaners of the system remove old folders for temporary files.
    os.makedirs(spool, 0o700, exist_ok=True)
    write_new(path, join_parts(parts))
    return {**meta, "file": path}, []


def _hide(report: traceback.TracebackException, hidden: tuple[str, ...]) -> None:
    seen: set[int] = set()
    left: list[traceback.TracebackException | None] = [report]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        kept = [frame for frame in one.stack if frame.filename not in hidden]
        if kept:
            one.stack[:] = kept
        left += [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]


def clean(text: str) -> str:
    """Return a text as `plain` does, cut in the middle to at most `TEXT_CAP` bytes."""
    if len(text) > TEXT_CAP // 6:  # a lone surrogate takes six bytes, more than any other
        half = TEXT_CAP // 12 - 10
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters ...]\n{text[-half:]}"
    return plain(text)


def plain(text: str) -> str:
    """Return a text that every encoder accepts, with lone surrogates escaped."""
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")
