"""A kernel or a script ends in any way while jobs run: nothing that they started outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from tests.crash.processes import alive, all_below, pids_in, wait_until

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("loop_of_the_client")]

REPOSITORY = str(Path(__file__).parents[2])
C_CODE = "in C with the GIL held"
SETUP = """
import asyncio, os
from jobqueue_widget import JobQueue
from tests.crash.grief import FAMILY, live_with_family
queue = await JobQueue(max_running=2).start()
"""


@pytest.fixture
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager, client = start_new_kernel(cwd=REPOSITORY)
    yield manager, client
    client.stop_channels()
    if manager.is_alive():
        manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def run(client: BlockingKernelClient, code: str) -> str:
    """Run a cell to its end; what it printed."""
    printed: list[str] = []

    def hook(message: dict[str, object]) -> None:
        content = message["content"]
        assert isinstance(content, dict)
        if message["msg_type"] == "stream":
            printed.append(content["text"])

    reply = client.execute_interactive(code, timeout=60, output_hook=hook)
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(printed)


def start_family(client: BlockingKernelClient, note: Path, kind: str) -> list[int]:
    """A job that lives with a whole family; the pids of all that the kernel has started."""
    run(client, SETUP)
    run(client, f"job = queue.submit_nowait(live_with_family, {str(note)!r}, FAMILY, {kind!r})")
    pids = pids_in(note)
    below = all_below(int(run(client, "print(os.getpid())")))
    assert all(map(alive, pids))
    assert set(pids) <= set(below)
    assert len(below) > len(pids)  # the guardian too
    return below


WAYS: dict[str, Callable[[KernelManager, int], object]] = {
    "kill -9": lambda manager, pid: os.kill(pid, signal.SIGKILL),
    "terminate": lambda manager, pid: os.kill(pid, signal.SIGTERM),
    "restart": lambda manager, pid: manager.restart_kernel(now=True),
    "shutdown": lambda manager, pid: manager.shutdown_kernel(),
}


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        ("kill -9", "sleep"),
        ("kill -9", "busy"),
        ("kill -9", C_CODE),
        ("terminate", C_CODE),
        ("restart", C_CODE),
        ("shutdown", "busy"),
    ],
)
def test_nothing_outlives_a_kernel(
    kernel: tuple[KernelManager, BlockingKernelClient],
    way: str,
    kind: str,
    tmp_path: Path,
    note: Callable[[str], None],
) -> None:
    manager, client = kernel
    pids = start_family(client, tmp_path / "pids", kind)
    pid = int(run(client, "print(os.getpid())"))
    WAYS[way](manager, pid)
    wait_until(lambda: not alive(pid), 30)
    seconds = wait_until(lambda: not any(map(alive, pids)), 1.0)
    note(f"{len(pids)} processes gone {seconds * 1000:.0f} ms after the kernel")


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["sleep", "busy", C_CODE])
def test_nothing_outlives_very_many_kernels(
    kind: str, tmp_path: Path, note: Callable[[str], None]
) -> None:
    slowest = 0.0
    for number in range(20):
        manager, client = start_new_kernel(cwd=REPOSITORY)
        try:
            pids = start_family(client, tmp_path / str(number), kind)
            pid = int(run(client, "print(os.getpid())"))
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: not alive(pid), 10)  # type: ignore[misc]
            gone = wait_until(lambda pids=pids: not any(map(alive, pids)), 1.0)  # type: ignore[misc]
            slowest = max(slowest, gone)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
    note(f"20 kernels killed, the slowest clean-up took {slowest * 1000:.0f} ms")


# -- scripts ---------------------------------------------------------------------------------------

SCRIPT = """
import asyncio, os, signal, sys, time
from jobqueue_widget import JobQueue
from tests.crash.grief import FAMILY, live_with_family
queue = JobQueue(loop="thread", max_running=2)
asyncio.run(queue.start())
job = queue.submit_nowait(live_with_family, {note!r}, FAMILY, {kind!r})
while not os.path.exists({note!r}): time.sleep(0.01)
sys.stdin.readline()
{end}
"""
ENDS = {
    "kill -9": "os.kill(os.getpid(), signal.SIGKILL)",
    "kill -9 of its group": "os.killpg(0, signal.SIGKILL)",
    "terminate": "os.kill(os.getpid(), signal.SIGTERM)",
    "segfault": "os.kill(os.getpid(), signal.SIGSEGV)",
    "os._exit": "os._exit(3)",
    "error": "raise ValueError('on purpose')",
    "end": "",
}


def start_script(note: Path, kind: str, end: str) -> tuple[subprocess.Popen[str], list[int]]:
    """It runs, with a job that lives with its family, until a line on its stdin."""
    source = SCRIPT.format(note=str(note), kind=kind, end=end)
    script = subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        start_new_session=True,
    )
    pids = pids_in(note)
    below = all_below(script.pid)
    assert set(pids) <= set(below)
    return script, below


@pytest.mark.parametrize("kind", ["busy", C_CODE])
@pytest.mark.parametrize("way", ENDS)
def test_nothing_outlives_a_script(
    way: str, kind: str, tmp_path: Path, note: Callable[[str], None]
) -> None:
    script, pids = start_script(tmp_path / "pids", kind, ENDS[way])
    begun = time.monotonic()
    _, errors = script.communicate("go on\n", timeout=20)
    took = time.monotonic() - begun
    seconds = wait_until(lambda: not any(map(alive, pids)), 1.0)
    if way in ("error", "end"):
        assert took < 2.5, "its end does not wait for the job, nor for the grace period of a cancel"
        assert ("ValueError" in errors) == (way == "error")
    else:
        assert not errors
    note(f"ended in {took * 1000:.0f} ms, {len(pids)} processes gone {seconds * 1000:.0f} ms later")


def test_without_its_guardian_workers_see_the_end_of_the_kernel_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # the guardian would have removed the files
    script, pids = start_script(tmp_path / "pids", "busy", ENDS["kill -9"])
    worker, *family = pids_in(tmp_path / "pids")
    in_its_group = [pid for pid in pids if pid == worker or os.getpgid(pid) == worker]
    guardian = next(pid for pid in pids if "guardian.py" in " ".join(psutil.Process(pid).cmdline()))
    os.kill(guardian, signal.SIGKILL)
    script.communicate("go on\n", timeout=20)
    wait_until(lambda: not any(map(alive, in_its_group)), 1.0)
    for pid in filter(alive, family):  # in sessions of their own: these were the guardian's
        os.kill(pid, signal.SIGKILL)
    assert len(in_its_group) >= 4


def test_a_guardian_that_was_killed_is_replaced_while_its_workers_go_on(tmp_path: Path) -> None:
    end = """
