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

    async def handle(self, what: str, **details: Any) -> Any:
        """Answer a call of the kernel, as `executors/dask/agent.py` does in a Dask worker."""
        agent = self._agent
        assert agent is not None, "hello comes first"
        if what == "begin":
            return await agent.run(details["token"], details["job"])
        if what == "updates":
            return await agent.updates(details["seen"], POLL_SECONDS)
        if what == "release":  # the actor is ended next
            return await asyncio.get_running_loop().run_in_executor(None, agent.close)
        return getattr(agent, what)(**details)  # put, ask, kill, read, drop
