"""Tells subscribers and event streams what happened, in order, never holding up the queue."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from .._core import effects as fx
from .._core.spec import EMPTY
from .._core.texts.words import cancel_text, error_text
from ..child.wire import is_interrupt

BACKLOG = 10_000
STREAM_BACKLOG = 1_000
STRIKES = 3


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened.

    `type`: submitted, restored, moved, held, released, blocked, started, phase, progress,
    cancel_asked, cancel_forced, retrying, ended, paused, resumed, history_cleared,
    history_restored, jobs_forgotten, queue_started, queue_stopped, queue_closed, loop_blocked,
    loop_unblocked, journal_failed, journal_recovered, orphans.
    `job_id` is None for those of the whole queue.
    `timestamp`: epoch seconds.
    """

    type: str
    job_id: str | None
    timestamp: float
    payload: Mapping[str, object] = field(default_factory=lambda: EMPTY)


Subscriber = Callable[[JobEvent], object]


def payload_of(effect: fx.Publish) -> Mapping[str, object]:
    """Return what is told beside the type of the event. Under the lock."""
    job, payload = effect.job, effect.payload
    if effect.type == "ended":
        told = {"error": error_text(job), "cancel_reason": cancel_text(job)}
        payload = {"status": job.status.value, **told}
    elif effect.type == "progress":
        payload = {"progress": job.progress, "message": job.message}
    elif effect.type == "cancel_asked" and isinstance(payload, dict):
        payload = {**payload, "reason": job.cancel_reason}
    assert isinstance(payload, Mapping)
    return payload


class EventStream:
    """One `async for event in queue.events()`: bounded, on its own loop; `dropped` counts."""

    def __init__(self, job_id: str | None, on_close: Callable[[EventStream], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._job_id = job_id
        self._on_close = on_close
        self._events: deque[JobEvent] = deque()
        self._ready = asyncio.Event()
        self._lock = threading.RLock()  # what a finalizer did is offered, too
        self._over = False
        self.dropped = 0

    def offer(self, event: JobEvent) -> None:
        """Add an event; newest progress replaces unread progress of the job. Any thread."""
        if self._job_id is not None and event.job_id != self._job_id:
            return
        with self._lock:
            if self._over:
                return
            last = self._events[-1] if self._events else None
            if (
                event.type == "progress"
                and last is not None
                and last.type == "progress"
                and last.job_id == event.job_id
            ):
                self._events[-1] = event
                return
            if len(self._events) >= STREAM_BACKLOG:
                self._events.popleft()
                self.dropped += 1
            self._events.append(event)
            if event.type == "ended" and self._job_id is not None:
                self._over = True
        self._wake()

    def close(self) -> None:
        """End the stream after what is unread. Any thread."""
        with self._lock:
            self._over = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # its loop is closed: nobody reads it any more
            self._on_close(self)

    async def __aiter__(self) -> AsyncIterator[JobEvent]:
        try:
            while True:
                with self._lock:
                    self._ready.clear()
                    event = self._events.popleft() if self._events else None
                    if event is None and self._over:
                        return
                if event is None:
                    await self._ready.wait()
                else:
                    yield event
        finally:
            self._on_close(self)


class Publisher:
    """Keeps the order of transitions: `push` is called under the engine's lock, `deliver` not."""

    def __init__(
        self, request_delivery: Callable[[], None], logger: Callable[[], logging.Logger]
    ) -> None:
        self._logger = logger
        self._request_delivery = request_delivery
        self._subscribers: dict[int, tuple[Subscriber, contextvars.Context, list[int]]] = {}
        self._streams: list[EventStream] = []
        self._listeners: list[Callable[[], object]] = []
        self._queue: deque[JobEvent] = deque(maxlen=BACKLOG)
        self._calls: deque[tuple[JobEvent, int]] = deque()  # of which subscriber with what
        self._next = 0
        self.dropped = 0
        self.failures = 0
        self.active = False

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call back on the owner loop; returns what ends it.

        Each call runs in the context of this one: what a notebook's subscriber prints goes to the
        cell that subscribed it, whichever has made it happen.
        """
        key = self._next
        self._next += 1
        self._subscribers[key] = (callback, contextvars.copy_context(), [0])
        self.active = True

        def unsubscribe() -> None:
            self._subscribers.pop(key, None)
            self._settle()

        return unsubscribe

    def on_change(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back at each event, under the engine's lock: it may note it and nothing else."""
        self._listeners.append(callback)
        self.active = True

        def stop() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)
            self._settle()

        return stop

    def stream(self, job_id: str | None) -> EventStream:
        """A new stream for the running loop."""
        stream = EventStream(job_id, self._forget)
        self._streams.append(stream)
        self.active = True
        return stream

    def _forget(self, stream: EventStream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)
        self._settle()

    def _settle(self) -> None:
        self.active = bool(self._subscribers or self._streams or self._listeners)

    def touch(self) -> None:
        """Tell listeners of something new that is no event. Under the engine's lock."""
        for listener in self._listeners:
            listener()

    def push(self, event: JobEvent) -> None:
        """Hand an event to streams and subscribers, in order. Under the engine's lock."""
        for listener in self._listeners:
            listener()
        for stream in tuple(self._streams):
            stream.offer(event)
        if not self._subscribers:
            return
        if len(self._queue) == BACKLOG:
            self.dropped += 1
        self._queue.append(event)
        self._request_delivery()

    def deliver(self) -> None:
        """Call the subscribers, with unread progress thinned. Owner loop, outside the lock."""
        events: list[JobEvent] = []
        while self._queue:
            events.append(self._queue.popleft())
        newest = {event.job_id: event for event in events if event.type == "progress"}
        for event in events:
            if event.type != "progress" or newest[event.job_id] is event:
                self._calls.extend((event, key) for key in tuple(self._subscribers))
        while self._calls:  # also what is left of a call that has waited and so runs this nested
            event, key = self._calls.popleft()
            if key not in self._subscribers:
                continue
            callback, variables, strikes = self._subscribers[key]
            try:
                variables.copy().run(callback, event)
            except BaseException as error:
                if is_interrupt(error):
                    raise
                self.failures += 1
                strikes[0] += 1
                self._logger().exception("subscriber %r failed on %s", callback, event.type)
                if strikes[0] >= STRIKES:
                    text = "subscriber %r failed %d times: dropped"
                    self._logger().error(text, callback, STRIKES)
                    self._subscribers.pop(key, None)
        self._settle()

    def close(self) -> None:
        """End the streams; subscribers get what is left when `deliver` is called."""
        for stream in tuple(self._streams):
            stream.close()
