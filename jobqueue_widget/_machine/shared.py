"""Keeps the one admission that all queues of this process share; made when first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .._threads.locks import Lock
from ..protocols import ResourceSource
from .admission import Admission

_lock = Lock()
_shared: Admission | None = None


def shared_admission() -> Admission:
    """Return the shared admission, so that no two jobs are promised the same memory."""
    global _shared
    with _lock.held:
        if _shared is None:
            _shared = Admission(_this_machine)
        return _shared


@contextmanager
def admission_over(source: ResourceSource) -> Iterator[Admission]:
    """Let queues made inside the context share an admission that reads figures from `source`."""
    global _shared
    ours = Admission(lambda: source)
    with _lock.held:
        before, _shared = _shared, ours
    try:
        yield ours
    finally:
        with _lock.held:
            _shared = before


def _this_machine() -> ResourceSource:
    from .monitor import SystemMonitor

    return SystemMonitor()
