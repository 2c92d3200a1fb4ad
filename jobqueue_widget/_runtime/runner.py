"""One attempt of one job, from Launch to exactly one Ended; also what the job reports through."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, cast

from .._core import events as ev
from .._core.jobs import JobRecord, Outcome
from .._core.texts.fitting import ends, fit
from ..child.capture.series import Points
from ..child.displays.account import MOST, MOST_BYTES
from ..child.wire import plain
from ..errors import InvalidTransition, ReentrantCallError
from ..workers.unpacking import PackedValue
from .engine_view import EngineView
from .failures import outcome_of_start, said_of
from .storage.filling import Filling
from .storage.forwarding import takes
from .storage.told.hidden_output import HiddenOutput
from .storage.told.metrics import KeptMetrics
from .storage.told.outputs import KeptOutputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core.spec import JobSpec
    from ..protocols import Execution, Executor, LeavesExecution, RunsDetached
    from .executor_context import QueueContext
    from .publish import Publisher
    from .storage.keeper import Keeper
    from .storage.told.logs import JobLog

MAX_MESSAGE = 500
LIMIT_OF_OUTPUTS = f"{MOST} of a job are, with {MOST_BYTES >> 20} MiB in all"


class RunsJobs(EngineView, Protocol):
    """What a run uses of its engine besides."""

    late_reports: int
    odd_reports: int
    bugs: int

    context: QueueContext
    keeper: Keeper
    publisher: Publisher

    def begin_beside_jobs(self) -> None: ...
    def log_of(self, job: JobRecord) -> JobLog: ...
    def end_run(self, run: Run, outcome: Outcome) -> None: ...


class Run:
    """Stands between an execution and the core: keeps "one Launch, one Ended" whatever either does.

    Implements `protocols.Reporter` for the executor. An ask or a kill that arrives before the
    execution exists is delivered as soon as it does.
    """

    __slots__ = (
        *("_asks", "_engine", "_kills", "_output", "_secrets"),
        *("attempt", "execution", "job", "job_id", "lane", "over", "problem"),
    )

    def __init__(self, engine: RunsJobs, job: JobRecord) -> None:
        self._engine = engine
        self._asks = 0
        self._kills = 0
        self._secrets = job.spec.secrets
        self._output = None if self._secrets is None else HiddenOutput(self._secrets)
        self.job = job
        self.job_id = job.id
        self.attempt = job.attempt
        self.lane = -1  # until it is launched
        self.over = False
        self.execution: Execution | None = None  # while there is one
        self.problem: BaseException | None = None  # since it has its lane, before its start

    # -- towards the execution ---------------------------------------------------------------

    def start(self, executor: Executor) -> None:
        """Launch the attempt, once it has the results that it takes of other jobs."""
        self._guarded(executor, self._start)

    def launch(self, executor: Executor, spec: JobSpec) -> None:
        """Launch the attempt as this spec says; not of a job that has ended meanwhile.

        On the owner loop, or on any thread if its executor allows that.
        """
        if self.job.status.ended:  # its loop was lost while its results were read
            if not self.over:
                self.ended(Outcome.of_stop())
        elif not self.over:
            self._guarded(executor, lambda executor: executor.launch(spec, self))

    def adopt(self, executor: Executor) -> None:
        """Follow an attempt that needs no kernel, as far as a stop of it has come."""
        phase = self.job.cancel_phase
        self._kills = int(phase == "forcing")
        adopt = cast("RunsDetached", executor).adopt
        self._guarded(executor, lambda executor: adopt(self.job.spec, self, phase == "asked"))
        self._engine.begin_beside_jobs()

    def leave(self) -> None:
        """Let an attempt go on that needs no kernel: this run is over, its job is not."""
        with self._engine.lock.held:
            self.over = True
            execution, self.execution = self.execution, None
        if execution is not None:
            cast("LeavesExecution", execution).leave()

    def _start(self, executor: Executor) -> Execution | None:
        if self.problem is not None:
            raise self.problem
        if self.job.spec.options.detached:
            cast("RunsDetached", executor).reserve(self.job_id, self.attempt)
        self._engine.begin_beside_jobs()
        if self.job.spec.takes:
            return self._fill(executor)
        return executor.launch(self.job.spec, self)

    def _fill(self, executor: Executor) -> Execution | None:
        engine = self._engine
        filling = Filling(self, executor, engine, engine.keeper, engine.context.call_on_loop)
        if filling.is_quick:
            filling.fill()
            return None
        with engine.lock.held:
            self.execution = filling  # until `launch` has another
            asked = self._asks + self._kills > 0
        filling.begin()
        if asked:
            self._deliver_ask(filling)
        return None

    def _guarded(self, executor: Executor, launch: Callable[[Executor], Execution | None]) -> None:
        """Whatever fails on the way ends this run, and not the queue."""
        try:
            execution = launch(executor)
        except BaseException as error:
            text = f"the {executor.name} executor could not start it: {said_of(error)}"
            outcome = outcome_of_start(error, text)
            if outcome.kind == "error":  # else the row says why, and it is tried again
                self._engine.logger.exception("%s could not launch %s", executor.name, self.job_id)
            self.ended(outcome)
            if isinstance(error, KeyboardInterrupt):
                raise  # it happened to arrive here and is not ours to swallow
            return
        finally:
            self.problem = None
        if execution is None:
            return  # it is launched, or will be
        with self._engine.lock.held:
            if not self.over:
                self.execution = execution
            asks, kills = self._asks, self._kills
        if asks and not self.over:
            self._deliver_ask(execution)
        if kills and not self.over:
            self._deliver_kill(execution)

    def ask(self) -> None:
        """Ask the execution to stop. Any thread."""
        with self._engine.lock.held:
            self._asks += 1
            execution = self.execution
        if execution is not None:
            self._deliver_ask(execution)

    def kill(self) -> None:
        """Force the execution to end. Any thread."""
        with self._engine.lock.held:
            self._kills += 1
            execution = self.execution
        if execution is not None:
            self._deliver_kill(execution)

    def _deliver_ask(self, execution: Execution) -> None:
        try:
            execution.ask_to_stop()
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._engine.logger.exception("asking %s to stop failed", self.job_id)

    def _deliver_kill(self, execution: Execution) -> None:
        try:
            execution.kill()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._engine.logger.exception("forcing %s to end failed", self.job_id)
            self.kill_failed(f"{type(error).__name__}: {error}")

    @property
    def priority(self) -> int:
        """Priority of the job, for engines that have an order of their own."""
        return self.job.priority

    @property
    def devices(self) -> tuple[str, ...]:
        """GPUs that are reserved for the job, as CUDA names them."""
        return () if self.job.usage is None else self.job.usage.devices

    # -- from the execution: `protocols.Reporter`, any thread ----------------------------------

    def phase(self, text: str | None, where: str | None = None) -> None:
        """Tell what the job does before its body runs; None: that runs. `where`, if it is news."""
        if not self.over:
            self._tell(ev.PhaseChanged(self.job, self.attempt, text, where))

    def progress(self, fraction: object, message: object = None) -> None:
        """Pass progress on, clamped; count what cannot be read as progress."""
        if self._is_late():
            return
        known, clean = read_fraction(fraction)
        if not clean:
            self._engine.odd_reports += 1
        text = None if message is None else read_message(message)
        if text and self._secrets is not None:
            text = self._secrets.hide(text)
        self._tell(ev.Progressed(self.job, self.attempt, known, text))

    def metrics(self, points: Points, *, anew: bool = False) -> None:
        """Keep what the job measures."""
        if self._is_late():
            return
        kept = self.job.metrics
        if not isinstance(kept, KeptMetrics):
            kept = self.job.metrics = KeptMetrics()
        kept.take(self.attempt, points, anew=anew)

    def _is_late(self) -> bool:
        """Count what is reported after the end, and say that it is."""
        self._engine.late_reports += self.over
        return self.over

    def log(self, data: bytes | str) -> None:
        """Append to the job's log."""
        if self._output is not None:
            data = self._output.pass_on(data)
        self._engine.log_of(self.job).write(data)

    def output(self, told: dict[str, Any], body: bytes) -> None:
        """Keep what the job displays; say so to whoever shows it."""
        if self._is_late():
            return
        kept = self.job.outputs
        if not isinstance(kept, KeptOutputs):
            kept = self.job.outputs = KeptOutputs()
        kept.take(self.attempt, told, body, self._secrets)
        with self._engine.lock.held:
            self._engine.publisher.touch()

    def ended(self, outcome: Outcome) -> None:
        """End the run. A second end is counted and ignored."""
        if self._output is not None and self._secrets is not None:
            if left := self._output.rest():
                self._engine.log_of(self.job).write(left)
            outcome = self._secrets.hide_in_outcome(outcome)
        if isinstance(self.job.outputs, KeptOutputs) and not self.over:
            self._say_what_was_lost(self.job.outputs.lost)
        if type(outcome.value) is PackedValue:
            self._end_packed(outcome, outcome.value)
        else:
            self._engine.end_run(self, outcome)
        self.execution = None  # it knows us: without a cycle both are freed now

    def _say_what_was_lost(self, count: int) -> None:
        if count:
            were = "output was" if count == 1 else "outputs were"
            said = f"[{count} more {were} not kept: {LIMIT_OF_OUTPUTS}]\n"
            self._engine.log_of(self.job).write(said)

    def _end_packed(self, outcome: Outcome, packed: PackedValue) -> None:
        engine, job = self._engine, self.job
        kept = outcome.value = None if self.over else engine.keeper.keep_packed(job, packed)
        engine.end_run(self, outcome)
        if kept is not None and job.result is not kept and job.attempt == self.attempt:
            engine.keeper.drop_result(job)  # it had ended meanwhile, and without this

    @property
    def forwards(self) -> bool:
        """True if other jobs take its result as it was packed."""
        return any(takes(child, self.job) for child in tuple(self.job.children or ()))

    def kill_failed(self, reason: str) -> None:
        """Tell that the work was forced to end and is still there."""
        if not self.over:
            self._tell(ev.KillFailed(self.job, self.attempt, reason))

    def _tell(self, event: ev.Event) -> None:
        try:
            self._engine.do(event)
        except ReentrantCallError:  # from a finalizer: a report may be lost, and never raises
            self._engine.late_reports += 1
        except InvalidTransition:
            self._engine.bugs += 1
            self._engine.logger.exception("an executor reported what cannot be")


def read_fraction(value: object) -> tuple[float | None, bool]:
    """Return 0.0-1.0 or None (unknown), and whether `value` was fine as it came."""
    if value is None:
        return None, True
    if hasattr(type(value), "__float__"):  # a protocol's own look takes longer than all the rest
        try:
            number = float(cast("Any", value))
        except (TypeError, ValueError, OverflowError):
            return None, False
        if number == -1.0:
            return None, True  # as the reference says it
        if math.isfinite(number):
            return min(1.0, max(0.0, number)), 0.0 <= number <= 1.0
    return None, False


def read_message(value: object) -> str:
    """One line of at most 500 characters that any front end can encode."""
    try:
        text = str(value)
    except Exception as error:
        text = f"<message could not be shown: {type(error).__name__}>"
    return fit(plain(ends(text, MAX_MESSAGE)), MAX_MESSAGE)
