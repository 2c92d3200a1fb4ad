"""Runs plugins of any host with the three calls of the reference manager: asked, forced, healed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from .._core.jobs import BlockReason, JobFailure, JobSpec, Outcome
from .._runtime.failures import failure_of
from ..errors import InvalidTargetError
from ..protocols import ExecutorContext, Reporter, SupportsPluginLogs
from .host_desk import HostDesk, desk_of
from .plugin_calls import current_config, in_thread, reserved_keywords
from .plugin_process import death_of, end_process, is_running, process_of

logger = logging.getLogger(__name__)

ASIDE_PATIENCE = 2.0  # seconds for the host's quick calls (configuration, progress)
DEATH_NOTICE = 0.1  # seconds between a connection that breaks and a process that has ended
DEATH_GRACE = 0.5  # for the host to notice by itself that its worker has died
LEAVE_PATIENCE = 5.0  # for an execution to end after its worker was replaced
RELOAD_PATIENCE = 60.0
LOG_LINES = 2_000


class PluginHostExecutor:
    """One execution per plugin at a time, also across queues over the same host."""

    name = "plugin"
    capacity: int | None = None
    can_kill = True

    def __init__(self, host: Any) -> None:
        self._host = host
        self._desk: HostDesk | None = None
        self._context: ExecutorContext | None = None
        self._running: set[PluginExecution] = set()
        self._reserved = reserved_keywords(host)

    def prepare(self, spec: JobSpec) -> object:
        """Refuse keywords that the host's own method takes for itself.

        Raises:
            InvalidTargetError: naming the keyword.
        """
        taken = sorted(self._reserved & spec.kwargs.keys())
        if taken:
            raise InvalidTargetError(
                f"plugin {spec.name!r} cannot be given {taken[0]}=: execute_plugin_async of "
                f"{type(self._host).__name__} uses that name itself; pass it by position"
            )
        return None

    def open(self, context: ExecutorContext) -> None:
        """Use the host until `close`."""
        self._context = context
        if self._desk is None:  # else it was never closed: its loop was lost
            self._desk = desk_of(self._host)
            self._desk.enter()

    def launch(self, spec: JobSpec, reporter: Reporter) -> PluginExecution:
        """Claim the plugin and run it on the host's loop."""
        assert self._desk is not None, "launch before open"
        assert self._context is not None
        return PluginExecution(self._desk, self._context, spec, reporter, self._running)

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """Its own plugin is at work; jobs for other plugins may pass."""
        holder = (self._desk or desk_of(self._host)).holder(spec.name)
        if holder is None:
            return None
        return BlockReason(f"plugin {spec.name!r} is busy with {holder}", may_be_passed=True)

    async def make_room(self, spec: JobSpec) -> bool:
        """The host evicts for itself."""
        return False

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Whenever a plugin is free again."""
        return desk_of(self._host).subscribe(wake)

    async def close(self) -> None:
        """Let go of the host; its plugins stay loaded, they are the user's."""
        desk, self._desk = self._desk, None
        if desk is not None:
            await asyncio.get_running_loop().run_in_executor(None, desk.leave)

    def kill_all_now(self) -> bool:
        """End the processes of the plugins that are at work; each is reloaded at its next use."""
        left = [one for one in list(self._running) if not one.kill_now()]
        return not left

    def after_fork(self) -> None:
        """In a forked child: the host's thread and the plugins' workers are the parent's."""
        desk, self._desk = self._desk, None
        self._running.clear()
        if desk is not None:
            desk.after_fork()


