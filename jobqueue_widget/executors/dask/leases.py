"""What one open DaskExecutor has in its cluster: leases, the workers they are on, jobs that wait.

Everything here runs on the loop of the user's Dask client.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...protocols import ExecutorContext
from ..cluster.leases import CLOSE_SECONDS, Kind, Lease, Leases, Node
from .calls import DaskCalls
from .link import Link
from .plugin import make_lease

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

ORPHAN_SECONDS = 15.0  # until a worker that lost its scheduler must have closed itself


class DaskLeases(Leases):
    """The leases of one open DaskExecutor."""

    waiting_words = "waiting for a Dask worker"

    def __init__(
        self,
        client: Client,
        context: ExecutorContext,
        idle_seconds: float,
        on_change: Callable[[], None],
    ) -> None:
        self._client: Any = client
        name = f"jobqueue-{context.run_id}-{uuid.uuid4().hex[:8]}"
        self._calls = DaskCalls(client, name)
        super().__init__(name, self._calls, context, idle_seconds)
        self._visited: dict[str, Node] = {}  # also those that we have no lease on any more
        self.link = Link(client, self._calls, on_change, self._enter, self._lose_the_scheduler)
        self._spawn(self.link.serve())

    @property
    def trouble(self) -> str:
        """Reason why no lease can be asked for: no connection, or no worker."""
        return self.link.trouble

    @property
    def capacity(self) -> int:
        """Number of threads of all workers."""
        return self.link.threads

    # -- the connection ----------------------------------------------------------------------

    def _enter(self) -> None:
        """Ask for what jobs wait for: the client is connected."""
        self._client.subscribe_topic(self.name, self._granted)
        self._say_what_they_wait_for(self.waiting_words)
        for kind in list(self._waiting):
            self._get_leases(kind)

    def _lose_the_scheduler(self, why: str) -> None:
        """Wait for workers without a scheduler to close themselves; give up those that do not."""
        self._say_what_they_wait_for(why)
        for lease in list(self._leases.values()):
            if lease.node is None:
                self._drop(lease)
        for node in list(self._nodes.values()):
            asyncio.get_running_loop().call_later(ORPHAN_SECONDS, self._lose_node, node, why)

    # -- leases ------------------------------------------------------------------------------

    def _submit(self, kind: Kind) -> None:
        from dask import annotate  # type: ignore[attr-defined, unused-ignore]

        resources, priority, tags = kind
        lease = Lease(f"{self.name}-{uuid.uuid4().hex}", kind)
        details = (lease.key, self.name, self.name, max(1, self.link.threads), self._settings)
        with annotate(tags=list(tags)) if tags else annotate():
            lease.handle = self._client.submit(
                make_lease(),
                *details,
                key=lease.key,
                pure=False,
                priority=priority,
                resources=dict(resources) or None,
                retries=0,
            )
        self._leases[lease.key] = lease
        self._spawn(self._follow(lease))

    async def _follow(self, lease: Lease) -> None:
        """Await the end of its task, which normally is because we gave it back."""
        state = lease.handle._state  # awaiting the future itself would fetch its result
        why = "its place was given back"
        try:
            await state.wait()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        if state.exception is not None:
            why = f"{type(state.exception).__name__}: {state.exception}"
        if self._leases.get(lease.key) is not lease:
            return
        if self._client.status != "running":
            return  # all are lost, which is told elsewhere
        node = lease.node
        self._drop(lease)
        execution, lease.execution = lease.execution, None
        if execution is not None and node is not None:
            # the worker ends what runs on a lease that it has lost
            self._move_on(execution, lease.kind, why)
        elif node is None:
            self._refused(lease.kind, why)

    def _cancel(self, lease: Lease) -> None:
        if not lease.handle.cancelled():  # also one that is over: Dask keeps it until it is told
            self._spawn(self._client.cancel([lease.handle]))

    def _granted(self, event: Any) -> None:
        """Note that a lease has begun on a worker."""
        _, told = event
        address, words = told["address"], f"{told['host']} (Dask worker {told['address']})"
        lease = self._leases.get(told["lease"])
        node = self._nodes.get(address)
        if node is None or node.worker != told["worker"]:
            node = Node(address, told["worker"], words)
        if lease is not None and lease.node is not None and lease.node is not node:
            self._lose_node(lease.node, "its process has ended, as the Dask scheduler says")
        if lease is None or lease.node is not None or self._closed:
            self._spawn(self._calls.quietly(node, "release", lease=told["lease"]))
            return  # it was cancelled on its way, or begun again after its worker was lost
        self._visited[address] = node
        self._granted_at(lease, node)

    def _why_taken(self) -> str:
        closed = self._client.status in ("closing", "closed")
        return "the Dask client was closed" if closed else super()._why_taken()

    def _on_lost(self, node: Node) -> None:
        self._visited.pop(node.address, None)
        self.link.look_again()

    # -- ending ------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Give up without the loop, which has ended. Any thread."""
        self._closed = True
        self._calls.abandon()

    async def close(self) -> None:
        """Give everything back."""
        self._closed = True
        self.link.close()
        visited = self._visited.values()
        leaving = [self._calls.quietly(node, "leave") for node in visited]
        if self._client.status == "running":
            try:
                await asyncio.wait_for(asyncio.gather(*leaving), CLOSE_SECONDS)
            except TimeoutError:
                logger.warning("not every Dask worker has let go of %s", self.name)
            if self.link.ready:
                self._client.unsubscribe_topic(self.name)
        else:
            for call in leaving:
                call.close()
        await self._drop_all()
        await self._calls.connections.close()
