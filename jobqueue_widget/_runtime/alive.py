"""Keeps a notebook server from culling the kernel as idle while jobs run that nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._threads.timers import CallLater
    from .engine_view import EngineView

INTERVAL = 30.0  # seconds; cullers are set to minutes or hours


class KeepAlive:
    """A named tick of 30 s, only while jobs run or will: one message, on a comm that no page knows.

    jupyter_server takes any comm message for activity of the kernel, and pages drop those of comms
    that were never opened for them.
    """

    def __init__(
        self, engine: EngineView, call_later: CallLater, why_stuck: Callable[[], str | None]
    ) -> None:
        self._engine = engine
        self._why_stuck = why_stuck
        self._call_later = call_later
        self._ticking = False
        self._comm: Any = None

    def begin(self) -> None:
        """Tick from now on, until nothing is left that runs or will."""
        if not self._ticking and self._engine.settings.keep_kernel_alive:
            self._ticking = "comm" in sys.modules  # a kernel has loaded it, a plain script has not
            if self._ticking:
                self._call_later(INTERVAL, self._tick)

    def end(self) -> None:
        """Forget the tick, which has ended with the timers of the I/O thread."""
        self._ticking = False

    def _tick(self) -> None:
        engine = self._engine
        with engine.lock.held:
            self._ticking = bool(engine.state.open_count) and self._why_stuck() is None
        if not self._ticking:
            return
        self._call_later(INTERVAL, self._tick)
        if self._comm is None:
            self._comm = sys.modules["comm"].create_comm(primary=False)  # tells no page of it
        self._comm.send()
