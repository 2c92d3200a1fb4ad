"""The connection to one Dask cluster as a user's client has it: whether it is there, and how large.

Everything here runs on the loop of that client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .calls import DaskCalls
from .plugin import make_plugin

logger = logging.getLogger(__name__)

CLOSED = "the Dask client is closed; make another one, and a queue for it"
TICK = 1.0  # seconds between looks at what the cluster has


@dataclass(slots=True, eq=False)
class Link:
    """Looks once a second, which is the only tick, as long as its executor is open."""

    _client: Any
    _calls: DaskCalls
    _on_change: Callable[[], None]
    _on_ready: Callable[[], None]
    _on_lost: Callable[[str], None]
    _size: tuple[Any, ...] = ()
    _closing: asyncio.Event = field(default_factory=asyncio.Event)
    threads: int = 0
    resources: dict[str, dict[str, float]] = field(default_factory=dict)  # per worker
    trouble: str = "connecting to the Dask cluster"
    ready: bool = False

    def close(self) -> None:
        """Let `serve` return soon."""
        self._closing.set()

    def look_again(self) -> None:
        """Forget the size of the cluster, which has lost a worker."""
        self._size = ()

    async def serve(self) -> None:
        """Enter whenever the client is connected; notice when it is not any more."""
        await self._calls.connections.start()
        while not self._closing.is_set():
            try:
                why = await self._stay()
            except Exception as error:
                why = f"the Dask scheduler does not answer: {type(error).__name__}: {error}"
                logger.debug("%s", why, exc_info=True)
            if self._closing.is_set():
                return
            self._set_trouble(why)
            self.ready = False
            self._on_lost(why)
            await self._pause(TICK)

    async def _stay(self) -> str:
        """Serve one connection until it is lost."""
        while self._client.status != "running":
            if self._client.status in ("closed", "closing"):
                self._set_trouble(CLOSED)
            if await self._pause(TICK / 5):
                return ""
        await self._client.register_plugin(make_plugin())
        connection = self._client.scheduler_comm
        self._size = ()
        await self._look()
        if self._closing.is_set():
            return ""
        self.ready = True
        self._on_ready()
        while self._client.status == "running" and self._client.scheduler_comm is connection:
            if await self._pause(TICK):
                return ""
            await self._look()
        return "the connection to the Dask scheduler was lost"

    async def _pause(self, seconds: float) -> bool:
        """Wait; True as soon as all is to end."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _look(self) -> None:
        """Look how many threads there are; ask for more only when that has changed."""
        small = await self._calls.identity(0)
        size = (small["id"], small["n_workers"], small.get("total_threads"))
        if size == self._size and size[2] is not None:
            return
        whole = await self._calls.identity()
        self._size = size
        workers: Mapping[str, Any] = whole["workers"]
        self.threads = sum(worker["nthreads"] for worker in workers.values())
        self.resources = {
            address: dict(worker.get("resources") or {}) for address, worker in workers.items()
        }
        self._set_trouble("" if self.threads else "the Dask cluster has no workers")
        self._on_change()

    def _set_trouble(self, text: str) -> None:
        if self.trouble != text:
            self.trouble = text
            self._on_change()
