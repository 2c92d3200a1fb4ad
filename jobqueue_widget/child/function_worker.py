"""The worker process: reads jobs from its pipe, runs one at a time, writes back how each ended.

Started by path with any interpreter; needs the standard library only (and cloudpickle for functions
that are not importable). fd 1 and 2 are the log from the first instruction, so that whatever is
printed here, from C or by a `sitecustomize` too, can only land there. The arguments are the numbers
of three more pipes: what must be heard while a job runs, the jobs, and what takes frames.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
ASK_SIGNAL = getattr(signal, "SIGUSR1", signal.SIGINT)  # on Windows only SIGINT ends a sleep
TRY_LATER = 75  # exit code: this machine has no room for a worker now
SWITCH_SECONDS = 0.001  # within which a busy job lets the thread run that hears "stop"


def load(name: str) -> Any:
    """Import a file of this folder by path."""
    whole = f"jobqueue_widget.child.{name}"
    spec = importlib.util.spec_from_file_location(
        whole, os.path.join(HERE, *name.split(".")) + ".py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[whole] = module
    spec.loader.exec_module(module)
    return module


# Under their real names, so that what jobs import from us is the same module, installed or not.
byvalue = load("byvalue")
keeping = load("keeping")
job_context = load("job_context")
account = load("displays.account")
forms = load("displays.forms")
display = load("displays.display")
loading = load("loading")
wire = load("wire")
references = load("calls.references")
child_pipes = load("pipes")
ends = load("ends")
state = load("baseline")
series = load("capture.series")
worker_job = load("capture.worker_job")
inside = load("capture.inside")
logs = load("capture.logs")
tqdm = load("capture.tqdm")
libraries = load("libraries")
patches = load("patches")
stacks = load("stacks")
MARKS = ("JOBQUEUE_WORKER_ID", "JOBQUEUE_RUN_ID")  # by which what this process starts is found
OUR_FILES = (
    os.path.abspath(__file__),
    *(module.__file__ for module in (byvalue, loading, wire, references, job_context)),
    *(module.__file__ for module in (account, forms, display)),
    os.path.join(HERE, "cell.py"),
)


class Body:
    """Record of which job's body the main thread is in; the ask signal is for that one alone."""

    def __init__(self) -> None:
        self.number = 0
        self.asked = False
        self.early = 0  # the job that was asked before it was here: the two come by different pipes
        self.cut_an_import = False  # JobCancelled came while something was imported
        self.context: Any = None
        self.noticed_before = False  # whether it knew before JobCancelled was raised in it
        self._main = threading.main_thread().ident
        self._lock = threading.Lock()

    def ask(self, number: int) -> None:
        """Raise JobCancelled in the body, if it is the one that is meant. On the reader thread."""
        with self._lock:
            context = self.context
            if context is None or number != context.number:
                self.early = number
                return
            context.request_cancel()
            if number == self.number and self._main is not None:
                self.asked = True
                if hasattr(signal, "pthread_kill"):
                    signal.pthread_kill(self._main, ASK_SIGNAL)
                else:  # the main thread hears it all the same
                    signal.raise_signal(ASK_SIGNAL)

    def on_signal(self, signum: int, frame: Any) -> None:
        """Raise JobCancelled if the body was asked to stop. On the main thread."""
        if self.asked and self.number:
            self.asked = False
            self.noticed_before = self.context.noticed
            self.context.noticed = True
            self.cut_an_import = self.cut_an_import or state.is_importing(frame)
            raise job_context.JobCancelled("asked to stop")
        if signum == signal.SIGINT and not self.asked:  # somebody else's
            signal.default_int_handler(signum, frame)

    def take_back(self) -> None:
        """Note that the body did not notice a JobCancelled that came after it had returned."""
        self.context.noticed = self.noticed_before

    def begin(self, context: Any) -> None:
        """Note that the job is here; its body has not begun."""
        with self._lock:
            self.context = context
            self.asked = self.cut_an_import = False
            if context.number == self.early:
                context.request_cancel()

    def end(self) -> None:
        """Note that the job is over."""
        with self._lock:
            self.context = None


