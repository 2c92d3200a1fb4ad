"""The worker process of one plugin: loads it, runs one call at a time, answers while it does.

Started by path with the plugin's own interpreter, as `function_worker.py` is for functions, whose
pipes, ask and report it uses; standard library only. What differs: values are typed and never
pickled, what the plugin holds lives on between calls, and the control thread answers questions.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
CHILD = os.path.dirname(HERE)
COURTESY = 0.5  # seconds that a plugin with a cancel() of its own has to stop by itself
WINDOW = 4  # chunks of a stream on their way at a time


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
child.load("plugins.plain_values")
typed = child.load("plugins.typed")
interface = child.load("plugins.interface")
offspring = child.load("offspring")
records = child.load("plugins.records")
wire, job_context, state = child.wire, child.job_context, child.state
child_pipes = child.child_pipes
CAPABILITIES = os.path.join(HERE, "capability_worker.py")
OUR_FILES = (*child.OUR_FILES, os.path.abspath(__file__), CAPABILITIES)
Ended = tuple[dict[str, Any], list[Any]]


class Call(child.worker_job.WorkerJob):  # type: ignore[misc, name-defined]
    """A call of the plugin; of what it displays its log has the text."""

    outputs = None


class PluginWorker(child.Worker):  # type: ignore[misc, name-defined]
    """Runs the calls of one plugin, one after the other."""

    def __init__(self, control: int, jobs: int, frames: int) -> None:
        super().__init__(control, jobs, frames)
        self.plugin: Any = None
        self.types: dict[str, type] = {}
        self.credit = threading.Semaphore(0)
        self.streaming = 0  # the number of the call that credit is for
        self.asked = 0  # the number of the call that was asked last
        self.cancelling: threading.Thread | None = None  # in the plugin's own cancel()

    # -- the control thread --------------------------------------------------------------------

    def listen(self) -> None:
        """Hear what must be heard while a call runs."""
        while True:
            kind, number, data = self.pipes.read_frame(self.pipes.control)
            if kind == wire.ASK:
                self.ask(number)
            elif kind == wire.NEXT:
                if number == self.streaming:
                    self.credit.release()
            elif kind == wire.QUESTION:
                self.answer(number, bytes(data).decode())
            elif kind == wire.EXIT:
                os._exit(0)

    def ask(self, number: int) -> None:
        """Set the flag and call the plugin's cancel(); JobCancelled comes after its chance."""
        context = self.body.context
        if context is None or context.number != number:
            self.body.ask(number)
            return
        first, self.asked = number != self.asked, number
        cancel = own_cancel(self.plugin) if first else None
        if cancel is None:
            self.body.ask(number)
            return
        context.request_cancel()
        self.cancelling = threading.Thread(
            target=self.call_cancel, args=(cancel, context), daemon=True, name="jobqueue-cancel"
        )
        self.cancelling.start()  # it is the plugin's code, which may hang
        threading.Thread(
            target=self.let_cancel, args=(number,), daemon=True, name="jobqueue-courtesy"
        ).start()

    def let_cancel(self, number: int) -> None:
        """Raise JobCancelled if the call goes on after half a second. In a thread."""
        deadline = time.monotonic() + COURTESY
        while time.monotonic() < deadline:
            time.sleep(0.02)
            context = self.body.context
            if context is None or context.number != number:
                return
        self.body.ask(number)

    def call_cancel(self, cancel: Callable[[], object], context: Any) -> None:
        """Call cancel() in a thread; once it has returned the plugin knows that it shall stop."""
        try:
            cancel()
        except BaseException as error:
            child_pipes.write_log(f"[cancel() raised {type(error).__name__}]\n")
        else:
            context.noticed = True

    def answer(self, number: int, question: str) -> None:
        """Answer at once what we know, and in a thread what the plugin must be asked."""
        if question == "health":
            self.send_answer(number, {"pid": os.getpid(), "busy": self.body.context is not None})
            return
        if question.startswith("stack"):
            child.stacks.answer(self, number, question)
            return
        method = {"config": "get_current_config", "config_schema": "get_config_schema"}[question]
        threading.Thread(target=self.ask_plugin, args=(number, method), daemon=True).start()

    def ask_plugin(self, number: int, method: str) -> None:
        """Ask the plugin in a thread: it is the plugin's code."""
        try:
            call = getattr(self.plugin, method, None)
            self.send_answer(number, call() if callable(call) else {})
        except BaseException as error:
            name, message, _ = wire.describe(error, OUR_FILES)
            meta = json.dumps({"error": f"{method}() of the plugin: {name}: {message}"}).encode()
            self.pipes.send(wire.ANSWER, number, wire.join_parts([meta]))

    def send_answer(self, number: int, value: object) -> None:
        """Send it as plain values: readers of a configuration expect a dictionary."""
        parts = typed.encode(value, {}, "answer", foreign=True)
        self.pipes.send(wire.ANSWER, number, wire.join_parts([b"{}", *parts]))

    # -- calls ---------------------------------------------------------------------------------

    def run_one(self, number: int, pieces: list[bytearray]) -> None:
        """Run one call, to one END frame whatever happens."""
        head, *parts = wire.split_parts(memoryview(child_pipes.joined(pieces)))
        call = json.loads(bytes(head))
        context = Call(call["job"], call["attempt"], number, b"", self.pipes, self.held_back.set)
        before = offspring.Offspring()
        self.body.begin(context)
        job_context.bind_process(context)
        try:
            meta, back = self.outcome_of(context, call, parts)
        except BaseException as error:  # a late ask, or no memory to say how it ended
            meta, back = wire.failure_meta(error, job_context.JobCancelled, OUR_FILES), []
        self.body.number = 0
        if meta["kind"] != "value" or meta.get("noticed"):
            meta = {**meta, **end_newer(before), **self.told_of_an_import()}
        self.body.end()
        job_context.bind_process(None)
        context.finish()
        self.rest()
        self.pipes.write(wire.pieces(wire.END, number, wire.end_parts(meta, back)))

    def outcome_of(self, context: Any, call: dict[str, Any], parts: list[Any]) -> Ended:
        """Run it and pack what came of it."""
        body = self.body
        nothing = value = object()
        try:
            self.take_types(call["types"])
            args, kwargs = typed.decode(parts, self.types) if parts else ((), {})
            operation = getattr(self, f"op_{call['op']}")
            body.number = context.number
            context.checkpoint()
            value = operation(call, args, kwargs)
            body.number = 0
        except BaseException as error:
            body.number = 0
            if self.is_copy:
                state.end_copy(error)
            if value is nothing or not isinstance(error, job_context.JobCancelled):
                return wire.failure_meta(error, job_context.JobCancelled, OUR_FILES), []
            body.take_back()
        if self.is_copy:
            state.end_copy(None)
        if self.asked == context.number and self.cancelling is not None:
            self.cancelling.join(COURTESY)  # which may wait for the very end that it has brought
        return self.pack(value, "result", context.noticed)

    def pack(self, value: object, what: str, noticed: bool = False) -> Ended:
        """Pack a value, in a file if it is large; else say what it was and why it is not sent.

        What a plugin returned is never an error: its work is done.
        """
        try:
            parts = typed.encode(value, self.types, what, foreign=True)
        except BaseException as error:
            name, message, _ = wire.describe(error, OUR_FILES)
            reason = message if isinstance(error, typed.NotSendable) else f"{name}: {message}"
            return wire.noted(wire.not_kept(value, reason), noticed), []
        if why := wire.too_large(parts, self.max_result_bytes):
            return wire.noted(wire.not_kept(value, why, wire.size_of(parts)), noticed), []
        packed: Ended = self.spooled(wire.noted(wire.PLAIN_VALUE, noticed), parts)
        return packed

    def op_load(self, call: dict[str, Any], args: Any, kwargs: Any) -> dict[str, Any]:
        """Import the plugin, make it and configure it; return what it is and can."""
        self.spool = call["spool"]
        adapters = call.get("adapters")  # None: it is no capability
        if adapters is not None:
            capabilityside = child.load("plugins.capability_worker")
            capabilityside.make_folder()
        plugin = find(call["module"], call["class"])()
        self.hear_progress(plugin)
        if adapters is not None:
            plugin = capabilityside.Capability(plugin, adapters, self.types, job_context)
        self.plugin = plugin
        if call["configure"]:
            self.op_initialize(call, args, kwargs)
        return {
            "name": str(getattr(plugin, "name", "")),
            "version": str(getattr(plugin, "version", "")),
            "can": [
                name for name in ("release", "cancel") if callable(getattr(plugin, name, None))
            ],
        }

    def op_initialize(self, call: dict[str, Any], args: Any, kwargs: Any) -> None:
        """Give the plugin its first configuration or a new one."""
        self.plugin.initialize(kwargs["config"])

    def op_execute(self, call: dict[str, Any], args: Any, kwargs: Any) -> Any:
        """Run the plugin's `execute`."""
        self.max_result_bytes = call["max_result_bytes"]
        return self.plugin.execute(*args, **kwargs)

    def op_stream(self, call: dict[str, Any], args: Any, kwargs: Any) -> None:
        """Run the call piece by piece, not far ahead of who reads."""
        self.max_result_bytes = call["max_result_bytes"]
        number, body = self.body.number, self.body
        self.credit, self.streaming = threading.Semaphore(WINDOW), number
        stream = getattr(self.plugin, "execute_stream", None)
        pieces: Iterator[Any] = iter(
            stream(*args, **kwargs) if callable(stream) else [self.plugin.execute(*args, **kwargs)]
        )
        try:
            for count, piece in enumerate(pieces):
                self.credit.acquire()
                body.number = 0  # a frame is written whole, whoever asks meanwhile
                meta, parts = self.pack(piece, f"chunk {count}")
                if "lost" in meta:
                    raise typed.NotSendable(meta["lost"]["reason"])
                self.pipes.write(wire.pieces(wire.CHUNK, number, wire.end_parts(meta, parts)))
                body.number = number
                job_context.current_job().checkpoint()
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def op_release(self, call: dict[str, Any], args: Any, kwargs: Any) -> None:
        """Let go of what is large; it comes back by itself at the next use."""
        self.plugin.release()

    def op_cleanup(self, call: dict[str, Any], args: Any, kwargs: Any) -> None:
        """Call the plugin's cleanup(), if it has one, before the end."""
        cleanup = getattr(self.plugin, "cleanup", None)
        if callable(cleanup):
            cleanup()

    def take_types(self, names: list[str]) -> None:
        """Find the types registered in the kernel, as far as they are here: "module.Class"."""
        for name in names:
            if name not in self.types:
                parts = name.split(".")
                for at in range(len(parts) - 1, 0, -1):
                    with contextlib.suppress(ImportError, AttributeError):
                        self.types[name] = find(".".join(parts[:at]), ".".join(parts[at:]))
                        break

    # -- around them ---------------------------------------------------------------------------

    def hear_progress(self, plugin: Any) -> None:
        """Pass on at once what it reports; it is stored as before, too."""
        original = getattr(plugin, "report_progress", None)

        def report_progress(progress: Any, message: Any = "") -> None:
            if callable(original):
                original(progress, message)
            job_context.current_job().report(progress, message)

        with contextlib.suppress(AttributeError):
            plugin.report_progress = report_progress

    def rest(self) -> None:
        """Flush all that the call printed into the log, before its end is told."""
        state.flush_streams()
        with contextlib.suppress(Exception):
            ctypes.CDLL(None).fflush(None)  # what C code printed
        self.pipes.set_standard_ones()


