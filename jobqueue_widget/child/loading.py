"""Reads pickles without touching the classes that live here, and fills `__main__` for a job.

cloudpickle resets an existing class to the state that the other process had of it. Here an existing
class stays as it is. In a worker each job gets its own classes as they were at its submit, so that
no job sees what another has changed in them. Standard library only.
"""

from __future__ import annotations

import builtins
import contextlib
import enum
import functools
import io
import linecache
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from .byvalue import MAIN, MARK, annotations_of
from .displays.display import display

PATIENCE = 5.0  # seconds that a thread waits while another makes classes
COPIED = 1 << 16  # bytes up to which a copy of a pickle costs less than reading it in Python

_making = threading.RLock()
_strangers: weakref.WeakSet[type] = weakref.WeakSet()  # classes whose cells have not run here


class Main:
    """The module `__main__` of one job while it runs, with the names that the job brought."""

    def __init__(self) -> None:
        self.module: ModuleType = _Main(MAIN)
        self.names = vars(self.module)
        self.names["__builtins__"] = builtins
        self._before: Any = None
        self._sources: list[str] = []

    def __enter__(self) -> Main:
        self._before = sys.modules.get(MAIN)
        sys.modules[MAIN] = self.module
        vars(builtins).setdefault("display", display)  # as in IPython
        return self

    def __exit__(self, *error: object) -> None:
        sys.modules[MAIN] = self._before
        if vars(builtins).get("display") is display:
            del vars(builtins)["display"]
        for name in self._sources:
            linecache.cache.pop(name, None)

    def show(self, sources: Mapping[str, list[str]]) -> None:
        """Let tracebacks and `inspect` find the source of cells."""
        for name, lines in sources.items():
            linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
            self._sources.append(name)


class _Main(ModuleType):
    """A module without `__file__`, which "spawn" would run once more as the user's script."""

    @property
    def __file__(self) -> str:  # type: ignore[override]
        raise AttributeError("__file__")


def is_of_a_job(main: object) -> bool:
    """True for the `__main__` that a job has for itself."""
    return type(main) is _Main


class Loading:
    """The reading of one pickle, or of all pickles of one job, which share their classes.

    Args:
        main: takes the job's names; None in the process that has the classes.
        fresh: make every class anew, for a job of another process.
        known: classes to use, by cloudpickle's names for them.
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
        self._empty: set[int] = set()  # ids of classes that were made and have no state yet
        self._brought: list[Any] = []
        self._settled: frozenset[str] = frozenset()
        self._holds_lock = False

    def load(self, data: Any, buffers: Iterable[Any] = ()) -> Any:
        """Unpickle a value, and publish its classes. May run code of the user's classes."""
        try:
            value = self.read(data, buffers)
            self.publish()
        finally:
            self.let_go()
        return value

    def read(self, data: Any, buffers: Iterable[Any] = ()) -> Any:
        """Unpickle a value, with classes that nobody else finds yet; `let_go` must follow."""
        value = _Unpickler(self, data, buffers).load()
        if self.main is not None:
            for one in self._brought:
                self.main.names.setdefault(one.__qualname__, one)
            self._brought.clear()
            self._settled = frozenset(self.main.names)
        return value

    def let_go(self) -> None:
        """Release the lock, so that other threads may make classes."""
        if self._holds_lock:
            self._holds_lock = False
            _making.release()

    def publish(self) -> None:
        """Let later pickles find the classes made here; those of a pickle that failed never are."""
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
        """Return the classes of cells that were made here, as this process knew none for them."""
        return {name: one for name, one in self._made.items() if _is_typed(one)}

    # -- instead of cloudpickle's functions -------------------------------------------------------

    def make_class(self, make: Callable[..., Any], *args: Any) -> Any:
        """Make a class without its state, or return the one that exists already."""
        name = args[-2]
        found = self._find(name)
        if found is None and not self._fresh and not self._holds_lock:
            self._holds_lock = _making.acquire(timeout=PATIENCE)
            found = self._find(name)
        if found is None:
            with _said_of(args[1]):
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
                return None  # its cell has run here since
        return found

    def fill_class(self, fill: Callable[..., Any], made: Any, state: Any) -> Any:
        """Give a class its state if it was made here and has none yet."""
        if id(made) not in self._empty:
            return made
        self._empty.discard(id(made))
        self._bring(made)
        with _said_of(made.__qualname__):
            return fill(made, state)

    def make_function(
        self, make: Callable[..., Any], code: Any, names: dict[str, Any], *args: Any
    ) -> Any:
        """Make a function; one of `__main__` gets the globals of the job's `__main__`."""
        if self.main is None:
            names.pop(MARK, None)
        elif MARK in names:
            self.main.names.update((key, one) for key, one in names.items() if key != MARK)
            names = self.main.names
        return make(code, names, *args)

    def fill_function(self, fill: Callable[..., Any], made: Any, state: Any) -> Any:
        """Give a function its state, but keep globals from an earlier pickle of the same job."""
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


