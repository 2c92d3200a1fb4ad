"""Keeps the front end in step: turns that write traits, and every message to a page."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from .._api.listed.listing import Found, PartName
from .._threads.locks import Lock
from .model import Source, State, clipped, sent_group, sent_row, shown_groups
from .pacing import PACER

logger = logging.getLogger(__name__)

FLUSH_INTERVAL = 0.1  # seconds between flushes: at most ten a second
BEAT = 1.0  # seconds between flushes while jobs run and nothing changes
SAY_AGAIN = 4.0  # seconds after which the last state is sent once more: the channel loses
LEASE = 30.0  # seconds that a page's interest in a window lasts
MOST_WATCHED = 64

Part = tuple[PartName, int]  # of the list; the number is that of a group, or 0
_Key = tuple[str, Part]  # whose, and what
Write = Callable[[State, bool], None]
Send = Callable[[dict[str, Any]], None]


class CommPort:
    """The one door to the pages of a widget: what goes out goes through here, one at a time.

    Replies are sent in the context of the page's last message: on ipykernel 7.4 that keeps its
    clicks on the page's own subshell, where they are heard while a cell blocks the main one.
    Before that `context` is taken, if one is given.
    """

    def __init__(
        self, write: Write, send: Send, context: contextvars.Context | None = None
    ) -> None:
        self._write = write
        self._send = send
        self._lock = threading.RLock()
        self._context = context
        self._was_heard = False

    @property
    def was_heard(self) -> bool:
        """True once a page has asked for anything: before nobody looks."""
        return self._was_heard

    def heard(self) -> None:
        """Note the context in which a page's message is handled: replies go out in it."""
        with self._lock:
            self._was_heard = True
            self._context = contextvars.copy_context()

    def write(self, state: State, *, whole: bool) -> None:
        """Set traits in one flush; `whole`: send them also where they have not changed."""
        self._carry(self._write, state, whole)

    def send(self, message: dict[str, Any]) -> None:
        """Send one message to every page."""
        self._carry(self._send, message)

    def _carry(self, act: Callable[..., None], *what: object) -> None:
        with self._lock:
            if self._context is None:
                act(*what)
            else:
                self._context.run(act, *what)


