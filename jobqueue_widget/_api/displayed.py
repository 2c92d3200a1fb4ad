"""Shows a queue in a notebook, and tells those who draw it what they need."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .._core.jobs import JobRecord
from .._runtime.engine import Engine
from ..errors import UnsupportedLoopError
from ..protocols import MimeBundle
from . import rows
from .control import Control
from .display_hook import provider
from .listed import listing
from .listed.many import Many
from .lookback.since import failed_between


class Displayed:
    """The part of `JobQueue` that is seen."""

    _engine: Engine
    _control: Control

    @property
    def widget(self) -> Any:
        """The ipywidget that `display(queue)` shows; its traits may be observed."""
        return provider().shown_queue(self).widget

    def new_widget(self) -> Any:
        """Make another, independent widget: one for each session of an app (Panel, Shiny).

        It ends when it is closed, when its page closes it, or with `queue.close()`.
        """
        return provider().new_widget(self)

    def to_html(self) -> str:
        """Return a static table of at most 50 rows, escaped and without scripts."""
        return provider().to_html(self)

    def _repr_mimebundle_(self, **_: Any) -> MimeBundle:
        bundle: MimeBundle = provider().shown_queue(self).bundle()
        return bundle

    def _ipython_display_(self) -> None:
        provider().shown_queue(self).outputs.show()

    def _display_(self) -> Any:  # what marimo asks for
        return provider().cell_widget(self)

    def _snapshot(
        self,
        running: int,
        pending: int,
        history: int,
        known: rows.KnownRows | None = None,
        groups: int = 0,
        *,
        windowed: bool = False,
    ) -> dict[str, Any]:
        """Return the first rows of each list and the counts, of one moment. For the widget."""
        drawings, lists = self._control.drawings, (running, pending, history, known, groups)
        return rows.snapshot(self._engine, *lists, drawings, windowed=windowed)

    def _part(
        self,
        name: listing.PartName,
        start: int,
        stop: int,
        number: int = 0,
        found: listing.Found | None = None,
    ) -> rows.Rows:
        """Return rows of a part of the whole list, or of what was found. For the widget."""
        drawings = self._control.drawings
        if found is not None:
            return found.part(self._engine, name, start, stop, number, drawings)
        return listing.part_of(self._engine, name, start, stop, number, drawings)

    def _find_listed(self, wanted: listing.Filter) -> listing.Found:
        """Look for jobs in what lists show. For the widget."""
        return listing.find(self._engine, wanted)

    def _kinds(self) -> list[tuple[str, int]]:
        """Return kinds of failures with how many there are, most frequent first. For the widget."""
        return listing.kinds(self._engine).most_common()

    def _metrics(self) -> list[str]:
        """Return the names of metrics by which a list can be sorted. For the widget."""
        return listing.metrics(self._engine)

    def _many(self) -> Many:
        """Return who acts on several jobs at once. For the widget."""
        return Many(self._control)

    def _failed_between(self, moment: float, end: float) -> list[JobRecord]:
        """Return what has failed in that time and needs another try. For the widget."""
        return failed_between(self._engine, moment, end)

    def _now(self) -> float:
        """Return epoch seconds of the queue's clock. For the widget."""
        return self._engine.now()

    def _away_since(self) -> float | None:
        """Return when the last kernel left the queue, if it came from a journal. For the widget."""
        engine = self._engine
        with engine.lock.held:
            left = [one.start for one in engine.spans.pauses(engine.now()) if one.away]
        return max(left, default=None)

    def _resources(self) -> dict[str, Any]:
        """Return meters and idle plugins, as far as they were looked at. For the widget."""
        return self._engine.resources.shown()

    def _watch_machine(self) -> None:
        """Have the machine looked at for a while, as a page shows it. For the widget."""
        self._engine.resources.watch()

    def _start_from_here(self) -> bool:
        """Start without an await; False while it stops, or without a right loop. For the widget."""
        is_private = self._engine.settings.loop == "thread"
        if not is_private and threading.current_thread() is not threading.main_thread():
            return False  # the loop of this thread, a subshell's, would end with its page
        try:
            return self._engine.life.start()
        except UnsupportedLoopError:
            return False

    def _on_change(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back on any change, at once and on any thread; be quick. For the widget."""
        return self._engine.publisher.on_change(callback)
