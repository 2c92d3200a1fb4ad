"""Slots that an engine has granted to one open executor, and the jobs that wait for one.

An engine is not given jobs but asked for slots: a *lease* holds one for one job after the other,
so that an engine that runs again what it has lost has nothing to run again. Everything here runs on
one loop, which is the engine's client's or our own.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from ..._core.jobs import JobFailure, Outcome
from ...protocols import ExecutorContext
from .execution import RESENDS, RemoteExecution, lost

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
ANSWER_SECONDS = 10.0  # in which a worker has to say that it forces a job
PIECE = 16 * 1024 * 1024  # bytes of large arguments and results that travel at a time

Kind = tuple[Any, ...]  # what the engine is asked for: jobs of one kind may share a lease


class Node:
    """A process of the engine (a Dask worker, a Ray actor) that we hold leases on."""

    def __init__(self, address: str, worker: str, words: str, actor: Any = None) -> None:
        self.address = address
        self.actor = actor  # that calls go to, where the engine has such
        self.worker = worker  # its id: addresses are used again
        self.words = words
        self.direct: bool | None = None  # None: not known yet
        self.leases: set[Lease] = set()
        self.listened_to = False


class Lease:
    """A slot in the engine, for one job after the other."""

    def __init__(self, key: str, kind: Kind) -> None:
        self.key = key
        self.kind = kind
        self.handle: Any = None  # what the engine's client has for it
        self.node: Node | None = None
        self.execution: RemoteExecution | None = None
        self.idle: asyncio.TimerHandle | None = None


class Calls(ABC):
    """Calls to agents, over the channels of the engine."""

    patience: float | None = None  # seconds that a quiet call may take

    @abstractmethod
    async def call(self, node: Node, what: str, **details: Any) -> Any:
        """Ask the agent there for something; any error if it is not there."""

    async def quietly(self, node: Node, what: str, **details: Any) -> None:
        """Tell it something that is of no use any more if it is not there."""
        try:
            await asyncio.wait_for(self.call(node, what, **details), self.patience)
        except Exception as error:
            logger.debug("%s does not hear %r: %r", node.words, what, error)

    async def put(self, node: Node, token: str, data: bytes) -> None:
        """Send arguments that are too large for one message."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            await self.call(node, "put", token=token, offset=start, data=piece)

    async def fetch(self, node: Node, token: str, size: int, path: Path) -> None:
        """Bring a large result into a file here."""
        with path.open("wb") as file:
            while (offset := file.tell()) < size:
                data = await self.call(node, "read", token=token, offset=offset, size=PIECE)
                file.write(data)
        await self.call(node, "drop", token=token)

    @abstractmethod
    async def why_lost(self, node: Node, error: Exception) -> str:
        """Return why the worker is lost after a failed call; "" if only the connection is."""


