"""Draws a group in an output of the notebook, until all of it has ended."""

from __future__ import annotations

import time
import uuid

from ..._api.sweeps.group import JobGroup
from ...queue import JobQueue
from ..outputs import Data, follow_cells, is_run_by_program, publish
from ..pacing import PACER
from ..static_table import group_html

ESTIMATES = 2.0  # seconds between two estimates of when a group is done
SOON = 60.0  # seconds; of an end that is nearer nothing is said
GROUP_PERIOD = 0.5  # seconds between two drawings of a group
_of_programs: set[GroupCell] = set()


class GroupCell:
    """One output of a group: drawn anew, at most twice a second, until all of it has ended."""

    def __init__(self, queue: JobQueue, group: JobGroup) -> None:
        self._group = group
        self._id = uuid.uuid4().hex
        self._drawn: Data = {}
        self._end: float | None = None
        self._estimate_at = 0.0
        is_over = group.done  # asked before it is drawn: it may end meanwhile
        self._draw()
        if is_over:
            return
        follow_cells(self)
        self._by_program = is_run_by_program()
        if self._by_program:  # it takes what comes while a cell runs
            _of_programs.add(self)
            return
        PACER.join(self)
        self._stop_listening = queue._on_change(self._want)
        self._want()  # what has changed meanwhile

    def _want(self) -> None:
        PACER.ask(self, time.monotonic() + GROUP_PERIOD)

    def turn(self) -> float | None:
        """Draw it anew, for the last time if all has ended. In the thread of all widgets."""
        is_over = self._group.done
        self._draw()
        if is_over:
            self._stop_listening()
            PACER.leave(self)
        return None

    def after_cell(self) -> None:
        """Draw at the end of a cell what it has changed."""
        if not self._by_program:
            PACER.hurry(self, GROUP_PERIOD)
            return
        is_over = self._group.done
        self._draw()
        if is_over:
            _of_programs.discard(self)

    def _draw(self) -> None:
        html = group_html(self._group, self._done_at())
        data: Data = {"text/html": html, "text/plain": repr(self._group)}
        if data != self._drawn:
            publish(data, self._id, update=bool(self._drawn))
            self._drawn = data

    def _done_at(self) -> float | None:
        """Estimate the end if it is not near, so seldom that it costs a hundredth of the time."""
        if self._group.done:
            return None
        began = time.monotonic()
        if began >= self._estimate_at:
            left = self._group.eta
            self._end = None if left is None or left < SOON else time.time() + left
            self._estimate_at = began + max(ESTIMATES, 100 * (time.monotonic() - began))
        return self._end
