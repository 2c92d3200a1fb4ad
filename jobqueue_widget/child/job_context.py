"""What code inside a job can call: `current_job()`, `track()`; needs the standard library only."""

from __future__ import annotations

import contextvars
import functools
import importlib.util
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator
from types import CoroutineType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from .keeping import OF_PROCESS, Value, is_to_be_awaited
from .keeping import checked as checked_kept

if TYPE_CHECKING:
    from .capture.series import Measured, Point, Points

Item = TypeVar("Item")

MIN_INTERVAL = 0.05  # seconds between reports that are sent at once: 20 a second

KEEP: Any = object()  # what is not given stays as it is

Send = Callable[[object, object], None]
SendMetrics = Callable[["dict[str, list[Point]]"], None]


def run_body(
    target: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
) -> object:
    """Call it as a script would: a coroutine is run to its end, and `sys.exit(0)` is a good end."""
    try:
        value = target(*args, **kwargs)
        if type(value) is CoroutineType:  # `isinstance` would ask the value, which may be a proxy
            import asyncio

            value = asyncio.run(value)
    except SystemExit as error:
        if is_good_end(error):
            return None
        raise
    return value


def is_good_end(error: BaseException) -> bool:
    """True if it says that all went well."""
    return isinstance(error, SystemExit) and (error.code is None or error.code == 0)


def readable_report(fraction: object, message: object) -> tuple[float | None, str | None]:
    """Return a report as plain values; what is no number is "not a number"."""
    try:
        amount = None if fraction is None else float(fraction)  # type: ignore[arg-type]
    except Exception:
        amount = float("nan")  # counted and shown as unknown by the kernel
    try:
        text = None if message is None else str(message)[:2000]
    except Exception as error:
        text = f"<message could not be shown: {type(error).__name__}>"
    return amount, text


class JobCancelled(BaseException):
    """Raised inside a job that was asked to stop; no Exception, so that few handlers swallow it."""


class CancelSignal:
    """A callback that waits for a request to stop, until this is called or its block is left."""

    def __init__(self, take_back: Callable[[], object]) -> None:
        self._take_back = take_back

    def __call__(self) -> None:
        """Take it back. A second time, or after it was called, that does nothing."""
        self._take_back()

    def __enter__(self) -> CancelSignal:
        return self

    def __exit__(self, *error: object) -> None:
        self._take_back()


