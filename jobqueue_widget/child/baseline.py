"""Keeps the state of a worker process that every job starts from, and restores it after a job.

Loaded by path in the worker; standard library only.
"""

from __future__ import annotations

# `signal` makes enum members of what `_signal` returns: ten times as slow, and done for every job.
import _signal  # type: ignore[import-not-found]
import atexit
import contextlib
import ctypes
import gc
import io
import os
import signal
import sys
import time
import traceback
import warnings
from types import ModuleType
from typing import Any, NoReturn

try:
    import resource
    from resource import getrlimit, setrlimit
except ImportError:  # Windows has none
    LIMITS: tuple[int, ...] = ()
else:
    kinds = ("AS", "CPU", "FSIZE", "NOFILE", "DATA", "STACK", "NPROC", "CORE")
    LIMITS = tuple(
        getattr(resource, f"RLIMIT_{kind}") for kind in kinds if hasattr(resource, f"RLIMIT_{kind}")
    )

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
IMPORTS = "<frozen importlib._bootstrap>"  # where Python has the code that imports
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
        self.users = users()
        self.root = root()
        self.tracing = sys.gettrace(), sys.getprofile()
        self.hooks = sys.excepthook, sys.displayhook, sys.unraisablehook, sys.breakpointhook
        self.filters = list(warnings.filters)
        self.showwarning = warnings.showwarning

    def has_its_streams(self) -> bool:
        """True unless a job has others, whose `flush` is its own."""
        return (sys.stdin, sys.stdout, sys.stderr) == self.streams

    def restore(self) -> bool:
        """Restore the state; False if a limit, niceness or removed modules cannot be restored.

        Nor can who the process is, and what it sees as the root of all folders.
        """
        stop_timers()
        as_it_was = limits() == self.limits or set_limits(self.limits)
        if users() != self.users or (self._is_elsewhere() and root() != self.root):
            return False
        if niceness() != self.niceness and not set_niceness(self.niceness):
            as_it_was = False
        if len(sys.modules) < self.modules:
            sys.modules.update(OURS)
            as_it_was = False  # many modules cannot be loaded twice
        self._restore_interpreter()
        self._restore_signals()
        sys.stdin, sys.stdout, sys.stderr = self.streams
        if sys.stdout.closed or sys.stderr.closed:
            make_streams()
            self.streams = (sys.stdin, sys.stdout, sys.stderr)
        self._restore_folder_and_environment()
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
        sys.excepthook, sys.displayhook, sys.unraisablehook, sys.breakpointhook = self.hooks

    def _restore_warnings(self) -> None:
        """Restore filters; those of libraries that the job imported stay, as these do."""
        warnings.showwarning = self.showwarning
        if warnings.filters == self.filters:
            return
        if len(sys.modules) > self.modules:
            new = [one for one in warnings.filters if one not in self.filters]
            self.filters = [one for one in new if is_of_a_library(one)] + self.filters
        warnings.resetwarnings()  # also forgets what the old filters have shown once
        filters: Any = warnings.filters
        filters[:] = self.filters

    def _restore_signals(self) -> None:
        if [*map(_signal.getsignal, self.signals)] != [*self.signals.values()]:
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
        if self._is_elsewhere():
            with contextlib.suppress(OSError):
                os.chdir(self.cwd)

    def _is_elsewhere(self) -> bool:
        """True if the folder is another one, as it is in another root too, or may be."""
        try:
            return os.getcwd() != self.cwd or self.cwd == ROOT
        except OSError:
            return True


def folder_of_this_process() -> str:
    """Return the current folder; the root if that was removed."""
    try:
        return os.getcwd()
    except OSError:
        os.chdir(ROOT)
        return ROOT


def is_of_a_library(entry: tuple[Any, ...]) -> bool:
    """True for a filter of certain messages or modules, or of a category that is not built in."""
    _, message, category, module, _ = entry
    return bool(message or module or category.__module__ != "builtins")


def niceness() -> int:
    """Return the nice value of this process; 0 where there is none."""
    return os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else 0


def users() -> tuple[object, ...]:
    """Return the users and groups that this process acts for."""
    if hasattr(os, "getresuid"):
        return os.getresuid(), os.getresgid(), os.getpgrp()
    if hasattr(os, "getuid"):  # macOS
        return os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getpgrp()
    return ()


