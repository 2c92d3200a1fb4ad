"""The state of a worker process that every job starts from, and what a job can leave behind in it.

Loaded by path in the worker; standard library only.
"""

from __future__ import annotations

# What the module `signal` offers makes enum members, which takes ten times as long, for every job.
import _signal  # type: ignore[import-not-found]
import atexit
import contextlib
import ctypes
import gc
import io
import locale
import logging
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from types import ModuleType
from typing import Any, NoReturn

try:
    from resource import RLIMIT_AS, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NOFILE, getrlimit, setrlimit
except ImportError:  # Windows has none
    LIMITS: tuple[int, ...] = ()
else:
    LIMITS = (RLIMIT_AS, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NOFILE)

GUARDED_SIGNALS = (
    "SIGINT",
    "SIGTERM",
    "SIGHUP",
    "SIGALRM",
    "SIGUSR1",
    "SIGUSR2",
    "SIGCHLD",
    "SIGPIPE",
)
ROOT = os.path.abspath(os.sep)
OURS = {name: module for name, module in sys.modules.items() if name != "__main__"}


class Baseline:
    """The state of the process that every job starts from."""

    def __init__(self) -> None:
        self.cwd = folder_of_this_process()
        self.environ_object = os.environ
        self.environ = dict(os.environ)
        self.raw_environ = dict(raw_environment())
        self.path = list(sys.path)
        self.argv = list(sys.argv)
        self.root_level = logging.getLogger().level
        self.root_handlers = list(logging.getLogger().handlers)
        self.streams = (sys.stdin, sys.stdout, sys.stderr)
        self.signals = {
            int(getattr(signal, name)): _signal.getsignal(int(getattr(signal, name)))
            for name in GUARDED_SIGNALS
            if hasattr(signal, name)
        }
        self.blocked = blocked_signals()
        self.limits = limits()
        self.modules = len(sys.modules)
        self.recursion_limit = sys.getrecursionlimit()
        self.switch_interval = sys.getswitchinterval()
        self.umask = os.umask(0o077)
        os.umask(self.umask)
        self.niceness = niceness()
        self.tracing = sys.gettrace(), sys.getprofile()
        self.hooks = sys.excepthook, sys.displayhook, sys.unraisablehook, sys.breakpointhook
        self.disabled = logging.root.manager.disable
        self.filters = list(warnings.filters)
        self.showwarning = warnings.showwarning
        self.locale = locale.setlocale(locale.LC_ALL)

    def restore(self) -> bool:
        """Back to it. False: a limit, or another thing of the process, cannot be taken back."""
        stop_timers()
        as_it_was = limits() == self.limits or set_limits(self.limits)
        if niceness() != self.niceness and not set_niceness(self.niceness):
            as_it_was = False
        if len(sys.modules) < self.modules:
            sys.modules.update(OURS)
            as_it_was = False  # many of them cannot be loaded twice
        self._restore_interpreter()
        self._restore_signals()
        sys.stdin, sys.stdout, sys.stderr = self.streams
        if sys.stdout.closed or sys.stderr.closed:
            make_streams()
            self.streams = (sys.stdin, sys.stdout, sys.stderr)
        self._restore_folder_and_environment()
        root = logging.getLogger()
        if root.handlers != self.root_handlers:
            root.handlers[:] = self.root_handlers
        if root.level != self.root_level:
            root.setLevel(self.root_level)
        if root.manager.disable != self.disabled:
            logging.disable(self.disabled)
        main = sys.modules.get("__main__")
        if type(main) is not ModuleType or len(vars(main)) > 10:
            sys.modules["__main__"] = clean_main()
        return as_it_was

    def _restore_interpreter(self) -> None:
        self._restore_hooks()
        self._restore_warnings()
        self.modules = len(sys.modules)
        if sys.getrecursionlimit() != self.recursion_limit:
            sys.setrecursionlimit(self.recursion_limit)
        if sys.getswitchinterval() != self.switch_interval:
            sys.setswitchinterval(self.switch_interval)
        gc.enable()
        sys.argv = list(self.argv)
        if sys.path != self.path:
            sys.path = list(self.path)

    def _restore_hooks(self) -> None:
        if (sys.gettrace(), sys.getprofile()) != self.tracing:
            sys.settrace(self.tracing[0])
            sys.setprofile(self.tracing[1])
        threading.settrace(self.tracing[0])
        threading.setprofile(self.tracing[1])
        sys.excepthook, sys.displayhook, sys.unraisablehook, sys.breakpointhook = self.hooks
        if locale.setlocale(locale.LC_ALL) != self.locale:
            locale.setlocale(locale.LC_ALL, self.locale)

    def _restore_warnings(self) -> None:
        """Those of modules that the job has imported stay: they are still there, too."""
        warnings.showwarning = self.showwarning
        if warnings.filters == self.filters:
            return
        if len(sys.modules) > self.modules:
            new = [one for one in warnings.filters if one not in self.filters]
            self.filters = [one for one in new if is_of_a_library(one)] + self.filters
        warnings.resetwarnings()  # also what is remembered of the filters before
        filters: Any = warnings.filters
        filters[:] = self.filters

    def _restore_signals(self) -> None:
        for number, handler in self.signals.items():
            if _signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        if blocked_signals() != self.blocked:
            signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked)

    def _restore_folder_and_environment(self) -> None:
        os.umask(self.umask)
        os.environ = self.environ_object  # noqa: B003 - the very object that was there
        if raw_environment() != self.raw_environ:
            os.environ.clear()
            os.environ.update(self.environ)
            set_clock()
        try:
            moved = os.getcwd() != self.cwd
        except OSError:
            moved = True
        if moved:
            with contextlib.suppress(OSError):
                os.chdir(self.cwd)


