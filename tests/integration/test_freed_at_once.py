"""What an ended job leaves is freed when nobody holds it, not when the collector comes by.

Cycles of objects are found by the collector, and in a kernel with much in it that comes late: the
memory of a night would go up in steps of thousands of jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, PluginManager, current_job
from jobqueue_widget._core.jobs import JobRecord
from jobqueue_widget._core.lazy import LazyResult
from jobqueue_widget._runtime.storage.told.logs import JobLog
from jobqueue_widget.testing import FakePluginHost
from tests.conditions import until
from tests.journals import opened, running
from tests.own_manager import own_manifest

KEPT = 2
KINDS: tuple[type, ...] = (JobRecord, JobLog, LazyResult)


class Counter:
    """Counts objects made since the test began: a test that failed before holds its own."""

    def __init__(self) -> None:
        self._before = {kind: self._all(kind) for kind in KINDS}

    def _all(self, kind: type) -> int:
        return sum(type(one) is kind for one in gc.get_objects())

    def __call__(self, kind: type) -> int:
        return self._all(kind) - self._before[kind]


@pytest.fixture
def count() -> Iterator[Counter]:
    gc.collect()
    gc.disable()
    yield Counter()
    gc.enable()


def works(text: str) -> str:
    current_job().report(0.5, text)
    print(text)
    return text


def fails(text: str) -> None:
    print(text)
    raise ValueError(text) from KeyError(text)


def waits(text: str) -> None:
    print(text)
    while True:
        current_job().checkpoint()


async def works_here(text: str) -> str:
    await asyncio.sleep(0)
    return works(text)


async def fails_here(text: str) -> None:
    await asyncio.sleep(0)
    fails(text)


async def waits_here(text: str) -> None:
    print(text)
    await asyncio.sleep(600)


def plugin_works(plugin: Any, text: str) -> str:
    plugin.report(0.5, text)
    return text


def plugin_fails(plugin: Any, text: str) -> None:
    raise ValueError(text)


def plugin_waits(plugin: Any, text: str) -> None:
    plugin.pause(600)


OWN_PLUGINS = """
import time


class Works:
    name, version = "plugin", "1"

    def initialize(self, config=None):
        pass

    def execute(self, text):
        print(text)
        return text


class Fails(Works):
    def execute(self, text):
        raise ValueError(text)


class Waits(Works):
    def execute(self, text):
        time.sleep(600)
"""


@contextlib.contextmanager
def host_of(where: str, folder: Path) -> Iterator[Any]:
    """What has the plugins: a double, or our manager with real workers."""
    if where != "own plugin":
        yield FakePluginHost(works=plugin_works, fails=plugin_fails, waits=plugin_waits)
        return
    (folder / "own_plugins.py").write_text(OWN_PLUGINS)
    with PluginManager(search_paths=[], data_dir=folder / "data") as manager:
        for name in ("works", "fails", "waits"):
            more = {"module": "own_plugins", "env_vars": {"PYTHONPATH": str(folder)}}
            manifest = own_manifest(name, name.title(), config_schema=None, **more)
            assert manager.load_plugin(manifest, lazy=True)
        yield manager


TARGETS: dict[str, tuple[Any, Any, Any]] = {
    "process": (works, fails, waits),
    "thread": (works, fails, waits),
    "coroutine": (works_here, fails_here, waits_here),
    "plugin": ("works", "fails", "waits"),
    "own plugin": ("works", "fails", "waits"),
}
ENDS = (
    *("completed", "failed", "asked to stop", "forced"),
    *("cancelled while pending", "retried", "child"),
)


async def run(queue: JobQueue, where: str, end: str, number: int) -> None:
    """One job, to its end; nothing of it is held afterwards."""
    text = f"{number} {'x' * 5_000}"
    good, bad, endless = TARGETS[where]
    place = {"executor": where} if where in ("process", "thread") else {}
    options = queue.options(**place)
    stopped = end in ("asked to stop", "forced")
    job = options.submit_nowait(endless if stopped else bad if end == "failed" else good, text)
    if end == "cancelled while pending":
        job.cancel()
    if stopped:
        await until(lambda: job.status == "running" and not job.phase)
        job.cancel(force=end == "forced")
    await queue.wait_for_job(job.id)
    if end == "retried":
        await queue.wait_for_job(job.retry().id)
    if end == "child":
        child = queue.options(after=job, **place).submit_nowait(good, text)
        await queue.wait_for_job(child.id)


@pytest.mark.parametrize(
    ("where", "with_journal"),
    [
        ("coroutine", False),
        ("thread", False),
        ("plugin", False),
        ("own plugin", False),
        ("process", False),
        ("process", True),
    ],
)
@pytest.mark.parametrize("end", ENDS)
async def test_a_job_is_gone_with_its_last_reference(
    where: str,
    end: str,
    with_journal: bool,
    count: Counter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobqueue_widget.executors.process.KILL_PATIENCE", 600.0)
    journal = tmp_path / "runs.db" if with_journal else None
    kept: dict[str, Any] = {"max_history": KEPT, "keep_ended": KEPT}
    with host_of(where, tmp_path) as host:
        of_plugins = count(JobLog)
        async with JobQueue(host, journal=journal, cancel_timeout=0.5, **kept) as queue:
            for number in range(5):
                await run(queue, where, end, number)
            await until(lambda: count(JobRecord) <= KEPT)  # and what its executor did last
            await until(lambda: count(JobLog) <= KEPT + of_plugins)


@pytest.mark.parametrize("with_journal", [False, True])
async def test_what_was_moved_away_does_not_hold_its_job(
    with_journal: bool, count: Counter, tmp_path: Path
) -> None:
    journal = tmp_path / "runs.db" if with_journal else None
    async with JobQueue(journal=journal, keep_bytes=0, max_history=KEPT, keep_ended=KEPT) as queue:
        for number in range(5):
            job = queue.submit_nowait(works, f"{number} {'x' * 500_000}")
            await job
            record = job._record
            while type(record.result) is not LazyResult:
                await asyncio.sleep(0.01)
            assert len(job.result) > 500_000
        del job, record
        await until(lambda: count(JobRecord) <= KEPT)
        assert count(LazyResult) <= KEPT


async def looked_at(queue: JobQueue) -> None:
    """Let a job run until the machine has been looked at, and no longer."""
    job = queue.submit_nowait(time.sleep, 60)
    await until(lambda: job._record.usage is not None)
    job.cancel(timeout=0.0)
    await queue.wait_for_job(job)


async def test_a_job_whose_memory_was_looked_at_is_gone_with_its_last_reference(
    count: Counter,
) -> None:
    async with JobQueue(max_history=KEPT, keep_ended=KEPT) as queue:
        await looked_at(queue)
        await asyncio.gather(*(queue.submit_nowait(works, str(n)) for n in range(5)))
        await until(lambda: count(JobRecord) <= KEPT)  # without another look


async def test_a_job_that_came_back_is_gone_with_its_last_reference(
    count: Counter, tmp_path: Path
) -> None:
    async with running(tmp_path / "runs.db") as queue:
        for number in range(5):
            await run(queue, "process", "completed", number)
    before = count(JobRecord)
    with opened(tmp_path / "runs.db") as again:
        for job in again.jobs():
            assert job.result
            assert job.logs()
        del job
        assert count(JobRecord) == before + 5
        again.forget(status="completed")
        assert count(JobRecord) == before
