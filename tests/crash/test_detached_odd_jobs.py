"""Detached jobs that do odd things to themselves: each is found, told and ended all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue_widget import JobStatus, ResultNotKeptError, read_journal
from jobqueue_widget.__main__ import main
from tests.conditions import until
from tests.crash.detached import (
    Beats,
    Told,
    beat,
    dying,
    processes_of,
    report_in_a_fork,
)
from tests.crash.processes import alive, pids_in, wait_until
from tests.journals import running

pytestmark = pytest.mark.timeout(120)


def killed(journal: Path, *jobs: Told, after: Callable[[], object]) -> list[str]:
    """Submit in a kernel, wait for something, and kill it; the ids of the jobs."""
    with dying(journal, *jobs) as kernel:
        wait_until(after, 30)
        kernel.kill()
    return kernel.ids


async def test_one_that_has_overwritten_its_environment_is_found(tmp_path: Path) -> None:
    """As `setproctitle` does, which libraries call: then nothing stands in /proc of its id."""
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    (job_id,) = killed(journal, ("beat_unnamed", [str(beats), 600], {}), after=beats.exists)
    assert read_journal(journal)[0].status == "running"
    async with running(journal, cancel_timeout=1.0) as queue:
        job = queue[job_id]
        await until(lambda: (job.progress or 0) > 0)
        job.cancel(force=True)
        await until(lambda: job.status.ended)
        assert job.status is JobStatus.cancelled
    assert not any(map(alive, Beats(beats).pids))


async def test_what_it_has_started_is_not_taken_for_it_when_its_folder_is_gone(
    tmp_path: Path,
) -> None:
    """A daemon of the job has its id and a session of its own, and does not end with it."""
    journal, pids = tmp_path / "runs.db", tmp_path / "pids"
    (job_id,) = killed(journal, ("start_a_daemon", [str(pids)], {}), after=pids.exists)
    own, daemon = pids_in(pids)
    os.kill(own, signal.SIGKILL)
    wait_until(lambda: not alive(own), 10)
    for name in ("claim", "frames"):
        (tmp_path / "runs.db.detached" / f"{job_id}.1" / name).unlink()
    async with running(journal) as queue:
        await queue.join(timeout=20)
        assert queue[job_id].status is JobStatus.failed
        assert not alive(daemon)


async def test_a_fork_of_the_job_does_not_report_for_it(tmp_path: Path) -> None:
    async with running(tmp_path / "runs.db", detached=True) as queue:
        job = queue.submit_nowait(report_in_a_fork, str(tmp_path / "go"))
        await until(lambda: job.as_row()["message"] == "of the job")
        (tmp_path / "go").touch()
        await job
        assert job.as_row()["message"] == "of the job"


async def test_the_next_kernel_does_not_interrupt_what_it_does_since_it_was_asked(
    tmp_path: Path,
) -> None:
    """It was asked by the first kernel, and saves what it has. The next one only waits for it."""
    journal, path = tmp_path / "runs.db", tmp_path / "saved"
    jobs: list[Told] = [("save_when_asked", [str(path)], {})]
    with dying(journal, *jobs, end=f"detached.cancel_and_die(queue, {str(path)!r})") as kernel:
        wait_until(path.with_suffix(".begun").exists, 30)
        kernel.finish()
    async with running(journal) as queue:
        job = queue[kernel.ids[0]]
        assert job.as_row()["cancel_phase"] == "asked"
        path.with_suffix(".go").touch()
        await until(lambda: job.status.ended)
        assert job.status is JobStatus.cancelled
    assert path.read_text() == "saved"


async def test_a_result_that_cannot_be_pickled_is_told_to_the_next_kernel(tmp_path: Path) -> None:
    journal, go = tmp_path / "runs.db", tmp_path / "go"
    (job_id,) = killed(
        journal, ("unpicklable", [str(go)], {}), after=go.with_suffix(".begun").exists
    )
    go.touch()
    wait_until(lambda: not processes_of(journal), 20)
    async with running(journal) as queue:
        await queue.join(timeout=20)
        job = queue[job_id]
        assert job.status is JobStatus.completed
        with pytest.raises(ResultNotKeptError, match="cannot be pickled"):
            await job


async def test_a_journal_in_a_folder_with_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a folder,\twith 'blanks' & ünï"
    folder.mkdir()
    journal, beats = folder / "my runs.db", folder / "beats"
    (job_id,) = killed(journal, ("beat", [str(beats), 600], {}), after=beats.exists)
    async with running(journal) as queue:
        job = queue[job_id]
        await until(lambda: (job.progress or 0) > 0)
    assert main([str(journal), "--cancel", job_id]) == 0
    assert not any(map(alive, Beats(beats).pids))


async def test_a_sigterm_that_others_send_it_is_told(tmp_path: Path) -> None:
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    async with running(journal, detached=True) as queue:
        job = queue.submit_nowait(beat, str(beats), 600)
        await until(beats.exists)
        os.kill(processes_of(journal)[0], signal.SIGTERM)
        await until(lambda: job.status.ended)
        assert job.error == "WorkerDied: worker ended by SIGTERM"