def root() -> tuple[int, int]:
    """Say what this process sees as the root of all folders."""
    seen = os.stat(ROOT)
    return seen.st_ino, seen.st_dev


def set_niceness(wanted: int) -> bool:
    """Set the nice value; False if that is refused, as only root may lower it."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, wanted)
    except OSError:
        return False
    return True


class Farewells:
    """Runs what a job's own code registers with `atexit` at the job's end; the process lives on.

    What imported modules register runs at the end of the process, as they stay until then.
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
        """Keep a call for the job's end; stands in for `atexit.register`."""
        if sys._getframe(1).f_globals.get("__name__") != "__main__":
            return self._register(func, *args, **kwargs)
        self._kept.append((func, args, kwargs))
        return func

    def unregister(self, func: Any, /) -> None:
        """Forget the calls of a function; stands in for `atexit.unregister`."""
        self._kept = [one for one in self._kept if one[0] != func]
        self._unregister(func)

    def run(self) -> None:
        """Make the calls of this job, the last one first; an error goes to the job's log."""
        while self._kept:
            func, args, kwargs = self._kept.pop()
            try:
                func(*args, **kwargs)
            except BaseException as error:
                traceback.print_exception(error)

    def leave(self) -> NoReturn:
        """Run what modules have registered, which removes temporary folders, and exit."""
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        os._exit(0)


def is_importing(frame: Any) -> bool:
    """True if something is imported below it, which cannot always be done again once cut off.

    Python forgets the package and keeps the parts of it that were there; who imports it then is
    not given those, and what is written in C may refuse to be loaded twice.
    """
    while frame is not None and frame.f_code.co_filename != IMPORTS:
        frame = frame.f_back
    return frame is not None


def blocked_signals() -> set[int]:
    """Return the signals that this thread blocks."""
    if not hasattr(signal, "pthread_sigmask"):
        return set()
    blocked: set[int] = _signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return blocked


def limits() -> list[tuple[int, int]]:
    """Return the soft and the hard limit of this process for each of `LIMITS`."""
    return [*map(getrlimit, LIMITS)] if LIMITS else []


def set_limits(wanted: list[tuple[int, int]]) -> bool:
    """Set the limits; False if that is refused, as only root may raise a hard limit."""
    try:
        for number, pair in zip(LIMITS, wanted, strict=True):
            setrlimit(number, pair)
    except (OSError, ValueError):
        return False
    return True


def make_streams() -> None:
    """Make new `sys.stdout` and `sys.stderr`, which write to the log line by line."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115 - lives as long as we do
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), "utf-8", "backslashreplace", newline="\n", line_buffering=True
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def flush_streams() -> None:
    """Send on what the job printed."""
    for stream in (sys.stdout, sys.stderr):
        try:  # done after every job, where `contextlib.suppress` costs more than the flush
            stream.flush()
        except Exception:
            continue


def end_copy(error: BaseException | None) -> NoReturn:
    """Exit as at the end of a script, in a fork that has returned from the job's body."""
    code: object = 0
    if isinstance(error, SystemExit):
        code = error.code
    elif error is not None:
        code = 1
        traceback.print_exception(error)
    flush_streams()
    os._exit(code if isinstance(code, int) else code is not None)


def stop_timers() -> None:
    """Stop interval timers; before handlers are restored, or an alarm would end the process."""
    if hasattr(signal, "setitimer"):
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)


def raw_environment() -> dict[Any, Any]:
    """Return the dict inside `os.environ`, which compares without decoding every variable."""
    raw: dict[Any, Any] | None = getattr(os.environ, "_data", None)
    return dict(os.environ) if raw is None else raw


def set_clock() -> None:
    """Have the C library read TZ, which it does only when told."""
    if hasattr(time, "tzset"):
        time.tzset()


def has_children() -> bool:
    """True if a process of the job still runs, which Windows tells the kernel; reaps zombies."""
    if not hasattr(os, "WNOHANG"):
        return False
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:  # a zombie is no work
            continue
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
    """Become the parent of descendants that daemonise, so that they can be found (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(Exception):
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def clean_main() -> ModuleType:
    """Make a `__main__` without names of ours, as in a notebook."""
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = __builtins__
    return module
