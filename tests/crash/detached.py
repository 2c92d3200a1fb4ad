"""Kernels that submit detached jobs and are killed, and what those jobs do meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobqueue_widget import current_job
from tests.crash.processes import wait_until

REPOSITORY = Path(__file__).parents[2]
BEAT = 0.02

SUBMIT = """
import asyncio, json, sys
from jobqueue_widget import JobQueue
from tests.crash import detached
journal, told = sys.argv[1], json.loads(sys.argv[2])

async def main():
    queue = await JobQueue(journal=journal, max_running=4, cancel_timeout=1.0).start()
    for name, args, options in told:
        options = queue.options(detached=True, **options)
        print(options.submit_nowait(getattr(detached, name), *args).id, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""

Told = tuple[str, list[Any], dict[str, Any]]


class DyingKernel:
    """A process with a queue whose jobs are detached; `ids` of them, in order."""

    def __init__(self, journal: Path, *jobs: Told) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUBMIT, str(journal), json.dumps(jobs)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        assert self.process.stdout is not None
        self.ids = [self.process.stdout.readline().strip() for _ in jobs]

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it; it is gone when this returns."""
        self.process.send_signal(number)
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def dying(journal: Path, *jobs: Told) -> Iterator[DyingKernel]:
    """A kernel that is dead at the end in any case."""
    kernel = DyingKernel(journal, *jobs)
    try:
        yield kernel
    finally:
        if kernel.process.returncode is None:
            kernel.kill()


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
        """The longest rest from 0.1 s before one of these (monotonic) to 0.5 s after it."""
        return max(
            after - before
            for before, after in itertools.pairwise(self._times)
            if any(after > moment - 0.1 and before < moment + 0.5 for moment in moments)
        )
