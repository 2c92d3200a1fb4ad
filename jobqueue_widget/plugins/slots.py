"""Holds a loaded plugin: its slots, each with a worker or none, and the line of its calls."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from .._core.jobs import JobFailure, Outcome
from .._runtime.storage.told.logs import JobLog
from ..child.capture.series import Points
from ..child.job_context import NO_JOB, JobContext, NoJob
from ..child.plugins import typed
from ..errors import UnsendableValueError
from ..workers.plugin_process import PluginProcess
from ..workers.process import WorkerProcess
from .manifests.manifest import PluginMeta
from .run import Operation, PluginRun
from .runtime import PluginRuntime

logger = logging.getLogger(__name__)

CLEANUP_PATIENCE = 2.0  # seconds for the plugin's own cleanup()
GONE_PATIENCE = 10.0  # for its processes to be gone after that


class Slot:
    """One place where a plugin runs: at most one worker and one call at a time."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self.worker: PluginProcess | None = None
        self.run: PluginRun | None = None
        self.is_released = False  # by release(), and not used since
        self.has_worked = False  # since its worker was loaded or released
        self.claimed = False  # for upkeep that is about to begin
        self.version = -1  # of the configuration that the worker has; -1: it is not loaded
        self.last_used = time.monotonic()

    @property
    def is_free(self) -> bool:
        """True if the next call may begin here."""
        return self.run is None and not self.claimed

    @property
    def is_loaded(self) -> bool:
        """True if its worker has loaded the plugin."""
        return self.worker is not None and self.worker.usable and self.version >= 0

    def ensure_worker(self) -> PluginProcess:
        """Return the worker, a new one if there is none that can work."""
        if self.worker is None or not self.worker.usable:
            plugin, runtime = self.plugin, self.plugin.runtime
            manifest = plugin.meta.manifest
            self.version = -1
            worker = PluginProcess(
                runtime.io,
                [manifest["python_path"]],
                runtime.environment(manifest),
                runtime.run_id,
                self._on_gone,
                plugin.log.write,
            )
            runtime.workers.add(worker)
            try:
                runtime.io.call(worker.start)
            except BaseException:
                runtime.workers.discard(worker)
                raise
            self.worker = worker
        return self.worker

    def drop(self, worker: WorkerProcess) -> None:
        """Give this worker nothing more."""
        if self.worker is worker:
            self.worker = None
            self.version = -1
            self.has_worked = self.run is not None

    def _on_gone(self, worker: WorkerProcess) -> None:
        """Free what belonged to a process that is gone. I/O thread."""
        runtime = self.plugin.runtime
        runtime.workers.discard(worker)
        with runtime.lock.held:
            self.drop(worker)
        runtime.tell()

    def release(self, run: PluginRun, *, warm: bool = False) -> None:
        """Leave the slot to the next run; with `warm` a fresh worker is loaded for it."""
        self.plugin.give_back(self, run, warm=warm)


class NullReporter:
    """The reporter of calls that no queue listens to; `done` has the outcome.

    What is told goes to the job whose code makes the call, if it is made in one.
    """

    def __init__(self, job_id: str = "", caller: JobContext | NoJob = NO_JOB) -> None:
        self.job_id = job_id
        self._caller = caller
        self.attempt = 1
        self.priority = 0
        self.devices: tuple[str, ...] = ()
        self.forwards = False
        self.done: Future[Outcome] = Future()

    def phase(self, text: str | None, where: str | None = None) -> None:
        """Do nothing: nobody sees the phase of such a call."""

    def progress(self, fraction: object, message: object = None) -> None:
        """Report progress to the job that makes the call."""
        self._caller.report(fraction, message)

    def metrics(self, points: Points, *, anew: bool = False) -> None:
        """Pass what the call measures on to the job that makes it."""
        self._caller.pass_on(points)

    def log(self, data: bytes | str) -> None:
        """Write output into the log of the job that makes the call."""
        self._caller.log(data if isinstance(data, str) else data.decode("utf-8", "replace"))

    def output(self, told: dict[str, Any], body: bytes) -> None:
        """Do nothing: plugins display nothing."""

    def ended(self, outcome: Outcome) -> None:
        """Hand the outcome to whoever waits."""
        if not self.done.done():
            self.done.set_result(outcome)

    def kill_failed(self, reason: str) -> None:
        """Log that a plugin could not be ended; whoever waits goes on waiting."""
        logger.error("a plugin could not be ended: %s", reason)


