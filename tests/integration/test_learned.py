"""What is learned of runs, and kept beside the journal: figures, never a configuration."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, RunStats
from jobqueue_widget._core.machine.learned import MOST_KEYS, LearnedKey
from jobqueue_widget._core.machine.resources import ProcessMemory
from jobqueue_widget._persistence.learned import LARGEST, LearnedFile
from jobqueue_widget.testing import inspect, machine_with
from tests.conditions import until
from tests.failures import failing_manager, raising
from tests.resources import Machine

pytestmark = pytest.mark.timeout(120)

SECRET = "hunter2-hunter2"
NAME = f"{__name__}.nap"


def nap(seconds: float = 0.0) -> None:
    time.sleep(seconds)
    if seconds < 0.01:
        raise ValueError("too short")


async def runs_of(queue: JobQueue, *seconds: float) -> RunStats:
    for one in seconds:
        await queue.wait_for_job(queue.options(executor="thread").submit_nowait(nap, one))
    return queue.learned()[NAME]


async def test_a_queue_tells_how_often_and_how_long_its_functions_ran() -> None:
    async with JobQueue() as queue:
        assert queue.learned() == {}
        stats = await runs_of(queue, 0.05, 0.15, 0.0, 0.1)
        assert (stats.runs, stats.completed, stats.failed) == (4, 3, 1)
        assert stats.success_rate == 0.75
        assert stats.mean_seconds is not None
        assert 0.1 <= stats.mean_seconds < 2.0
        job = queue.options(executor="thread").submit_nowait(nap, 0.5)
        job.cancel()
        await queue.wait_for_job(job)
        assert queue.learned()[NAME].runs in (4, 5)  # a thread may not hear of it
        stats.completed = 99
        assert queue.learned()[NAME].completed < 99


async def test_the_next_kernel_goes_on_with_them(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with JobQueue(journal=path) as queue:
        first = await runs_of(queue, 0.02, 0.0)
    await queue.close()
    async with JobQueue(journal=path) as queue:
        assert queue.learned() == {NAME: first}
        second = await runs_of(queue, 0.02)
        assert (second.runs, second.completed) == (3, 2)
    await queue.close()
    side = tmp_path / "runs.db.learned.json"
    assert stat.S_IMODE(side.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["runs.db", "runs.db.learned.json", "runs.db.lock"]


def assert_is_nowhere(text: str, folder: Path) -> None:
    found = list(folder.glob("runs.db*"))
    assert found
    for side in found:
        assert text.encode() not in side.read_bytes(), side.name


def of_plugins(queue: JobQueue) -> dict[str, RunStats]:
    return {name: stats for name, stats in queue.learned().items() if "failing" in name}


async def test_configurations_are_told_apart_and_never_written(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    config = {"api_key": SECRET, "size": "large"}
    marks: list[set[str]] = []
    for kernel in range(2):
        folder = tmp_path / str(kernel)
        folder.mkdir()
        with failing_manager(folder, "failing", config=config) as manager:
            async with JobQueue(manager, journal=path) as queue:
                known = of_plugins(queue)
                assert sum(stats.runs for stats in known.values()) == 3 * kernel
                await queue.submit_nowait("failing", "pass")
                await queue.wait_for_job(queue.submit_nowait("failing", raising("ValueError()")))
                assert manager.update_plugin_config("failing", {**config, "size": "small"})
                await queue.submit_nowait("failing", "pass")
                found = of_plugins(queue)
                rates = sorted(stats.success_rate or 0.0 for stats in found.values())
                assert rates == [0.5, 1.0]
                marks.append(set(found))
            await queue.close()
    assert marks[0] == marks[1]
    assert_is_nowhere(SECRET, tmp_path)
    assert_is_nowhere('"large"', tmp_path)


async def test_without_a_key_nothing_of_a_configuration_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "a file"
    nowhere.touch()
    monkeypatch.setenv("JOBQUEUE_DATA_DIR", str(nowhere))
    path = tmp_path / "runs.db"
    with failing_manager(tmp_path, "failing", config={"size": "large"}) as manager:
        async with JobQueue(manager, journal=path) as queue:
            await queue.submit_nowait("failing", "pass")
            await runs_of(queue, 0.02)
            assert len(queue.learned()) == 2
        await queue.close()
    told = json.loads((tmp_path / "runs.db.learned.json").read_text())
    assert [one["name"] for one in told["runs"]] == [NAME]


def hold(mib: int, until_file: str) -> None:
    held = b"x" * (mib << 20)
    while not os.path.exists(until_file):
        time.sleep(0.01)
    del held


async def test_what_was_learned_is_reserved_in_the_next_kernel(tmp_path: Path) -> None:
    """A fresh admission stands for the next kernel: nothing is left in memory."""
    path, seen = tmp_path / "runs.db", tmp_path / "seen"
    machine = Machine()
    with machine_with(machine):
        async with JobQueue(journal=path) as queue:
            learns = queue.options(resources="learned")
            job = learns.submit_nowait(hold, 1, str(seen))
            await until(lambda: isinstance(pid_of(queue), int))
            machine.holds[pid_of(queue)] = ProcessMemory(700.0, {})
            await until(lambda: job.used_peak == {"ram_mib": 700.0})
            seen.touch()
            await job
            assert job.planned is None
        await queue.close()
    with machine_with(Machine()):
        async with JobQueue(journal=path) as queue:
            assert queue.learned()[f"{__name__}.hold"].ram_mib == 700.0
            job = queue.options(resources="learned").submit_nowait(hold, 1, str(seen))
            await job
            assert job.planned == {"ram_mib": 771.0}
        await queue.close()


def pid_of(queue: JobQueue) -> Any:
    return next(iter(inspect(queue).processes.values()), None)


KERNEL = """
import asyncio, os, sys
from jobqueue_widget import JobQueue
async def main():
    queue = JobQueue(journal=sys.argv[1])
    await queue.start()
    await queue.options(executor="thread").submit_nowait(pow, 2, 3)
    return queue