def end_newer(before: Any) -> dict[str, Any]:
    """End what a call that was cancelled or failed has started; say what is left of it.

    A helper that the plugin has from earlier is the plugin's, and stays.
    """
    names, nothing_left = before.end_newer()
    if names:
        child_pipes.write_log(f"[ended with this call, which had started it: {', '.join(names)}]\n")
    if nothing_left is None:
        return {"unseen": True}
    return {} if nothing_left else {"left": True}


def own_cancel(plugin: Any) -> Callable[[], object] | None:
    """Return its cancel(), unless that is the one of the base class, which does nothing."""
    for kind in type(plugin).__mro__:
        if "cancel" in vars(kind):
            method = getattr(plugin, "cancel", None)
            return method if kind.__name__ != "PluginInterface" and callable(method) else None
    return None


def find(module: str, name: str) -> Any:
    """Find a class by its module and dotted name."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


class StandIns(child.job_context.OwnPackage):  # type: ignore[misc, name-defined]
    """Gives plugins our few names, and the reference system's base class, if not installed."""

    def find_spec(self, name: str, path: object, target: object = None) -> Any:
        """Find what stands in; the last finder in the list, reached if nothing else has it."""
        if name in ("jobqueue_widget", "cjm_plugin_system", "cjm_plugin_system.core"):
            return importlib.util.spec_from_loader(name, self, is_package=True)
        if name == "cjm_plugin_system.core.interface":
            return importlib.util.spec_from_loader(name, self)
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module with the names that are useful in a plugin."""
        if module.__name__ == "jobqueue_widget":
            super().exec_module(module)
        if module.__name__ in ("jobqueue_widget", "cjm_plugin_system.core.interface"):
            module.__dict__["PluginInterface"] = interface.PluginInterface
            module.__dict__["FileBackedDTO"] = interface.FileBackedDTO


def main() -> None:
    """Set the process up, then run calls until the pipe ends."""
    sys.path[:] = [entry for entry in sys.path if not entry or os.path.abspath(entry) != HERE]
    if not getattr(sys.flags, "safe_path", False):
        with contextlib.suppress(OSError):  # the kernel's folder was deleted
            sys.path.insert(0, os.getcwd())  # as for `python -m`, which the reference starts
    records.show()
    child.start(PluginWorker(*map(int, sys.argv[1:4])), StandIns())


if __name__ == "__main__":
    main()
