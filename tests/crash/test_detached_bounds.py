"""What a detached job tells and prints is bounded, also while no kernel takes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobqueue_widget import Job
from jobqueue_widget.child.detached.bounds import FRAMES_MORE, LOG_KEPT
from tests.conditions import until
from tests.crash.detached import LINE, Told, killed, print_much, tell_much
from tests.crash.processes import wait_until
from tests.journals import running

pytestmark = pytest.mark.timeout(180)
MIB = 1 << 20
PRINTED = 200 * MIB
UPDATES = 2_000  # of 20 kB each


def file_of(journal: Path, job_id: str, name: str) -> Path:
    return journal.with_name(f"{journal.name}.detached") / f"{job_id}.1" / name


LAST = LINE % (PRINTED // len(LINE % 0) - 1)
DROPPED = re.compile(rb"\n\[\.\.\. (\d+) bytes were dropped here \.\.\.\]\n")


async def test_of_much_output_without_a_kernel_the_newest_is_kept(tmp_path: Path) -> None:
    """What is read and what is told as dropped is all that was printed, to the byte."""
    journal, go = tmp_path / "runs.db", tmp_path / "go"
    jobs: Told = ("print_much", [str(go), PRINTED // MIB], {})
    (job_id,) = killed(journal, jobs, after=(tmp_path / "go.begun").exists)
    (tmp_path / "go.start").touch()
    wait_until((tmp_path / "go.done").exists, 60)
    log = file_of(journal, job_id, "log")
    assert log.stat().st_size == PRINTED
    wait_until(lambda: log.stat().st_blocks * 512 < 2 * LOG_KEPT + MIB, 10)
    async with running(journal) as queue:
        job = queue[job_id]
        await until(lambda: job.logs(1).encode() == LAST)
        go.touch()
        await job
        assert job.logs(1).encode() == LAST
        start, text, size = job.read_log(0, 10**9)
        text += job.read_log(len(text), 10**9)[1]
        assert (start, len(text)) == (0, size)
    (found,) = DROPPED.finditer(text)
    assert found.start() == 0, "the beginning is what is dropped"
    at, kept = int(found[1]), text[found.end() :]
    assert len(kept) >= LOG_KEPT
    assert at + len(kept) == PRINTED
    assert kept == b"".join(LINE % number for number in range(at // 1024, PRINTED // 1024))


async def test_much_output_is_followed_as_it_is_freed(tmp_path: Path) -> None:
    (tmp_path / "go.start").touch()
    async with running(tmp_path / "runs.db", detached=True) as queue:
        job = queue.submit_nowait(print_much, str(tmp_path / "go"), PRINTED // MIB)
        await until((tmp_path / "go.done").exists, 60)
        (tmp_path / "go").touch()
        await job
        assert job.logs(100).encode().endswith(LAST)
        assert "\0" not in job.logs(10**9)


@pytest.mark.parametrize("followed", [False, True], ids=["alone", "followed"])
async def test_what_is_shown_in_place_of_something_and_measured_is_bounded(
    tmp_path: Path, followed: bool
) -> None:
    """40 MB are told, and one output and a thousand points are what is left of it."""
    journal, go = tmp_path / "runs.db", tmp_path / "go"
    if followed:
        async with running(journal) as queue:
            job = queue.options(detached=True).submit_nowait(tell_much, str(go), UPDATES)
            job_id = job.id
            await until((tmp_path / "go.done").exists, 60)
            await until(lambda: job.metrics and job.metrics["loss"][-1][0] == UPDATES)
            check_told(job)
    else:
        jobs: Told = ("tell_much", [str(go), UPDATES], {})
        (job_id,) = killed(journal, jobs, after=(tmp_path / "go.done").exists)
    assert file_of(journal, job_id, "frames").stat().st_size < 2 * FRAMES_MORE
    async with running(journal) as queue:
        job = queue[job_id]
        go.touch()
        await job
        check_told(job)


def check_told(job: Job) -> None:
    """As it would be if every frame had been taken."""
    shown = [output.data["text/html"] for output in job.outputs]
    assert len(shown) == 2
    assert shown[0].startswith(f"{UPDATES} ")
    assert shown[1] == "another"
    steps = [step for step, _ in job.metrics["loss"]]
    assert steps == sorted(set(steps)), "points are there twice"
    assert steps[0] == 1
    assert steps[-1] == UPDATES
    assert len(steps) > 300
