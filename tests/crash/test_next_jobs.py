"""Whatever a job does to its process, the next one is as in a new worker."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import decimal
import faulthandler
import gc
import io
import json
import logging
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue_widget import JobQueue, JobStatus
from tests.crash.grief import come_to_grief


def look() -> dict[str, Any]:
    """What a job meets, with what it logs."""
    for name in ("lib", "lib.part", None):
        logging.getLogger(name).warning("%s warns", name)
    warnings.warn("a warning", stacklevel=1)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(len(sorted([[n] for n in range(999)]))))
    thread.start()
    thread.join()
    loop = asyncio.new_event_loop()
    loop.close()
    return {
        "thread": (found, threading.stack_size()),
        "json": (json.dumps({"a": [1]}), json.loads("[1]")),
        "pickle": pickle.loads(pickle.dumps([1])),
        "builtins": (len(vars(builtins)), sorted([2, 1]), str(print), str(__import__)),
        "time": (time.sleep.__module__, time.time() > 1, time.monotonic() > 0),
        "os": (os.getcwd(), os.write.__module__, os.path.exists("/")),
        "io": io.BytesIO(b"x").read(),
        "gc": (gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.get_freeze_count()),
        "callbacks": len(gc.callbacks),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "finders": ([type(one).__name__ for one in sys.meta_path], len(sys.path_hooks)),
        "hooks": (
            str(threading.excepthook),
            str(sys.unraisablehook),
            tuple(sys.get_asyncgen_hooks()),
        ),
        "digits": sys.get_int_max_str_digits(),
        "decimals": (str(decimal.getcontext()), str(decimal.DefaultContext)),
        "folder": tempfile.gettempdir(),
        "signals": {n: str(signal.getsignal(n)) for n in range(1, 32) if n != signal.SIGUSR1},
        "limits": [resource.getrlimit(getattr(resource, f"RLIMIT_{one}")) for one in LIMITS],
        "who": (os.getresuid(), os.getresgid(), os.stat("/").st_ino, os.sched_getaffinity(0)),
        "levels": (logging.getLevelName(30), logging.lastResort is None, logging.raiseExceptions),
        "logger class": str(logging.getLoggerClass()),
        "policy": type(loop).__name__,
        "traced": tracemalloc.is_tracing(),
        "formatted": warnings.formatwarning("m", UserWarning, "f", 1, "x"),
        "suppress": contextlib.suppress.__module__,
    }


LIMITS = ("AS", "CPU", "FSIZE", "NOFILE", "DATA", "STACK", "NPROC", "CORE")
LOGGERS = (None, "lib", "lib.part")
replaced: Any = None


def fails(*_: object, **__: object) -> Any:
    come_to_grief("error")


def every_logger(act: Callable[[logging.Logger], object]) -> Callable[[], None]:
    def mess() -> None:
        for name in LOGGERS:
            act(logging.getLogger(name))

    return mess


def puts(owner: Any, *names: str, value: Any = fails) -> Callable[[], None]:
    def mess() -> None:
        for name in names:
            setattr(owner, name, value)

    return mess


class Unlike:
    """Cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]


def leaves_a_finder() -> None:
    class Finder:
        find_spec = staticmethod(fails)

    sys.meta_path.insert(0, Finder)
    sys.path_hooks.insert(0, fails)
    sys.path_importer_cache.clear()


def sets_the_collector() -> None:
    gc.set_threshold(0)
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.freeze()
    gc.callbacks.append(fails)
    gc.disable()


def hooks_threads() -> None:
    threading.excepthook = fails
    sys.unraisablehook = fails
    sys.set_asyncgen_hooks(fails, fails)


def calculates() -> None:
    decimal.DefaultContext.prec = 3
    decimal.DefaultContext.rounding = decimal.ROUND_UP
    decimal.DefaultContext.traps[decimal.Inexact] = True
    sys.set_int_max_str_digits(0)


def names_levels() -> None:
    logging.addLevelName(30, "WW")
    logging.lastResort = None
    logging.raiseExceptions = False


def takes_other_signals() -> None:
    for number in (signal.SIGWINCH, signal.SIGQUIT, signal.SIGCONT, signal.SIGVTALRM):
        signal.signal(number, fails)


def registers_a_fault_handler() -> None:
    faulthandler.register(signal.SIGUSR1, chain=False)
    faulthandler.dump_traceback_later(0.2, exit=True)


def sets_the_loop() -> None:
    class Policy(asyncio.DefaultEventLoopPolicy):
        new_event_loop = fails

    asyncio.set_event_loop_policy(Policy())


