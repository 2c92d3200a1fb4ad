"""Runs plain functions in worker processes: asked to stop first, then really ended."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from .._core.jobs import JobFailure, Outcome
from .._core.machine.resources import CPUS, GPU, GPUS
from .._core.retrying import STARTS, wait_seconds
from .._core.spec import JobSpec
from .._runtime.failures import SurroundingsError, outcome_of_start, said_of
from .._threads.locks import Lock
from ..child import ends, wire
from ..child.capture.logs import Loggers
from ..child.detached.folder import JOB_NUMBER
from ..protocols import ExecutorContext, Reporter, TellStacks
from ..workers.gpus import gpu_memory_of
from ..workers.guard import GUARD
from ..workers.packing import Packed, PackedCall, Packer, job_frames
from ..workers.pool import Pool
from ..workers.process import KILL_PATIENCE, WorkerProcess
from ..workers.surroundings import Setup, Snapshot, Surroundings, processors, setup_of
from ..workers.task import Task
from ..workers.unpacking import decode, drop_unfinished, outcome_of, runs_code, undecoded
from .detached import DetachedExecution, attempt_of
from .idle_workers import IdleWorkers
from .starting import StartsAtOnce

SETUPS_KEPT = 64  # of jobs that were submitted in other surroundings
LINGERS_SECONDS = 1.0  # after which a log says that exit handlers or finalizers still run
FAREWELL_SECONDS = 9.0  # that they have from then on


class ProcessExecutor(StartsAtOnce):
    """One job per worker process; a worker serves many jobs, one after the other."""

    name = "process"
    can_kill = True
    launches_anywhere = True
    sets_surroundings = True
    shares_files = True
    decode = staticmethod(decode)  # makes an outcome of what an end frame tells; any thread
    decodes = True  # False: whoever is told of an end reads it elsewhere

    def __init__(self) -> None:
        self._packer = Packer()
        self.workers = IdleWorkers(lambda: self.pool)
        self._numbers = itertools.count(1)
        self.pool: Pool | None = None  # while it is open
        self._context: ExecutorContext | None = None
        self._surroundings: Surroundings | None = None
        self._setups: dict[object, Setup] = {}
        self._loggers = Loggers()

    def prepare(self, spec: JobSpec) -> tuple[Packed, bytes | PackedCall]:
        """Pickle the function and its arguments now.

        Raises:
            UnpicklableJobError: naming what is in the way.
        """
        target = cast("Callable[..., object]", spec.target)
        return self._packer.pack(target, spec.args, spec.kwargs)

    def payload_of(self, function: Packed, call: bytes) -> tuple[Packed, bytes]:
        """Return what `prepare` made, from what a journal kept: nothing is unpickled here."""
        return function, call

    def open(self, context: ExecutorContext) -> None:
        """Bind to a queue; the first worker starts with the first job."""
        self._context = context
        self._surroundings = Surroundings()
        self._setups = {}
        self.pool = Pool(context.io, context.max_running, context.run_id, context.recycle_after)

    def launch(self, spec: JobSpec, reporter: Reporter) -> ProcessExecution | DetachedExecution:
        """Give it to a warm worker, or to a new one."""
        assert self.pool is not None, "launch before open"
        if spec.options.detached:
            alone = DetachedExecution(self.context, spec, reporter)
            alone.begin(lambda: self._job_alone(spec, reporter))
            return alone
        execution = ProcessExecution(self, spec, reporter)
        execution.begin()
        return execution

    def reserve(self, job_id: str, attempt: int) -> None:
        """Make the folder of a detached attempt, before its launch is written down."""
        attempt_of(self.context, job_id, attempt).make()

    def adopt(self, spec: JobSpec, reporter: Reporter, asked: bool) -> DetachedExecution:
        """Follow an attempt that an earlier kernel, or this queue before its stop, has started."""
        execution = DetachedExecution(self.context, spec, reporter)
        execution.adopt(asked)
        return execution

    def _job_alone(self, spec: JobSpec, reporter: Reporter) -> tuple[Setup, Sequence[Any]]:
        """Make the setup and the frames of a job that has a process to itself."""
        setup = self.setup_for(spec, reporter.devices)
        sent = {**setup.sent, "spool": ""}
        logs = self._loggers.as_configured()
        return setup, job_frames(JOB_NUMBER, spec, reporter.attempt, sent, logs)

    def worker_for(self, spec: JobSpec) -> str | None:
        """Name the warm worker that this job would get now, as `workers` names it."""
        if self.pool is None or spec.options.fresh or spec.options.detached:
            return None
        try:
            setup = self.setup_for(spec)
        except SurroundingsError:
            return None
        resources, code = spec.options.resources, code_of(spec)
        if not isinstance(resources, Mapping) or not (resources.get(GPU) or resources.get(GPUS)):
            return self.workers.next_name(lambda worker: worker.serves(setup), code)
        return self.workers.next_name(lambda worker: worker.serves_on_a_gpu(setup), code)

    def restart_workers(self) -> None:
        """Replace idle workers now and busy ones after their job."""
        if self.pool is not None:
            self.pool.replace_all()

    async def close(self) -> None:
        """End every worker; returns when all are gone."""
        context = self._context
        empty = asyncio.Event()
        pool = self.pool
        if context is not None and self.begin_close(lambda: context.call_on_loop(empty.set)):
            try:
                await empty.wait()
            except asyncio.CancelledError:
                assert pool is not None
                pool.kill_now()
                raise

    def begin_close(self, on_empty: Callable[[], None]) -> bool:
        """End every worker; `on_empty` is called, on the I/O thread, when all are gone.

        Returns:
            False if it is not open: nothing will be called.
        """
        pool, self.pool = self.pool, None
        self._context = None
        if pool is None:
            return False
        pool.close(on_empty)
        return True

    def kill_all_now(self) -> bool:
        """End every worker without a loop, within a second."""
        pool, self.pool = self.pool, None
        return pool is None or pool.kill_now()

    def after_fork(self) -> None:
        """Forget the workers and the guardian in a forked child: they are the parent's."""
        pool, self.pool = self.pool, None
        GUARD.forget_after_fork()
        if pool is not None:
            pool.forget_after_fork()

    # -- for the executions --------------------------------------------------------------------

    @property
    def context(self) -> ExecutorContext:
        """The context that `open` was given."""
        assert self._context is not None
        return self._context

    def setup_for(self, spec: JobSpec, devices: tuple[str, ...] = ()) -> Setup:
        """Return what its worker has to take over: of queue, submit and options.

        Raises:
            SurroundingsError: it cannot be had here any more.
        """
        assert self._surroundings is not None, "launch before open"
        snapshot = cast("Snapshot | None", spec.surroundings) or self._surroundings.now()
        options = spec.options
        lacks = snapshot.lacks(options.cwd) if snapshot.borrowed or options.cwd else None
        if lacks is not None:
            raise SurroundingsError(lacks)
        threads = self._threads(spec)
        env = options.env and tuple(options.env.items())
        key = snapshot, options.cwd, env, devices, threads
        setup = self._setups.get(key)
        if setup is None:
            setup = setup_of(snapshot, options, devices, threads, self.context)
            if len(self._setups) >= SETUPS_KEPT:
                self._setups.clear()
            if not snapshot.borrowed:
                self._setups[key] = setup
        return setup

    def _threads(self, spec: JobSpec) -> int:
        """Number of threads for a library that would make one for each processor."""
        resources = spec.options.resources
        wanted = resources.get(CPUS) if isinstance(resources, Mapping) else None
        return max(1, int(wanted or processors() / self.context.max_running))

    def frames_for(
        self, worker: WorkerProcess, spec: JobSpec, attempt: int, setup: Setup
    ) -> tuple[int, list[bytes | memoryview]]:
        """Make the frames of a job, with what its worker has to take over if that is new."""
        if "spool" not in setup.sent:  # not before there is a worker, and with it a guardian
            setup.sent["spool"] = str(self.context.spool_dir())
            GUARD.add_folder(setup.sent["spool"])
        sent = None if worker.setup is setup else setup.sent
        worker.setup = setup
        number = next(self._numbers) & 0xFFFFFFFF
        return number, job_frames(number, spec, attempt, sent, self._loggers.as_configured())


