"""Pickles by value what another process cannot import, without losing what belongs to it.

cloudpickle does the work where it is installed. Ours are a few rules around it: a sentinel is sent
by its name, code keeps the name of its cell, globals that a function names only in a text go with
it, and a module made by hand is pickled by value. Standard library only.
"""

from __future__ import annotations

import functools
import io
import linecache
import pickle
import re
import sys
import weakref
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, ClassVar

MAIN = "__main__"
MARK = "__jobqueue_main__"  # a name among a function's globals: they are those of `__main__`
SOURCE_CAP = 64 * 1024  # characters of source that go with one pickle
EVALUATES = frozenset(
    {
        *("eval", "exec", "compile", "globals", "timeit", "repeat", "runctx"),
        *("query", "evaluate", "sql", "execute"),  # pandas, numexpr, duckdb
        *("ols", "glm", "logit", "dmatrix", "dmatrices", "from_formula"),
    }
)
"""Names with which a function may reach variables that only a text in it names."""

_WORD = re.compile(r"[^\W\d]\w*")
_OF_THE_SHELL = re.compile(r"In|Out|_+|_i+\d*|_\d+|_[iod]h|exit|quit|get_ipython")


def dumps(
    value: object, protocol: int = 5, buffer_callback: Callable[[Any], object] | None = None
) -> bytes:
    """Pickle a value by the rules of this module; without cloudpickle as `pickle` does."""
    try:
        kind = pickler()
    except ImportError:
        return pickle.dumps(value, protocol, buffer_callback=buffer_callback)
    with io.BytesIO() as file:
        kind(file, protocol, buffer_callback).dump(value)
        return file.getvalue()


def pack_function(target: object) -> tuple[bytes, dict[str, list[str]]]:
    """Return the pickle of a target, and the source of all code in it by file or cell."""
    names: dict[str, object] = {}
    while True:
        file = io.BytesIO()
        packing = pickler()(file, 5, None, names)
        packing.dump(target)
        more = _sendable(packing.named, names)
        if not more:
            return file.getvalue(), sources_of(packing.files)
        names.update(more)


def pack_call(
    args: tuple[object, ...],
    kwargs: dict[str, object],
    new_file: Callable[[], Any] = io.BytesIO,
    *,
    with_sources: bool = True,
) -> Any:
    """Pickle arguments into a file, with what by-value classes and functions name, and source."""
    names: dict[str, object] = {}
    while True:
        file = new_file()
        packing = pickler()(file, 5, None, names, own_files=True)
        packing.dump((args, kwargs, names, Sources(packing.files if with_sources else ())))
        more = _sendable(packing.named, names)
        if not more:
            return file
        names.update(more)


def _sendable(named: Mapping[str, object], known: Mapping[str, object]) -> dict[str, object]:
    """Return those not known yet that can be pickled; others are left out, as nobody asked."""
    found: dict[str, object] = {}
    for name, value in named.items():
        if name in known:
            continue
        try:
            dumps(value)
        except Exception:  # then the job lacks it
            continue
        found[name] = value
    return found


class Sources:
    """Stands for the source of all that stands before it in the same pickle."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = files

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (sources_of(self._files),)


def sources_of(files: Iterable[str]) -> dict[str, list[str]]:
    """Return the lines of each file or cell that has some, up to `SOURCE_CAP` characters."""
    found: dict[str, list[str]] = {}
    left = SOURCE_CAP
    for name in files:
        lines = linecache.getlines(name)
        left -= sum(map(len, lines))
        if lines and left >= 0:
            found[name] = lines
    return found


def names_in_texts(function: FunctionType) -> Iterator[str]:
    """List words that may name globals: in annotations, in texts to evaluate, from `__main__`."""
    yield from _words(annotations_of(function).values())
    codes = list(codes_in(function.__code__))
    used = {name for code in codes for name in code.co_names}
    looks_into_main = MAIN in used or (
        "__name__" not in used and any(MAIN in _texts(code) for code in codes)
    )
    if looks_into_main:  # as in `from __main__ import helper`
        yield from used
    elif EVALUATES.isdisjoint(used):
        return
    yield from _words(one for code in codes for one in code.co_consts)
    yield from _words(function.__globals__.get(name) for name in used)
    yield from _words(function.__defaults__ or ())


def _texts(code: CodeType) -> set[str]:
    return {one for one in code.co_consts if type(one) is str}


def annotations_of(holder: Any) -> Mapping[str, object]:
    """Return the annotations of a function or class; none where they cannot be read."""
    if isinstance(holder, type) and sys.version_info < (3, 14):  # reading would add some
        return vars(holder).get("__annotations__") or {}
    try:
        found = holder.__annotations__
    except Exception:  # they are evaluated when they are read, from Python 3.14 on
        return {}
    return found if isinstance(found, dict) else {}


def _words(texts: Iterable[object]) -> Iterator[str]:
    for text in texts:
        if type(text) is str and len(text) <= SOURCE_CAP:
            for word in _WORD.findall(text):
                if not _OF_THE_SHELL.fullmatch(word):
                    yield word


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """List a code and all codes in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from codes_in(one)


