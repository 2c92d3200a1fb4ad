"""Which GPU, and how many processors, a function job finds; on simulated machines with GPUs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, JobStatus, PluginManager
from jobqueue_widget.testing import machine_with
from tests.conditions import until
from tests.integration.test_simulated_gpu import manifests
from tests.journals import running
from tests.plugins_for_tests import gpu_machine
from tests.resources import Machine

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
UUIDS = ["GPU-aaaa", "GPU-bbbb", "GPU-cccc"]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine(gpus=[8_000, 16_000, 24_000])
    machine.uuids = UUIDS
    with machine_with(machine):
        yield machine


def devices() -> tuple[str | None, str | None, int]:
    """What CUDA would read, now and when this process was started."""
    with open("/proc/self/environ") as file:
        started = dict(entry.split("=", 1) for entry in file.read().split("\0") if entry)
    return os.environ.get(VISIBLE), started.get(VISIBLE), os.getpid()


def environment() -> dict[str, str]:
    return dict(os.environ)


def stay(folder: Path, name: str) -> str | None:
    """Its device, when it is let go."""
    (folder / name).touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return os.environ.get(VISIBLE)


@pytest.mark.parametrize("uuids", [UUIDS, [""] * 3], ids=["uuids", "numbers"])
async def test_a_restored_queue_starts_nothing_on_the_gpu_of_a_job_that_went_on(
    tmp_path: Path, uuids: list[str]
) -> None:
    """Each kernel knows of the machine what it reads, and nothing of what the other reserved."""

    def machine() -> Machine:
        found = Machine(gpus=[8_000, 8_000, 8_000])
        found.uuids = uuids
        return found

    one = {"resources": {"gpus": 1}, "detached": True}
    with machine_with(machine()):
        async with running(tmp_path / "runs.db", max_running=3) as queue:
            first, second = (
                queue.options(**one).submit_nowait(stay, tmp_path, f"job {n}") for n in range(2)
            )
            await until(lambda: len([*tmp_path.glob("job *")]) == 2)
            first.cancel(force=True)  # so that the other one has not the first GPU
            await until(lambda: first.status is JobStatus.cancelled)
    with machine_with(machine()):
        async with running(tmp_path / "runs.db", max_running=3, on_restore="run") as queue:
            others = [queue.options(**one).submit_nowait(stay, tmp_path, "more") for _ in range(2)]
            (tmp_path / "go").touch()
            given = [await job for job in (queue[second.id], *others)]
            assert len(set(given)) == 3, given


async def test_jobs_at_the_same_time_get_a_device_each_and_say_which(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, "7")  # of the kernel; what was reserved ranks higher
    async with JobQueue(max_running=3) as queue:
        one = queue.options(resources={"gpus": 1})
        jobs = [one.submit_nowait(stay, tmp_path, f"job {n}") for n in range(3)]
        await until(lambda: len([*tmp_path.glob("job *")]) == 3)
        (tmp_path / "go").touch()
        got = [await job for job in jobs]
        assert sorted(map(str, got)) == UUIDS
        assert [job.gpus for job in jobs] == [(device,) for device in got]


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({"gpu_mib": 20_000}, UUIDS[2:]),
        ({"gpu_mib": 10_000}, UUIDS[1:2]),
        ({"gpus": 2, "gpu_mib": 10_000}, UUIDS[1:]),
        ({"gpus": 3}, UUIDS),
        ({"ram_mib": 10}, []),
    ],
    ids=str,
)
async def test_the_device_is_there_when_the_process_starts(
    needs: Mapping[str, float], expected: list[str], machine: Machine
) -> None:
    async with JobQueue() as queue:
        await queue.submit_nowait(os.getpid)
        job = queue.options(resources=needs).submit_nowait(devices)
        now, at_start, pid = await job
        assert now == at_start == (",".join(expected) or os.environ.get(VISIBLE))
        assert job.gpus == tuple(expected)
        again = queue.options(resources=needs).submit_nowait(devices)
        later, later_at_start, later_pid = await again
        assert later == later_at_start == (",".join(again.gpus) or os.environ.get(VISIBLE))
        assert (later_pid == pid) == (later == now)  # a warm one, if it is on that device


async def test_the_job_s_own_variable_ranks_higher_and_may_remove_it(machine: Machine) -> None:
    async with JobQueue() as queue:
        for own in ("1", None):
            view = queue.options(resources={"gpus": 1}, env={VISIBLE: own})
            job = view.submit_nowait(devices)
            assert (await job)[:2] == (own, own)
            assert len(job.gpus) == 1


async def test_where_no_uuid_is_known_the_number_counts_as_the_driver_counts(
    machine: Machine,
) -> None:
    machine.uuids = ["", "", ""]
    async with JobQueue() as queue:
        job = queue.options(resources={"gpu_mib": 20_000}).submit_nowait(environment)
        environ = await job
        assert (environ[VISIBLE], environ[ORDER], job.gpus) == ("2", "PCI_BUS_ID", ("2",))


async def test_with_a_registered_monitor_a_function_is_sent_to_its_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpu").mkdir()
    monkeypatch.setenv(gpu_machine.FOLDER, str(tmp_path / "gpu"))
    path = manifests(tmp_path / "manifests", tmp_path / "gpu", {"whisper": 1_000.0})
    with (
        machine_with(Machine(ram=64_000)),
        PluginManager(search_paths=[path], data_dir=tmp_path) as manager,
    ):
        manager.discover_manifests()
        assert manager.load_plugin(manager.get_discovered_meta("sys-mon"))
        manager.register_system_monitor("sys-mon")
        assert manager.load_plugin(manager.get_discovered_meta("whisper"), {"mib": 1_000})
        async with JobQueue(manager) as queue:
            await queue.wait_for_job(queue.submit_nowait("whisper"))
            job = queue.options(resources={"gpu_mib": 1_000}).submit_nowait(devices)
            assert (await job)[:2] == ("0", "0")
            assert job.gpus == ("0",)


async def test_a_job_in_a_thread_has_its_reservation_and_leaves_this_process_alone(
    machine: Machine,
) -> None:
    before = os.environ.get(VISIBLE)
    async with JobQueue() as queue:
        view = queue.options(resources={"gpus": 1}, executor="thread")
        job = view.submit_nowait(os.environ.get, VISIBLE)
        assert await job == before
        assert job.gpus == (UUIDS[0],)


# -- processors ------------------------------------------------------------------------------------


def threads() -> list[str | None]:
    return [os.environ.get(name) for name in THREADS]


async def test_thread_pools_are_as_large_as_a_job_may_use_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    here = len(os.sched_getaffinity(0))
    with machine_with(Machine(cpus=64)):
        for lanes in (1, 2, 50):
            async with JobQueue(max_running=lanes) as queue:
                share = str(max(1, here // lanes))
                assert await queue.submit_nowait(threads) == [share] * 3
                pid = await queue.submit_nowait(os.getpid)
                three = queue.options(resources={"cpus": 3})
                assert await three.submit_nowait(threads) == ["3"] * 3
                assert await three.submit_nowait(os.getpid) == pid
                assert await queue.submit_nowait(threads) == [share] * 3
    async with JobQueue() as queue:
        own = queue.options(env={"OMP_NUM_THREADS": "5"})
        assert await own.submit_nowait(threads) == ["5", None, None]


STANDIN = """
import os
sizes = []
def threadpool_limits(limits):
    sizes.append(limits)
"""


async def test_a_warm_worker_that_has_loaded_its_libraries_is_told_by_threadpoolctl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in notes what the library would be told."""
    (tmp_path / "threadpoolctl.py").write_text(STANDIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)

    def sizes() -> list[int]:
        import importlib

        importlib.import_module("numpy")
        found: list[int] = importlib.import_module("threadpoolctl").sizes
        return found

    with machine_with(Machine(cpus=64)):
        async with JobQueue() as queue:
            told = [
                list(await queue.options(resources={"cpus": count}).submit_nowait(sizes))
                for count in (2, 3, 3, 1)
            ]
            assert told == [[], [3], [3], [3, 1]]
            job = queue.submit_nowait(sizes)
            await queue.wait_for_job(job)
            assert job.status is JobStatus.completed
            assert job.result[-1] == len(os.sched_getaffinity(0))
    assert "threadpoolctl" not in sys.modules
