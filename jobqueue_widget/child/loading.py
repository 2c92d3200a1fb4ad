"""Reads pickles without touching the classes that live here, and fills `__main__` for a job.

cloudpickle sets a class that it finds living back to what the other process knew of it. Here a
class that lives stays as it is, whatever is read; in a worker each job gets classes of its own, as
they were when it was submitted, so that none sees what another has made of them. Standard library
only.
"""

from __future__ import annotations

import builtins
import enum
import functools
import io
import linecache
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from .byvalue import MAIN, MARK, annotations_of

PATIENCE = 5.0  # seconds for which a thread waits until another has made its classes

_making = threading.RLock()
_strangers: weakref.WeakSet[type] = weakref.WeakSet()  # made here, of cells that have not run here


class Main:
    """What stands in `__main__` while a job runs: what it brought, and nothing of others."""

    def __init__(self) -> None:
        self.module: ModuleType = _Main(MAIN)
        self.names = vars(self.module)
        self.names["__builtins__"] = builtins
        self._before: Any = None
        self._sources: list[str] = []

    def __enter__(self) -> Main:
        self._before = sys.modules.get(MAIN)
        sys.modules[MAIN] = self.module
        vars(builtins).setdefault("display", display)  # where IPython has it
        return self

    def __exit__(self, *error: object) -> None:
        sys.modules[MAIN] = self._before
        if vars(builtins).get("display") is display:
            del vars(builtins)["display"]
        for name in self._sources:
            linecache.cache.pop(name, None)

    def show(self, sources: Mapping[str, list[str]]) -> None:
        """Let tracebacks and `inspect` find what was typed."""
        for name, lines in sources.items():
            linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
            self._sources.append(name)


def display(*objects: object, **options: object) -> None:
    """Print what a cell would show: here is no page."""
    for one in objects:
        print(repr(one))  # noqa: T201 - into the log of the job


class _Main(ModuleType):
    """Without a file for others: what a job starts with "spawn" would run the script once more."""

    @property
    def __file__(self) -> str:  # type: ignore[override]
        raise AttributeError("__file__")


