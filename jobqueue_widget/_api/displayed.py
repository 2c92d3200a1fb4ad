"""What a queue shows of itself in a notebook, and what it tells those who draw it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .._runtime.engine import Engine
from ..errors import UnsupportedLoopError
from ..protocols import MimeBundle
from . import rows
from .display_hook import provider


class Displayed:
    """The part of `JobQueue` that is seen."""

    _engine: Engine

    @property
    def widget(self) -> Any:
        """The ipywidget that `display(queue)` shows; its traits may be observed."""
        return provider().shown_queue(self).widget

    def new_widget(self) -> Any:
        """Another, independent one: for each session of an app (Panel, Shiny), or each page.

        It ends when it is closed, when its page closes it, or with `queue.close()`.
        """
        return provider().new_widget(self)

    def to_html(self) -> str:
        """A static table of at most 50 rows, escaped and without scripts."""
        return provider().to_html(self)

    def _repr_mimebundle_(self, **_: Any) -> MimeBundle:
        bundle: MimeBundle = provider().shown_queue(self).bundle()
        return bundle

    def _ipython_display_(self) -> None:
        provider().shown_queue(self).outputs.show()

    def _display_(self) -> Any:  # what marimo asks for
        return provider().cell_widget(self)

    def _snapshot(
        self, running: int, pending: int, history: int, known: rows.KnownRows | None = None
    ) -> dict[str, Any]:
        """For the widget: the first rows of each list and the counts, of one moment."""
        return rows.snapshot(self._engine, running, pending, history, known)

    def _resources(self) -> dict[str, Any]:
        """For the widget: meters and idle plugins; empty where memory was never a matter."""
        return self._engine.resources.shown()

    def _start_from_here(self) -> bool:
        """For the widget: start without an await; False while it stops, or with no right loop."""
        is_private = self._engine.settings.loop == "thread"
        if not is_private and threading.current_thread() is not threading.main_thread():
            return False  # the loop of this thread, a subshell's, would end with its page
        try:
            return self._engine.life.start()
        except UnsupportedLoopError:
            return False

    def _on_change(self, callback: Callable[[], object]) -> Callable[[], None]:
        """For the widget: call back on any change, at once and on any thread; be quick."""
        return self._engine.publisher.on_change(callback)
