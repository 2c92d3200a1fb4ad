"""Stands before a capability in its worker: finds what a call names, and gives what it returns.

Capabilities (of cjm-substrate) have no `execute`: a call names one of their methods, or a task and
a method of the adapter that serves it. Standard library only.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

OF_THE_CALL = ("task", "method", "control", "run_id", "actor")  # never arguments, as there
BASES = ("cjm_substrate", "builtins", "abc", "typing")  # whose methods are no capability's own


def make_folder() -> None:
    """Make its data folder, which is there before it is imported."""
    if "CAPABILITY_DATA_DIR" in os.environ:
        os.makedirs(os.environ["CAPABILITY_DATA_DIR"], exist_ok=True)


class Capability:
    """Stand-in for the plugin in its worker; whatever is not said here, the tool answers.

    It has as `adapters` the `task`, `module` and `class` of each that fits the tool, and in `types`
    the registered ones, whose values keep their type.
    """

    def __init__(
        self, tool: Any, adapters: list[dict[str, str]], types: dict[str, type], job_context: Any
    ) -> None:
        self.tool = tool
        self.types = types
        self.job_context = job_context
        self.config: Any = None
        name = getattr(tool, "name", type(tool).__name__)  # once: it may read a package's metadata
        self.title = f"capability {name}"
        self.adapters: dict[str, Any] = {}
        for one in adapters:
            where = f"{one['module']}.{one['class']}"
            try:
                adapter = getattr(importlib.import_module(one["module"]), one["class"])(tool)
            except Exception as error:  # its package may be in other environments only
                sys.stderr.write(f"[no adapter {where} here: {type(error).__name__}: {error}]\n")
                continue
            self.adapters.setdefault(one["task"], adapter)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tool, name)

    def initialize(self, config: Any) -> None:
        """Take the first configuration, or a change of it."""
        change = getattr(self.tool, "reconfigure", None)
        if self.config is None or not callable(change):
            self.tool.initialize(config)
        else:
            change(self.config, config)
        self.config = config

    def cancel(self) -> None:
        """Set the tool's flag and call its callbacks."""
        self.tool.cancel()

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run a method: the first argument names one of the tool; or by `task` and `method`.

        Raises:
            TypeError: the call names no method.
            LookupError: there is no such method or task; the message has those that there are.
        """
        call = {name: kwargs.pop(name, None) for name in OF_THE_CALL}
        body, args = self.find("execute", call, args)
        with self.heard():
            self.begin(call)
            value = body(*args, **kwargs)
        return self.sent(value, call)

    def execute_stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Run a method that gives an iterator piece by piece; any other in one piece."""
        call = {name: kwargs.pop(name, None) for name in OF_THE_CALL}
        body, args = self.find("execute_stream", call, args)
        with self.heard():
            self.begin(call)
            value = body(*args, **kwargs)
            for piece in value if isinstance(value, Iterator) else [value]:
                yield self.sent(piece, call)

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Make JobCancelled of what `check_cancel()` raises in a call that was asked to stop."""
        try:
            yield
        except Exception as error:
            asked = self.job_context.current_job().cancel_requested
            if asked and type(error).__name__ == "CapabilityCancelledError":
                raise self.job_context.JobCancelled(str(error)) from error
            raise

    def sent(self, value: Any, call: dict[str, Any]) -> Any:
        """Return a task's result as cjm-substrate gives it to a caller without its class."""
        wire = sys.modules.get("cjm_substrate.core.wire")
        if call["task"] is None or wire is None or type(value) in self.types.values():
            return value
        return wire.wire_encode(value)

    def find(
        self, whole: str, call: dict[str, Any], args: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Find what to call, and its positional arguments; `whole` if the tool has `execute`."""
        task, method = call["task"], call["method"]
        title = self.title
        if task is not None:
            if method is None or args:
                raise TypeError(
                    f"task {task!r} is called with method=… and every argument by name, "
                    f"not with method={method!r} and {args!r}"
                )
            if task not in self.adapters:
                there = ", ".join(sorted(self.adapters)) or "none"
                raise LookupError(f"{title} has no adapter for task {task!r}; it has: {there}")
            return method_of(self.adapters[task], method, f"task {task!r} of {title}"), args
        if method is None:
            if callable(getattr(self.tool, "execute", None)):
                return getattr(self.tool, whole), args
            if not args:
                there = ", ".join(methods(self.tool))
                raise TypeError(f"{title}: the call names no method; it has: {there}")
            method, args = args[0], args[1:]
        return method_of(self.tool, method, title), args

    def begin(self, call: dict[str, Any]) -> None:
        """Forget the call before, and let the tool see whose call this is."""
        job = self.job_context.current_job()
        self.tool._cancel_requested = False
        job.checkpoint()
        wire = sys.modules.get("cjm_substrate.core.wire")
        if wire is not None:
            told = {name: call[name] for name in ("control", "run_id", "actor") if call[name]}
            wire.set_call_envelope(wire.CallEnvelope.from_wire({"job_id": job.id, **told}))


def method_of(owner: Any, name: Any, title: str) -> Callable[..., Any]:
    """Find a public method.

    Raises:
        LookupError: there is no such method; the message has those that there are.
    """
    is_name = isinstance(name, str) and not name.startswith("_")
    if not is_name or not is_method(getattr(type(owner), name, None)):
        there = ", ".join(methods(owner))
        raise LookupError(f"{title} has no method {name!r}; it has: {there}")
    found: Callable[..., Any] = getattr(owner, name)
    return found


def methods(owner: Any) -> list[str]:
    """List the public methods that it does not have from a base class of the system."""
    kind = type(owner)
    bases = [one for one in kind.__mro__ if one.__module__.split(".")[0] in BASES]
    theirs = {name for base in bases for name in dir(base)}
    own = [name for name in dir(kind) if not name.startswith("_") and name not in theirs]
    return [name for name in own if is_method(getattr(kind, name))]


def is_method(found: Any) -> bool:
    """True for what a call may name; a class that stands in a class is none."""
    return callable(found) and not isinstance(found, type)