def folder_of_this_process() -> str:
    """Return the current folder; the root if that was removed."""
    try:
        return os.getcwd()
    except OSError:
        os.chdir(ROOT)
        return ROOT


def is_of_a_library(entry: tuple[Any, ...]) -> bool:
    """True for a filter that is about certain messages, modules or a category of its own."""
    _, message, category, module, _ = entry
    return bool(message or module or category.__module__ != "builtins")


def niceness() -> int:
    """Return how far this process stands back behind others."""
    return os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else 0


def set_niceness(wanted: int) -> bool:
    """False if it cannot be had: only root may come forward again."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, wanted)
    except OSError:
        return False
    return True


class Farewells:
    """What a job's own code registers with `atexit` runs when the job ends: the process lives on.

    What modules register, which stay imported, runs when the process leaves.
    """

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self._register, self._unregister = atexit.register, atexit.unregister
        atexit.register, atexit.unregister = self.register, self.unregister

    @property
    def waits(self) -> bool:
        """True if this job has registered something."""
        return bool(self._kept)

    def register(self, func: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Instead of `atexit.register`."""
        if sys._getframe(1).f_globals.get("__name__") != "__main__":
            return self._register(func, *args, **kwargs)
        self._kept.append((func, args, kwargs))
        return func

    def unregister(self, func: Any, /) -> None:
        """Instead of `atexit.unregister`."""
        self._kept = [one for one in self._kept if one[0] != func]
        self._unregister(func)

    def run(self) -> None:
        """Call those of this job, the last one first; one that fails is told in its log."""
        while self._kept:
            func, args, kwargs = self._kept.pop()
            try:
                func(*args, **kwargs)
            except BaseException as error:
                traceback.print_exception(error)

    def leave(self) -> NoReturn:
        """End the process, after what modules have registered; temporary folders go with it."""
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        os._exit(0)


def blocked_signals() -> set[int]:
    """Which signals do not get through to this thread."""
    if not hasattr(signal, "pthread_sigmask"):
        return set()
    blocked: set[int] = _signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return blocked


def limits() -> list[tuple[int, int]]:
    """The soft and the hard limit of this process for each of `LIMITS`."""
    return [getrlimit(number) for number in LIMITS]


def set_limits(wanted: list[tuple[int, int]]) -> bool:
    """False if they cannot be had: only root may raise a hard limit again."""
    try:
        for number, pair in zip(LIMITS, wanted, strict=True):
            setrlimit(number, pair)
    except (OSError, ValueError):
        return False
    return True


def make_streams() -> None:
    """Text that is printed goes to the log line by line."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115 - lives as long as we do
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def flush_streams() -> None:
    """Send on what the job printed."""
    for stream in (sys.stdout, sys.stderr):
        try:  # after every job, and `contextlib.suppress` costs more than the flush
            stream.flush()
        except Exception:
            continue


def end_copy(error: BaseException | None) -> NoReturn:
    """End a fork of a job that came back from the job's body, as the end of a script would."""
    code: object = 0
    if isinstance(error, SystemExit):
        code = error.code
    elif error is not None:
        code = 1
        traceback.print_exception(error)
    flush_streams()
    os._exit(code if isinstance(code, int) else code is not None)


def stop_timers() -> None:
    """First of all: without the job's handler its alarm would end the process."""
    if hasattr(signal, "setitimer"):
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)


def raw_environment() -> dict[Any, Any]:
    """The dict inside os.environ: os.environ itself decodes every variable to be compared."""
    raw: dict[Any, Any] | None = getattr(os.environ, "_data", None)
    return dict(os.environ) if raw is None else raw


def set_clock() -> None:
    """The C library reads TZ when it is told to."""
    if hasattr(time, "tzset"):
        time.tzset()


def has_children() -> bool:
    """True if a process of the job is left, running or not yet waited for; reaps nothing."""
    if not hasattr(os, "waitid"):
        return False
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        while ended is not None:  # a process that has ended and was never waited for is no work
            os.waitpid(ended.si_pid, 0)
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except OSError:
        return False
    return True


def holds_gpu() -> bool:
    """True if this process has the CUDA driver loaded (Linux)."""
    try:
        with open("/proc/self/maps") as file:
            return "libcuda.so" in file.read()
    except OSError:
        return False


def adopt_orphans() -> None:
    """Linux: descendants that daemonise become our children, so that they can be found."""
    if sys.platform == "linux":
        with contextlib.suppress(Exception):
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def clean_main() -> ModuleType:
    """A `__main__` without anything of ours, as a notebook's is."""
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = __builtins__
    return module
