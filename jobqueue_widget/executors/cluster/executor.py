"""What executors have in common that use an engine of their user's over a loop: Dask and Ray."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from ..._core.jobs import BlockReason, Outcome
from ..._core.spec import JobSpec
from ..._threads.listeners import Listeners
from ..._threads.locks import Lock
from ...errors import InvalidOptionError
from ...protocols import ExecutorContext, Reporter
from ...workers.packing import Packed, PackedCall, Packer
from .execution import RemoteExecution, check_function, lost
from .leases import Kind, Leases

EMERGENCY_SECONDS = 1.0

AnyLeases = TypeVar("AnyLeases", bound=Leases)


class AttachedExecutor(ABC, Generic[AnyLeases]):
    """A `protocols.Executor` and a `Carrier`; its `Leases` live on one loop."""

    name = ""
    can_kill = True
    launches_anywhere = True
    sets_surroundings = True  # on the other side
    admits_by_itself = True  # what a job needs, it needs of the engine

    def __init__(self, idle_seconds: float) -> None:
        if not idle_seconds >= 0:
            raise InvalidOptionError(f"idle_seconds must be 0 or more, not {idle_seconds!r}")
        self._idle_seconds = idle_seconds
        self._packer = Packer()
        self._lock = Lock()
        self._at_work: set[RemoteExecution] = set()
        self._listeners = Listeners()
        self._context: ExecutorContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leases: AnyLeases | None = None  # while it is open, after it has seen the engine

    @abstractmethod
    def _kind(self, execution: RemoteExecution) -> Kind:
        """Return what the engine is asked for."""

    @property
    def capacity(self) -> int | None:
        """Number of slots of the engine, as last seen; None while that is not known."""
        leases = self._leases
        return None if leases is None else leases.capacity

    def prepare(self, spec: JobSpec) -> tuple[Packed, bytes | PackedCall]:
        """Pickle the function and its arguments now.

        Raises:
            UnpicklableJobError: naming what is in the way.
            InvalidOptionError: it is no plain function.
        """
        check_function(spec, self.name)
        target = cast("Callable[..., object]", spec.target)
        return self._packer.pack(target, spec.args, spec.kwargs)

    def _check_free(self) -> None:
        if self._context is not None:
            raise RuntimeError(
                f"this {type(self).__name__} serves the queue {self._context.queue_name} already; "
                "make one for each queue"
            )

    def launch(self, spec: JobSpec, reporter: Reporter) -> RemoteExecution:
        """Ask the engine for a slot, or use one that is there."""
        assert self._context is not None, "launch before open"
        execution = RemoteExecution(self, spec, reporter, self._context)
        with self._lock.held:
            self._at_work.add(execution)
        self._on_loop(self._place, execution)
        return execution

    def _place(self, execution: RemoteExecution) -> None:
        if (leases := self._leases) is not None:
            leases.place(execution, self._kind(execution))

    def _too_little(
        self, name: str, amount: float, free: float, total: float
    ) -> BlockReason | None:
        if free >= amount:
            return None
        text = f"needs {name}={amount:g}, {free:g} of {total:g} is free"
        return BlockReason(text, need={name: amount}, have={name: free})

    def after_fork(self) -> None:
        """Forget the engine in a forked child: it is the parent's."""
        self._leases = self._context = None
        self._at_work.clear()

    def _place_all(self) -> None:
        """Place the jobs that were launched before there were leases."""
        with self._lock.held:
            at_work = list(self._at_work)
        for execution in at_work:
            self._place(execution)

    def _all_are_taken(self, capacity: int, what: str, engine: str) -> BlockReason | None:
        if len(self._at_work) < capacity:
            return None
        which = f"all {capacity} {what}s" if capacity > 1 else f"the only {what}"
        return BlockReason(
            f"{which} of {engine} have a job of this queue", need={what: 1}, have={what: 0}
        )

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when the engine has grown or shrunk."""
        return self._listeners.add(wake)

    def _lose_all(self, why: str) -> None:
        """The engine is gone without a word."""
        with self._lock.held:
            at_work = list(self._at_work)
        for execution in at_work:
            execution.end(Outcome.of_error(lost(execution, why)))

    def _close_now(self, leases: AnyLeases, loop: asyncio.AbstractEventLoop) -> bool:
        """Close them from a thread that may wait; False: that took too long, or failed."""
        closing = asyncio.run_coroutine_threadsafe(leases.close(), loop)
        try:
            closing.result(EMERGENCY_SECONDS)
        except Exception:
            return False
        return True

    # -- execution.Carrier, any thread -------------------------------------------------------

    def withdraw(self, execution: RemoteExecution) -> None:
        """Pass on that it shall stop, or is to be forced."""
        self._on_loop(self._tell, Leases.withdraw, execution)

    def taken(self, execution: RemoteExecution) -> None:
        """Note that its slot is gone, and its process too."""
        self._tell(Leases.taken, execution)

    def over(self, execution: RemoteExecution) -> None:
        """Forget one that has ended, and release its lease."""
        with self._lock.held:
            self._at_work.discard(execution)
        self._on_loop(self._tell, Leases.freed, execution)

    def _tell(
        self, what: Callable[[Leases, RemoteExecution], None], execution: RemoteExecution
    ) -> None:
        if (leases := self._leases) is not None:
            what(leases, execution)

    def _on_loop(self, callback: Callable[..., object], *args: object) -> None:
        """Call back on the leases' loop: at once if this is it, else soon; never if it is gone."""
        loop = self._loop
        if loop is None:
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is loop:
            callback(*args)
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(callback, *args)
