"""What jobs use over time, of real workers and plugins: `job.usage`."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobqueue_widget import Job, JobQueue
from jobqueue_widget._api.listed.listing import Filter
from jobqueue_widget._core.machine.resources import MachineStats
from jobqueue_widget._machine.monitor import SystemMonitor
from jobqueue_widget._machine.shared import admission_over
from jobqueue_widget._runtime.engine import Engine
from jobqueue_widget._runtime.runner import Run
from jobqueue_widget._runtime.storage.told import printed
from jobqueue_widget._runtime.storage.told.metrics import POINT_BYTES
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.journals import as_if_killed, opened, running
from tests.kernels import VERSIONS, Kernel
from tests.own_manager import own_manager
from tests.resources import Machine

MIB = 1 << 20
BURN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass"


def work(path: str, mib: int) -> int:
    """Hold memory, and keep a child busy, until the file is gone."""
    held = b"x" * (mib * MIB)  # of zeros nothing would be in memory
    while os.path.exists(path):
        subprocess.run([sys.executable, "-c", BURN.format(0.1)], check=True)
    return len(held)


def unread() -> Machine:
    """A machine of which only the test's own looks are known."""
    machine = Machine()
    machine.error = OSError("not now")
    return machine


def note(engine: Engine, run: Run, pid: int, stats: MachineStats, second: float) -> None:
    """Play a look at the machine so long after the start."""
    assert run.job.started_at is not None
    wall = run.job.started_at + second
    engine.resources._sampler.note([(run, pid)], stats, 1e6 + second, wall)


def points(job: Job, name: str) -> list[float]:
    return [value for _, value in job.usage.get(name, ()) if value is not None]


async def test_memory_and_processors_of_a_job_and_what_it_started(tmp_path: Path) -> None:
    file = tmp_path / "go on"
    file.touch()
    async with JobQueue() as queue:
        job = queue.submit_nowait(work, str(file), 64)
        await until(lambda: len(points(job, "cpus")) >= 2)
        file.unlink()
        await job
        ended = job.usage
        quick = queue.submit_nowait(int)
        await quick
        assert quick.usage == {}
    assert set(ended) == {"ram_mib", "cpus"}
    assert max(points(job, "ram_mib")) > 64
    assert max(points(job, "cpus")) > 0.05, "children that came and went count"
    seconds = [at for at, _ in ended["ram_mib"]]
    assert seconds == sorted(seconds)
    assert 1.0 <= seconds[0] <= 3.0
    assert job.usage == ended


async def test_of_jobs_in_this_process_nothing_is_told() -> None:
    go_on = asyncio.Event()
    async with JobQueue() as queue:
        job = queue.submit_nowait(go_on.wait)
        await until(lambda: job.started_at and time.time() - job.started_at > 1.3)
        go_on.set()
        await job
    assert job.usage == {}
    assert job.used_peak is None


async def test_a_plugin_is_sampled_as_long_as_it_is_called(tmp_path: Path) -> None:
    with own_manager(tmp_path, plugins=["workload"]) as manager:
        async with JobQueue(manager) as queue:
            job = queue.submit_nowait("workload", "sleep", 60)
            await until(lambda: len(points(job, "cpus")) >= 1, 30)
            job.cancel(force=True)
            await queue.wait_for_job(job, timeout=30)
    assert all(value > 1 for value in points(job, "ram_mib"))


async def test_the_machine_is_looked_at_once_a_second_while_jobs_run_and_never_else(
    tmp_path: Path,
) -> None:
    file, machine = tmp_path / "go on", Machine()
    file.touch()
    with admission_over(machine):
        async with JobQueue(max_running=4) as queue:
            jobs = [queue.submit_nowait(work, str(file), 1) for _ in range(4)]
            began = time.monotonic()
            await until(lambda: machine.looks >= 3)
            assert machine.looks <= time.monotonic() - began + 1
            file.unlink()
            await queue.wait_for_job(jobs[0])
            await queue.join()
            await until(lambda: not inspect(queue).engine.resources._ticking)
            looks = machine.looks
            await asyncio.sleep(1.2)  # longer than a tick: none may come
            assert machine.looks == looks


