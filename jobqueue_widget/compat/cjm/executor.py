"""Runs plugins of any host with the three calls of the reference manager: asked, forced, healed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from ..._core.jobs import BlockReason, JobFailure, Outcome
from ..._core.retrying import lies_with_the_machine
from ..._core.spec import JobSpec
from ..._runtime.failures import failure_of
from ..._threads.listeners import nothing
from ..._threads.locks import Lock
from ...errors import InvalidTargetError
from ...protocols import ExecutorContext, OffersResources, Reporter
from ...workers.system.exits import Exit
from .calls import current_config, guarded, in_thread, reserved_keywords
from .process import death_of, end_process, is_running, process_of
from .reports import PluginReports, aside
from .shared import HostSession, session_of

logger = logging.getLogger(__name__)

DEATH_NOTICE = 0.1  # seconds between a connection that breaks and a process that has ended
DEATH_GRACE = 0.5  # for the host to notice by itself that its worker has died
LEAVE_PATIENCE = 5.0  # for an execution to end after its worker was replaced
CANCEL_PATIENCE = 5.0  # for it to end after it was cancelled then
RELOAD_PATIENCE = 60.0


class PluginHostExecutor:
    """One execution per plugin at a time, also across queues over the same host."""

    name = "plugin"
    capacity: int | None = None
    can_kill = True

    def __init__(self, host: Any) -> None:
        self._host = host
        self._session: HostSession | None = None
        self._context: ExecutorContext | None = None
        self._running: set[HostExecution] = set()
        self._reserved = reserved_keywords(host)
        self.offers: OffersResources | None = host if isinstance(host, OffersResources) else None

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
        if self._session is None:  # else it was never closed: its loop was lost
            self._session = session_of(self._host)
            self._session.enter()

    def launch(self, spec: JobSpec, reporter: Reporter) -> HostExecution:
        """Claim the plugin and run it on the host's loop."""
        assert self._session is not None, "launch before open"
        assert self._context is not None
        return HostExecution(self._session, self._context, spec, reporter, self._running)

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """Return that its own plugin is at work, if so; jobs for other plugins may pass."""
        holder = (self._session or session_of(self._host)).holder(spec.name)
        if holder is None:
            return None
        return BlockReason(f"plugin {spec.name!r} is busy with {holder}", may_be_passed=True)

    def config_of(self, name: str) -> object:
        """Return the configuration with which the plugin last ran; None before."""
        return None if self._session is None else self._session.configs.get(name)

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever a plugin is free again."""
        return session_of(self._host).subscribe(wake)

    async def close(self) -> None:
        """Let go of the host; its plugins stay loaded, they are the user's."""
        session, self._session = self._session, None
        if session is not None:
            await asyncio.get_running_loop().run_in_executor(None, session.leave)

    def kill_all_now(self) -> bool:
        """End the processes of the plugins that are at work; each is reloaded at its next use."""
        left = [one for one in list(self._running) if not one.kill_now()]
        return not left

    def after_fork(self) -> None:
        """Forget in a forked child what is the parent's: the host's thread, the workers."""
        session, self._session = self._session, None
        self._running.clear()
        if session is not None:
            session.after_fork()


