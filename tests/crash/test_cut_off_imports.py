"""A job that is stopped while it imports something: what is left of that is never met again.

Python forgets a package whose import was cut off, and keeps the parts of it that were there
already. Whoever imports it then in the same process is not given them once more: `asyncio` and
many others can never be imported there again.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobCancelled, JobQueue, JobStatus, PluginManager
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.own_manager import own_manifest

SOON = 20.0
TOLD = "stopped in the middle of an import"

PACKAGE = """
import os
import time
from pathlib import Path

from .part import *

here = Path(__file__).parent
if (here / "slow").exists():
    (here / "begun").touch()
    time.sleep(60)
answer = part.answer  # as `asyncio` finds what it has imported


def work():
    return os.getpid()
"""

PLUGIN = """
import os


class Importer:
    name = "importer"
    version = "1"

    def initialize(self, config=None):
        pass

    def execute(self):
        import parted

        return os.getpid()
"""


class Package:
    """On the disk; its import takes a minute, or no time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "parted"
        self.folder.mkdir()
        (self.folder / "__init__.py").write_text(PACKAGE)
        (self.folder / "part.py").write_text("answer = 42\n")
        self.begun = (self.folder / "begun").exists

    def be_slow(self) -> None:
        (self.folder / "slow").touch()

    def be_quick(self) -> None:
        (self.folder / "slow").unlink()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Package(tmp_path)
    for name in ("parted", "parted.part"):
        sys.modules.pop(name, None)


def in_its_body() -> Any:
    return importlib.import_module("parted").work()


def caught_by_it() -> Any:
    with contextlib.suppress(JobCancelled):
        return importlib.import_module("parted").work()
    return os.getpid()


def as_it_is_loaded() -> Callable[[], Any]:
    """What is found by its name in a module that the worker does not have yet."""
    work: Callable[[], Any] = importlib.import_module("parted").work
    return work


@pytest.mark.parametrize("end", ["cancelled", "timed out"])
@pytest.mark.parametrize("where", [in_its_body, caught_by_it, as_it_is_loaded])
async def test_a_worker_that_was_stopped_in_an_import_takes_no_further_job(
    where: Callable[[], Any], end: str, package: Package
) -> None:
    function = as_it_is_loaded() if where is as_it_is_loaded else where
    package.be_slow()
    async with JobQueue(cancel_timeout=SOON) as queue:
        options = {"timeout": 4.0} if end == "timed out" else {}
        job = queue.options(**options).submit_nowait(function)
        await until(package.begun)
        worker = inspect(queue).processes[job.id]
        if end == "cancelled":
            job.cancel()
        await queue.wait_for_job(job, timeout=SOON)
        assert job.status is (JobStatus.cancelled if end == "cancelled" else JobStatus.failed)
        package.be_quick()
        for _ in range(3):
            assert await queue.submit_nowait(function) != worker
        assert TOLD in job.logs()


async def test_a_worker_that_was_stopped_after_an_import_is_kept(
    package: Package, tmp_path: Path
) -> None:
    def imports_and_waits() -> None:
        import time

        in_its_body()
        (tmp_path / "imported").touch()
        time.sleep(60)

    async with JobQueue(cancel_timeout=SOON) as queue:
        worker = await queue.submit_nowait(in_its_body)
        job = queue.submit_nowait(imports_and_waits)
        await until((tmp_path / "imported").exists)
        job.cancel()
        await queue.wait_for_job(job, timeout=SOON)
        assert await queue.submit_nowait(in_its_body) == worker
        assert TOLD not in job.logs()


async def test_a_plugin_that_was_stopped_in_an_import_is_given_a_new_worker(
    package: Package, tmp_path: Path
) -> None:
    (tmp_path / "importer.py").write_text(PLUGIN)
    path = {"PYTHONPATH": str(tmp_path)}
    manifest = own_manifest(
        "importer", "Importer", module="importer", config_schema=None, env_vars=path
    )
    package.be_slow()
    with PluginManager(search_paths=[], data_dir=tmp_path / "data") as manager:
        assert manager.load_plugin(manifest)
        handle = manager.get_plugin("importer")
        assert handle is not None
        worker = handle.pid
        async with JobQueue(manager, cancel_timeout=SOON) as queue:
            job = queue.submit_nowait("importer")
            await until(package.begun)
            job.cancel()
            await queue.wait_for_job(job, timeout=SOON)
            assert job.status is JobStatus.cancelled
            package.be_quick()
            assert await queue.submit_nowait("importer") != worker
            assert TOLD in job.logs()
