"""Packs a function and its arguments at submit, and names what could not be packed."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard, cast

import cloudpickle

from .._core.spec import JobSpec
from ..child import byvalue, wire
from ..child.wire import is_plain
from ..errors import UnpicklableJobError
from .definitions import Definition, bare, definition_of, has_code

Sources = dict[str, list[str]]  # lines of source by file or cell

SMALL = 1024
SHARED = 64 * 1024  # bytes from which on equal parts of arguments are kept once


class Packed:
    """The pickle of a function; equal ones are kept once."""

    __slots__ = ("__weakref__", "_digest", "data", "now", "source", "then")

    def __init__(
        self, data: bytes, sources: Sources | None = None, then: Definition | None = None
    ) -> None:
        self._digest: bytes | None = None
        self.data = data
        self.source = sources  # source for tracebacks in the worker
        self.then = then  # what is in it by value, where known
        self.now = then  # the same as it was when it was last compared

    @property
    def digest(self) -> bytes:
        """The digest that names the pickle; equal pickles have the same."""
        if self._digest is None:
            self._digest = hashlib.sha256(self.data).digest()
        return self._digest


class Piece:
    """Bytes of a pickled call that other calls may share; equal ones are kept once."""

    __slots__ = ("__weakref__", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data


class PackedCall:
    """The pickle of large arguments, in pieces."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: Sequence[bytes | Piece]) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        return sum(map(len, self.parts()))

    def parts(self) -> list[bytes]:
        """Return the bytes of all pieces, in their order."""
        return [one.data if isinstance(one, Piece) else one for one in self.pieces]


def call_bytes(call: bytes | PackedCall) -> bytes:
    """Return the pickle of a call in one piece."""
    return b"".join(call.parts()) if isinstance(call, PackedCall) else call


def job_frames(
    number: int, spec: JobSpec, attempt: int, setup: object, logs: object
) -> list[bytes | memoryview]:
    """Make the frames of a packed job.

    `setup` is what its worker has to take over, or None; `logs` is how it shall find `logging`.
    """
    function, call = cast("tuple[Packed, bytes | PackedCall]", spec.payload)
    job = (spec.id, attempt, setup, function.data, call_bytes(call), function.source, logs)
    return wire.pieces(wire.JOB, number, [pickle.dumps(job, 5)])


class _Collector:
    """A file for a pickler, which keeps large bytes one by one and does not copy them."""

    def __init__(self, share: Callable[[bytes], Piece]) -> None:
        self.pieces: list[bytes | Piece] = []
        self._share = share
        self._small: list[bytes] = []

    def write(self, data: bytes | pickle.PickleBuffer) -> int:
        if isinstance(data, pickle.PickleBuffer):
            data = bytes(data.raw())
        if len(data) < SHARED:
            self._small.append(data)
        else:
            self._end_small()
            self.pieces.append(self._share(data))
        return len(data)

    def _end_small(self) -> None:
        if self._small:
            self.pieces.append(b"".join(self._small))
            self._small.clear()

    def call(self) -> bytes | PackedCall:
        self._end_small()
        first = self.pieces[0]
        return (
            first if len(self.pieces) == 1 and isinstance(first, bytes) else PackedCall(self.pieces)
        )


