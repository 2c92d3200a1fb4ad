"""A machine of two queues on virtual time: jobs and plugins that grow, and who was let in when."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from jobqueue_widget._core.jobs import BlockReason, JobFailure, JobStatus, Outcome
from jobqueue_widget._core.machine.resources import GpuStats, MachineStats, ProcessMemory
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget._machine.admission import Admission
from jobqueue_widget._runtime.engine import Clock, Engine, Settings
from jobqueue_widget.job import Job
from jobqueue_widget.protocols import ExecutorContext, LoadedPlugin, Reporter
from jobqueue_widget.queue import JobQueue

from .loop import OtherThread, Outside, OutsideIo, VirtualLoop

RAM, GPU, CPUS = 1_000.0, 400.0, 8.0
GPUS = 2
EPOCH = 1_700_000_000.0


@dataclass(eq=False)
class Work:
    """What runs: it grows to what it needs at a moment of its own, and holds it to its end."""

    spec: JobSpec
    need: Mapping[str, float]
    gpus: tuple[int, ...]
    pid: int
    grown: bool = False


class Execution:
    """One attempt; it ends when the dice say, or soon after it is asked or forced to."""

    can_be_killed = True

    def __init__(self, floor: Floor, work: Work, reporter: Reporter) -> None:
        self._floor = floor
        self._work = work
        self._reporter = reporter
        self._over = False
        dice = floor.dice
        floor.outside.call_later(dice.choice((0.0, 0.1, 1.5)), self._grow)
        floor.outside.call_later(dice.choice((0.0, 0.2, 1.0, 3.0)), self._end)

    @property
    def pid(self) -> int:
        """The process that holds it; that of its plugin, if it is a plugin's."""
        return self._work.pid

    def _grow(self) -> None:
        if not self._over:
            self._work.grown = True
            self._floor.grow(self._work)

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._floor.gone(self._work)
            self._reporter.ended(self._outcome())

    def _outcome(self) -> Outcome:
        """A plugin runs out of memory now and then, whatever it was promised."""
        floor = self._floor
        if self._work.spec.kind == "plugin" and floor.dice.random() < 0.2:
            floor.fell_short[self._work.spec.id] = floor.evictions
            return Outcome.of_error(JobFailure("OutOfMemoryError", "CUDA out of memory"))
        return Outcome.of_value(1)

    def ask_to_stop(self) -> bool:
        """Listens."""
        self._floor.outside.call_later(self._floor.dice.choice((0.0, 0.3)), self._end)
        return True

    def kill(self) -> None:
        """Ends."""
        self.ask_to_stop()


