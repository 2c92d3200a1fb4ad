"""The errors users meet: each says what happened, why, and what to do; each is also a built-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._core.outcomes import JobFailure, NotKept


class JobQueueError(Exception):
    """Base of every error of this package."""


class InvalidTargetError(JobQueueError, TypeError, ValueError):
    """`submit` was given something that cannot be run."""


class InvalidOptionError(JobQueueError, TypeError, ValueError):
    """An option or constructor argument is unknown, of the wrong type or out of range."""


class InvalidArgumentError(JobQueueError, TypeError, ValueError):
    """A job stands among the arguments where its result cannot be put in its place."""


class UnpicklableJobError(JobQueueError, TypeError):
    """A plain function, or one of its arguments, cannot be sent to a worker process."""


class UnknownJobError(JobQueueError, ValueError):
    """No job with this id was ever accepted by this queue."""


class AmbiguousJobError(JobQueueError, LookupError):
    """`queue[...]` matches no job, or more than one."""


class UnknownGroupError(JobQueueError, LookupError):
    """The queue keeps no job of a group of this name."""


class NotDrawnError(JobQueueError, LookupError):
    """The item of a long map was not submitted yet; `await group.wait_drawn()` waits for that."""


class DrawingFailedError(JobQueueError, RuntimeError):
    """The iterable of a long map has failed; the items before that are jobs all the same."""


class JobEvictedError(JobQueueError, ValueError):
    """The job ended long ago and is no longer kept (see `keep_ended`)."""


class JobNotFinishedError(JobQueueError, RuntimeError):
    """What was asked for is possible only when the job has ended, and it has not."""


class JobNotRunningError(JobQueueError, RuntimeError):
    """What was asked for is possible only while the job runs, and it does not."""


class NotSupportedError(JobQueueError, NotImplementedError):
    """What was asked for cannot be had where the job runs; the message says where it can."""


class WaitTimeoutError(JobQueueError, TimeoutError):
    """The waiting took too long. The job goes on."""


class QueueStoppedError(JobQueueError, RuntimeError):
    """The queue was stopped and what was waited for will not run until it is started again."""


class QueueClosedError(JobQueueError, RuntimeError):
    """The queue was closed for good."""


class QueueIdleError(JobQueueError, RuntimeError):
    """What was waited for cannot happen by itself: everything left is held, blocked or paused."""


class WouldDeadlockError(JobQueueError, RuntimeError):
    """A job would wait for its own queue, or a blocking wait would block its own event loop."""


class ReentrantCallError(JobQueueError, RuntimeError):
    """A finalizer or a signal handler called the queue in the middle of a call of its thread."""


class UnsupportedLoopError(JobQueueError, RuntimeError):
    """The event loop here cannot do what was asked; the message names the way that works."""


class JournalError(JobQueueError, OSError):
    """A journal cannot be used as asked; the message says why and what to do."""


class JournalWarning(UserWarning):
    """Something is wrong with a journal; the queue goes on."""


class JournalInUseError(JournalError):
    """Another kernel has this journal; the message names it."""


class QueueExistsError(JobQueueError, RuntimeError):
    """A living queue of this kernel has that journal: `JobQueue.open(…)` gives it."""


class NotRestorableError(JobQueueError, RuntimeError):
    """Something of a job did not come back with its journal; the message says what and why."""


class ResultNotKeptError(NotRestorableError):
    """The job completed, and its value is not here: `kept` says what it was and why."""

    def __init__(self, whose: str, kept: NotKept) -> None:
        super().__init__(whose, kept)
        self.kept = kept

    def __str__(self) -> str:
        kept = self.kept
        text = f"{self.args[0]} has completed, but its result was not kept: {kept.reason}"
        what = " ".join(filter(None, (kept.type, kept.repr)))
        return f"{text}; it was {what}" if what else text


class MissingExtraError(JobQueueError, ImportError):
    """An optional library is needed; the message names the extra that brings it."""


class PluginError(JobQueueError):
    """Base of the errors of plugins and their manager."""


class InvalidManifestError(PluginError, ValueError):
    """A plugin's manifest cannot be used: says which file, which field and why."""


class PluginNotLoadedError(PluginError, ValueError):
    """The plugin is not loaded (or not any more)."""


class PluginDisabledError(PluginError, ValueError):
    """The plugin is loaded, and switched off."""


class PluginBlockedError(PluginError, RuntimeError):
    """The resource scheduler does not let the plugin start."""


class UnsendableValueError(PluginError, TypeError):
    """An argument is, or holds, what cannot be sent to a plugin."""


class _OfFailure:
    """Base of errors that answer as their `failure`: whoever lets one through fails likewise."""

    failure: JobFailure

    @property
    def category(self) -> str | None:
        """See `JobFailure.category`."""
        return self.failure.category

    @property
    def retriable(self) -> bool:
        """See `JobFailure.retriable`."""
        return self.failure.retriable

    @property
    def retry_after(self) -> float | None:
        """See `JobFailure.retry_after`."""
        return self.failure.retry_after

    @property
    def shortfall(self) -> Mapping[str, float] | None:
        """See `JobFailure.shortfall`."""
        return self.failure.shortfall


class PluginFailedError(_OfFailure, PluginError, RuntimeError):
    """The plugin raised, or its worker died; `failure` has type, message and traceback."""

    def __init__(self, plugin: str, failure: JobFailure) -> None:
        self.failure = failure
        text = f"plugin {plugin!r} failed: {failure.type_name}: {failure.message}"
        if failure.traceback:
            text += f"\n\n{failure.traceback.rstrip()}"
        super().__init__(text)


class InvalidTransition(JobQueueError, RuntimeError):
    """A runtime event that the transition table does not know: a bug in an executor or in us."""


class JobFailedError(_OfFailure, JobQueueError):
    """Raised by `await job` when the job failed. `failure` has type, message and traceback text.

    Where the original exception could be brought back, it is the `__cause__`.
    """

    def __init__(self, job_id: str, title: str, failure: JobFailure) -> None:
        self.job_id = job_id
        self.failure = failure
        text = f"job {title!r} ({job_id}) failed: {failure}"
        if failure.traceback:
            text += f"\n\n--- where the job failed ---\n{failure.traceback.rstrip()}"
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.job_id, self.failure))


class JobCancelledError(JobQueueError):
    """Raised by `await job` when the job was cancelled."""

    def __init__(self, job_id: str, title: str, reason: str = "") -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(
            f"job {title!r} ({job_id}) was cancelled" + (f": {reason}" if reason else "")
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.job_id, self.reason))


def _rebuild(
    kind: type[JobQueueError], args: tuple[object, ...], job_id: str, detail: object
) -> JobQueueError:
    error = kind.__new__(kind)
    error.args = args
    error.job_id = job_id  # type: ignore[attr-defined]
    if issubclass(kind, JobFailedError):
        error.failure = detail  # type: ignore[attr-defined]
    else:
        error.reason = detail  # type: ignore[attr-defined]
    return error