class JobContext:
    """The running job, seen from inside. Methods may be called from any thread of the job."""

    kept = OF_PROCESS
    function: bytes = b""  # as it was pickled
    keeps = False  # the job has called `keep`
    outputs: Any = None  # takes what it displays; None: only the text of that, in the log

    def __init__(
        self,
        job_id: str,
        attempt: int,
        send: Send,
        log: Callable[[str], None],
        on_held_back: Callable[[], object] | None = None,
        send_metrics: SendMetrics | None = None,
    ) -> None:
        self.id: str | None = job_id
        self.attempt = attempt
        self._send = send
        self._log = log
        self._on_held_back = on_held_back
        self._send_metrics = send_metrics
        self.noticed = False  # the job's own code knows that it was asked to stop
        self._asked = False
        self._over = False  # the body has ended; what it left behind may go on
        self._lock = threading.RLock()  # a finalizer of the job's objects may report, too
        self._began = time.monotonic()
        self._last = 0.0
        self._fraction: object = None
        self._waiting: tuple[object, object] | None = None
        self._measured: Measured | None = None
        self._is_held_back = False
        self._signals: dict[object, Callable[[], object]] = {}  # in the order in which they came

    @property
    def cancel_requested(self) -> bool:
        """True once somebody wants this job to stop.

        A job that has read this as True and returns is *cancelled*; `job.partial_result` has what
        it returned.
        """
        if self._is_asked():
            self.noticed = True
        return self.noticed

    def checkpoint(self) -> None:
        """Raise JobCancelled if this job was asked to stop."""
        if self.cancel_requested:
            raise JobCancelled("asked to stop")

    def _is_asked(self) -> bool:
        return self._asked

    def cancel_signal_to(self, callback: Callable[[], object]) -> CancelSignal:
        """Call `callback()`, once, as soon as this job is asked to stop; now, if it has been.

        For what waits where no exception reaches it: a process, a request, a thread of its own.
        Several may wait. Each is called in a thread, so that one that hangs holds up nothing; an
        exception of it goes to the job's log. None is called after the job's end.

        Args:
            callback: such as `process.kill` or `event.set`.

        Returns:
            What takes it back, by a call or at the end of its `with` block.

        Example:
            ```python
            process = subprocess.Popen(["ffmpeg", *options])
            with current_job().cancel_signal_to(process.kill):
                process.wait()
            current_job().checkpoint()
            ```
        """
        key = object()
        variables = contextvars.copy_context()
        self._signals[key] = functools.partial(variables.run, checked(callback))
        if self._over:
            self._signals.clear()
        elif self._is_asked():
            self._signal()
        return CancelSignal(lambda: self._signals.pop(key, None))

    def report(
        self,
        fraction: object = KEEP,
        message: object = None,
        *,
        step: object = None,
        **metrics: object,
    ) -> None:
        """Tell how far it is, and what it measures. Never raises.

        What is left out stays as it is. At most 20 a second are sent, of fraction and message the
        latest; the last ones before the end always are.

        Args:
            fraction: 0.0-1.0, or None for "amount unknown".
            message: a few words.
            step: where the metrics belong, such as an epoch; the seconds since the begin if not
                given.
            **metrics: numbers by name, for `job.metrics`; what is not finite is a gap there.

        Example:
            ```python
            for epoch in range(10):
                current_job().report(epoch / 10, f"epoch {epoch}", step=epoch, loss=1 / (epoch + 1))
            ```
        """
        if metrics:
            self._measure(step, metrics)
        if fraction is not KEEP:
            self._fraction = fraction
            waiting = self._waiting
            if message is None and waiting is not None:
                message = waiting[1]
            self._waiting = (fraction, message)
        elif message is not None:
            self._waiting = (self._fraction, message)
        self._send_soon()

    def pass_on(self, points: Points) -> None:
        """Report what somebody else has measured for this job."""
        with self._lock:
            self._measuring().add(points)
        self._send_soon()

    def _measure(self, step: object, values: dict[str, object]) -> None:
        with self._lock:
            said = self._measuring().note(step, values)
        for text in said:
            self.log(text)

    def _measuring(self) -> Measured:
        if self._measured is None:
            from .capture.series import Measured

            self._measured = Measured(self._began)
        return self._measured

    def _send_soon(self) -> None:
        if time.monotonic() - self._last >= MIN_INTERVAL:
            self.flush()
        elif not self._is_held_back:
            self._is_held_back = True
            if self._on_held_back is not None:
                self._on_held_back()

    def log(self, text: object) -> None:
        """Write a line to the job's log."""
        self._log(f"{text}\n")

    def keep(self, key: Hashable, load: Callable[[], Value]) -> Value:
        """Return what `load()` gave to an earlier job of this function here, else call it now.

        For what takes long to load and may be used again, such as a model. It is kept in the
        process of the job: in a worker until that ends, for threads and coroutines until the queue
        stops. The next job of the function is given a worker that has some, if one is free.

        Args:
            key: such as `("whisper", "small")`; a text, a number or a tuple of these.
            load: makes the value; it is called once, also if threads ask for it at the same time.

        Example:
            ```python
            def embed(text, size="small"):
                model = current_job().keep(("model", size), lambda: {"size": size})
                return model["size"], len(text)


            queue = await JobQueue().start()
            assert await queue.submit_nowait(embed, "some text") == ("small", 9)
            await queue.stop()
            ```
        """
        self.keeps = True
        return self.kept.get(self.whose(), key, load)

    def whose(self) -> Hashable:
        """Return what stands for the job's function, where its values are kept."""
        import hashlib

        return hashlib.sha256(self.function).digest()

    # -- for whoever runs the job ----------------------------------------------------------------

    def takes(self, text: str) -> bool:
        """Take what its code prints. False: whatever it was printed to has it, which is its log."""
        return False

    def request_cancel(self) -> None:
        """Note that somebody wants it to stop. Any thread."""
        self._asked = True
        self._signal()

    def _signal(self) -> None:
        """Each callback once, whoever else is here: taking one out of the dict is one step."""
        for key in list(self._signals):
            callback = self._signals.pop(key, None)
            if callback is not None:
                self.noticed = True  # its own code is told
                name = "jobqueue-cancel-signal"
                thread = threading.Thread(
                    target=self._call, args=(callback,), name=name, daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # there are no threads, or no more of them
                    self._call(callback)

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except BaseException:
            if not self._over:
                self.log("a callback of cancel_signal_to() failed:\n" + traceback.format_exc())

    def flush(self) -> None:
        """Send the newest report, and all that was measured since the last one."""
        with self._lock:
            self._is_held_back = False
            waiting, self._waiting = self._waiting, None
            points = self._measured.take() if self._measured is not None else None
            if self._over or not (waiting or points):
                return
            self._last = time.monotonic()
            if waiting is not None:
                self._send(*waiting)
            if points and self._send_metrics is not None:
                self._send_metrics(points)

    def finish(self) -> None:
        """The body has ended: send the last report, ignore later ones."""
        if self._is_held_back:
            self.flush()
        with self._lock:
            self._over = True
        self._signals.clear()


class NoJob:
    """What `current_job()` gives outside a job: everything is allowed and does nothing."""

    id: str | None = None
    attempt = 0
    cancel_requested = False

    def report(
        self,
        fraction: object = KEEP,
        message: object = None,
        *,
        step: object = None,
        **metrics: object,
    ) -> None:
        """Do nothing: nothing listens."""

    def pass_on(self, points: Points) -> None:
        """Do nothing: nothing listens."""

    def checkpoint(self) -> None:
        """Do nothing: nobody asks."""

    def log(self, text: object) -> None:
        """Do nothing: there is no log."""

    def keep(self, key: Hashable, load: Callable[[], Value]) -> Value:
        """Make the value: nothing is kept."""
        checked_kept(key, load)
        return load()

    def cancel_signal_to(self, callback: Callable[[], object]) -> CancelSignal:
        """Do nothing: nobody asks."""
        checked(callback)
        return CancelSignal(lambda: None)


def checked(callback: Callable[[], object]) -> Callable[[], object]:
    """What can be called, or TypeError for whoever gave it."""
    if not callable(callback):
        raise TypeError(
            f"cancel_signal_to() takes what can be called, such as process.kill; got {callback!r}"
        )
    if is_to_be_awaited(callback):
        raise TypeError(
            f"cancel_signal_to() calls and never awaits: pass a plain function, not {callback!r}"
        )
    return callback


NO_JOB = NoJob()

_bound: contextvars.ContextVar[JobContext | None] = contextvars.ContextVar(
    "jobqueue_job", default=None
)
_of_process: list[JobContext | None] = [None]


def bind(context: JobContext | None) -> None:
    """Make it the current job of this task or thread, and of the threads that these start."""
    _bound.set(context)


def bound_job() -> JobContext | None:
    """The job that this context belongs to: never one that merely shares the process."""
    return _bound.get()


def outside(act: Callable[..., None]) -> Callable[..., None]:
    """Return `act` as called by no job: what the queue itself logs meanwhile is not the job's.

    Nothing is set in the context of the job: up to Python 3.11 that crashes the interpreter where
    the collector runs within it and a finalizer prints, which comes here again.
    """
    return lambda *args: contextvars.Context().run(act, *args)


def bind_process(context: JobContext | None) -> None:
    """Make it the current job of every thread of this process: a worker runs one at a time."""
    _of_process[0] = context


def current_job() -> JobContext | NoJob:
    """The job that this code runs in, in any executor; outside a job a stand-in that does nothing.

    Example:
        ```python
        for epoch in range(10):
            current_job().report(epoch / 10, f"epoch {epoch}")
            current_job().checkpoint()
        ```
    """
    return _bound.get() or _of_process[0] or NO_JOB


def track(
    iterable: Iterable[Item], description: str | None = None, total: int | None = None
) -> Iterator[Item]:
    """Iterate and report progress; stops (JobCancelled) between items if the job was asked to.

    Args:
        iterable: what to loop over.
        description: shown before the count.
        total: how many items, if `len(iterable)` does not tell.
    """
    if total is None:
        try:
            total = len(iterable)  # type: ignore[arg-type]
        except TypeError:
            total = None
    prefix = f"{description}: " if description else ""
    of = f"/{total}" if total else ""
    job = current_job()
    job.report(0.0 if total else None, f"{prefix}0{of}")
    for count, item in enumerate(iterable, 1):
        yield item
        job.report(count / total if total else None, f"{prefix}{count}{of}")
        job.checkpoint()


class OwnPackage:
    """Gives jobs what they need of `jobqueue_widget`, where that is not installed.

    A finder and loader by shape: importing their base classes doubles the start of a worker.
    """

    def create_module(self, spec: Any) -> None:
        """Return None: the module is made in the usual way."""

    def find_spec(self, name: str, path: object, target: object = None) -> Any:
        """Find our package; the last finder in the list, reached if nothing else has it."""
        if name == "jobqueue_widget":
            return importlib.util.spec_from_loader(name, self)  # type: ignore[arg-type]
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module with the names that are useful inside a job."""
        for one in (current_job, track, JobCancelled):
            setattr(module, one.__name__, one)
