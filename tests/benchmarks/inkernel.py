"""What the widget's benchmarks run in the kernel of their notebook; imports no widget by itself."""

from __future__ import annotations

import asyncio
import json
import random
import time
from statistics import median
from typing import Any

from jobqueue_widget import JobQueue, current_job

ENDED = 20  # jobs: all that the widget shows
TURN = 0.1  # seconds a job of the flush probe takes: the pace of the flushes
GAP = (0.2, 0.4)  # seconds between two reports, so that they fall anywhere between two flushes


async def turn(path: str, *, rate: float) -> None:
    """A job that ends soon."""
    await asyncio.sleep(TURN)


async def nothing(path: str, *, rate: float) -> None:
    """One that ends at once."""


def reporter() -> None:
    """A job in a worker process whose messages say when it told them."""
    for number in range(1_000_000):
        current_job().report(number % 1_000 / 1_000, stamp())
        time.sleep(random.uniform(*GAP))


def measures(number: int) -> None:
    """A job in a worker process that measures something ten times a second."""
    for step in range(1_000_000):
        current_job().report(
            step % 1_000 / 1_000, f"step {step}", loss=1 / (1 + step), number=number
        )
        time.sleep(0.1)


def used() -> tuple[float, float]:
    """Processor seconds of this process, and the time."""
    return time.process_time(), time.monotonic()


def stamp() -> str:
    """What the page reads the moment from."""
    return f"at {time.time():.4f}"


async def fill(queue: JobQueue, jobs: int) -> None:
    """So many pending jobs, and as many ended ones as the widget shows; the queue is paused."""
    for number in range(ENDED):
        queue.submit_nowait(nothing, f"talk_{number:06}.mp3", rate=0.001)
    await queue.join()
    queue.pause()
    for number in range(jobs):
        queue.submit_nowait(turn, f"talk_{number:06}.mp3", rate=0.001)


async def fill_groups(queue: JobQueue, jobs: int, groups: int) -> None:
    """The same in groups of which another one is at work all the time."""
    await fill(queue, 0)
    for number in range(jobs):
        view = queue.options(group=f"sweep {number % groups}")
        view.submit_nowait(turn, f"talk_{number:06}.mp3", rate=0.001)


class FlushMeter:
    """What each flush of a queue's widget costs this process, and how much of it is sent."""

    def __init__(self, queue: JobQueue) -> None:
        self._follower = queue.widget._follower
        self._flush = self._follower._flush
        self._follower._flush = self._timed
        self._sent = Sent(queue.widget)
        self._seconds: list[float] = []

    def _timed(self, *, whole: bool) -> None:
        begin = time.thread_time()
        self._flush(whole=whole)
        self._seconds.append(time.thread_time() - begin)

    def figures(self) -> dict[str, float]:
        """Medians per flush, and their number."""
        return figures(self._seconds, self._sent)


class Sent:
    """Keeps the updates that a widget sends to its pages."""

    def __init__(self, widget: Any) -> None:
        self._updates: list[object] = []
        self._send = widget.comm.send
        widget.comm.send = self._keep

    def _keep(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        if data["method"] == "update":
            self._updates.append(data)
        self._send(data=data, metadata=metadata, buffers=buffers)

    def size(self) -> float:
        """Median bytes of one update as JSON."""
        return median(len(json.dumps(data, ensure_ascii=False)) for data in self._updates)


def figures(seconds: list[float], sent: Sent) -> dict[str, float]:
    """Of so many changes: CPU milliseconds and bytes of one, and their number."""
    return {"cpu": median(seconds) * 1e3, "bytes": sent.size(), "count": len(seconds)}


class Heard:
    """When Python heard each click."""

    def __init__(self, queue: JobQueue | None = None) -> None:
        self.times: list[float] = []
        self._enough = asyncio.Event()
        self._wanted = 0
        if queue is not None:
            queue.subscribe(lambda event: self.now() if event.type == "held" else None)

    def now(self) -> None:
        """One more."""
        self.times.append(time.time())
        if len(self.times) >= self._wanted:
            self._enough.set()

    async def wait_for(self, clicks: int) -> None:
        """Return when so many more were heard: a cell that awaits."""
        self._wanted = len(self.times) + clicks
        self._enough.clear()
        await self._enough.wait()
