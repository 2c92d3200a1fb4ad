"""What a displayed queue, job or group shows: the live widget beside static fallbacks."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from .._api.display_hook import register_hearing
from .._api.sweeps.group import JobGroup
from .._core.sweeps.group import Group
from ..job import Job
from ..protocols import MimeBundle
from ..queue import JobQueue
from .boxes import watch_displays
from .cells.displayed import OutputsCell, is_notebook, show_outputs
from .outputs import Data, Outputs
from .parents import keep_parents
from .pump import Hearing, route_by_page, this_kernel
from .static_table import group_html, job_html, queue_html, queue_text
from .view import GroupCell, JobCell, JobWidget, QueueWidget, SessionWidget


class _Live:
    """What the displays of a queue, a job and a group have in common: a widget and its outputs."""

    widget: QueueWidget | JobWidget | GroupCell

    def bundle(self) -> MimeBundle:
        """Return the live view with static fallbacks, for a caller that takes one bundle only."""
        return {**self.view(), **self.table(beside=False)}, {}

    def view(self) -> Data:
        """Return the live view alone."""
        bundle = self.widget._repr_mimebundle_()
        return dict(bundle[0]) if bundle is not None else {}

    def table(self, *, beside: bool) -> Data:
        """Return the static table, as html and text; `beside` a view, it says what it is for."""
        raise NotImplementedError

    def flush(self) -> None:
        """Bring the widget up to date."""
        self.widget.flush()

    def _mark(self, beside: bool) -> str:
        return self.widget.summary["epoch"] if beside else ""


class ShownQueue(_Live):
    """One queue with its widget and its outputs."""

    widget: QueueWidget

    def __init__(
        self, queue: JobQueue, kind: Callable[[JobQueue, Outputs], QueueWidget] = QueueWidget
    ) -> None:
        self._queue = queue
        self.outputs = Outputs(self, lambda: self.widget.has_page)
        self.widget = kind(queue, self.outputs)

    def table(self, *, beside: bool) -> Data:
        """Return the static table of the queue."""
        html = queue_html(self._queue, self._mark(beside))
        return {"text/html": html, "text/plain": queue_text(self._queue)}

    def revision(self) -> object:
        """Return the revision of the queue."""
        return self._queue._snapshot(0, 0, 0)["revision"]


class ShownJob(_Live):
    """One job with its widget and its outputs."""

    def __init__(self, queue: JobQueue, job: Job) -> None:
        self._queue = queue
        self._job = job
        self.outputs = Outputs(self, lambda: self.widget.has_page)
        self.widget = JobCell(queue, job, self.outputs)

    def table(self, *, beside: bool) -> Data:
        """Return the static table of the job."""
        html = job_html(self._job, self._queue._snapshot(0, 0, 0), self._mark(beside))
        return {"text/html": html, "text/plain": repr(self._job)}

    def show(self) -> None:
        """Show the job in the cell that runs, and below it what it has displayed so far."""
        self.outputs.show()
        show_outputs(self._job)

    def follow_outputs(self) -> None:
        """Show what the job displays, as it comes."""
        if is_notebook():
            OutputsCell(self._queue, self._job)

    def revision(self) -> object:
        """Return what the table shows of the job and that changes."""
        row = self._job.as_row()
        return row["status"], row["progress"], row["message"], row["cancel_phase"], row["held"]


class ShownGroup(_Live):
    """One group with its widget and its outputs."""

    def __init__(self, queue: JobQueue, group: JobGroup) -> None:
        self._queue = queue
        self._group = group
        self.outputs = Outputs(self, lambda: self.widget.has_page)
        self.widget = GroupCell(queue, group, self.outputs)

    def table(self, *, beside: bool) -> Data:
        """Return the static drawing of the group."""
        snapshot = self._queue._snapshot(0, 0, 0)
        self._queue._renew_estimate()  # there may be no page that asks for one
        done_at = self._queue._estimate.end_of(self._group._counted())
        html = group_html(self._group, done_at, snapshot, self._mark(beside))
        return {"text/html": html, "text/plain": repr(self._group)}

    def revision(self) -> object:
        """Return what the drawing shows of the group and that changes."""
        return self._group.counts, self._group.total


class Provider:
    """Makes each widget at its first display and keeps it as long as its queue or job is held."""

    def __init__(self) -> None:
        self._queues: weakref.WeakKeyDictionary[JobQueue, ShownQueue] = weakref.WeakKeyDictionary()
        self._jobs: weakref.WeakKeyDictionary[Job, ShownJob] = weakref.WeakKeyDictionary()
        self._groups: weakref.WeakKeyDictionary[JobQueue, dict[Group | str, ShownGroup]]
        self._groups = weakref.WeakKeyDictionary()
        self._hearing = Hearing()

    def shown_queue(self, queue: JobQueue) -> ShownQueue:
        """Return the queue with its one widget; make a new one if the host has closed it."""
        shown = self._queues.get(queue)
        if shown is None or not shown.widget.is_open:
            shown = self._queues[queue] = ShownQueue(queue)
            self._listen(shown.widget)
        return shown

    def shown_job(self, queue: JobQueue, job: Job) -> ShownJob:
        """Return the job with its one widget; make a new one if the host has closed it."""
        shown = self._jobs.get(job)
        if shown is None or not shown.widget.is_open:
            shown = self._jobs[job] = ShownJob(queue, job)
            self._listen(shown.widget)
        return shown

    def shown_group(self, queue: JobQueue, group: JobGroup) -> ShownGroup:
        """Return the group with its one widget; make a new one if the host has closed it."""
        groups = self._groups.setdefault(queue, {})
        counted = group._counted() or group.name  # by its name while it has no jobs
        shown = groups.get(counted)
        if shown is None or not shown.widget.is_open:
            shown = groups[counted] = ShownGroup(queue, group)
            self._listen(shown.widget)
        return shown

    def group_html(self, group: JobGroup) -> str:
        """Return a static drawing of a group as it is now."""
        return group_html(group)

    def cell_widget(self, queue: JobQueue, job: Job | None = None) -> QueueWidget | JobWidget:
        """Make a widget of its cell, for a host that closes it when the cell runs again."""
        return QueueWidget(queue) if job is None else JobWidget(queue, job)

    def new_widget(self, queue: JobQueue) -> QueueWidget:
        """Make one more widget, which nothing here holds: it ends with its page or the queue."""
        widget = ShownQueue(queue, SessionWidget).widget
        self._listen(widget)
        return widget

    def _listen(self, widget: QueueWidget | JobWidget | GroupCell) -> None:
        register_hearing(self._hearing)
        watch_displays()
        route_by_page(widget.comm)
        keep_parents(this_kernel(), widget.comm)

    def to_html(self, queue: JobQueue) -> str:
        """Return the static table of the queue."""
        return queue_html(queue)


PROVIDER = Provider()
