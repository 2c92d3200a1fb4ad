"""Locks that refuse a thread which has them already, instead of letting it wait for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ..errors import ReentrantCallError

REENTERED = (
    "this call came in the middle of another one of the same thread: from a __del__ method, a "
    "weakref callback or a signal handler, which Python may run between any two steps. Nothing was "
    "changed. Let it come later: loop.call_soon_threadsafe(…), or a thread"
)


class Lock:
    """A lock for `with lock.held:`, which never blocks on its own thread.

    Python runs finalizers and signal handlers wherever a thread happens to be, also while it has
    one of these. A plain lock would hang there for ever, and a reentrant one would let them see,
    and change, what is half done.

    The check comes before the C code of `with`: no interrupt can come between the two steps of
    taking it and entering the block.
    """

    __slots__ = ("_is_owned", "_lock")

    def __init__(self) -> None:
        self._lock: Any = threading.RLock()
        self._is_owned: list[Callable[[], bool]] = [self._lock._is_owned]  # type: ignore[attr-defined]

    def inner(self) -> Lock:
        """A lock that is taken while this one is held, or to finish what was begun under it.

        Who has that one is refused this one, too: they would be refused halfway.
        """
        made = Lock()
        self._is_owned += made._is_owned
        return made

    @property
    def held(self) -> AbstractContextManager[Any]:
        """What to enter.

        Raises:
            ReentrantCallError: this thread has it, or an inner one of it.
        """
        for is_owned in self._is_owned:
            if is_owned():
                raise ReentrantCallError(REENTERED)
        return self._lock  # type: ignore[no-any-return]
