"""A world in which time is a number: a deterministic event loop, and threads that act beside it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import queue
import random
import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

from jobqueue_widget._threads.bridge import LoopBridge

MOST_TURNS = 200_000
MOST_SECONDS = 10_000.0

Callback = Callable[..., object]


class Deadlock(AssertionError):
    """Everything waits, and nothing will ever happen."""


class Runaway(AssertionError):
    """The loop turns and turns, or virtual time runs on without an end."""


class OtherThread:
    """One real thread that runs a call while its caller waits: foreign, yet deterministic."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callback, tuple[object, ...]] | None]
        self._calls = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[object, BaseException | None]]
        self._answers = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="other-thread", daemon=True)
        self._thread.start()

    @property
    def is_here(self) -> bool:
        """True inside a call."""
        return threading.current_thread() is self._thread

    def run(self, callback: Callback, *args: object) -> Any:
        """What the callback returns or raises, from that thread."""
        if self.is_here:
            return callback(*args)
        self._calls.put((callback, args))
        value, error = self._answers.get()
        if error is not None:
            raise error
        return value

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            callback, args = call
            try:
                answer: tuple[object, BaseException | None] = (callback(*args), None)
            except BaseException as error:
                answer = (None, error)
            self._answers.put(answer)
            del call, callback, args, answer  # keep nothing of a schedule that is over

    def close(self) -> None:
        """End the thread."""
        self._calls.put(None)
        self._thread.join()


class Outside:
    """Virtual time, and what happens at some instant of it on threads that are not the loop's."""

    def __init__(self, thread: OtherThread) -> None:
        self.now = 0.0
        self.thread = thread
        self._heap: list[tuple[float, int, list[Any]]] = []
        self._count = itertools.count()

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self.now

    def call_later(self, seconds: float, callback: Callback, *args: object) -> Callable[[], None]:
        """Call back on the other thread after `seconds`; returns what cancels it."""
        entry: list[Any] = [callback, args]
        heapq.heappush(self._heap, (self.now + max(0.0, seconds), next(self._count), entry))
        return entry.clear

    def next_due(self) -> float | None:
        """The instant of the next call, if there is one."""
        while self._heap and not self._heap[0][2]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def fire_due(self) -> None:
        """Make the calls that are due."""
        while (due := self.next_due()) is not None and due <= self.now:
            callback, args = heapq.heappop(self._heap)[2]
            self.thread.run(callback, *args)

    def block(self, seconds: float) -> None:
        """The loop's thread is busy that long (a blocking cell); everything else goes on."""
        until = self.now + seconds
        while (due := self.next_due()) is not None and due <= until:
            self.now = max(self.now, due)
            self.fire_due()
        self.now = until


class OutsideIo:
    """The queue's I/O thread, as far as a queue without worker processes uses it."""

    def __init__(self, outside: Outside, dice: random.Random) -> None:
        self._outside = outside
        self._dice = dice
        self._cancels: list[Callable[[], None]] = []
        self._inside = False

    @property
    def is_current_thread(self) -> bool:
        """True inside a callback."""
        return self._inside and self._outside.thread.is_here

    def call_later(self, seconds: float, callback: Callback, *args: object) -> Callable[[], None]:
        """As the real one, now and then late; what waits when it is closed is dropped."""
        late = self._dice.choice((0.0, 0.0, 0.0, 0.001, 0.2))
        cancel = self._outside.call_later(seconds + late, self._call, callback, args)
        self._cancels.append(cancel)
        return cancel

    def _call(self, callback: Callback, args: tuple[object, ...]) -> None:
        self._inside = True
        try:
            callback(*args)
        finally:
            self._inside = False

    def close(self) -> None:
        """Drop every timer."""
        for cancel in self._cancels:
            cancel()
        self._cancels.clear()


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop without I/O on virtual time: jumps to the next timer instead of waiting.

    Extra turns, thrown by the dice, are added where asyncio promises no order: to calls from other
    threads and to what the bridge carries. Their order among themselves stays.
    """

    def __init__(
        self,
        outside: Outside,
        dice: random.Random,
        after_turn: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.outside = outside
        self._after_turn = after_turn
        self.tasks: list[asyncio.Task[Any]] = []
        self.complaints: list[str] = []
        self.turns = 0
        self._dice = dice
        self._foreign: deque[asyncio.Handle] = deque()
        self._carrying = False
        self._ready: deque[asyncio.Handle]
        self._scheduled: list[asyncio.TimerHandle]
        self._stopping: bool
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._complain)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
        self.tasks.append(task)
        return task

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.complaints.append(f"{context['message']}: {error!r}")

    def open_tasks(self) -> list[asyncio.Task[Any]]:
        """Tasks that have not ended, oldest first (`asyncio.all_tasks` has no order)."""
        self.tasks = [task for task in self.tasks if not task.done()]
        return list(self.tasks)

    def time(self) -> float:
        """Virtual seconds."""
        return self.outside.now

    # -- calls whose moment is anybody's guess -------------------------------------------------

    def call_soon(  # type: ignore[override]
        self, callback: Callback, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's, but what the bridge carries may take a few turns."""
        if getattr(callback, "__func__", None) is LoopBridge._drain:
            return self.call_soon_threadsafe(callback, *args, context=context)
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callback, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's, after 0-3 turns."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        handle = asyncio.Handle(callback, args, self, context)
        self._foreign.append(handle)
        if not self._carrying:
            self._carrying = True
            super().call_soon(self._carry, self._dice.choice((0, 0, 1, 3)))
        return handle

    def _carry(self, turns: int) -> None:
        if turns:
            super().call_soon(self._carry, turns - 1)
            return
        self._carrying = False
        self._ready.extend(self._foreign)
        self._foreign.clear()

    # -- turning -------------------------------------------------------------------------------

    def _run_once(self) -> None:
        self.turns += 1
        if self.turns > MOST_TURNS or self.outside.now > MOST_SECONDS:
            raise Runaway(f"{self.turns} turns, {self.outside.now:.0f} virtual seconds")
        timers, ready = self._scheduled, self._ready
        while timers and timers[0].cancelled():
            heapq.heappop(timers)._scheduled = False  # type: ignore[attr-defined]
        if not ready and not self._stopping:
            self._jump(timers[0].when() if timers else None)
        self.outside.fire_due()
        while timers and timers[0].when() <= self.outside.now:
            handle = heapq.heappop(timers)
            handle._scheduled = False  # type: ignore[attr-defined]
            ready.append(handle)
        for _ in range(len(ready)):
            handle_ = ready.popleft()
            if not handle_.cancelled():
                handle_._run()
        self._after_turn()

    def _jump(self, own: float | None) -> None:
        foreign = self.outside.next_due()
        instants = [instant for instant in (own, foreign) if instant is not None]
        if not instants:
            waiting = "\n  ".join(map(repr, self.open_tasks()))
            raise Deadlock(f"nothing will ever happen; these wait:\n  {waiting}")
        self.outside.now = max(self.outside.now, min(instants))

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector here."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped at the head of the heap."""
