"""Declares what the helpers of an engine may use of it; applies many commands at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from .._core import effects as fx
from .._core.spec import EMPTY
from .._core.transitions import apply
from .._threads.interrupts import uninterrupted

if TYPE_CHECKING:
    import logging

    from .._core import events as ev
    from .._core.jobs import JobRecord
    from .._core.state import QueueState
    from .._threads.attempts import Threads
    from .._threads.locks import Lock
    from .settings import Settings

AT_A_TIME = 500  # commands that are applied without letting go of the lock


class EngineView(Protocol):
    """The state under its lock, the time, and the ways in and out. Helpers that need more say so.

    Read attributes anew at each use: settings and logger change, and a fork replaces the lock.
    """

    settings: Settings
    lock: Lock
    state: QueueState
    logger: logging.Logger
    title: str
    run_id: str
    now: Callable[[], float]
    monotonic: Callable[[], float]
    threads: Threads

    @property
    def max_running(self) -> int: ...
    @property
    def accepts_dispatch(self) -> bool: ...
    @property
    def recorder(self) -> RecorderView | None: ...
    @property
    def waiters(self) -> Finds: ...
    @property
    def keeper(self) -> Finds: ...
    def do(self, event: ev.Event) -> bool: ...
    def apply_inside(self, event: ev.Event) -> list[fx.Effect]: ...
    def perform_inside(self, effects: list[fx.Effect]) -> list[fx.Effect]: ...
    def perform(self, effects: list[fx.Effect]) -> None: ...
    def publish(self, type: str, payload: Mapping[str, object] = EMPTY) -> None: ...
    def wake(self) -> None: ...


class Finds(Protocol):
    """Something that may be about a job."""

    def has(self, job: JobRecord) -> bool: ...


class LifeView(Protocol):
    """The lifecycle of the engine: its phase, and the door to its loop."""

    @property
    def phase(self) -> str: ...
    @property
    def is_on_loop_thread(self) -> bool: ...
    @property
    def loop_is_closed(self) -> bool: ...
    def post(self, callback: Callable[..., object], *args: object) -> bool: ...
    def handle_lost_loop(self) -> None: ...
    def on_idle(self) -> None: ...


class RecorderView(Protocol):
    """What writes the journal, if there is one."""

    @property
    def trouble(self) -> str: ...
    def prepare(self, job: JobRecord) -> None: ...
    def has_written(self, job: JobRecord) -> bool: ...
    def erase(self, jobs: Collection[JobRecord]) -> None: ...
    def note_cleared(self) -> None: ...


@uninterrupted
def do_all(engine: EngineView, commands: Iterable[ev.Event]) -> int:
    """Apply commands, one after the other; return how many fitted.

    Others get the lock now and then; a journal gets one transaction.
    """
    waiters, keeper = engine.waiters, engine.keeper

    def matters(effect: fx.Effect) -> bool:  # not so for thousands that nobody awaits
        if type(effect) is fx.ReleaseWaiters:
            return waiters.has(effect.job)
        return type(effect) is not fx.Evict or keeper.has(effect.job)

    fitted, left = 0, iter(commands)
    outside: list[fx.Effect] = []
    while some := list(itertools.islice(left, AT_A_TIME)):
        with engine.lock.held:
            for event in some:
                effects = apply(engine.state, event, engine.now())
                if effects is not None:
                    fitted += 1
                    outside += [one for one in engine.perform_inside(effects) if matters(one)]
    engine.perform(outside)
    return fitted
