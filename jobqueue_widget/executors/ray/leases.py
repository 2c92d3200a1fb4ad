"""What one open RayExecutor has in Ray: an actor per slot, on a loop of ours in a thread."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any

from ...protocols import ExecutorContext
from ..cluster.execution import RemoteExecution
from ..cluster.leases import CLOSE_SECONDS, Calls, Kind, Lease, Leases, Node
from .agent import RayAgent

logger = logging.getLogger(__name__)

TICK = 1.0  # seconds between looks at what the cluster has
CALL_SECONDS = 30.0
MIB = 1024 * 1024
WAS_SHUT_DOWN = "Ray was shut down"
SHUT_DOWN = "Ray is not connected; call ray.init(), and the queue goes on"


def needs_of(resources: dict[str, float]) -> dict[str, float]:
    """Return what a job needs, in the words of `ray.cluster_resources()`; one CPU by default."""
    words = {"num_cpus": "CPU", "cpu": "CPU", "num_gpus": "GPU", "gpu": "GPU"}
    needs = {"CPU": 1.0}
    for name, amount in resources.items():
        if name == "memory_mib":
            needs["memory"] = amount * MIB
        else:
            needs[words.get(name.lower(), name)] = amount
    return needs


def options_of(needs: dict[str, float]) -> dict[str, Any]:
    """Return the needs as options of an actor, which Ray never starts a second time."""
    others = {key: value for key, value in needs.items() if key not in ("CPU", "GPU", "memory")}
    options: dict[str, Any] = {"num_cpus": needs["CPU"], "max_restarts": 0, "max_task_retries": 0}
    if "GPU" in needs:
        options["num_gpus"] = needs["GPU"]
    if "memory" in needs:
        options["memory"] = int(needs["memory"])
    if others:
        options["resources"] = others
    return options


def is_connected() -> bool:
    """True while the user's Ray is connected."""
    import ray

    return bool(ray.is_initialized())


class RayCalls(Calls):
    """Calls to our actors."""

    patience = CLOSE_SECONDS

    async def call(self, node: Node, what: str, **details: Any) -> Any:
        """Await what the actor answers."""
        if not is_connected():
            raise ConnectionError(SHUT_DOWN)  # a call would start another Ray
        return await node.actor.handle.remote(what, **details)

    async def why_lost(self, node: Node, error: Exception) -> str:
        """Return why it is lost; Ray makes sure of it before it says that an actor has died."""
        if not node.leases:
            return "it was given up"
        if not is_connected():
            return WAS_SHUT_DOWN
        return f"its process has ended ({type(error).__name__})"


class RayLeases(Leases):
    """The leases of one open RayExecutor."""

    waiting_words = "waiting for a place in Ray"

    def __init__(
        self, context: ExecutorContext, idle_seconds: float, on_change: Callable[[], None]
    ) -> None:
        name = f"jobqueue-{context.run_id}-{uuid.uuid4().hex[:8]}"
        super().__init__(name, RayCalls(), context, idle_seconds)
        self._on_change = on_change
        self._trouble = "connecting to Ray"
        self._closing = asyncio.Event()
        self.total: dict[str, float] = {}
        self._spawn(self._look_on())

    @property
    def trouble(self) -> str:
        """Reason why no lease can be asked for: no connection, or no processor."""
        return self._trouble if is_connected() else SHUT_DOWN

    @property
    def capacity(self) -> int:
        """Number of processors of the cluster."""
        return int(self.total.get("CPU", 0))

    async def _look_on(self) -> None:
        import ray

        loop = asyncio.get_running_loop()
        while not self._closing.is_set():
            trouble, total = "", self.total
            if not is_connected():
                trouble = SHUT_DOWN
                for node in list(self._nodes.values()):
                    self._lose_node(node, "Ray was shut down")
            else:
                try:
                    total = await asyncio.wait_for(
                        loop.run_in_executor(None, ray.cluster_resources), CALL_SECONDS
                    )
                    trouble = "" if total.get("CPU") else "the Ray cluster has no processor"
                except Exception as error:
                    trouble = f"Ray does not answer: {type(error).__name__}: {error}"
            if (trouble, total) != (self._trouble, self.total):
                self._trouble, self.total = trouble, total
                if not trouble:
                    for kind in list(self._waiting):
                        self._get_leases(kind)
                self._on_change()
            try:
                await asyncio.wait_for(self._closing.wait(), TICK)
            except TimeoutError:
                continue

    def _submit(self, kind: Kind) -> None:
        import ray

        lease = Lease(f"{self.name}-{uuid.uuid4().hex[:8]}", kind)
        self._leases[lease.key] = lease
        try:
            if not is_connected():
                raise ConnectionError(SHUT_DOWN)
            made = ray.remote(RayAgent).options(**options_of(dict(kind)))
            actor = made.remote(self.name, self._settings)
        except Exception as error:
            del self._leases[lease.key]
            self._refused(kind, f"{type(error).__name__}: {error}")
            return
        lease.handle = actor
        self._spawn(self._await_grant(lease, Node(lease.key, lease.key, "", actor)))

    async def _await_grant(self, lease: Lease, node: Node) -> None:
        try:
            told = await node.actor.hello.remote()
        except Exception as error:
            if self._leases.get(lease.key) is lease:
                self._drop(lease)
                self._refused(lease.kind, _in_words(error))
            return
        if self._leases.get(lease.key) is lease and not self._closed:
            node.words = f"{told['host']} (Ray actor, process {told['pid']})"
            self._granted_at(lease, node)

    def _tell(self, execution: RemoteExecution, told: dict[str, Any]) -> None:
        if not is_connected():
            told = {**told, "taken": True}  # a job's process may end before its actor does
        super()._tell(execution, told)

    def _cancel(self, lease: Lease) -> None:
        import ray

        actor, lease.handle = lease.handle, None
        if actor is not None and is_connected():
            try:
                ray.kill(actor)
            except Exception as error:
                logger.debug("an actor of ours could not be ended: %r", error)

    def _why_taken(self) -> str:
        return super()._why_taken() if is_connected() else WAS_SHUT_DOWN

    async def close(self) -> None:
        """Give everything back."""
        self._closed = True
        self._closing.set()
        nodes = self._nodes.values()
        leaving = [self._channel.quietly(node, "release", lease="") for node in nodes]
        await asyncio.gather(*leaving)
        await self._drop_all()


def _in_words(error: Exception) -> str:
    text = str(error)
    if "No module named 'jobqueue_widget'" in text:
        return (
            "jobqueue_widget cannot be imported on the nodes of Ray: install it there, or "
            "ray.init(runtime_env={'pip': ['jobqueue_widget']})"
        )
    return f"{type(error).__name__}: {text[:500]}"