def adds_builtins() -> None:
    builtins.left_over = 1  # type: ignore[attr-defined]
    builtins.print = builtins.sorted = fails
    builtins.__import__ = fails


class Loud(logging.Logger):
    def warning(self, *_: object, **__: object) -> None:
        come_to_grief("error")


MESSES: dict[str, Callable[[], object]] = {
    "level": every_logger(lambda one: one.setLevel(logging.ERROR)),
    "propagate": every_logger(lambda one: setattr(one, "propagate", False)),
    "filter": every_logger(lambda one: one.addFilter(lambda _: False)),
    "disabled": every_logger(lambda one: setattr(one, "disabled", True)),
    "handler": every_logger(lambda one: one.addHandler(logging.StreamHandler())),
    "lists": every_logger(lambda one: setattr(one, "handlers", None)),
    "record factory": lambda: logging.setLogRecordFactory(fails),
    "logger class": lambda: logging.setLoggerClass(Loud),
    "names of levels": names_levels,
    "captured warnings": lambda: logging.captureWarnings(True),
    "formatted warnings": puts(warnings, "formatwarning", "warn", "warn_explicit", "showwarning"),
    "fault handler": registers_a_fault_handler,
    "stack size": lambda: threading.stack_size(65536),
    "finders": leaves_a_finder,
    "builtins": adds_builtins,
    "collector": sets_the_collector,
    "start method": lambda: multiprocessing.set_start_method("spawn", force=True),
    "hooks": hooks_threads,
    "calculation": calculates,
    "folder": puts(tempfile, "tempdir", value="/nowhere"),
    "signals": takes_other_signals,
    "loop": sets_the_loop,
    "traced memory": tracemalloc.start,
    "processors": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    "json": puts(json, "dumps", "loads"),
    "json of bytes": puts(json, "dumps", value=lambda *_, **__: b"{}"),
    "pickle": puts(pickle, "dumps", "loads", "Pickler", "Unpickler", "PickleBuffer"),
    "os": puts(os, "write", "read", "getcwd", "dup2", "stat", "umask", "_exit", "open", "chdir"),
    "time": puts(time, "time", "sleep", "monotonic", "monotonic_ns", "strftime"),
    "threads": puts(threading, "Thread", "enumerate", "get_ident", "Lock", "Timer"),
    "tools": lambda: (puts(contextlib, "suppress")(), puts(io, "BytesIO", "StringIO")()),
    "what is unlike all": puts(json, "dumps", value=Unlike()),
    "nothing": lambda: None,
}
COSTS_THE_WORKER: dict[str, Callable[[], object]] = {
    "a limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "another user": lambda: os.setresuid(65534, 65534, 65534),
    "another group": lambda: os.setresgid(65534, 65534, 65534),
    "another root": lambda: os.chroot(tempfile.gettempdir()),
}


@pytest.mark.parametrize("mess", MESSES)
async def test_what_a_job_has_changed_is_taken_back_and_its_worker_stays(mess: str) -> None:
    async with JobQueue(max_running=1) as queue:
        pid = await queue.submit_nowait(os.getpid)
        before = queue.submit_nowait(look)
        await before
        for value in (7, {"of": [complex(1, 2)] * 500}):
            job = queue.submit_nowait(makes_a_mess, mess, value)
            assert await job == value
        after = queue.submit_nowait(look)
        assert await after == await before
        assert after.logs() == before.logs()
        assert await queue.submit_nowait(time.sleep, 0.3) is None, "nothing goes off later"
        assert await queue.submit_nowait(os.getpid) == pid
        asked = queue.submit_nowait(time.sleep, 60)
        while asked.status is not JobStatus.running or asked.phase is not None:
            await asyncio.sleep(0.01)
        asked.cancel()
        await queue.wait_for_job(asked, timeout=20)
        assert asked.failure is not None
        assert asked.failure.signal_name is None, "it heard the request"


@pytest.mark.parametrize("mess", COSTS_THE_WORKER)
async def test_what_cannot_be_taken_back_costs_the_worker(mess: str) -> None:
    if os.geteuid() and mess != "a limit":
        pytest.skip("only root can do that")
    async with JobQueue(max_running=1) as queue:
        pid = await queue.submit_nowait(os.getpid)
        before = queue.submit_nowait(look)
        await before
        assert await queue.submit_nowait(makes_a_mess, mess, 7) == 7
        after = queue.submit_nowait(look)
        assert await after == await before
        assert after.logs() == before.logs()
        if mess != "a limit" or os.geteuid():
            assert await queue.submit_nowait(os.getpid) != pid


def makes_a_mess(mess: str, value: object) -> object:
    """Do it, and return this."""
    {**MESSES, **COSTS_THE_WORKER}[mess]()
    return value
