"""Runs one job in a process that belongs to an engine, not to us: in its pool, thread or node.

Nothing here can end the job. What it says while it runs goes through files in a folder, if this
machine can see that folder; all of it goes back with the value in any case.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TextIO

from . import wire
from .jobside import CancelSignal, JobCancelled, JobContext, bind, bind_process, current_job

CLAIM, REPORT, LOG, ASK = "claim", "report", "log", "ask"
WITHDRAWN = "Withdrawn"  # in the place of a claim: the kernel does not want it any more
LOG_TAIL = 256 * 1024  # bytes of a log that travel with the value
LOOK_INTERVAL = 0.05  # seconds for which "nobody asked" is believed

HIDDEN = (__file__, wire.__file__)  # frames of ours, that no traceback shows
_bars: Any = None


class Desk(Protocol):
    """Where a job puts what it has to say, and looks for what is said to it. Any thread of it."""

    def report(self, fraction: object, message: object) -> None:
        """How far it is."""

    def log(self, text: str) -> None:
        """Append to its log."""

    def is_asked(self) -> bool:
        """Whether the kernel wants it to stop."""
        ...


class GuestContext(JobContext):
    """A job that hears that it shall stop when it looks."""

    def __init__(self, job_id: str, attempt: int, desk: Desk) -> None:
        super().__init__(job_id, attempt, desk.report, desk.log)
        self._desk = desk
        self._looked = 0.0
        self._watches = False

    def cancel_signal_to(self, callback: Callable[[], object]) -> CancelSignal:
        """Here a thread has to look whether the job was asked, 20 times a second."""
        signal = super().cancel_signal_to(callback)
        if not self._watches and not self._over:
            self._watches = True
            threading.Thread(target=self._watch, name="jobqueue-watch", daemon=True).start()
        return signal

    def _watch(self) -> None:
        while not self._over:
            if self._is_asked():
                self.request_cancel()
                return
            time.sleep(LOOK_INTERVAL)

    def _is_asked(self) -> bool:
        """Look at most 20 times a second."""
        now = time.monotonic()
        if not self._asked and now - self._looked >= LOOK_INTERVAL:
            self._looked = now
            self._asked = self._desk.is_asked()
        return self._asked


class FileDesk:
    """One of files in a folder."""

    def __init__(self, folder: str) -> None:
        self.last_report: tuple[object, object] | None = None
        self.is_shared = bool(folder) and os.path.isdir(folder)
        self.folder = folder if self.is_shared else tempfile.mkdtemp(prefix="jobqueue-guest-")
        self.log_fd = os.open(
            self._path(LOG), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def claim(self) -> bool:
        """False if this attempt has begun before: the engine runs it a second time."""
        words = json.dumps([platform.node(), os.getpid()]).encode()
        try:
            fd = os.open(self._path(CLAIM), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        try:
            wire.write_all(fd, [words])
        finally:
            os.close(fd)
        return True

    def is_withdrawn(self) -> bool:
        """Whether the claim is the kernel's own."""
        with contextlib.suppress(OSError):
            return Path(self._path(CLAIM)).read_text() == WITHDRAWN
        return False

    def is_asked(self) -> bool:
        """Whether the kernel wants it to stop."""
        return os.path.exists(self._path(ASK))

    def report(self, fraction: object, message: object) -> None:
        """Keep the report, and show it in the folder."""
        report = readable_report(fraction, message)
        self.last_report = report
        if self.is_shared:
            with contextlib.suppress(OSError):
                Path(self._path(REPORT + ".new")).write_text(json.dumps(report))
                os.replace(self._path(REPORT + ".new"), self._path(REPORT))

    def log(self, text: str) -> None:
        """Append to the log."""
        with contextlib.suppress(OSError):
            wire.write_all(self.log_fd, [text.encode("utf-8", "backslashreplace")])

    def close(self) -> tuple[int, bytes]:
        """How long the log is, and its last part."""
        try:
            size = os.fstat(self.log_fd).st_size
            tail = os.pread(self.log_fd, LOG_TAIL, max(0, size - LOG_TAIL))
        finally:
            os.close(self.log_fd)
            if not self.is_shared:
                for name in (LOG, CLAIM):
                    Path(self._path(name)).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    os.rmdir(self.folder)
        return size, tail


