"""Real plugins that run out of memory: others make room, a fresh worker tries again, once."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from pathlib import Path

import psutil
import pytest

from jobqueue_widget import Job, JobQueue, JobStatus, PluginManager
from jobqueue_widget.testing import inspect, machine_with
from tests.conditions import until
from tests.failures import CUDA, failing_manager
from tests.resources import Machine

pytestmark = pytest.mark.timeout(120)

FAILS = {
    "a GPU's": f"raise RuntimeError({CUDA!r})",
    "a MemoryError": "raise MemoryError()",
    "kill -9": "import os; os.kill(os.getpid(), 9)",
}


def short_once(path: Path, how: str = "a MemoryError") -> str:
    """A source that runs out of memory at its first run only, and counts its runs."""
    return (
        f"path = {str(path)!r}\n"
        "with open(path, 'a') as file: print('run', file=file)\n"
        f"if len(open(path).readlines()) == 1:\n    {FAILS[how]}"
    )


def runs(path: Path) -> int:
    return len(path.read_text().splitlines())


def idle_of(queue: JobQueue) -> set[str]:
    return {one["plugin"] for one in inspect(queue).meters.get("idle", ())}


async def pids_of(queue: JobQueue, *plugins: str) -> list[int]:
    """Each runs once, and is known to be idle then."""
    found = [await queue.submit_nowait(plugin, "pass") for plugin in plugins]
    await until(lambda: idle_of(queue) >= set(plugins))
    return found


@pytest.mark.parametrize("how", FAILS)
async def test_idle_plugins_make_room_and_a_fresh_worker_tries_again(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with machine_with(Machine()), failing_manager(tmp_path, "asr", "ocr", "tts") as manager:
        async with JobQueue(manager) as queue:
            mine, *others = await pids_of(queue, "asr", "ocr", "tts")
            told: list[tuple[str, object]] = []
            caplog.set_level(logging.WARNING, "jobqueue_widget")
            path = tmp_path / "runs"
            job = queue.submit_nowait("asr", short_once(path, how))
            queue.subscribe(lambda event: told.append((event.type, event.payload)))
            pid = await job
            assert pid != mine
            assert not any(map(psutil.pid_exists, [mine, *others]))
            assert runs(path) == job.attempt == 2
            assert (job.status, job.failure) == (JobStatus.completed, None)
            sentence = "out of memory: unloaded ocr, tts, trying again"
            assert job.status_message == sentence
            assert f"[{sentence}]" in job.logs()
            assert f"asr: {sentence}" in caplog.text
            await until(lambda: any(kind == "ended" for kind, _ in told))
            (retrying,) = (payload for kind, payload in told if kind == "retrying")
            assert isinstance(retrying, dict)
            assert (retrying["attempt"], retrying["unloading"]) == (2, ("ocr", "tts"))
            assert await queue.submit_nowait("ocr", "pass") not in others


@pytest.mark.parametrize("how", FAILS)
async def test_a_second_lack_of_memory_is_the_end(how: str, tmp_path: Path) -> None:
    with machine_with(Machine()), failing_manager(tmp_path, "asr", "ocr") as manager:
        async with JobQueue(manager) as queue:
            await pids_of(queue, "asr", "ocr")
            job = queue.submit_nowait("asr", FAILS[how])
            await queue.wait_for_job(job, timeout=60)
            assert (job.status, job.attempt) == (JobStatus.failed, 2)
            assert job.failure is not None
            assert (job.failure.category, job.failure.retriable) == ("resource", True)


async def failed_at_once(queue: JobQueue, job: Job, path: Path) -> bool:
    await queue.wait_for_job(job, timeout=60)
    assert job.failure is not None
    assert job.failure.category == "resource"
    return (job.status, job.attempt, runs(path)) == (JobStatus.failed, 1, 1)


async def test_with_nothing_to_unload_it_has_failed(tmp_path: Path) -> None:
    with machine_with(Machine()), failing_manager(tmp_path, "asr", "ocr") as manager:
        async with JobQueue(manager) as queue:
            (mine, _) = await pids_of(queue, "asr", "ocr")
            assert queue.unload("ocr")
            await until(lambda: "ocr" not in idle_of(queue))
            path = tmp_path / "runs"
            assert await failed_at_once(queue, queue.submit_nowait("asr", short_once(path)), path)
            assert await queue.submit_nowait("asr", "pass") != mine


async def test_what_must_not_run_twice_does_not(tmp_path: Path) -> None:
    with machine_with(Machine()), failing_manager(tmp_path, "asr", "ocr") as manager:
        async with JobQueue(manager) as queue:
            (_, other) = await pids_of(queue, "asr", "ocr")
            path = tmp_path / "runs"
            once = queue.options(idempotent=False)
            assert await failed_at_once(queue, once.submit_nowait("asr", short_once(path)), path)
            assert psutil.pid_exists(other)


def run(source: str) -> int:
    exec(source, {})
    return os.getpid()


@pytest.mark.parametrize("how", FAILS)
async def test_a_function_is_tried_again_only_if_it_may_be(how: str, tmp_path: Path) -> None:
    with machine_with(Machine()), failing_manager(tmp_path, "ocr") as manager:
        async with JobQueue(manager) as queue:
            (other,) = await pids_of(queue, "ocr")
            path = tmp_path / "once"
            job = queue.submit_nowait(run, short_once(path, how))
            assert await failed_at_once(queue, job, path)
            assert psutil.pid_exists(other)
            mine = await queue.submit_nowait(run, "pass")
            for options in ({"idempotent": True}, {"retries": 1}):
                await pids_of(queue, "ocr")
                path = tmp_path / f"again {options}"
                job = queue.options(**options).submit_nowait(run, short_once(path, how))
                assert await job != mine
                assert runs(path) == job.attempt == 2
                assert "unloaded ocr" in job.status_message


class Slow:
    """An eviction that lasts until it is let go."""

    def __init__(self, manager: PluginManager, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.let_go = threading.Event(), threading.Event()
        self._evict = manager.evict
        monkeypatch.setattr(manager, "evict", self)

    def __call__(self, name: str) -> str | None:
        self.asked.set()
        assert self.let_go.wait(60)
        return self._evict(name)


async def test_while_others_are_unloaded_the_row_says_so_and_it_can_be_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with machine_with(Machine()), failing_manager(tmp_path, "asr", "ocr") as manager:
        async with JobQueue(manager) as queue:
            await pids_of(queue, "asr", "ocr")
            slow = Slow(manager, monkeypatch)
            path = tmp_path / "runs"
            job = queue.submit_nowait("asr", short_once(path))
            await until(slow.asked.is_set)
            assert (job.status, job.attempt) == (JobStatus.pending, 2)
            assert job.block_reason == "out of memory: unloading ocr to try again"
            assert job.cancel(reason="enough")
            slow.let_go.set()
            await until(lambda: "ocr" not in idle_of(queue))
            assert (job.status, runs(path)) == (JobStatus.cancelled, 1)
            assert await queue.submit_nowait("asr", "pass")


@pytest.mark.parametrize("how", ["it works then", "it does not"])
async def test_a_kernel_that_dies_in_between_does_not_make_it_a_third_time(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, journal, copy = tmp_path / "runs", tmp_path / "runs.db", tmp_path / "copy.db"
    source = short_once(path) if how == "it works then" else FAILS["a MemoryError"]
    with machine_with(Machine()), failing_manager(tmp_path, "asr", "ocr") as manager:
        async with JobQueue(manager, journal=journal) as queue:
            await pids_of(queue, "asr", "ocr")
            slow = Slow(manager, monkeypatch)
            job = queue.submit_nowait("asr", source)
            await until(slow.asked.is_set)
            for suffix in ("", "-wal"):
                shutil.copy(f"{journal}{suffix}", f"{copy}{suffix}")
            slow.let_go.set()
            await queue.wait_for_job(job)
        await queue.close()
        path.unlink(missing_ok=True)
        path.write_text("run\n")  # as the kernel that died has left it
        async with JobQueue(manager, journal=copy) as again:
            kept = again.get_job(job.id)
            assert kept is not None
            assert (kept.status, kept.attempt, again.paused) == (JobStatus.pending, 2, True)
            again.resume()
            await pids_of(again, "ocr")
            await again.wait_for_job(kept)
            worked = how == "it works then"
            assert kept.status is (JobStatus.completed if worked else JobStatus.failed)
            assert kept.attempt == 2
        await again.close()


async def test_its_journal_tells_of_it(tmp_path: Path) -> None:
    path, journal = tmp_path / "runs", tmp_path / "runs.db"
    with machine_with(Machine()), failing_manager(tmp_path, "asr", "ocr") as manager:
        async with JobQueue(manager, journal=journal) as queue:
            await pids_of(queue, "asr", "ocr")
            job = queue.submit_nowait("asr", short_once(path))
            await job
        await queue.close()
        async with JobQueue(manager, journal=journal) as again:
            kept = again.get_job(job.id)
            assert kept is not None
            assert (kept.status, kept.attempt) == (JobStatus.completed, 2)
            assert "unloaded ocr" in kept.status_message
            assert "unloaded ocr" in kept.logs()
        await again.close()
