"""Looking at processes from outside, as the system shows them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil


def alive(pid: int) -> bool:
    """False once it has ended, also if nobody has waited for it yet, or somebody does just now."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def all_below(pid: int) -> list[int]:
    """Every process that it started, and they in turn."""
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def wait_until(condition: Callable[[], object], seconds: float) -> float:
    """Seconds until it is true, without an event loop; fails after `seconds`."""
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        assert waited < seconds, "not in time"
        time.sleep(0.005)
    return time.monotonic() - begun


def pids_in(path: Path) -> list[int]:
    """What a job has written down; waits for it."""
    wait_until(path.exists, 30)
    return [int(text) for text in path.read_text().split()]
