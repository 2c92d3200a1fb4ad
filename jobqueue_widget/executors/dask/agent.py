"""The agent in a Dask worker: what kernels have running there, and the leases it runs on.

A lease is a Dask task of ours that does nothing but hold its slot. Jobs of the kernel run on it
one after the other, so that the scheduler, which runs tasks again when a worker dies, never has a
job to run again. When the scheduler takes a lease back (its client is gone, or cancelled it), what
runs on it is ended.
"""

from __future__ import annotations

import asyncio
import os
import platform
import threading
import time
from typing import Any

from ..._threads.locks import Lock
from ..cluster.agent import Agent

POLL_SECONDS = 10.0  # a kernel that asks for updates hears at least so often that it is heard
GONE_SECONDS = 0.05  # the same while it holds nothing here: it will soon know
TICK = 0.5
IDLE_SECONDS = 1.0  # that a kernel without a slot here keeps its warm workers
ORPHAN_SECONDS = 2.0  # that a kernel whose slots were taken away has to hear how its jobs ended
SILENCE = 60.0  # seconds without a word of a kernel after which its jobs here are ended

HELD = ("executing", "long-running")  # states of the task of a lease

_worker_agent: WorkerAgent | None = None


def worker_agent() -> WorkerAgent | None:
    """Return the agent of this process, if it has one."""
    return _worker_agent


class LeaseTask:
    """The task of Dask's that holds a slot here."""

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel
        self.token = ""  # of the job on it
        self.over = threading.Event()


class WorkerAgent:
    """One per Dask worker process. On the worker's loop, unless it says otherwise."""

    def __init__(self, worker: Any) -> None:
        global _worker_agent
        self._worker = worker
        self._kernels: dict[str, Agent] = {}  # of each open executor of a kernel
        self._leases: dict[str, LeaseTask] = {}
        self._lock = Lock()
        self._closed = False
        self._leaving: asyncio.Future[None] | None = None
        worker.handlers["jobqueue"] = self.handle
        _worker_agent = self

    async def handle(self, what: str, kernel: str, **details: Any) -> Any:
        """Answer a call of a kernel."""
        if what == "hello":
            return {"worker": self._worker.id, "host": platform.node(), "pid": os.getpid()}
        one = self._kernels.get(kernel)
        if one is not None:
            one.heard = time.monotonic()
        if what in ("put", "ask", "kill", "read", "drop"):
            return None if one is None else getattr(one, what)(**details)
        result = getattr(self, f"_on_{what}")(kernel, one, **details)
        if asyncio.iscoroutine(result):
            result = await result
        return result

    async def _on_begin(
        self, kernel: str, one: Agent | None, lease: str, token: str, job: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        held = self._leases.get(lease)
        if one is None or held is None or held.over.is_set():
            return "no lease", {}
        held.token = token
        return await one.run(token, job)

    async def _on_updates(self, kernel: str, one: Agent | None, seen: int) -> Any:
        if one is None:
            return None
        seconds = POLL_SECONDS if self._holds(kernel) or one.is_busy else GONE_SECONDS
        answer = await one.updates(seen, seconds)
        one.heard = time.monotonic()
        return answer

    def _on_release(self, kernel: str, one: Agent | None, lease: str) -> None:
        held = self._leases.get(lease)
        if held is not None:
            held.over.set()
        if one is not None and not self._holds(kernel):
            one.answer()

    def _holds(self, kernel: str) -> bool:
        leases = list(self._leases.values())
        return any(one.kernel == kernel and not one.over.is_set() for one in leases)

    async def _on_leave(self, kernel: str, one: Agent | None) -> None:
        for lease in [lease for lease in self._leases.values() if lease.kernel == kernel]:
            lease.over.set()
        if self._kernels.pop(kernel, None) is one is not None:
            one.answer()
            await asyncio.get_running_loop().run_in_executor(None, one.close)

    # -- leases ------------------------------------------------------------------------------

    def hold(
        self, lease: str, kernel: str, topic: str, lanes: int, settings: dict[str, Any]
    ) -> None:
        """Keep the slot until the kernel gives it back. In a thread of the worker."""
        held = LeaseTask(kernel)
        with self._lock.held:
            self._leases[lease] = held
        self._worker.loop.add_callback(self._enter, lease, held, topic, lanes, settings)
        try:
            held.over.wait()
        finally:
            with self._lock.held:
                if self._leases.get(lease) is held:
                    del self._leases[lease]

    def _enter(
        self, lease: str, held: LeaseTask, topic: str, lanes: int, settings: dict[str, Any]
    ) -> None:
        name = held.kernel
        task = self._worker.state.tasks.get(lease)
        if self._closed or held.over.is_set() or task is None or task.state not in HELD:
            held.over.set()  # it was taken back before its thread had begun
            return
        if name not in self._kernels:
            settings = {**settings, "scratch": self._worker.local_directory}
            self._kernels[name] = Agent(name, lanes, settings)
            self._watch(name)
        node = {"lease": lease, "address": self._worker.address, "worker": self._worker.id}
        self._worker.log_event(topic, {**node, "host": platform.node(), "pid": os.getpid()})

    def task_left(self, key: str, finish: str) -> None:
        """End what runs on a lease that was taken back: its task has changed."""
        lease = self._leases.get(key)
        if lease is None or finish not in ("cancelled", "released", "forgotten", "resumed"):
            return
        kernel = self._kernels.get(lease.kernel)
        if kernel is None or lease.over.is_set():
            return
        lease.over.set()
        if lease.token:
            kernel.tell(lease.token, taken=True)  # the end it now has is not its own
            kernel.kill(lease.token)
        if not self._holds(lease.kernel):
            seconds = ORPHAN_SECONDS if kernel.is_busy else 0.0
            asyncio.get_running_loop().call_later(seconds, self._let_go_of, lease.kernel, kernel)

    def _let_go_of(self, name: str, kernel: Agent) -> None:
        if self._kernels.get(name) is kernel and not self._holds(name):
            self._leaving = asyncio.ensure_future(self._on_leave(name, kernel))

    def _watch(self, name: str) -> None:
        """Let go of a kernel that says nothing; one without a lease and a job sooner."""
        kernel = self._kernels.get(name)
        if kernel is None:
            return
        quiet = time.monotonic() - kernel.heard
        if quiet > (SILENCE if self._holds(name) or kernel.is_busy else IDLE_SECONDS):
            self._leaving = asyncio.ensure_future(self._on_leave(name, kernel))
            return
        asyncio.get_running_loop().call_later(TICK, self._watch, name)

    def close(self) -> None:
        """End everything that runs here, as the worker ends."""
        global _worker_agent
        self._closed = True
        self._worker.handlers.pop("jobqueue", None)
        for lease in list(self._leases.values()):
            lease.over.set()
        kernels, self._kernels = list(self._kernels.values()), {}
        for kernel in kernels:
            kernel.kill_now()
            kernel.close()
        if _worker_agent is self:
            _worker_agent = None
