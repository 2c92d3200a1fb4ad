"""Turns tqdm bars inside a worker into progress, without any change to the user's code.

The method of the class is replaced, so that names imported earlier and subclasses are covered too.
tqdm calls `display` at most ten times a second and bar, so an iteration costs what it cost before.
Loaded by path in the worker; standard library only.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Report = Callable[[object, object], None]


class BarWatch:
    """The bars that are open now, outermost first; tells about all of them in one line."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._open: dict[int, Any] = {}
        self.failures = 0

    def shown(self, bar: Any) -> None:
        """A bar wants to draw itself."""
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
        """A bar is done."""
        self._open.pop(id(bar), None)

    def forget(self) -> None:
        """Between jobs: bars that were never closed are over."""
        self._open.clear()


def describe_bar(bar: Any) -> str:
    """A bar in words, as in `epochs: 3/10 it, 12 s left`."""
    values = bar.format_dict
    count, total, unit = values["n"], values["total"], values["unit"]
    prefix = f"{values['prefix'].rstrip(': ')}: " if values["prefix"] else ""
    text = f"{prefix}{count:g}/{total:g} {unit}" if total else f"{prefix}{count:g} {unit}"
    rate = values["rate"] or (count / values["elapsed"] if values["elapsed"] else None)
    if total and rate and count < total:
        text += f", {(total - count) / rate:.0f} s left"
    return text


class _NoFile:
    """Where a bar that we show writes its last line."""

    def write(self, text: str) -> None:
        """Nowhere."""

    def flush(self) -> None:
        """Nothing."""


def hook_std(module: ModuleType, watch: BarWatch) -> None:
    """Replace `display` and `close` of the class tqdm.std.tqdm."""
    bar_class: Any = module.tqdm
    if getattr(bar_class, "_jobqueue_hooked", False):
        return
    original_close = bar_class.close

    def display(self: Any, msg: str | None = None, pos: int | None = None) -> bool:
        watch.shown(self)
        return True

    def close(self: Any) -> None:
        if self.disable:
            original_close(self)
            return
        watch.shown(self)
        file, self.fp, self.leave = self.fp, _NoFile(), False
        try:
            original_close(self)
        finally:
            self.fp = file
            watch.closed(self)

    bar_class.display, bar_class.close = display, close
    bar_class._jobqueue_hooked = True


def hook_notebook(module: ModuleType, watch: BarWatch) -> None:
    """A worker has no front end: notebook bars are plain ones there."""
    std = importlib.import_module("tqdm.std")
    names: Any = module
    names.tqdm = names.tqdm_notebook = std.tqdm
    names.trange = names.tnrange = std.trange


class _HookOnImport(importlib.abc.MetaPathFinder):
    """Lets the normal import run, then hooks the module; each once."""

    def __init__(self, hooks: dict[str, Callable[[ModuleType], None]]) -> None:
        self._hooks = hooks

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Only for what is to be hooked."""
        hook = self._hooks.pop(name, None)
        if hook is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_hook(module: ModuleType) -> None:
            execute(module)
            hook(module)

        spec.loader.exec_module = execute_and_hook  # type: ignore[method-assign]
        return spec


def install(report: Report) -> BarWatch:
    """Hook tqdm now if it is imported, else when it is."""
    watch = BarWatch(report)
    hooks: dict[str, Callable[[ModuleType], None]] = {
        "tqdm.std": lambda module: hook_std(module, watch),
        "tqdm.notebook": lambda module: hook_notebook(module, watch),
    }
    for name in [name for name in hooks if name in sys.modules]:
        hooks.pop(name)(sys.modules[name])
    if hooks:
        sys.meta_path.insert(0, _HookOnImport(hooks))
    return watch
