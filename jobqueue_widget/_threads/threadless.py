"""Stands in for threads where there are none, in the browser's Python: calls of the event loop.

That Python has one loop, which runs always. Nobody else can do anything while somebody waits on it
without `await`.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .._core.spec import JobSpec
from ..errors import NotSupportedError
from .supervisor import Callback, Supervisor

HAS_THREADS = sys.platform != "emscripten"  # else no processes either

COROUTINES = (
    "coroutine functions run there: write `async def`, which lets others go on where it awaits, "
    "as in `await asyncio.sleep(0)`"
)


def not_there(what: str, instead: str = COROUTINES) -> NotSupportedError:
    """Return the refusal of what is made of threads or processes, with what works instead."""
    reason = "the browser's Python has no threads and no processes"
    return NotSupportedError(f"{what}: {reason}; {instead}")


def check_runs_there(spec: JobSpec, executor: object) -> None:
    """Check a job where there are no threads: a coroutine can run, or an executor of the user's.

    Raises:
        NotSupportedError: it needs a thread or a process.
    """
    if HAS_THREADS:
        return
    name, kind = repr(spec.name), type(executor)
    if spec.options.resources is not None:
        raise not_there(f"resources= of {name} cannot be watched", "leave resources= out")
    if isinstance(executor, str) and executor != "coroutine":
        raise not_there(f"executor={executor!r} cannot be had for {name}")
    if kind.__module__.startswith(f"{__name__.partition('.')[0]}.executors."):
        raise not_there(f"a {kind.__name__} cannot be had for {name}")
    if executor is None and spec.kind == "plugin":
        raise not_there(f"plugin {name} cannot run, as it has a process of its own")
    if executor is None and spec.kind == "function":
        raise not_there(f"{name} is a plain function, which runs in a process")


class LoopIo(Supervisor):
    """What the I/O thread is elsewhere: timers and calls. There are no pipes to watch."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._handles: set[asyncio.Handle] = set()

    def call(self, callback: Callback, *args: object) -> None:
        """Run the callback soon, in order of the calls."""
        self.call_later(0.0, callback, *args)

    def call_later(self, seconds: float, callback: Callback, *args: object) -> Callable[[], None]:
        """Run the callback after `seconds`; returns what cancels it."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        handle: asyncio.Handle

        def arm() -> None:
            nonlocal handle
            left = max(0.0, due - loop.time())
            handle = loop.call_later(left, fire, context=contextvars.Context())
            self._handles.add(handle)

        def fire() -> None:
            self._handles.discard(handle)
            if loop.time() < due:  # pyodide's loop waits for 25 days at most
                arm()
            else:
                callback(*args)

        def cancel() -> None:
            handle.cancel()
            self._handles.discard(handle)

        arm()
        return cancel

    def watch(self, fd: int, on_readable: Callback) -> None:
        """Refuse: nothing there has a descriptor that becomes readable."""
        raise not_there(f"descriptor {fd} cannot be watched")

    def watch_writable(self, fd: int, on_writable: Callback | None) -> None:
        """Refuse likewise."""
        raise not_there(f"descriptor {fd} cannot be watched")

    def close(self, timeout: float = 5.0) -> None:
        """Forget all that was to come."""
        while self._handles:
            self._handles.pop().cancel()


class LoopThread(threading.Thread):
    """Runs its target on the loop, soon, or when somebody waits for its end before that."""

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        super().__init__(group, target, name, args, kwargs, daemon=daemon)
        self._is_due = self._has_ended = False

    def start(self) -> None:
        """Run it soon, with no context variables of whoever starts it, as a thread has none."""
        loop = asyncio.get_running_loop()
        loop.call_soon(self._run_if_due, context=contextvars.Context())
        self._is_due = True

    def _run_if_due(self) -> None:
        if self._is_due:
            self._is_due = False
            try:
                self.run()
            finally:
                self._has_ended = True

    def join(self, timeout: float | None = None) -> None:
        """Run it now, if it has not begun."""
        self._run_if_due()

    def is_alive(self) -> bool:
        """True until it has ended."""
        return not self._has_ended


Thread: type[threading.Thread] = threading.Thread if HAS_THREADS else LoopThread
NewIo: type[Supervisor] = Supervisor if HAS_THREADS else LoopIo
