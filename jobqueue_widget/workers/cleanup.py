"""Tells how a worker ended, and ends what it leaves: its group, descendants, carriers of its id."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

import psutil

from .._core.jobs import JobFailure
from .._core.texts.causes import POSSIBLY_OUT_OF_MEMORY
from ..child.guardian import WORKER, carriers
from ..child.offspring import LISTED, children_of

ID_VARIABLE = "JOBQUEUE_WORKER_ID"
ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)  # nobody has waited for it yet, or just now


def descendants_of(pid: int) -> list[psutil.Process]:
    """List all processes below `pid`, also daemonised ones, which a worker adopts."""
    try:
        if LISTED and not children_of(pid):  # psutil would read every process for it
            return []
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def has_started_since(pid: int, instant: float) -> bool:
    """True if a living process below `pid` began at this epoch second or later.

    On Linux, which counts whole seconds from its boot, also if it began up to a second before.
    """
    instant -= 1.0 if sys.platform == "linux" else 0.01
    for process in descendants_of(pid):
        with suppress(psutil.Error):
            if process.create_time() >= instant and is_alive(process):
                return True
    return False


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group, if there still is one."""
    if group <= 1:  # 0 would be our own group
        return
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def clean_up_processes(group: int, worker_id: str, known: list[psutil.Process]) -> int:
    """Kill what is left of a worker that has ended; return how many processes that were."""
    signal_group(group, signal.SIGKILL)
    left = {process.pid for process in known if is_alive(process)}
    left.update(carriers({WORKER + worker_id.encode()}))
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    return len(left) + _group_size(group)


def _group_size(group: int) -> int:
    """Count the members of a group without zombies, which nobody may ever wait for.

    macOS refuses a signal to a group of zombies alone, as it does to one that is another user's.
    """
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return 0
    except PermissionError:
        pass
    return sum(1 for process in psutil.process_iter() if _is_alive_in(process, group))


def _is_alive_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and is_alive(process)
    except OSError:
        return False


def is_alive(process: psutil.Process) -> bool:
    """True for a process that runs; False for one that has ended, waited for or not."""
    try:
        return process.is_running() and process.status() not in ENDED
    except psutil.Error:
        return False


FATAL = "Fatal Python error: "  # before the reason why an interpreter cannot start


def death_of(code: int, why: str, was_ready: bool, log_tail: bytes) -> JobFailure:
    """Describe how a worker process ended: exit code or signal, and why if that is known."""
    tail = log_tail.decode("utf-8", "backslashreplace").strip()
    name = None
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        text = f"worker ended by {name}"
        if not why and name == "SIGKILL":
            why = POSSIBLY_OUT_OF_MEMORY
    else:
        text = f"worker exited with code {code}"
    if why:
        text += f" ({why})"
    if not was_ready:
        lines = tail.splitlines() or ["it printed nothing"]
        last = next((line for line in lines if line.startswith(FATAL)), lines[-1])
        text += f" before it was ready: {last}"
    return JobFailure(
        "WorkerDied",
        text,
        "" if was_ready else tail,
        exit_code=code if code >= 0 else None,
        signal_name=name,
    )
