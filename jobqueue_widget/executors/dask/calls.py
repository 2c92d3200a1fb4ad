"""Calls to our agents in Dask workers: directly where that is possible, else through the scheduler.

Everything here runs on the loop of the user's Dask client.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from ..cluster.leases import Calls, Node

if TYPE_CHECKING:
    from distributed import Client


logger = logging.getLogger(__name__)

CALL_SECONDS = 30.0
CONNECT_SECONDS = 3.0
HELLO_SECONDS = 3.0
DIRECT_SECONDS = 2.0  # to find out whether a worker can be reached from here
LOOKS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # pauses between looks at a silent worker


class DaskCalls(Calls):
    """The calls of one open executor, over connections that end with it."""

    def __init__(self, client: Client, kernel: str) -> None:
        from distributed.core import ConnectionPool

        self._client: Any = client
        self._kernel = kernel
        self.connections = ConnectionPool(  # to be started and closed
            connection_args=self._client.connection_args, timeout=CONNECT_SECONDS
        )

    def abandon(self) -> None:
        """Close the connections without the client's loop, which has ended. Any thread."""
        for comms in (self.connections.available, self.connections.occupied):
            for comm in [comm for group in comms.values() for comm in group]:
                comm.abort()

    async def identity(self, workers: int = -1) -> dict[str, Any]:
        """Ask the scheduler about itself and so many workers (-1: all).

        Raises:
            OSError, TimeoutError: it cannot be reached.
        """
        scheduler = self.connections(self._client.scheduler.addr)
        answer: dict[str, Any] = await asyncio.wait_for(
            scheduler.identity(n_workers=workers), CALL_SECONDS
        )
        return answer

    async def call(self, node: Node, what: str, **details: Any) -> Any:
        """Ask the agent there for something.

        Raises:
            Exception: it is not there, cannot be reached, or failed.
        """
        if node.direct is None:
            node.direct = await self._reaches(node)
        if node.direct:
            return await self.connections(node.address).jobqueue(
                what=what, kernel=self._kernel, **details
            )
        message = {"op": "jobqueue", "what": what, "kernel": self._kernel, **details}
        scheduler = self.connections(self._client.scheduler.addr)
        return await scheduler.proxy(worker=node.address, msg=message)

    async def _reaches(self, node: Node) -> bool:
        if self._client.direct_to_workers is False:
            return False
        hello = self.connections(node.address).jobqueue(what="hello", kernel=self._kernel)
        try:
            answer = await asyncio.wait_for(hello, DIRECT_SECONDS)
        except Exception as error:
            logger.debug("%s cannot be reached directly: %r", node.words, error)
            return False
        return bool(answer["worker"] == node.worker)

    async def why_lost(self, node: Node, error: Exception) -> str:
        """Return why a worker is lost after a failed call; "" if only the connection is."""
        for pause in LOOKS:
            await asyncio.sleep(pause)
            if not node.leases:
                return "it was given up"
            try:
                known = (await self.identity())["workers"]
            except Exception:
                if self._client.status in ("closing", "closed"):
                    return "the Dask client was closed"
                return "the connection to the Dask scheduler was lost as well"
            if node.address not in known:
                return f"its process has ended ({type(error).__name__})"
            node.direct = None
            try:
                answer = await asyncio.wait_for(self.call(node, "hello"), HELLO_SECONDS)
            except Exception as again:
                logger.debug("%s is silent: %r", node.words, again)
                continue
            same = answer["worker"] == node.worker
            return "" if same else "another one has taken its address"
        return f"it does not answer ({type(error).__name__})"