queue = asyncio.run(main())
if sys.argv[2] == "dies":
    os._exit(1)
"""
KILLED = """
import asyncio, os, sys, time
from jobqueue_widget import JobQueue
async def main():
    queue = await JobQueue(journal=sys.argv[1]).start()
    for times in (1, 2):
        await queue.options(executor="thread").submit_nowait(pow, 2, 3)
        while f'"completed":{times}' not in written(): await asyncio.sleep(0.01)
    os.kill(os.getpid(), 9)
def written():
    try:
        return open(sys.argv[1] + ".learned.json").read()
    except FileNotFoundError:
        return ""
asyncio.run(main())
"""


def test_a_kernel_that_is_killed_has_written_them_before(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    ran = subprocess.run([sys.executable, "-c", KILLED, path], check=False, timeout=60)
    assert ran.returncode == -9
    assert dict(LearnedFile(path).load())[LearnedKey("builtins.pow")].completed == 2


@pytest.mark.parametrize("how", ["exits", "dies"])
def test_a_kernel_that_never_says_goodbye_keeps_them(how: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    subprocess.run([sys.executable, "-c", KERNEL, path, how], check=False, timeout=60)
    entries = dict(LearnedFile(path).load())
    assert entries[LearnedKey("builtins.pow")].completed == 1


# -- the file: whatever stands there --------------------------------------------------------------

ODD = [
    b"",
    b"nonsense",
    b"\xff\xfe",
    b"[]",
    b"{}",
    b'{"format": 1, "runs": 7}',
    b"[" * 100_000,
    b'{"format": 1, "runs": [1, null, [], {"name": 3}, {"name": "", "mark": ""}]}',
]


@pytest.mark.parametrize("data", ODD, ids=lambda data: repr(data[:20]))
def test_a_file_that_makes_no_sense_is_as_good_as_none(data: bytes, tmp_path: Path) -> None:
    file = LearnedFile(tmp_path / "runs.db")
    file.path.write_bytes(data)
    assert file.load() == []
    file.save([(LearnedKey("f"), RunStats(1))])
    assert file.load() == [(LearnedKey("f"), RunStats(1))]


@pytest.mark.parametrize(
    "value", [-1, "7", None, True, 1e400, float("nan"), 2**80, [1], {}], ids=repr
)
def test_figures_that_cannot_be_are_none(value: object, tmp_path: Path) -> None:
    file = LearnedFile(tmp_path / "runs.db")
    entry = {"name": "f", "mark": "", **dict.fromkeys(RunStats.__dataclass_fields__, value)}
    file.path.write_text(json.dumps({"format": 1, "runs": [entry]}))
    assert file.load() == [(LearnedKey("f"), RunStats())]


def test_what_a_newer_version_wrote_is_left_alone(tmp_path: Path) -> None:
    file = LearnedFile(tmp_path / "runs.db")
    file.path.write_text('{"format": 2, "runs": []}')
    assert file.load() == []
    file.save([(LearnedKey("f"), RunStats(1))])
    assert json.loads(file.path.read_text())["format"] == 2


def test_links_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text('{"format": 1, "runs": [{"name": "f", "mark": "", "completed": 3}]}')
    before = target.read_bytes()
    file = LearnedFile(tmp_path / "runs.db")
    for place in (file.path, file.path.with_name(file.path.name + ".new")):
        place.symlink_to(target)
    assert file.load() == []
    file.save([(LearnedKey("g"), RunStats(1))])
    assert target.read_bytes() == before
    assert not file.path.is_symlink()
    assert file.load() == [(LearnedKey("g"), RunStats(1))]


def test_what_is_no_ordinary_file_or_too_large_is_not_read(tmp_path: Path) -> None:
    file = LearnedFile(tmp_path / "runs.db")
    file.path.mkdir()
    assert file.load() == []
    file.save([(LearnedKey("g"), RunStats(1))])  # says so in the log
    assert os.listdir(tmp_path) == [file.path.name]
    file.path.rmdir()
    os.mkfifo(file.path)
    assert file.load() == []
    file.path.unlink()
    with file.path.open("wb") as opened:
        opened.truncate(LARGEST + 1)
    assert file.load() == []


async def test_a_queue_remembers_no_more_than_so_many(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with JobQueue(journal=path, max_running=4) as queue:
        for number in range(MOST_KEYS + 50):
            exec(f"def f{number}(): pass", globals_ := {"__name__": "many"})
            queue.options(executor="thread").submit_nowait(globals_[f"f{number}"])
        await queue.join(timeout=60)
        assert len(queue.learned()) == MOST_KEYS
    await queue.close()
    entries = LearnedFile(path).load()
    assert len(entries) == MOST_KEYS
    assert LearnedKey("many.f0") not in dict(entries)