class Sync:
    """Flushes a widget: a first change at once, then ten a second; heartbeats while jobs run."""

    def __init__(
        self, source: Source, port: CommPort, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._monotonic = monotonic
        self._port = port
        self._wanted = threading.Event()
        self._rests_until: float | None = None  # the end of the pause after a turn; None: not begun
        self._was_over = False
        self._closing = False
        self._seq = 0
        self._watched: dict[_Key, _Window] = {}
        self._lock = Lock()
        self._last: State = {}
        self._whole_wanted = False
        self._say_again_at: float | None = None
        self._undo_ends_at: float | None = None  # then the state is another one by itself
        self._stop_listening = source.queue._on_change(self.want)

    def first_state(self) -> State:
        """Return the state that the model is made with; turns follow it."""
        self._last = self._next_state()
        return dict(self._last)

    def start(self) -> None:
        """Begin to follow the queue."""
        self._rests_until = 0.0
        PACER.join(self)
        self._leave_if_over()
        patience = 0.0 if self._wanted.is_set() else self._patience()
        if patience is not None:
            PACER.ask(self, time.monotonic() + patience)

    def close(self) -> None:
        """Stop following the queue."""
        self._stop_listening()
        self._closing = True
        PACER.forget(self)

    def want(self) -> None:
        """Ask for a flush; called for every change, from any thread."""
        if not self._wanted.is_set():
            self._wanted.set()
            if self._rests_until is not None:
                PACER.ask(self, self._rests_until)

    def resync(self) -> None:
        """Flush the whole state again, for a page that missed something."""
        self._whole_wanted = True
        self.want()

    def flush(self, patience: float = 0.3) -> None:
        """Write what has changed now, and wait for that at most so many seconds."""
        if self._source.is_outdated():
            self.want()
        if self._wanted.is_set():
            PACER.hurry(self, patience)

    def watch(self, cid: str, part: Part, start: int, end: int) -> None:
        """Push that window to the page whenever it changes, for a while."""
        key = (cid, part)
        with self._lock.held:
            if len(self._watched) >= MOST_WATCHED and key not in self._watched:
                self._watched.pop(next(iter(self._watched)))
            self._watched[key] = _Window(start, end, self._monotonic() + LEASE)
        self.want()

    def unwatch(self, cid: str, part: Part) -> None:
        """Stop pushing that window."""
        with self._lock.held:
            self._watched.pop((cid, part), None)

    # -- a turn --------------------------------------------------------------------------------

    def turn(self) -> float | None:
        """Bring the model up to date; return the seconds to the next turn, or None."""
        changed = self._wanted.is_set()
        self._wanted.clear()
        if self._closing:
            return None
        self._turn(changed)
        self._leave_if_over()
        self._rests_until = time.monotonic() + FLUSH_INTERVAL
        patience = 0.0 if self._wanted.is_set() else self._patience()
        return None if patience is None else FLUSH_INTERVAL + patience

    def _leave_if_over(self) -> None:
        """Stop following what has ended; a page that asks is answered all the same."""
        if self._was_over:
            self._stop_listening()
            PACER.leave(self)

    def _turn(self, changed: bool) -> None:
        """Flush, because something has changed or the time without a flush is over."""
        if self._undo_ends_at is not None and self._undo_ends_at <= self._monotonic():
            changed = True
        again = not changed and self._say_again_at is not None
        whole = again
        if self._whole_wanted:
            self._whole_wanted = False  # before the state is read: who asks meanwhile asks anew
            whole = True
        try:
            self._flush(whole=whole)
            if self._port.was_heard and self._source.estimate():
                self.want()
        except Exception:
            logger.exception("the widget could not be brought up to date")
        if again:
            self._say_again_at = None
        elif changed:
            self._say_again_at = self._monotonic() + SAY_AGAIN

    def _patience(self) -> float | None:
        """Return the seconds until something is due even if nothing changes."""
        counts = self._last.get("summary", {}).get("counts", {})
        if counts.get("running") or counts.get("held"):
            return BEAT
        due = [at for at in (self._say_again_at, self._undo_ends_at) if at is not None]
        return max(0.0, min(due) - self._monotonic()) if due else None

    def _next_state(self) -> State:
        self._was_over = self._source.is_over()  # before: then the state is the last one
        state = self._source.state()
        self._seq += 1
        summary = state["summary"]
        summary["seq"] = self._seq
        left = summary["cleared"] and summary["cleared"]["until"] - summary["t"]
        self._undo_ends_at = left and self._monotonic() + left
        return state

    def _flush(self, *, whole: bool) -> None:
        state, last = self._next_state(), self._last
        self._last = state
        changed = {name: value for name, value in state.items() if last.get(name) != value}
        self._port.write(state if whole else changed, whole=whole)
        self._push_windows()

    def _push_windows(self) -> None:
        now = self._monotonic()
        with self._lock.held:
            for key in [key for key, window in self._watched.items() if window.until < now]:
                del self._watched[key]
            watched = list(self._watched.items())
        for (cid, name), window in watched:
            part = self.window(name, window.start, window.end)
            shown = (part["total"], part["rows"])
            if shown != window.shown:
                window.shown = shown
                self._port.send({"t": "rows", "cid": cid, **part})

    def window(
        self, part: Part, start: int, end: int, found: Found | None = None
    ) -> dict[str, Any]:
        """Return rows start ≤ i < end of a part of the list, with where they are from."""
        name, number = part
        rows = self._source.queue._part(name, start, end, number, found)
        window = {
            "epoch": self._source.epoch,
            "rev": rows.revision,
            "list": name,
            "start": start,
            "total": rows.total,
        }
        if number:
            window["group"] = number
        if name == "groups":
            groups = shown_groups(rows.rows, self._source.queue._estimate)
            return {**window, "rows": [sent_group(row) for row in groups]}
        return {**window, "rows": [sent_row(row) for row in self.rows_of(rows.rows)]}

    def rows_of(self, rows: Sequence[State]) -> Sequence[State]:
        """Return rows as a page gets them: bounded, and with when they will start."""
        return self._source.with_starts(clipped(rows))


class _Window:
    def __init__(self, start: int, end: int, until: float) -> None:
        self.start = start
        self.end = end
        self.until = until
        self.shown: object = None
