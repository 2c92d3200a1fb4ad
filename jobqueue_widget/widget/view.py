"""Defines the ipywidgets models: one per queue, one per displayed job; Python writes them."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from comm import get_comm_manager

from .._api.sweeps.group import JobGroup
from ..job import Job
from ..queue import JobQueue
from .commands import Commands
from .model import (
    GroupSource,
    JobSource,
    QueueSource,
    Source,
    State,
    sent_group,
    sent_head,
    sent_row,
)
from .outputs import NO_OUTPUTS, Refreshable
from .sync import CommPort, Sync

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parents[1] / "static"
ROWS: dict[str, Any] = {"sync": True, "to_json": lambda rows, _: [sent_row(row) for row in rows]}
GROUPS: dict[str, Any] = {
    "sync": True,
    "to_json": lambda rows, _: [sent_group(row) for row in rows],
}
HEAD: dict[str, Any] = {"sync": True, "to_json": lambda rows, _: sent_head(rows)}
ROW: dict[str, Any] = {"sync": True, "to_json": lambda row, _: sent_row(row)}


class _StateWidget(anywidget.AnyWidget):
    """Base of all our widgets: bounded state traits, requests by message."""

    _esm = (STATIC / "widget.js").read_text(encoding="utf-8")
    _css = (STATIC / "widget.css").read_text(encoding="utf-8")

    view = traitlets.Unicode("queue", help="what is drawn: a queue, job or group").tag(sync=True)
    job_id = traitlets.Unicode("", help="the job of a progress cell, else empty").tag(sync=True)
    summary = traitlets.Dict(help="counts, phase, pause, lag, clock; see WIDGET state").tag(
        sync=True
    )
    running: traitlets.List[State] = traitlets.List(help="at most 8 running rows").tag(**ROWS)
    head: traitlets.List[State] = traitlets.List(help="the first 25 queued rows, in order").tag(
        **HEAD
    )
    history: traitlets.List[State] = traitlets.List(help="the last 20 ended, newest first").tag(
        **ROWS
    )
    groups: traitlets.List[State] = traitlets.List(help="at most 20 groups, the liveliest").tag(
        **GROUPS
    )
    job = traitlets.Dict(help="the row of a progress cell, else empty").tag(**ROW)
    resources = traitlets.Dict(help="what is used and reserved; empty when unknown").tag(sync=True)
    features = traitlets.Dict(help="what the front end may offer").tag(sync=True)
    bell = traitlets.Bool(False, help="whether a hidden page tells of the end").tag(sync=True)

    def __init__(self, source: Source, outputs: Refreshable = NO_OUTPUTS, **traits: Any) -> None:
        self.outputs = outputs
        port = self._make_port()
        self._follower = self._make_follower(source, port)
        self._commands = Commands(source.queue, source.epoch, self._follower, port, outputs)
        super().__init__(**traits, **self._follower.first_state(), features={"unload": True})
        self.on_msg(self._on_message)
        self._follower.start()

    def _make_port(self) -> CommPort:
        return CommPort(self._write_state, self._send_message)

    def _make_follower(self, source: Source, port: CommPort) -> Sync:
        """Make what follows the queue; tests put another clock under the widget here."""
        return Sync(source, port)

    @property
    def is_open(self) -> bool:
        """Return False once a host has closed it: marimo does with its cell, and tells nobody."""
        return self.comm is not None and not getattr(self.comm, "_closed", False)

    def _write_state(self, state: State, whole: bool) -> None:
        if not self.is_open:
            self.close()
            return
        with self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)
            if whole:  # also what is equal; in one message, of which nothing is lost alone
                self._states_to_send.update(state)

    def send_state(self, key: Any = None) -> None:
        """Send state as ipywidgets does, but without its search for bytes: rows hold none."""
        if self._property_lock or not isinstance(key, set) or not key:
            super().send_state(key)  # of a trait that a page has set, or all of them
            return
        state = {}
        for name in key:
            to_json = self.trait_metadata(name, "to_json", self._trait_to_json)
            state[name] = to_json(getattr(self, name), self)
        self._send({"method": "update", "state": state, "buffer_paths": []})

    def _send_message(self, message: dict[str, Any]) -> None:
        self.send(message)

    def _on_message(self, _widget: object, content: object, _buffers: object) -> None:
        self._commands.handle(content)

    @property
    def has_page(self) -> bool:
        """True once a page has asked for anything."""
        return self._commands.heard

    def flush(self) -> None:
        """Bring the state up to date; waits a moment for that, if anything has changed."""
        self._follower.flush()

    def close(self) -> None:
        """Follow the queue no more and remove every view."""
        self._follower.close()
        super().close()


class QueueWidget(_StateWidget):
    """The widget of a queue, as `queue.widget` returns it. Its traits may be observed."""

    def __init__(self, queue: JobQueue, outputs: Refreshable = NO_OUTPUTS) -> None:
        source = QueueSource(queue)
        super().__init__(source, outputs, view="queue")
        self._commands.set_bell = source.set_bell


class SessionWidget(QueueWidget):
    """One of several of a queue, each for a session of its own; `queue.new_widget()` gives it.

    Nothing here keeps it. It ends with the queue, when its page closes it, and when its page cannot
    be written to any more: Panel ends a session without a word to its widgets.
    """

    def __init__(self, queue: JobQueue, outputs: Refreshable) -> None:
        super().__init__(queue, outputs)
        self._made_with = self.layout  # a widget of its own, which ipywidgets would keep for ever

    def _make_port(self) -> CommPort:
        """Send in the context of the session: Shiny refuses what comes out of no session."""
        return CommPort(self._write_state, self._send_message, contextvars.copy_context())

    @traitlets.observe("comm")
    def _end_with_its_page(self, change: Any) -> None:
        """Hear that the comm is closed. The first one of Shiny tells nothing; another follows."""
        on_close = getattr(change["new"], "on_close", None)
        if on_close is not None:
            on_close(lambda _message: self.close())

    def _write_state(self, state: State, whole: bool) -> None:
        self._tell(lambda: super(SessionWidget, self)._write_state(state, whole))
        if state.get("summary", {}).get("phase") == "closed":
            self.close()

    def _send_message(self, message: dict[str, Any]) -> None:
        self._tell(lambda: super(SessionWidget, self)._send_message(message))

    def _tell(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:
            logger.info("a page cannot be told any more; its widget ends", exc_info=True)
            self.close()

    def close(self) -> None:
        """Follow the queue no more and remove every view."""
        _close(self, super().close)
        _close(self._made_with, self._made_with.close)


def _close(widget: Any, close: Callable[[], None]) -> None:
    comm = widget.comm
    try:
        close()
    except Exception:
        logger.debug("a page was not told that its widget has ended", exc_info=True)
        get_comm_manager().unregister_comm(comm)
        widget.comm = None


class JobWidget(_StateWidget):
    """The live progress cell of one job."""

    def __init__(
        self, queue: JobQueue, job: Job, outputs: Refreshable = NO_OUTPUTS, **traits: Any
    ) -> None:
        super().__init__(JobSource(queue, job), outputs, view="job", job_id=job.id, **traits)


class _Cell(_StateWidget):
    """A cell of its own, with the script that the widget of its queue has brought."""

    _esm = (STATIC / "cell.js").read_text(encoding="utf-8")
    _css = ""

    script_of = traitlets.Unicode(help="the model of the queue's widget").tag(sync=True)


class GroupCell(_Cell):
    """The live cell of one group."""

    def __init__(self, queue: JobQueue, group: JobGroup, outputs: Refreshable) -> None:
        script = queue.widget.model_id
        super().__init__(GroupSource(queue, group), outputs, view="group", script_of=script)
        self._commands.shown_group = group


class JobCell(_Cell, JobWidget):
    """The progress cell of one job."""

    open_log = traitlets.Bool(False, help="its log is open from the beginning").tag(sync=True)

    def __init__(self, queue: JobQueue, job: Job, outputs: Refreshable) -> None:
        super().__init__(queue, job, outputs, script_of=queue.widget.model_id)
