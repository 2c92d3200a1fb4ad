"""The peers: one adapter each, with one worker, giving what the probes need of them."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.reference import reference_manager


class Peer(ABC):
    """Calls functions in one worker process. Everything is imported when it is made."""

    @abstractmethod
    def submit(self, function: Callable[..., object], *args: object) -> Any:
        """Enqueue a call; what stands for it."""

    def results(self, handles: Sequence[Any]) -> None:
        """Wait for all."""
        for handle in handles:
            handle.result()

    def result(self, handle: Any, timeout: float | None = None) -> None:
        """Wait for one; any error if it is not there in time."""
        handle.result(timeout)

    def cancel(self, handle: Any) -> object:
        """Its way to stop a call that runs; its answer."""
        return handle.cancel()

    @abstractmethod
    def close(self) -> None:
        """End everything."""


class FuturesPeer(Peer):
    """Anything with the interface of `concurrent.futures`."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def submit(self, function: Callable[..., object], *args: object) -> Any:
        return self._executor.submit(function, *args)

    def close(self) -> None:
        self._executor.shutdown(wait=True)


def process_pool() -> Peer:
    """The standard library's, as it comes on this platform."""
    return FuturesPeer(futures.ProcessPoolExecutor(1, multiprocessing.get_context()))


def loky() -> Peer:
    """The pool of joblib."""
    from loky import ProcessPoolExecutor

    return FuturesPeer(ProcessPoolExecutor(1))


def executorlib() -> Peer:
    """One worker that stays, which is its quickest mode."""
    from executorlib import SingleNodeExecutor

    return FuturesPeer(SingleNodeExecutor(max_workers=1, block_allocation=True))


class IpyparallelPeer(Peer):
    """One engine of a local cluster."""

    def __init__(self) -> None:
        import ipyparallel

        self._cluster = ipyparallel.Cluster(n=1, log_level=logging.ERROR)
        self._client = self._cluster.start_and_connect_sync()
        self._view = self._client.load_balanced_view()

    def submit(self, function: Callable[..., object], *args: object) -> Any:
        return self._view.apply_async(function, *args)

    def results(self, handles: Sequence[Any]) -> None:
        self._client.wait(handles)

    def result(self, handle: Any, timeout: float | None = None) -> None:
        handle.get(timeout)

    def cancel(self, handle: Any) -> object:
        return handle.abort()

    def close(self) -> None:
        self._client.close()
        self._cluster.stop_cluster_sync()


class DaskPeer(Peer):
    """A local cluster with one worker process of one thread."""

    def __init__(self) -> None:
        import distributed

        self._cluster = distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None
        )
        self._client = distributed.Client(self._cluster)

    def submit(self, function: Callable[..., object], *args: object) -> Any:
        return self._client.submit(function, *args, pure=False)

    def results(self, handles: Sequence[Any]) -> None:
        self._client.gather(list(handles))

    def cancel(self, handle: Any) -> object:
        """`future.cancel()` never stops what runs; restarting everything does."""
        return self._client.restart()

    def close(self) -> None:
        self._client.close()
        self._cluster.close()


class RayPeer(Peer):
    """One local processor; nothing runs twice."""

    def __init__(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        self._ray = ray
        self._remote: dict[Callable[..., object], Any] = {}
        ray.init(num_cpus=1, include_dashboard=False, configure_logging=False, log_to_driver=False)

    def submit(self, function: Callable[..., object], *args: object) -> Any:
        remote = self._remote.get(function)
        if remote is None:
            remote = self._remote[function] = self._ray.remote(max_retries=0)(function)
        return remote.remote(*args)

    def results(self, handles: Sequence[Any]) -> None:
        self._ray.get(list(handles))

    def result(self, handle: Any, timeout: float | None = None) -> None:
        self._ray.get(handle, timeout=timeout)

    def cancel(self, handle: Any) -> object:
        return self._ray.cancel(handle, force=True)

    def close(self) -> None:
        self._ray.shutdown()


PROCESS_PEERS: dict[str, Callable[[], Peer]] = {
    "ProcessPoolExecutor": process_pool,
    "loky": loky,
    "executorlib": executorlib,
    "Ray": RayPeer,
    "ipyparallel": IpyparallelPeer,
    "Dask": DaskPeer,
}


@contextmanager
def opened(make: Callable[[], Peer]) -> Iterator[Peer]:
    """A peer, closed afterwards."""
    peer = make()
    try:
        yield peer
    finally:
        peer.close()


# -- the floors ------------------------------------------------------------------------------


class BarePipe:
    """A child that answers each line: what any system with a worker process pays at least."""

    ECHO = "import os\nwhile data := os.read(0, 64): os.write(1, data)"

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.ECHO],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._there, self._back = self._process.stdin.fileno(), self._process.stdout.fileno()

    def call(self) -> None:
        """There and back."""
        os.write(self._there, b"job")
        os.read(self._back, 64)

    def kill(self) -> None:
        """End it, and be sure."""
        self._process.kill()
        self._process.communicate()


async def bare_consumer(jobs: int, function: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Coroutine functions from an asyncio.Queue; a task each, so that it can be cancelled."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[Callable[[], Coroutine[Any, Any, object]], asyncio.Future[object]]]
    waiting = asyncio.Queue()

    async def consume() -> None:
        while True:
            job, result = await waiting.get()
            result.set_result(await loop.create_task(job()))

    consumer = asyncio.create_task(consume())
    results: list[asyncio.Future[object]] = []
    for _ in range(jobs):
        results.append(loop.create_future())
        waiting.put_nowait((function, results[-1]))
    for result in results:
        await result
    consumer.cancel()


# -- the reference system --------------------------------------------------------------------


class InProcessManager:
    """A plugin manager whose only plugin does nothing, in this process."""

    def get_plugin(self, name: str) -> object:
        """Any object will do: it has nothing to ask for."""
        return self

    async def execute_plugin_async(self, name: str, *args: object, **kwargs: object) -> None:
        """Do nothing."""

    def reload_plugin(self, name: str) -> bool:
        """There is nothing to reload."""
        return True


@contextmanager
def reference_queue(*, real_worker: bool) -> Iterator[Any]:
    """Its JobQueue: over nothing at all, or over its own manager and HTTP worker ("workload")."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if real_worker:
            with reference_manager(Path(folder)) as manager:
                yield _make_reference_queue(manager)
        else:
            yield _make_reference_queue(InProcessManager())


def _make_reference_queue(manager: object) -> Any:
    from cjm_plugin_system.core.queue import JobQueue

    logging.disable(logging.CRITICAL)  # its log is not what is measured
    return JobQueue(manager)
