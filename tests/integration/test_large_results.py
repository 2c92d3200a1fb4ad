"""Large results: what they leave on disk and in workers, and what if there is no room for them."""

from __future__ import annotations

import os
import shutil

import psutil
import pytest

from jobqueue_widget import JobQueue, NotKept, current_job
from jobqueue_widget.child import wire
from jobqueue_widget.testing import inspect
from tests.conditions import until

MIB = 1 << 20
LARGE = 40 * MIB  # more than goes through the pipe in one frame


def make(size: int) -> bytes:
    return bytes(size)


def make_where_nothing_fits(size: int) -> bytes:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 * MIB, resource.RLIM_INFINITY))
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return bytes(size)


def write_slowly(size: int) -> bytes:
    """As if the disk were slow: the end comes while the file is being written."""
    from jobqueue_widget.child import wire

    def write_all(fd: int, pieces: object) -> None:
        os.write(fd, b"a part of it")
        current_job().report(0.5, "writing")
        import time

        time.sleep(60)

    wire.write_all = write_all
    return bytes(size)


def keep_and_sum(data: bytes) -> int:
    return sum(data[:10])


def files_of(queue: JobQueue) -> list[str]:
    spool = inspect(queue).folder
    return [] if spool is None else [path.name for path in spool.iterdir()]


async def test_what_does_not_fit_the_spool_folder_comes_through_the_pipe() -> None:
    async with JobQueue() as queue:
        for size in (LARGE, 3 * LARGE):
            job = queue.submit_nowait(make_where_nothing_fits, size)
            assert await job == bytes(size)
            assert job.attempt == 1
        assert files_of(queue) == []
        assert await queue.submit_nowait(make, LARGE) == bytes(LARGE)


async def test_a_forced_end_leaves_no_part_of_a_result() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(write_slowly, LARGE)
        await until(lambda: any(name.startswith("result-") for name in files_of(queue)))
        job.cancel(force=True)
        await queue.wait_for_job(job)
        assert job.status == "completed", "its body has returned"
        assert isinstance(job.result, NotKept)
        assert files_of(queue) == []


@pytest.mark.parametrize("round_", range(2))
async def test_the_spool_folder_may_be_removed_at_any_time(round_: int) -> None:
    async with JobQueue(keep_bytes=0) as queue:
        held = []
        for _ in range(3):
            held.append(queue.submit_nowait(make, LARGE))
            assert await held[-1] == bytes(LARGE)
            folder = inspect(queue).folder
            assert folder is not None
            shutil.rmtree(folder, ignore_errors=True)
        inside = inspect(queue)
        inside.engine.log_of(inside.record(held[0])).write(b"x" * MIB)
        assert held[0].logs(1)
    folder = inside.folder
    assert folder is None or not folder.exists() or files_of(queue)
    await queue.close()


async def test_a_stop_minds_no_spool_folder_that_is_gone() -> None:
    async with JobQueue() as queue:
        assert await queue.submit_nowait(make, LARGE) == bytes(LARGE)
        folder = inspect(queue).folder
        assert folder is not None
        shutil.rmtree(folder)
    await queue.close()


async def test_a_worker_that_waits_holds_nothing_of_its_last_job() -> None:
    async with JobQueue() as queue:
        assert await queue.submit_nowait(keep_and_sum, b"\0") == 0
        before = _resident()
        assert await queue.submit_nowait(keep_and_sum, bytes(2 * LARGE)) == 0
        await until(lambda: _resident() < before + LARGE // 2)
        assert len(await queue.submit_nowait(make, 2 * LARGE)) == 2 * LARGE
        await until(lambda: _resident() < before + LARGE // 2)


def _resident() -> int:
    """Bytes of all workers."""
    children = psutil.Process().children()
    workers = [child for child in children if "function_worker.py" in " ".join(child.cmdline())]
    return sum(worker.memory_info().rss for worker in workers)


CAP = wire.FRAME_CAP


@pytest.mark.parametrize("size", [0, 1, CAP // 2 - 4, CAP // 2 - 3, CAP // 2 + 1, CAP + 9])
def test_frames_of_any_size_are_under_the_cap_and_make_the_whole(size: int) -> None:
    head, data = b"head", bytes(size)
    raw = b"".join(wire.pieces(wire.END, 7, [head, data]))
    at = 0
    found: list[bytes] = []
    while at < len(raw):
        kind, number, length = wire.HEADER.unpack_from(raw, at)
        at += wire.HEADER.size
        assert length <= CAP
        assert number == 7
        found.append(raw[at : at + length])
        at += length
        assert kind == (wire.END if at == len(raw) else wire.MORE)
    assert b"".join(found) == head + data
