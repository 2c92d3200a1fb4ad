"""Takes back what a job has put in place of functions and settings of the standard library.

Loaded by path in the worker; standard library only. What a library changes when it is imported
stays, as it is imported once. What this worker itself needs is put back before it goes on.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import builtins
import contextlib
import gc
import io
import json
import locale
import logging
import operator
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

USED: dict[ModuleType, str] = {  # by this worker, between a job's body and its end, or near that
    builtins: "AttributeError BaseException Exception KeyError OSError TypeError ValueError abs "
    "all any bool bytearray bytes callable compile dict dir enumerate eval exec filter float "
    "frozenset getattr globals hasattr hash id input int isinstance issubclass iter len list map "
    "max memoryview min next object open print range repr reversed round set setattr sorted str "
    "sum super tuple type vars zip __build_class__ __import__",
    contextlib: "suppress",
    io: "BytesIO BufferedWriter StringIO TextIOWrapper",
    json: "dump dumps load loads",
    os: "_exit chdir close devnull dup2 fork fspath getcwd getpgrp getpid makedirs open read "
    "remove stat system umask unlink urandom waitid waitpid write",
    pickle: "PickleBuffer Pickler Unpickler UnpicklingError dump dumps load loads",
    signal: "getsignal pthread_sigmask setitimer signal",
    threading: "Event Lock RLock Thread Timer current_thread enumerate excepthook get_ident "
    "main_thread setprofile settrace",
    time: "monotonic monotonic_ns perf_counter sleep strftime time",
    traceback: "TracebackException format_exc print_exc print_exception",
}
MORE: dict[ModuleType, str] = {  # that jobs put others for
    logging: "Formatter Handler LogRecord Logger StreamHandler basicConfig critical debug disable "
    "error exception getLogger info log lastResort raiseExceptions root warning _logRecordFactory "
    "_loggerClass _warnings_showwarning",
    sys: "exc_info exit modules path_importer_cache setprofile settrace",
    warnings: "filterwarnings formatwarning resetwarnings showwarning simplefilter warn "
    "warn_explicit",
}
CHANGED_BY_IMPORTS = (logging, os, signal, threading, time, warnings)


class Patches:
    """The standard library of this process as every job shall find it."""

    def __init__(self) -> None:
        self._used = [_Kept(module, names.split()) for module, names in USED.items()]
        self._more = [_Kept(module, names.split()) for module, names in MORE.items()]
        self._builtins = set(vars(builtins))
        self._tracing = sys.gettrace(), sys.getprofile()
        self._known = set(sys.modules)
        self._lists: list[tuple[list[Any], list[Any]]] = [
            (one, list(one)) for one in (sys.meta_path, sys.path_hooks, gc.callbacks)
        ]
        self._levels: list[tuple[dict[Any, Any], dict[Any, Any]]] = [
            (one, dict(one)) for one in (logging._levelToName, logging._nameToLevel)
        ]
        self._settings = [(get, put, get()) for get, put in _settings()]
        self._signals = [int(one) for one in signal.valid_signals() if one < 32]
        self._handlers = [*map(_signal.getsignal, self._signals)]

    @property
    def imported(self) -> bool:
        """True if the job has imported something."""
        return len(sys.modules) != len(self._known)

    def mend(self) -> None:
        """Put back what this worker uses itself, right behind the body of a job."""
        self._put_back(self._used)

    def _put_back(self, all_kept: list[_Kept]) -> None:
        for kept in all_kept:
            try:
                if kept.read(kept.names) == kept.was:
                    continue
            except BaseException:  # a name is gone, or what is there now cannot be compared
                kept.put_back(None)
            kept.put_back(self._known if self.imported else None)

    def take_back(self) -> None:
        """Put back all the rest, which cannot fail."""
        self._put_back(self._more)
        known = self._known if self.imported else None
        if len(vars(builtins)) != len(self._builtins):
            self._take_new_builtins()
        for now, first in self._lists:
            if now != first:
                first += [one for one in now if one not in first and _was_brought(one, known)]
                now[:] = first
                sys.path_importer_cache.clear()
        for levels, before in self._levels:
            if levels != before:
                levels.clear()
                levels.update(before)
        for get, put, was in self._settings:
            if get() != was:
                put(was)
        threading.settrace(self._tracing[0])
        threading.setprofile(self._tracing[1])
        if [*map(_signal.getsignal, self._signals)] != self._handlers:
            for number, handler in zip(self._signals, self._handlers, strict=True):
                if handler is not None and _signal.getsignal(number) is not handler:
                    signal.signal(number, handler)
        if known is not None:
            self._known = set(sys.modules)

    def _take_new_builtins(self) -> None:
        new = vars(builtins).keys() - self._builtins
        if self.imported:
            self._builtins |= new
        else:
            for name in new:
                del vars(builtins)[name]


class _Kept:
    """Some names of a module, and what they stand for; compared in one step, as it is frequent."""

    def __init__(self, module: ModuleType, names: Iterable[str]) -> None:
        self.names = vars(module)
        self._order = [name for name in names if name in self.names]
        self.read = operator.itemgetter(*self._order, *self._order[:1])
        self.was = self.read(self.names)
        self._stays = module in CHANGED_BY_IMPORTS

    def put_back(self, known: set[str] | None) -> None:
        """Put back what is another; `known`: modules from before, if the job has imported some."""
        for name, was in zip(self._order, self.was):  # noqa: B905 - the first is read twice
            now = self.names.get(name)
            if now is not was and not (self._stays and _was_brought(now, known)):
                self.names[name] = was
        self.was = self.read(self.names)


def _was_brought(value: Any, known: set[str] | None) -> bool:
    """True for a function, class or finder of a module that this job has imported."""
    if known is None:
        return False
    is_itself = type(value) in (FunctionType, BuiltinFunctionType, type)
    home = (value if is_itself else type(value)).__module__
    return home in sys.modules and home not in known and not home.startswith("unittest.")


def _settings() -> list[tuple[Callable[[], Any], Callable[[Any], object]]]:
    """What is read and set by a function each."""
    found: list[tuple[Callable[[], Any], Callable[[Any], object]]] = [
        (threading.stack_size, threading.stack_size),
        (
            lambda: locale.setlocale(locale.LC_ALL),
            lambda told: locale.setlocale(locale.LC_ALL, told),
        ),
        (gc.get_threshold, lambda told: gc.set_threshold(*told)),
        (gc.get_debug, gc.set_debug),
        (gc.get_freeze_count, lambda _: gc.unfreeze()),
        (sys.get_asyncgen_hooks, lambda told: sys.set_asyncgen_hooks(*told)),
        (sys.get_coroutine_origin_tracking_depth, sys.set_coroutine_origin_tracking_depth),
    ]
    if hasattr(sys, "set_int_max_str_digits"):
        found.append((sys.get_int_max_str_digits, sys.set_int_max_str_digits))
    if hasattr(os, "sched_setaffinity"):
        found.append((lambda: os.sched_getaffinity(0), lambda told: os.sched_setaffinity(0, told)))
    return found