class PluginExecution:
    """One run of one plugin. Its steps run on the host's loop; what may block, in a thread."""

    can_be_killed = True

    def __init__(
        self,
        desk: HostDesk,
        context: ExecutorContext,
        spec: JobSpec,
        reporter: Reporter,
        running: set[PluginExecution],
    ) -> None:
        self._desk = desk
        self._at_work = running
        self._context = context
        self._spec = spec
        self._reporter = reporter
        self._plugin: Any = None
        self._task: asyncio.Task[Outcome] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._run_over = asyncio.Event()
        self._config: Any = None
        self._log_before = ""
        self._stale: tuple[object, object] | None = None
        self._started = False  # the host lets it run
        self._asked = False
        self._killing: threading.Thread | None = None
        self._replaced = False
        self._dead: JobFailure | None = None
        self._over = False
        who = f"job {spec.title!r} of queue {context.queue_name}"
        if desk.claim(spec.name, who):
            running.add(self)
            desk.spawn(self._live())
        else:
            text = f"plugin {spec.name!r} is busy with {desk.holder(spec.name)}"
            reporter.ended(Outcome.of_error(JobFailure("PluginBusy", text)))

    # -- the run, on the host's loop ---------------------------------------------------------------

    async def _live(self) -> None:
        """From the claim to the one end."""
        try:
            outcome = await self._run()
        except BaseException as error:
            outcome = Outcome.of_error(failure_of(error))
        killing = self._killing
        if killing is not None:
            await asyncio.to_thread(killing.join, RELOAD_PATIENCE)
        self._report_log()
        self._over = True
        self._at_work.discard(self)
        self._desk.forget_start(self._spec.name)
        self._desk.release(self._spec.name)
        self._reporter.ended(outcome)

    async def _run(self) -> Outcome:
        name = self._spec.name
        problem = await self._heal(name)
        self._plugin = self._desk.host.get_plugin(name)
        if self._plugin is None:
            text = f"plugin {name!r} is not loaded" + (f" ({problem})" if problem else "")
            return Outcome.of_error(JobFailure("PluginNotLoaded", text))
        if problem:
            return Outcome.of_error(JobFailure("PluginBroken", f"plugin {name!r}: {problem}"))
        self._config = await self._aside(current_config, self._plugin)
        self._stale = await self._progress_now()
        self._log_before = self._host_log(50)
        if self._asked:
            return Outcome.of_stop()
        if self._desk.tell_start(name, self._on_started):
            self._reporter.phase("waiting for resources")
        else:
            self._on_started()
        self._task = asyncio.get_running_loop().create_task(self._execute())
        watch = self._watch_worker()
        self._polling = asyncio.get_running_loop().create_task(self._poll())
        try:
            outcome = await self._task
        except asyncio.CancelledError:
            outcome = Outcome.of_stop()
        finally:
            watch()
            self._run_over.set()
        if outcome.kind == "error" and self._dead is None and self._killing is None:
            self._dead = await self._death_behind_the_error()
        if self._dead is not None and outcome.kind != "value":
            self._desk.broken[name] = self._config
            return Outcome.of_error(self._dead)
        if outcome.kind == "value" or not self._killing:
            await self._poll_once()
        return outcome

    async def _death_behind_the_error(self) -> JobFailure | None:
        """The host may hear of a lost connection a moment before the process has ended."""
        process = process_of(self._plugin)
        for _ in range(4):
            if process is None:
                return None
            if not is_running(process):
                return death_of(process)
            await asyncio.sleep(DEATH_NOTICE / 4)
        return None

    async def _execute(self) -> Outcome:
        """The host's coroutine, with nothing let out of it."""
        spec = self._spec
        try:
            value = await self._desk.host.execute_plugin_async(spec.name, *spec.args, **spec.kwargs)
        except asyncio.CancelledError:
            return Outcome.of_stop()
        except BaseException as error:
            return Outcome.of_error(failure_of(error))
        return Outcome.of_value(value)

    async def _heal(self, name: str) -> str | None:
        """Reload a plugin whose worker died or could not be reloaded before."""
        plugin = self._desk.host.get_plugin(name)
        process = process_of(plugin)
        dead = process is not None and not is_running(process)
        if name not in self._desk.broken and not dead:
            return None
        self._reporter.phase("starting")
        config = self._desk.broken.pop(name, None)
        problem = await asyncio.to_thread(self._desk.reload, name, config)
        if problem is not None:
            self._desk.broken[name] = config
        self._reporter.phase(None)
        return problem

    def _on_started(self) -> None:
        """Any thread: the host has the resources and lets the plugin run."""
        if not self._started:
            self._started = True
            self._reporter.phase(None)

    async def _aside(self, call: Callable[..., Any], *args: Any) -> Any:
        """A quick call of the host, bounded; None if it fails or hangs."""
        try:
            return await asyncio.wait_for(in_thread(call, *args), ASIDE_PATIENCE)
        except Exception as error:
            logger.debug("%s of plugin %s: %r", call, self._spec.name, error)
            return None

    # -- progress ----------------------------------------------------------------------------------

    async def _poll(self) -> None:
        """A poll that is under way when the run ends is left to itself: it may hang."""
        while not self._run_over.is_set():
            with contextlib.suppress(TimeoutError):
                interval = self._context.progress_poll_interval
                await asyncio.wait_for(self._run_over.wait(), interval)
                return
            if self._started:
                await self._poll_once()

    async def _poll_once(self) -> None:
        """Report what the plugin says, unless it still says what it said before this run."""
        found = await self._progress_now()
        if found is not None and found != self._stale and not self._over:
            self._stale = None
            self._reporter.progress(*found)

    async def _progress_now(self) -> tuple[object, object] | None:
        plugin = self._plugin
        getter = getattr(plugin, "get_progress_async", None)
        try:
            if callable(getter):
                answer = await asyncio.wait_for(getter(), ASIDE_PATIENCE)
            elif callable(getter := getattr(plugin, "get_progress", None)):
                answer = await asyncio.wait_for(in_thread(getter), ASIDE_PATIENCE)
            else:
                return None
            return (answer.get("progress"), answer.get("message"))
        except Exception as error:
            logger.debug("progress of plugin %s: %r", self._spec.name, error)
            return None

    # -- the log -----------------------------------------------------------------------------------

    def _host_log(self, lines: int) -> str:
        host = self._desk.host
        if not isinstance(host, SupportsPluginLogs):
            return ""
        try:
            return str(host.get_plugin_logs(self._spec.name, lines=lines))
        except Exception as error:
            logger.debug("log of plugin %s: %r", self._spec.name, error)
            return ""

    def _report_log(self) -> None:
        """This job's part: what came after the last lines that were there before it."""
        after, before = self._host_log(LOG_LINES), self._log_before
        place = after.rfind(before) if before else -1
        mine = after[place + len(before) :] if place >= 0 else after
        if mine:
            self._reporter.log(mine)

    # -- the worker's death ------------------------------------------------------------------------

    def _watch_worker(self) -> Callable[[], None]:
        """Notice at once when the plugin's own process dies; returns what ends the watch."""
        process = process_of(self._plugin)
        if process is None or not hasattr(os, "pidfd_open"):
            return _nothing
        try:
            fd = os.pidfd_open(process.pid)
        except OSError:
            return _nothing
        self._context.io.watch(fd, lambda: self._on_death(process, fd))

        def end() -> None:
            self._context.io.unwatch(fd)
            with contextlib.suppress(OSError):
                os.close(fd)

        return end

    def _on_death(self, process: Any, fd: int) -> None:
        """I/O thread."""
        self._context.io.unwatch(fd)
        if self._killing is None and not self._over:
            self._dead = death_of(process)
            self._context.io.call_later(DEATH_GRACE, self._desk.post, self._cancel_task)

    def _cancel_task(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()

    # -- protocols.Execution -----------------------------------------------------------------------

    def ask_to_stop(self) -> bool:
        """The plugin's own cancel; while it still waits for resources, just stop waiting."""
        self._asked = True
        if self._task is None or not self._started:
            self._desk.post(self._cancel_task)
        else:
            thread = threading.Thread(target=self._ask, name="plugin-cancel", daemon=True)
            thread.start()
        return True

    def _ask(self) -> None:
        """In a thread: it may raise or hang."""
        plugin = self._plugin
        try:
            ask = getattr(plugin, "cancel_async", None)
            if callable(ask):
                self._desk.spawn(self._ask_async(ask))
            elif callable(ask := getattr(plugin, "cancel", None)):
                ask()
        except BaseException as error:
            logger.info("cancel() of plugin %s failed: %r", self._spec.name, error)

    async def _ask_async(self, ask: Callable[[], Any]) -> None:
        try:
            await asyncio.wait_for(ask(), max(0.1, self._context.cancel_timeout))
        except Exception as error:
            logger.info("cancel_async() of plugin %s failed: %r", self._spec.name, error)

    def kill(self) -> None:
        """End the plugin's process group if it shows one, then have its worker replaced."""
        if self._killing is None and not self._over:
            self._killing = threading.Thread(target=self._force, name="plugin-kill", daemon=True)
            self._killing.start()

    def kill_now(self) -> bool:
        """End the plugin's process and reload nothing. True if it is gone. Any thread."""
        process = process_of(self._plugin)
        if process is None or not end_process(process):
            return False
        self._desk.broken[self._spec.name] = self._config
        return True

    def _force(self) -> None:
        """In a thread: reloading may block for long."""
        name = self._spec.name
        if self._task is None or not self._started:
            self._desk.post(self._cancel_task)
            return
        process = process_of(self._plugin)
        gone = process is not None and end_process(process)
        problem = self._desk.reload(name, self._config)
        if problem is not None:
            self._desk.broken[name] = self._config
            text = f"the plugin could not be reloaded: {problem}"
            if gone:
                logger.warning("plugin %s was ended, but %s", name, text)
                self._reporter.log(f"[{text}]\n")
            else:
                self._reporter.kill_failed(text)
                return
        self._replaced = True
        self._context.io.call_later(LEAVE_PATIENCE, self._desk.post, self._cancel_task)


def _nothing() -> None:
    """Ends no watch."""
