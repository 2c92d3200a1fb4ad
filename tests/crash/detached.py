"""Kernels that submit detached jobs and are killed, and what those jobs do meanwhile."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from jobqueue_widget import JobGroup, JobQueue, current_job
from tests.crash.processes import alive, wait_until

REPOSITORY = Path(__file__).parents[2]
BEAT = 0.02

SUBMIT = """
import asyncio, json, sys
from jobqueue_widget import JobQueue
from tests.crash import detached
journal, told, end = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]

async def main():
    queue = await JobQueue(journal=journal, max_running=4, cancel_timeout=1.0).start()
    for name, args, options in told:
        options = queue.options(detached=True, **options)
        print(options.submit_nowait(getattr(detached, name), *args).id, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    eval(end)

asyncio.run(main())
"""

Told = tuple[str, list[Any], dict[str, Any]]


class DyingKernel:
    """A process with a queue whose jobs are detached; `ids` of them, in order."""

    def __init__(self, journal: Path, *jobs: Told, end: str = "None") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUBMIT, str(journal), json.dumps(jobs), end],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        assert self.process.stdout is not None
        self.ids = [self.process.stdout.readline().strip() for _ in jobs]

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it; it is gone when this returns."""
        self.process.send_signal(number)
        self.finish()

    def finish(self) -> None:
        """Let it end by itself, unless it was killed; it is gone when this returns."""
        self.process.communicate("\n", timeout=30)


@contextlib.contextmanager
def dying(journal: Path, *jobs: Told, end: str = "None") -> Iterator[DyingKernel]:
    """A kernel that is dead at the end in any case; `end` is how it ends by itself."""
    kernel = DyingKernel(journal, *jobs, end=end)
    try:
        yield kernel
    finally:
        if kernel.process.returncode is None:
            kernel.kill()


def killed(journal: Path, *jobs: Told, after: Callable[[], object] = lambda: True) -> list[str]:
    """Submit in a kernel, wait for something, and kill it; the ids of the jobs."""
    with dying(journal, *jobs) as kernel:
        wait_until(after, 30)
        kernel.kill()
    return kernel.ids


# -- the jobs --------------------------------------------------------------------------------------


def beat(path: str, seconds: float) -> int:
    """Write down the time, all the time; a sign of life that needs no kernel. How often it did."""
    count, until = 0, time.monotonic() + seconds
    with open(path, "a", buffering=1) as file:
        while time.monotonic() < until:
            file.write(f"{os.getpid()} {time.monotonic()}\n")
            count += 1
            left = (until - time.monotonic()) / seconds
            current_job().report(1 - left, f"beat {count}", level=left)
            print(f"printed {count}")
            time.sleep(BEAT)
    return count


def beat_unnamed(path: str, seconds: float) -> int:
    """As `beat`, once nothing of the environment that it was started with can be read any more."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = (int(fields[number - 3]) for number in (50, 51))
    ctypes.memset(start, 0, end - start)
    return beat(path, seconds)


def start_a_daemon(path: str) -> None:
    """Start what has a session of its own, and wait."""
    child = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    Path(f"{path}.new").write_text(f"{os.getpid()} {child.pid}")
    Path(f"{path}.new").replace(path)
    threading.Event().wait(600)


def report_in_a_fork(path: str) -> None:
    """Report; a fork of the process reports something else once the file is there."""
    job = current_job()
    job.report(0.1, "of the job")
    wait_until(Path(path).exists, 60)
    child = os.fork()
    if not child:
        job.report(0.9, "of the fork")
        os._exit(0)
    os.waitpid(child, 0)


def save_when_asked(path: str) -> None:
    """Wait to be asked to stop, then save, which takes until a file is there."""
    Path(f"{path}.begun").touch()
    try:
        threading.Event().wait(600)
    finally:
        Path(f"{path}.asked").touch()
        wait_until(Path(f"{path}.go").exists, 60)
        Path(path).write_text("saved")


def cancel_and_die(queue: JobQueue, path: str) -> None:
    """Ask all jobs to stop, and die once one of them does something about it."""
    for job in queue.jobs():
        job.cancel(timeout=60)
    wait_until(Path(f"{path}.asked").exists, 30)
    os.kill(os.getpid(), signal.SIGKILL)


LINE = b"%09d" + 1_014 * b"." + b"\n"  # 1 KiB


def print_much(path: str, mebibytes: int) -> None:
    """When a file is there print numbered lines, as fast as the disk takes; wait for another."""
    Path(f"{path}.begun").touch()
    wait_until(Path(f"{path}.start").exists, 60)
    for first in range(0, mebibytes * 1024, 256):
        os.write(1, b"".join(LINE % number for number in range(first, first + 256)))
        time.sleep(0.001)
    Path(f"{path}.done").touch()
    wait_until(Path(path).exists, 60)


def tell_much(path: str, updates: int) -> None:
    """Show a picture again and again in one place, and measure; then wait for a file."""
    shown: Any = importlib.import_module("IPython.display")
    handle = shown.display({"text/html": "0" * 20_000}, raw=True, display_id=True)
    shown.display({"text/html": "another"}, raw=True)
    for number in range(1, updates + 1):
        handle.update({"text/html": f"{number} " + "0" * 20_000}, raw=True)
        current_job().report(number / updates, step=number, loss=number)
        if number % 20 == 0:
            time.sleep(0.001)
    Path(f"{path}.done").touch()
    wait_until(Path(path).exists, 60)


def hold_the_interpreter(path: str) -> None:
    """Call C code that lets no other thread run, for ever."""
    Path(f"{path}.new").write_text(str(os.getpid()))
    Path(f"{path}.new").replace(path)
    ctypes.PyDLL(None).sleep(3600)


class SlowToPack:
    """A value that takes its time to be pickled."""

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        time.sleep(60)
        return int, (1,)


def return_what_packs_slowly() -> SlowToPack:
    """Return at once; what then comes takes a minute."""
    return SlowToPack()


def unpicklable(path: str) -> object:
    """Return what no pickle holds."""
    Path(f"{path}.begun").touch()
    wait_until(Path(path).exists, 60)
    return threading.Lock()


def end_at(path: str, how: str) -> str:
    """Begin, wait for a file, and end in some way."""
    Path(f"{path}.{how}.new").write_text(str(os.getpid()))
    Path(f"{path}.{how}.new").replace(f"{path}.{how}")
    wait_until(Path(path).exists, 60)
    if how == "raise":
        raise ValueError("as it was told")
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return how


def ignore_all_requests(path: str) -> None:
    """Go on whatever is asked for, in a process that has another one."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    Path(path).write_text(f"{os.getpid()} {child.pid}")
    while True:
        with contextlib.suppress(BaseException):
            threading.Event().wait(60)


class Beats:
    """What `beat` has written."""

    def __init__(self, path: Path) -> None:
        lines = [line.split() for line in path.read_text().splitlines()]
        self.pids = {int(pid) for pid, _ in lines}
        self._times = [float(time) for _, time in lines]
        self.count = len(lines)

    def gap_at(self, *moments: float) -> float:
        """The longest rest from 0.1 s before one of these (monotonic) to 0.5 s after it, or 0."""
        rests = (
            after - before
            for before, after in itertools.pairwise(self._times)
            if any(after > moment - 0.1 and before < moment + 0.5 for moment in moments)
        )
        return max(rests, default=0.0)


CONTROL = """
import os, sys, time
with open(sys.argv[1], "a", buffering=1) as file:
    while True:
        file.write(f"{os.getpid()} {time.monotonic()}\\n")
        time.sleep(0.01)
"""


@contextlib.contextmanager
def control(path: Path) -> Iterator[None]:
    """A process that beats as the jobs do, without our code: what it rests the machine has done."""
    process = subprocess.Popen([sys.executable, "-I", "-c", CONTROL, str(path)])
    try:
        wait_until(path.exists, 30)
        yield
    finally:
        process.kill()
        process.wait()


def marked(marks: str, kind: str, seconds: float) -> Any:
    """Note that it has begun, do what its kind says, note that it returns."""
    note(marks, "begun")
    until, stubborn = time.monotonic() + seconds, kind == "stubborn"
    with open(f"{marks}.{current_job().id}.beats", "a", buffering=1) as file:
        while time.monotonic() < until:
            try:
                file.write(f"{os.getpid()} {time.monotonic()}\n")
                time.sleep(0.01)
            except BaseException:
                if not stubborn:
                    raise
    note(marks, "done")
    return bytes(20_000_000) if kind == "large" else kind


def note(marks: str, word: str, job_id: str | None = None) -> None:
    """Append a line, in one write."""
    line = f"{word} {job_id or current_job().id}\n".encode()
    fd = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, line)
    os.close(fd)


def processes_of(journal: Path) -> list[int]:
    """The processes of detached jobs of this journal that live."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(part.startswith(f"{journal}.detached/") for part in process.cmdline()):
                found.append(process.pid)
    return [pid for pid in found if alive(pid)]


MAP = """
import asyncio, sys
from jobqueue_widget import JobQueue
from tests.crash import detached
journal, folder = sys.argv[1:]

async def main():
    queue = await JobQueue(journal=journal, max_running=2, detached=True).start()
    detached.map_all(queue, folder)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def map_all(queue: JobQueue, folder: str) -> JobGroup:
    """What a notebook's cell would submit, at each run of it."""
    items = range(5)
    return queue.options(key="{number}", group="sweep").map(wait_for_go, [folder] * 5, items)


def wait_for_go(folder: str, number: int) -> int:
    """Note that it has begun; end when it may."""
    with open(f"{folder}/begun", "a") as file:
        file.write(f"{number}\n")
    wait_until(Path(folder, f"go {number}").exists, 60)
    return number
