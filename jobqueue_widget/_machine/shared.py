"""Makes the one admission of this process, at its first use, over this machine's figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .._threads.locks import Lock
from ..protocols import ResourceSource
from .admission import Admission

_lock = Lock()
_shared: Admission | None = None


def shared_admission() -> Admission:
    """Return the admission of all queues of this process: no two jobs get the same memory."""
    global _shared
    with _lock.held:
        if _shared is None:
            _shared = Admission(_this_machine)
        return _shared


@contextmanager
def admission_over(source: ResourceSource) -> Iterator[Admission]:
    """Give queues that are made inside the context an admission over other figures."""
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