class Plugin:
    """A loaded plugin: its configuration, slots and line of calls. Any thread."""

    def __init__(
        self,
        runtime: PluginRuntime,
        meta: PluginMeta,
        config: Mapping[str, Any],
        slots: int,
        log: JobLog,
    ) -> None:
        self.runtime = runtime
        self.meta = meta
        self.spool: Path = runtime.spool()
        self.configuration: tuple[dict[str, Any], int] = ({}, -1)
        self.set_configuration(config)
        self.slots = [Slot(self) for _ in range(slots)]
        self.log = log
        self.can: frozenset[str] = frozenset()
        self.closed = False
        self.progress: tuple[object, object] = (0.0, "")
        self._line: deque[PluginRun] = deque()

    # -- the line --------------------------------------------------------------------------------

    def enter(self, run: PluginRun) -> None:
        """Let a run begin on a free slot, or after those before it."""
        with self.runtime.lock.held:
            closed = self.closed
            slot = None if closed else self._free_slot()
            if slot is not None:
                slot.run = run
            elif not closed:
                self._line.append(run)
        if closed:
            run.fail(JobFailure("PluginNotLoaded", f"plugin {self.meta.name!r} was unloaded"))
        elif slot is not None:
            self._begin(slot, run)

    def leave(self, run: PluginRun) -> bool:
        """Give up a run's place in the line. False: it has none."""
        with self.runtime.lock.held:
            if run not in self._line:
                return not any(slot.run is run for slot in self.slots)
            self._line.remove(run)
            return True

    def give_back(self, slot: Slot, run: PluginRun, *, warm: bool = False) -> None:
        """Give a free slot to the next of the line; with `warm` else load a fresh worker there."""
        following: PluginRun | None = None
        with self.runtime.lock.held:
            if slot.run is not run:
                return
            slot.last_used = time.monotonic()
            slot.run = None
            if not slot.claimed:
                following = self._next()
            if following is None and warm and not self.closed:
                following = PluginRun(self, "load", NullReporter())
            slot.run = following
        if following is not None:
            self._begin(slot, following)

    def _next(self) -> PluginRun | None:
        return self._line.popleft() if self._line else None

    def _begin(self, slot: Slot, run: PluginRun) -> None:
        if run.is_work:
            self.progress = (0.0, "")
            self.meta.last_executed = time.time()
            slot.has_worked = True
        slot.is_released = False
        run.begin(slot)

    def _free_slot(self) -> Slot | None:
        free = [slot for slot in self.slots if slot.is_free]
        return next((slot for slot in free if slot.is_loaded), free[0] if free else None)

    # -- what is known ---------------------------------------------------------------------------

    def note_loaded(self, told: Mapping[str, Any]) -> None:
        """Note what a worker tells that has loaded the plugin. I/O thread."""
        can = told.get("can")
        names = can if isinstance(can, list) else []
        self.can = frozenset(name for name in names if isinstance(name, str))
        self.runtime.tell()

    def note_progress(self, fraction: object, message: object) -> None:
        """Note what the plugin reported last."""
        self.progress = (-1.0 if fraction is None else fraction, message or "")

    def holders(self) -> list[str]:
        """Return who runs on its slots, if all of them are at work; else nobody."""
        with self.runtime.lock.held:
            runs = [slot.run for slot in self.slots]
        if all(run is not None and run.is_work for run in runs):
            return [run.who for run in runs if run is not None]
        return []

    # -- upkeep ----------------------------------------------------------------------------------

    def claim_idle(self, *, all_or_none: bool = False, loaded: bool | None = None) -> list[Slot]:
        """Claim slots that nobody uses, until `upkeep`, `end_workers` or `unclaim`.

        `all_or_none`: none at all if one of the plugin's slots is used or a call waits. `loaded`:
        only those that have loaded the plugin, or only those that have not.
        """
        with self.runtime.lock.held:
            idle = [slot for slot in self.slots if slot.is_free]
            if all_or_none and (len(idle) < len(self.slots) or self._line):
                return []
            if loaded is not None:
                idle = [slot for slot in idle if slot.is_loaded is loaded]
            for slot in idle:
                slot.claimed = True
            return idle

    def unclaim(self, slots: list[Slot]) -> None:
        """Give slots back that are still claimed."""
        for slot in slots:
            following = None
            with self.runtime.lock.held:
                if slot.claimed:
                    slot.claimed = False
                    following = slot.run = self._next()
            if following is not None:
                self._begin(slot, following)

    def upkeep(self, operation: Operation, slots: list[Slot]) -> str:
        """Run an operation of our own on claimed slots; return why it failed, or ""."""
        started = []
        try:
            for slot in slots:
                reporter = NullReporter()
                self.runtime.io.call(self._begin_upkeep, slot, PluginRun(self, operation, reporter))
                started.append(reporter.done)
        except BaseException:
            self.unclaim(slots)
            raise
        problems = [_problem(done.result()) for done in started]
        return next(filter(None, problems), "")

    def _begin_upkeep(self, slot: Slot, run: PluginRun) -> None:
        """Begin an operation of our own, on the I/O thread, which no interrupt reaches."""
        with self.runtime.lock.held:
            free = slot.run is None and (slot.claimed or self.closed)
            if free:
                slot.run, slot.claimed = run, False
        if free:
            slot.is_released = run.operation == "release"
            slot.has_worked = slot.has_worked and not slot.is_released
            run.begin(slot)
        else:
            run.fail(JobFailure("PluginBusy", "the claim on its worker was given back"))

    def load(self) -> str:
        """Load the plugin in the worker of every slot; return why that failed, or ""."""
        with self.runtime.lock.held:
            runs = [slot.run for slot in self.slots]
        loading = [
            run.reporter.done
            for run in runs
            if run is not None
            and run.operation == "load"
            and isinstance(run.reporter, NullReporter)
        ]
        problem = self.upkeep("load", self.claim_idle(loaded=False))
        problems = [problem, *(_problem(done.result()) for done in loading)]
        return next(filter(None, problems), "")

    def set_configuration(self, config: Mapping[str, Any]) -> None:
        """Set the configuration that workers take before their next call.

        Raises:
            UnsendableValueError: naming the place inside it.
        """
        taken = dict(config)
        try:
            typed.encode(taken, self.runtime.types, "config")
        except typed.NotSendable as error:
            raise UnsendableValueError(f"plugin {self.meta.name!r}: {error}") from None
        self.configuration = (taken, self.configuration[1] + 1)

    def configure(self, config: Mapping[str, Any]) -> str:
        """Configure idle workers now, busy ones before their next call; return why not, or ""."""
        before = self.configuration
        self.set_configuration(config)
        problem = self.upkeep("initialize", self.claim_idle(loaded=True))
        if problem:
            self.configuration = (before[0], before[1] + 2)
        return problem

    def end_workers(self, slots: list[Slot], why: str) -> bool:
        """End the workers of these slots: by cleanup() if idle, else by force. True: all gone.

        Slots that are not busy must have been claimed, unless the plugin is closed.
        """
        workers = []
        for slot in slots:
            worker = slot.worker
            if worker is None:
                continue
            workers.append(worker)
            if slot.run is not None:
                worker.kill(None, why)
            elif slot.is_loaded:
                self._end_softly(slot, worker)
            else:
                worker.close()
        deadline = time.monotonic() + GONE_PATIENCE
        return all(one.ended.wait(max(0.01, deadline - time.monotonic())) for one in workers)

    def _end_softly(self, slot: Slot, worker: PluginProcess) -> None:
        run = PluginRun(self, "cleanup", NullReporter())
        too_long = f"cleanup() took longer than {CLEANUP_PATIENCE:g} s"
        run.at_end(self.runtime.io.call_later(CLEANUP_PATIENCE, worker.kill, run, too_long))
        self.runtime.io.call(self._begin_upkeep, slot, run)

    def free(self) -> str | None:
        """Let go of what its idle workers hold, by release() or by ending them; why not, or None.

        A worker that was not used since its release() is ended: that has freed all it could.
        """
        slots = self.claim_idle(all_or_none=True)
        if not slots:
            return "busy"
        try:
            if "release" in self.can and not any(slot.is_released for slot in slots):
                problem = self.upkeep("release", [slot for slot in slots if slot.is_loaded])
                if not problem:
                    return None
                logger.warning("release() of plugin %s failed: %s", self.meta.name, problem)
                self.unclaim(slots)
                slots = self.claim_idle(all_or_none=True)
                if not slots:
                    return "busy"
            gone = self.end_workers(slots, "it was evicted")
        finally:
            self.unclaim(slots)
        return None if gone else "its processes are still there"

    def replace_workers(self, why: str) -> str:
        """Put fresh workers in place of all; return why that failed, or ""."""
        claimed = self.claim_idle()
        try:
            gone = self.end_workers(self.slots, why)
        finally:
            self.unclaim(claimed)
        return self.load() if gone else "its worker could not be ended"

    def close(self, why: str) -> bool:
        """Unload it for good. Blocks until every process of it is gone; False if one is not."""
        with self.runtime.lock.held:
            self.closed = True
            waiting, self._line = list(self._line), deque()
        for run in waiting:
            run.fail(JobFailure("PluginNotLoaded", f"plugin {self.meta.name!r} {why}"))
        return self.end_workers(self.slots, f"plugin {self.meta.name!r} {why}")


def _problem(outcome: Outcome) -> str:
    if outcome.kind == "value":
        return ""
    failure = outcome.failure
    if failure is None:
        return "it was stopped"
    return f"{failure}\n{failure.traceback.rstrip()}".rstrip()
