"""Threads that cannot be started, as where a container has no room for one more."""

from __future__ import annotations

import threading
from fnmatch import fnmatchcase

import pytest

NO_ROOM = "can't start new thread"  # as Python says it


def no_threads(patch: pytest.MonkeyPatch, names: str = "*") -> str:
    """Let no thread start whose name is like that; what is said of it."""
    start = threading.Thread.start

    def fails(thread: threading.Thread) -> None:
        if fnmatchcase(thread.name, names):
            raise RuntimeError(NO_ROOM)
        start(thread)

    patch.setattr(threading.Thread, "start", fails)
    return NO_ROOM
