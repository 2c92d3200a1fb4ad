"""What one queue has to do with memory: what its jobs need, may take and are seen to use."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from .._core import events as ev
from .._core.jobs import BlockReason, JobRecord, Outcome
from .._core.machine.resources import (
    NOTHING,
    Admitted,
    Amounts,
    Impossible,
    MachineStats,
    PluginKey,
    ProcessMemory,
    ResourceRequest,
    clean,
)
from .._core.machine.usage import Usage
from .._core.spec import JobSpec
from .._machine.admission import Admission
from .._machine.plugin_memory import requirements_of
from ..protocols import (
    AdmitsByItself,
    HasProcess,
    KeepsWorkers,
    OffersResources,
    ResourceSource,
    UsesPlugins,
)
from .engine_view import EngineView, LifeView
from .storage.learning import identity_of
from .storage.told.samples import Sampler

if TYPE_CHECKING:
    from .._threads.timers import CallLater
    from ..protocols import Executor
    from .publish import Publisher
    from .runner import Run
    from .storage.learning import Learning
    from .storage.told.logs import JobLog

logger = logging.getLogger(__name__)

TICK = 1.0
WATCH = 30.0  # seconds for which a page that has asked is shown the machine


class UsesMemory(EngineView, Protocol):
    """What these resources use of their engine besides."""

    learning: Learning
    publisher: Publisher
    runs: dict[str, Run]

    @property
    def life(self) -> LifeView: ...
    def log_of(self, job: JobRecord) -> JobLog: ...


class QueueResources:
    """A party of the process's admission, with a named tick of 1 s while jobs run or are blocked.

    The tick has the machine looked at while somebody is blocked, work runs in a process of its own
    whose memory is worth knowing, or a page shows the machine. Methods are for any thread.
    """

    def __init__(
        self,
        engine: UsesMemory,
        admission: Admission | None,
        call_later: CallLater,
        dispatch: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._dispatch = dispatch
        self._learning = engine.learning
        self._admission = admission or Admission(_no_source, engine.monotonic)
        self._call_later = call_later
        self._lock = self._engine.lock.inner()  # of the next two
        self._ticking = False
        self._waiting = False  # something was not started, and a look at the machine may change it
        self._offers: dict[int, OffersResources] = {}  # by id of the executor over that host
        self._keepers: list[OffersResources] = []  # warm workers, until memory is a matter …
        self._workers: dict[int, OffersResources] = {}  # … and then, by their id
        self._asked = False
        self._sampler = Sampler()
        self._watched_to = -math.inf  # until when a page shows the machine; by the monotonic clock
        self._looked_at = 0.0  # epoch seconds of the last look; 0: none yet
        self.aware = False  # memory has been a matter in this queue

    # -- the queue's life ----------------------------------------------------------------------

    def open(self, executor: Executor) -> None:
        """Count the plugins of this executor from now on."""
        offers = executor.offers if isinstance(executor, UsesPlugins) else None
        if offers is not None and id(executor) not in self._offers:
            self._offers[id(executor)] = offers
            self.aware = True
            self._admission.enter(self)
            self._admission.add_host(offers)
        if isinstance(executor, KeepsWorkers):
            self._keepers.append(executor.workers)
            if self._asked:
                self._add_workers()

    def _add_workers(self) -> None:
        """Count warm workers of functions, which may have to make room, now that memory matters."""
        while self._keepers:
            workers = self._keepers.pop()
            if id(workers) not in self._workers:
                self._workers[id(workers)] = workers
                self._admission.add_host(workers)

    def forget(self) -> None:
        """Forget all executors: none is open any more."""
        self._keepers.clear()
        for hosts in (self._offers, self._workers):
            while hosts:
                self._admission.remove_host(hosts.popitem()[1])

    def begin(self) -> None:
        """Tick from now on, until no job runs or is blocked."""
        if self._ticking:
            return
        with self._lock.held:
            begins, self._ticking = not self._ticking, True
        if begins:
            self._admission.enter(self)
            self._call_later(TICK, self._tick)

    def end(self) -> None:
        """Forget the tick, which has ended with the timers of the I/O thread, and save figures."""
        with self._lock.held:
            self._ticking = self._waiting = False
        self._admission.leave(self)
        self._learning.save()

    def after_fork(self) -> None:
        """Forget everything in a forked child: all of it is the parent's."""
        self._lock = self._engine.lock.inner()
        self._ticking = self._waiting = False
        self._watched_to = -math.inf
        self._offers.clear()
        self._workers.clear()
        self._admission.after_fork()

    def _tick(self) -> None:
        engine = self._engine
        with self._lock.held:
            waiting = self._waiting
            goes_on = self._ticking = bool(engine.runs) or waiting
        if goes_on:
            self._call_later(TICK, self._tick)
        watched = engine.monotonic() < self._watched_to  # also once after the last job has ended
        if watched or (goes_on and (waiting or self.aware or self.processes())):
            self._admission.look()
        if waiting:
            self._dispatch()  # here, where a blocked loop does not hold it up

    # -- protocol admission.Party ---------------------------------------------------------------

    def processes(self) -> Mapping[str, int]:
        """The process of each job that runs in one."""
        with self._engine.lock.held:
            runs = list(self._engine.runs.values())
        found: dict[str, int] = {}
        for run in runs:
            execution: object = run.execution
            if isinstance(execution, HasProcess) and execution.pid is not None:
                found[run.job_id] = execution.pid
        return found

    def on_look(self, stats: MachineStats | None) -> None:
        """Note what the jobs use; whoever was blocked is asked for again."""
        engine = self._engine
        with self._lock.held:
            waiting, self._waiting = self._waiting, False
        if stats is not None:
            self._looked_at = engine.now()
            found = ((engine.runs.get(job_id), pid) for job_id, pid in self.processes().items())
            running = [(run, pid) for run, pid in found if run is not None]
            self._sampler.note(running, stats, engine.monotonic(), engine.now())
        if waiting:
            engine.wake()
        if self.aware or engine.monotonic() < self._watched_to:
            with engine.lock.held:
                engine.publisher.touch()

    # -- what a job needs ----------------------------------------------------------------------

    def concerns(self, spec: JobSpec) -> bool:
        """False, quickly, for the many jobs that need nothing."""
        if spec.options.resources is not None:
            return True
        return spec.kind == "plugin" and getattr(spec.executor, "offers", None) is not None

    def need(self, spec: JobSpec) -> tuple[Amounts, bool]:
        """Return what a job asks for, or what its plugin's host says it needs; empty for nothing.

        Returns:
            The amounts, and True if they are the host's.
        """
        executor, resources = spec.executor, spec.options.resources
        if isinstance(executor, AdmitsByItself) and executor.admits_by_itself:
            return {}, False
        if isinstance(resources, Mapping):
            return clean(resources), False
        offers = executor.offers if isinstance(executor, UsesPlugins) else None
        declared: Amounts = {}
        if spec.kind == "plugin" and offers is not None:
            declared = requirements_of(offers, spec.name)
        if not declared and resources == "learned":
            seen, kept = self._admission.learned_need(memory_key(spec)), self._learning.need(spec)
            names = {*seen, *kept}
            return {name: max(seen.get(name, 0.0), kept.get(name, 0.0)) for name in names}, False
        return declared, True

    def impossible(self, job: JobRecord) -> Impossible | None:
        """Say why a job can never start here; None if it can."""
        return self._admission.impossible(self._request(job.spec))

    def knows_the_machine(self) -> bool:
        """True once its size is known; else it is looked at, and the queue is woken then."""
        if self._admission.has_looked:
            return True
        self._wait()
        self._admission.look_once()
        return False

    # -- one attempt to start ------------------------------------------------------------------

    def ask(
        self, job: JobRecord, beside: JobRecord | None, *, may_evict: bool
    ) -> BlockReason | Impossible | None:
        """Reserve what a job needs; return why it may not start now, or None."""
        wanted = self._request(job.spec)
        if not wanted.need:
            return None
        kept = None if beside is None else self._request(beside.spec)
        self._wait()  # before it is asked: a look that ends meanwhile must wake us
        decision = self._admission.ask(wanted, beside=kept, may_evict=may_evict)
        if isinstance(decision, Admitted):
            job.usage = Usage(decision.need, decision.gpus, decision.unchecked, decision.devices)
            return None
        return decision

    def take_over(self, job: JobRecord, devices: tuple[str, ...]) -> None:
        """Reserve what a job needs that an earlier kernel has started, with the GPUs it has."""
        if job.usage is None and self.concerns(job.spec):
            wanted = self._request(job.spec)
            job.usage = Usage(wanted.need, devices=devices)
            self._admission.take_over(wanted, devices)

    def _request(self, spec: JobSpec) -> ResourceRequest:
        need, declared = self.need(spec)
        plugin = _plugin_of(spec) if need else None
        return ResourceRequest(spec.id, spec.title, need, plugin, declared=declared)

    def _wait(self) -> None:
        self.aware = self._asked = True
        if self._keepers:
            self._add_workers()
        with self._lock.held:
            self._waiting = True
        self.begin()

    def give_back(self, job: JobRecord) -> None:
        """Give back what was reserved for a job that was not started after all."""
        if job.usage is not None:
            job.usage = None
            self._admission.release(job.id)

    def ended(self, job: JobRecord) -> None:
        """Learn what it held and give back its reservation, once its work is really gone."""
        usage = job.usage
        if usage is not None:
            if usage.peak is not NOTHING:
                self._admission.learn(memory_key(job.spec), usage.peak)
                self._learning.note_peak(job.spec, usage.peak)
            if usage.planned:
                self._admission.release(job.id)

    # -- after a job ran out of memory -----------------------------------------------------------

    def idle_beside(self, job: JobRecord, outcome: Outcome) -> tuple[str, ...]:
        """Name what could be unloaded if this end tells that memory was short; else nothing."""
        failure, executor = outcome.failure, job.spec.executor
        if outcome.kind != "error" or failure is None or not failure.out_of_memory:
            return ()
        if isinstance(executor, AdmitsByItself) and executor.admits_by_itself:
            return ()  # it ran elsewhere
        found = self._admission.who_makes_room(_plugin_of(job.spec), failure.shortfall)
        return tuple(plugin.name for plugin in found)

    def make_room(self, job: JobRecord) -> None:
        """Unload what is idle, aside, and tell the core; the job waits for it."""
        engine, attempt = self._engine, job.attempt
        short = None if job.failure is None else job.failure.shortfall

        def told(unloaded: tuple[str, ...]) -> None:
            if unloaded:
                text = f"out of memory: unloaded {', '.join(unloaded)}, trying again"
                engine.log_of(job).write(f"[{text}]\n")
                logger.warning("%s: %s", job.spec.title, text)
            engine.do(ev.RoomMade(job, attempt, unloaded))

        self._admission.unload_idle(_plugin_of(job.spec), short, told)

    # -- for who looks on ----------------------------------------------------------------------

    def watch(self) -> None:
        """Look at the machine for a page that shows it: each second while jobs run.

        That ends some time after the last call. While jobs only wait, each call is a look, at most
        one a second.
        """
        engine = self._engine
        with self._lock.held:
            now, last = engine.monotonic(), self._watched_to - WATCH
            self._watched_to = now + WATCH
        if now < last + TICK or not engine.state.open_count or engine.life.phase != "started":
            return
        if not engine.runs or now > last + WATCH:
            self._admission.enter(self)
            self._admission.look()

    def shown(self) -> dict[str, Any]:
        """Meters and idle plugins for a front end, and as of when, in epoch seconds.

        It is empty where memory was never a matter and no page has asked for the machine.
        """
        is_wanted = self.aware or (self._looked_at and self._watched_to > -math.inf)
        seen = self._admission.seen() if is_wanted else None
        if seen is None:
            return {}
        stats, told, idle = seen
        gpus = stats.gpus or ()
        used = stats.ram_total_mib - stats.ram_available_mib
        busy, total = round(stats.cpus_busy, 1), round(stats.cpus, 1)
        cores = {"used": busy, "reserved": told.cpus, "unused": 0.0, "total": total}
        items = [
            {"name": "CPU", "unit": "cores", **cores},
            _meter("RAM", used, told.ram_mib, told.ram_unused_mib, stats.ram_total_mib),
        ]
        items += [
            _meter(
                f"GPU {number}" if len(gpus) > 1 else "GPU",
                gpu.total_mib - gpu.free_mib,
                told.gpu_mib[number],
                told.gpu_unused_mib[number],
                gpu.total_mib,
            )
            for number, gpu in enumerate(gpus)
            if math.isfinite(gpu.total_mib)  # a monitor may tell only what is free
        ]
        ours = {id(offers) for offers in self._offers.values()}  # those this queue can unload
        shown = [_idle(one.name, one.holds) for one in idle if one.key[0] in ours]
        return {"items": items, "idle": shown, "at": round(self._looked_at, 1)}


