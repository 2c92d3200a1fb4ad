"""Detached jobs without a kernel, from the command line: listed, followed, cancelled."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, JobStatus, read_journal
from jobqueue_widget.__main__ import main
from jobqueue_widget.errors import JournalInUseError
from jobqueue_widget.widget.model import QueueSource
from tests.crash.detached import REPOSITORY, Beats, dying
from tests.crash.processes import alive, pids_in, wait_until
from tests.journals import running

pytestmark = pytest.mark.timeout(120)


def words_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


async def test_a_job_is_listed_followed_and_cancelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    with dying(journal, ("beat", [str(beats), 600], {})) as kernel:
        wait_until(beats.exists, 30)
        assert main([str(journal), "--cancel", kernel.ids[0]]) == 1
        assert "a kernel has this journal" in capsys.readouterr().err
        kernel.kill()
    (job_id,) = kernel.ids
    wait_until(lambda: "beat" in read_journal(journal)[0].message, 10)
    assert main([str(journal)]) == 0
    shown = words_of(capsys)
    assert "running" in shown
    assert "0% beat " in shown
    assert "1 running" in shown
    follow = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
        [sys.executable, "-m", "jobqueue_widget", str(journal), "--follow"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert follow.stdout is not None
    lines = [follow.stdout.readline() for _ in range(3)]
    follow.send_signal(signal.SIGINT)
    follow.communicate()
    assert all("running" in line for line in lines)
    assert len(set(lines)) == 3, "it does not move"
    assert main([str(journal), "--cancel", "nothing"]) == 1
    assert main([str(journal), "--cancel", job_id[:8]]) == 0
    assert "it has stopped" in words_of(capsys)
    assert not any(map(alive, Beats(beats).pids))
    assert read_journal(journal)[0].status == "cancelled"
    assert main([str(journal), "--cancel", job_id]) == 1
    assert "nothing to cancel" in capsys.readouterr().err
    async with running(journal) as queue:
        await queue.join(timeout=10)
        job = queue[job_id]
        assert job.status is JobStatus.cancelled
        assert job.cancel_reason == "cancelled without a kernel"


async def test_one_that_does_not_listen_is_ended_with_what_it_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, pids = tmp_path / "runs.db", tmp_path / "pids"
    with dying(journal, ("ignore_all_requests", [str(pids)], {})) as kernel:
        wait_until(pids.exists, 30)
        kernel.kill()
    assert main([str(journal), "--cancel", kernel.ids[0]]) == 0
    assert "was ended" in words_of(capsys)
    assert not any(map(alive, pids_in(pids)))
    async with running(journal) as queue:
        await queue.join(timeout=10)
        assert queue[kernel.ids[0]].status is JobStatus.cancelled


def test_one_that_had_not_begun_is_told_as_waiting(tmp_path: Path) -> None:
    """As of a kernel that was killed between the launch in its journal and the process."""
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    with dying(journal, ("beat", [str(beats), 600], {})) as kernel:
        wait_until(beats.exists, 30)
        kernel.kill()
    (pid,) = Beats(beats).pids
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), 10)
    attempt = tmp_path / "runs.db.detached" / f"{kernel.ids[0]}.1"
    for path in attempt.iterdir():
        path.unlink()
    assert read_journal(journal)[0].status == "failed"
    (attempt / "token").touch()
    assert read_journal(journal)[0].status == "pending"


@pytest.mark.parametrize("how", ["another journal", "an end in the journal"])
async def test_a_process_that_its_journal_has_lost_is_listed_and_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """An older copy was put back, or it was told as ended and could not be."""
    journal, beats = tmp_path / "runs.db", [tmp_path / "a", tmp_path / "b"]
    with dying(journal, *[("beat", [str(path), 600], {}) for path in beats]) as kernel:
        wait_until(lambda: all(path.exists() for path in beats), 30)
        kernel.kill()
    pids = [pid for path in beats for pid in Beats(path).pids]
    if how == "another journal":
        for name in os.listdir(tmp_path):
            if name.startswith("runs.db") and not name.endswith(".detached"):
                os.remove(tmp_path / name)
        async with running(journal):
            pass
    else:
        connection = sqlite3.connect(journal)
        with connection:
            connection.execute("UPDATE standings SET status = 'failed', ended_number = number")
        connection.close()
    capsys.readouterr()
    assert main([str(journal)]) == 0
    shown = words_of(capsys)
    for job_id, pid in zip(kernel.ids, pids, strict=True):
        assert f"process {pid} of job {job_id} runs, and this journal does not know that" in shown
    assert main([str(journal), "--cancel", kernel.ids[0]]) == 0
    assert not alive(pids[0])
    async with running(journal) as queue:
        (orphan,) = queue.orphans()
        assert orphan.pid == pids[1]
        note = QueueSource(queue).state()["summary"]["note"]
        assert note.startswith("1 worker from an earlier kernel holds ")
        assert queue.end_orphans() == 1
        assert queue.orphans() == []
        assert QueueSource(queue).state()["summary"]["note"] == ""
    assert not alive(pids[1])
    assert not (tmp_path / "runs.db.detached").exists()


def test_no_kernel_takes_a_journal_while_a_job_of_it_is_ended(tmp_path: Path) -> None:
    """Else it would follow a job that somebody else ends, and tell that it died."""
    journal, pids = tmp_path / "runs.db", tmp_path / "pids"
    with dying(journal, ("ignore_all_requests", [str(pids)], {})) as kernel:
        wait_until(pids.exists, 30)
        kernel.kill()
    command = [sys.executable, "-m", "jobqueue_widget", str(journal), "--cancel", kernel.ids[0]]
    cancels = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    try:
        attempt = tmp_path / "runs.db.detached" / f"{kernel.ids[0]}.1"
        wait_until((attempt / "stop").exists, 10)
        with pytest.raises(JournalInUseError, match="--cancel"):
            JobQueue(journal=journal)
        assert cancels.wait(20) == 0
    finally:
        cancels.kill()
        cancels.wait()
    assert not alive(pids_in(pids)[0])


def test_what_has_ended_meanwhile_is_told_as_the_next_kernel_will(tmp_path: Path) -> None:
    journal, go = tmp_path / "runs.db", tmp_path / "go"
    how = ("return", "raise", "die")
    with dying(journal, *[("end_at", [str(go), one], {}) for one in how]) as kernel:
        begun = [tmp_path / f"go.{one}" for one in how]
        wait_until(lambda: all(path.exists() for path in begun), 30)
        kernel.kill()
    assert [one.status for one in read_journal(journal)] == ["running"] * 3
    pids = [pid for path in begun for pid in pids_in(path)]
    go.touch()
    wait_until(lambda: not any(map(alive, pids)), 20)
    returned, raised, died = read_journal(journal)
    assert (returned.status, returned.error) == ("completed", None)
    assert returned.completed_at is not None
    assert (raised.status, raised.error) == ("failed", "ValueError: as it was told")
    assert died.error == "WorkerDied: its process is gone, without a word"
    assert os.listdir(tmp_path / "runs.db.detached")  # nothing was changed by looking
