"""Ends the process of a detached job where no queue follows it."""

from __future__ import annotations

import signal
import time

import psutil

from ...child import wire
from ...child.detached import folder as protocol
from ..cleanup import clean_up_processes, descendants_of, is_alive, signal_group
from ..process import KILL_PATIENCE, SWEEP_INTERVAL, TERM_GRACE
from .folders import Attempt

GRACE = 3.0  # seconds, where the attempt does not say how long


def end(attempt: Attempt, reason: str) -> str | None:
    """Ask a job to stop, force it if it does not, and note why for the next kernel. Blocks.

    Returns:
        How it went, in words; None if there is no process.

    Raises:
        OSError: its folder cannot be written; nothing was done.
    """
    process = attempt.process()
    if process is None:
        return None
    attempt.ask_to_stop(reason)
    attempt.say(wire.HEADER.pack(wire.ASK, protocol.JOB_NUMBER, 0))
    grace = attempt.told(protocol.CLAIM).get("grace")
    known = descendants_of(process.pid)
    how = "it has stopped"
    if not _is_over(process, float(grace) if isinstance(grace, (int, float)) else GRACE):
        how = "it did not stop by itself and was ended"
        known += descendants_of(process.pid)
        signal_group(process.pid, signal.SIGTERM)
        signal_group(process.pid, signal.SIGCONT)
        if not _is_over(process, TERM_GRACE):
            signal_group(process.pid, signal.SIGKILL)
    if not _sweep(attempt, process, known):
        return f"process {process.pid}, or one that it started, is still there"
    return how


def kill(attempt: Attempt) -> bool:
    """End a job by force, and remove its folder. Blocks. False: there is no process, or still."""
    process = attempt.process()
    if process is None or not _sweep(attempt, process, descendants_of(process.pid)):
        return False
    attempt.drop()
    return True


def _sweep(attempt: Attempt, process: psutil.Process, known: list[psutil.Process]) -> bool:
    until = time.monotonic() + KILL_PATIENCE
    while clean_up_processes(process.pid, attempt.id, known) or is_alive(process):
        if time.monotonic() > until:
            return False
        time.sleep(SWEEP_INTERVAL)
    return True


def _is_over(process: psutil.Process, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while is_alive(process):
        if time.monotonic() > until:
            return False
        time.sleep(SWEEP_INTERVAL)
    return True
