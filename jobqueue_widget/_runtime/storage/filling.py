"""Puts results into the arguments of a job that has its lane, and has it launched then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..._core.ending import lost_reason
from ..._core.events import CancelRequested
from ..._core.jobs import JobRecord, Outcome
from ..._core.spec import JobSpec
from ..._threads.locks import Lock
from ..._threads.threadless import Thread
from ...protocols import Executor, LaunchesAnywhere, TellStacks
from ..failures import failure_of, outcome_of_start, said_of
from .forwarding import Forwarding, ResultLostError

if TYPE_CHECKING:
    from ..engine_view import EngineView
    from .forwarding import KeepsResults

READING = "reading the results of other jobs"


class StartsJobs(Protocol):
    """The run of an attempt (`_runtime/runner.py`)."""

    job: JobRecord

    def launch(self, executor: Executor, spec: JobSpec) -> None: ...
    def phase(self, text: str | None, where: str | None = None) -> None: ...
    def ended(self, outcome: Outcome) -> None: ...


class Filling:
    """The execution of a job until its results are there; then its executor has it."""

    can_be_killed = True

    def __init__(
        self,
        run: StartsJobs,
        executor: Executor,
        engine: EngineView,
        keeper: KeepsResults,
        call_on_loop: Callable[..., object],
    ) -> None:
        self._run = run
        self._executor = executor
        self._engine = engine
        self._call_on_loop = call_on_loop
        self._forwarding = Forwarding(run.job, executor, keeper)
        self._lock = Lock()
        self._over = False

    @property
    def is_quick(self) -> bool:
        """True if `fill` neither runs somebody's code, nor reads or writes much."""
        return self._forwarding.is_quick

    def begin(self) -> None:
        """Fill in what takes a while, in a thread of its own."""
        self._run.phase(READING)
        name = f"results-{self._run.job.id}"
        Thread(target=self.fill, args=(True,), name=name, daemon=True).start()

    def fill(self, aside: bool = False) -> None:
        """Fill in the results and have the job launched, or end it with the reason."""
        try:
            spec = self._forwarding.spec()
        except ResultLostError as error:
            if self._claim():
                reason = lost_reason(error.title, error.lost)
                self._engine.do(CancelRequested(self._run.job, False, 0.0, reason))
                self._run.ended(Outcome.of_stop())
            return
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and not aside:
                raise  # it happened to arrive here; whoever starts the job ends it
            if self._claim():
                text = f"the results that it takes could not be put in: {said_of(error)}"
                outcome = outcome_of_start(error, text)
                if outcome.kind == "error":
                    outcome = Outcome.of_error(failure_of(error))
                self._run.ended(outcome)
            return
        if not aside:
            self._launch(spec)
            return
        self._run.phase(None)
        executor = self._executor
        if isinstance(executor, LaunchesAnywhere) and executor.launches_anywhere:
            self._launch(spec)
        else:
            self._call_on_loop(self._launch, spec)

    def _launch(self, spec: JobSpec) -> None:
        if self._claim():
            self._run.launch(self._executor, spec)

    def _claim(self) -> bool:
        with self._lock.held:
            was, self._over = self._over, True
            return not was

    # -- protocols.Execution -------------------------------------------------------------------

    def ask_to_stop(self) -> bool:
        """End it, unless its executor has it by now and is asked next."""
        if self._claim():
            self._run.ended(Outcome.of_stop())
        return True

    def kill(self) -> None:
        """Do the same."""
        self.ask_to_stop()

    def ask_stack(self, tell: TellStacks) -> None:
        """Tell that its code does not run yet."""
        tell(None, f"it is {READING}")
