"""How long one job takes on a queue that has nothing else to do, and the first one of all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from statistics import median

from jobqueue_widget import JobQueue

from . import work
from .measure import OURS, Effort, Figures, Limit, Measure, Probe, Row, Side, settle
from .peers import PROCESS_PEERS, BarePipe, Peer, opened, reference_queue
from .throughput import warm


def _ours(effort: Effort) -> Figures:
    async def run() -> Figures:
        async with JobQueue() as queue:
            await warm(queue)
            seconds = []
            for _ in range(effort.size):
                begin = time.perf_counter()
                await queue.submit_nowait(work.nothing)
                seconds.append(time.perf_counter() - begin)
            return {"ms": median(seconds) * 1e3}

    return asyncio.run(run())


def _peer(make: Callable[[], Peer]) -> Measure:
    def measure(effort: Effort) -> Figures:
        with opened(make) as peer:
            peer.result(peer.submit(work.nothing))
            settle()
            seconds = []
            for _ in range(effort.size):
                begin = time.perf_counter()
                peer.result(peer.submit(work.nothing))
                seconds.append(time.perf_counter() - begin)
            return {"ms": median(seconds) * 1e3}

    return measure


def _pipe(effort: Effort) -> Figures:
    pipe = BarePipe()
    try:
        seconds = []
        for _ in range(effort.size):
            begin = time.perf_counter()
            pipe.call()
            seconds.append(time.perf_counter() - begin)
        return {"ms": median(seconds) * 1e3}
    finally:
        pipe.kill()


def _reference(effort: Effort) -> Figures:
    async def run() -> Figures:
        with reference_queue(real_worker=True) as queue:
            await queue.start()
            seconds = []
            for _ in range(effort.size):
                begin = time.perf_counter()
                await queue.wait_for_job(await queue.submit("workload", "value"))
                seconds.append(time.perf_counter() - begin)
            await queue.stop()
            return {"ms": median(seconds) * 1e3}

    return asyncio.run(run())


def _first(effort: Effort) -> Figures:
    async def run() -> Figures:
        begin = time.perf_counter()
        async with JobQueue() as queue:
            await queue.submit_nowait(work.nothing)
            return {"ms": (time.perf_counter() - begin) * 1e3}

    return asyncio.run(run())


def _first_of_pipe(effort: Effort) -> Figures:
    begin = time.perf_counter()
    pipe = BarePipe()
    try:
        pipe.call()
        return {"ms": (time.perf_counter() - begin) * 1e3}
    finally:
        pipe.kill()


def _first_of_peer(make: Callable[[], Peer]) -> Measure:
    def measure(effort: Effort) -> Figures:
        begin = time.perf_counter()
        with opened(make) as peer:
            peer.result(peer.submit(work.nothing))
            return {"ms": (time.perf_counter() - begin) * 1e3}

    return measure


def _first_of_reference(effort: Effort) -> Figures:
    async def run() -> Figures:
        begin = time.perf_counter()
        with reference_queue(real_worker=True) as queue:
            await queue.start()
            await queue.wait_for_job(await queue.submit("workload", "value"))
            seconds = time.perf_counter() - begin
            await queue.stop()
            return {"ms": seconds * 1e3}

    return asyncio.run(run())


PROBES = (
    Probe(
        "idle",
        {
            OURS: Side(_ours),
            "raw pipe": Side(_pipe, is_floor=True),
            **{name: Side(_peer(make)) for name, make in PROCESS_PEERS.items()},
            "reference": Side(_reference, size=10, samples=2),
        },
        size=200,
        quick_size=50,
    ),
    Probe(
        "first",
        {
            OURS: Side(_first),
            "bare child": Side(_first_of_pipe, is_floor=True),
            **{name: Side(_first_of_peer(make)) for name, make in PROCESS_PEERS.items()},
            "reference": Side(_first_of_reference, samples=3),
        },
    ),
)

ROWS = (
    Row(
        "idle",
        "one function job on an idle queue, submit → result",
        "idle",
        "ms",
        "ms",
        must=(Limit(0.6),),
        want=(Limit(0.35),),
        analysis=(
            "three threads take part: the loop's, the one that reads the worker's pipe and the "
            "worker's own; each hand-over wakes a sleeping thread, which is most of the time."
        ),
    ),
    Row(
        "first",
        "worker cold start → first result",
        "first",
        "ms",
        "ms",
        must=(Limit(150),),
        want=(Limit(90),),
        analysis=(
            "starting an interpreter takes 10 to 20 ms, the worker's imports (pickle, json, "
            "threading, ctypes) 25, and those of this process (cloudpickle, psutil) as much again."
        ),
    ),
)
