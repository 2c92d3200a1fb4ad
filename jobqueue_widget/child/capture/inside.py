"""Gives each job what it prints, asks for and starts in threads, wherever several share a process.

Which job a piece of code belongs to says the context variable of `child/job_context.py`. Nothing is
replaced that user code may hold a reference to already: methods of streams and classes are wrapped.
Loaded by path in the worker; standard library only.
"""

from __future__ import annotations

import builtins
import contextlib
import contextvars
import functools
import importlib.abc
import importlib.machinery
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

Hook = Callable[[ModuleType], None]

NO_INPUT = (
    "a job cannot ask: nobody is at its input(). Ask before you submit it, and pass the answer as "
    "an argument"
)
NOT_OF_A_JOB = ("jobqueue_widget.", "concurrent.futures.thread")
"""Modules of threads that serve whoever comes: ours, and pools, whose calls are carried instead."""


class RoutedWrite:
    """Replaces a stream's `write`: what the code of a job prints is the job's."""

    def __init__(self, usual: Callable[[str], int], job: Callable[[], Any]) -> None:
        self._usual = usual
        self._job = job

    def __call__(self, text: str) -> int:
        """Write where it belongs."""
        job = self._job()
        if job is not None and type(text) is str and job.takes(text):
            return len(text)
        return self._usual(text)


class Question:
    """Replaces `input` and `getpass`: refuses in a job, at once and in any executor."""

    def __init__(self, usual: Callable[..., str], current: Callable[[], Any]) -> None:
        self._usual = usual
        self._current = current
        functools.update_wrapper(self, usual, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        """Ask, or say why nobody can be asked."""
        if self._current().id is None:
            return self._usual(*args, **kwargs)
        raise EOFError(NO_INPUT)


@functools.cache
class Capture:
    """What this process needs so that jobs in it have their own output; one, whoever asks for it.

    Args:
        bound: gives the job that this very context belongs to, or None.
        current: gives the job that runs, as `current_job()`.
        hooks: gives what else to do with modules, now or when they are imported.
    """

    def __init__(
        self,
        bound: Callable[[], Any],
        current: Callable[[], Any],
        hooks: Callable[[Callable[[], Any]], Mapping[str, Hook]],
    ) -> None:
        self._bound = bound
        self._current = current
        self._hooks = {
            **hooks(current),
            "getpass": lambda module: self._refuse(module, "getpass"),
            "concurrent.futures.thread": lambda module: carry_into_pools(module, bound),
        }
        self._installed = False

    def prepare(self) -> None:
        """Before each job: streams and questions may have become others since the last one."""
        forget_warnings()
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            if stream is not None and type(stream.write) is not RoutedWrite:
                with contextlib.suppress(AttributeError):  # it lets nobody
                    stream.write = RoutedWrite(stream.write, self._bound)  # type: ignore[method-assign]
        self._refuse(builtins, "input")
        base = sys.modules.get("ipykernel.kernelbase")
        if base is not None and base.Kernel.initialized():  # it gives each cell its own `input`
            kernel = base.Kernel.instance()
            for name in ("raw_input", "getpass", "_sys_raw_input", "_save_getpass"):
                self._refuse(kernel, name)
        if not self._installed:
            self._installed = True
            carry_into_threads(self._bound)
            hook_modules(self._hooks)
        elif "getpass" in sys.modules:
            self._refuse(sys.modules["getpass"], "getpass")

    def _refuse(self, owner: Any, name: str) -> None:
        usual = getattr(owner, name, None)
        if callable(usual) and type(usual) is not Question:
            setattr(owner, name, Question(usual, self._current))


def forget_warnings() -> None:
    """Let the next job show a warning that another one has shown.

    Python remembers for the whole process at which lines it has warned, until its filters change.
    Only that is told here: `catch_warnings`, which is public, mixes up the filters of two threads.
    """
    if (tell := getattr(warnings, "_filters_mutated", None)) is not None:
        tell()
    elif (tell := getattr(warnings, "_filters_mutated_lock_held", None)) is not None:
        with warnings._lock:  # type: ignore[attr-defined]  # from Python 3.14 on
            tell()


def carry_into_threads(bound: Callable[[], Any]) -> None:
    """Make a thread that a job starts from now on belong to the job, too."""
    start = threading.Thread.start

    @functools.wraps(start)
    def start_in_context(self: Any) -> None:
        home = getattr(getattr(self, "_target", None), "__module__", None) or ""
        if bound() is not None and not home.startswith(NOT_OF_A_JOB):
            variables, run = contextvars.copy_context(), self.run

            def run_in_context() -> None:
                vars(self).pop("run", None)
                variables.run(run)

            self.run = run_in_context
        start(self)

    threading.Thread.start = start_in_context  # type: ignore[method-assign]


def carry_into_pools(module: Any, bound: Callable[[], Any]) -> None:
    """Make a call that a job gives to a pool of threads from now on belong to the job, too."""
    submit = module.ThreadPoolExecutor.submit

    @functools.wraps(submit)
    def submit_in_context(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if bound() is not None:
            fn = functools.partial(contextvars.copy_context().run, fn)
        return submit(self, fn, *args, **kwargs)

    module.ThreadPoolExecutor.submit = submit_in_context


def hook_modules(hooks: Mapping[str, Hook]) -> None:
    """Call each hook with its module, now if that is imported, else when it is."""
    left = dict(hooks)
    for name in [name for name in left if name in sys.modules]:
        left.pop(name)(sys.modules[name])
    if left:
        sys.meta_path.insert(0, HookOnImport(left))


class HookOnImport(importlib.abc.MetaPathFinder):
    """Lets the normal import run, then hooks the module; each once."""

    def __init__(self, hooks: dict[str, Hook]) -> None:
        self._hooks = hooks

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find only what is to be hooked."""
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
