"""A real notebook kernel ends in any way while jobs run: nothing that they started outlives it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel
from jupyter_core.utils import ensure_event_loop

pytestmark = pytest.mark.timeout(120)

SETUP = """
import asyncio, os
from jobqueue_widget import JobQueue
queue = await JobQueue(max_running=2).start()

def family(note, kind):
    import ctypes, os, subprocess, sys, time
    sleeper = [sys.executable, "-c", "import signal, time\\n"
               "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\ntime.sleep(600)"]
    children = [
        subprocess.Popen(sleeper),
        subprocess.Popen(sleeper, start_new_session=True),
        subprocess.Popen(sleeper, stdin=subprocess.DEVNULL, close_fds=True),
    ]
    with open(note, "w") as file:
        file.write(" ".join(str(pid) for pid in [os.getpid(), *(c.pid for c in children)]) + ".")
    if kind == "C":
        ctypes.PyDLL(None).sleep(600)
    while kind == "busy":
        pass
    time.sleep(600)
"""


@pytest.fixture(scope="module", autouse=True)
def loop_of_the_clients() -> Iterator[None]:
    """The blocking clients share one event loop that they never close."""
    loop = ensure_event_loop()
    yield
    loop.close()


@pytest.fixture
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager, client = start_new_kernel()
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


def until(condition: Callable[[], object], seconds: float) -> float:
    """Seconds until it is true; fails after `seconds`."""
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        assert waited < seconds, "not in time"
        time.sleep(0.005)
    return time.monotonic() - begun


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start_family(client: BlockingKernelClient, note: Path, kind: str) -> list[int]:
    """A job that runs with its children; their pids, and those of all that the kernel started."""
    run(client, SETUP + f"\nqueue.submit_nowait(family, {str(note)!r}, {kind!r})")
    until(lambda: note.exists() and note.read_text().endswith("."), 30)
    kernel_pid = int(run(client, "print(os.getpid())"))
    below = [child.pid for child in psutil.Process(kernel_pid).children(recursive=True)]
    pids = [int(text) for text in note.read_text()[:-1].split()]
    assert all(map(alive, pids))
    assert set(pids) <= set(below)
    assert len(below) >= len(pids) + 1  # the guardian, and the spare worker
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
        ("kill -9", "C"),
        ("terminate", "C"),
        ("restart", "C"),
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
    until(lambda: not alive(pid), 30)
    seconds = until(lambda: not any(map(alive, pids)), 1.0)
    note(f"{len(pids)} processes gone {seconds * 1000:.0f} ms after the kernel")


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["sleep", "busy", "C"])
def test_nothing_outlives_very_many_kernels(
    kind: str, tmp_path: Path, note: Callable[[str], None]
) -> None:
    slowest = 0.0
    for number in range(20):
        manager, client = start_new_kernel()
        try:
            pids = start_family(client, tmp_path / str(number), kind)
            pid = int(run(client, "print(os.getpid())"))
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: not alive(pid), 10)  # type: ignore[misc]
            gone = until(lambda pids=pids: not any(map(alive, pids)), 1.0)  # type: ignore[misc]
            slowest = max(slowest, gone)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
    note(f"20 kernels killed, the slowest clean-up took {slowest * 1000:.0f} ms")


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
    until(begun.exists, 30)
    waiting = client.execute(wait)
    until(lambda: is_busy_with(client, waiting), 30)
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


def is_busy_with(client: BlockingKernelClient, cell: str) -> bool:
    """True once the kernel has said that it runs this cell."""
    message = client.get_iopub_msg(timeout=30)
    is_input = message["msg_type"] == "execute_input"
    return bool(is_input and message["parent_header"].get("msg_id") == cell)
