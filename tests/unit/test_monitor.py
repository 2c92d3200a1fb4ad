"""The monitor: limits of containers from fixture trees, what NVML may do, the reference's names."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget._core.machine.resources import GpuStats
from jobqueue_widget._machine import gpus as gpus_module
from jobqueue_widget._machine import monitor
from jobqueue_widget._machine.cgroup import Limits, read_limits
from jobqueue_widget._machine.gpus import NO_ANSWER, NOT_INSTALLED, Gpus
from jobqueue_widget._machine.monitor import SystemMonitor, roots_of_trees

GIB = 1 << 30
Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Write:
    """Writes files below a root of its own."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


# -- control groups ----------------------------------------------------------------------------


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert read_limits(tmp_path) == Limits(math.inf, math.inf, math.inf)


def test_a_container_of_version_2_sees_its_own_root(tree: Write) -> None:
    root = tree(
        {
            "proc/self/cgroup": "0::/docker/abc\n",
            "sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
            "sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
            "sys/fs/cgroup/memory.stat": f"anon 12\nfile 99\ninactive_file {GIB}\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
        }
    )
    assert read_limits(root) == Limits(4 * GIB, 2 * GIB, 1.5)


def test_the_tightest_group_above_counts(tree: Write) -> None:
    root = tree(
        {
            "proc/self/cgroup": "0::/user.slice/job.scope\n",
            "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
            "sys/fs/cgroup/user.slice/memory.max": f"{2 * GIB}\n",
            "sys/fs/cgroup/user.slice/memory.current": f"{GIB}\n",
            "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user.slice/job.scope/memory.max": f"{8 * GIB}\n",
            "sys/fs/cgroup/user.slice/job.scope/memory.current": f"{GIB // 2}\n",
            "sys/fs/cgroup/user.slice/job.scope/cpu.max": "200000 100000\n",
        }
    )
    assert read_limits(root) == Limits(2 * GIB, GIB, 2.0)


def test_no_limit_of_version_2_is_none(tree: Write) -> None:
    root = tree(
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "max\n",
            "sys/fs/cgroup/memory.current": f"{GIB}\n",
            "sys/fs/cgroup/cpu.max": "max 100000\n",
        }
    )
    assert read_limits(root) == Limits(math.inf, math.inf, math.inf)


def test_version_1_has_a_folder_per_controller_and_a_huge_number_for_none(tree: Write) -> None:
    root = tree(
        {
            "proc/self/cgroup": "4:memory:/box/inner\n3:cpu,cpuacct:/box\n1:name=systemd:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{9 * GIB}\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{3 * GIB}\n",
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": f"{2 * GIB}\n",
            "sys/fs/cgroup/memory/box/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB}\n",
            "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
        }
    )
    assert read_limits(root) == Limits(3 * GIB, 2 * GIB, 0.5)


def test_what_is_not_a_number_there_is_no_limit(tree: Write) -> None:
    root = tree(
        {
            "proc/self/cgroup": "nonsense\n0::/../..\n",
            "sys/fs/cgroup/memory.max": "\u00e4\n",
            "sys/fs/cgroup/cpu.max": "-1 0\n",
        }
    )
    assert read_limits(root) == Limits(math.inf, math.inf, math.inf)


def test_the_monitor_goes_by_the_container_and_not_by_the_host(tree: Write) -> None:
    root = tree(
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": f"{GIB // 2}\n",
            "sys/fs/cgroup/memory.current": f"{GIB // 8}\n",
            "sys/fs/cgroup/cpu.max": "50000 100000\n",
        }
    )
    stats = SystemMonitor(Gpus("no_such_module"), root).read()
    assert stats.ram_total_mib == 512
    assert stats.ram_available_mib <= 384
    assert stats.cpus == 0.5
    assert stats.cpus_busy <= 0.5


# -- GPUs ----------------------------------------------------------------------------------------


class FakeNvml(types.ModuleType):
    """As much of nvidia-ml-py as is asked."""

    class NVMLError(Exception):
        """Its only error."""

    def __init__(self, totals: list[int]) -> None:
        super().__init__("fake_nvml")
        self.totals = totals
        self.error: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.processes: list[tuple[int, int | None]] = []

    def nvmlInit(self) -> None:
        self._check()

    def _check(self) -> None:
        assert self.go_on.wait(20)
        if self.error is not None:
            raise self.error

    def nvmlDeviceGetCount(self) -> int:
        self._check()
        return len(self.totals)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        total = self.totals[handle] << 20
        return types.SimpleNamespace(total=total, free=total // 4)

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return b"Card %d" % handle

    def nvmlDeviceGetUUID(self, handle: int) -> bytes:
        return b"GPU-%d" % handle

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        if handle:
            raise self.NVMLError("no permission")
        return [types.SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes]

    nvmlDeviceGetGraphicsRunningProcesses = nvmlDeviceGetComputeRunningProcesses


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNvml]:
    fake = FakeNvml([8_000, 24_000])
    monkeypatch.setitem(sys.modules, "fake_nvml", fake)
    yield fake
    fake.go_on.set()


