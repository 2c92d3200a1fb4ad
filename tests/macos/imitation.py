"""A Python on Linux that lacks what macOS lacks, and does what that does instead, as far as known.

The wrapper that `make_python` writes is an interpreter for programs, modules and commands, and
`sys.executable` in them, so that workers and guardians are imitated, too. What it shows is that our
code needs nothing else; it does not show what macOS does.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import runpy
import select
import signal
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

ABSENT: dict[ModuleType, str] = {
    os: "copy_file_range eventfd getrandom getresgid getresuid memfd_create pidfd_open pipe2 "
    "posix_fallocate sched_getaffinity sched_setaffinity splice waitid",  # the last one until 3.13
    select: "epoll",
    signal: "pidfd_send_signal sigtimedwait sigwaitinfo",
    time: "CLOCK_BOOTTIME",
}
OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "jobqueue_widget")
WRAPPER = """#!/bin/sh
flags=
while [ "$1" = -I ] || [ "$1" = -S ]; do flags="$flags $1"; shift; done
exec "{python}" $flags "{imitation}" "$0" {kqueue} "$@"
"""
open_pidfd, end_group = getattr(os, "pidfd_open", None), os.killpg


def make_python(folder: Path, *, kqueue: bool) -> Path:
    """Write the wrapper; `kqueue`: there is one, at which a process can be watched."""
    wrapper = folder / "python"
    wrapper.write_text(
        WRAPPER.format(python=sys.executable, imitation=__file__, kqueue="yes" if kqueue else "no")
    )
    wrapper.chmod(0o755)
    return wrapper


def hide_proc(event: str, args: tuple[Any, ...]) -> None:
    """Hide /proc from our own code: psutil shows what macOS tells it by other means."""
    if event not in ("open", "os.listdir", "os.scandir") or not isinstance(args[0], (str, bytes)):
        return
    if not os.fsdecode(args[0]).startswith("/proc"):
        return
    frame = sys._getframe(1)
    while frame is not None:
        where = frame.f_code.co_filename
        if where.startswith(OURS):
            raise FileNotFoundError(2, "No such file or directory", args[0])
        if where == __file__ or f"{os.sep}psutil{os.sep}" in where:
            return
        frame = frame.f_back  # type: ignore[assignment]


class PsutilOfLinux(importlib.abc.MetaPathFinder):
    """Lets psutil see where it is while it is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find what is to be imported as anybody does."""
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name == "psutil" else None
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_on_linux(module: ModuleType) -> None:
                sys.platform = "linux"
                try:
                    run(module)
                finally:
                    sys.platform = "darwin"

            spec.loader.exec_module = run_on_linux  # type: ignore[method-assign]
        return spec


def killpg(group: int, number: int) -> None:
    """Refuse to signal a group of zombies, as XNU does (`killpg1`)."""
    states = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == (group or os.getpgrp()):
            states.append(fields[0])
    if states and set(states) <= {"Z", "X"}:
        raise PermissionError(1, "Operation not permitted")
    end_group(group, number)


class kqueue:
    """A kqueue that takes one event: the end of a process."""

    def __init__(self) -> None:
        self._fd = -1

    def control(self, changes: Sequence[Any], most: int, timeout: float | None = None) -> list[Any]:
        """Add the event; OSError if it cannot be."""
        [(pid, event)] = changes
        assert event == {"filter": -5, "flags": 0x1 | 0x10, "fflags": 0x80000000}
        assert (most, timeout) == (0, None)
        assert open_pidfd is not None
        self._fd = open_pidfd(pid)
        return []

    def fileno(self) -> int:
        """Return what can be watched."""
        return self._fd

    def close(self) -> None:
        """Close it."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def kevent(pid: int, **event: int) -> tuple[int, dict[str, int]]:
    """Describe an event."""
    return pid, event


def become_macos(python: str, has_kqueue: str) -> None:
    """Take away what it does not have, and put in what it does otherwise."""
    for module, names in ABSENT.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    sysconfig.get_config_vars()  # which it keeps: its files are named after the platform
    sys.platform, sys.executable = "darwin", python
    os.killpg = killpg
    if has_kqueue == "yes":
        import selectors  # before, so that it takes none for its own

        assert selectors.DefaultSelector is selectors.PollSelector  # type: ignore[comparison-overlap]
        constants = {"FILTER_PROC": -5, "EV_ADD": 0x1, "EV_ONESHOT": 0x10, "NOTE_EXIT": 0x80000000}
        for name, value in constants.items():
            setattr(select, f"KQ_{name}", value)
        select.kqueue, select.kevent = kqueue, kevent  # type: ignore[attr-defined]
    sys.meta_path.insert(0, PsutilOfLinux())
    sys.addaudithook(hide_proc)


def main() -> None:
    """Run what an interpreter is told to run."""
    _, python, has_kqueue, what, *rest = sys.argv
    become_macos(python, has_kqueue)
    if not sys.flags.isolated:
        sys.path[0] = "" if what in ("-c", "-m") else os.path.dirname(os.path.abspath(what))
    if what == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        program, *arguments = rest
        sys.argv = ["-c", *arguments]
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = [what, *rest]
        runpy.run_path(what, run_name="__main__")


if __name__ == "__main__":
    main()
