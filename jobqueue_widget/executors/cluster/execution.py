"""The kernel's side of one attempt that runs on an agent: from its launch to its one end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from ..._core.jobs import JobFailure, Outcome
from ..._core.spec import JobSpec
from ..._threads.locks import Lock
from ...child import wire
from ...errors import InvalidOptionError
from ...protocols import ExecutorContext, Reporter
from ...workers.packing import Packed, PackedCall, call_bytes
from ...workers.unpacking import decode_aside

RESENDS = 3  # times that an idempotent job is sent again after its worker was lost

_tokens = itertools.count(1)


class Carrier(Protocol):
    """The executor, as its executions see it. Any thread."""

    def withdraw(self, execution: RemoteExecution) -> None:
        """Pass on that it shall stop, or end it where it waits."""

    def taken(self, execution: RemoteExecution) -> None:
        """Note that the engine took its slot and its process away. On the leases' loop."""

    def over(self, execution: RemoteExecution) -> None:
        """Release the slot of one that has ended."""


class RemoteExecution:
    """One attempt. What its agent tells comes in through `hear`, `fetched` and `lost`."""

    can_be_killed = True

    def __init__(
        self, carrier: Carrier, spec: JobSpec, reporter: Reporter, context: ExecutorContext
    ) -> None:
        self._carrier = carrier
        self._context = context
        self._lock = Lock()
        self.spec = spec
        self.reporter = reporter
        self.asked = False
        self.forced = False
        self.over = False
        self.is_there = False  # its agent has it
        self.lease: Any = None  # that its carrier has put it on
        self.sent_to = ""  # the worker's words
        self.losses = 0
        self._phase_told = False
        self._taken = False
        self._meta: dict[str, Any] = {}
        self.token = ""
        self.renew()

    def renew(self) -> None:
        """Take another token, so that what an earlier agent says of it is ignored."""
        self._phase_told = self._taken = self.is_there = False
        self.token = f"{self.spec.id}:{self.reporter.attempt}:{next(_tokens)}"

    def job(self) -> dict[str, Any]:
        """Return what an agent needs to begin it."""
        function, call = cast("tuple[Packed, bytes | PackedCall]", self.spec.payload)
        return {
            "id": self.spec.id,
            "attempt": self.reporter.attempt,
            "name": wire.plain(self.spec.name),
            "function": function.data,
            "source": function.source,
            "call": call_bytes(call),
            "fresh": self.spec.options.fresh,
            "env": self.spec.options.env,
            "cwd": self.spec.options.cwd,
        }

    def begun(self) -> None:
        """Note that its agent has it, and say so unless a phase was told before."""
        self.is_there = True
        if not self._phase_told and not self.over:
            self._phase_told = True
            self.reporter.phase(None, self.sent_to)

    # -- protocols.Execution -----------------------------------------------------------------

    def ask_to_stop(self) -> bool:
        """Ask it, as a worker of this machine: by a flag, and JobCancelled in its main thread."""
        self.asked = True
        self._carrier.withdraw(self)
        return True

    def kill(self) -> None:
        """End its process group there."""
        self.asked = self.forced = True
        self._carrier.withdraw(self)

    # -- what its agent tells --------------------------------------------------------------

    def hear(
        self, updates: dict[str, Any], fetch: Callable[[RemoteExecution, int], object]
    ) -> None:
        """Pass on, in the order in which it was meant; `fetch` a large result, then `fetched`."""
        if self.over:
            return
        reporter = self.reporter
        if "phase" in updates:
            self._phase_told = True
            reporter.phase(updates["phase"][0], self.sent_to)
        elif not self._phase_told:
            self.begun()
        if "log" in updates:
            reporter.log(updates["log"])
        for told, body in updates.get("outputs", ()):
            reporter.output(told, body)
        if "progress" in updates:
            reporter.progress(*updates["progress"])
        if "metrics" in updates:
            reporter.metrics(updates["metrics"])
        if "kill_failed" in updates:
            reporter.kill_failed(updates["kill_failed"])
        if "taken" in updates:
            self._taken = True
        if "end" in updates:
            end = updates["end"]
            if self._taken and not self.asked and end["kind"] == "died":
                self._carrier.taken(self)
                return
            if end["file"] is not None:
                self._meta = end["meta"]
                fetch(self, end["file"])
                return
            self._hear_end(end["kind"], end["meta"], end["parts"])

    def _hear_end(self, kind: str, meta: Any, parts: list[bytes]) -> None:
        if kind == "stopped":
            self.end(Outcome.of_stop())
        elif kind == "died":
            name, message, text, code, signal = meta
            message = f"{message}, on {self.sent_to}"
            self.end(Outcome.of_error(JobFailure(name, message, text, code, signal)))
        else:
            self._decode(meta, [memoryview(part) for part in parts])

    def spool(self) -> Path:
        """Return the file that a large result is put in while it is fetched."""
        return self._context.spool_dir() / f"fetched-{self.token.replace(':', '-')}"

    def fetched(self) -> None:
        """Read a large result, all of which is in its file now."""
        self._decode({**self._meta, "file": str(self.spool())}, [])

    def _decode(self, meta: dict[str, Any], parts: list[memoryview]) -> None:
        decode_aside(f"decode-{self.spec.id}", meta, parts, self.end)

    def end(self, outcome: Outcome) -> None:
        """Tell how it ended, once."""
        with self._lock.held:
            if self.over:
                return
            self.over = True
        if self._meta:  # a large result was being fetched
            self.spool().unlink(missing_ok=True)
        self._carrier.over(self)
        self.reporter.ended(outcome)


def resources_of(spec: JobSpec) -> dict[str, float]:
    """Return what a job asks an engine for, in the engine's words."""
    resources = spec.options.resources
    return {} if resources is None or isinstance(resources, str) else dict(resources)


def check_function(spec: JobSpec, name: str) -> None:
    """Refuse what is no plain function, and resources that were measured on this machine.

    Raises:
        InvalidOptionError: it is a plugin or a coroutine function, or needs what is not known.
    """
    if spec.options.resources == "learned":
        raise InvalidOptionError(
            f'resources="learned" is for jobs of this machine; say what {name} shall be asked for'
        )
    if spec.kind != "function":
        runs = "in its plugin manager" if spec.kind == "plugin" else "on the queue's loop"
        raise InvalidOptionError(
            f"executor={name!r} does not go with {spec.name!r}: a {spec.kind} runs {runs}; "
            "submit a plain function that calls it"
        )


def lost(execution: RemoteExecution, why: str) -> JobFailure:
    """Return the failure of a job whose worker is gone."""
    return JobFailure("WorkerLost", f"{execution.sent_to or 'its worker'} was lost: {why}")