def _no_source() -> ResourceSource:
    raise LookupError("this queue was given no source of figures about the machine")


def memory_key(spec: JobSpec) -> str:
    """Name whose memory is learned together: a function, or a plugin with one configuration."""
    return " ".join((spec.kind, *(identity_of(spec) or ("lost", spec.name))))


def _plugin_of(spec: JobSpec) -> PluginKey | None:
    executor = spec.executor
    if isinstance(executor, KeepsWorkers):
        name = executor.worker_for(spec)
        return None if name is None else (id(executor.workers), name)
    if spec.kind != "plugin" or not isinstance(executor, UsesPlugins) or executor.offers is None:
        return None
    return id(executor.offers), spec.name


def _meter(name: str, used: float, reserved: float, unused: float, total: float) -> dict[str, Any]:
    amounts = {"used": used, "reserved": reserved, "unused": unused, "total": total}
    return {"name": name, "unit": "GB", **{key: _gib(mib) for key, mib in amounts.items()}}


def _idle(name: str, holds: ProcessMemory) -> dict[str, Any]:
    on_gpu = sum(holds.gpu_mib.values())
    held = on_gpu if on_gpu >= 1 else holds.ram_mib
    return {"plugin": name, "holds": _gib(held), "unit": "GB GPU" if on_gpu >= 1 else "GB"}


def _gib(mib: float) -> float:
    return round(mib / 1024, 1)
