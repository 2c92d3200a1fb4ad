"""Waits for handles of Windows, whose `select` knows sockets only; a completion port wakes it.

`_overlapped` is what asyncio's own event loop for Windows is made of.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Mapping
from selectors import SelectorKey

from .locks import Lock

assert sys.platform == "win32"
import _overlapped  # noqa: E402
import _winapi  # noqa: E402

FOREVER = 0xFFFFFFFF  # milliseconds
WOKEN = 1  # what the port tells of a wake-up; larger numbers stand for what was waited for


class PortSelector:
    """A selector of handles that a thread can wait for: of events and of processes.

    A handle that is ready is told again at each look until it is not, as with other selectors.
    Events are what its user makes of them: a pipe sets one when there is something to read.
    """

    wake_fd = 0  # no handle has this number

    def __init__(self) -> None:
        self._port = _overlapped.CreateIoCompletionPort(_overlapped.INVALID_HANDLE_VALUE, 0, 0, 1)
        self._lock = Lock()
        self._numbers = itertools.count(WOKEN + 1)
        self._keys: dict[int, SelectorKey] = {}
        self._waits: dict[int, tuple[int, int]] = {}  # wait and its number by handle
        self._handles: dict[int, int] = {}  # handle by the number of its wait

    def register(self, handle: int, events: int) -> None:
        """Begin to wait for it.

        Raises:
            OSError: it cannot be waited for.
        """
        with self._lock.held:
            self._keys[handle] = SelectorKey(handle, handle, events, None)
            try:
                self._arm(handle)
            except BaseException:
                del self._keys[handle]
                raise

    def modify(self, handle: int, events: int) -> None:
        """Note what it is waited for."""
        with self._lock.held:
            self._keys[handle] = SelectorKey(handle, handle, events, None)

    def unregister(self, handle: int) -> None:
        """Wait for it no more: it may be closed then."""
        with self._lock.held:
            del self._keys[handle]
            self._disarm(handle)

    def get_map(self) -> Mapping[int, SelectorKey]:
        """Return what is waited for, by handle."""
        return self._keys

    def select(self, timeout: float | None) -> list[tuple[SelectorKey, int]]:
        """Return what is ready, once there is something or somebody wakes it."""
        with self._lock.held:
            for handle in self._keys.keys() - self._waits.keys():
                self._arm(handle)
        wait = FOREVER if timeout is None else math.ceil(timeout * 1000)
        ready: dict[int, SelectorKey] = {}
        while (told := _overlapped.GetQueuedCompletionStatus(self._port, wait)) is not None:
            wait = 0
            with self._lock.held:
                done = self._handles.get(told[3])
                if done is not None:
                    self._disarm(done)
                    ready[done] = self._keys[done]
        return [(key, key.events) for key in ready.values()]

    def _arm(self, handle: int) -> None:  # under the lock
        number = next(self._numbers)
        wait = _overlapped.RegisterWaitWithQueue(handle, self._port, number, FOREVER)
        self._waits[handle] = wait, number
        self._handles[number] = handle

    def _disarm(self, handle: int) -> None:  # under the lock
        """End its wait; nothing that it has told by then counts any more."""
        wait, number = self._waits.pop(handle, (0, 0))
        if wait:
            del self._handles[number]
            _overlapped.UnregisterWaitEx(wait, _overlapped.INVALID_HANDLE_VALUE)

    def wake(self) -> None:
        """End the wait of this moment, or the next one. Any thread."""
        _overlapped.PostQueuedCompletionStatus(self._port, 0, 0, WOKEN)

    def hear(self) -> None:
        """Do nothing: the port forgets a wake-up that was heard."""

    def close(self) -> None:
        """Close all of it."""
        for handle in list(self._keys):
            self.unregister(handle)
        _winapi.CloseHandle(self._port)
