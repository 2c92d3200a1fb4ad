"""Takes down the folder, import path and environment of a submit, for a worker to take over."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .._core.spec import JobOptions
from ..protocols import ExecutorContext
from .environment import ROOT, passed, raw_environment

AT_START = ("CUDA_", "OMP_", "MKL_", "OPENBLAS_", "PYTHON", "LD_")
"""Variables read when a process starts or loads its first library, so a new worker is needed."""
DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
Changes = Mapping[str, str | None]


@dataclass(slots=True, weakref_slot=True, eq=False)
class Snapshot:
    """The surroundings of a submit, shared by all jobs until something changes."""

    start: Mapping[str, str]  # the environment at the queue's start
    changes: Changes  # what differs from it; None for a variable that is not set any more
    cwd: str  # the folder; given as "" if it was removed
    path: list[str]  # `sys.path`
    borrowed: Collection[str] = ()  # variables that are taken from the kernel as the job starts
    is_restored: bool = False  # the folder must exist
    notice: str = ""
    written: object = None  # as plain values for a journal, made at first use

    def __post_init__(self) -> None:
        if not self.cwd:
            self.cwd = ROOT
            self.notice = f"the kernel's folder was removed: jobs run in {ROOT}"

    def environ(self, given: Mapping[str, str] | None) -> dict[str, str]:
        """Return the whole environment; later changes win over `given`, which is the queue's."""
        environ = changed({**self.start, **(given or {})}, self.changes)
        environ.update((name, os.environ[name]) for name in self.borrowed if name in os.environ)
        return environ

    def lacks(self, cwd: str | None = None) -> str | None:
        """Say what is missing here, or None; `cwd` is the job's own folder."""
        missing = [name for name in self.borrowed if name not in os.environ]
        if missing:
            names = ", ".join(missing)
            return (
                f"its environment needs {names}, which a journal never keeps: set it in os.environ"
            )
        folder = cwd or (self.cwd if self.is_restored else None)
        if folder is not None and not os.path.isdir(folder):
            return f"its folder {folder!r} is not there"
        return None


class Surroundings:
    """Makes snapshots of this process's surroundings, as changes since this object was made.

    Finding that nothing has changed takes 2 µs. Any thread.
    """

    def __init__(self) -> None:
        self._raw = dict(raw_environment())
        self._start = dict(_passed(self._raw))
        self._known: weakref.WeakValueDictionary[object, Snapshot] = weakref.WeakValueDictionary()
        self._last: tuple[tuple[object, ...], Snapshot | None] = ((), None)

    def now(self) -> Snapshot:
        """Return a snapshot of now, the same object as long as nothing has changed."""
        try:
            cwd = os.getcwd()
        except OSError:
            cwd = ""  # the folder was removed
        last, snapshot = self._last
        seen = (cwd, sys.path, raw_environment())
        if snapshot is None or seen != last:
            seen = (cwd, list(sys.path), dict(seen[2]))
            snapshot = self._snapshot(*seen)
            self._last = (seen, snapshot)
        return snapshot

    def _snapshot(self, cwd: str, path: list[str], raw: dict[Any, Any]) -> Snapshot:
        names = {name for name, _ in raw.items() ^ self._raw.items()}
        now = dict(_passed({name: raw[name] for name in names if name in raw}))
        changes: dict[str, str | None] = {}
        for name in sorted(map(os.fsdecode, names)):
            if now.get(name) != self._start.get(name):
                changes[name] = now.get(name)
        key = (cwd, *map(str, path), *changes.items())
        known = self._known.get(key)
        return known or self._known.setdefault(key, Snapshot(self._start, changes, cwd, path))

    def restored(self, changes: Changes, cwd: str | None, borrowed: Collection[str]) -> Snapshot:
        """Return the snapshot of a job that another kernel has written to a journal."""
        now = self.now()
        return Snapshot(self._start, changes, cwd or now.cwd, now.path, borrowed, cwd is not None)


def _passed(raw: Mapping[Any, Any]) -> dict[str, str]:
    """Return those of these variables that workers get."""
    decoded = ((os.fsdecode(name), os.fsdecode(value)) for name, value in raw.items())
    return {name: value for name, value in decoded if passed(name, value)}


def changed(environ: dict[str, str], changes: Changes | None) -> dict[str, str]:
    """Make these changes in an environment, and return it."""
    for name, value in (changes or {}).items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value
    return environ


class Setup:
    """The environment, folder and import path that a worker takes over before a job."""

    __slots__ = ("at_start", "environ", "sent")

    def __init__(self, environ: dict[str, str], sent: dict[str, Any], threads: int) -> None:
        self.environ = environ
        self.at_start = {
            name: value
            for name, value in environ.items()
            if name == "PATH" or name.startswith(AT_START)
        }
        is_ours = not any(map(environ.get, THREAD_VARIABLES))
        if is_ours:  # not in `at_start`, as a warm worker can change its number of threads
            environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        self.sent = {**sent, "environ": environ, "threads": threads if is_ours else None}


def send_to(environ: dict[str, str], devices: tuple[str, ...]) -> None:
    """Let a process of this environment see these GPUs and no other."""
    if devices:
        environ[DEVICE_VARIABLES[0]] = ",".join(devices)
        if any(map(str.isdecimal, devices)):  # number GPUs as the driver does
            environ[DEVICE_VARIABLES[1]] = "PCI_BUS_ID"


def setup_of(
    snapshot: Snapshot,
    options: JobOptions,
    devices: tuple[str, ...],
    threads: int,
    queue: ExecutorContext,
) -> Setup:
    """Make a setup: of the submit, the queue, and the job's own options, which come last."""
    environ = snapshot.environ(queue.env)
    send_to(environ, devices)
    changed(environ, options.env)
    sent = {
        "max_result_bytes": queue.max_result_bytes,
        "cwd": options.cwd or snapshot.cwd,
        "notice": "" if options.cwd else snapshot.notice,
        "path": snapshot.path,
    }
    return Setup(environ, sent, threads)


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
