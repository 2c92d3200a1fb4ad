"""Ends the processes that a call has started, and waits for its threads; spares what was before.

Loaded by path in the worker of a plugin, which lives on with what the plugin keeps; standard
library only. Linux lists a process's children (`/proc/PID/task/TID/children`), and orphans become
the worker's, their subreaper; elsewhere the kernel's side looks.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import Any, NamedTuple

GRACE = 0.3  # seconds between SIGTERM and SIGKILL, for each process
PATIENCE = 1.5  # seconds after which the worker is ended with all that it has started
LOOK_INTERVAL = 0.005
QUIET = 0.01  # seconds without anything new, after which a call's processes count as ended
LINGER = 0.25  # the same, while a newer daemon thread may start the next one
OURS = "jobqueue-"  # how the names of our own threads begin

LISTED = sys.platform == "linux" and os.path.exists(f"/proc/self/task/{os.getpid()}/children")
WAITING = frozenset(  # modules and functions in which a thread waits until it is given work
    {
        *(("threading", name) for name in ("wait", "join", "_wait_for_tstate_lock")),
        *(("queue", "get"), ("concurrent.futures.thread", "_worker"), ("selectors", "select")),
    }
)

_ended: dict[int, int] = {}  # birth by pid of processes ended here, which may still be zombies


class Process(NamedTuple):
    """A process as the system shows it."""

    name: str
    state: str
    born: int  # clock ticks since boot, which tell it from a later process with its pid


class Offspring:
    """The processes and threads of this process now, to tell later what was started since."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._processes: dict[int, int] | None = {}
        if has_children():
            reap()
            self._processes = everything_below() if LISTED else None

    def end_newer(self) -> tuple[list[str], bool | None]:
        """End what was started since; takes a few microseconds if that is nothing.

        Returns:
            What was ended, by name and pid; and whether nothing is left, None if nobody can see.
        """
        names: dict[int, str] = {}
        self._cancel_timers()
        if not has_children() and not self._has_new_threads():
            return [], True
        if self._processes is None or not LISTED:
            return [], None
        first_seen: dict[int, float] = {}
        give_up = time.monotonic() + PATIENCE
        quiet_since: float | None = None
        while True:
            now = time.monotonic()
            left = self._newer()
            for pid, process in left.items():
                names[pid] = f"{process.name} ({pid})"
                _ended[pid] = process.born
                if now - first_seen.setdefault(pid, now) >= GRACE:
                    send(pid, process.born, signal.SIGKILL)
                elif first_seen[pid] == now:
                    send(pid, process.born, signal.SIGTERM)
                    send(pid, process.born, signal.SIGCONT)
            if left or self._is_at_work():
                quiet_since = None
                if now > give_up:
                    return list(names.values()), False
            elif quiet_since is None:
                quiet_since = now
                if not names and not self._has_new_threads():
                    return [], True
            elif now - quiet_since >= (LINGER if self._new_threads(daemons=True) else QUIET):
                return list(names.values()), True
            time.sleep(LOOK_INTERVAL)

    def _newer(self) -> dict[int, Process]:
        """List newer processes below this one, without zombies and resource trackers.

        What an older process starts is left alone, except by the server from which
        `multiprocessing` forks this process's children.
        """
        assert self._processes is not None
        found = {}
        bookkeepers = None
        todo = children_of(os.getpid())
        while todo:
            pid = todo.pop()
            process = look_at(pid)
            if process is None:
                continue
            if self._processes.get(pid) == process.born:
                if pid == fork_server():
                    todo += children_of(pid)
                continue
            todo += children_of(pid)
            if process.state in "ZX":
                continue
            bookkeepers = resource_trackers() if bookkeepers is None else bookkeepers
            if pid not in bookkeepers:
                found[pid] = process
        return found

    def _new_threads(self, *, daemons: bool = False) -> list[threading.Thread]:
        """List newer threads: those to wait for, or daemons, which are no work to wait for."""
        return [
            one
            for one in threading.enumerate()
            if one not in self._threads and one.daemon is daemons and not one.name.startswith(OURS)
        ]

    def _cancel_timers(self) -> None:
        """Cancel newer timers: they look like threads without work until they fire."""
        for one in threading.enumerate():
            if isinstance(one, threading.Timer) and one not in self._threads:
                one.finished.set()

    def _has_new_threads(self) -> bool:
        return threading.active_count() > 1 and bool(self._new_threads())

    def _is_at_work(self) -> bool:
        """True if a newer thread does something other than wait for work."""
        new = self._new_threads()
        frames = sys._current_frames() if new else {}
        inmost = [frames[thread.ident] for thread in new if thread.ident in frames]
        return any(
            (frame.f_globals.get("__name__"), frame.f_code.co_name) not in WAITING
            for frame in inmost
        )


