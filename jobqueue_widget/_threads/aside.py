"""Runs callbacks of users aside, where neither the loop nor the I/O thread waits for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .locks import Lock
from .threadless import Thread


class Aside:
    """Calls, one after the other, in a thread that lives as long as there are any. Any thread.

    What a call raises is told to `failed`.
    """

    def __init__(self, name: str, failed: Callable[[BaseException], object]) -> None:
        self._name = name
        self._failed = failed
        self._lock = Lock()
        self._calls: deque[Callable[[], object]] = deque()
        self._is_at_work = False

    def call(self, callback: Callable[[], object]) -> None:
        """Call back soon; here, should no thread be had."""
        with self._lock.held:
            self._calls.append(callback)
            if self._is_at_work:
                return
            self._is_at_work = True
        try:
            Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:
            self._work()

    def _work(self) -> None:
        while True:
            with self._lock.held:
                self._is_at_work = bool(self._calls)
                if not self._calls:
                    return
                callback = self._calls.popleft()
            try:
                callback()
            except BaseException as error:
                self._failed(error)
            del callback  # what it holds is not held while the next one runs
