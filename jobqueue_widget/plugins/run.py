"""Carries one call of one plugin from its place in the line to its one end."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

from .._core.jobs import JobFailure, Outcome
from .._runtime.failures import outcome_of_start, said_of
from .._runtime.storage.told.logs import JobLog
from .._threads.locks import Lock
from ..child import wire
from ..child.plugins import typed
from ..protocols import Reporter, TellStacks
from ..workers.cleanup import has_started_since
from ..workers.plugin_process import PluginProcess
from ..workers.process import end_now
from ..workers.task import Task
from ..workers.unpacking import decode, drop_unfinished, lost_value, read_spooled, unreadable
from .manifests.manifest import PluginMeta
from .runtime import PluginRuntime

Operation = Literal["load", "initialize", "execute", "stream", "release", "cleanup"]
OnChunk = Callable[[Outcome], None]

DECODED_HERE = 64 * 1024  # bytes; what is larger is decoded in a thread of its own

_numbers = itertools.count(1)


class PluginView(Protocol):
    """A loaded plugin, as its runs see it (`plugins/slots.py`)."""

    meta: PluginMeta
    runtime: PluginRuntime
    spool: Path
    log: JobLog
    configuration: tuple[dict[str, Any], int]

    def enter(self, run: PluginRun) -> None:
        """Let a run begin on a free slot, or after those before it."""

    def leave(self, run: PluginRun) -> bool:
        """Give up a run's place in the line. False: it has none."""

    def note_loaded(self, told: Mapping[str, Any]) -> None:
        """Note what a worker tells that has loaded the plugin."""

    def note_progress(self, fraction: object, message: object) -> None:
        """Note what the plugin reported last."""


class SlotView(Protocol):
    """The slot of a run: a place for one worker."""

    worker: PluginProcess | None
    version: int

    @property
    def is_loaded(self) -> bool:
        """True if its worker has loaded the plugin."""

    def ensure_worker(self) -> PluginProcess:
        """Return the worker, a new one if there is none that can work."""

    def drop(self, worker: PluginProcess) -> None:
        """Give this worker nothing more."""

    def release(self, run: PluginRun, *, warm: bool = False) -> None:
        """Leave the slot to the next run; with `warm` a fresh worker is loaded for it."""


