"""Stands for results of other jobs among a job's arguments, and puts them in where it runs.

A call that takes results is sent with their pickles beside its own: in it, or in files that whoever
reads the call can open. So a result that one worker has made is unpickled by the next one alone.
Standard library only.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..loading import Loading, load_arguments
from ..loading import load_call as load_plain_call
from ..wire import join_parts, split_parts

MARK = b"jobqueue results\n"  # no pickle begins so

if TYPE_CHECKING:
    Source = str | Sequence[bytes | bytearray | memoryview]
    """A packed result: the path of its file, or its pickle and the buffers that go with it."""

_reading = threading.local()


class ResultOf:
    """Stands for the result of a job among the arguments of another one."""

    __slots__ = ("id", "place", "title")

    def __init__(self, place: int, id: str, title: str) -> None:
        self.place = place  # among the results that its call takes
        self.id = id
        self.title = title

    def __reduce__(self) -> tuple[Any, ...]:
        return taken, (self.place, self.id, self.title)

    def __repr__(self) -> str:
        return f"<result of {self.title}>"


def taken(place: int, id: str, title: str) -> Any:
    """Return the result while a call is read that has it beside it; else what stands for it."""
    values = getattr(_reading, "values", None)
    return ResultOf(place, id, title) if values is None else values[place]


class ResultUnreadableError(RuntimeError):
    """Raised in a job whose argument, the result of another one, cannot be read where it runs."""


def takes(call: Any) -> bool:
    """True for a call that was sent with results."""
    return bytes(memoryview(call)[: len(MARK)]) == MARK


def head_of(call: Any, sources: Sequence[tuple[str, Source]]) -> Iterator[Any]:
    """List the pieces of a call with the results that it takes, each with its job's title.

    Buffers that may be changed arrive as such, others do not.
    """
    yield MARK
    told = [title for title, _ in sources]
    paths = [source if isinstance(source, str) else None for _, source in sources]
    counts = [0 if isinstance(source, str) else len(source) for _, source in sources]
    views = [
        memoryview(part) for _, source in sources if not isinstance(source, str) for part in source
    ]
    head = pickle.dumps((told, paths, counts, [view.readonly for view in views]), 4)
    yield from join_parts([head, call, *views])


def load_call(
    function: Any, call: Any, sources: Mapping[str, list[str]] | None, brought: Loading
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Unpickle a job's target and arguments, with the results that these take.

    Args and return value are those of `load_call` of `loading`.

    Raises:
        ResultUnreadableError: a result cannot be read here.
    """
    if not takes(call):
        return load_plain_call(function, call, sources, brought)
    head, inner, *buffers = split_parts(memoryview(call)[len(MARK) :])
    titles, paths, counts, fixed = pickle.loads(head)
    left = iter([one if fixed[at] else bytearray(one) for at, one in enumerate(buffers)])
    target = brought.load(function)  # first: results get its classes
    values = []
    for place, title in enumerate(titles):
        parts = paths[place] or [next(left) for _ in range(counts[place])]
        values.append(_loaded(title, parts, brought))
    with _given(values):
        return (target, *load_arguments(inner, sources, brought))


def _loaded(title: str, source: Source, brought: Loading) -> Any:
    try:
        head, *buffers = read_parts(source) if isinstance(source, str) else list(source)
        return brought.load(head, buffers)
    except Exception as error:
        raise ResultUnreadableError(
            f"the result of {title} cannot be read here: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def _given(values: list[Any]) -> Iterator[None]:
    _reading.values = values
    try:
        yield
    finally:
        del _reading.values


def read_parts(path: str) -> list[memoryview]:
    """Read a result from its file: the parts of a frame, or one pickle. The file stays.

    Raises:
        OSError, wire.ProtocolError: it is gone, or is something else.
    """
    with open(path, "rb", buffering=0) as file:
        data = bytearray(os.fstat(file.fileno()).st_size)
        view = memoryview(data)
        while len(view):
            count = file.readinto(view)
            if not count:
                raise EOFError(f"{path} is shorter than it was")
            view = view[count:]
    return parts_of(memoryview(data))


def parts_of(data: memoryview) -> list[memoryview]:
    """Split what `wire.join_parts` joined; a pickle alone is one part."""
    return [data] if bytes(data[:1]) == b"\x80" else split_parts(data)
