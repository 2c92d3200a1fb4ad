"""Puts any exception, however broken, into a JobFailure, and stands for what was refused."""

from __future__ import annotations

from pathlib import Path
from traceback import walk_tb

from .._core.jobs import JobFailure, Outcome
from .._core.retrying import is_too_much, lies_with_the_machine
from ..child.wire import describe, nature_of
from ..errors import JobQueueError
from ..protocols import Reporter

_OURS = str(Path(__file__).parent.parent)


class SurroundingsError(JobQueueError):
    """The folder or a variable of a job is not there when it starts."""


def failure_of(error: BaseException) -> JobFailure:
    """Describe an exception by type, message and traceback text, and keep it without its frames.

    Frames hold every local variable of the job: kept, they would keep its memory.
    """
    files = {frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)}
    hidden = tuple(name for name in files if name.startswith(_OURS))
    name, message, text = describe(error, hidden)
    error.__traceback__ = None
    told = {"type": name, "message": message, "traceback": text, **nature_of(error)}
    return JobFailure.of_end(told, error)


def outcome_of_start(error: BaseException, text: str, name: str = "") -> Outcome:
    """Return how an attempt ends whose body never began; `text` says what failed."""
    failure = JobFailure(name or type(error).__name__, text)
    if lies_with_the_machine(error):
        return Outcome.of_start(failure)
    return Outcome.of_error(failure)


def said_of(error: BaseException) -> str:
    """Return the message of an exception, or its name if it has none."""
    if is_too_much(error):
        return "its environment has a variable that is too long, or too many, for this system"
    return str(error) or type(error).__name__


class RefusedRun:
    """A `protocols.PluginExecution` that is over; it tells its end as it is made."""

    can_be_killed = True

    def __init__(self, reporter: Reporter, failure: JobFailure) -> None:
        reporter.ended(Outcome.of_error(failure))

    def ask_to_stop(self) -> bool:
        """Do nothing: it has ended."""
        return False

    def kill(self) -> None:
        """Do nothing: it has ended."""

    def kill_now(self) -> bool:
        """Do nothing: it has ended."""
        return True
