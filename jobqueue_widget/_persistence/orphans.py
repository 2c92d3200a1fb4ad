"""Finds workers of dead kernels by the mark in their environment, and ends them on request."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import psutil

from ..child.detached.folder import CLAIM
from ..child.guardian import carriers
from ..workers.cleanup import is_alive
from ..workers.detached.folders import Attempt

MARK = b"JOBQUEUE_RUN_ID="
GUARDIAN_PATIENCE = 1.0  # seconds in which a killed kernel's guardian promises to end its workers
PATIENCE = 1.0  # seconds for killed processes to be gone


@dataclass(frozen=True, slots=True)
class Orphan:
    """A process that an earlier kernel of this queue has left; `started_at` is epoch seconds."""

    pid: int
    run_id: str
    memory_mib: float
    started_at: float
    command: str


def find_all(run_ids: Collection[str], lost: Iterable[Attempt]) -> list[Orphan]:
    """Return the processes of these runs, and of detached jobs that their journal has lost."""
    return find(run_ids) + of_detached(lost)


def of_detached(lost: Iterable[Attempt]) -> list[Orphan]:
    """Return the processes of detached jobs that their journal has lost."""
    living = ((one, process) for one in lost if (process := one.process()) is not None)
    found = (_look(process.pid, str(one.told(CLAIM).get("run", ""))) for one, process in living)
    return [orphan for orphan in found if orphan is not None]


def find(run_ids: Collection[str]) -> list[Orphan]:
    """Return the processes of these runs; none on Windows, where they end with their kernel."""
    if sys.platform == "win32" or not run_ids:
        return []
    wanted = {MARK + run_id.encode(): run_id for run_id in run_ids}
    found = (_look(pid, wanted[mark]) for pid, mark in carriers(set(wanted)).items())
    return [orphan for orphan in found if orphan is not None]


def _look(pid: int, run_id: str) -> Orphan | None:
    try:
        process = psutil.Process(pid)
        if not is_alive(process):
            return None
        memory = process.memory_info().rss / 2**20
        command = " ".join(process.cmdline())[:200]
        return Orphan(pid, run_id, memory, process.create_time(), command)
    except psutil.Error:
        return None


def end(run_ids: Collection[str]) -> int:
    """Kill the orphans of these runs, and what they start meanwhile; return how many."""
    seen: set[tuple[int, float]] = set()
    until = time.monotonic() + PATIENCE
    while left := find(run_ids):
        for orphan in left:
            seen.add((orphan.pid, orphan.started_at))
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(orphan.pid)
                if process.create_time() == orphan.started_at:  # no other process has its pid
                    process.kill()
        if time.monotonic() > until:
            break
        time.sleep(0.01)
    return len(seen)


def find_after_the_guardian(run_ids: Collection[str]) -> list[Orphan]:
    """Return orphans that the guardian of their kernel has not ended within its time."""
    until = time.monotonic() + GUARDIAN_PATIENCE
    while (left := find(run_ids)) and time.monotonic() < until:
        time.sleep(0.02)
    return left


def sentence(orphans: list[Orphan]) -> str:
    """Tell the user about orphans, in a sentence."""
    if not orphans:
        return ""
    memory = sum(orphan.memory_mib for orphan in orphans)
    amount = f"{memory / 1024:.1f} GB" if memory >= 1024 else f"{memory:.0f} MB"
    who = "1 worker" if len(orphans) == 1 else f"{len(orphans)} workers"
    holds = "holds" if len(orphans) == 1 else "hold"
    return f"{who} from an earlier kernel {holds} {amount}; queue.end_orphans() ends them"