class Loading:
    """One decoding, or all those of one job, whose classes belong together.

    Args:
        main: where the job's names go; None in the process that holds the classes.
        fresh: make every class anew, for a job of another process.
        known: classes to take, by cloudpickle's names for them.

    """

    def __init__(
        self,
        main: Main | None = None,
        *,
        fresh: bool = False,
        known: Mapping[str, type] | None = None,
    ) -> None:
        self.main = main
        self._fresh = fresh or main is not None
        self._classes: dict[str, Any] = dict(known or {})
        self._made: dict[str, Any] = {}
        self._empty: set[int] = set()  # those of them that wait for their state
        self._brought: list[Any] = []
        self._settled: frozenset[str] = frozenset()
        self._holds_lock = False

    def load(self, data: Any, buffers: Iterable[Any] = ()) -> Any:
        """The value. May run code of the user's classes."""
        try:
            value = self.read(data, buffers)
            self.publish()
        finally:
            self.let_go()
        return value

    def read(self, data: Any, buffers: Iterable[Any] = ()) -> Any:
        """The value, of classes that nobody else finds yet; `let_go` must follow."""
        value = _Unpickler(self, data, buffers).load()
        if self.main is not None:
            for one in self._brought:
                self.main.names.setdefault(one.__qualname__, one)
            self._brought.clear()
            self._settled = frozenset(self.main.names)
        return value

    def let_go(self) -> None:
        """Others may make classes."""
        if self._holds_lock:
            self._holds_lock = False
            _making.release()

    def publish(self) -> None:
        """What was made is found from now on; what failed on the way never is."""
        if not self._classes:
            return
        from cloudpickle import cloudpickle

        with cloudpickle._DYNAMIC_CLASS_TRACKER_LOCK:
            _by_name().update(self._classes)
            for name, made in self._made.items():
                cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS[made] = name
        if not self._fresh:
            _strangers.update(self.strangers().values())

    def strangers(self) -> Mapping[str, type]:
        """Classes of cells that were made because none of this process was known for them."""
        return {name: one for name, one in self._made.items() if _is_typed(one)}

    # -- instead of cloudpickle's functions -------------------------------------------------------

    def make_class(self, make: Callable[..., Any], *args: Any) -> Any:
        """A class without its state, or the one that is there already."""
        name = args[-2]
        found = self._find(name)
        if found is None and not self._fresh and not self._holds_lock:
            self._holds_lock = _making.acquire(timeout=PATIENCE)
            found = self._find(name)
        if found is None:
            found = make(*args[:-2], None, args[-1])
            self._empty.add(id(found))
            if name is not None:
                self._classes[name] = self._made[name] = found
        return found

    def _find(self, name: str | None) -> Any:
        if name is None:
            return None
        found = self._classes.get(name)
        if found is None and not self._fresh:
            found = _by_name().get(name)
            if isinstance(found, type) and found in _strangers and home_of(found) is not None:
                return None  # its cell has run since
        return found

    def fill_class(self, fill: Callable[..., Any], made: Any, state: Any) -> Any:
        """Only what was made here and now gets a state."""
        if id(made) not in self._empty:
            return made
        self._empty.discard(id(made))
        self._bring(made)
        return fill(made, state)

    def make_function(
        self, make: Callable[..., Any], code: Any, names: dict[str, Any], *args: Any
    ) -> Any:
        """A function of `__main__` gets the job's as its globals."""
        if self.main is None:
            names.pop(MARK, None)
        elif MARK in names:
            self.main.names.update((key, one) for key, one in names.items() if key != MARK)
            names = self.main.names
        return make(code, names, *args)

    def fill_function(self, fill: Callable[..., Any], made: Any, state: Any) -> Any:
        """The usual; what an earlier pickle of the same job brought stays."""
        if self.main is not None and made.__globals__ is self.main.names:
            brought = state[1]["__globals__"]
            state[1]["__globals__"] = {
                name: value for name, value in brought.items() if name not in self._settled
            }
        filled = fill(made, state)
        self._bring(made)
        return filled

    def _bring(self, made: Any) -> None:
        if self.main is not None and _is_typed(made):
            self._brought.append(made)


def _is_typed(made: Any) -> bool:
    """True if it stood in `__main__` under its name."""
    name = getattr(made, "__qualname__", None)
    return getattr(made, "__module__", None) == MAIN and type(name) is str and name.isidentifier()


def _by_name() -> Any:
    found: Any = sys.modules["cloudpickle.cloudpickle"]
    return found._DYNAMIC_CLASS_TRACKER_BY_ID


class _Unpickler(pickle.Unpickler):
    def __init__(self, loading: Loading, data: Any, buffers: Iterable[Any]) -> None:
        super().__init__(_View(data), buffers=buffers)
        self._loading = loading

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        own = _OWN.get(name) if module.startswith("cloudpickle.") else None
        return found if own is None else functools.partial(own, self._loading, found)


_OWN: dict[str, Callable[..., Any]] = {
    "_make_skeleton_class": Loading.make_class,
    "_make_skeleton_enum": Loading.make_class,
    "_class_setstate": Loading.fill_class,
    "_make_function": Loading.make_function,
    "_function_setstate": Loading.fill_function,
}


