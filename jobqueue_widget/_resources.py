"""The one admission of this process, made at its first use, over its real figures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ._runtime.admission import Admission
from .protocols import ResourceSource

_lock = threading.Lock()
_shared: Admission | None = None


def shared_admission() -> Admission:
    """What all queues of this process ask: two jobs never share the same free memory."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = Admission(_this_machine)
        return _shared


@contextmanager
def admission_over(source: ResourceSource) -> Iterator[Admission]:
    """Inside, queues are made over these figures instead."""
    global _shared
    ours = Admission(lambda: source)
    with _lock:
        before, _shared = _shared, ours
    try:
        yield ours
    finally:
        with _lock:
            _shared = before


def _this_machine() -> ResourceSource:
    from .plugins.monitor import SystemMonitor

    return SystemMonitor()
