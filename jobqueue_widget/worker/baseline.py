"""The state of a worker process that every job starts from, and what a job can leave behind in it.

Loaded by path in the worker; standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys

# The public getsignal makes enum members, which takes ten times as long: once per job and signal.
from _signal import getsignal  # type: ignore[import-not-found]
from types import ModuleType
from typing import Any

GUARDED_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD")


class Baseline:
    """The state of the process that every job starts from."""

    def __init__(self) -> None:
        self.cwd = os.getcwd()
        self.environ = dict(os.environ)
        self.raw_environ = dict(raw_environment())
        self.path = list(sys.path)
        self.argv = list(sys.argv)
        self.root_level = logging.getLogger().level
        self.root_handlers = list(logging.getLogger().handlers)
        self.streams = (sys.stdin, sys.stdout, sys.stderr)
        self.signals = {
            int(getattr(signal, name)): getsignal(int(getattr(signal, name)))
            for name in GUARDED_SIGNALS
            if hasattr(signal, name)
        }

    def restore(self) -> None:
        """Back to it."""
        for number, handler in self.signals.items():
            if getsignal(number) is not handler:
                signal.signal(number, handler)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdin, sys.stdout, sys.stderr = self.streams
        sys.argv[:] = self.argv
        if sys.path != self.path:
            sys.path[:] = self.path
        if raw_environment() != self.raw_environ:
            os.environ.clear()
            os.environ.update(self.environ)
        try:
            moved = os.getcwd() != self.cwd
        except OSError:
            moved = True
        if moved:
            with contextlib.suppress(OSError):
                os.chdir(self.cwd)
        root = logging.getLogger()
        if root.handlers != self.root_handlers:
            root.handlers[:] = self.root_handlers
        root.setLevel(self.root_level)
        main = sys.modules.get("__main__")
        if type(main) is not ModuleType or len(vars(main)) > 10:
            sys.modules["__main__"] = clean_main()


def raw_environment() -> dict[Any, Any]:
    """The dict inside os.environ: os.environ itself decodes every variable to be compared."""
    raw: dict[Any, Any] | None = getattr(os.environ, "_data", None)
    return dict(os.environ) if raw is None else raw


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
