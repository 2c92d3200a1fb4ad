"""A Dask scheduler and its workers as processes on the loopback interface, to use and to kill."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 30.0
# Without its dashboard too it serves health and figures, on every interface unless told otherwise.
NO_PAGES = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


class DaskProcesses:
    """Each with one thread per worker; without nannies, so that a killed worker stays away."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.log = folder / "log"
        self._log = self.log.open("ab")
        self._count = 0
        self.scheduler = self._start_scheduler(0)
        deadline = time.monotonic() + START_SECONDS
        while not self.file.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no Dask scheduler: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)
        self.workers: list[subprocess.Popen[bytes]] = []

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=Path(__file__).parents[2],
        )

    def _start_scheduler(self, port: int) -> subprocess.Popen[bytes]:
        where = ("--host", "127.0.0.1", "--port", str(port), *NO_PAGES)
        return self._start(
            *("-m", "distributed.cli.dask_scheduler"), *where, "--scheduler-file", str(self.file)
        )

    def start_scheduler_again(self) -> None:
        """After it was killed, at the same address."""
        self.scheduler.wait()
        address = json.loads(self.file.read_text())["address"]
        self.scheduler = self._start_scheduler(int(address.rpartition(":")[2]))

    def start_worker(self, *options: str, code: str = "") -> subprocess.Popen[bytes]:
        """One more; `code` instead of the usual program."""
        self._count += 1
        program = ("-c", code) if code else ("-m", "distributed.cli.dask_worker")
        worker = self._start(
            *program,
            "--scheduler-file",
            str(self.file),
            *("--nthreads", "1", "--no-nanny", *NO_PAGES, "--host", "127.0.0.1"),
            *("--name", f"worker-{self._count}", "--local-directory", str(self.file.parent)),
            *options,
        )
        self.workers.append(worker)
        return worker

    def client(self, **settings: Any) -> Any:
        """A new one; synchronous unless told otherwise."""
        import distributed

        return distributed.Client(scheduler_file=str(self.file), **settings)

    def close(self) -> None:
        """End all of them."""
        for process in [*self.workers, self.scheduler]:
            process.kill()
        for process in [*self.workers, self.scheduler]:
            process.wait()
        self._log.close()


def settle(client: Any, workers: int = 2) -> None:
    """All workers are there, and the threads and connections that the client keeps for itself."""
    from distributed.utils import offload

    client.wait_for_workers(workers)
    client.submit(bytes, 1_000_000).result()

    async def at_once() -> None:
        await offload(bytes)
        await asyncio.gather(*(client.scheduler.identity() for _ in range(4)))

    client.sync(at_once)


@contextmanager
def dask_processes(folder: Path, workers: int = 2) -> Iterator[DaskProcesses]:
    """A scheduler and so many workers."""
    processes = DaskProcesses(folder)
    try:
        for _ in range(workers):
            processes.start_worker()
        yield processes
    finally:
        processes.close()
