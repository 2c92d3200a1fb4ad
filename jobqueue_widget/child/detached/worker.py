"""The process of one detached job: what it tells goes into its folder, and no kernel ends it.

Started by path, as `function_worker.py` is, whose capture, ask and clean-up it uses; standard
library only. What differs: its pipes are files, so that no kernel's death closes them; it runs one
job; and it keeps the time limit itself. The arguments are the numbers of the control pipe, of the
job and of what takes frames, and the folder.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.util
import json
import math
import os
import sys
import threading
import time
from typing import Any

CHILD = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ALARM_SECONDS = 1.0  # after which a limit is kept by force if our own threads have not kept it
LONGEST = 1e9  # seconds
LOOK_SECONDS = 0.5  # between two looks at the size of the log
FAREWELL_SECONDS = 10.0  # that exit handlers and finalizers have after the outcome is written


def load_child() -> Any:
    """Import the worker of functions by path; what it loads the other files of ours with."""
    name = "jobqueue_widget.child.function_worker"
    spec = importlib.util.spec_from_file_location(name, os.path.join(CHILD, "function_worker.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


child = load_child()
bounds = child.load("detached.bounds")
folder = child.load("detached.folder")
wire, child_pipes = child.wire, child.child_pipes


class Files(child_pipes.Pipes):  # type: ignore[misc, name-defined]
    """The files of the folder, in the place of pipes."""

    place: Any = None
    bound = bounds.FRAMES_MORE  # size of the frames at which they are written anew
    freed: float = 0  # bytes of the log; infinite where none can be

    def send(self, kind: bytes, number: int, parts: list[Any]) -> None:
        """Write one frame; of progress only the latest is kept."""
        if kind == wire.PROGRESS:
            self.place.report(b"".join(parts))
        else:
            super().send(kind, number, parts)

    def let_go(self) -> None:
        """Close them in a forked copy: what that reports is not the job's."""
        super().let_go()
        self.place.close()

    def put(self, whole: list[Any]) -> None:
        """Append a frame; one for which there is no room is lost, and no part of it is left."""
        size = os.fstat(self.frames).st_size
        if size > self.bound:
            with contextlib.suppress(OSError, ValueError, TypeError, wire.ProtocolError):
                size = self.place.write_frames_anew(self.frames)
            self.bound = size + bounds.FRAMES_MORE
        try:
            super().put(whole)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.frames, size)

    def bound_log(self) -> None:
        """Keep the newest part of what was printed."""
        if self.freed < math.inf:
            try:
                self.freed = bounds.free_log(self._log, int(self.freed))
            except (OSError, ImportError, AttributeError):
                self.freed = math.inf


class SealedEnd(child.ends.End):  # type: ignore[misc, name-defined]
    """How the body has ended, which is written into the folder."""

    _held: Any

    def tell_ahead(self, number: int) -> None:
        """Write the outcome, as what comes now may hang or end us. Any thread."""
        with self._lock:
            if self._held is not None and number == self._number:
                self._pipes.place.tell(*self._held)

    def tell(self, left: dict[str, Any]) -> None:
        """Write the outcome, and what is left here, which the end of this process ends."""
        with self._lock:
            if self._held is not None:
                meta, parts = self._held
                self._held = None
                self._pipes.place.tell({**meta, **left}, parts)


class NotedBody(child.Body):  # type: ignore[misc, name-defined]
    """The body of the job, in whose folder stands that it was asked to stop."""

    place: Any = None

    def ask(self, number: int) -> None:
        """Note it, and ask."""
        self.place.note_asked()
        super().ask(number)


class DetachedWorker(child.Worker):  # type: ignore[misc, name-defined]
    """Runs one job, and ends."""

    make_pipes, make_end = Files, SealedEnd

    def __init__(self, path: str, control: int, jobs: int, frames: int) -> None:
        super().__init__(control, jobs, frames)
        key = bytes(self.pipes.read_exactly(jobs, folder.KEY_BYTES) or b"")
        self.body = NotedBody()
        self.body.place = self.pipes.place = self.place = folder.Place(path, key)
        self.terms = json.loads(self.pipes.read_frame(jobs)[2])
        self.over = threading.Event()

    def begin(self) -> None:
        """Claim the attempt, then get ready; a withdrawn one never begins."""
        if not self.place.begin(self.terms):
            os._exit(0)
        super().begin()

    def run_forever(self) -> None:
        """Run the job, its exit handlers, and end all that is in this session."""
        self.run_one(*self.next_job())
        threading.Thread(target=self.bound_farewells, daemon=True).start()
        with contextlib.suppress(BaseException):
            child.state.atexit._run_exitfuncs()
        child_pipes.die_with_group()

    def bound_farewells(self) -> None:
        """End what does not end by itself."""
        time.sleep(FAREWELL_SECONDS)
        child_pipes.die_with_group()

    def spooled(self, meta: dict[str, Any], parts: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        """Return it as it is: the outcome is a file anyway."""
        return meta, parts

    # -- limits --------------------------------------------------------------------------------

    def run_body(self, context: Any, *rest: Any) -> None:
        """Run it, within its limits, which nobody else may be there to keep."""
        timeout, deadline, limits = self.terms["timeout"], self.terms["deadline"], []
        if timeout is not None:
            limits.append((time.monotonic() + timeout[0], timeout[1:]))
        if deadline is not None:
            limits.append((deadline[0], deadline[1:]))
        due, limit = min(limits, default=(math.inf, []))
        watched = {"number": context.number, "due": due, "limit": limit}
        threading.Thread(target=self.watch, kwargs=watched, daemon=True).start()
        if limits:
            self.set_alarm(due, limit)
        try:
            super().run_body(context, *rest)
        finally:
            if limits:
                faulthandler.cancel_dump_traceback_later()
            if self.end.is_known:
                self.over.set()

    def set_alarm(self, due: float, limit: list[str]) -> None:
        """Have a job ended that lets none of our threads run, by one that needs no interpreter."""
        seconds = max(0.0, due - time.monotonic()) + self.terms["grace"] + ALARM_SECONDS
        with contextlib.suppress(OSError):  # no room for it: then nothing ends such a job
            file = self.place.open_alarm(limit)
            faulthandler.dump_traceback_later(min(seconds, LONGEST), exit=True, file=file)

    def watch(self, number: int, due: float, limit: list[str]) -> None:
        """Keep its log within bounds, and the job within its limit. A thread of its own."""
        while (left := due - time.monotonic()) > 0:
            if self.over.wait(min(left, LOOK_SECONDS)):
                return
            self.pipes.bound_log()
        self.place.limit = limit[0], limit[1]
        self.body.ask(number)
        if not self.over.wait(self.terms["grace"]):
            end = folder.limited({"kind": "error"}, self.place.limit)
            if self.returned is not None:  # in time: its value is what takes so long
                end = wire.lost(self.returned, f"{limit[1]} before it was written")
            self.place.tell(end, [])
            child_pipes.die_with_group()


def main() -> None:
    """Set the process up, run the job, and end."""
    sys.path[:] = [one for one in sys.path if not one or not os.path.abspath(one).startswith(CHILD)]
    numbers = [int(number) for number in sys.argv[1:4]]
    child.start(DetachedWorker(sys.argv[4], *numbers), child.job_context.OwnPackage())


if __name__ == "__main__":
    main()