def code_of(spec: JobSpec) -> Packed:
    """Return the function of a job as it is sent."""
    return cast("tuple[Packed, bytes | PackedCall]", spec.payload)[0]


class ProcessExecution(Task):
    """One attempt of one job in a worker process of ours."""

    can_be_killed = True

    def __init__(self, executor: ProcessExecutor, spec: JobSpec, reporter: Reporter) -> None:
        self._executor = executor
        self._spec = spec
        self.reporter = reporter
        self._io = executor.context.io
        self._lock = Lock()
        self._worker: WorkerProcess | None = None
        self._setup: Setup | None = None
        self._cancel_timer: Callable[[], None] | None = None
        self._over = False
        self._ending: tuple[dict[str, Any], Sequence[memoryview]] | None = None
        self._cancel_bound: Callable[[], None] | None = None
        self._decoding = False
        self._returned: object = None  # what its worker said of a value before it sent that
        self._outcome: Outcome | None = None
        self._await_death = False  # what it left behind must be gone before its end is told

    def begin(self) -> None:
        """Find a worker, or have one started."""
        pool = self._executor.pool
        if pool is None or self._over:
            return
        spec, attempt = self._spec, self.reporter.attempt
        try:
            setup = self._setup = self._setup or self._executor.setup_for(
                spec, self.reporter.devices
            )
        except SurroundingsError as error:
            self._end(Outcome.of_error(JobFailure("SurroundingsError", str(error))))
            return
        worker = pool.give(
            self,
            lambda worker: self._executor.frames_for(worker, spec, attempt, setup),
            setup,
            code_of(spec),
            fresh=spec.options.fresh,
        )
        if worker is None:
            self.on_starting()
            self._io.call(self._begin_with_a_new_one, pool, setup)
            return
        with self._lock.held:
            self._worker = worker

    def _begin_with_a_new_one(self, pool: Pool, setup: Setup) -> None:
        """Begin with a new worker. I/O thread."""
        if self._over:
            return
        try:
            problem = pool.add_worker(setup)
            if problem is None:
                self.begin()
        except BaseException as error:
            problem = error
        if problem is not None:
            text = f"its worker could not be started: {said_of(problem)}"
            self._end(outcome_of_start(problem, text, "WorkerDied"))

    # -- protocols.Execution -------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The worker's process, which leads a group of its own."""
        worker = self._worker
        return None if worker is None else worker.pid or None

    def ask_to_stop(self) -> bool:
        """Pass it on, unless the job has not been sent: then that is its end."""
        worker = self._worker
        if worker is None or worker.take_back(self):
            self._end(Outcome.of_stop())
        else:
            worker.ask(self)
        return True

    def kill(self) -> None:
        """End its process group and every process of its."""
        worker = self._worker
        if worker is None or worker.take_back(self):
            self._end(Outcome.of_stop())
        else:
            self._cancel_timer = self._io.call_later(KILL_PATIENCE, self._tell_if_decoding)
            worker.kill(self, "forced")

    def _tell_if_decoding(self) -> None:
        """Say so of a forced job whose worker is done and whose result is decoded. I/O thread."""
        with self._lock.held:
            hangs = self._decoding and not self._over
        if hangs:
            self.reporter.kill_failed(
                "its result is still being unpickled, in a thread of this process"
            )

    def ask_stack(self, tell: TellStacks) -> None:
        """Ask its worker where its function is."""
        if self._worker is None:
            tell(None, "its worker starts")
        else:
            self._worker.ask_stack(self, tell)

    # -- workers.task.Task, on the I/O thread --------------------------------------------------

    def on_returned(self, told: object) -> None:
        """Note that it has done its work, whatever becomes of its value."""
        self._returned = told

    def on_outcome(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> None:
        """Keep how it ended; what it runs from now on has its time, and then costs its worker."""
        self._ending = (meta, parts)
        self._cancel_bound = self._io.call_later(LINGERS_SECONDS, self._tell_that_it_lingers)

    def _tell_that_it_lingers(self) -> None:
        if not self._over:
            self.reporter.log("[it has returned; its exit handlers or finalizers still run]\n")
            self._cancel_bound = self._io.call_later(FAREWELL_SECONDS, self._end_what_lingers)

    def _end_what_lingers(self) -> None:
        if not self._over and self._worker is not None:
            self.reporter.log("[they still ran: they were ended with its worker]\n")
            self._worker.kill(self, "its exit handlers or finalizers did not end")

    def on_end(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> bool:
        """True if it left what only the end of its worker ends."""
        if self._ending is not None and meta.get("told"):
            meta, parts = ends.with_the_rest(self._ending[0], meta), self._ending[1]
        if self._cancel_bound is not None:
            self._cancel_bound()
        left = bool(meta.get("processes") or meta.get("threads")) or self._holds_gpu(meta)
        changed = bool(meta.get("limits") or meta.get("imports"))
        failed = meta["kind"] == "error"  # what could not be freed then goes with its worker
        must_go = left or changed or (failed and JobFailure.of_end(meta).out_of_memory)
        if left:
            self.reporter.log("[what this job left running was ended with its worker]\n")
        if self._spec.options.fresh and self._worker is not None:
            assert self._executor.pool is not None
            self._executor.pool.retire(self._worker)
        self._ending = (meta, parts)
        if must_go:
            self._await_death = True
            self._begin_decoding()
        return must_go

    def on_free(self) -> None:
        """Tell the end now that the worker is free for the next job."""
        self._begin_decoding()

    def on_death(self, failure: JobFailure) -> None:
        """Tell the end: nothing of it is left, also of a file that it was writing."""
        worker = self._worker
        if self._ending is None and worker is not None and isinstance(worker.setup, Setup):
            drop_unfinished(worker.setup.sent["spool"], worker.id, worker.number)
        with self._lock.held:
            self._await_death = False
            if self._decoding:
                return
            outcome = self._outcome
        if outcome is None and self._ending is not None:  # told ahead
            self._begin_decoding()
            return
        if outcome is None and self._returned is not None:
            reason = f"{failure.message} before it was sent"
            outcome = self._executor.decode(wire.lost(self._returned, reason), ())
        self._end(outcome or Outcome.of_error(failure))

    def on_not_started(self, failure: JobFailure) -> None:
        """End a job that never ran."""
        self._end(Outcome.of_start(failure))

    def _holds_gpu(self, meta: dict[str, Any]) -> bool:
        return (
            bool(meta.get("gpu")) and self._worker is not None and gpu_memory_of(self._worker.pid)
        )

    # -- reading how it ended --------------------------------------------------------------------

    def _begin_decoding(self, failed: int = 0) -> None:
        """Decode the result: what may run somebody's code, in a thread of its own."""
        assert self._ending is not None
        meta, parts = self._ending
        self._decoding = True
        if not (self._executor.decodes and runs_code(meta, parts)):
            self._decode(meta, parts)
            return
        name = f"decode-{self._spec.id}"
        thread = threading.Thread(target=self._decode, args=(meta, parts), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # there may be room for one in a moment
            failed += 1
            if self._worker is None or failed >= STARTS:
                cannot = functools.partial(undecoded, error)
                self._take(outcome_of(cannot, self._keeps, meta, parts, self._returned))
            else:
                self._worker.call_later(wait_seconds(failed), self._begin_decoding, failed)

    def _decode(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> None:
        self._take(outcome_of(self._executor.decode, self._keeps, meta, parts, self._returned))

    @property
    def _keeps(self) -> bool:
        """True if its value stays packed, as other jobs take it."""
        return self._executor.decodes and self.reporter.forwards

    def _take(self, outcome: Outcome) -> None:
        with self._lock.held:
            self._outcome, self._decoding = outcome, False
            if self._await_death:
                return
        self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        if self._cancel_timer is not None:
            self._cancel_timer()  # it would hold the job until it fires
        if self._cancel_bound is not None:
            self._cancel_bound()
        with self._lock.held:
            if self._over:
                return
            self._over = True
        self.reporter.ended(outcome)
