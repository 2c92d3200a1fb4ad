"""How long until a job that was cancelled has really ended, and the next one has its result."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil

from jobqueue_widget import JobQueue, JobStatus
from tests.own_manager import own_manager

from . import work
from .measure import OURS, Effort, Figures, Limit, Measure, Never, Probe, Row, Side, settle
from .peers import PROCESS_PEERS, BarePipe, Peer, reference_queue
from .throughput import warm

LONG_PATIENCE = 90.0  # for the reference, which lets a sleep of a minute end
PATIENCE = 5.0  # for a next result after the cancel; systems that cannot stop a job never have it


def pid_from(path: Path, seconds: float = 20.0) -> int:
    """The process that the job told, once it runs."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError("the job that should be cancelled did not start")
        time.sleep(0.002)
    return int(path.read_text())


def is_there(pid: int) -> bool:
    """Running, not only waiting to be reaped."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def _ours_by_force(effort: Effort) -> Figures:
    async def run(folder: Path) -> Figures:
        seconds = []
        async with JobQueue() as queue:
            await warm(queue)
            for number in range(effort.size):
                path = folder / str(number)
                job = queue.submit_nowait(work.hang, str(path))
                pid = await asyncio.to_thread(pid_from, path)
                await asyncio.to_thread(settle)  # the spare is warm again
                begin = time.perf_counter()
                job.cancel(force=True)
                await queue.submit_nowait(work.nothing)
                while is_there(pid):
                    await asyncio.sleep(0)
                seconds.append(time.perf_counter() - begin)
                assert job.status is JobStatus.cancelled
            return {"ms": median(seconds) * 1e3}

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(Path(folder)))


def _ours_asked(target: Callable[..., object]) -> Measure:
    async def run(effort: Effort, folder: Path) -> Figures:
        seconds = []
        async with JobQueue() as queue:
            await warm(queue)
            for number in range(effort.size):
                path = folder / str(number)
                job = queue.submit_nowait(target, str(path))
                await asyncio.to_thread(pid_from, path)
                begin = time.perf_counter()
                job.cancel()
                await queue.wait_for_job(job)
                seconds.append(time.perf_counter() - begin)
                assert job.status is JobStatus.cancelled
            return {"ms": median(seconds) * 1e3}

    def measure(effort: Effort) -> Figures:
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(run(effort, Path(folder)))

    return measure


def _bare(effort: Effort) -> Figures:
    seconds = []
    pipe = BarePipe()
    for _ in range(effort.size):
        pipe.call()
        begin = time.perf_counter()
        pipe.kill()
        pipe = BarePipe()
        pipe.call()
        seconds.append(time.perf_counter() - begin)
    pipe.kill()
    return {"ms": median(seconds) * 1e3}


def _peer(make: Callable[[], Peer]) -> Measure:
    """Once per process: what could not be stopped is ended with it."""

    def measure(effort: Effort) -> Figures:
        peer = make()
        peer.result(peer.submit(work.nothing))
        path = Path(tempfile.mkdtemp(), "pid")
        running = peer.submit(work.hang, str(path))
        pid = pid_from(path)
        settle()
        begin = time.perf_counter()
        answer = peer.cancel(running)
        following = peer.submit(work.nothing)
        try:
            peer.result(following, timeout=PATIENCE)
        except Exception:
            if not is_there(pid):
                raise
            seconds = f"{PATIENCE:g} s after cancel() = {answer} the job still runs"
            raise Never(seconds) from None
        while is_there(pid):
            time.sleep(0.0005)
        seconds_needed = time.perf_counter() - begin
        peer.close()
        return {"ms": seconds_needed * 1e3}

    return measure


def _ours_in_a_plugin(what: str) -> Measure:
    """Ours, over our manager: the plugin that the reference runs, and as it is asked there."""

    async def run(effort: Effort, folder: Path) -> Figures:
        seconds = []
        with own_manager(folder, plugins=["workload"]) as manager:
            async with JobQueue(manager) as queue:
                for _ in range(effort.size):
                    pid = (await queue.submit_nowait("workload", "value"))["pid"]
                    job = queue.submit_nowait("workload", what)
                    while job.started_at is None or job.phase is not None:
                        await asyncio.sleep(0.01)
                    await asyncio.to_thread(settle)
                    begin = time.perf_counter()
                    job.cancel(force=True)
                    await queue.submit_nowait("workload", "value")
                    while is_there(pid):
                        await asyncio.sleep(0)
                    seconds.append(time.perf_counter() - begin)
                    assert job.status is JobStatus.cancelled
        return {"ms": median(seconds) * 1e3}

    def measure(effort: Effort) -> Figures:
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(run(effort, Path(folder)))

    return measure


def _reference(what: str) -> Measure:
    return lambda _: asyncio.run(_of_the_reference(what))


async def _of_the_reference(what: str) -> Figures:
    with reference_queue(real_worker=True) as queue:
        await queue.start()
        running = await queue.submit("workload", what)
        while queue.get_job(running).status.value != "running":
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        begin = time.perf_counter()
        await queue.cancel(running)
        following = await queue.submit("workload", "value")
        try:
            await asyncio.wait_for(queue.wait_for_job(following), LONG_PATIENCE)
        except TimeoutError:
            raise Never(f"no next result {LONG_PATIENCE:g} s after the cancel") from None
        seconds = time.perf_counter() - begin
        told = queue.get_job(running)
        if queue.get_job(following).status.value != "completed":
            raise Never(f"job {told.status.value} {told.error!r}, and so is the next one")
        await queue.stop()
        return {"ms": seconds * 1e3}


PROBES = (
    Probe(
        "force",
        {
            OURS: Side(_ours_by_force),
            "bare child": Side(_bare, is_floor=True),
            **{name: Side(_peer(make), size=1, samples=3) for name, make in PROCESS_PEERS.items()},
            "reference": Side(_reference("sleep"), size=1, samples=1),
        },
        size=5,
        quick_size=3,
    ),
    Probe(
        "force-plugin",
        {
            OURS: Side(_ours_in_a_plugin("sleep")),
            "reference": Side(_reference("sleep"), size=1, samples=1),
        },
        size=3,
    ),
    Probe(
        "force-plugin-c",
        {
            OURS: Side(_ours_in_a_plugin("spin")),
            "reference": Side(_reference("spin"), size=1, samples=1),
        },
        size=3,
    ),
    Probe("ask", {OURS: Side(_ours_asked(work.spin))}, size=9, quick_size=3),
)

ROWS = (
    Row(
        "force",
        "cancel a running sleep(60) by force: old process gone and next job's result there",
        "force",
        "ms",
        "ms",
        must=(Limit(60),),
        want=(Limit(15),),
        analysis=(
            "the warm spare has the next job's result within 1 ms of getting it; before that, the "
            "environment of every process is read for what the old worker left."
        ),
    ),
    Row(
        "force-plugin",
        "cancel a plugin in sleep(60) by force: old process gone and next job's result there",
        "force-plugin",
        "ms",
        "ms",
        must=(Limit(1000),),
        want=(Limit(300),),
        analysis=(
            "a plugin may hold gigabytes and has no spare: a fresh interpreter starts and imports "
            "it before the next job's result can be there."
        ),
    ),
    Row(
        "force-plugin-c",
        "the same of a plugin in one C call that holds the interpreter",
        "force-plugin-c",
        "ms",
        "ms",
        must=(Limit(1000),),
        want=(Limit(300),),
        analysis="as above; SIGTERM is not heard in C code, SIGKILL follows after 300 ms.",
    ),
    Row(
        "ask",
        "cancel a busy pure Python job by asking: asked → ended",
        "ask",
        "ms",
        "ms",
        must=(Limit(20),),
        want=(Limit(5),),
        analysis=(
            "the worker's listening thread waits up to 1 ms for the busy thread to let go of the "
            "interpreter; formatting the traceback takes most of the rest."
        ),
    ),
)
