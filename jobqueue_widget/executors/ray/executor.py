"""Runs plain functions on a Ray cluster that its user has connected to."""

from __future__ import annotations

import asyncio
import os
import warnings

from ..._core.jobs import BlockReason
from ..._core.spec import JobSpec
from ..._threads.private_loop import PrivateLoop
from ...errors import InvalidOptionError, MissingExtraError
from ...protocols import ExecutorContext
from ..cluster.execution import RemoteExecution, resources_of
from ..cluster.executor import AttachedExecutor
from ..cluster.leases import Kind
from .leases import RayLeases, needs_of

LOCAL = ("127.", "localhost", "[::1]")


class RayWithoutAuthWarning(UserWarning):
    """Whoever reaches this Ray cluster can run code on it."""


class RayExecutor(AttachedExecutor[RayLeases]):
    """Jobs on the Ray that you have connected to, each in a process of its own that can be ended.

    Call `ray.init(…)` yourself; nothing is started, connected or shut down here. There are as many
    lanes as the cluster has processors, also when that changes, unless the queue's `max_running`
    says less. Each slot is an actor that asks Ray for one processor, or for what the job says in
    `resources=` (`num_cpus`, `num_gpus`, `memory` in bytes or `memory_mib`, and names of your own).

    Ray never runs a job again: one whose slot is lost has failed, or is sent again if it was
    declared `idempotent`. Ray has no priorities; those of the queue hold until a job is sent.

    Args:
        idle_seconds: how long a granted slot is kept for the next job of the same kind.

    Raises:
        MissingExtraError: `ray` is not installed.
        InvalidOptionError: Ray is not connected, or a time is out of range.

    Example:
        ```python
        ray.init("auto")
        queue = JobQueue(executor=RayExecutor())
        ```
    """

    name = "ray"

    def __init__(self, *, idle_seconds: float = 2.0) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError(
                "RayExecutor needs ray: pip install 'jobqueue_widget[ray]'"
            ) from error
        if not ray.is_initialized():
            raise InvalidOptionError(
                "Ray is not connected: call ray.init() or ray.init('auto') before RayExecutor()"
            )
        super().__init__(idle_seconds)
        _warn_without_authentication(str(ray.get_runtime_context().gcs_address))
        self._private: PrivateLoop | None = None

    def _kind(self, execution: RemoteExecution) -> Kind:
        return tuple(sorted(needs_of(resources_of(execution.spec)).items()))

    def open(self, context: ExecutorContext) -> None:
        """Begin to look at the cluster.

        Raises:
            RuntimeError: another queue has this executor.
        """
        self._check_free()
        self._context = context
        self._private = PrivateLoop(f"jobqueue-{context.queue_name}-ray")
        self._loop = self._private.loop
        self._on_loop(self._enter, context)

    def _enter(self, context: ExecutorContext) -> None:
        if self._context is context:
            self._leases = RayLeases(context, self._idle_seconds, self._listeners.tell)
            self._place_all()

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """Return why it must wait: no connection, or not enough of what it needs."""
        leases = self._leases
        if leases is None:
            return BlockReason("connecting to Ray")
        if leases.trouble:
            return BlockReason(leases.trouble)
        if not resources_of(spec):
            return self._all_are_taken(leases.capacity, "processor", "the Ray cluster")
        with self._lock.held:
            at_work = [needs_of(resources_of(one.spec)) for one in self._at_work]
        for name, amount in needs_of(resources_of(spec)).items():
            total = leases.total.get(name, 0.0)
            free = total - sum(one.get(name, 0.0) for one in at_work)
            if total < amount:
                text = f"the Ray cluster has {name}={total:g}, needs {amount:g}"
                need, have = {name: amount}, {name: total}
                return BlockReason(text, need=need, have=have, may_be_passed=True)
            if reason := self._too_little(name, amount, free, total):
                return reason
        return None

    async def close(self) -> None:
        """Give back every slot, end what runs on them; Ray stays as it is."""
        private, leases = self._private, self._leases
        self._private = self._leases = self._context = None
        if private is None:
            return
        if leases is not None:
            closing = asyncio.run_coroutine_threadsafe(leases.close(), private.loop)
            await asyncio.wrap_future(closing)
        private.close()
        private.join()

    def kill_all_now(self) -> bool:
        """Tell the actors without the queue's loop."""
        private, leases = self._private, self._leases
        self._private = self._leases = self._context = None
        if private is None or leases is None:
            return True
        if not self._close_now(leases, private.loop):
            return False
        private.close()
        return True

    def after_fork(self) -> None:
        """Forget the connection in a forked child: it is the parent's."""
        super().after_fork()
        self._private = None


def _has_authentication() -> bool:
    """True if this Ray asks for a token; newer ones do by default, and tell."""
    try:
        from ray._private.authentication.authentication_utils import is_token_auth_enabled
    except ImportError:
        return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"
    return bool(is_token_auth_enabled())


def _warn_without_authentication(address: str) -> None:
    if address.startswith(LOCAL) or _has_authentication():
        return
    warnings.warn(
        f"the Ray cluster at {address} has no authentication: whoever reaches its ports can run "
        "code on it; set RAY_AUTH_MODE=token on all nodes",
        RayWithoutAuthWarning,
        stacklevel=3,
    )
