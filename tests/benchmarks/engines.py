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
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from jobqueue_widget import DaskExecutor, FuturesExecutor, JobQueue, JobStatus, RayExecutor

from . import work
from .cancel import is_there, pid_from
from .measure import OURS, Effort, Figures, Limit, Measure, Never, Probe, Row, Side, settle

PLACES = 2
WARM_UP = 50
BODIES = {"rate": work.ten_milliseconds, "no_op_rate": work.nothing}
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
    async def run(engine: Any, effort: Effort) -> Figures:
        figures = {}
        async with JobQueue(executor=executor(engine), max_running=PLACES) as queue:
            for figure, body in BODIES.items():
                queue.map(work.nothing, range(WARM_UP))
                await queue.join()
                begin = time.perf_counter()
                for _ in range(effort.size):
                    queue.submit_nowait(body)
                await queue.join()
                figures[figure] = effort.size / (time.perf_counter() - begin)
        return figures

    def measure(effort: Effort) -> Figures:
        with opened() as engine:
            return asyncio.run(run(engine, effort))

    return measure


def _rates(run: Callable[[Callable[..., None], int], object], effort: Effort) -> Figures:
    """Of an engine by itself."""
    figures = {}
    for figure, body in BODIES.items():
        run(work.nothing, WARM_UP)
        begin = time.perf_counter()
        run(body, effort.size)
        figures[figure] = effort.size / (time.perf_counter() - begin)
    return figures


def _dask_itself(effort: Effort) -> Figures:
    with dask() as client:
        return _rates(
            lambda body, size: client.gather(
                [client.submit(body, pure=False) for _ in range(size)]
            ),
            effort,
        )


def _futures_itself(opened: Open) -> Measure:
    def measure(effort: Effort) -> Figures:
        with opened() as executor:
            return _rates(
                lambda body, size: [
                    future.result() for future in [executor.submit(body) for _ in range(size)]
                ],
                effort,
            )

    return measure


def _ray_itself(effort: Effort) -> Figures:
    with ray() as module:
        remotes = {body: module.remote(max_retries=0)(body) for body in BODIES.values()}
        return _rates(
            lambda body, size: module.get([remotes[body].remote() for _ in range(size)]), effort
        )


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


def _probe(name: str, label: str, ours: Measure, itself: Measure) -> Probe:
    sides = {OURS: Side(ours), label: Side(itself)}
    return Probe(name, sides, size=1_000, quick_size=100, samples=3)


def _futures_probe(name: str, label: str, opened: Open) -> Probe:
    return _probe(name, label, _ours(opened, _in_lanes), _futures_itself(opened))


PROBES = (
    _futures_probe("on_pool", "ProcessPoolExecutor", process_pool),
    _futures_probe("on_loky", "loky", loky),
    _futures_probe("on_executorlib", "executorlib", executorlib),
    _futures_probe("on_ipyparallel", "ipyparallel", ipyparallel),
    _probe("on_dask", "Dask", _ours(dask, DaskExecutor), _dask_itself),
    _probe("on_ray", "Ray", _ours(ray, lambda _: RayExecutor()), _ray_itself),
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


def _rows(name: str, label: str, places: str, analysis: str) -> tuple[Row, Row]:
    """Held to the engine itself with jobs as short as make sense there; without jobs to do, not."""
    of_ten_milliseconds = Row(
        name,
        f"1,000 jobs of 10 ms of a queue on {label}, 2 {places}",
        name,
        "rate",
        "jobs/s",
        must=(Limit(0.9, label),),
        want=(Limit(0.97, label),),
        more_is_better=True,
        analysis=analysis,
    )
    of_nothing = replace(
        of_ten_milliseconds,
        name=f"{name}_no_ops",
        work=f"1,000 no-op jobs of a queue on {label}, 2 {places}",
        figure="no_op_rate",
        must=(),
        want=(),
    )
    return of_ten_milliseconds, of_nothing


ONE_CALL = "a call for each job and a file for its log, sent when a place is free, never ahead."
ROWS = (
    *_rows("on_pool", "ProcessPoolExecutor", "processes", ONE_CALL),
    *_rows("on_loky", "loky", "processes", ONE_CALL),
    *_rows("on_executorlib", "executorlib", "workers", ONE_CALL),
    *_rows("on_ipyparallel", "ipyparallel", "engines", ONE_CALL),
    *_rows(
        "on_dask",
        "Dask",
        "workers",
        "a place is asked for once; a job is one call to the worker and its answer.",
    ),
    *_rows(
        "on_ray",
        "Ray",
        "processors",
        "a place is an actor that is asked for once; a job is one call of it, which takes more of "
        "the processor than Ray's own tasks.",
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