def is_of_main(function: FunctionType) -> bool:
    """True if its globals are those of `__main__` itself."""
    main = sys.modules.get(MAIN)
    return main is not None and function.__globals__ is getattr(main, "__dict__", None)


# -- what a worker could not import ----------------------------------------------------------------

_found: weakref.WeakKeyDictionary[ModuleType, bool] = weakref.WeakKeyDictionary()


def is_made_by_hand(name: object) -> bool:
    """True for a module of this process that no other process finds under its name."""
    module = sys.modules.get(name) if type(name) is str else None
    if type(module) is not ModuleType or name == MAIN:
        return False
    known = _found.get(module)
    if known is None:
        known = _found[module] = _can_be_found(str(name).partition(".")[0])
    return not known


def _can_be_found(name: str) -> bool:
    for finder in sys.meta_path:
        try:
            if finder.find_spec(name, None) is not None:
                return True
        except Exception:  # a finder of the user's has failed: nothing is known
            return True
    return False


# -- sentinels, such as stand for "nothing" --------------------------------------------------------

_sentinels: weakref.WeakKeyDictionary[type, dict[int, str]] = weakref.WeakKeyDictionary()


def sentinel_name(value: Any) -> str | None:
    """Return a sentinel's name in the module of its class; None for an object with a state."""
    kind = type(value)
    try:
        names = _sentinels.get(kind)
        if names is None:
            names = _sentinels[kind] = _names_in_module_of(kind)
    except TypeError:  # a class without a hash or weak references
        return None
    name = names.get(id(value))
    return name if name is not None and _has_no_state(value) else None


def _names_in_module_of(kind: type) -> dict[int, str]:
    if any(getattr(kind, name) is not getattr(object, name) for name in _REDUCERS):
        return {}  # the class has its own way to be pickled
    name = kind.__module__
    module = sys.modules.get(name) if type(name) is str and name not in (MAIN, "builtins") else None
    if type(module) is not ModuleType or is_made_by_hand(name):
        return {}
    return {id(one): found for found, one in list(vars(module).items()) if type(one) is kind}


_REDUCERS = ("__reduce_ex__", "__reduce__")


def _has_no_state(value: Any) -> bool:
    try:
        _, args, *state = value.__reduce_ex__(4)
    except Exception:
        return False
    return args == (type(value),) and not any(state)


def reduce_object(value: Any) -> Any:
    """Reduce a bare `object()` of a module to its name there, so that it compares as the same."""
    for name, module in list(sys.modules.items()):
        if name != MAIN and type(module) is ModuleType and not is_made_by_hand(name):
            for found, one in list(vars(module).items()):
                if one is value:
                    return getattr, (module, found)
    return value.__reduce_ex__(4)


# -- what cloudpickle sends by a name that is not there, or not at all -----------------------------


def cached(function: Callable[..., object], maxsize: int | None, typed: bool) -> object:
    """Apply `functools.lru_cache` to a function, when it is unpickled."""
    return functools.lru_cache(maxsize=maxsize, typed=typed)(function)


def _reduce_cached(value: Any) -> Any:
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is value and value.__module__ != MAIN and not is_made_by_hand(value.__module__):
        return value.__qualname__
    told = value.cache_parameters()
    state = {name: one for name, one in vars(value).items() if name != "cache_parameters"}
    return cached, (value.__wrapped__, told["maxsize"], told["typed"]), state


def made_again(kind: type[BaseException], args: tuple[object, ...]) -> BaseException:
    """Make an exception without its own `__init__`, which may take other arguments."""
    base: Any = next(one for one in kind.__mro__ if not one.__flags__ & _IS_TYPED)
    made: BaseException = base.__new__(kind, *args)
    base.__init__(made, *args)
    return made


_IS_TYPED = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made by a class statement


def reduce_exception(error: BaseException) -> Any:
    """Reduce an error, with its cause if that can travel; NotImplemented if its class does so."""
    kind = type(error)
    for name in _REDUCERS:
        owner = next(one for one in kind.__mro__ if name in vars(one))
        if owner.__module__ != "builtins":
            return NotImplemented
    told = error.__reduce__()
    if not isinstance(told, tuple) or told[0] is not kind:
        return NotImplemented
    state = dict(told[2]) if len(told) > 2 and told[2] else {}
    if error.__cause__ is not None and _sendable({"cause": error.__cause__}, {}):
        state["__cause__"] = error.__cause__
    return made_again, (kind, told[1]), state or None