class PluginRun(Task):
    """One call: the `protocols.Execution` of a queue, and the `Task` of a worker.

    Its plugin gives it a slot. Before its own operation the worker there loads the plugin and takes
    its newest configuration, if it has not yet. Any thread, unless a method says "I/O thread".
    """

    can_be_killed = True

    def __init__(
        self,
        plugin: PluginView,
        operation: Operation,
        reporter: Reporter,
        payload: Sequence[Any] = (),
        who: str = "",
        max_result_bytes: int | None = None,
        on_chunk: OnChunk | None = None,
    ) -> None:
        self.plugin = plugin
        self.operation = operation
        self.who = who
        self.reporter = reporter
        self._payload = payload
        self._max_result_bytes = max_result_bytes
        self._chunk = on_chunk
        self._lock = Lock()  # of the steps; the worker's lock may be taken inside
        self._slot: SlotView | None = None
        self._step: Operation | None = None
        self._version = 0
        self._began = 0.0  # when its worker was given the step, in epoch seconds
        self._asked = self._memory_was_short = False
        self.over = False  # its end is told
        self._ending: tuple[dict[str, Any], Sequence[memoryview]] | None = None
        self._phase: str | None = None
        self._before_end: list[Callable[[], object]] = []

    @property
    def is_work(self) -> bool:
        """True for what somebody waits for, False for the plugin's own upkeep."""
        return self.operation in ("execute", "stream")

    def at_end(self, callback: Callable[[], object]) -> None:
        """Call back once, before the end of the run is told; now if it was told."""
        with self._lock.held:
            if not self.over:
                self._before_end.append(callback)
                return
        callback()

    def phase(self, text: str | None) -> None:
        """Report what the call does before its body runs; None: the body runs."""
        if self.is_work and text != self._phase:
            self._phase = text
            self.reporter.phase(text)

    # -- protocols.Execution -------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Process id of its worker, while it has one."""
        slot = self._slot
        worker = None if slot is None else slot.worker
        return None if worker is None else worker.pid or None

    def ask_to_stop(self) -> bool:
        """Ask by the plugin's cancel(), the flag and JobCancelled; end what has not begun."""
        worker = self._stop()
        if worker is None:
            self._leave_line()
        elif worker.take_back(self):
            self._finish(Outcome.of_stop())
        else:
            worker.ask(self)
        return True

    def kill(self) -> None:
        """End its worker, with the process group and everything that it started."""
        worker = self._stop()
        if worker is None:
            self._leave_line()
        else:
            worker.kill(self, "forced")

    def kill_now(self) -> bool:
        """End its worker within a second, without waiting for any thread. True: it is gone."""
        with self._lock.held:
            self._asked = True
            worker = self._slot.worker if self._slot is not None else None
        if self.over or worker is None:
            self._leave_line()
            return True
        return end_now([worker])

    def ask_stack(self, tell: TellStacks) -> None:
        """Ask its worker where the plugin's code is."""
        worker = self._slot.worker if self._slot is not None else None
        if worker is None:
            tell(None, "it waits for a worker of its plugin")
        else:
            worker.ask_stack(self, tell)

    def _stop(self) -> PluginProcess | None:
        """Note that it shall stop; return the worker that has a step of it."""
        with self._lock.held:
            self._asked = True
            return self._slot.worker if self._slot is not None and self._step else None

    def _leave_line(self) -> None:
        """End a call without a worker; `_advance` ends one that is just being given one."""
        if self.plugin.leave(self):
            self._end(Outcome.of_stop())

    # -- steps ---------------------------------------------------------------------------------

    def begin(self, slot: SlotView) -> None:
        """Take a slot, until `slot.release`, and begin there."""
        with self._lock.held:
            self._slot = slot
        if not slot.is_loaded:
            self.phase("starting")
        try:
            self._advance()
        except Exception as error:  # whatever it is, the slot is for others
            slot.release(self)
            text = f"plugin {self.plugin.meta.name!r} could not be called: {said_of(error)}"
            self._end(outcome_of_start(error, text))

    def _advance(self) -> None:
        """Take the next step, on a worker that can."""
        slot = self._slot
        assert slot is not None
        while True:
            with self._lock.held:
                stopped = self._asked
                if not stopped:
                    worker = slot.ensure_worker()
                    self._step = step = self._next_step(slot)
                    number = next(_numbers) & 0xFFFFFFFF
                    frames = self._frames(step, number)
                    self._began = time.time()
                    if worker.give(self, frames, number):
                        break
                    slot.drop(worker)
            if stopped:
                self._finish(Outcome.of_stop())
                return
        if step == self.operation:
            self.phase(None)

    def _next_step(self, slot: SlotView) -> Operation:
        """Return what the worker must do before, or else the operation itself."""
        if slot.version < 0:
            return "load"
        if self.is_work and slot.version != self.plugin.configuration[1]:
            return "initialize"
        return self.operation

    def _frames(self, step: Operation, number: int) -> list[bytes | memoryview]:
        plugin = self.plugin
        runtime = plugin.runtime
        call: dict[str, Any] = {
            "op": step,
            "job": self.reporter.job_id,
            "attempt": self.reporter.attempt,
            "max_result_bytes": self._max_result_bytes,
        }
        payload = self._payload if step == self.operation else ()
        call["types"] = list(runtime.types)
        if step in ("load", "initialize"):
            config, self._version = plugin.configuration
            payload = typed.encode(((), {"config": config}), runtime.types, "configuration")
            manifest = plugin.meta.manifest
            call.update(
                spool=str(plugin.spool),
                module=manifest["module"],
                configure=bool(config),
                adapters=manifest.get("adapters"),
                **{"class": manifest["class"]},
            )
        parts = wire.join_parts([json.dumps(call).encode(), *payload])
        return wire.pieces(wire.JOB, number, parts)

    # -- workers.task.Task, on the I/O thread --------------------------------------------------

    def on_starting(self) -> None:
        """Do nothing: `begin` has reported that the worker starts."""

    def on_started(self) -> None:
        """Do nothing: the steps of a worker are given one by one."""

    def on_progress(self, fraction: object, message: object) -> None:
        """Pass progress on to the plugin and to whoever waits."""
        self.plugin.note_progress(fraction, message)
        self.reporter.progress(fraction, message)

    def on_log(self, data: bytes) -> None:
        """Pass output on, if it is that of a call."""
        if self.is_work:
            self.reporter.log(data)

    def on_chunk(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> None:
        """Pass a piece of the stream on."""
        if self._chunk is not None:
            self._chunk(self._decode(meta, parts))

    def next_chunk(self) -> None:
        """Let the plugin make one more piece of its stream, since one was taken."""
        worker = self._slot.worker if self._slot is not None else None
        if worker is not None:
            worker.give_credit(self)

    def on_end(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> bool:
        """Keep how a step ended. True: the worker must be gone before that is told."""
        self._ending = (meta, parts)
        is_preparation = self._step in ("load", "initialize")
        failed = bool(meta["kind"] != "value")
        self._memory_was_short = failed and JobFailure.of_end(meta).out_of_memory
        if self._left_something(meta):
            self.on_log(b"[what this call left running was ended with its worker]\n")
            return True
        if self._memory_was_short or meta.get("imports"):  # what is damaged goes with the worker
            return True
        return failed and (self._step == "load" or (is_preparation and self.is_work))

    def _left_something(self, meta: dict[str, Any]) -> bool:
        """True if a call that was cancelled or failed left what its worker could not end or see."""
        return bool(meta.get("left")) or (
            bool(meta.get("unseen"))
            and self.pid is not None
            and has_started_since(self.pid, self._began)
        )

    def on_free(self) -> None:
        """Take the next step on a worker that has ended one, or end the call."""
        ending, self._ending = self._ending, None
        slot, step = self._slot, self._step
        assert ending is not None
        assert slot is not None
        succeeded = ending[0]["kind"] == "value"
        if succeeded:
            self._note(slot, step, ending)
        if succeeded and step != self.operation:
            self._advance()
        else:
            self._finish(ending)

    def _note(self, slot: SlotView, step: Operation | None, ending: tuple[Any, Any]) -> None:
        if step in ("load", "initialize"):
            slot.version = self._version
        if step == "load":
            told = self._decode(*ending).value
            self.plugin.note_loaded(told if isinstance(told, dict) else {})

    def on_death(self, failure: JobFailure) -> None:
        """End the call, whose process is gone with everything that it started."""
        ending, self._ending = self._ending, None
        outcome = None
        if ending is not None:
            outcome = self._decode(*ending)
        elif self._slot is not None and (worker := self._slot.worker) is not None:
            drop_unfinished(str(self.plugin.spool), worker.id, worker.number)
        if ending is None and self._step == "load":
            tail = self.plugin.log.tail(30)
            failure = replace(failure, traceback=failure.traceback or tail)
        if self.is_work and self._step in ("load", "initialize"):
            outcome = self._of_preparation(outcome or Outcome.of_error(failure))
        slot = self._slot
        if slot is not None:
            worked = self._step == self.operation and self.is_work
            slot.release(self, warm=worked and not self._memory_was_short)
        self._end(outcome or Outcome.of_error(failure))

    def on_not_started(self, failure: JobFailure) -> None:
        """End the call: its worker could not be started, for a reason that is not the plugin's."""
        slot = self._slot
        if slot is not None:
            slot.release(self)
        self._end(Outcome.of_start(failure))

    def _of_preparation(self, outcome: Outcome) -> Outcome:
        """Say that a call never began, beside what its plugin raised."""
        failure = outcome.failure
        if outcome.kind != "error" or failure is None:
            return outcome
        verb = "loaded" if self._step == "load" else "configured"
        text = f"plugin {self.plugin.meta.name!r} could not be {verb}: {failure}"
        failure = replace(failure, type_name="PluginLoadError", message=text)
        return Outcome.of_error(failure)

    # -- the end -------------------------------------------------------------------------------

    def _finish(self, ending: Outcome | tuple[dict[str, Any], Sequence[memoryview]]) -> None:
        """Release the slot, whose worker is done with the call, and tell the end."""
        slot = self._slot
        if slot is not None:
            if self.operation == "cleanup" and slot.worker is not None:
                slot.worker.close()  # before anybody else is given it
            slot.release(self)
        if isinstance(ending, Outcome):
            self._end(ending)
            return
        meta, parts = ending
        if "file" in meta or sum(map(len, parts)) > DECODED_HERE or len(parts) > 1:
            with contextlib.suppress(RuntimeError):  # no thread to be had: here, however long
                threading.Thread(
                    target=lambda: self._end(self._decode(meta, parts)),
                    name=f"decode-{self.reporter.job_id}",
                    daemon=True,
                ).start()
                return
        self._end(self._decode(meta, parts))

    def fail(self, failure: JobFailure) -> None:
        """End a call with a failure before it began."""
        self._end(Outcome.of_error(failure))

    def _decode(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> Outcome:
        """Read the outcome from an end frame. Runs nobody's code."""
        if meta["kind"] != "value":
            return decode(meta, ())
        value = self._value(meta, parts)
        size = wire.size_of(parts) or 1  # it is a copy, also if it came in a file
        return Outcome.of_value(value, noticed=meta.get("noticed") is True, size=size)

    def _value(self, meta: dict[str, Any], parts: Sequence[memoryview]) -> object:
        """Return the value, or a `NotKept`: the plugin has done its work in any case."""
        if "lost" in meta:
            return lost_value(meta["lost"])
        try:
            if "file" in meta:
                path = Path(str(meta["file"]))
                if path.parent != self.plugin.spool:
                    raise typed.NotReadable(f"{path} is no file of this plugin's results")
                parts = read_spooled(str(path))
            return typed.decode(parts, self.plugin.runtime.types)
        except Exception as error:
            return unreadable(error, parts)

    def _end(self, outcome: Outcome) -> None:
        with self._lock.held:
            if self.over:
                return
            self.over = True
        for callback in self._before_end:
            callback()
        self.reporter.ended(outcome)
        self.plugin.runtime.tell()
