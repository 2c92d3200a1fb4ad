"""Answers `display(queue)` and `display(job)`: the live widget beside static fallbacks."""

from __future__ import annotations

import weakref
from typing import Any

from .._display import register_hearing
from ..job import Job
from ..queue import JobQueue
from .pump import Hearing, route_by_page
from .snapshot import snapshot_html, snapshot_text
from .view import JobWidget, QueueWidget


class Provider:
    """Makes each widget at its first display and keeps it as long as its queue or job is held."""

    def __init__(self) -> None:
        self._queues: weakref.WeakKeyDictionary[JobQueue, QueueWidget] = weakref.WeakKeyDictionary()
        self._jobs: weakref.WeakKeyDictionary[Job, JobWidget] = weakref.WeakKeyDictionary()
        self._hearing = Hearing()

    def widget_of(self, queue: JobQueue) -> QueueWidget:
        """The one widget of this queue; a new one if its host has closed it."""
        widget = self._queues.get(queue)
        if widget is None or not widget.is_open:
            widget = self._queues[queue] = QueueWidget(queue)
            self._listen(widget)
        return widget

    def cell_widget(self, queue: JobQueue, job: Job | None = None) -> QueueWidget | JobWidget:
        """A widget of the cell that shows it: such a host closes it when the cell runs again."""
        return QueueWidget(queue) if job is None else JobWidget(queue, job)

    def queue_bundle(self, queue: JobQueue) -> tuple[dict[str, Any], dict[str, Any]]:
        """Data and metadata for the front end, keyed by mime type."""
        data = _live(self.widget_of(queue))
        return {**data, "text/html": self.to_html(queue), "text/plain": snapshot_text(queue)}, {}

    def job_bundle(self, queue: JobQueue, job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
        """The same for one job."""
        widget = self._jobs.get(job)
        if widget is None or not widget.is_open:
            widget = self._jobs[job] = JobWidget(queue, job)
            self._listen(widget)
        return {**_live(widget), "text/plain": repr(job)}, {}

    def _listen(self, widget: QueueWidget | JobWidget) -> None:
        register_hearing(self._hearing)
        route_by_page(widget.comm)

    def to_html(self, queue: JobQueue) -> str:
        """The static table."""
        return snapshot_html(queue)


def _live(widget: QueueWidget | JobWidget) -> dict[str, Any]:
    bundle = widget._repr_mimebundle_()
    data: dict[str, Any] = dict(bundle[0]) if bundle is not None else {}
    data.pop("text/plain", None)
    return data


PROVIDER = Provider()