def _reduce_cached_property(value: Any) -> Any:
    """Reduce a cached property without the lock that it has before Python 3.12."""
    state = {name: one for name, one in vars(value).items() if name not in ("func", "lock")}
    return functools.cached_property, (value.func,), state


def _reduce_weak(value: Any) -> Any:
    """Reduce a weak dictionary, such as the cache of `functools.singledispatch`."""
    return type(value), (dict(value),)


@functools.cache
def pickler() -> Any:
    """Make our class of pickler, once.

    Raises:
        ImportError: there is no cloudpickle.
    """
    from cloudpickle import cloudpickle

    by_value = (cloudpickle._make_skeleton_class, cloudpickle._make_skeleton_enum)

    def reduce_code(code: CodeType) -> Any:
        """Reduce code with the name of its file or cell, which cloudpickle leaves out."""
        kind, args = cloudpickle._code_reduce(code)
        name = code.co_filename
        is_name = [one == "<dynamic-code>" if type(one) is str else False for one in args]
        return kind, tuple(name if is_it else one for is_it, one in zip(is_name, args))  # noqa: B905

    def reduce_module(module: ModuleType) -> Any:
        if not is_made_by_hand(module.__name__):
            return cloudpickle._module_reduce(module)
        kept = {name: one for name, one in vars(module).items() if name not in _OF_A_MODULE}
        return cloudpickle.dynamic_subimport, (module.__name__, kept)

    own = {
        CodeType: reduce_code,
        ModuleType: reduce_module,
        object: reduce_object,
        functools.cached_property: _reduce_cached_property,
        type(cached_example): _reduce_cached,
        weakref.WeakKeyDictionary: _reduce_weak,
        weakref.WeakValueDictionary: _reduce_weak,
    }

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        dispatch_table: ClassVar[Any] = ChainMap(
            {**cloudpickle.Pickler.dispatch_table.maps[0], **own},
            *cloudpickle.Pickler.dispatch_table.maps[1:],
        )

        def __init__(
            self,
            file: io.BytesIO,
            protocol: int,
            buffer_callback: Callable[[Any], object] | None,
            names: Mapping[str, object] | None = None,
            *,
            own_files: bool = False,
        ) -> None:
            super().__init__(file, protocol=protocol, buffer_callback=buffer_callback)
            self.named: dict[str, object] = {}  # globals whose names were found in texts
            self.files: dict[str, None] = {}  # files and cells of pickled code, in its order
            self._names = names
            self._own_files = own_files  # leave out the files of methods

        def reducer_override(self, obj: Any) -> Any:
            kind = type(obj)
            if kind is FunctionType:
                if is_made_by_hand(obj.__module__):
                    return self._dynamic_function_reduce(obj)
                return super().reducer_override(obj)
            if issubclass(kind, type):
                if is_made_by_hand(getattr(obj, "__module__", None)):
                    made = cloudpickle._dynamic_class_reduce(obj)
                else:
                    made = super().reducer_override(obj)
                if type(made) is tuple and made[0] in by_value:
                    self._look_at_class(obj, made)
                return made
            if isinstance(obj, BaseException):
                return reduce_exception(obj)
            name = sentinel_name(obj)
            return NotImplemented if name is None else name

        def _look_at_class(self, kind: Any, made: Any) -> None:
            """Keep `__slots__`, which cannot be added later; note what annotations name."""
            if vars(kind).get("__slots__") and made[0] is by_value[0]:
                made[1][3]["__slots__"] = kind.__slots__
            if kind.__module__ == MAIN:
                self._name(_words(annotations_of(kind).values()), vars(sys.modules[MAIN]))

        def _function_getnewargs(self, func: FunctionType) -> Any:
            made = super()._function_getnewargs(func)
            if is_of_main(func):
                made[1][MARK] = True
            return made

        def _dynamic_function_reduce(self, func: FunctionType) -> Any:
            made = super()._dynamic_function_reduce(func)
            if not self._own_files or "." not in func.__qualname__.rpartition("<locals>.")[2]:
                self.files[func.__code__.co_filename] = None
            if is_of_main(func):
                known = made[2][1]["__globals__"]
                self._name(names_in_texts(func), func.__globals__, known)
                if self._names:
                    known.update(self._names)
                    self._names = None
            return made

        def _name(
            self,
            words: Iterable[str],
            variables: Mapping[str, object],
            known: Mapping[str, object] | None = None,
        ) -> None:
            for word in words:
                if word in variables and not (known and word in known):
                    self.named[word] = variables[word]

    return Pickler


_OF_A_MODULE = ("__builtins__", "__loader__", "__spec__")


@functools.lru_cache(maxsize=1)
def cached_example() -> None:
    """Do nothing; the type of this function is that of all cached functions."""
