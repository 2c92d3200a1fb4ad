"""The agent in Ray: an asynchronous actor with an agent, for one job after the other."""

from __future__ import annotations

import asyncio
import os
import platform
from typing import Any

from ..cluster.agent import Agent

POLL_SECONDS = 10.0


def _scratch() -> str | None:
    """Return the folder of this Ray session; Ray has no public name for it."""
    try:
        from ray._private import worker

        node: Any = worker.global_worker.node
        return str(node.get_session_dir_path())
    except (ImportError, AttributeError):
        return None


class RayAgent:
    """Actor of Ray's with our agent. It dies with the driver that made it, and its workers too."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self._name = name
        self._settings = settings
        self._agent: Agent | None = None

    async def hello(self) -> dict[str, Any]:
        """Start the agent and tell where it is."""
        settings = {**self._settings, "scratch": _scratch()}
        self._agent = Agent(self._name, 1, settings)
        return {"host": platform.node(), "pid": os.getpid()}

    @property
    def _here(self) -> Agent:
        assert self._agent is not None, "hello comes first"
        return self._agent

    async def put(self, token: str, offset: int, data: bytes) -> None:
        """Keep a piece of large arguments."""
        self._here.put(token, offset, data)

    async def begin(
        self, lease: str, token: str, job: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Start one attempt of one job."""
        return await self._here.run(token, job)

    async def updates(self, seen: int) -> tuple[int, dict[str, Any]]:
        """Return what is new; waits for it."""
        return await self._here.updates(seen, POLL_SECONDS)

    async def ask(self, token: str) -> None:
        """Ask that attempt to stop."""
        self._here.ask(token)

    async def kill(self, token: str) -> None:
        """Force that attempt to end."""
        self._here.kill(token)

    async def read(self, token: str, offset: int, size: int) -> bytes:
        """Return a piece of a large result."""
        return self._here.read(token, offset, size)

    async def drop(self, token: str) -> None:
        """Delete a result that has been fetched."""
        self._here.drop(token)

    async def release(self, lease: str) -> None:
        """End its workers; the actor is ended next."""
        agent = self._agent
        if agent is not None:
            await asyncio.get_running_loop().run_in_executor(None, agent.close)
