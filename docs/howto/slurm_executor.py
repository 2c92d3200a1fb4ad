"""Jobs on a batch system with a queue of its own, such as Slurm: the example of new_executor.md."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGINT, SIGKILL

import cloudpickle

from jobqueue_widget import BlockReason, JobFailure, UnpicklableJobError
from jobqueue_widget.protocols import ExecutorContext, JobSpec, Outcome, Reporter


class FakeSlurm:
    """What `sbatch`, `squeue` and `scancel` do, with processes of this machine for nodes."""

    def __init__(self) -> None:
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}

    def sbatch(self, command: list[str], output: Path) -> str:
        with open(output, "wb") as log:
            node = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.nodes[str(node.pid)] = node
        return str(node.pid)

    def squeue(self) -> set[str]:
        """The jobs that wait or run."""
        return {number for number, node in self.nodes.items() if node.poll() is None}

    def scancel(self, number: str, signal: int = SIGKILL) -> None:
        if self.nodes[number].poll() is None:
            os.killpg(int(number), signal)


NODE = """
import os, signal, sys, traceback, cloudpickle
from jobqueue_widget import JobCancelled, NotKept

def ask(*_):
    raise JobCancelled("asked to stop")

signal.signal(signal.SIGINT, ask)
stem = sys.argv[1]
try:
    with open(stem + ".in", "rb") as file:
        function, args, kwargs = cloudpickle.load(file)
    answer = "value", function(*args, **kwargs)
except JobCancelled:
    answer = "stopped", None
except BaseException as error:
    lines = traceback.format_exception(error)
    answer = "error", (type(error).__name__, lines[-1].partition(": ")[2].strip(), "".join(lines))
try:
    data = cloudpickle.dumps(answer)
except Exception as error:
    data = cloudpickle.dumps(("value", NotKept(type(answer[1]).__name__, reason=str(error))))
with open(stem + ".part", "wb") as file:
    file.write(data)
os.replace(stem + ".part", stem + ".out")
"""


# begin: executor
class SlurmExecutor:
    """Whatever talks to Slurm may take seconds, so all of it happens on one thread of our own."""

    name = "slurm"
    can_kill = True
    admits_by_itself = True  # its jobs take nothing of this machine

    def __init__(self, slurm: FakeSlurm, folder: Path, capacity: int, every: float = 1.0) -> None:
        self.slurm, self.folder, self.capacity, self._every = slurm, folder, capacity, every
        self.at_work: set[SlurmExecution] = set()
        self.talk: ThreadPoolExecutor | None = None
        self._ticking = False

    def prepare(self, spec: JobSpec) -> bytes:
        """Pickle it at submit: what changes afterwards does not reach the job."""
        try:
            return bytes(cloudpickle.dumps((spec.target, spec.args, dict(spec.kwargs))))
        except Exception as error:
            raise UnpicklableJobError(f"{spec.name} cannot be sent to Slurm: {error}") from error

    def open(self, context: ExecutorContext) -> None:
        self._io = context.io
        self.talk = ThreadPoolExecutor(1, thread_name_prefix="slurm")
        self._ticking = False

    def launch(self, spec: JobSpec, reporter: Reporter) -> SlurmExecution:
        execution = SlurmExecution(self, spec, reporter)
        self.say(execution.begin)
        self._tick()
        return execution

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        return None  # `capacity` lanes are the only limit

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        return lambda: None  # so nothing here ever unblocks a job

    def kill_all_now(self) -> bool:
        """The kernel ends, or its loop is gone."""
        for execution in list(self.at_work):
            execution.kill()
        return not self.at_work

    def after_fork(self) -> None:
        self.at_work = set()  # they are the parent's

    async def close(self) -> None:
        talk, self.talk = self.talk, None
        if talk is not None:
            await asyncio.to_thread(talk.shutdown)

    def say(self, words: Callable[..., object], *more: object) -> None:
        """Do it on the one thread; not at all once we are closed."""
        if self.talk is not None:
            self.talk.submit(words, *more)

    def _tick(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._io.call_later(self._every, self.say, self._look)

    def _look(self) -> None:
        try:
            alive = self.slurm.squeue()
            for execution in list(self.at_work):
                execution.look(alive)
        finally:  # also when Slurm did not answer: the next look asks again
            self._ticking = False
            if self.at_work:
                self._tick()


class SlurmExecution:
    """One attempt of one job. Its state belongs to the thread that talks to Slurm."""

    can_be_killed = True

    def __init__(self, executor: SlurmExecutor, spec: JobSpec, reporter: Reporter) -> None:
        self._executor, self._payload, self._reporter = executor, spec.payload, reporter
        self._stem = executor.folder / f"{spec.id}-{reporter.attempt}"
        self._number = ""
        self._stopped, self._told = False, 0
        executor.at_work.add(self)

    def begin(self) -> None:
        try:
            self._file(".in").write_bytes(self._payload)  # type: ignore[arg-type]
            command = [sys.executable, "-c", NODE, str(self._stem)]
            self._number = self._executor.slurm.sbatch(command, self._file(".log"))
        except OSError as error:  # nobody's fault: it is tried again
            self._end(Outcome.of_start(JobFailure(type(error).__name__, f"sbatch: {error}")))
        else:
            self._reporter.phase(None, where=f"slurm job {self._number}")

    def look(self, alive: set[str]) -> None:
        if not self._number:
            return
        with open(self._file(".log"), "rb") as log:
            log.seek(self._told)
            self._reporter.log(new := log.read())
            self._told += len(new)
        if self._number not in alive:
            self._end(self._outcome())

    def _outcome(self) -> Outcome:
        if not self._file(".out").exists():
            if self._stopped:
                return Outcome.of_stop()
            text = f"slurm job {self._number} ended without an answer: its node is gone"
            return Outcome.of_error(JobFailure("NodeLost", text))
        kind, value = cloudpickle.loads(self._file(".out").read_bytes())
        if kind == "value":
            return Outcome.of_value(value)
        return Outcome.of_stop() if kind == "stopped" else Outcome.of_error(JobFailure(*value))

    def _end(self, outcome: Outcome) -> None:
        self._executor.at_work.discard(self)
        for ending in (".in", ".out", ".log"):
            self._file(ending).unlink(missing_ok=True)
        self._reporter.ended(outcome)

    def ask_to_stop(self) -> bool:
        self._executor.say(self._stop, SIGINT)
        return True

    def kill(self) -> None:
        self._executor.say(self._stop, SIGKILL)

    def _stop(self, signal: int) -> None:
        if self in self._executor.at_work and self._number:
            self._stopped = True
            self._executor.slurm.scancel(self._number, signal)

    def _file(self, ending: str) -> Path:
        return self._stem.with_name(self._stem.name + ending)


# end: executor
