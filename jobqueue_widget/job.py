"""Job: the live, read-only handle that users hold; every read is current."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from ._api.display_hook import provider
from ._api.rows import blocked_text, cancel_note, has_changed, note_of
from ._api.sweeps.references import Handle
from ._core.jobs import BlockReason, CancelPhase, JobFailure, JobRecord, JobStatus, NotKept
from ._core.lazy import LazyResult
from ._core.machine.told import unchecked_text
from ._core.texts.fitting import fit
from ._core.texts.words import cancel_text, error_text
from ._runtime.storage.told.logs import part_of, tail_of
from ._runtime.storage.told.metrics import metrics_of
from ._runtime.storage.told.outputs import JobOutput, lost_outputs_of, outputs_of
from ._runtime.storage.told.samples import peak_of, usage_of
from ._secrets.arguments import describe_arguments, shown_arguments, shown_result
from .errors import (
    JobCancelledError,
    JobFailedError,
    JobNotFinishedError,
    JobQueueError,
    ResultNotKeptError,
)
from .protocols import MimeBundle

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ._api.callers.job_control import ControlView

_making = threading.RLock()  # the collector may run inside it, and code of the user's in that


class Job(Handle):
    """One request to run something.

    `await job` gives its result. Handles of the same job are equal; they sort in dispatch order.
    Times are epoch seconds (float) or None. Any thread may read.
    """

    __slots__ = ("__weakref__", "_control", "_next", "_record")
    _record: JobRecord
    _next: Job | None  # another try in its place: held, so that its result is kept as this one's
    _control: ControlView

    def __new__(cls, record: JobRecord, control: ControlView) -> Job:
        """Return the one handle of a record, made if there is none: so it is known to be held."""
        with _making:
            known = None if record.handle is None else record.handle()
            if isinstance(known, cls) and known._control is control:
                return known
            made = super().__new__(cls)
            made._record, made._control, made._next = record, control, None
            record.handle = weakref.ref(made)
            return made

    # -- what was asked for --------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id that `submit` returned."""
        return self._record.id

    @property
    def plugin_name(self) -> str:
        """The plugin's name, or the function's."""
        return self._record.spec.name

    @property
    def label(self) -> str | None:
        """The label given by `options(label=…)`."""
        return self._record.spec.options.label

    @property
    def title(self) -> str:
        """The label, else the name."""
        return self._record.spec.title

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags given by `options(tags=…)`."""
        return self._record.spec.options.tags

    @property
    def args(self) -> tuple[object, ...]:
        """The positional arguments."""
        return self._record.spec.args

    @property
    def kwargs(self) -> Mapping[str, object]:
        """The keyword arguments."""
        return dict(self._record.spec.kwargs)

    @property
    def priority(self) -> int:
        """Priority of the job: a higher number runs earlier."""
        return self._record.priority

    @property
    def created_at(self) -> float:
        """Instant of the submit."""
        return self._record.created_at

    @property
    def retry_of(self) -> str | None:
        """The id of the job that this one repeats."""
        return self._record.retry_of

    @property
    def retried_by(self) -> str | None:
        """The id of the job that has taken its place, as another try of it."""
        other = self._record.retried_by
        return None if other is None else other.id

    @property
    def group(self) -> str | None:
        """The name of its group: of its `map`, or as given by `options(group=…)`."""
        return self._record.spec.options.group

    # -- where it is ---------------------------------------------------------------------------

    @property
    def status(self) -> JobStatus:
        """Status of the job: pending, running, completed, failed or cancelled."""
        return self._record.status

    @property
    def done(self) -> bool:
        """True once the job has ended, however."""
        return self._record.status.ended

    @property
    def attempt(self) -> int:
        """Number of the attempt: 1 for the first, more with `options(retries=…)`."""
        return self._record.attempt

    @property
    def phase(self) -> str | None:
        """What a running job does before its body runs: "starting", "waiting for resources"."""
        return self._record.run_phase

    @property
    def where(self) -> str | None:
        """The machine or worker that runs or ran the job, for executors that tell; else None."""
        return self._record.where

    @property
    def cancel_phase(self) -> CancelPhase | None:
        """How far a stop has got: "asked" or "forcing"; None: nobody has asked for one."""
        return self._record.cancel_phase

    @property
    def cancel_note(self) -> str | None:
        """What cannot be done about a job that was asked to stop and has not."""
        return cancel_note(self._record)

    @property
    def note(self) -> str | None:
        """Remark on the job: `cancel_note`, or what was not checked or not kept."""
        return note_of(self._record, has_changed(self._record))

    @property
    def block_reason(self) -> str | None:
        """Why a pending job does not start, where there is more to say than that it waits."""
        return blocked_text(self._record)

    @property
    def block(self) -> BlockReason | None:
        """The block reason in numbers: what the job needs, what is free, and who holds the rest."""
        return self._record.block_reason

    @property
    def planned(self) -> Mapping[str, float] | None:
        """What is or was reserved for the job ("ram_mib", "gpu_mib", "cpus", "gpus"); or None."""
        usage = self._record.usage
        return None if usage is None else dict(usage.planned) or None

    @property
    def gpus(self) -> tuple[str, ...]:
        """The GPUs that are or were reserved for the job, by UUID, else by number; empty: none.

        A function in a worker process finds them in CUDA_VISIBLE_DEVICES.
        """
        usage = self._record.usage
        return () if usage is None else usage.devices

    @property
    def unchecked(self) -> str | None:
        """What its plugin's manifest asks for and nobody could check here, and why; None: nothing.

        For example "GPU memory not checked: …": the job runs all the same.
        """
        usage = self._record.usage
        notes = None if usage is None else usage.unchecked
        return unchecked_text(notes, why=True) if notes else None

    @property
    def used_peak(self) -> Mapping[str, float] | None:
        """The most memory that the job's processes were seen to hold ("ram_mib", "gpu_mib").

        None where it was not seen: it is looked at once a second, and not inside this process.
        """
        return peak_of(self._record)

    @property
    def usage(self) -> dict[str, list[tuple[float, float | None]]]:
        """What its processes have used over time: pairs of seconds since its start and an amount.

        "ram_mib" is their memory, "gpu_mib" that of GPUs (there once they hold any), "cpus" how
        many processors they kept busy since the pair before; with all that the job has started.
        Of the latest attempt, of functions in workers and of plugins, from the first second on: a
        pair each second, at most 1,000 of each, thinned so that the extremes stay. Empty elsewhere.
        A journal has it once the job has ended.
        """
        return usage_of(self._record)

    @property
    def held(self) -> bool:
        """True while the job keeps its place but will not start."""
        return self._record.held

    @property
    def started_at(self) -> float | None:
        """Instant at which the latest attempt was given its lane."""
        return self._record.started_at

    @property
    def progress(self) -> float:
        """Progress from 0.0 to 1.0; -1.0 for "running, amount unknown"."""
        progress = self._record.progress
        return -1.0 if progress is None else progress

    @property
    def status_message(self) -> str:
        """The last message that the job reported."""
        return self._record.message

    @property
    def metrics(self) -> dict[str, list[tuple[float, float | None]]]:
        """What `current_job().report(loss=0.3)` told, by name: pairs of step and value, in order.

        Without a step it is the seconds since the job began. A gap (None) stands for what was not
        finite. Of the latest attempt; of each metric at most 1,000 points, thinned so that the
        extremes, the first and the last stay. A journal has them once the job has ended.
        """
        return metrics_of(self._record)

    # -- how it ended --------------------------------------------------------------------------

    @property
    def completed_at(self) -> float | None:
        """Instant of the end, however the job ended."""
        return self._record.completed_at

    @property
    def result(self) -> Any:
        """The returned value; None before the end and for jobs that returned nothing.

        One that could not be sent back, or did not come back with its journal, is a `NotKept`
        that says what it was and why.
        """
        return self._value() if self._record.status is JobStatus.completed else None

    @property
    def partial_result(self) -> Any:
        """What the job returned after it had noticed that it was to stop; None otherwise.

        Noticed: it has read `cancel_requested` as True, or got JobCancelled from `checkpoint()` or
        in the middle of its code, or its plugin's `cancel()` has returned. Its status is cancelled,
        or failed if it was a time limit that wanted it to stop.
        """
        return None if self._record.status is JobStatus.completed else self._value()

    def _taken(self) -> tuple[object, JobRecord]:
        return self._control.engine, self._record

    def _value(self) -> Any:
        value = self._record.result
        return value.get() if type(value) is LazyResult else value

    @property
    def error(self) -> str | None:
        """Why the job failed ("ValueError: …"); None otherwise, also for a cancelled job."""
        return error_text(self._record)

    @property
    def cancel_reason(self) -> str | None:
        """Why the job was cancelled, as told by who did it, else "cancelled"; None otherwise."""
        return cancel_text(self._record)

    @property
    def failure(self) -> JobFailure | None:
        """Type, message, traceback, exit code or signal of what went wrong last."""
        return self._record.failure

    @property
    def finished_before_cancel(self) -> bool:
        """True if the job was asked to stop but returned a value first, which is kept."""
        return self._record.finished_before_cancel

    def _shown_result(self) -> Any:
        """Return `result` or `partial_result` for tables: a text where it has a secret."""
        return shown_result(self._record.spec, self._value())

    def get_result(self) -> Any:
        """The result of a job that has ended.

        Raises:
            JobNotFinishedError: it has not.
            JobFailedError: it failed.
            JobCancelledError: it was cancelled.
            ResultNotKeptError: it completed, and its result could not be sent or kept.
        """
        error = self.exception()
        if error is not None:
            raise error
        value = self._value()
        if type(value) is NotKept:
            raise self._not_kept(value)
        return value

    def exception(self) -> JobQueueError | None:
        """Return what `await job` raises; None if it completed. Never waits.

        Raises:
            JobNotFinishedError: it has not ended.
        """
        record = self._record
        if not record.status.ended:
            raise JobNotFinishedError(
                f"job {self.title!r} is {record.status.value}; use `await job` to wait for it"
            )
        if record.status is JobStatus.failed:
            failure = record.failure or JobFailure("UnknownFailure", "")
            error = JobFailedError(record.id, self.title, failure)
            error.__cause__ = failure.exception
            return error
        if record.status is JobStatus.cancelled:
            return JobCancelledError(record.id, self.title, record.cancel_reason)
        return self._not_kept(record.result) if type(record.result) is NotKept else None

    def _not_kept(self, value: NotKept) -> ResultNotKeptError:
        return ResultNotKeptError(f"job {self.title!r} ({self.id})", value)

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self._control.wait_for(self._record, None).__await__()
        return self.get_result()

    def future(self) -> Future[Any]:
        """Return a `concurrent.futures.Future` of it, for other libraries.

        It works with `concurrent.futures.wait` and `as_completed`, and `asyncio.wrap_future`. Its
        `cancel()` cancels a job that has not started; a running one goes on. It raises what the
        job itself raised, where that could be brought back.
        """
        return self._control.future(self)

    def add_done_callback(self, callback: Callable[[Job], object]) -> None:
        """Call back with the job when it has ended, on the owner loop; soon, if it has.

        Raises:
            InvalidOptionError: it cannot be called, or is an `async def`.
        """
        self._control.at_end(self, callback)

    # -- acts ----------------------------------------------------------------------------------

    def cancel(
        self, *, force: bool = False, timeout: float | None = None, reason: str = ""
    ) -> bool:
        """Cancel the job; see `JobQueue.cancel`. Any thread."""
        return self._control.cancel(self._record, force, timeout, reason)

    def retry(self, *, latest: bool = False) -> Job:
        """Submit the same again, as a new job. Any thread.

        It waits for the jobs of `after` that have not ended yet; of others its log says that it
        does not.

        Args:
            latest: run the function that its name stands for now, with the arguments and options of
                then, in the folder and environment of now; else as it was, and if it differs now,
                the row and the log say so.
        """
        job: Job = self._control.retry(self._record, latest)
        return job

    def _retry_with(self, changes: Mapping[str, object]) -> Job:
        """Submit the same again with other values of some arguments, as a new job."""
        job: Job = self._control.retry_with(self._record, changes)
        return job

    def stack(self) -> str:
        """Return where its code is right now, as Python shows tracebacks: `print(job.stack())`.

        Of a function in a worker process, a plugin's call, a thread or a coroutine, with other
        threads of the worker and tasks that it waits for. The job is not disturbed. Any thread.

        Raises:
            JobNotRunningError: it has not begun, or has ended.
            WaitTimeoutError: it does not answer within 2 s, as C code that holds the GIL.
            NotSupportedError: it runs on another engine, or in a pool or plugin host of others.
        """
        return self._control.stack(self._record)

    def logs(self, lines: int = 100) -> str:
        """Return the last lines that the job printed."""
        return tail_of(self._record.log, lines)

    @property
    def outputs(self) -> list[JobOutput]:
        """What the job has displayed, in order: `display(*job.outputs)` shows it in a cell.

        That is what `display(…)`, `plt.show()` and a figure that a worker returns give, as far as
        they are more than text. Their text is in the log, at its place. Of its latest attempt at
        most 50, with 20 MiB in all; a journal keeps up to 4 MiB of them, once it has ended.
        """
        return outputs_of(self._record)

    @property
    def outputs_lost(self) -> int:
        """How many outputs were not kept, beyond those in `outputs`."""
        return lost_outputs_of(self._record)

    def _write_log(self, text: str) -> None:
        """Append what this package has to say of the job."""
        self._control.write_log(self._record, text)

    def read_log(self, start: int, limit: int = 65_536) -> tuple[int, bytes, int]:
        """Return a part of what was printed: where it begins, its bytes, and how many there are.

        Args:
            start: byte offset; -1 = the last `limit` bytes. What is gone is skipped.
            limit: at most so many bytes.
        """
        return part_of(self._record.log, start, limit)

    def describe_arguments(self, limit: int = 80) -> str:
        """Return the arguments as they would be typed, on one line; secret ones as `•••`."""
        return describe_arguments(self._record.spec, limit)

    def as_row(self) -> dict[str, Any]:
        """Return the job's row as in `queue.window(…)`."""
        return self._control.row(self._record)

    def _repr_mimebundle_(self, **_: Any) -> MimeBundle:
        queue = self._control.queue()
        if queue is None:
            return {"text/plain": repr(self)}, {}
        bundle: MimeBundle = provider().shown_job(queue, self).bundle()
        return bundle

    def _ipython_display_(self) -> None:
        queue = self._control.queue()
        if queue is None:
            raise NotImplementedError  # IPython's way to say: show the bundle instead
        provider().shown_job(queue, self).show()

    def _display_(self) -> Any:  # what marimo asks for
        queue = self._control.queue()
        return repr(self) if queue is None else provider().cell_widget(queue, self)

    def as_dict(self) -> dict[str, Any]:
        """Return the whole job as plain values, for tables (`args` and `result` as they are).

        What is secret of the arguments, as named or by its name, is left out, in the result too.
        """
        args, kwargs = shown_arguments(self._record.spec)
        known = {"status": self.status.value, "args": args, "kwargs": kwargs}
        if self._record.spec.secrets is not None:
            completed = self._record.status is JobStatus.completed
            known["result" if completed else "partial_result"] = self._shown_result()
        return {name: known[name] if name in known else getattr(self, name) for name in _FIELDS}

    # -- a value among others ------------------------------------------------------------------

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Job):
            return NotImplemented
        mine, theirs = self._record, other._record
        return (-mine.priority, mine.rank, mine) < (-theirs.priority, theirs.rank, theirs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self._record is other._record

    def __hash__(self) -> int:
        return hash(self._record.id)

    def __copy__(self) -> Job:
        return self

    def __deepcopy__(self, memo: object) -> Job:
        return self

    def __reduce__(self) -> str:
        raise TypeError(
            "a Job stays in its process and cannot be pickled: pass it as an argument, where it "
            "stands for its result, or in a list, a tuple or a dictionary's values; or pass its "
            "id; by_handle(job) is for threads and coroutines alone"
        )

    def __repr__(self) -> str:
        record = self._record
        text = f"<Job {record.id} {fit(record.spec.title, 40)!r} {record.status.value}"
        if record.status is JobStatus.running:
            amount = "" if record.progress is None else f" {record.progress:.0%}"
            text += f"{amount}{', ' + record.cancel_phase if record.cancel_phase else ''}"
        elif record.status is JobStatus.failed and record.failure is not None:
            text += f": {record.failure.type_name}"
        return text + ">"


_FIELDS = (
    "id",
    "plugin_name",
    "label",
    "tags",
    "args",
    "kwargs",
    "status",
    "priority",
    "attempt",
    "created_at",
    "started_at",
    "completed_at",
    "progress",
    "status_message",
    "result",
    "partial_result",
    "error",
    "cancel_reason",
)
