"""Runs one job in a process that belongs to an engine, not to us: in its pool, thread or node.

Nothing here can end the job. What it says while it runs goes through files, if this machine can see
their folder; all of it goes back with the value in any case.
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
from typing import Any

from ...child import byvalue, cell, job_context, loading, wire
from ...child.calls import references
from ...child.capture import tqdm
from ...child.capture.inside import Capture
from ...child.capture.series import Metrics, Points

# Each attempt has a file that the kernel makes. Whoever begins or withdraws it renames that, which
# one alone can do. Then it holds a line that says who began it, and the log. The others are there
# when they say something.
WAITING, BEGUN, REPORT, ASK = ".waiting", ".begun", ".report", ".ask"
NOT_BEGUN = ".not-begun"
NEW_REPORT, METRICS = ".report-new", ".metrics"
NAMES = (WAITING, NOT_BEGUN, BEGUN, REPORT, NEW_REPORT, METRICS, ASK)
METRICS_BYTES = 16 << 20  # that are shown while the job runs; the value brings all that is kept
WITHDRAWN = "Withdrawn"  # the kernel does not want it any more
NOT_WANTED = "the kernel does not wait for it any more; it did not run"
STARTED_TWICE = (
    "the engine started this attempt a second time, which may be because its first process died; "
    "it was not run again: declare it idempotent=True if it may be"
)
LOG_TAIL = 256 * 1024  # bytes of a log that travel with the value
LOOK_INTERVAL = 0.05  # seconds for which "nobody asked" is believed

OUR_FILES = (  # frames of ours, that no traceback shows
    __file__,
    *(str(module.__file__) for module in (byvalue, cell, loading, wire, job_context)),
)
_READ_AND_APPEND = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | wire.BINARY


class ForeignContext(job_context.JobContext):
    """A job that hears that it shall stop when it looks."""

    def __init__(self, job_id: str, attempt: int, files: JobFiles) -> None:
        super().__init__(
            job_id,
            attempt,
            job_context.outside(files.report),
            job_context.outside(files.log),
            send_metrics=job_context.outside(files.metrics),
        )
        self._files = files
        self._looked = 0.0
        self._watches = False

    def cancel_signal_to(self, callback: Callable[[], object]) -> job_context.CancelSignal:
        """Call back when the job is asked, for which a thread looks 20 times a second."""
        signal = super().cancel_signal_to(callback)
        if not self._watches and not self._over:
            self._watches = True
            threading.Thread(target=self._watch, name="jobqueue-watch", daemon=True).start()
        return signal

    def takes(self, text: str) -> bool:
        """Append it to the job's log; after the end, when that is closed, drop it."""
        if not self._over:
            self._log(text)
        return True

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
            self._asked = self._files.is_asked()
        return self._asked