from jobqueue_widget.workers.guard import GUARD
first = GUARD._process
first.kill()
while GUARD._process in (first, None):
    time.sleep(0.01)
with GUARD._changed:  # until it has heard of the workers
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""
    script, pids = start_script(tmp_path / "pids", "sleep", end)
    _, errors = script.communicate("go on\n", timeout=20)
    wait_until(lambda: not any(map(alive, pids)), 5.0)  # the new one has just begun to start
    assert not errors


def test_an_interrupt_of_the_whole_group_never_reaches_a_worker(tmp_path: Path) -> None:
    end = """
try:
    os.killpg(0, signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    print(job.status.value, queue.submit_nowait(pow, 2, 3).status.value, file=sys.stderr)
"""
    script, pids = start_script(tmp_path / "pids", "sleep", end)
    _, errors = script.communicate("go on\n", timeout=20)
    assert errors.startswith("running ")
    wait_until(lambda: not any(map(alive, pids)), 1.0)


# -- a cell that waits -------------------------------------------------------------------------


def test_a_plain_cell_can_wait_and_cells_behind_it_run_once_in_order(
    kernel: tuple[KernelManager, BlockingKernelClient],
) -> None:
    _, client = kernel
    run(client, SETUP + "\nimport time\nran = []")
    client.execute("jobs = queue.map(lambda n: time.sleep(0.2) or n, range(4)); queue.wait()")
    client.execute("ran.append(1)")
    client.execute("ran.append(2)")
    told = run(client, "print([job.result for job in jobs], ran)")
    assert told == "[0, 1, 2, 3] [1, 2]\n"
    assert run(client, "await queue.stop(); print(queue.jobs('running'))") == "[]\n"


@pytest.mark.parametrize("wait", ["queue.wait()", "await queue.join()", "await job"])
def test_an_interrupt_ends_the_waiting_and_not_the_job(
    kernel: tuple[KernelManager, BlockingKernelClient], wait: str, tmp_path: Path
) -> None:
    manager, client = kernel
    run(client, SETUP)
    go_on, begun = tmp_path / "go on", tmp_path / "begun"
    body = (
        "def body():\n    import os, time\n"
        f"    open({str(begun)!r}, 'w').close()\n"
        f"    while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n    return 'done'\n"
        "job = queue.submit_nowait(body)\n"
    )
    run(client, body)
    wait_until(begun.exists, 30)
    cell = f"print('here', flush=True)\n{wait}"
    waiting = client.execute(cell, stop_on_error=False)  # else the next one may be aborted
    wait_until(lambda: has_printed(client, waiting), 30)
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=30)
    while reply["parent_header"].get("msg_id") != waiting:
        reply = client.get_shell_msg(timeout=30)
    assert reply["content"]["status"] == "error"
    assert reply["content"]["ename"] in ("KeyboardInterrupt", "CancelledError")
    assert run(client, "print(job.status.value)") == "running\n"
    go_on.touch()
    assert run(client, "print(await job)") == "done\n"
    run(client, "await queue.stop()")


def has_printed(client: BlockingKernelClient, cell: str) -> bool:
    """True once its code runs: ipykernel lets an interrupt that comes before that go by."""
    message = client.get_iopub_msg(timeout=30)
    is_output = message["msg_type"] == "stream"
    return bool(is_output and message["parent_header"].get("msg_id") == cell)
