"""Gives jobs in the order in which they end, to a coroutine or to a plain loop."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ..._core.jobs import JobRecord
from ..._runtime.waits import WAITS
from ..._threads.kernel import run_nested
from ...child.job_context import current_job
from ...errors import WaitTimeoutError
from ...job import Job
from ..display_hook import hearing
from ..outlook import outlook

if TYPE_CHECKING:
    from ..._runtime.engine import Engine
    from ..._runtime.waiting import Waiter
    from .drawing import Drawing


class ControlView(Protocol):
    """What arrivals ask of the queue that has the jobs (`_api/control.py`)."""

    engine: Engine

    def handle(self, record: JobRecord) -> Job: ...
    def runs_here(self) -> bool: ...


class Arrivals:
    """Each of some jobs when it has ended, those that have ended already first.

    `async for` in a coroutine, plain `for` in a cell, a callback or a thread. For once: what it has
    given it does not give again. Jobs go on when nobody reads any more, and nothing is kept for it.
    """

    def __init__(
        self,
        control: ControlView,
        records: Sequence[JobRecord],
        timeout: float | None,
        drawing: Drawing | None = None,
    ) -> None:
        self._control = control
        self._timeout = timeout
        self._seconds_left = countdown(timeout, control.engine.monotonic)
        self._left: dict[JobRecord, Job] = {}  # not given yet: held, so that results are kept
        self._total = 0
        self._ended: deque[JobRecord] = deque()
        self._waiter: Waiter | None = None
        self._drawing = drawing  # of a long map, whose later items come, too
        if drawing is not None:
            records = drawing.follow(self)
        with control.engine.lock.held:
            over = [record for record in records if record.status.ended]
            over.sort(key=lambda record: record.ended_number)
            self.add([*over, *records])

    def add(self, records: Sequence[JobRecord]) -> None:
        """Give these, too; none: no more are to come. Under the lock."""
        for record in dict.fromkeys(records):
            if record in self._left:
                continue
            self._left[record] = self._control.handle(record)
            self._total += 1
            arrived = partial(_arrived, weakref.ref(self), record)
            if not self._control.engine.waiters.add_at_end(record, arrived):
                arrived()
        if not records and (waiter := self._waiter) is not None:
            waiter.settle()

    @property
    def _is_over(self) -> bool:
        is_drawn = self._drawing is None or self._drawing.is_over  # before: that ends last
        return is_drawn and not self._left

    def __aiter__(self) -> Arrivals:
        return self

    def __iter__(self) -> Arrivals:
        return self

    async def __anext__(self) -> Job:
        while (job := self._next()) is None:
            if self._is_over:
                raise StopAsyncIteration
            await self._wait()
        return job

    def __next__(self) -> Job:
        while (job := self._next()) is None:
            if self._is_over:
                raise StopIteration
            if self._control.runs_here():
                run_nested(self._wait)
            else:
                self._wait_blocking()
        return job

    def arrived(self, record: JobRecord) -> None:
        """Note that one has ended. Any thread."""
        self._ended.append(record)
        if (waiter := self._waiter) is not None:
            waiter.settle()

    def _next(self) -> Job | None:
        if not self._ended:
            return None
        return self._left.pop(self._ended.popleft())

    async def _wait(self) -> None:
        """Wait until another one has ended; for nothing that cannot happen, as `join` does."""
        waiter = self._begin()
        try:
            with self._as_wait_of_a_job(waiter):
                await within(self._seconds_left(), waiter)
            await asyncio.sleep(0)  # another thread may have to tell of the end yet
        except TimeoutError:
            raise self._too_slow() from None
        finally:
            self._finish(waiter)

    def _wait_blocking(self) -> None:
        waiter = self._begin()
        try:
            with self._as_wait_of_a_job(waiter):
                is_over = waiter.wait_blocking(self._seconds_left())
            if not is_over:
                raise self._too_slow()
        finally:
            self._finish(waiter)

    def _begin(self) -> Waiter:
        self._control.engine.life.handle_lost_loop()
        waiter = self._waiter = self._control.engine.waiters.for_all()
        if self._ended or self._is_over:  # since it was last looked at
            waiter.settle()
        return waiter

    def _finish(self, waiter: Waiter) -> None:
        self._waiter = None
        self._control.engine.waiters.forget(waiter)

    def _as_wait_of_a_job(self, waiter: Waiter) -> ExitStack:
        """Note what a job waits for, if this is the code of one: a circle is told of."""
        stack, engine = ExitStack(), self._control.engine
        if current_job().id is not None:
            for record in list(self._left):
                stack.enter_context(WAITS.entered(engine, record, waiter, self._timeout))
        return stack

    def _too_slow(self) -> WaitTimeoutError:
        return WaitTimeoutError(
            f"{len(self._left):,} of {self._total:,} jobs have not ended after "
            f"{self._timeout:g} s; {outlook(self._control.engine, list(self._left))}"
        )


def _arrived(reader: weakref.ref[Arrivals], record: JobRecord) -> None:
    arrivals = reader()
    if arrivals is not None:  # else nobody reads any more
        arrivals.arrived(record)


def countdown(timeout: float | None, monotonic: Callable[[], float]) -> Callable[[], float | None]:
    """Return what tells how many of these seconds are left, from now on; None: there is no end."""
    end = None if timeout is None else monotonic() + timeout
    return lambda: None if end is None else max(0.0, end - monotonic())


async def within(timeout: float | None, waiter: Waiter) -> None:
    """Wait for at most `timeout` seconds, and answer pages meanwhile."""
    with hearing() or nullcontext():
        async with asyncio.timeout(timeout):
            await waiter.wait()