class Leases(ABC):
    """The leases of one open executor. What differs between engines is abstract."""

    waiting_words = ""  # what a job without a slot is said to do

    def __init__(
        self, name: str, calls: Calls, context: ExecutorContext, idle_seconds: float
    ) -> None:
        self.name = name
        self._channel = calls
        self._idle_seconds = idle_seconds
        self._settings = {
            "env": None if context.env is None else dict(context.env),
            "max_result_bytes": context.max_result_bytes,
            "recycle_after": context.recycle_after,
        }
        self._waiting: dict[Kind, deque[RemoteExecution]] = {}
        self._leases: dict[str, Lease] = {}
        self._idle: dict[Kind, dict[str, Lease]] = {}
        self._nodes: dict[str, Node] = {}
        self._executions: dict[str, RemoteExecution] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    # -- what the engine does ----------------------------------------------------------------

    @property
    @abstractmethod
    def trouble(self) -> str:
        """Reason why no slot can be asked for now; "" if one can."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Number of slots of the engine."""

    @abstractmethod
    def _submit(self, kind: Kind) -> None:
        """Ask for one more; `_granted` follows."""

    @abstractmethod
    def _cancel(self, lease: Lease) -> None:
        """Give it back to the engine, whether it was granted yet or not."""

    def _on_lost(self, node: Node) -> None:  # noqa: B027 - not every engine has something
        """Forget what belongs to a node that is lost."""

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of %s failed", self.name, exc_info=error)

    # -- jobs --------------------------------------------------------------------------------

    def place(self, execution: RemoteExecution, kind: Kind) -> None:
        """Start it on an idle lease, or get one."""
        if execution.over or execution.token in self._executions:
            return  # it may have been launched before there was a cluster to place it in
        self._executions[execution.token] = execution
        self._waiting.setdefault(kind, deque()).append(execution)
        if idle := self._idle.get(kind):
            self._serve_lease(next(iter(idle.values())))
            return
        execution.reporter.phase(self.trouble or self.waiting_words)
        if not self.trouble:
            self._get_leases(kind)

    def withdraw(self, execution: RemoteExecution) -> None:
        """Pass on that a job shall stop, or end one that waits for a lease."""
        lease: Lease | None = execution.lease
        if execution.over:
            return
        if lease is None or lease.node is None:
            execution.end(Outcome.of_stop())
        elif execution.is_there:
            self._spawn(self._pass_on(execution, lease.node))

    async def _pass_on(self, execution: RemoteExecution, node: Node) -> None:
        what = "kill" if execution.forced else "ask"
        try:
            call = self._channel.call(node, what, token=execution.token)
            await asyncio.wait_for(call, ANSWER_SECONDS)
        except Exception as error:
            logger.debug("%s does not hear that a job shall stop: %r", node.words, error)
            if execution.forced and not execution.over and node.leases:
                reason = f"{node.words} does not answer: {type(error).__name__}"
                execution.reporter.kill_failed(reason)

    def freed(self, execution: RemoteExecution) -> None:
        """Give the lease of a job that is over to the next one."""
        self._executions.pop(execution.token, None)
        lease: Lease | None = execution.lease
        if lease is None:
            for waiting in self._waiting.values():
                if execution in waiting:
                    waiting.remove(execution)
                    break
        elif lease.execution is execution:
            lease.execution = None
            self._serve_lease(lease)

    def _say_what_they_wait_for(self, text: str) -> None:
        for waiting in self._waiting.values():
            for execution in waiting:
                execution.reporter.phase(text)

    # -- leases ------------------------------------------------------------------------------

    def _get_leases(self, kind: Kind) -> None:
        """Ask for leases until as many of this kind are on their way as jobs wait."""
        waiting = self._waiting.get(kind, ())
        coming = sum(
            1 for lease in self._leases.values() if lease.kind == kind and lease.node is None
        )
        for _ in range(len(waiting) - coming):
            if len(self._leases) >= self.capacity:
                self._give_back_an_idle_one()
            self._submit(kind)

    def _granted_at(self, lease: Lease, node: Node) -> None:
        """Note where the engine has granted a lease, and use it."""
        self._nodes[node.address] = node
        lease.node = node
        node.leases.add(lease)
        if not node.listened_to:
            node.listened_to = True
            self._spawn(self._listen(node))
        self._serve_lease(lease)

    def _refused(self, kind: Kind, why: str) -> None:
        """Fail the job that waits for a lease which the engine will not give."""
        waiting = self._waiting.get(kind)
        if waiting:
            execution = waiting.popleft()
            execution.end(Outcome.of_error(JobFailure("NoPlace", f"no place for it: {why}")))

    def _serve_lease(self, lease: Lease) -> None:
        """Start the next job on this lease, or its idle time."""
        waiting = self._waiting.get(lease.kind)
        self._is_not_idle(lease)
        if self._leases.get(lease.key) is not lease or lease.node is None:
            return
        if waiting and not self._closed:
            execution = waiting.popleft()
            if not waiting:
                del self._waiting[lease.kind]
            lease.execution = execution
            execution.lease = lease
            self._spawn(self._begin(execution, lease, lease.node))
            return
        loop = asyncio.get_running_loop()
        lease.idle = loop.call_later(self._idle_seconds, self._give_back, lease)
        self._idle.setdefault(lease.kind, {})[lease.key] = lease

    def _is_not_idle(self, lease: Lease) -> None:
        if lease.idle is not None:
            lease.idle.cancel()
            lease.idle = None
            idle = self._idle[lease.kind]
            del idle[lease.key]
            if not idle:
                del self._idle[lease.kind]

    def _give_back_an_idle_one(self) -> None:
        for idle in self._idle.values():
            self._give_back(next(iter(idle.values())))
            return

    def _give_back(self, lease: Lease) -> None:
        """Give a lease that has no job back to the engine."""
        if lease.execution is None and self._leases.get(lease.key) is lease:
            if lease.node is not None:
                self._spawn(self._release(lease, lease.node))
            else:
                self._drop(lease)

    async def _release(self, lease: Lease, node: Node) -> None:
        """Tell the agent, then drop the lease: one dropped without a word has lost its kernel."""
        del self._leases[lease.key]
        self._is_not_idle(lease)
        await self._channel.quietly(node, "release", lease=lease.key)
        self._drop(lease)

    def _drop(self, lease: Lease) -> None:
        """Forget it, and let the engine forget it."""
        self._leases.pop(lease.key, None)
        self._is_not_idle(lease)
        if lease.node is not None:
            lease.node.leases.discard(lease)
        self._cancel(lease)

    async def _begin(self, execution: RemoteExecution, lease: Lease, node: Node) -> None:
        """Send a job to a node."""
        job = execution.job()
        call: bytes = job["call"]
        execution.sent_to = node.words
        token = execution.token
        if len(call) > PIECE:
            job["call"] = b""
        while True:
            try:
                if len(call) > PIECE:
                    await self._channel.put(node, token, call)
                answer, told = await self._channel.call(
                    node, "begin", lease=lease.key, token=token, job=job
                )
                break
            except Exception as error:
                if await self._is_lost(node, error):
                    return
        if answer == "no lease":
            self._drop(lease)
            lease.execution = None
            self._send_again(execution, lease.kind)
            return
        if told:
            self._tell(execution, told)
        execution.begun()
        if execution.asked and not execution.over:
            await self._pass_on(execution, node)

    async def _listen(self, node: Node) -> None:
        """Fetch what its jobs tell, until we have nothing there any more.

        Never cancelled: a half-made connection would stay behind. The worker answers at once when
        the last lease is given back.
        """
        try:
            await self._hear(node)
        finally:
            if self._nodes.get(node.address) is node:
                del self._nodes[node.address]

    async def _hear(self, node: Node) -> None:
        seen = 0
        while node.leases:
            try:
                answer = await self._channel.call(node, "updates", seen=seen)
            except Exception as error:
                if await self._is_lost(node, error):
                    return
                continue
            if answer is None:
                self._lose_node(node, "it has let go of this kernel")
                return
            seen, updates = answer
            for token, told in updates.items():
                execution = self._executions.get(token)
                if execution is not None:
                    self._tell(execution, told)

    def _tell(self, execution: RemoteExecution, told: dict[str, Any]) -> None:
        execution.hear(told, self._fetch)

    def _fetch(self, execution: RemoteExecution, size: int) -> None:
        lease: Lease = execution.lease
        assert lease.node is not None
        self._spawn(self._fetch_file(execution, lease.node, size))

    async def _fetch_file(self, execution: RemoteExecution, node: Node, size: int) -> None:
        path = execution.spool()
        try:
            await self._channel.fetch(node, execution.token, size, path)
        except Exception as error:
            path.unlink(missing_ok=True)
            text = f"its result could not be fetched: {type(error).__name__}: {error}"
            execution.end(Outcome.of_error(JobFailure("ResultLost", text)))
            return
        execution.fetched()

    # -- losing ------------------------------------------------------------------------------

    async def _is_lost(self, node: Node, error: Exception) -> bool:
        """Find out after a failed call whether the worker is gone, or only the connection."""
        why = await self._channel.why_lost(node, error)
        if why:
            self._lose_node(node, why)
        return bool(why)

    def _lose_node(self, node: Node, why: str) -> None:
        for lease in list(node.leases):
            self._drop(lease)
            execution, lease.execution = lease.execution, None
            if execution is not None:
                self._move_on(execution, lease.kind, why)
        self._on_lost(node)

    def taken(self, execution: RemoteExecution) -> None:
        """Note that the engine took a job's slot away, of which nobody else may have told us."""
        lease: Lease | None = execution.lease
        if lease is not None and lease.execution is execution:
            lease.execution = None
            self._drop(lease)
            self._move_on(execution, lease.kind, self._why_taken())

    def _why_taken(self) -> str:
        return "its place was taken away"

    def _move_on(self, execution: RemoteExecution, kind: Kind, why: str) -> None:
        """Send a job again whose worker is lost, if it may run twice; else let it fail."""
        if execution.over:
            return
        again = execution.spec.options.idempotent and execution.losses < RESENDS
        if not again or execution.asked or self._closed:
            execution.end(Outcome.of_error(lost(execution, why)))
            return
        execution.losses += 1
        execution.reporter.log(f"[{execution.sent_to} was lost ({why}); sent again]\n")
        self._send_again(execution, kind)

    def _send_again(self, execution: RemoteExecution, kind: Kind) -> None:
        self._executions.pop(execution.token, None)
        execution.lease = None
        execution.renew()
        if execution.asked:
            execution.end(Outcome.of_stop())
        else:
            self.place(execution, kind)

    @abstractmethod
    async def close(self) -> None:
        """Give everything back."""

    async def _drop_all(self) -> None:
        """Forget every lease, and wait a moment for what is under way."""
        for node in list(self._nodes.values()):
            self._lose_node(node, "the queue stopped")
        for lease in list(self._leases.values()):
            self._drop(lease)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in left:
                task.cancel()