async def test_of_samples_of_ended_jobs_few_points_stay_of_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(printed, "SAMPLES_MEMORY", 700 * POINT_BYTES)
    machine = unread()
    with admission_over(machine):
        async with JobQueue() as queue:
            engine, jobs = inspect(queue).engine, list[Job]()
            for top in (150.0, 250.0, 350.0):
                jobs.append(queue.submit_nowait(time.sleep, 60))
                job = jobs[-1]
                await until(lambda: inspect(queue).processes)
                run = engine.runs[job.id]
                pid = inspect(queue).processes[job.id]
                for second in range(1, 301):
                    ram = top if second == 70 else 100.0
                    stats = machine.stats_of(pid, ram)
                    note(engine, run, pid, stats, second)
                job.cancel(force=True)
                await queue.wait_for_job(job)
    kept = [points(job, "ram_mib") for job in jobs]
    assert [len(one) <= printed.SHORT for one in kept] == [True, True, False]
    assert [max(one) for one in kept] == [150.0, 250.0, 350.0]


async def test_what_a_job_used_comes_back_from_its_journal_and_goes_with_it(tmp_path: Path) -> None:
    path, machine = tmp_path / "runs.db", unread()
    async with running(path) as queue:
        with admission_over(machine):
            job = queue.submit_nowait(time.sleep, 60)
            await until(lambda: inspect(queue).processes)
            engine, pid = inspect(queue).engine, inspect(queue).processes[job.id]
            run = engine.runs[job.id]
            for second in (1, 2, 3):
                stats = machine.stats_of(pid, 100.0 * second, cpu=second / 2, gpu=7.0)
                note(engine, run, pid, stats, second)
            job.cancel(force=True)
            await queue.wait_for_job(job)
        copy, told, peak = as_if_killed(path), job.usage, job.used_peak
        frame = queue.to_pandas()
    assert told == {
        "ram_mib": [(1, 100), (2, 200), (3, 300)],
        "gpu_mib": [(1, 7), (2, 7), (3, 7)],
        "cpus": [(2, 0.5), (3, 0.5)],
    }
    assert peak == {"ram_mib": 300, "gpu_mib": 7}
    assert len(frame) == 1
    for kept in (copy, path):  # killed, and closed
        with opened(kept) as again:
            known = again[job.id]
            assert (known.usage, known.used_peak, known.planned) == (told, peak, None)
            again.forget(known)
            assert known.usage == told, "a handle keeps what it holds"
        with closing(sqlite3.connect(kept)) as connection:
            assert connection.execute("SELECT count(*) FROM told").fetchone() == (0,)


async def test_restored_jobs_are_sorted_by_the_memory_that_they_held(tmp_path: Path) -> None:
    path, machine = tmp_path / "runs.db", unread()
    async with running(path, max_running=3) as queue:
        with admission_over(machine):
            jobs = [queue.submit_nowait(time.sleep, 60) for _ in range(3)]
            await until(lambda: len(inspect(queue).processes) == 3)
            engine, pids = inspect(queue).engine, inspect(queue).processes
            for job, ram in zip(jobs, (200.0, 300.0, 100.0), strict=True):
                stats = machine.stats_of(pids[job.id], ram)
                note(engine, engine.runs[job.id], pids[job.id], stats, 2)
            queue.cancel_all("running")
            await queue.join()
        copy = as_if_killed(path)
    most, middle, least = jobs[1], jobs[0], jobs[2]
    with opened(copy) as again:
        for down, order in ((True, [most, middle, least]), (False, [least, middle, most])):
            found = again._find_listed(Filter(sort="memory", down=down)).jobs()
            assert [job.id for job in found] == [job.id for job in order]


def test_the_time_of_children_that_have_ended_is_not_lost() -> None:
    monitor, pid = SystemMonitor(), os.getpid()
    before = monitor.read([pid]).cpu_seconds[pid]
    subprocess.run([sys.executable, "-c", BURN.format(0.3)], check=True)
    after = monitor.read([pid]).cpu_seconds[pid]
    assert after - before >= 0.28


CELL = """
import time
from jobqueue_widget import JobQueue

def train(seconds):
    held = b"x" * (50 << 20)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))

queue = await JobQueue().start()
job = queue.submit_nowait(train, 3.5)
await job
usage = {name: [round(value, 1) for _, value in told] for name, told in job.usage.items()}
"""


@pytest.fixture
def kernel(loop_of_the_client: None) -> Iterator[Kernel]:
    kernel = Kernel(VERSIONS[0])
    yield kernel
    kernel.close()


def test_in_a_notebook_one_reads_what_a_function_of_a_cell_used(kernel: Kernel) -> None:
    kernel.run(CELL)
    used = kernel.value_of("usage")
    kernel.run("await queue.close()")
    assert set(used) == {"ram_mib", "cpus"}
    assert max(used["ram_mib"]) > 50
    assert 0 < max(used["cpus"]) < 1.5