def readable_report(fraction: object, message: object) -> tuple[float | None, str | None]:
    """A report as plain values; what is no number is not a number."""
    try:
        amount = None if fraction is None else float(fraction)  # type: ignore[arg-type]
    except Exception:
        amount = float("nan")  # counted and shown as unknown by the kernel
    try:
        text = None if message is None else str(message)[:2000]
    except Exception as error:
        text = f"<message could not be shown: {type(error).__name__}>"
    return amount, text


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run it and tell, as plain values, how it ended; never raises what the job raised."""
    folder = job["folder"]
    if not os.path.isdir(folder) and os.path.isdir(os.path.dirname(folder)):
        return _told(_withdrawn(), [], None, (0, b""))  # this machine would see it: it is over
    desk = FileDesk(folder)
    parts: list[Any] = []
    try:
        is_first = desk.claim()
        if not is_first and desk.is_withdrawn():
            meta = _withdrawn()
        elif not is_first and not job["again"]:
            meta = _refusal()
        else:
            meta, parts = contextvars.copy_context().run(_run, job, desk)
    finally:
        log = desk.close()
    return _told(meta, parts, desk.last_report, log)


def _told(
    meta: dict[str, Any], parts: list[Any], report: tuple[object, object] | None, log: Any
) -> dict[str, Any]:
    size, tail = log
    return {
        "meta": meta,
        "parts": [bytes(part) for part in parts],
        "report": report,
        "log_size": size,
        "log_tail": tail,
        "where": where(),
    }


def where() -> str:
    """This machine and process, in words."""
    return f"{platform.node()} (process {os.getpid()})"


def _withdrawn() -> dict[str, Any]:
    reason = (
        "its folder is not there, or says that it was cancelled before it began; it did not run"
    )
    return {"kind": "error", "type": WITHDRAWN, "message": reason, "traceback": ""}


def _refusal() -> dict[str, Any]:
    reason = (
        "the engine started this attempt a second time, which may be because its first process "
        "died; it was not run again: declare it idempotent=True if it may be"
    )
    return {"kind": "error", "type": "StartedTwice", "message": reason, "traceback": ""}


def _run(job: dict[str, Any], desk: FileDesk) -> tuple[dict[str, Any], list[Any]]:
    context = GuestContext(job["id"], job["attempt"], desk)
    in_kernel = job["kernel"] == [platform.node(), os.getpid()]
    is_alone = not in_kernel and threading.current_thread() is threading.main_thread()

    def pack(value: object) -> tuple[dict[str, Any], list[Any]]:
        return wire.pack_value(value, job["max_result_bytes"], HIDDEN)

    with _whole_process(context, desk) if is_alone else contextlib.nullcontext():
        source = None if in_kernel else job["source"]
        return outcome_of(context, job["function"], job["call"], source, desk.log, pack)


def outcome_of(
    context: JobContext,
    function: bytes,
    call: bytes,
    source: tuple[str, list[str]] | None,
    log: Callable[[str], None],
    pack: Callable[[object], tuple[dict[str, Any], list[Any]]],
) -> tuple[dict[str, Any], list[Any]]:
    """Run it, and pack what came of it."""
    nothing = value = object()
    bind(context)
    try:
        context.checkpoint()
        target, args, kwargs = wire.load_call(function, call, source)
        value = target(*args, **kwargs)
    except BaseException as error:
        if value is nothing or not isinstance(error, JobCancelled):
            meta = wire.failure_meta(error, JobCancelled, HIDDEN)
            return meta, wire.pack_exception(error, log)
    finally:
        context.finish()
    noticed = context.noticed
    meta, parts = pack(value)
    return wire.noted(meta, noticed), parts


@contextlib.contextmanager
def _whole_process(context: JobContext, desk: FileDesk) -> Iterator[None]:
    """While it runs, all that this process prints is its log, all bars are its progress."""
    with printing_to(desk.log_fd):
        bind_process(context)
        try:
            yield
        finally:
            rest()


@contextlib.contextmanager
def printing_to(log_fd: int) -> Iterator[Callable[[], None]]:
    """All that this process prints, from C too; bars are progress of its current job.

    Gives what a job is followed by that another one follows: it may have changed the streams.
    """
    global _bars
    if _bars is None:
        from ..capture import tqdm

        _bars = tqdm.install(_report_of_the_current)
    kept = sys.stdout, sys.stderr
    undo = [_redirected(fd, log_fd) for fd in (1, 2)]
    stream = _stream_to(log_fd)

    def again() -> None:
        nonlocal stream
        if _is_broken(stream):
            stream = _stream_to(log_fd)
        sys.stdout = sys.stderr = stream
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)

    again()
    try:
        yield again
    finally:
        _flush_streams()
        sys.stdout, sys.stderr = kept
        for back in undo:
            back()


def _stream_to(fd: int) -> TextIO:
    return open(fd, "w", errors="backslashreplace", buffering=1, closefd=False)


def _is_broken(stream: TextIO) -> bool:
    """A job may have closed it, or taken away what it writes to."""
    try:
        return stream.closed
    except ValueError:
        return True


def rest() -> None:
    """A job is over: all that it printed is in its log, and its bars are closed."""
    _flush_streams()
    bind_process(None)
    _bars.forget()


def _report_of_the_current(fraction: object, message: object) -> None:
    current_job().report(fraction, message)


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _redirected(fd: int, target: int) -> Callable[[], None]:
    _flush_streams()
    kept = os.dup(fd)
    os.dup2(target, fd)

    def undo() -> None:
        os.dup2(kept, fd)
        os.close(kept)

    return undo