class _View:
    """A file of bytes that are not copied."""

    def __init__(self, data: Any) -> None:
        self._data = memoryview(data)
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._at + size
        piece = self._data[self._at : end]
        self._at += len(piece)
        return bytes(piece)

    def readinto(self, buffer: Any) -> int:
        piece = self._data[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def readline(self) -> bytes:
        rest = io.BytesIO(self._data[self._at :])
        line = rest.readline()
        self._at += len(line)
        return line


# -- in the process that holds the classes ---------------------------------------------------------


class Read:
    """A value, and the classes in it that are not those which this notebook has now."""

    def __init__(self, value: Any, strangers: Iterable[type]) -> None:
        self.value = value
        self.strangers = [(one, home_of(one)) for one in strangers]

    @property
    def differences(self) -> list[str]:
        """Reasons why a class of the same name was not taken, for each that is there."""
        found = {one.__name__: home and difference(one, home) for one, home in self.strangers}
        return [f"{name} {how}" for name, how in found.items() if how]

    def is_outdated(self) -> bool:
        """Return whether a cell that defines one of them has run since."""
        return any(home_of(one) is not home for one, home in self.strangers)


def read(data: Any, buffers: Iterable[Any] = ()) -> Read:
    """The value, of this process's classes wherever there are some. May run the user's code.

    A class of a cell that another kernel has run is the one that this notebook has under its name,
    if their fields and members agree.
    """
    buffers = list(buffers)
    loading = Loading()
    try:
        value = loading.read(data, buffers)
        homes = {name: home for name, one in loading.strangers().items() if (home := _same(one))}
        if homes:
            again = Loading(known=homes)
            value = again.read(data, buffers)
            again.publish()
            strangers = again.strangers()
            again.let_go()
        else:
            loading.publish()
            strangers = loading.strangers()
    finally:
        loading.let_go()
    return Read(value, strangers.values())


def load(data: Any, buffers: Iterable[Any] = ()) -> Any:
    """The value that `read` gives."""
    return read(data, buffers).value


def home_of(made: type) -> type | None:
    """The class that `__main__` has under its name, if it is another one."""
    found = getattr(sys.modules.get(MAIN), made.__qualname__, None)
    return found if isinstance(found, type) and found is not made else None


def _same(made: type) -> type | None:
    home = home_of(made)
    return home if home is not None and not difference(made, home) else None


def difference(then: type, now: type) -> str:
    """Return how their fields and members differ; "" if they agree."""
    for what, of in (("members", _members), ("fields", _fields), ("bases", _bases)):
        before, after = of(then), of(now)
        if before != after:
            return f"had the {what} {_list(before)} and has {_list(after)} now"
    return ""


def _list(told: Iterable[Sequence[str]]) -> str:
    return ", ".join(": ".join(one) for one in told)[:200] or "(none)"


def _members(kind: Any) -> list[tuple[str, ...]]:
    if not issubclass(kind, enum.Enum):
        return []
    return [(name, repr(member.value)) for name, member in kind.__members__.items()]


def _fields(kind: Any) -> list[tuple[str, ...]]:
    told = getattr(kind, "__attrs_attrs__", None)
    if told is not None:
        return [(one.name, _type_name(one.type)) for one in told]
    told = getattr(kind, "__dataclass_fields__", None)
    if told is not None:
        return [(one.name, _type_name(one.type)) for one in told.values()]
    told = getattr(kind, "_fields", None)
    if issubclass(kind, tuple) and told is not None:
        return [(str(name),) for name in told]
    slots = kind.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    annotations = annotations_of(kind)
    return [(str(name),) for name in names] + [
        (name, _type_name(one)) for name, one in annotations.items() if name not in names
    ]


def _type_name(kind: object) -> str:
    return kind.__qualname__ if isinstance(kind, type) else str(kind)


def _bases(kind: type) -> list[tuple[str, ...]]:
    return [(base.__qualname__,) for base in kind.__bases__]


# -- in a job's process ----------------------------------------------------------------------------


def load_call(
    function: Any, call: Any, sources: Mapping[str, list[str]] | None, loading: Loading
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """What a job calls, and with what. Runs code of the user's classes.

    Args:
        function: its pickle.
        call: that of the arguments, as `byvalue.pack_call` makes it, or of them alone.
        sources: the source of the function's code, by file or cell.
        loading: what it is read with, of which the job gets its classes and names.

    """
    target = loading.load(function)
    args, kwargs, *more = loading.load(call)
    main = loading.main
    if main is not None:
        main.show(sources or {})
        if more:
            names, lines = more
            for name, value in names.items():
                main.names.setdefault(name, value)
            main.show(lines)
    return target, args, kwargs
