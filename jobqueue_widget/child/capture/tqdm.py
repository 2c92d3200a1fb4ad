"""Turns tqdm bars of jobs into progress, without any change to the user's code.

The method of the class is replaced, so that names imported earlier and subclasses are covered too.
tqdm calls `display` at most ten times a second for a bar, so iterations cost what they did before.
Loaded by path in the worker; standard library only.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from types import ModuleType
from typing import Any

Report = Callable[[object, object], None]


class BarWatch:
    """The bars of one job that are open, outermost first; tells about all of them in one line."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._open: dict[int, Any] = {}
        self.failures = 0

    def shown(self, bar: Any) -> None:
        """Report a bar that wants to draw itself."""
        try:
            self._open[id(bar)] = bar
            bars = sorted(self._open.values(), key=lambda one: abs(getattr(one, "pos", 0) or 0))
            outer, inner = bars[0], bars[-1]
            total = outer.total
            fraction = min(1.0, max(0.0, outer.n / total)) if total else None
            line = describe_bar(outer)
            if inner is not outer:
                line += " · " + describe_bar(inner)
            self._report(fraction, line)
        except Exception:
            self.failures += 1  # a bar must never break the job that draws it

    def closed(self, bar: Any) -> None:
        """Forget a bar that is done."""
        self._open.pop(id(bar), None)


def describe_bar(bar: Any) -> str:
    """Describe a bar in words, as in `epochs: 3/10 it, 12 s left`."""
    values = bar.format_dict
    count, total, unit = values["n"], values["total"], values["unit"]
    prefix = f"{values['prefix'].rstrip(': ')}: " if values["prefix"] else ""
    text = f"{prefix}{count:g}/{total:g} {unit}" if total else f"{prefix}{count:g} {unit}"
    rate = values["rate"] or (count / values["elapsed"] if values["elapsed"] else None)
    if total and rate and count < total:
        text += f", {(total - count) / rate:.0f} s left"
    return text


def watch_of(bar: Any, current: Callable[[], Any]) -> BarWatch | None:
    """Return the watch of the job that this bar was first drawn in; None outside of jobs."""
    known: dict[str, Any] = vars(bar)
    if "_jobqueue_watch" not in known:
        job = current()
        known["_jobqueue_watch"] = (
            None if job.id is None else vars(job).setdefault("bars", BarWatch(job.report))
        )
    watch: BarWatch | None = known["_jobqueue_watch"]
    return watch


def hook_std(module: ModuleType, current: Callable[[], Any]) -> None:
    """Replace `display` and `close` of the class tqdm.std.tqdm."""
    bar_class: Any = module.tqdm
    original_display, original_close = bar_class.display, bar_class.close

    def display(self: Any, *args: Any, **kwargs: Any) -> Any:
        watch = watch_of(self, current)
        if watch is None:
            return original_display(self, *args, **kwargs)
        watch.shown(self)
        return True

    def close(self: Any) -> None:
        watch = None if self.disable else watch_of(self, current)
        if watch is None:
            original_close(self)
            return
        watch.shown(self)
        file, self.fp, self.leave = self.fp, io.StringIO(), False  # its last line is not shown
        try:
            original_close(self)
        finally:
            self.fp = file
            watch.closed(self)

    bar_class.display, bar_class.close = display, close


def hook_notebook(module: ModuleType, current: Callable[[], Any]) -> None:
    """Let `tqdm.notebook` make plain bars inside a job, which has no cell to draw others in."""
    notebook_bar: Any = module.tqdm_notebook
    make = notebook_bar.__new__

    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if current().id is None:
            return make(cls, *args, **kwargs)
        kwargs.pop("display", None)
        plain = next(one for one in cls.__mro__ if not issubclass(one, notebook_bar))
        return plain(*args, **kwargs)

    notebook_bar.__new__ = staticmethod(new)


def hooks(current: Callable[[], Any]) -> dict[str, Callable[[ModuleType], None]]:
    """Return what to do with the modules of tqdm. `current` gives the job that runs."""
    return {
        "tqdm.std": lambda module: hook_std(module, current),
        "tqdm.notebook": lambda module: hook_notebook(module, current),
    }