@contextlib.contextmanager
def _said_of(name: object) -> Iterator[None]:
    """Say of a class that its kind does not let cloudpickle make again what helps.

    Its metaclass wants all fields at once, or `__init_subclass__` what comes later only.
    """
    try:
        yield
    except Exception as error:
        raise TypeError(
            f"the class {name!r} is sent as code, and cannot be made again from that "
            f"({type(error).__name__}: {error}); define it in a .py file and import it from there"
        ) from error


def _is_typed(made: Any) -> bool:
    """True for a class or function that `__main__` had under its name."""
    name = getattr(made, "__qualname__", None)
    return getattr(made, "__module__", None) == MAIN and type(name) is str and name.isidentifier()


def _by_name() -> Any:
    found: Any = sys.modules["cloudpickle.cloudpickle"]
    return found._DYNAMIC_CLASS_TRACKER_BY_ID


class _Unpickler(pickle.Unpickler):
    def __init__(self, loading: Loading, data: Any, buffers: Iterable[Any]) -> None:
        file = _View(data) if len(data) > COPIED else io.BytesIO(data)
        super().__init__(file, buffers=buffers)
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
    """A file over bytes, which are not copied when it is made."""

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
    """A value, and the classes in it that differ from those of this notebook."""

    def __init__(self, value: Any, strangers: Iterable[type]) -> None:
        self.value = value
        self.strangers = [(one, home_of(one)) for one in strangers]

    @property
    def differences(self) -> list[str]:
        """Say for each class why the notebook's class of that name was not taken."""
        found = {one.__name__: home and difference(one, home) for one, home in self.strangers}
        return [f"{name} {how}" for name, how in found.items() if how]

    def is_outdated(self) -> bool:
        """True if a cell that defines one of these classes has run since."""
        return any(home_of(one) is not home for one, home in self.strangers)


def read(data: Any, buffers: Iterable[Any] = ()) -> Read:
    """Unpickle a value with this process's classes where it has them. May run the user's code.

    A class from a cell of another kernel becomes the class that this notebook has under its name,
    if their fields, members and bases agree.
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
    """Unpickle a value as `read` does, and return it alone."""
    return read(data, buffers).value


def home_of(made: type) -> type | None:
    """Find the class that `__main__` has under the same name; None if it is the same class."""
    found = getattr(sys.modules.get(MAIN), made.__qualname__, None)
    return found if isinstance(found, type) and found is not made else None


def _same(made: type) -> type | None:
    home = home_of(made)
    return home if home is not None and not difference(made, home) else None


def difference(then: type, now: type) -> str:
    """Say how the fields, members or bases of two classes differ; "" if they agree."""
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
    """Unpickle a job's target and arguments. Runs code of the user's classes.

    Args:
        function: the pickle of the target.
        call: the pickle of the arguments, from `byvalue.pack_call` or of the arguments alone.
        sources: the source of the function's code, by file or cell.
        loading: reads the pickles, and gives the job its classes and names.
    """
    return (loading.load(function), *load_arguments(call, sources, loading))


def load_arguments(
    call: Any, sources: Mapping[str, list[str]] | None, loading: Loading
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Unpickle a job's arguments, after its target."""
    args, kwargs, *more = loading.load(call)
    main = loading.main
    if main is not None:
        main.show(sources or {})
        if more:
            names, lines = more
            for name, value in names.items():
                main.names.setdefault(name, value)
            main.show(lines)
    return args, kwargs