def test_without_the_library_it_says_how_to_get_it() -> None:
    monitor = SystemMonitor(Gpus("no_such_module"))
    stats = monitor.read()
    assert stats.gpus == ()
    assert stats.gpu_note == NOT_INSTALLED
    assert monitor.status()["gpu_note"] == NOT_INSTALLED


FAMILY = """
import subprocess, sys, threading
PARENT = "import subprocess as s; one = s.Popen(['sleep', '60']); print(1, flush=True); one.wait()"
def start():
    one = subprocess.Popen([sys.executable, "-c", PARENT], stdout=-1)
    one.stdout.readline()
    started.append(one)
started = []
threads = [threading.Thread(target=start) for _ in range(3)]
for one in threads: one.start()
for one in threads: one.join()
print(*(one.pid for one in started), flush=True)
input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists children")
def test_what_linux_lists_are_the_trees_that_all_processes_make(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert family.stdout is not None
    try:
        first, second, _third = map(int, family.stdout.readline().split())
        for roots in ([family.pid], [family.pid, first], [first, second], [first, os.getpid()], []):
            with monkeypatch.context() as patched:
                patched.setattr(monitor, "LISTED", False)
                found = roots_of_trees(roots)
            assert roots_of_trees(roots) == found
            assert set(found.values()) == set(roots)
        assert len(roots_of_trees([family.pid])) >= 7
        assert roots_of_trees([1 << 23]) == {1 << 23: 1 << 23}  # it is gone
    finally:
        for pid in reversed(roots_of_trees([family.pid])):
            os.kill(pid, 9)
        family.communicate()


def test_without_a_driver_it_says_so_and_asks_no_more(nvml: FakeNvml) -> None:
    nvml.error = nvml.NVMLError("library not found")
    gpus = Gpus("fake_nvml")
    for _ in range(2):
        assert gpus.look().gpus == ()
        assert gpus.look().note == "no NVIDIA driver: library not found"
        nvml.error = AssertionError("asked again")


def test_memory_is_told_per_gpu_and_per_process_tree(nvml: FakeNvml) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "x = bytearray(40 << 20); print(len(x), flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        child.stdout.readline()
        nvml.processes = [(child.pid, 500 << 20), (1 << 22, 70 << 20), (child.pid, None)]
        stats = SystemMonitor(Gpus("fake_nvml")).read([os.getpid(), 1 << 23])
        assert stats.gpus == (
            GpuStats(8_000, 2_000, "Card 0"),
            GpuStats(24_000, 6_000, "Card 1"),
        )
        ours = stats.processes[os.getpid()]
        assert ours.gpu_mib == {0: 500}
        assert ours.ram_mib > 40
        assert stats.processes[1 << 23].ram_mib == 0
        alone = SystemMonitor(Gpus("fake_nvml")).read([os.getpid(), child.pid]).processes
        assert 40 < alone[child.pid].ram_mib < 200
        assert alone[os.getpid()].gpu_mib == {}
    finally:
        child.communicate()


def test_a_driver_that_hangs_is_waited_for_once_and_heard_when_it_is_back(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus_module, "PATIENCE", 0.1)
    gpus = Gpus("fake_nvml")
    assert gpus.look().gpus is not None
    nvml.go_on.clear()
    assert gpus.look().note == NO_ANSWER
    begun = time.monotonic()
    for _ in range(1_000):
        assert gpus.look().gpus is None
    assert time.monotonic() - begun < 10
    monitor = SystemMonitor(gpus)
    assert monitor.read().gpus is None
    assert monitor.status()["gpu_free_memory_mb"] is None
    nvml.go_on.set()
    thread = gpus._thread
    assert thread is not None
    thread.join(20)
    found = gpus.look().gpus
    assert found is not None
    assert len(found) == 2


def test_an_error_of_the_driver_is_told_and_it_is_asked_again(nvml: FakeNvml) -> None:
    gpus = Gpus("fake_nvml")
    assert gpus.look().gpus is not None
    nvml.error = nvml.NVMLError("GPU is lost")
    assert gpus.look().gpus is None
    assert gpus.look().note == "the GPU driver says: GPU is lost"
    nvml.error = None
    assert gpus.look().gpus is not None


# -- the reference's names ---------------------------------------------------------------------


def test_the_status_has_the_names_that_schedulers_of_the_reference_read(nvml: FakeNvml) -> None:
    status = SystemMonitor(Gpus("fake_nvml")).status()
    assert status["gpu_free_memory_mb"] == 6_000  # of the emptiest: a plugin runs on one
    assert status["gpu_total_memory_mb"] == 24_000
    assert status["gpu_used_memory_mb"] == 18_000
    assert status["gpu_type"] == "Card 1"
    assert status["gpu_count"] == 2
    assert 0 < status["memory_available_mb"] <= status["memory_total_mb"]
    assert status["memory_used_mb"] == pytest.approx(
        status["memory_total_mb"] - status["memory_available_mb"], abs=0.2
    )
    assert 0 <= status["cpu_percent"] <= 100