class Packer:
    """Makes payloads `(packed function, pickled arguments)`. Any thread."""

    def __init__(self) -> None:
        self._shared: weakref.WeakValueDictionary[bytes, Piece] = weakref.WeakValueDictionary()
        self._by_digest: weakref.WeakValueDictionary[bytes, Packed] = weakref.WeakValueDictionary()
        self._importable: weakref.WeakKeyDictionary[object, Packed] = weakref.WeakKeyDictionary()

    def pack(
        self, target: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[Packed, bytes | PackedCall]:
        """Pickle a call now, so that the job gets a snapshot.

        Raises:
            UnpicklableJobError: naming the argument or captured variable that is in the way.
        """
        return self.pack_function(target), self.pack_call(args, dict(kwargs))

    def pack_function(self, target: Callable[..., object]) -> Packed:
        """Pickle a function, once if a worker finds it by its name.

        Raises:
            UnpicklableJobError: naming what is in the way.
        """
        try:
            known = self._importable.get(target)
        except TypeError:  # not hashable, or no weak reference to it
            known = None
        if known is not None:
            return known
        importable = is_importable(target)
        try:
            if importable:
                packed = self._importable[target] = Packed(pickle.dumps(target, 5))
                return packed
            data, sources = byvalue.pack_function(target)
        except Exception as error:
            raise UnpicklableJobError(_blame_function(target, error)) from error
        digest = hashlib.sha256(data).digest()
        known = self._by_digest.get(digest)
        if known is not None:
            return known
        return self._by_digest.setdefault(digest, Packed(data, sources, _defined(target)))

    def pack_call(
        self, args: tuple[object, ...], kwargs: dict[str, object], *, with_sources: bool = True
    ) -> bytes | PackedCall:
        """Pickle arguments.

        Raises:
            UnpicklableJobError: naming what is in the way.
        """
        if all(map(_is_small, args)) and all(map(_is_small, kwargs.values())):
            return pickle.dumps((args, kwargs), 5)
        into = _Collector(self._piece)
        try:
            if is_plain(args) and is_plain(kwargs):
                pickle.Pickler(into, 5).dump((args, kwargs))
            else:
                new = lambda: _Collector(self._piece)  # noqa: E731
                into = byvalue.pack_call(args, kwargs, new, with_sources=with_sources)
        except Exception as error:
            raise UnpicklableJobError(_blame_arguments(args, kwargs, error)) from error
        return into.call()

    def _piece(self, data: bytes) -> Piece:
        digest = hashlib.sha256(data).digest()
        known = self._shared.get(digest)
        return known or self._shared.setdefault(digest, Piece(data))


def _defined(target: object) -> Definition | None:
    """Return the definition that goes by value with a target; None if a worker imports it."""
    found = definition_of(target)
    return None if not has_code(found) or is_found_by_name(found) else Definition(found)


def _is_small(value: object) -> bool:
    kind = type(value)
    if kind is str or kind is bytes:
        return len(cast("str", value)) < SMALL
    return kind is int or kind is float or kind is bool or value is None


def is_importable(target: object) -> bool:
    """True for a plain function or built-in that a worker finds by its module and name."""
    return isinstance(target, (type(len), type(is_plain))) and is_found_by_name(target)


def is_found_by_name(thing: Any) -> bool:
    """True for a function or class whose pickle is its module and name; else it goes by value."""
    module = sys.modules.get(thing.__module__ or "")
    if module is None or module.__name__ == "__main__" or module.__spec__ is None:
        return False
    if byvalue.is_made_by_hand(module.__name__):
        return False
    if module.__name__ in cloudpickle.list_registry_pickle_by_value():
        return False
    found: object = module
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is thing


def why_not(value: object) -> str | None:
    """Say why a value cannot be sent to a worker, and the cure; None if it can."""
    error = _fails(value)
    if error is None:
        return None
    if inspect.isfunction(value):
        return _blame_function(value, error)
    return f"it cannot be pickled: {_reason(error)}; make it in the job itself"


def _fails(value: object) -> Exception | None:
    try:
        byvalue.dumps(value)
    except Exception as error:
        return error
    return None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


OF_THE_KERNEL = "magics and !commands exist in the kernel only; call subprocess.run(…) or a library"
CURE = "pass what it needs as plain arguments, and open files, locks and connections inside the job"


def _blame_arguments(
    args: tuple[object, ...], kwargs: Mapping[str, object], error: Exception
) -> str:
    named = [(f"argument {place}", value) for place, value in enumerate(args, 1)]
    named += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for name, value in named:
        if (why := _fails(value)) is not None:
            kind = type(value).__name__
            return f"{name} ({kind}) cannot be sent to a worker: {_reason(why)}; {CURE}"
    return f"the arguments cannot be sent to a worker: {_reason(error)}; {CURE}"


def _blame_function(target: Callable[..., object], error: Exception) -> str:
    name = getattr(target, "__qualname__", type(target).__qualname__)
    target = cast("Callable[..., object]", bare(target))
    function = getattr(target, "__func__", target)
    if inspect.isfunction(function):
        captured = inspect.getclosurevars(function)
        for kind, values in (
            ("captured variable", captured.nonlocals),
            ("global variable", captured.globals),
        ):
            for variable, value in values.items():
                if variable == "get_ipython":
                    return f"{name} calls get_ipython(): {OF_THE_KERNEL}"
                if value is not target and (why := _fails(value)) is not None:
                    return (
                        f"{kind} {variable!r} ({type(value).__name__}) of {name} cannot be sent "
                        f"to a worker: {_reason(why)}; {CURE}"
                    )
    return f"{name} cannot be sent to a worker: {_reason(error)}; {CURE}"


def is_packed(payload: object) -> TypeGuard[tuple[Packed, bytes | PackedCall]]:
    """True for what an executor makes that sends functions to processes."""
    return isinstance(payload, tuple) and len(payload) == 2 and isinstance(payload[0], Packed)
