"""The process behind a plugin, where its host shows one: is it there, how did it end, end it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

import psutil

from ..._core.jobs import JobFailure
from ..._core.texts.causes import POSSIBLY_OUT_OF_MEMORY
from ...workers.cleanup import descendants_of, is_alive, signal_group

TERM_GRACE = 0.3  # seconds between SIGTERM and SIGKILL
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows either ends a process at once
KILL_PATIENCE = 1.0  # seconds for killed descendants to be gone


def end_process(process: Any) -> bool:
    """End a process, its group if it leads one, and its descendants. True: all are gone."""
    pid = process.pid
    known = descendants_of(pid)
    try:
        leads = hasattr(os, "getpgid") and os.getpgid(pid) == pid
    except OSError:
        return True
    for number, patience in ((signal.SIGTERM, TERM_GRACE), (KILL, 2.0)):
        if leads:
            signal_group(pid, number)
        else:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        if leads and number == signal.SIGTERM:
            signal_group(pid, signal.SIGCONT)
        with contextlib.suppress(psutil.Error):
            psutil.wait_procs([psutil.Process(pid)], timeout=patience)
        if not is_running(process):
            break
    if leads:
        signal_group(pid, KILL)
    for child in known:
        with contextlib.suppress(psutil.Error):
            child.kill()
    deadline = time.monotonic() + KILL_PATIENCE
    while left := any(map(is_alive, known)):
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return not is_running(process) and not left


def process_of(plugin: Any) -> Any:
    """The process a plugin shows (a Popen or alike), or None."""
    process = getattr(plugin, "process", None)
    return process if isinstance(getattr(process, "pid", None), int) else None


def is_running(process: Any) -> bool:
    """True until it has ended."""
    poll = getattr(process, "poll", None)
    if callable(poll):
        return poll() is None
    try:
        return is_alive(psutil.Process(process.pid))
    except psutil.Error:
        return False


def death_of(process: Any) -> JobFailure:
    """Say in words how it ended."""
    wait = getattr(process, "wait", None)
    code = None
    if callable(wait):
        with contextlib.suppress(Exception):
            code = wait(timeout=0.1)
    if isinstance(code, int) and code < 0:
        name = signal.Signals(-code).name
        hint = f" ({POSSIBLY_OUT_OF_MEMORY})" if name == "SIGKILL" else ""
        return JobFailure(
            "WorkerDied", f"the plugin's worker was ended by {name}{hint}", signal_name=name
        )
    return JobFailure("WorkerDied", f"the plugin's worker exited with code {code}", exit_code=code)