class Place:
    """The executor of a queue, alike for both; plugins of the floor are its host's."""

    name = "place"
    capacity: int | None = None
    can_kill = True

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.offers = floor
        self.launches_anywhere = floor.launches_anywhere

    def config_of(self, name: str) -> object:
        """They have none."""
        return None

    def prepare(self, spec: JobSpec) -> object:
        """Nothing to pack."""
        return None

    def open(self, context: ExecutorContext) -> None:
        """Needs nothing."""

    def launch(self, spec: JobSpec, reporter: Reporter) -> Execution:
        """Begin, and have it judged whether that was right."""
        self._floor.judge_attempt(spec, reporter.attempt)
        return Execution(self._floor, self._floor.launched(spec, reporter.job_id), reporter)

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """A plugin runs one job at a time."""
        if spec.kind == "plugin" and self._floor.busy.get(spec.name):
            return BlockReason("its plugin is busy", may_be_passed=True)
        return None

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Plugins tell when they are free."""
        return self._floor.on_change(wake)

    async def close(self) -> None:
        """Nothing is kept."""


class FloorQueue(JobQueue):
    """A queue on the floor's clock, over the floor's admission."""

    def __init__(self, floor: Floor, **arguments: Any) -> None:
        self._floor = floor
        self.place = Place(floor)
        super().__init__(**arguments)

    def _make_engine(self, settings: Settings) -> Engine:
        outside = self._floor.outside
        io = OutsideIo(outside, self._floor.dice)
        clock = Clock(lambda: EPOCH + outside.now, outside.monotonic)
        engine = Engine(settings, clock, io.call_later, self._floor.admission)
        engine.io = io  # type: ignore[assignment]
        return engine


class Floor:
    """Everything that one seed decides; also the source of figures and the plugin host."""

    def __init__(self, seed: str, thread: OtherThread) -> None:
        self.seed = seed
        self.dice = dice = random.Random(seed)
        self.outside = Outside(thread)
        self.complaints: list[str] = []
        self.trace: list[str] = []
        self.alive: list[Work] = []
        self.jobs: list[tuple[JobQueue, Job]] = []
        self.needs = {f"p{n}": self._need(dice.choice((0.3, 0.6, 0.9))) for n in range(4)}
        self.loaded_since: dict[str, float] = {}
        self.holds: dict[str, tuple[Mapping[str, float], tuple[int, ...]]] = {}
        self.busy: dict[str, int] = {}
        self.evictions = self.admitted = self.blocked = self.refused = self.rescued = 0
        self.fell_short: dict[str, int] = {}  # by id: the evictions there had been by then
        self._pids = itertools.count(1_000)
        self._plugin_pids = {name: 1 + n for n, name in enumerate(self.needs)}
        self._callbacks: list[Callable[[], None]] = []
        self.admission = Admission(lambda: self, self.outside.monotonic, self._aside)
        self.launches_anywhere = self.dice.random() < 0.5
        self.queues: list[FloorQueue] = [
            FloorQueue(
                self,
                manager=self,
                name=name,
                max_running=dice.choice((1, 2, 4)),
                cancel_timeout=dice.choice((0.0, 1.0)),
                backfill=dice.random() < 0.5,
                max_bypass=dice.choice((0.0, 1.0, 100.0)),
            )
            for name in ("one", "two")
        ]
        self.loop = VirtualLoop(self.outside, dice)

    def _need(self, share: float) -> dict[str, float]:
        kinds = self.dice.choice((("ram_mib",), ("gpu_mib",), ("ram_mib", "gpu_mib")))
        whole = {"ram_mib": RAM, "gpu_mib": GPU}
        return {kind: round(whole[kind] * share * self.dice.choice((0.5, 1.0))) for kind in kinds}

    def _aside(self, callback: Callable[[], None]) -> None:
        self.outside.call_later(self.dice.choice((0.0, 0.001, 0.01, 0.4)), callback)

    def complain(self, text: str) -> None:
        """A promise was broken."""
        self.note(f"BROKEN: {text}")
        self.complaints.append(text)

    def note(self, text: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.outside.now:.3f} {text}")

    # -- the truth -----------------------------------------------------------------------------

    def judge_attempt(self, spec: JobSpec, attempt: int) -> None:
        """R8: a second one only after a lack of memory, and if something was unloaded since."""
        if attempt == 1:
            return
        self.rescued += 1
        before = self.fell_short.get(spec.id)
        if attempt > 2 or before is None:
            self.complain(f"attempt {attempt} of {spec.id}, which was not short of memory")
        elif self.evictions <= before:
            self.complain(f"{spec.id} is tried again, and nothing was unloaded")

    def launched(self, spec: JobSpec, job_id: str) -> Work:
        """Judge: all that runs may grow to its need, and idle plugins hold what they hold."""
        need = self.needs[spec.name] if spec.kind == "plugin" else spec.options.resources or {}
        assert isinstance(need, Mapping)
        tracked = next(job for _, job in self.jobs if job.id == job_id)
        usage: Any = tracked._record.usage
        gpus = usage.gpus if usage is not None else ()
        pid = self._plugin_pids[spec.name] if spec.kind == "plugin" else next(self._pids)
        work = Work(spec, need, gpus, pid)
        self.alive.append(work)
        if spec.kind == "plugin":
            self.busy[spec.name] = self.busy.get(spec.name, 0) + 1
            self.loaded_since.setdefault(spec.name, self.outside.now)
        self.admitted += bool(need)
        self.note(f"launched {spec.name} {dict(need)} on {gpus}")
        for kind, number, most in self._limits():
            promised = self._promised(kind, number)
            if promised > most:
                self.complain(f"{promised:g} of {most:g} {kind} {number} are promised")
        return work

    def _limits(self) -> list[tuple[str, int, float]]:
        return [
            ("ram_mib", 0, RAM),
            ("cpus", 0, CPUS),
            *(("gpu_mib", number, GPU) for number in range(GPUS)),
        ]

    def _promised(self, kind: str, number: int) -> float:
        total = 0.0
        for work in self.alive:
            if kind != "gpu_mib" or number in work.gpus:
                total += work.need.get(kind, 0.0)
        for name, (held, gpus) in self.holds.items():
            if not self.busy.get(name) and (kind != "gpu_mib" or number in gpus):
                total += held.get(kind, 0.0)
        return total

    def grow(self, work: Work) -> None:
        """It holds what it needs; a plugin goes on doing so when its job has ended."""
        if work.spec.kind == "plugin":
            before = self.holds.get(work.spec.name)
            if before is not None and before[1] != work.gpus and before[1]:
                self.complain(f"{work.spec.name} moved from GPU {before[1]} to {work.gpus}")
            self.holds[work.spec.name] = (work.need, work.gpus)

    def gone(self, work: Work) -> None:
        """Its end."""
        self.alive.remove(work)
        if work.spec.kind == "plugin":
            self.busy[work.spec.name] -= 1
            self.loaded_since[work.spec.name] = self.outside.now
            self._tell()

    def _tell(self) -> None:
        for callback in list(self._callbacks):
            callback()

    # -- protocols.ResourceSource ----------------------------------------------------------------

    def read(self, pids: Collection[int]) -> MachineStats:
        """What is held now."""
        held: dict[int, ProcessMemory] = {}
        for work in self.alive:
            if work.grown and work.spec.kind != "plugin":
                on_gpu = dict.fromkeys(work.gpus, work.need.get("gpu_mib", 0.0))
                held[work.pid] = ProcessMemory(work.need.get("ram_mib", 0.0), on_gpu)
        for name, (need, gpus) in self.holds.items():
            on_gpu = dict.fromkeys(gpus, need.get("gpu_mib", 0.0))
            held[self._plugin_pids[name]] = ProcessMemory(need.get("ram_mib", 0.0), on_gpu)
        if self.dice.random() < 0.02:
            raise OSError("the dice say no")
        return MachineStats(
            RAM,
            RAM - sum(one.ram_mib for one in held.values()),
            CPUS,
            gpus=tuple(
                GpuStats(GPU, GPU - sum(one.gpu_mib.get(n, 0.0) for one in held.values()))
                for n in range(GPUS)
            ),
            processes={pid: held.get(pid, ProcessMemory()) for pid in pids},
        )

    # -- protocols.OffersResources, and the calls of a plugin host -------------------------------

    def requirements(self, name: str) -> Mapping[str, float]:
        """As thrown by the dice."""
        return self.needs[name]

    def loaded(self) -> list[LoadedPlugin]:
        """Those that ever ran and were not unloaded since."""
        return [
            LoadedPlugin(name, self._plugin_pids[name], bool(self.busy.get(name)), since)
            for name, since in self.loaded_since.items()
        ]

    def evict(self, name: str) -> str | None:
        """Now and then it will not. One that executes must not even be asked by an admission."""
        if self.busy.get(name):
            self.complain(f"{name} was to be unloaded while it executes")
            return "busy"
        if self.dice.random() < 0.1:
            return "it will not"
        self.evictions += 1
        self.note(f"evicted {name}")
        self.holds.pop(name, None)
        self.loaded_since.pop(name, None)
        self._tell()
        return None

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Tell of ends and evictions."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def get_plugin(self, name: str) -> object | None:
        """Never asked: the place launches."""
        return None

    async def execute_plugin_async(self, name: str, *args: object, **kwargs: object) -> object:
        """Never called."""
        raise NotImplementedError

    def reload_plugin(self, name: str, config: object = None) -> object:
        """Never called."""
        raise NotImplementedError

    # -- what happens ------------------------------------------------------------------------------

    def run(self) -> None:
        """Users act on both queues; in the end every job has ended and nothing is reserved."""
        self.loop.run_until_complete(self._run())
        self.loop.close()
        self.complaints += self.loop.complaints

    async def _run(self) -> None:
        for queue in self.queues:
            queue.subscribe(self._witness)
            await queue.start()
        await asyncio.gather(*(self._act(queue) for queue in self.queues))
        for queue in self.queues:
            for job in queue.jobs("pending"):
                queue.release(job)
            await queue.join()
        for owner, job in self.jobs:
            if not job.done:
                self.complain(f"{job} of {owner} has not ended")
        left = list(self.admission._ledger.reservations())
        if left:
            self.complain(f"still reserved: {left}")
        for queue in self.queues:
            await queue.stop()

    def _witness(self, event: Any) -> None:
        self.blocked += event.type == "blocked"
        self.note(f"{event.type} {event.payload.get('reason', '')}")

    async def _act(self, queue: FloorQueue) -> None:
        dice = self.dice
        for _ in range(dice.randint(3, 14)):
            fate = dice.random()
            mine = [job for owner, job in self.jobs if owner is queue]
            if fate < 0.65 or not mine:
                self._submit(queue)
            elif fate < 0.75:
                dice.choice(mine).cancel(force=dice.random() < 0.5)
            elif fate < 0.82:
                queue.hold(dice.choice(mine), dice.choice((None, 0.5)))
            elif fate < 0.9:
                queue.move(dice.choice(mine), to="top")
            elif fate < 0.95:
                self.outside.block(dice.choice((0.1, 2.5)))
            await asyncio.sleep(dice.choice((0.0, 0.0, 0.01, 0.5, 2.0)))

    def _submit(self, queue: FloorQueue) -> None:
        dice = self.dice
        fate = dice.random()
        options: dict[str, Any] = {"executor": queue.place, "priority": dice.choice((0, 0, 1))}
        target: Any = int
        impossible = False
        if fate < 0.4:
            target = dice.choice(list(self.needs))
        elif fate < 0.85:
            options["resources"] = self._need(dice.choice((0.1, 0.5, 1.0)))
            if dice.random() < 0.3:
                options["resources"]["cpus"] = dice.choice((1, 5, 8))
        elif fate < 0.9:
            impossible = True
            options["resources"] = {"ram_mib": RAM + 1}
        job = queue.options(**options).submit_nowait(target)
        self.jobs.append((queue, job))
        self.refused += impossible
        if impossible and job.status is JobStatus.running:
            self.complain("what is impossible was started")