def has_children() -> bool:
    """True if this process has children, also zombies, or the system does not tell."""
    if not hasattr(os, "waitid"):
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def children_of(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    folder = f"/proc/{pid}/task"
    try:
        tasks = os.listdir(folder)
    except OSError:
        return []
    return [int(child) for task in tasks for child in read(f"{folder}/{task}/children").split()]


def look_at(pid: int) -> Process | None:
    """Read a process from /proc; None if there is none with this pid."""
    head, _, tail = read(f"/proc/{pid}/stat").rpartition(b")")
    fields = tail.split()
    if not fields:
        return None
    name = head.partition(b"(")[2].decode("utf-8", "backslashreplace")
    return Process(name, fields[0].decode(), int(fields[19]))


def read(path: str) -> bytes:
    """Read a file of /proc, in a third of the time that `open` takes; b"" if it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        data = b""
        while piece := os.read(fd, 4096):  # may be short, but is empty only at the end
            data += piece
        return data
    except OSError:
        return b""
    finally:
        os.close(fd)


def everything_below() -> dict[int, int]:
    """Return the births of all processes below this one, by pid."""
    found: dict[int, int] = {}
    todo = children_of(os.getpid())
    while todo:
        pid = todo.pop()
        process = look_at(pid)
        if process is not None and pid not in found:
            found[pid] = process.born
            todo += children_of(pid)
    return found


def send(pid: int, born: int, number: int) -> None:
    """Send a signal to the process born then, not to another that has its pid by now."""
    try:
        fd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
    except OSError:
        return
    try:
        process = look_at(pid)
        if process is None or process.born != born:
            return
        if fd >= 0 and hasattr(signal, "pidfd_send_signal"):
            signal.pidfd_send_signal(fd, number)
        else:
            os.kill(pid, number)
    except OSError:
        return
    finally:
        if fd >= 0:
            os.close(fd)


def reap() -> None:
    """Reap the zombies of what was ended here, unless whoever started them has done so.

    `multiprocessing` reaps its own first: it would take a child that we reaped for a living one.
    """
    if not _ended:
        return
    theirs: Any = sys.modules.get("multiprocessing.process")
    if theirs is not None:
        theirs.active_children()
    for pid, born in _ended.items():
        process = look_at(pid)
        if process is not None and process.born == born and process.state == "Z":
            if pid == fork_server():
                continue
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)
    _ended.clear()


def fork_server() -> int | None:
    """Return the pid of the fork server of `multiprocessing`; None if there is none."""
    module: Any = sys.modules.get("multiprocessing.forkserver")
    pid: int | None = getattr(getattr(module, "_forkserver", None), "_forkserver_pid", None)
    return pid


def resource_trackers() -> set[object]:
    """Return the pids of processes that only remove shared memory and semaphores after our end."""
    trackers = [
        getattr(module, "_resource_tracker", None)
        for name, module in list(sys.modules.items())
        if name.endswith("resource_tracker")
    ]
    return {getattr(tracker, "_pid", None) for tracker in trackers}