class Worker:
    """Runs jobs one after the other."""

    make_pipes, make_end = child_pipes.Pipes, ends.End

    def __init__(self, control: int, jobs: int, frames: int) -> None:
        self.pipes = self.make_pipes(control, jobs, frames)
        self.id = os.environ.get(MARKS[0], "")
        self.body = Body()
        self.held_back = threading.Event()
        self.capture: Any = None
        self.logging = logs.Configuration()
        self.spool = ""
        self.max_result_bytes: int | None = None
        self.base: Any = None
        self.patches: Any = None
        self.pools = libraries.ThreadPools()
        self.begun = 0.0
        self.sources: Any = None
        self.threads: set[threading.Thread] = set()
        self.is_copy = False
        self.returned: dict[str, Any] | None = None  # of this job's value, once there is one
        self.farewells = state.Farewells()
        self.end = self.make_end(self.pipes, 0)  # of this job, or of the last one

    # -- threads of our own ------------------------------------------------------------------

    def listen(self) -> None:
        """Hear, while a job runs, that it shall stop or that all is over. The control thread."""
        while True:
            kind, number, data = self.pipes.read_frame(self.pipes.control)
            if kind == wire.ASK:
                self.body.ask(number)
                self.end.tell_ahead(number)
            elif kind == wire.QUESTION:
                stacks.answer(self, number, bytes(data).decode())
            elif kind == wire.EXIT:
                self.farewells.leave()

    def flush_reports(self) -> None:
        """Send a report that was held back a moment later. The flusher thread."""
        while True:
            self.held_back.wait()
            self.held_back.clear()
            time.sleep(job_context.MIN_INTERVAL)
            context = self.body.context
            if context is not None:
                context.flush()

    def become_a_copy(self) -> None:
        """Let go of job, threads and pipes in a fork that the job made."""
        self.is_copy = True
        self.pipes.let_go()
        self.end = self.make_end(self.pipes, 0)
        job_context.bind_process(None)
        job_context.bind(None)

    # -- jobs --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Tell the kernel that it can work."""
        for target in (self.listen, self.flush_reports):
            threading.Thread(target=target, daemon=True, name=f"jobqueue-{target.__name__}").start()
        self.threads = set(threading.enumerate())
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.become_a_copy)
        self.base = state.Baseline()
        self.patches = patches.Patches()
        self.logging.note()
        self.sources = libraries.Sources(os.path.dirname(HERE))
        self.pipes.send(wire.READY, 0, [json.dumps({"pid": os.getpid()}).encode()])

    def run_forever(self) -> None:
        """The main thread."""
        while True:
            self.run_one(*self.next_job())  # what waits here holds nothing of the last one

    def next_job(self) -> tuple[int, list[bytearray]]:
        """Read the next job: its number, and the pieces that it came in."""
        pieces: list[bytearray] = []
        while True:
            kind, number, data = self.pipes.read_frame(self.pipes.jobs)
            pieces.append(data)
            if kind == wire.JOB:
                return number, pieces

    def run_one(self, number: int, pieces: list[bytearray]) -> None:
        """Run one job, to one END frame whatever happens."""
        self.begun = time.time()
        job = pickle.loads(child_pipes.joined(pieces))
        job_id, attempt, setup, function, call, source, logging_there = job
        del job
        self.set_up(setup)
        self.logging.take_over(logging_there)
        context = worker_job.WorkerJob(
            job_id, attempt, number, function, self.pipes, self.held_back.set
        )
        self.returned = None
        end = self.end = self.make_end(self.pipes, number)
        self.body.begin(context)
        job_context.bind_process(context)
        job_context.bind(context)
        self.capture.prepare()
        try:
            with loading.Main() as main:
                self.run_body(context, function, call, source, main)
                self.farewells.run()
        except BaseException as error:  # a late ask, or no memory to say how it ended
            if not end.is_known:
                end.hold(self.failed_after(error), [])
        self.body.end()
        job_context.bind(None)
        job_context.bind_process(None)
        context.finish()
        left = self.clean_up()
        end.tell({**left, "kept": True} if context.keeps else left)
        # Now, while the kernel reads that: all this takes as long as a short job.
        self.logging.take_back(self.patches.imported)
        self.patches.take_back()
        libraries.seed_anew()

    def run_body(
        self, context: Any, function: bytes, call: bytes, source: dict[str, Any] | None, main: Any
    ) -> None:
        """Run it and hold what came of it, before anything of it goes and may run its code."""
        target = args = kwargs = None
        body, end = self.body, self.end
        nothing = value = object()
        try:
            body.number = context.number
            context.checkpoint()
            brought = loading.Loading(main)
            target, args, kwargs = references.load_call(function, call, source, brought)
            try:
                value = job_context.run_body(target, args, kwargs)
            finally:
                for stop in (sys.setprofile, sys.settrace):
                    try:  # in this very frame: what it has set may fail all our calls
                        stop(None)
                    except Exception:
                        continue
                if not self.is_copy:
                    self.patches.mend()
            display.show_result(value)  # without a tracer of the job's
            body.number = 0
        except BaseException as error:
            body.number = 0
            if self.is_copy:
                state.end_copy(error)
            if value is nothing or not isinstance(error, job_context.JobCancelled):
                meta = wire.failure_meta(error, job_context.JobCancelled, OUR_FILES)
                end.hold(meta, wire.pack_exception(error, child_pipes.write_log))
                if self.farewells.waits:
                    end.tell_ahead(context.number)
                return
            body.take_back()
        if self.is_copy:
            state.end_copy(None)
        noticed = context.noticed
        self.returned = {"noticed": noticed}  # as what it has left here may fail our next calls
        self.returned = wire.returned(type(value), noticed)
        is_quick = ends.is_quick(value)
        if not is_quick:
            told = json.dumps(self.returned).encode()
            self.pipes.send(wire.RETURNED, context.number, [told])
        meta, parts = wire.pack_value(value, self.max_result_bytes, OUR_FILES)
        end.hold(*self.spooled(wire.noted(meta, noticed), parts))
        if self.farewells.waits or not (
            is_quick and self.base.has_its_streams() and ends.is_quiet(main.names, args, kwargs)
        ):
            end.tell_ahead(context.number)

    def failed_after(self, error: BaseException) -> dict[str, Any]:
        """Return how a job ends in which something else failed than its body."""
        meta: dict[str, Any] = wire.failure_meta(error, job_context.JobCancelled, OUR_FILES)
        if self.returned is not None:
            said = f"{meta['type']}: {meta['message']}"
            meta = wire.lost(self.returned, f"it could not be sent: {said}")
        return meta

    def spooled(self, meta: dict[str, Any], parts: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        """Return what is sent: a large value in a file, or in the pipe if that has no room."""
        try:
            packed: tuple[dict[str, Any], list[Any]]
            whose = f"{self.id}-{self.body.context.number}"
            packed = wire.spooled(meta, parts, self.spool, whose)
        except OSError:
            return meta, parts
        return packed

    def set_up(self, setup: dict[str, Any] | None) -> None:
        """Take over what changed in the kernel: folder, import path, environment."""
        if setup is None:
            return
        self.spool = setup["spool"]
        self.max_result_bytes = setup["max_result_bytes"]
        marks = {name: os.environ[name] for name in MARKS if name in os.environ}
        os.environ.clear()
        os.environ.update({**setup["environ"], **marks})
        sys.path[:] = setup["path"]
        try:
            os.chdir(setup["cwd"])
        except OSError as error:
            os.chdir(state.ROOT)
            child_pipes.write_log(
                f"[{error.strerror}: {setup['cwd']!r}; jobs run in {state.ROOT}]\n"
            )
        if setup["notice"]:
            child_pipes.write_log(f"[{setup['notice']}]\n")
        state.set_clock()
        self.pools.resize(setup["threads"])
        self.base = state.Baseline()

    def clean_up(self) -> dict[str, Any]:
        """Undo what the job did to this process; return what cannot be undone, for END."""
        left: dict[str, Any] = {}
        try:
            self.restore(left)
        except BaseException as error:  # this worker is no good any more
            left["limits"] = True
            told = f"{type(error).__name__}: {error}"
            child_pipes.write_log(f"[its worker is replaced, as it could not be cleared: {told}]\n")
        return left

    def restore(self, meta: dict[str, Any]) -> None:
        """Undo what the job did, and add to `meta` what cannot be undone."""
        self.pipes.set_standard_ones()
        state.flush_streams()
        new = self.sources.new(self.begun)
        if new:
            meta["modules"] = new
        libraries.take_back()
        if not self.base.restore():
            meta["limits"] = True
        state.flush_streams()
        left = [
            thread
            for thread in threading.enumerate()
            if thread not in self.threads and not thread.daemon
        ]
        if left:
            meta["threads"] = len(left)
        meta.update(self.told_of_an_import())
        if state.has_children():
            meta["processes"] = True
        may_hold = {"torch", "cupy", "jax"} & sys.modules.keys()
        if may_hold and not keeping.OF_PROCESS.values:  # else it is what it was told to keep
            meta["gpu"] = state.holds_gpu()

    def told_of_an_import(self) -> dict[str, Any]:
        """Return that an import was cut off, if so: another worker does what comes next."""
        if not self.body.cut_an_import:
            return {}
        child_pipes.write_log("[stopped in the middle of an import: its worker is replaced]\n")
        return {"imports": True}


def hooks(current: Any) -> dict[str, Any]:
    """Return what to do with modules that jobs import."""
    return {**tqdm.hooks(current), **display.hooks_of_a_worker()}


def main() -> None:
    """Set the process up, then run jobs until the pipe ends."""
    sys.path[:] = [entry for entry in sys.path if not entry or os.path.abspath(entry) != HERE]
    start(Worker(*map(int, sys.argv[1:4])), job_context.OwnPackage())


def start(worker: Worker, last_finder: Any) -> None:
    """Make this process what its jobs expect, and let it work."""
    try:
        make_ready(worker, last_finder)
    except (OSError, MemoryError, RuntimeError):
        traceback.print_exc()
        os._exit(TRY_LATER)
    worker.run_forever()


def make_ready(worker: Worker, last_finder: Any) -> None:
    """Do all that comes before the first job; what fails here has nothing to do with one."""
    sys.setswitchinterval(SWITCH_SECONDS)
    state.adopt_orphans()
    state.make_streams()
    sys.argv = [""]
    signal.signal(ASK_SIGNAL, worker.body.on_signal)
    sys.meta_path.append(last_finder)
    worker.capture = inside.Capture(job_context.bound_job, job_context.current_job, hooks)
    worker.capture.prepare()
    sys.breakpointhook = inside.Question(sys.breakpointhook, job_context.current_job)
    sys.modules["__main__"] = state.clean_main()
    worker.begin()


if __name__ == "__main__":
    main()
