"""What all queues over one plugin host share: its loop, who uses which plugin, what to heal."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from ..._runtime.failures import failure_of
from ..._threads.listeners import Listeners
from ..._threads.locks import Lock
from ..._threads.private_loop import PrivateLoop

logger = logging.getLogger(__name__)

_sessions: weakref.WeakValueDictionary[int, HostSession] = weakref.WeakValueDictionary()
_sessions_lock = Lock()


def session_of(host: Any) -> HostSession:
    """Return the one session of this host; it lives as long as an executor uses it."""
    with _sessions_lock.held:
        session = _sessions.get(id(host))
        if session is None or session.host is not host:
            session = _sessions[id(host)] = HostSession(host)
        return session


class HostLoop(PrivateLoop):
    """The loop of a host's coroutines, whose end does not wait for one that goes on."""

    async def _finish_tasks(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1.0)


class HostSession:
    """What all queues over one plugin host share. Any thread.

    The host's coroutines run on a loop of their own, in a thread: what blocks inside the host
    (eviction, reloads, synchronous HTTP) never blocks a queue's loop.
    """

    def __init__(self, host: Any) -> None:
        self.host = host
        self._lock = Lock()
        self._users = 0
        self._private: HostLoop | None = None
        self._claims: dict[str, str] = {}
        self._listeners = Listeners()
        self._starting: dict[str, Callable[[], None]] = {}
        self._unhook: Callable[[], None] | None = None
        self.broken: set[str] = set()  # plugins to reload before their next run
        self.configs: dict[str, Any] = {}  # what each plugin was last known to be configured with
        self.unanswered: set[str] = set()  # plugins whose get_progress() has not come back
        self.reload_takes_config = _takes(host, "reload_plugin", 2)

    # -- the loop ----------------------------------------------------------------------------------

    def enter(self) -> None:
        """Begin the loop with the first executor that uses the host."""
        with self._lock.held:
            if not self._users:
                self._private = HostLoop("jobqueue-plugin-host")
                self._unhook = self._hook_scheduler()
            self._users += 1

    def leave(self) -> None:
        """End the loop with the last executor, and take our hook out of the host."""
        with self._lock.held:
            self._users -= 1
            if self._users:
                return
            private, unhook = self._private, self._unhook
            self._private = self._unhook = None
        if unhook is not None:
            unhook()
        if private is not None:
            private.close()
            if not private.join():
                logger.error("the plugin host still blocks its loop; its thread is left behind")

    def after_fork(self) -> None:
        """Begin anew in a forked child: what is in flight is the parent's."""
        self.__init__(self.host)  # type: ignore[misc]

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the host's loop."""
        assert self._private is not None, "the session is closed"
        asyncio.run_coroutine_threadsafe(coroutine, self._private.loop)

    def post(self, callback: Callable[..., object], *args: object) -> None:
        """Call back on the host's loop, if there still is one."""
        private = self._private
        if private is not None:
            with contextlib.suppress(RuntimeError):
                private.loop.call_soon_threadsafe(callback, *args)

    # -- one execution per plugin ------------------------------------------------------------------

    def holder(self, plugin: str) -> str | None:
        """Return who uses the plugin now."""
        return self._claims.get(plugin)

    def claim(self, plugin: str, who: str) -> bool:
        """Take the plugin; False if somebody has it."""
        with self._lock.held:
            return self._claims.setdefault(plugin, who) == who

    def release(self, plugin: str) -> None:
        """Give it back and let every queue look again."""
        with self._lock.held:
            self._claims.pop(plugin, None)
        self._listeners.tell()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever a plugin is given back."""
        return self._listeners.add(wake)

    # -- waiting for resources ---------------------------------------------------------------------

    def tell_start(self, plugin: str, callback: Callable[[], None]) -> bool:
        """Call back when the host's scheduler lets the plugin begin; False: cannot be known."""
        if self._unhook is None:
            return False
        self._starting[plugin] = callback
        return True

    def forget_start(self, plugin: str) -> None:
        """Forget that callback: nobody waits for it any more."""
        self._starting.pop(plugin, None)

    def _hook_scheduler(self) -> Callable[[], None] | None:
        """Listen to `scheduler.on_execution_start`, in front of the scheduler's own."""
        scheduler = getattr(self.host, "scheduler", None)
        original = getattr(scheduler, "on_execution_start", None)
        if scheduler is None or not callable(original):
            return None

        def on_execution_start(plugin: str, *args: Any, **kwargs: Any) -> Any:
            callback = self._starting.pop(plugin, None)
            if callback is not None:
                callback()
            return original(plugin, *args, **kwargs)

        own = vars(scheduler).get("on_execution_start") if hasattr(scheduler, "__dict__") else None
        try:
            scheduler.on_execution_start = on_execution_start
        except AttributeError:
            return None

        def unhook() -> None:
            if own is not None:
                scheduler.on_execution_start = own
                return
            with contextlib.suppress(AttributeError):
                del scheduler.on_execution_start

        return unhook

    # -- the host's blocking calls -----------------------------------------------------------------

    def reload(self, plugin: str, *, is_dead: bool) -> str | None:
        """Replace the plugin's worker; why that failed, or None. Blocks for as long as it takes."""
        config = self.configs.get(plugin)
        problem = self._reload(plugin, config)
        if problem and is_dead and config is None and self.reload_takes_config:
            # The reference manager asks the worker for the configuration; a dead one cannot say.
            problem = self._reload(plugin, {})
        if problem:
            self.broken.add(plugin)
        else:
            self.broken.discard(plugin)
        return problem

    def _reload(self, plugin: str, config: Any) -> str | None:
        try:
            if self.reload_takes_config:
                answer = self.host.reload_plugin(plugin, config)
            else:
                answer = self.host.reload_plugin(plugin)
        except BaseException as error:
            return f"reload_plugin raised {failure_of(error)}"
        return "reload_plugin returned False" if answer is False else None


def _takes(host: Any, method: str, count: int) -> bool:
    """True if the method can be called with that many positional arguments."""
    try:
        inspect.signature(getattr(host, method)).bind(*[None] * count)
    except (TypeError, ValueError, AttributeError):
        return False
    return True
