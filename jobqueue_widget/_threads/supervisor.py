"""The queue's I/O thread: drains worker pipes and keeps timers while the loop may be blocked."""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable

from .locks import Lock
from .selecting import WakingSelector

logger = logging.getLogger(__name__)

Callback = Callable[..., object]

LONGEST_WAIT = 3600.0  # seconds; the system's own calls take no longer ones than some weeks


class Supervisor:
    """One daemon thread with a selector, a queue of calls and a heap of timers.

    It starts with its first use and ends with `close`; then it may be used again. Callbacks must be
    quick and must not raise; one that raises is logged and the thread goes on.

    Where it cannot be started, `call` and `watch` raise and timers are kept. The next use tries
    again; until then `turn` fires what is due, and `post_turn` is asked to call that soon.
    """

    def __init__(
        self,
        name: str,
        post_turn: Callable[[Callback], bool] | None = None,
        lock: Lock | None = None,
    ) -> None:
        self._name = name
        self._post_turn = post_turn
        self._turn_posted = self._said = False  # that it cannot be started
        self._lock = lock or Lock()
        self._calls: deque[tuple[Callback, tuple[object, ...]]] = deque()
        self._timers: list[tuple[float, int, list[Callback | tuple[object, ...]]]] = []
        self._cancelled = 0
        self._count = itertools.count()
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}
        self._thread: threading.Thread | None = None
        self._selector: WakingSelector | None = None
        self._awake = False
        self._closing = False

    # -- any thread -------------------------------------------------------------------------

    def call(self, callback: Callback, *args: object) -> None:
        """Run the callback on the I/O thread soon, in order of the calls."""
        with self._lock.held:
            self._wake()  # before it is queued: what raised will not be run
            self._calls.append((callback, args))

    def call_later(self, seconds: float, callback: Callback, *args: object) -> Callable[[], None]:
        """Run the callback on the I/O thread after `seconds`; returns what cancels it."""
        entry: list[Callback | tuple[object, ...]] = [callback, args]
        due = time.monotonic() + max(0.0, seconds)
        with self._lock.held:
            heapq.heappush(self._timers, (due, next(self._count), entry))
            if self._timers[0][2] is entry or self._thread is None:
                self._wake_for_timers()
        return lambda: self._cancel(entry)

    def _cancel(self, entry: list[Callback | tuple[object, ...]]) -> None:
        with self._lock.held:
            if not entry:
                return
            entry.clear()
            self._cancelled += 1
            if self._cancelled > 64 and self._cancelled * 2 > len(self._timers):
                self._timers = [timer for timer in self._timers if timer[2]]
                heapq.heapify(self._timers)
                self._cancelled = 0

    def watch(self, fd: int, on_readable: Callback) -> None:
        """Call back on the I/O thread whenever `fd` can be read."""
        with self._lock.held:
            self._wake()
            self._readers[fd] = on_readable
            if not self.is_current_thread:
                self._calls.append((self._register_soon, (fd,)))
                return
            try:
                self._register(fd)
            except BaseException:
                del self._readers[fd]
                raise

    def watch_writable(self, fd: int, on_writable: Callback | None) -> None:
        """Call back whenever `fd` can be written; None ends it."""
        with self._lock.held:
            self._wake()
            if on_writable is None:
                self._writers.pop(fd, None)
            else:
                self._writers[fd] = on_writable
            self._calls.append((self._register_soon, (fd,)))

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; after this returns no callback for it starts. Call before closing it."""
        with self._lock.held:
            self._readers.pop(fd, None)
            self._writers.pop(fd, None)
            self._register_or_say(fd)

    @property
    def is_current_thread(self) -> bool:
        """True inside a callback of this thread."""
        return self._thread is threading.current_thread()

    def close(self, timeout: float = 5.0) -> None:
        """Run what was called before, then end the thread. Not from inside the thread."""
        with self._lock.held:
            thread = self._thread
            if thread is None:
                self._calls.clear()
                self._timers.clear()
                return
            self._closing = True
            self._wake()
        thread.join(timeout)
        if thread.is_alive():
            logger.error("the I/O thread %s did not end within %.1f s", self._name, timeout)

    def after_fork(self) -> None:
        """In a forked child the thread does not exist: forget it, leave the parent's fds alone."""
        self.__init__(self._name, self._post_turn)  # type: ignore[misc]

    # -- the thread -------------------------------------------------------------------------

    def _wake(self) -> None:  # under the lock
        if self._thread is None:
            self._start()
        elif not self._awake and not self.is_current_thread:
            if self._selector is not None:
                self._selector.wake()
            self._awake = True  # not before: what fails leaves it asleep

    def _start(self) -> None:  # under the lock
        try:
            self._selector = WakingSelector()
            self._closing = False
            self._awake = True
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
        except BaseException:
            self._close_selector()
            raise
        self._thread = thread
        self._said = False

    def _wake_for_timers(self) -> None:  # under the lock
        """Wake the thread, or have `turn` called: no timer is lost where none can be started."""
        try:
            self._wake()
        except Exception as error:
            if not self._said:
                logger.warning("the I/O thread %s could not be started: %s", self._name, error)
            self._said = True
            self._turn_posted = self._turn_posted or (
                self._post_turn is not None and self._post_turn(self.turn)
            )

    def turn(self) -> None:
        """While no thread can be started: fire here what is due. Any thread."""
        while True:
            with self._lock.held:
                self._turn_posted = False
                if self._thread is not None:
                    return
                wait = self._until_next_timer()
                if wait is None:
                    return
                if wait > 0:
                    self._wake_for_timers()
                    return
                _, _, entry = heapq.heappop(self._timers)
                callback, args = entry
                entry.clear()
            self._guard(callback, args)  # type: ignore[arg-type]

    def _register_soon(self, fd: int) -> None:
        with self._lock.held:
            self._register_or_say(fd)

    def _register_or_say(self, fd: int) -> None:  # under the lock
        try:
            self._register(fd)
        except (OSError, ValueError, KeyError) as error:
            logger.warning("cannot watch fd %d: %s", fd, error)

    def _register(self, fd: int) -> None:  # under the lock
        selector = self._selector
        if selector is None:
            return
        events = (selectors.EVENT_READ if fd in self._readers else 0) | (
            selectors.EVENT_WRITE if fd in self._writers else 0
        )
        known = fd in selector.get_map()
        if not events:
            if known:
                selector.unregister(fd)
        elif known:
            selector.modify(fd, events)
        else:
            selector.register(fd, events)

    def _run(self) -> None:
        """Run until closed; no variable holds a callback, or by that a last job, while it waits."""
        while True:
            self._run_calls()
            self._fire_timers()
            with self._lock.held:
                if self._calls:
                    continue
                if self._closing:
                    self._shut()
                    return
                wait = self._until_next_timer()  # whoever came since the last look did not wake us
                self._awake = False
                selector = self._selector
            if selector is None:
                return
            self._tell(selector, self._select(selector, wait))

    def _run_calls(self) -> None:
        with self._lock.held:
            self._awake = True
            calls, self._calls = self._calls, deque()
        for callback, args in calls:
            self._guard(callback, args)

    def _tell(
        self, selector: WakingSelector, events: list[tuple[selectors.SelectorKey, int]]
    ) -> None:
        """Call back whoever watches these descriptors."""
        for key, mask in events:
            if key.fd == selector.wake_fd:
                self._guard(selector.hear, ())
                continue
            if mask & selectors.EVENT_READ and (reader := self._readers.get(key.fd)):
                self._guard(reader, ())
            if mask & selectors.EVENT_WRITE and (writer := self._writers.get(key.fd)):
                self._guard(writer, ())

    @staticmethod
    def _select(
        selector: WakingSelector, wait: float | None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        try:
            return selector.select(wait)
        except Exception:  # for want of memory, say: the thread is needed all the same
            logger.exception("the I/O thread cannot look at its descriptors")
            time.sleep(0.05)
            return []

    def _fire_timers(self) -> None:
        """Run what is due."""
        while True:
            with self._lock.held:
                wait = self._until_next_timer()
                if wait is None or wait > 0:
                    return
                _, _, entry = heapq.heappop(self._timers)
                callback, args = entry
                entry.clear()
            self._guard(callback, args)  # type: ignore[arg-type]

    def _until_next_timer(self) -> float | None:  # under the lock
        """Seconds, or None if there is no timer."""
        while self._timers and not self._timers[0][2]:
            heapq.heappop(self._timers)
            self._cancelled -= 1
        if not self._timers:
            return None
        return min(LONGEST_WAIT, max(0.0, self._timers[0][0] - time.monotonic()))

    def _guard(self, callback: Callback, args: tuple[object, ...]) -> None:
        try:
            callback(*args)
        except BaseException:  # nobody else would: this thread is needed all the same
            logger.exception("a callback of the I/O thread failed: %r", callback)

    def _close_selector(self) -> None:  # under the lock
        if self._selector is not None:
            self._selector.close()
        self._selector = None

    def _shut(self) -> None:  # under the lock
        self._close_selector()
        self._thread = None
        self._readers.clear()
        self._writers.clear()
        self._timers.clear()
        self._closing = False
