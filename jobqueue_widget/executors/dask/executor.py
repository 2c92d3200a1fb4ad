"""Runs plain functions on a Dask cluster that its user already has."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..._core.jobs import BlockReason
from ..._core.spec import JobSpec
from ...errors import InvalidOptionError, MissingExtraError
from ...protocols import ExecutorContext
from ..cluster.execution import RemoteExecution, resources_of
from ..cluster.executor import AttachedExecutor
from ..cluster.leases import Kind
from .leases import DaskLeases
from .link import CLOSED

if TYPE_CHECKING:
    from distributed import Client

WATCH_SECONDS = 1.0


class DaskExecutor(AttachedExecutor[DaskLeases]):
    """Jobs on the workers of a Dask cluster, each in a process of its own that can be ended.

    Takes your `distributed.Client`, however it was made: over a LocalCluster, a scheduler's
    address, dask-jobqueue, Kubernetes or a Gateway, synchronous or asynchronous. It starts no
    cluster, opens no port and closes nothing of yours. There are as many lanes as the cluster has
    threads, also when that changes, unless the queue's `max_running` says less.

    A job is sent when Dask has granted it a slot. Its `priority`, `resources` and `tags` go to
    Dask with the request. Dask never runs it again by itself: when its worker is lost it has
    failed, or is sent again if it was declared `idempotent`.

    Args:
        client: a connected `distributed.Client`.
        idle_seconds: how long a granted slot is kept for the next job of the same kind.

    Raises:
        MissingExtraError: `distributed` is not installed.
        InvalidOptionError: it is no Dask client, or a time is out of range.

    Example:
        ```python
        client = distributed.Client("tcp://scheduler:8786")
        queue = JobQueue(executor=DaskExecutor(client))
        ```
    """

    name = "dask"

    def __init__(self, client: Client, *, idle_seconds: float = 0.5) -> None:
        try:
            import distributed
        except ImportError as error:
            raise MissingExtraError(
                "DaskExecutor needs distributed: pip install 'jobqueue_widget[dask]'"
            ) from error
        if not isinstance(client, distributed.Client):
            raise InvalidOptionError(
                f"client must be a distributed.Client, not {type(client).__name__}; "
                "for instance distributed.Client(cluster)"
            )
        self._client: Any = client
        super().__init__(idle_seconds)

    # -- protocols.Executor ------------------------------------------------------------------

    def _kind(self, execution: RemoteExecution) -> Kind:
        resources = tuple(sorted(resources_of(execution.spec).items()))
        return resources, execution.reporter.priority, execution.spec.options.tags

    def open(self, context: ExecutorContext) -> None:
        """Begin to look at the cluster.

        Raises:
            RuntimeError: another queue has this executor, or the client has no loop yet.
        """
        self._check_free()
        loop = getattr(self._client.loop, "asyncio_loop", None)
        if loop is None or loop.is_closed():
            raise RuntimeError("the loop of the Dask client is closed; make another client")
        self._context, self._loop = context, loop
        self._on_loop(self._enter, context)
        context.io.call_later(WATCH_SECONDS, self._watch, context)

    def _watch(self, context: ExecutorContext) -> None:
        """Look whether the client was closed, which takes its loop along. I/O thread."""
        loop, leases = self._loop, self._leases
        if self._context is not context:
            return
        if loop is not None and loop.is_running():
            context.io.call_later(WATCH_SECONDS, self._watch, context)
            return
        if leases is not None:
            leases.abandon()
        self._lose_all("the Dask client was closed")
        self._listeners.tell()

    def _enter(self, context: ExecutorContext) -> None:
        if self._context is context and self._leases is None:
            tell = self._listeners.tell
            self._leases = DaskLeases(self._client, context, self._idle_seconds, tell)
            self._place_all()

    def blocked_by(self, spec: JobSpec) -> BlockReason | None:
        """Return why it must wait: no connection, no worker, or none that has what it needs."""
        leases = self._leases
        if leases is None:
            return BlockReason("connecting to the Dask cluster")
        if self._loop is None or not self._loop.is_running():
            return BlockReason(CLOSED)
        if leases.link.trouble:
            return BlockReason(leases.link.trouble)
        taken = self._all_are_taken(leases.link.threads, "thread", "the Dask cluster")
        if taken is not None:
            return taken
        needs = resources_of(spec)
        if not needs:
            return None
        with self._lock.held:
            at_work = list(self._at_work)
        for name, amount in needs.items():
            offered = [worker.get(name, 0.0) for worker in leases.link.resources.values()]
            if max(offered, default=0.0) < amount:
                known = sorted(
                    {name for worker in leases.link.resources.values() for name in worker}
                )
                return BlockReason(
                    f"no Dask worker offers {name}={amount:g}; offered are: "
                    f"{', '.join(known) or 'no resources'}",
                    need={name: amount},
                    have={name: max(offered, default=0.0)},
                    may_be_passed=True,
                )
            free = sum(offered) - sum(resources_of(one.spec).get(name, 0.0) for one in at_work)
            if reason := self._too_little(name, amount, free, sum(offered)):
                return reason
        return None

    async def close(self) -> None:
        """Give back every slot, end what runs on them; the client stays as it is."""
        leases, self._leases = self._leases, None
        loop, self._context = self._loop, None
        if leases is None or loop is None or loop.is_closed():
            return
        if loop is asyncio.get_running_loop():
            await leases.close()
        elif not loop.is_running():
            leases.abandon()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(leases.close(), loop))

    def kill_all_now(self) -> bool:
        """Tell the workers without the queue's loop, if the client has a loop of its own."""
        leases, self._leases = self._leases, None
        loop, self._context = self._loop, None
        if leases is None or loop is None:
            return True
        if loop.is_closed() or not loop.is_running():
            return False
        return self._close_now(leases, loop)
