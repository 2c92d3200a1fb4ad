"""Jobs a second: coroutines on the loop, functions in one worker process, and short sleeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from jobqueue_widget import JobQueue

from . import work
from .measure import OURS, Effort, Figures, Limit, Measure, Probe, Row, Side, settle
from .peers import PROCESS_PEERS, BarePipe, Peer, bare_consumer, opened, reference_queue

WARM_UP = 20


async def warm(queue: JobQueue) -> None:
    """The worker runs, its spare too, and both are quiet."""
    queue.map(work.nothing, range(WARM_UP))
    await queue.join()
    settle()


def _ours(target: Callable[..., object]) -> Measure:
    async def run(effort: Effort) -> Figures:
        async with JobQueue() as queue:
            if target is work.nothing_async:
                queue.map(target, range(WARM_UP))
                await queue.join()
            else:
                await warm(queue)
            begin = time.perf_counter()
            for _ in range(effort.size):
                queue.submit_nowait(target)
            await queue.join()
            return {"rate": effort.size / (time.perf_counter() - begin)}

    return lambda effort: asyncio.run(run(effort))


def _peer(make: Callable[[], Peer], target: Callable[..., object]) -> Measure:
    def measure(effort: Effort) -> Figures:
        with opened(make) as peer:
            peer.results([peer.submit(work.nothing) for _ in range(WARM_UP)])
            settle()
            begin = time.perf_counter()
            peer.results([peer.submit(target) for _ in range(effort.size)])
            return {"rate": effort.size / (time.perf_counter() - begin)}

    return measure


def _bare(effort: Effort) -> Figures:
    async def run() -> float:
        await bare_consumer(WARM_UP, work.nothing_async)
        begin = time.perf_counter()
        await bare_consumer(effort.size, work.nothing_async)
        return time.perf_counter() - begin

    return {"rate": effort.size / asyncio.run(run())}


def _aiojobs(effort: Effort) -> Figures:
    from aiojobs import Scheduler

    async def run() -> float:
        scheduler = Scheduler(limit=1, pending_limit=0)
        for size in (WARM_UP, effort.size):
            begin = time.perf_counter()
            jobs = [await scheduler.spawn(work.nothing_async()) for _ in range(size)]
            for job in jobs:
                await job.wait()
            seconds = time.perf_counter() - begin
        await scheduler.close()
        return seconds

    return {"rate": effort.size / asyncio.run(run())}


def _pipe(effort: Effort) -> Figures:
    pipe = BarePipe()
    try:
        pipe.call()
        begin = time.perf_counter()
        for _ in range(effort.size):
            pipe.call()
        return {"rate": effort.size / (time.perf_counter() - begin)}
    finally:
        pipe.kill()


def _sleep(effort: Effort) -> Figures:
    begin = time.perf_counter()
    for _ in range(effort.size):
        work.ten_milliseconds()
    return {"rate": effort.size / (time.perf_counter() - begin)}


def reference(*what: object, real_worker: bool) -> Measure:
    """Its own queue, which looks for the end of a job ten times a second."""

    async def run(effort: Effort) -> Figures:
        with reference_queue(real_worker=real_worker) as queue:
            await queue.start()
            begin = time.perf_counter()
            ids = [await queue.submit("workload", *what) for _ in range(effort.size)]
            for job_id in ids:
                await queue.wait_for_job(job_id)
            rate = effort.size / (time.perf_counter() - begin)
            await queue.stop()
            return {"rate": rate}

    return lambda effort: asyncio.run(run(effort))


def _slow(measure: Measure, size: int = 30) -> Side:
    return Side(measure, size=size, samples=2)


SLEEPERS = ("ProcessPoolExecutor", "loky", "Ray", "Dask")

PROBES = (
    Probe(
        "coroutines",
        {
            OURS: Side(_ours(work.nothing_async)),
            "asyncio consumer": Side(_bare, is_floor=True),
            "aiojobs": Side(_aiojobs),
            "reference": _slow(reference(real_worker=False)),
        },
        size=1_000,
        quick_size=1_000,
        samples=9,
    ),
    Probe(
        "functions",
        {
            OURS: Side(_ours(work.nothing)),
            "raw pipe": Side(_pipe, is_floor=True),
            **{name: Side(_peer(make, work.nothing)) for name, make in PROCESS_PEERS.items()},
            "reference": _slow(reference("value", real_worker=True)),
        },
        size=1_000,
        quick_size=300,
    ),
    Probe(
        "sleeps",
        {
            OURS: Side(_ours(work.ten_milliseconds)),
            "no queue": Side(_sleep, is_floor=True),
            **{name: Side(_peer(PROCESS_PEERS[name], work.ten_milliseconds)) for name in SLEEPERS},
            "reference": _slow(reference("sleep", 0.01, real_worker=True)),
        },
        size=1_000,
        quick_size=100,
        samples=3,  # one takes more than ten seconds
    ),
)

ROWS = (
    Row(
        "coroutines",
        "1,000 no-op coroutine jobs, 1 lane",
        "coroutines",
        "rate",
        "jobs/s",
        must=(Limit(25_000), Limit(0.5, "aiojobs")),
        want=(Limit(1, "aiojobs"),),
        more_is_better=True,
        analysis=(
            "of about 40 µs a job, asyncio's own task, handle and turn of the loop take 8, the "
            "submit (record, id, place in the order) 10, two transitions with their effects 12, "
            "choosing and launching the next job 10. aiojobs keeps a list of tasks: no order, "
            "state, history or events."
        ),
    ),
    Row(
        "functions",
        "1,000 no-op function jobs, 1 worker process",
        "functions",
        "rate",
        "jobs/s",
        must=(Limit(5_000), Limit(1, "executorlib")),
        want=(Limit(1, "ProcessPoolExecutor"),),
        more_is_better=True,
        analysis=(
            "the worker waits about 70 µs for its next job: reading its answer, two transitions, "
            "choosing, pickling and writing. The pool sends the next call ahead of that; a job "
            "sent ahead could no longer be overtaken, held or cancelled at once."
        ),
    ),
    Row(
        "sleeps",
        "1,000 x 10 ms sleep, 1 worker process",
        "sleeps",
        "rate",
        "jobs/s",
        must=(Limit(96),),
        want=(Limit(97.5),),
        more_is_better=True,
        analysis=(
            "after 10 ms of sleep any code runs 4 to 5 times slower for some hundred µs, a bare "
            "spin loop twice as long: packing the result and cleaning up 21 → 120 µs, reading the "
            "end and dispatching 35 → 155, the worker's begin 7 → 24, two wake-ups 14 → 78, in all "
            "0.08 → 0.4 ms a job here, beside which the sleep itself takes 0.1 to 0.4 too long. "
            "ProcessPoolExecutor sends the next call ahead and pays the worker's share only."
        ),
    ),
)
