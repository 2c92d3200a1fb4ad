"""Plugins in a storm: jobs, cancels, evictions, reloads and killed workers at random moments."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue_widget import Job, JobQueue, JobStatus, PluginManager
from jobqueue_widget.testing import inspect
from tests.own_manager import own_manager

JOBS = 60

# A worker may be killed while it is loaded. Ignored here, not in the threads: their filters mix.
pytestmark = pytest.mark.filterwarnings("ignore::jobqueue_widget.PluginLoadWarning")


class Storm:
    """One thread that does odd things to a manager until it is told to end."""

    def __init__(self, manager: PluginManager, jobs: list[Job], seed: str) -> None:
        self.done: Counter[str] = Counter()
        self.broken: list[BaseException] = []
        self._manager = manager
        self._jobs = jobs
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"storm {seed}")
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self.broken:
            raise self.broken[0]

    def _run(self) -> None:
        acts: list[Callable[[], object]] = [
            self.evict,
            self.kill,
            self.configure,
            self.reload,
            *[self.cancel, self.force, self.look] * 3,
        ]
        try:
            while not self._over.wait(self._random.random() * 0.05):
                act = self._random.choice(acts)
                self.done[act.__name__] += 1
                act()
        except BaseException as error:
            self.broken.append(error)

    def evict(self) -> None:
        assert self._manager.evict("toolbox") in (None, "busy")

    def kill(self) -> None:
        for worker in self._manager.loaded()[:1]:
            if worker.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)

    def configure(self) -> None:
        self._manager.update_plugin_config("toolbox", {"number": self._random.random()})

    def reload(self) -> None:
        self._manager.reload_plugin("toolbox")

    def cancel(self) -> None:
        if self._jobs:
            self._random.choice(self._jobs).cancel()

    def force(self) -> None:
        if self._jobs:
            self._random.choice(self._jobs).cancel(force=True)

    def look(self) -> None:
        self._manager.get_plugin_config("toolbox")
        self._manager.get_plugin_stats("toolbox")
        self._manager.get_plugin_logs("toolbox")


async def storm(folder: Path, seed: str, rounds: int, note: Callable[[str], None]) -> None:
    """Every job ends once, whatever happens; the plugin works afterwards."""
    choose = random.Random(seed)
    ends: Counter[str] = Counter()
    with own_manager(folder, plugins=["toolbox"], workers=2) as manager:
        async with JobQueue(manager, max_running=3, cancel_timeout=0.1) as queue:
            for number in range(rounds):
                jobs: list[Job] = []
                storms = [Storm(manager, jobs, f"{seed} {number} {n}") for n in range(2)]
                for _ in range(JOBS):
                    what = choose.choice(
                        [("echo", 1), ("sleep", 0.02), ("fail",), ("exit", 3), ("track", 50)]
                    )
                    jobs.append(queue.submit_nowait("toolbox", *what))
                    await asyncio.sleep(choose.random() * 0.01)
                await asyncio.gather(*(queue.wait_for_job(job, timeout=50) for job in jobs))
                for one in storms:
                    await asyncio.to_thread(one.end)
                ends.update(job.status.value for job in jobs)
                assert not any(job.status is JobStatus.running for job in jobs)
            assert inspect(queue).faults.bugs == 0
            assert not inspect(queue).alive.executions
            assert await asyncio.wait_for(queue.submit_nowait("toolbox", "echo", 7), 30) == 7
        deadline = time.monotonic() + 20
        while any(worker.busy for worker in manager.loaded()) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert not any(worker.busy for worker in manager.loaded()), "a slot was lost"
        calls = [manager.execute_plugin_async("toolbox", "echo", n) for n in range(10)]
        assert await asyncio.wait_for(asyncio.gather(*calls), 30) == list(range(10))
    note(f"plugin storm {seed}: {dict(ends)}")
    assert sum(ends.values()) == JOBS * rounds


@pytest.mark.timeout(120)
async def test_a_storm_loses_no_job_and_no_slot(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    await storm(tmp_path, f"{seed}", 2, note)


@pytest.mark.long
async def test_a_long_storm_loses_no_job_and_no_slot(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    await storm(tmp_path, f"{seed} long", 60, note)
