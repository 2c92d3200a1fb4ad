"""Finds the calls of the system that a start makes, and lets one of them fail."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import jobqueue_widget
from jobqueue_widget._core import rules
from jobqueue_widget._runtime.runner import Run
from jobqueue_widget._threads.supervisor import Supervisor
from jobqueue_widget.workers.piped import PipedWorker

PACKAGE = str(Path(jobqueue_widget.__file__).parent)
CAN_FAIL = {
    "posix",
    "_posixsubprocess",
    "select",
    "_io",
    "io",
    "_pickle",
}  # of the system, or large
CANNOT_FAIL = {"getpid", "fspath", "getppid", "register_at_fork"}
UNDOING = {"close", "waitpid", "kill", "killpg", "unlink", "rmdir", "__exit__"}
NOT_OURS = {"posix.read in _execute_child", "io.open in __init__"}  # `subprocess` leaks there


class Fault:
    """Lists calls of the system between Launched and the body; the one that is named fails."""

    def __init__(self, name: str = "", error: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self.name, self.error = name, error
        self.was_raised = False
        self._begun = self._over = False

    @contextlib.contextmanager
    def watching(self, threads: Sequence[Supervisor]) -> Iterator[None]:
        """This thread, those that begin meanwhile, and these, which may be there."""
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)
        for thread in threads:
            thread.call(sys.setprofile, self._on_event)
        try:
            yield
        finally:
            for thread in threads:
                thread.call(sys.setprofile, None)
            sys.setprofile(None)
            threading.setprofile(None)

    def body_begins(self) -> None:
        self._over = True

    def _on_event(self, frame: FrameType, event: str, arg: Any) -> None:
        if self._over:
            return
        if event == "return" and frame.f_code is rules.launch.__code__:
            self._begun = True
        elif event == "call" and self._begun and _is_the_body(frame):
            self._over = True
        elif event == "c_call" and self._begun and _can_fail(arg) and (ours := _who_asks(frame)):
            site = f"{_name(arg)} in {frame.f_code.co_name}"
            if site in NOT_OURS:
                return
            count = sum(call.startswith(f"{site} for {ours}, ") for call in self.calls)
            self.calls.append(f"{site} for {ours}, {count + 1}")
            if self.calls[-1] == self.name and self.error is not None:
                self._over = self.was_raised = True
                raise self.error


def _is_the_body(frame: FrameType) -> bool:
    """The worker has been given the job, or the job has ended before it began."""
    code = frame.f_code
    if code is Run.phase.__code__:
        return frame.f_locals["text"] is None
    return code is Run.ended.__code__ or code is PipedWorker._read_frames.__code__


def _can_fail(call: Any) -> bool:
    name, owner = call.__name__, getattr(call, "__self__", None)
    module = getattr(call, "__module__", None) or type(owner).__module__
    if module == "_thread":
        return bool(name == "start_new_thread")
    return module in CAN_FAIL and name not in (*CANNOT_FAIL, *UNDOING) and name[0] != "W"


def _who_asks(frame: FrameType | None) -> str:
    """What of ours makes the call, itself or through a library; "" for others' calls."""
    if threading.current_thread().name in ("jobqueue-guard", "jobqueue-resources"):
        return ""  # a failure there is nobody's start
    while frame is not None:
        code = frame.f_code
        through_ours = code is threading.Thread.start.__code__  # as every thread is once we print
        if code.co_filename.startswith(PACKAGE) and not through_ours:
            return code.co_qualname
        if frame.f_code.co_name in ("emit", "handle"):
            return ""  # of a logger
        frame = frame.f_back
    return ""


def _name(call: Any) -> str:
    owner = getattr(call, "__self__", None)
    module = getattr(call, "__module__", None) or type(owner).__name__
    return f"{module}.{call.__name__}"
