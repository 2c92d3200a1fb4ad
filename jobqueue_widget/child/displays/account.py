"""Counts, packs and sends what a job displays. Loaded by path in the worker; standard library only.

What is sent is a few words about it, and a body that nobody reads before somebody wants to see it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MOST = 50  # outputs of one attempt of a job
MOST_BYTES = 20 * 1024 * 1024

Bundle = dict[str, Any]
Send = Callable[[dict[str, Any], bytes], object]


class Account:
    """What is kept of a job's outputs, by number and bytes: one in the job, one in the kernel."""

    def __init__(self) -> None:
        # Of each output its display id ("" if none), its bytes, and what stands for it.
        self.kept: list[tuple[str, int, Any]] = []
        self.lost = 0  # how many were not kept
        self._clears = False  # with the next one

    @property
    def is_full(self) -> bool:
        """True if no more is kept, however small."""
        return len(self.kept) >= MOST and not self._clears

    def take(self, display_id: str, size: int, what: Any, update: bool = False) -> bool:
        """Keep an output, or put it in place of those with its id; False if there is no room."""
        if self._clears:
            self.clear()
        olds = [at for at, one in enumerate(self.kept) if update and one[0] == display_id]
        others = sum(one[1] for at, one in enumerate(self.kept) if at not in olds)
        if others + size * max(1, len(olds)) > MOST_BYTES or (not olds and self.is_full):
            self.lost += 1
            return False
        if not olds:
            self.kept.append((display_id, size, what))
        for at in olds:
            self.kept[at] = (display_id, size, what)
        return True

    def hear(self, told: Mapping[str, Any], body: bytes) -> None:
        """Do what a job tells of its outputs."""
        if "clear" in told:
            self.clear(bool(told["clear"]))
        elif body:
            display_id, update = str(told.get("id") or "")[:200], bool(told.get("update"))
            self.take(display_id, len(body), body, update)
        else:
            lost = told.get("lost")
            self.lost += lost if type(lost) is int and lost > 0 else 1

    def words(self) -> Iterator[tuple[Bundle, bytes]]:
        """Tell all that was heard, for one who may have heard some of it before."""
        yield {"clear": False}, b""
        for display_id, _, body in self.kept:
            yield {"id": display_id, "update": False}, body
        if self.lost:
            yield {"lost": self.lost}, b""
        if self._clears:
            yield {"clear": True}, b""

    def clear(self, wait: bool = False) -> None:
        """Forget all of them, now or with the next one."""
        self._clears = wait
        if not wait:
            self.kept.clear()
            self.lost = 0


class Outputs:
    """The outputs of one job, as its own process has them: sends each on. Any thread."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._account = Account()
        self._lock = threading.RLock()  # a finalizer of the job's may display, too
        self.shown: weakref.WeakSet[Any] = weakref.WeakSet()  # figures

    @property
    def is_full(self) -> bool:
        """True if no more is kept: then it need not be drawn."""
        return self._account.is_full

    def show(self, data: Bundle, metadata: Bundle, display_id: str, update: bool) -> None:
        """Send an output, or only that there was no room for it."""
        try:
            body = packed(data, metadata)
        except Exception as error:  # what it gave for JSON is none
            say(f"[an output could not be sent: {type(error).__name__}: {error}]")
            return
        with self._lock:
            if self._account.take(display_id, len(body), None, update):
                self._send({"id": display_id, "update": update}, body)
            else:
                self.lose()

    def has(self, display_id: str) -> bool:
        """True if one of those that are kept has this id."""
        with self._lock:
            return any(one[0] == display_id for one in self._account.kept)

    def lose(self) -> None:
        """Tell that one was not kept."""
        self._send({"lost": 1}, b"")

    def clear(self, wait: bool) -> None:
        """Forget those so far, also in the kernel."""
        with self._lock:
            self._account.clear(wait)
            self._send({"clear": wait}, b"")


def packed(data: Mapping[str, Any], metadata: Mapping[str, Any]) -> bytes:
    """Return an output as it is sent and kept, with bytes in base64, as notebooks have them.

    Raises:
        TypeError, ValueError: it is nothing that JSON has.
    """
    forms = {
        name: base64.b64encode(one).decode("ascii") if isinstance(one, bytes) else one
        for name, one in data.items()
    }
    return json.dumps([forms, dict(metadata)]).encode()


def unpacked(body: bytes) -> tuple[Bundle, Bundle]:
    """Return the data and metadata of an output.

    Raises:
        ValueError, TypeError: it is none.
    """
    data, metadata = json.loads(body)
    return dict(data), dict(metadata)


def say(text: str) -> None:
    """Write a line where the job prints."""
    with contextlib.suppress(Exception):  # whatever the job has put there
        print(text)  # noqa: T201 - into the log of the job
