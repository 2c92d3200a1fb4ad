"""What a test may not leave behind: threads, child processes, file descriptors, spool folders."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

PATIENCE = 3.0  # seconds; what is closing needs a moment, what leaks never goes


@dataclass(frozen=True)
class Resources:
    """What this process holds at one moment, each thing by a key that is never used again."""

    held: frozenset[str]

    @classmethod
    def now(cls) -> Resources:
        """Look."""
        return cls(frozenset({*_threads(), *_children(), *_descriptors(), *_spool_folders()}))

    def wait_for_what_is_new_to_go(self) -> list[str]:
        """What was not there before and does not go within `PATIENCE`."""
        deadline = time.monotonic() + PATIENCE
        while left := sorted(Resources.now().held - self.held):
            if time.monotonic() > deadline:
                return [_told(one) for one in left]
            gc.collect()
            time.sleep(0.01)
        return []


def _threads() -> list[str]:
    return [f"thread {thread.name} ({thread.native_id})" for thread in threading.enumerate()]


def _children() -> list[str]:
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if not _is_of_rays_pool(child):
                found.append(f"process {child.pid} of {child.create_time()}")
        except psutil.NoSuchProcess:
            continue
    return found


def _is_of_rays_pool(process: psutil.Process) -> bool:
    """Ray starts workers ahead when it likes; one that has become an actor of ours is no such."""
    if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
        return False
    command = " ".join(process.cmdline())
    return command.startswith("ray::IDLE") or "/ray/_private/workers/default_worker.py" in command


def _told(thing: str) -> str:
    """With the command of a process, which its key cannot hold: an exec changes it."""
    word, number = thing.split()[:2]
    if word == "process":
        with contextlib.suppress(psutil.Error):
            child = psutil.Process(int(number))
            return f"{thing}: {(' '.join(child.cmdline()) or child.status())[:200]}"
    return thing


def _descriptors() -> list[str]:
    if not Path("/proc/self/fd").exists():
        return []
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(f"descriptor {number}: {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:  # the one that lists the folder
            continue
    return found


def _spool_folders() -> list[str]:
    return [f"folder {path}" for path in Path(tempfile.gettempdir()).glob("jobqueue-*")]
