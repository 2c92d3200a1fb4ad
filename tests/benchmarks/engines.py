"""Engines beyond one machine: what a queue over one costs beside the engine by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from jobqueue_widget import DaskExecutor, FuturesExecutor, JobQueue, JobStatus, RayExecutor

from . import work
from .cancel import is_there, pid_from
from .measure import OURS, Effort, Figures, Limit, Measure, Never, Probe, Row, Side, settle

PLACES = 2
WARM_UP = 50
PATIENCE = 5.0


@contextlib.contextmanager
def dask() -> Iterator[Any]:
    """A local cluster with two workers of one thread; its client."""
    import distributed

    cluster: Any = distributed.LocalCluster(
        n_workers=PLACES, threads_per_worker=1, dashboard_address=None
    )
    client: Any = distributed.Client(cluster)
    try:
        yield client
    finally:
        client.close()
        cluster.close()


@contextlib.contextmanager
def ray() -> Iterator[Any]:
    """A local Ray with two processors; the module."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray as module

    module.init(
        num_cpus=PLACES, include_dashboard=False, configure_logging=False, log_to_driver=False
    )
    try:
        yield module
    finally:
        module.shutdown()


@contextlib.contextmanager
def process_pool() -> Iterator[Any]:
    """The standard library's, with two processes."""
    with ProcessPoolExecutor(PLACES) as pool:
        yield pool


@contextlib.contextmanager
def loky() -> Iterator[Any]:
    """The pool of joblib, with two processes."""
    from loky import ProcessPoolExecutor as LokyPool

    with LokyPool(PLACES) as pool:
        yield pool


@contextlib.contextmanager
def ipyparallel() -> Iterator[Any]:
    """The executor of a view on a local cluster of two engines."""
    import ipyparallel as module

    cluster: Any = module.Cluster(n=PLACES, log_level=logging.ERROR)
    client = cluster.start_and_connect_sync()
    try:
        yield client.load_balanced_view().executor
    finally:
        client.close()
        cluster.stop_cluster_sync()


@contextlib.contextmanager
def executorlib() -> Iterator[Any]:
    """Two workers that stay, which is its quickest mode."""
    from executorlib import SingleNodeExecutor

    with SingleNodeExecutor(max_workers=PLACES, block_allocation=True) as executor:
        yield executor


Open = Callable[[], contextlib.AbstractContextManager[Any]]


def _ours(opened: Open, executor: Callable[[Any], Any]) -> Measure:
    async def run(engine: Any, effort: Effort) -> float:
        async with JobQueue(executor=executor(engine), max_running=PLACES) as queue:
            queue.map(work.nothing, range(WARM_UP))
            await queue.join()
            begin = time.perf_counter()
            for _ in range(effort.size):
                queue.submit_nowait(work.nothing)
            await queue.join()
            return effort.size / (time.perf_counter() - begin)

    def measure(effort: Effort) -> Figures:
        with opened() as engine:
            return {"rate": asyncio.run(run(engine, effort))}

    return measure


def _dask_itself(effort: Effort) -> Figures:
    with dask() as client:
        for size in (WARM_UP, effort.size):
            begin = time.perf_counter()
            client.gather([client.submit(work.nothing, pure=False) for _ in range(size)])
            seconds = time.perf_counter() - begin
        return {"rate": effort.size / seconds}


def _futures_itself(opened: Open) -> Measure:
    def measure(effort: Effort) -> Figures:
        with opened() as executor:
            for size in (WARM_UP, effort.size):
                begin = time.perf_counter()
                for future in [executor.submit(work.nothing) for _ in range(size)]:
                    future.result()
                seconds = time.perf_counter() - begin
            return {"rate": effort.size / seconds}

    return measure


def _ray_itself(effort: Effort) -> Figures:
    with ray() as module:
        remote: Any = module.remote(max_retries=0)(work.nothing)
        for size in (WARM_UP, effort.size):
            begin = time.perf_counter()
            module.get([remote.remote() for _ in range(size)])
            seconds = time.perf_counter() - begin
        return {"rate": effort.size / seconds}


def _cancel_ours(effort: Effort) -> Figures:
    async def run(client: Any, folder: Path) -> float:
        seconds = []
        async with JobQueue(executor=DaskExecutor(client), max_running=1) as queue:
            for number in range(effort.size):
                path = folder / str(number)
                job = queue.submit_nowait(work.hang_in_c, str(path))
                pid = await asyncio.to_thread(pid_from, path)
                await asyncio.to_thread(settle)
                begin = time.perf_counter()
                job.cancel(force=True)
                await queue.submit_nowait(work.nothing)
                while is_there(pid):
                    await asyncio.sleep(0)
                seconds.append(time.perf_counter() - begin)
                assert job.status is JobStatus.cancelled
        return median(seconds) * 1e3

    with dask() as client, tempfile.TemporaryDirectory() as folder:
        return {"ms": asyncio.run(run(client, Path(folder)))}


