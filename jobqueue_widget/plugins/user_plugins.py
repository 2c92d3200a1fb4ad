"""Plugins that the user put into `manager.plugins`: objects of their own, called as they are."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.jobs import Outcome
from .._core.spec import JobSpec
from .._runtime.failures import failure_of
from .._threads.locks import Lock
from ..errors import PluginDisabledError
from ..protocols import LoadedPlugin, Reporter
from .manifests.manifest import PluginMeta
from .own_loop import OwnLoop

if TYPE_CHECKING:
    from .admission import PluginAdmission
    from .slots import Plugin


class UserPlugin:
    """One object of the user's. It runs in this process: nothing can end it. Any thread."""

    def __init__(self, name: str, meta: PluginMeta) -> None:
        self.name = name
        self.meta = meta
        self._running = 0
        self._lock = Lock()

    def check(self) -> None:
        """Check that it may run.

        Raises:
            PluginDisabledError: it was disabled.
        """
        if not self.meta.enabled:
            raise PluginDisabledError(f"plugin {self.name!r} is disabled")

    @property
    def busy(self) -> bool:
        """True while it executes."""
        return self._running > 0

    @contextlib.contextmanager
    def running(self, admission: PluginAdmission) -> Iterator[None]:
        """Note that a call runs, which was admitted."""
        with self._lock.held:
            self._running += 1
        self.meta.last_executed = time.time()
        tell_end = admission.tell_start(self.name)
        try:
            yield
        finally:
            with self._lock.held:
                self._running -= 1
            tell_end()

    def execute(self, admission: PluginAdmission, args: Any, kwargs: Any) -> Any:
        """Run it in this thread."""
        self.check()
        admission.admit(self.meta)
        with self.running(admission):
            return self.meta.instance.execute(*args, **kwargs)

    async def execute_async(self, admission: PluginAdmission, args: Any, kwargs: Any) -> Any:
        """Await it; one that can only block is run in a thread."""
        self.check()
        await admission.admit_async(self.meta)
        with self.running(admission):
            awaited = getattr(self.meta.instance, "execute_async", None)
            if callable(awaited):
                return await awaited(*args, **kwargs)
            return await asyncio.to_thread(self.meta.instance.execute, *args, **kwargs)

    async def execute_stream(
        self, admission: PluginAdmission, args: Any, kwargs: Any
    ) -> AsyncGenerator[Any, None]:
        """Yield its pieces as it gives them."""
        self.check()
        await admission.admit_async(self.meta)
        with self.running(admission):
            async for piece in self.meta.instance.execute_stream(*args, **kwargs):
                yield piece

    def evict(self) -> str | None:
        """Free what it holds, by its release(); return why not, or None."""
        release = getattr(self.meta.instance, "release", None)
        if self.busy:
            return "busy"
        if not callable(release):
            return "it was put into manager.plugins, and has no release()"
        release()
        return None

    def close(self) -> bool:
        """Call its own cleanup(), if it has one: it is no plugin any more."""
        cleanup = getattr(self.meta.instance, "cleanup", None)
        if callable(cleanup):
            cleanup()
        return True

    def as_loaded(self) -> LoadedPlugin:
        """Describe it as a loaded plugin, for admission."""
        pid = getattr(self.meta.instance, "pid", None)
        executed_at = self.meta.last_executed
        last_used = time.monotonic() - (time.time() - executed_at)
        of_a_process = pid if isinstance(pid, int) else None
        return LoadedPlugin(self.name, of_a_process, self.busy, last_used, executed_at > 0)


class UserPluginRun:
    """One job of a queue: a `protocols.PluginExecution` in a thread with a loop of its own."""

    can_be_killed = False

    def __init__(
        self, plugin: UserPlugin, admission: PluginAdmission, spec: JobSpec, reporter: Reporter
    ) -> None:
        self._plugin = plugin
        self._reporter = reporter
        self._asked = False
        call = functools.partial(plugin.execute_async, admission, spec.args, spec.kwargs)
        self._running = OwnLoop(f"plugin-{plugin.name}", call, self._end)

    def _end(self, value: object, error: BaseException | None) -> None:
        if error is None:
            outcome = Outcome.of_value(value)
        elif self._asked and isinstance(error, asyncio.CancelledError):
            outcome = Outcome.of_stop()
        else:
            outcome = Outcome.of_error(failure_of(error))
        self._reporter.ended(outcome)

    def ask_to_stop(self) -> bool:
        """Call its cancel(), if it has one, and cancel what is awaited."""
        cancel = getattr(self._plugin.meta.instance, "cancel", None)
        if callable(cancel):
            threading.Thread(target=cancel, name="plugin-cancel", daemon=True).start()
        self._asked = True
        self._running.cancel()
        return True

    def kill(self) -> None:
        """Say that this cannot be done: `can_be_killed` is False."""
        self._reporter.kill_failed("what runs in this process cannot be forced to end")

    def kill_now(self) -> bool:
        """Return False: a thread cannot be ended."""
        return False


@dataclass(slots=True, eq=False, repr=False)
class PluginTable(MutableMapping[str, PluginMeta]):
    """`manager.plugins`: the loaded ones, and what the user puts here. Iterates over a copy."""

    _loaded: Mapping[str, Plugin]
    _user_plugins: dict[str, UserPlugin]
    _unload: Callable[[str], bool]

    def __getitem__(self, name: str) -> PluginMeta:
        plugin: Plugin | UserPlugin | None = self._loaded.get(name) or self._user_plugins.get(name)
        if plugin is None:
            raise KeyError(name)
        return plugin.meta

    def __setitem__(self, name: str, meta: PluginMeta) -> None:
        if name not in self._loaded or self._loaded[name].meta is not meta:
            self._unload(name)
            self._user_plugins[name] = UserPlugin(name, meta)

    def __delitem__(self, name: str) -> None:
        if not self._unload(name):
            raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._loaded, *self._user_plugins])

    def __len__(self) -> int:
        return len(self._loaded) + len(self._user_plugins)

    def __repr__(self) -> str:
        return repr(dict(self))
