"""What a queue is made with: its settings, checked, and where it takes the time from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The constructor's arguments, checked. Times are seconds."""

    name: str = ""
    max_history: int = 100
    keep_ended: int = 10_000
    keep_bytes: int = 256 * 1024 * 1024
    spool_bytes: int | None = None
    cancel_timeout: float = 3.0
    progress_poll_interval: float = 1.0
    max_running: int | None = None
    loop: str = "current"
    backfill: bool = False
    max_bypass: float = 120.0
    max_result_bytes: int | None = None
    env: Mapping[str, str] | None = None
    recycle_after: int | None = None
    keep_kernel_alive: bool = True
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from; tests inject their own."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
