"""Detached jobs that do odd things to themselves: each is found, told and ended all the same."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
from pathlib import Path

import pytest

from jobqueue_widget import JobStatus, ResultNotKeptError, read_journal
from jobqueue_widget.__main__ import main
from tests.conditions import until
from tests.crash.detached import Beats, Told, beat, dying, killed, processes_of, report_in_a_fork
from tests.crash.processes import alive, pids_in, wait_until
from tests.journals import running

pytestmark = pytest.mark.timeout(120)


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


@pytest.mark.skipif(sys.platform != "linux", reason="macOS tells of the whole process only")
async def test_how_it_ended_is_told_where_its_first_thread_ended_before_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a zombie then that nobody can wait for yet, and there is no pidfd that knows it."""

    def refused(pid: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "pidfd_open", refused)
    async with running(tmp_path / "runs.db", detached=True) as queue:
        jobs = [queue.submit_nowait(end_this_thread) for _ in range(5)]
        await queue.join(timeout=30)
        told = [str(job.exception()) for job in jobs]
    assert all("worker ended by SIGKILL" in one for one in told), told


SYS_EXIT = {"x86_64": 60, "aarch64": 93}


def end_this_thread() -> None:
    ctypes.CDLL(None).syscall(SYS_EXIT[platform.machine()], 0)


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


@pytest.mark.parametrize("limit", ["timeout", "deadline"])
@pytest.mark.parametrize("followed", [False, True], ids=["alone", "followed"])
async def test_what_holds_the_interpreter_is_ended_by_its_limit_and_that_is_told(
    tmp_path: Path, limit: str, followed: bool
) -> None:
    journal, pid = tmp_path / "runs.db", tmp_path / "pid"
    seconds = 2.0 if limit == "timeout" else 4.0
    (job_id,) = killed(
        journal, ("hold_the_interpreter", [str(pid)], {limit: seconds}), after=pid.exists
    )
    if not followed:
        wait_until(lambda: not alive(pids_in(pid)[0]), 30)
        (listed,) = read_journal(journal)
        assert listed.status == "failed"
    async with running(journal) as queue:
        job = queue[job_id]
        await until(lambda: job.status.ended, 30)
        said = {
            "timeout": "TimeLimitExceeded: time limit 2 s",
            "deadline": "DeadlineExceeded: deadline, 4 s after the submit",
        }[limit]
        assert job.error == said
        assert job.failure is not None
        if not followed:
            assert listed.error == said
            assert "hold_the_interpreter" in job.failure.traceback
            assert job.started_at is not None
            assert job.completed_at is not None
            assert job.completed_at - job.started_at < 20


async def test_what_holds_the_interpreter_is_forced_by_the_next_kernel(tmp_path: Path) -> None:
    journal, pid = tmp_path / "runs.db", tmp_path / "pid"
    (job_id,) = killed(journal, ("hold_the_interpreter", [str(pid)], {}), after=pid.exists)
    async with running(journal, cancel_timeout=0.3) as queue:
        job = queue[job_id]
        job.cancel(reason="enough")
        await until(lambda: job.status.ended)
        assert (job.status, job.cancel_reason) == (JobStatus.cancelled, "enough")
    assert not alive(pids_in(pid)[0])


def test_what_holds_the_interpreter_is_ended_without_a_kernel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, pid = tmp_path / "runs.db", tmp_path / "pid"
    (job_id,) = killed(journal, ("hold_the_interpreter", [str(pid)], {}), after=pid.exists)
    assert main([str(journal), "--cancel", job_id]) == 0
    assert "it did not stop by itself and was ended" in capsys.readouterr().out
    assert not alive(pids_in(pid)[0])
    assert read_journal(journal)[0].status == "cancelled"


async def test_a_body_that_returned_in_time_is_done_though_its_value_never_came(
    tmp_path: Path,
) -> None:
    """The limit is for the work, and nobody was there to see that this was done."""
    journal = tmp_path / "runs.db"
    (job_id,) = killed(
        journal,
        ("return_what_packs_slowly", [], {"timeout": 2.0}),
        after=lambda: processes_of(journal),
    )
    wait_until(lambda: not processes_of(journal), 30)
    async with running(journal) as queue:
        job = queue[job_id]
        await queue.join(timeout=20)
        assert job.status is JobStatus.completed, job.error
        with pytest.raises(ResultNotKeptError, match="time limit 2 s before it was written"):
            await job