class JobFiles:
    """Files through which a job reports, logs and hears that it shall stop. Any thread of it.

    Their names begin with `stem`.
    """

    def __init__(self, stem: str) -> None:
        self._stem = stem
        self.last_report: tuple[object, object] | None = None
        self.measured = Metrics()
        self._written = 0  # bytes of what was measured
        self.is_shared = True
        self.log_fd = -1
        self._log_start = 0
        self.lost = 0  # bytes of the log that found no room

    def begin(self, again: bool) -> dict[str, Any] | None:
        """Open the log, if this attempt has not begun or may do so `again`; else return why not."""
        try:
            os.rename(self._stem + WAITING, self._stem + BEGUN)
            self.log_fd = _open_renamed(self._stem + BEGUN)
        except FileNotFoundError:
            return self._begin_without_its_file(again)
        line = f"{json.dumps([platform.node(), os.getpid()])}\n".encode()
        try:
            wire.write_all(self.log_fd, [line])
            self._log_start = len(line)
        except OSError:  # there is no room, but the job does not need any
            os.ftruncate(self.log_fd, 0)
        return None

    def _begin_without_its_file(self, again: bool) -> dict[str, Any] | None:
        """Open the log of one that runs where its file is not seen, a second time, or too late."""
        self.is_shared = os.path.isdir(os.path.dirname(self._stem))
        if not self.is_shared:
            with tempfile.TemporaryFile() as file:
                self.log_fd = os.dup(file.fileno())
            return None
        try:
            self.log_fd = os.open(self._stem + BEGUN, _READ_AND_APPEND)
        except FileNotFoundError:
            return _refusal(WITHDRAWN, NOT_WANTED)
        self._log_start = _read_at(self.log_fd, 0, 1000).find(b"\n") + 1
        return None if again else _refusal("StartedTwice", STARTED_TWICE)

    def is_asked(self) -> bool:
        """True if the kernel wants it to stop."""
        return os.path.exists(self._stem + ASK)

    def report(self, fraction: object, message: object) -> None:
        """Keep the report, and show it to the kernel as long as that is there."""
        self.last_report = job_context.readable_report(fraction, message)
        if self._is_seen():
            with contextlib.suppress(OSError):
                Path(self._stem + NEW_REPORT).write_text(json.dumps(self.last_report))
                os.replace(self._stem + NEW_REPORT, self._stem + REPORT)

    def metrics(self, points: Points) -> None:
        """The same for what the job has measured: a line for each time."""
        self.measured.add(points)
        line = json.dumps(points) + "\n"
        if self._is_seen() and self._written + len(line) < METRICS_BYTES:
            self._written += len(line)
            with contextlib.suppress(OSError), open(self._stem + METRICS, "a") as file:
                file.write(line)

    def _is_seen(self) -> bool:
        return self.is_shared and os.path.exists(self._stem + BEGUN)

    def log(self, text: str) -> None:
        """Append to the log."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            wire.write_all(self.log_fd, [data])
        except OSError:
            self.lost += len(data)

    def close(self) -> tuple[int, bytes]:
        """Close the log; return its length and its last part."""
        fd, self.log_fd = self.log_fd, -1  # whatever the job has left says no more
        if fd < 0:
            return 0, b""
        try:
            end = os.fstat(fd).st_size
            tail = _read_at(fd, max(self._log_start, end - LOG_TAIL), LOG_TAIL)
        finally:
            os.close(fd)
        note = f"[no room for {self.lost:,} bytes of this log]\n".encode() if self.lost else b""
        return end - self._log_start + len(note), tail + note


def _open_renamed(path: str) -> int:
    """Open the log; on Windows that is refused while the kernel tries to rename it, too."""
    for _ in range(200):
        with contextlib.suppress(PermissionError):
            return os.open(path, _READ_AND_APPEND)
        time.sleep(0.005)
    return os.open(path, _READ_AND_APPEND)


def _read_at(fd: int, offset: int, size: int) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, size)


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run it and tell, as plain values, how it ended; never raises what the job raised."""
    pid = os.getpid()
    files = JobFiles(job["files"])
    parts: list[Any] = []
    try:
        meta = files.begin(job["again"])
        if meta is None:
            meta, parts = contextvars.copy_context().run(_run, job, files)
    finally:
        if os.getpid() != pid:  # in a fork that the job made, and that came here with it
            os._exit(0)
        log_size, log_tail = files.close()
    return {
        "meta": meta,
        "parts": [bytes(part) for part in parts],
        "report": files.last_report,
        "metrics": files.measured.points(),
        "log_size": log_size,
        "log_tail": log_tail,
        "where": f"{platform.node()} (process {pid})",
    }


def _refusal(kind: str, reason: str) -> dict[str, Any]:
    return {"kind": "error", "type": kind, "message": reason, "traceback": ""}


def _run(job: dict[str, Any], files: JobFiles) -> tuple[dict[str, Any], list[Any]]:
    context = ForeignContext(job["id"], job["attempt"], files)
    context.function = job["function"]
    in_kernel = job["kernel"] == [platform.node(), os.getpid()]
    is_alone = not in_kernel and threading.current_thread() is threading.main_thread()

    with contextlib.ExitStack() as stack:
        main = None
        if is_alone:
            stack.enter_context(_whole_process(context, files))
            main = stack.enter_context(loading.Main())
        nothing = value = object()
        job_context.bind(context)
        Capture(job_context.bound_job, job_context.current_job, tqdm.hooks).prepare()
        try:
            context.checkpoint()
            brought = loading.Loading(main, fresh=not in_kernel)
            target, args, kwargs = references.load_call(
                job["function"], job["call"], job["source"], brought
            )
            value = job_context.run_body(target, args, kwargs)
        except BaseException as error:
            if value is nothing or not isinstance(error, job_context.JobCancelled):
                meta = wire.failure_meta(error, job_context.JobCancelled, OUR_FILES)
                return meta, wire.pack_exception(error, files.log)
        finally:
            context.finish()
        noticed = context.noticed
        meta, parts = wire.pack_value(value, job["max_result_bytes"], OUR_FILES)
        return wire.noted(meta, noticed), parts


@contextlib.contextmanager
def _whole_process(context: job_context.JobContext, files: JobFiles) -> Iterator[None]:
    """Make all that this process prints, from C too, the job's log, and bars its progress."""
    _flush_streams()
    kept = sys.stdout, sys.stderr
    kept_fds = [os.dup(fd) for fd in (1, 2)]
    for fd in (1, 2):
        os.dup2(files.log_fd, fd)
    own = os.dup(files.log_fd)  # as a thread that the job leaves may have it
    stream = open(own, "w", errors="backslashreplace", buffering=1)  # noqa: SIM115
    sys.stdout = sys.stderr = stream
    job_context.bind_process(context)
    try:
        yield
    finally:
        _flush_streams()
        job_context.bind_process(None)
        sys.stdout, sys.stderr = kept
        for fd, kept_fd in zip((1, 2), kept_fds, strict=True):
            os.dup2(kept_fd, fd)
            os.close(kept_fd)
        with contextlib.suppress(ValueError):  # the job may have detached it
            stream.close()


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
