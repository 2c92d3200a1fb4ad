"""Checks every `INTERVAL` if files of open journals are still there; one thread per kernel."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Protocol

from .._threads.locks import Lock

logger = logging.getLogger(__name__)

INTERVAL = 0.4  # seconds; a loss is noticed and repaired within one second


class Looks(Protocol):
    """An object whose files are to be checked."""

    def look(self) -> None:
        """Check the files; quick if all is well."""


_watched: weakref.WeakSet[Looks] = weakref.WeakSet()
_lock = Lock()
_wake = threading.Event()
_thread: threading.Thread | None = None


def begin(one: Looks) -> None:
    """Check an object from now on, as long as somebody else holds it."""
    global _thread
    with _lock.held:
        _watched.add(one)
        if _thread is not None and _thread.is_alive():  # dead in a forked child
            return
        _wake.clear()
        thread = threading.Thread(target=_run, name="jobqueue-journals", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no thread could be started: the next journal tries again
            logger.warning("nobody looks after the files of journals: %s", error)
        else:
            _thread = thread


def end(one: Looks) -> None:
    """Check an object no longer; the thread ends with the last one."""
    with _lock.held:
        _watched.discard(one)
        thread = None if _watched else _thread
        if thread is not None:
            _wake.set()
    if thread is not None and thread is not threading.current_thread() and thread.is_alive():
        thread.join()


def _run() -> None:
    global _thread
    while True:
        _wake.wait(INTERVAL)
        with _lock.held:
            if not _watched:
                _thread = None
                return
            _wake.clear()
        _look_at_all()


def _look_at_all() -> None:
    """Check each object once; holds none afterwards, so that dropped queues are collected."""
    for one in list(_watched):
        try:
            one.look()
        except Exception:
            logger.exception("a journal cannot be looked after")