class HostExecution:
    """One run of one plugin. Its steps run on the host's loop; what may block, in a thread."""

    can_be_killed = True

    def __init__(
        self,
        session: HostSession,
        context: ExecutorContext,
        spec: JobSpec,
        reporter: Reporter,
        running: set[HostExecution],
    ) -> None:
        self._session = session
        self._at_work = running
        self._context = context
        self._spec = spec
        self._reporter = reporter
        self._plugin: Any = None
        self._reports: PluginReports | None = None
        self._task: asyncio.Task[Outcome | None] | None = None  # the step that may be cancelled
        self._healing: asyncio.Future[Any] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._run_over = asyncio.Event()
        self._kill_over = asyncio.Event()
        self._lock = Lock()  # of the next three
        self._forcing = False
        self._over = False
        self._given_up = False
        self._started = False  # the host lets it run
        self._asked = False
        self._noticed = False  # the plugin's own cancel() has returned
        self._not_reloaded: str | None = None
        self._dead: JobFailure | None = None
        self._timers: list[Callable[[], None]] = []
        who = f"job {spec.title!r} of queue {context.queue_name}"
        if session.claim(spec.name, who):
            running.add(self)
            reporter.phase("starting")
            session.spawn(self._live())
        else:
            text = f"plugin {spec.name!r} is busy with {session.holder(spec.name)}"
            reporter.ended(Outcome.of_error(JobFailure("PluginBusy", text)))

    # -- the run, on the host's loop ---------------------------------------------------------------

    async def _live(self) -> None:
        """Run the job from the claim to its one end."""
        try:
            outcome = await self._step(self._prepare()) or await self._run()
        except BaseException as error:
            not_begun = not self._started and lies_with_the_machine(error)
            outcome = (Outcome.of_start if not_begun else Outcome.of_error)(failure_of(error))
        with self._lock.held:  # from now on the plugin is not ours to kill
            self._over = not self._forcing
        if not self._over:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._kill_over.wait(), RELOAD_PATIENCE)
            self._over = True
            if outcome.kind != "value" and self._not_reloaded:
                outcome = Outcome.of_stop(JobFailure("PluginNotReloaded", self._not_reloaded))
        for cancel_timer in self._timers:
            cancel_timer()
        if self._reports is not None:
            await self._reports.report_log()
        self._at_work.discard(self)
        name = self._spec.name
        self._session.forget_start(name)
        if self._healing is None or self._healing.done():
            self._session.release(name)
        else:
            self._healing.add_done_callback(lambda _: self._session.release(name))
        self._reporter.ended(outcome)

    async def _step(self, step: Coroutine[Any, Any, Outcome | None]) -> Outcome | None:
        """Await a step that a request to stop may cut off."""
        if self._asked and not self._started:
            step.close()
            return Outcome.of_stop()
        self._task = asyncio.get_running_loop().create_task(step)
        try:
            return await self._task
        except asyncio.CancelledError:
            return Outcome.of_stop()

    async def _prepare(self) -> Outcome | None:
        """Do what comes before the plugin may start; return an outcome if it will not."""
        name, session = self._spec.name, self._session
        problem = await self._heal(name)
        self._plugin = session.host.get_plugin(name)
        if self._plugin is None:
            text = f"plugin {name!r} is not loaded" + (f" ({problem})" if problem else "")
            return Outcome.of_error(JobFailure("PluginNotLoaded", text))
        if problem:
            return Outcome.of_error(JobFailure("PluginBroken", f"plugin {name!r}: {problem}"))
        config = await aside(f"configuration of plugin {name}", current_config, self._plugin)
        if config is not None:
            session.configs[name] = config
        reports = PluginReports(session, name, self._plugin, self._reporter)
        await reports.begin()
        self._reports = reports
        return None

    async def _run(self) -> Outcome:
        name, reports = self._spec.name, self._reports
        assert reports is not None
        if not self._asked:
            if self._session.tell_start(name, self._on_started):
                self._reporter.phase("waiting for resources")
            else:
                self._on_started()
        watch = self._watch_worker()
        poll = reports.poll(self._context, self._run_over, lambda: self._started)
        self._polling = asyncio.get_running_loop().create_task(poll)
        try:
            outcome = await self._step(self._execute())
        finally:
            watch()
            self._run_over.set()
        assert outcome is not None
        if outcome.kind == "error" and self._dead is None and not self._forcing:
            self._dead = await self._death_behind_the_error()
        if self._dead is not None and outcome.kind != "value":
            self._session.broken.add(name)
            return Outcome.of_error(self._dead)
        if outcome.kind == "value" or not self._forcing:
            await reports.report_progress()
        return outcome

    async def _death_behind_the_error(self) -> JobFailure | None:
        """Look for a death: a host may hear of it a moment before the process has ended."""
        process = process_of(self._plugin)
        for _ in range(4):
            if process is None:
                return None
            if not is_running(process):
                return death_of(process)
            await asyncio.sleep(DEATH_NOTICE / 4)
        return None

    async def _execute(self) -> Outcome | None:
        """Await the host's coroutine; whatever it raises is an outcome."""
        spec = self._spec
        try:
            value = await self._session.host.execute_plugin_async(
                spec.name, *spec.args, **spec.kwargs
            )
        except asyncio.CancelledError:
            return Outcome.of_stop()
        except BaseException as error:
            return Outcome.of_error(failure_of(error))
        return Outcome.of_value(value, noticed=self._noticed)

    async def _heal(self, name: str) -> str | None:
        """Reload a plugin whose worker died or could not be reloaded before.

        A job that is cancelled meanwhile ends; the plugin stays claimed until it is reloaded.
        """
        process = process_of(self._session.host.get_plugin(name))
        is_dead = process is not None and not is_running(process)
        if name not in self._session.broken and not is_dead:
            return None

        def reload() -> str | None:
            return self._session.reload(name, is_dead=is_dead)

        self._healing = asyncio.ensure_future(in_thread(reload))
        done, _ = await asyncio.wait({self._healing}, timeout=RELOAD_PATIENCE)
        return self._healing.result() if done else _NO_ANSWER

    def _on_started(self) -> None:
        """Note that the host has the resources and lets the plugin run. Any thread."""
        if not self._started:
            self._started = True
            self._reporter.phase(None)

    # -- the worker's death ------------------------------------------------------------------------

    def _watch_worker(self) -> Callable[[], None]:
        """Notice at once when the plugin's own process dies; returns what ends the watch."""
        process = process_of(self._plugin)
        try:
            end_of_it = Exit(process.pid)
        except (AttributeError, OSError):  # no process, or no such call here
            return nothing
        self._context.io.watch(end_of_it.fd, lambda: self._on_death(process, end_of_it.fd))

        def end() -> None:
            self._context.io.unwatch(end_of_it.fd)
            with contextlib.suppress(OSError):
                end_of_it.close()

        return end

    def _on_death(self, process: Any, fd: int) -> None:
        """End a job whose process has died. I/O thread."""
        self._context.io.unwatch(fd)
        if not self._forcing and not self._over:
            self._dead = death_of(process)
            self._context.io.call_later(DEATH_GRACE, self._session.post, self._cancel_task)

    def _cancel_task(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()

    # -- protocols.Execution -----------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The plugin's process, where its host shows one."""
        process = process_of(self._plugin)
        return None if process is None else process.pid

    def ask_to_stop(self) -> bool:
        """Call the plugin's cancel; while it still waits for resources, just stop waiting."""
        self._asked = True
        if self._started:
            self._ask()
        else:
            self._session.post(self._stop_waiting, self._ask)
        return True

    def _stop_waiting(self, else_: Callable[[], None]) -> None:
        """Cancel a run that waits, or call `else_`; on the host's loop, so nothing starts now."""
        if self._started:
            else_()
        else:
            self._cancel_task()

    def _ask(self) -> None:
        threading.Thread(target=self._call_cancel, name="plugin-cancel", daemon=True).start()

    def _call_cancel(self) -> None:
        """Call its cancel() in a thread: it may raise or hang."""
        plugin = self._plugin
        try:
            ask = getattr(plugin, "cancel_async", None)
            if callable(ask):
                self._session.spawn(self._ask_async(ask))
            elif callable(ask := getattr(plugin, "cancel", None)):
                self._note_answer(ask())
        except BaseException as error:
            logger.info("cancel() of plugin %s failed: %r", self._spec.name, error)

    async def _ask_async(self, ask: Callable[[], Any]) -> None:
        try:
            patience = max(0.1, self._context.cancel_timeout)
            self._note_answer(await asyncio.wait_for(guarded(ask), patience))
        except Exception as error:
            logger.info("cancel_async() of plugin %s failed: %r", self._spec.name, error)

    def _note_answer(self, answer: object) -> None:
        """Note that cancel() has returned; by False a proxy says that there is none."""
        self._noticed = self._noticed or answer is not False

    def kill(self) -> None:
        """End the plugin's process group if it shows one, then have its worker replaced."""
        self._asked = True
        if self._started:
            self._force()
        else:
            text = "its host does not stop waiting for resources"
            self._later(LEAVE_PATIENCE, self._give_up, text)
            self._session.post(self._stop_waiting, self._force)

    def kill_now(self) -> bool:
        """End the plugin's process and reload nothing. True if it is gone. Any thread."""
        process = process_of(self._plugin)
        if process is None or not end_process(process):
            return False
        self._session.broken.add(self._spec.name)
        return True

    def _force(self) -> None:
        with self._lock.held:
            if self._forcing or self._over:
                return
            threading.Thread(target=self._replace, name="plugin-kill", daemon=True).start()
            self._forcing = True

    def _replace(self) -> None:
        """Reload the plugin in a thread: that may block for long."""
        process = process_of(self._plugin)
        gone = process is not None and end_process(process)
        came_back = self._later(RELOAD_PATIENCE, self._give_up, _NO_ANSWER)
        problem = self._session.reload(self._spec.name, is_dead=gone)
        came_back()
        if problem is not None:
            self._not_reloaded = f"the plugin could not be reloaded: {problem}"
            logger.warning("%s: %s", self._spec.title, self._not_reloaded)
            self._reporter.log(f"[{self._not_reloaded}]\n")
        if problem is not None and not gone:
            self._give_up(self._not_reloaded or "")
        else:
            patience = 0.0 if process is None else LEAVE_PATIENCE  # without one nothing leaves
            self._later(patience, self._session.post, self._cancel_task)
            text = "its worker was replaced, but its host goes on with it"
            self._later(LEAVE_PATIENCE + CANCEL_PATIENCE, self._give_up, text)
        self._session.post(self._kill_over.set)

    def _later(
        self, seconds: float, callback: Callable[..., object], *args: object
    ) -> Callable[[], None]:
        """Call later; return what cancels that, as the end of the run does too."""
        cancel = self._context.io.call_later(seconds, callback, *args)
        self._timers.append(cancel)
        return cancel

    def _give_up(self, reason: str) -> None:
        """Give up: what was to end is still there. Any thread."""
        with self._lock.held:
            if self._over or self._given_up:
                return
            self._given_up = True
        self._reporter.kill_failed(reason)


_NO_ANSWER = f"reload_plugin did not return within {RELOAD_PATIENCE:g} s"