def _cancel_dask(restart: bool) -> Measure:
    """Its `cancel`, or what else it has: ending the worker with all that it does."""

    def measure(effort: Effort) -> Figures:
        with dask() as client:
            path = Path(tempfile.mkdtemp(), "pid")
            future = client.submit(work.hang_in_c, str(path))
            pid = pid_from(path)
            begin = time.perf_counter()
            client.restart() if restart else future.cancel()
            while is_there(pid):
                if time.perf_counter() - begin > PATIENCE and not restart:
                    raise Never(f"{PATIENCE:g} s after cancel() the task still runs")
                time.sleep(0.002)
            client.submit(work.nothing, pure=False).result()
            return {"ms": (time.perf_counter() - begin) * 1e3}

    return measure


def _in_lanes(engine: Any) -> FuturesExecutor:
    return FuturesExecutor(engine, capacity=PLACES)


def _futures_probe(name: str, label: str, opened: Open) -> Probe:
    return Probe(
        name,
        {OURS: Side(_ours(opened, _in_lanes)), label: Side(_futures_itself(opened))},
        size=1_000,
        quick_size=300,
    )


PROBES = (
    _futures_probe("on_pool", "ProcessPoolExecutor", process_pool),
    _futures_probe("on_loky", "loky", loky),
    _futures_probe("on_executorlib", "executorlib", executorlib),
    _futures_probe("on_ipyparallel", "ipyparallel", ipyparallel),
    Probe(
        "on_dask",
        {OURS: Side(_ours(dask, DaskExecutor)), "Dask": Side(_dask_itself)},
        size=1_000,
        quick_size=300,
    ),
    Probe(
        "on_ray",
        {
            OURS: Side(_ours(ray, lambda _: RayExecutor())),
            "Ray": Side(_ray_itself),
        },
        size=1_000,
        quick_size=300,
    ),
    Probe(
        "cancel_on_dask",
        {
            OURS: Side(_cancel_ours),
            "Dask cancel": Side(_cancel_dask(False), size=1, samples=1),
            "Dask restart": Side(_cancel_dask(True), size=1, samples=3),
        },
        size=5,
        quick_size=2,
    ),
)


def _futures_row(name: str, label: str, places: str, analysis: str) -> Row:
    return Row(
        name,
        f"1,000 no-op jobs of a queue on {label}, 2 {places}",
        name,
        "rate",
        "jobs/s",
        must=(Limit(0.8, label),),
        want=(Limit(1, label),),
        more_is_better=True,
        analysis=analysis,
    )


LENT = "a process that is lent takes one job after the other through a pipe."
ONE_CALL = "a call and its files for each job, one at a time: the queue keeps the order."
ROWS = (
    _futures_row("on_pool", "ProcessPoolExecutor", "processes", LENT),
    _futures_row("on_loky", "loky", "processes", LENT),
    _futures_row("on_executorlib", "executorlib", "workers", ONE_CALL),
    _futures_row("on_ipyparallel", "ipyparallel", "engines", ONE_CALL),
    Row(
        "on_dask",
        "1,000 no-op jobs of a queue on Dask, 2 workers",
        "on_dask",
        "rate",
        "jobs/s",
        must=(Limit(0.8, "Dask"),),
        want=(Limit(1, "Dask"),),
        more_is_better=True,
        analysis="a place is asked for once; a job is one call to the worker and its answer.",
    ),
    Row(
        "on_ray",
        "1,000 no-op jobs of a queue on Ray, 2 processors",
        "on_ray",
        "rate",
        "jobs/s",
        must=(Limit(0.8, "Ray"),),
        want=(Limit(1, "Ray"),),
        more_is_better=True,
        analysis=(
            "a place is an actor that is asked for once; a job is one call of it, which takes more "
            "of the processor than Ray's own tasks."
        ),
    ),
    Row(
        "cancel_on_dask",
        "cancel a C loop on Dask by force: process gone and next job's result there",
        "cancel_on_dask",
        "ms",
        "ms",
        must=(Limit(500),),
        want=(Limit(100),),
        analysis="the ask goes to the worker by one call; the warm spare there takes over.",
    ),
)
