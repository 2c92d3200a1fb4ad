"""Sets the names of `--out` in the notebook when their job has ended, between cells only."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from IPython.display import display

from ..job import Job

MISSING = object()
GONE = object()  # nothing stands for it any more
UNKNOWN = object()  # a cell that has begun before we looked


class Shell(Protocol):
    """What is used of IPython's shell."""

    user_ns: dict[str, Any]
    events: Any


class Line:
    """A line of text in the output of the cell that runs, which can be written anew later."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._shown: Any = display({"text/plain": text}, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def write(self, text: str) -> None:
        """Replace the text."""
        self.text = text
        if self._shown is not None:
            self._shown.update({"text/plain": text}, raw=True)


class Seen:
    """What a name stands for at one moment, without keeping that alive where it can be told so."""

    def __init__(self, value: object) -> None:
        self._is: Callable[[], object]
        try:
            there = weakref.ref(value)
        except TypeError:
            self._is = lambda: value
        else:
            self._is = lambda: GONE if (found := there()) is None else found

    def is_still(self, value: object) -> bool:
        """True if the name stands for the same object."""
        return self._is() is value


class Delivery:
    """The names that one job sets, and what they stood for at its submit."""

    def __init__(self, job: Job, names: tuple[str, ...], variables: Mapping[str, Any]) -> None:
        self.job = job
        self.seen = {name: Seen(variables.get(name, MISSING)) for name in names}
        self._line = Line(f"{_listed(names)}: set in the notebook when the job ends")

    def deliver(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Set the names that were not reassigned meanwhile, and say so; return what was set."""
        job = self.job
        if job.status != "completed":
            self._say(f"{_listed(self.seen)}: not set, as the job {_ended(job)}")
            return {}
        try:
            found = job.get_result()
        except Exception as error:  # to unpickle it may run the user's code
            self._say(f"{_listed(self.seen)}: not set: {type(error).__name__}: {error}")
            return {}
        given, left = {}, []
        for name, seen in self.seen.items():
            if seen.is_still(variables.get(name, MISSING)):
                given[name] = variables[name] = found[name]
            else:
                left.append(name)
        said = [f"{_listed(given)}: set in the notebook"] if given else []
        if left:
            said.append(
                f"{_listed(left)}: left alone, as reassigned since the submit; the job's result "
                f"has {'it' if len(left) == 1 else 'them'}"
            )
        self._say("\n".join(said))
        return given

    def _say(self, text: str) -> None:
        self._line.write(text)
        self.job._write_log(f"[{text}]\n")


def _listed(names: Any) -> str:
    return ", ".join(names)


def _ended(job: Job) -> str:
    return "was cancelled" if job.status == "cancelled" else "has failed"


class Deliveries:
    """All deliveries of one shell; knows when no cell runs."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._open: list[Delivery] = []  # in the order of their submits
        self._cells: list[object] = []  # that run now: one inside another, or in subshells
        self._lock = threading.RLock()

    def open(self) -> None:
        """Begin to look when cells begin and end."""
        self._cells.clear()
        self._shell.events.register("pre_run_cell", self._cell_begins)
        self._shell.events.register("post_run_cell", self._cell_ends)

    def close(self) -> None:
        """Set nothing any more."""
        if self._cell_begins in self._shell.events.callbacks["pre_run_cell"]:
            self._shell.events.unregister("pre_run_cell", self._cell_begins)
            self._shell.events.unregister("post_run_cell", self._cell_ends)
        self._open.clear()

    def expect(self, job: Job, names: tuple[str, ...]) -> None:
        """Set these names when this job has ended. In the cell that has submitted it."""
        with self._lock:
            if not self._cells:  # the extension was loaded in this very cell
                self._cells.append(UNKNOWN)
            self._open.append(Delivery(job, names, self._shell.user_ns))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # nothing runs between cells here: the next one finds it
        job.add_done_callback(lambda _: _call_soon(loop, self._deliver_between_cells))

    def _cell_begins(self, info: object) -> None:
        with self._lock:
            self._forget(UNKNOWN)
            self._deliver_between_cells()
            self._cells.append(info)

    def _cell_ends(self, result: object) -> None:
        """Note the end of a cell. IPython tells it of empty ones, too, which did not begin."""
        with self._lock:
            self._forget(UNKNOWN)
            if result is not None:
                self._forget(getattr(result, "info", None))
            elif self._cells:  # it was interrupted
                self._cells.pop()
            self._deliver_between_cells()

    def _forget(self, cell: object) -> None:
        self._cells[:] = [one for one in self._cells if one is not cell]

    def _deliver_between_cells(self) -> None:
        with self._lock:
            if self._cells:
                return
            for one in [delivery for delivery in self._open if delivery.job.done]:
                at = self._open.index(one)
                given = one.deliver(self._shell.user_ns)
                del self._open[at]
                for later in self._open[
                    at:
                ]:  # the cell was run again: it did not see a reassignment
                    for name in later.seen.keys() & given.keys():
                        later.seen[name] = Seen(given[name])


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback)
