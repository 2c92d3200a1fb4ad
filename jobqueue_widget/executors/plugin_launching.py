"""Runs plugins of a host that launches jobs itself: all that a queue must do is pass things on."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from .._core.jobs import BlockReason
from .._core.spec import JobSpec
from ..protocols import ExecutorContext, LaunchesPlugins, OffersResources, PluginExecution, Reporter


class LaunchingHostExecutor:
    """One queue's way to such a host; the host sees to it that queues do not harm one another."""

    name = "plugin"
    capacity: int | None = None
    can_kill = True
    launches_anywhere = True

    def __init__(self, host: LaunchesPlugins) -> None:
        self._host = host
        self.offers: OffersResources | None = host if isinstance(host, OffersResources) else None
        self._context: ExecutorContext | None = None
        self._running: weakref.WeakSet[PluginExecution] = weakref.WeakSet()

    def prepare(self, spec: JobSpec) -> object:
        """Pack the arguments.

        Raises:
            UnsendableValueError: naming the place inside the argument.
        """
        return self._host.prepare_plugin(spec)

    def open(self, context: ExecutorContext) -> None:
        """Bind to a queue."""
        self._context = context

    def launch(self, spec: JobSpec, reporter: Reporter) -> PluginExecution:
        """Let the host start it."""
        assert self._context is not None, "launch before open"
        execution = self._host.launch_plugin(spec, reporter, self._context)
        self._running.add(execution)
        return execution

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """Return that its own plugin is at work, if so; jobs for other plugins may pass."""
        return self._host.plugin_blocked_by(spec.name)

    def config_of(self, name: str) -> object:
        """Return the configuration that its next call runs with."""
        return self._host.plugin_configuration(name)

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever a plugin is free again."""
        return self._host.on_change(wake)

    async def close(self) -> None:
        """Let go of the host; its plugins stay loaded, they are the user's."""
        self._context = None

    def kill_all_now(self) -> bool:
        """End the workers of this queue's jobs; the host puts fresh ones in their place."""
        self._context = None
        left = [one for one in list(self._running) if not one.kill_now()]
        return not left

    def after_fork(self) -> None:
        """Forget in a forked child what runs: it is the parent's."""
        self._context = None
        self._running.clear()
