"""Jobs that outlive their kernel: it is killed, and the next one has them as they are."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobqueue_widget import Job, JobQueue, JobStatus
from jobqueue_widget.__main__ import main
from jobqueue_widget._persistence.lazy_spec import JournalReader
from jobqueue_widget.errors import JournalInUseError
from jobqueue_widget.testing import inspect
from jobqueue_widget.widget.model import QueueSource
from tests.conditions import until
from tests.crash.detached import (
    MAP,
    REPOSITORY,
    Beats,
    Told,
    beat,
    dying,
    killed,
    map_all,
    processes_of,
)
from tests.crash.processes import alive, pids_in, wait_until
from tests.journals import let_go, running
from tests.kernels import Kernel

GAP = 0.2  # seconds that a job may rest at most when its kernel is killed


def folder_of(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}.detached")


async def test_it_runs_on_and_the_next_kernel_has_it(tmp_path: Path) -> None:
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    (job_id,) = killed(journal, ("beat", [str(beats), 4.0], {}), after=beats.exists)
    moments = [time.monotonic()]
    async with running(journal, on_restore="run") as queue:
        job = queue[job_id]
        assert job.status is JobStatus.running
        begun = job.started_at
        inspect(queue).validate()
        await until(lambda: (job.progress or 0) > 0.1)
        seen = job.progress or 0.0
        await until(lambda: (job.progress or 0) > seen)
        assert "beat" in job.as_row()["message"]
        count = await job
        assert (job.status, job.started_at) == (JobStatus.completed, begun)
        assert job.started_at is not None
        assert job.completed_at is not None
        assert 3.9 < job.completed_at - job.started_at < 15
        printed = job.logs(100_000)
        assert "printed 1\n" in printed
        assert printed.endswith(f"printed {count}\n")
        assert len(job.metrics["level"]) > 10
        inspect(queue).validate()
    told = Beats(beats)
    assert (len(told.pids), told.count) == (1, count)
    assert told.gap_at(*moments) < GAP
    assert not folder_of(journal).exists()


async def test_a_result_that_came_while_there_was_no_kernel(tmp_path: Path) -> None:
    journal, go = tmp_path / "runs.db", tmp_path / "go"
    jobs: list[Told] = [
        ("end_at", [str(go), how], {"label": how}) for how in ("return", "raise", "die")
    ]
    begun = [tmp_path / f"go.{how}" for how in ("return", "raise", "die")]
    ids = killed(journal, *jobs, after=lambda: all(path.exists() for path in begun))
    pids = [pid for path in begun for pid in pids_in(path)]
    go.touch()
    wait_until(lambda: not any(map(alive, pids)), 20)
    async with running(journal) as queue:
        returned, raised, died = (queue[job_id] for job_id in ids)
        assert (returned.status, await returned) == (JobStatus.completed, "return")
        assert (raised.status, raised.error) == (JobStatus.failed, "ValueError: as it was told")
        assert raised.failure is not None
        assert "in end_at" in raised.failure.traceback
        assert died.status is JobStatus.failed
        assert died.error == "WorkerDied: its process is gone, without a word"
        inspect(queue).validate()
    assert not folder_of(journal).exists()


def test_in_a_script_what_ended_before_is_ended_at_once_too(tmp_path: Path) -> None:
    journal, go = tmp_path / "runs.db", tmp_path / "go"
    begun = tmp_path / "go.return"
    (job_id,) = killed(journal, ("end_at", [str(go), "return"], {}), after=begun.exists)
    (pid,) = pids_in(begun)
    go.touch()
    wait_until(lambda: not alive(pid), 20)
    with JobQueue(journal=journal, loop="thread") as queue:
        assert queue[job_id].result == "return"
    let_go(queue)


async def test_cancel_in_the_next_kernel_asks_and_it_stops(tmp_path: Path) -> None:
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    (job_id,) = killed(journal, ("beat", [str(beats), 600], {}), after=beats.exists)
    async with running(journal) as queue:
        job = queue[job_id]
        await until(lambda: (job.progress or 0) > 0)
        assert job.cancel(reason="enough")
        await until(lambda: job.status.ended)
        assert (job.status, job.cancel_reason) == (JobStatus.cancelled, "enough")
    assert not any(map(alive, Beats(beats).pids))


async def test_force_in_the_next_kernel_ends_it_with_all_that_it_started(tmp_path: Path) -> None:
    journal, pids = tmp_path / "runs.db", tmp_path / "pids"
    (job_id,) = killed(journal, ("ignore_all_requests", [str(pids)], {}), after=pids.exists)
    async with running(journal, cancel_timeout=0.3) as queue:
        job = queue[job_id]
        job.cancel()
        await until(lambda: job.status.ended)
        assert job.status is JobStatus.cancelled
        assert not any(map(alive, pids_in(pids)))


async def test_its_own_process_keeps_its_time_limit(tmp_path: Path) -> None:
    journal, beats, pids = tmp_path / "runs.db", tmp_path / "beats", tmp_path / "pids"
    ids = killed(
        journal,
        ("beat", [str(beats), 600], {"timeout": 1.5}),
        ("ignore_all_requests", [str(pids)], {"deadline": 2.5}),
        after=lambda: beats.exists() and pids.exists(),
    )
    both = [pids_in(pids)[0], *Beats(beats).pids]
    wait_until(lambda: not any(map(alive, both)), 20)
    async with running(journal) as queue:
        limited, late = (queue[job_id] for job_id in ids)
        await queue.join(timeout=20)
        assert limited.error == "TimeLimitExceeded: time limit 1.5 s"
        assert late.error == "DeadlineExceeded: deadline, 2.5 s after the submit"
        assert not any(map(alive, pids_in(pids)))  # what the late one had started


async def test_what_had_not_begun_begins_once(tmp_path: Path) -> None:
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    (job_id,) = killed(journal, ("beat", [str(beats), 0.2], {}))  # as it is accepted
    async with running(journal, on_restore="run") as queue:
        job = queue[job_id]
        await until(lambda: job.status.ended, 30)
        assert job.status is JobStatus.completed, job.error
    assert len(Beats(beats).pids) == 1


async def test_a_stop_leaves_it_running_and_a_start_has_it_again(tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    queue = await JobQueue(journal=tmp_path / "runs.db").start()
    try:
        job: Job = queue.options(detached=True).submit_nowait(beat, str(beats), 3.0)
        await until(lambda: (job.progress or 0) > 0)
        moments = [time.monotonic()]
        await queue.stop()
        assert job.status is JobStatus.running
        assert all(map(alive, Beats(beats).pids))
        await queue.start()
        count = await job
        told = Beats(beats)
        assert (told.count, len(told.pids)) == (count, 1)
        assert told.gap_at(*moments) < GAP
    finally:
        await queue.close()


@pytest.mark.parametrize(
    "end",
    ["None", "sys.exit(3)", "__import__('os')._exit(3)", "SIGTERM", "SIGHUP"],
)
async def test_however_a_kernel_ends_it_goes_on(tmp_path: Path, end: str) -> None:
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    with dying(journal, ("beat", [str(beats), 3.0], {}), end=end) as kernel:
        await until(beats.exists)
        moment = time.monotonic()
        if end.startswith("SIG"):
            kernel.kill(getattr(signal, end))
        else:
            kernel.finish()
    async with running(journal) as queue:
        job = queue[kernel.ids[0]]
        assert job.status is JobStatus.running
        count = await job
    told = Beats(beats)
    assert (told.count, len(told.pids)) == (count, 1)
    assert told.gap_at(moment) < GAP


async def test_a_queue_that_stops_says_what_goes_on_and_a_start_takes_it_back(
    tmp_path: Path,
) -> None:
    queue = await JobQueue(journal=tmp_path / "runs.db", max_running=2).start()
    jobs = [
        queue.options(detached=True).submit_nowait(beat, str(tmp_path / name), 600)
        for name in ("a", "b")
    ]
    await until(lambda: all(job.phase is None and job.progress for job in jobs))
    await queue.stop()
    assert QueueSource(queue).state()["summary"]["note"] == "2 jobs go on without this kernel"
    waiting = [queue.submit_nowait(len, "") for _ in range(38)]
    said = "2 jobs go on without this kernel; 38 pending wait for the next kernel"
    assert QueueSource(queue).state()["summary"]["note"] == said
    assert QueueSource(queue).state()["summary"]["alone"] == said
    for job in waiting:
        job.cancel()
    await queue.start()
    summary = QueueSource(queue).state()["summary"]
    assert summary["alone"] == "2 jobs go on without this kernel"
    assert QueueSource(queue).state()["summary"]["note"] == ""
    await queue.close(detached="cancel")
    assert [job.status for job in jobs] == [JobStatus.cancelled] * 2
    assert processes_of(tmp_path / "runs.db") == []


async def test_close_leaves_them_unless_it_is_told_to_cancel(tmp_path: Path) -> None:
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    queue = await JobQueue(journal=journal).start()
    queue.options(detached=True).submit_nowait(beat, str(beats), 600)
    await until(beats.exists)
    await queue.close()
    (pid,) = processes_of(journal)
    again = JobQueue(journal=journal)  # which is never started by its user
    assert [job.status for job in again.jobs()] == [JobStatus.running]
    await again.close(detached="cancel")
    assert [job.status for job in again.jobs()] == [JobStatus.cancelled]
    assert not alive(pid)


async def test_run_all_again_adopts_what_runs_returns_what_is_done_and_submits_the_rest(
    tmp_path: Path,
) -> None:
    journal, begun = tmp_path / "runs.db", tmp_path / "begun"
    (tmp_path / "go 0").touch()
    command = [sys.executable, "-c", MAP, str(journal), str(tmp_path)]
    kernel = subprocess.Popen(command, cwd=REPOSITORY)  # noqa: ASYNC220
    try:
        wait_until(lambda: begun.exists() and len(begun.read_text().split()) == 3, 30)
    finally:
        kernel.kill()
        kernel.wait()
    async with running(journal, max_running=2, detached=True) as queue:
        again = map_all(queue, str(tmp_path))
        assert [job.status.value for job in again] == [
            *("completed", "running", "running", "pending", "pending"),
        ]
        assert len(queue) == 5, "one was submitted twice"
        for number in range(1, 5):
            (tmp_path / f"go {number}").touch()
        assert await again == [0, 1, 2, 3, 4]
        inspect(queue).validate()
    assert sorted(begun.read_text().split()) == ["0", "1", "2", "3", "4"]


async def test_a_restart_of_the_machine_is_told(tmp_path: Path) -> None:
    """Another boot, and its process is gone: as if the machine had been started again."""
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    (job_id,) = killed(journal, ("beat", [str(beats), 600], {}), after=beats.exists)
    for pid in processes_of(journal):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes_of(journal), 10)
    claim = folder_of(journal) / f"{job_id}.1" / "claim"
    told = json.loads(claim.read_text())
    assert told["birth"] is not None
    claim.write_text(json.dumps({**told, "birth": ["another boot", 1]}))
    async with running(journal) as queue:
        job = queue[job_id]
        await until(lambda: job.status.ended)
        assert str(job.error).endswith("without a word: this machine was started again meanwhile")
        assert queue.retry(job).cancel()


async def test_a_folder_that_is_deleted_costs_what_it_has_told(tmp_path: Path) -> None:
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    (job_id,) = killed(journal, ("beat", [str(beats), 4.0], {}), after=beats.exists)
    shutil.rmtree(folder_of(journal))
    async with running(journal) as queue:
        job = queue[job_id]
        await asyncio.sleep(0)
        assert job.status is JobStatus.running
        count = await job
        assert count == Beats(beats).count
    assert not folder_of(journal).exists()


async def test_one_that_is_killed_while_its_kernel_is_there_has_failed_and_is_retried(
    tmp_path: Path,
) -> None:
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    async with running(journal, detached=True) as queue:
        job = queue.options(retries=1, backoff=0).submit_nowait(beat, str(beats), 2.0)
        await until(beats.exists)
        (first,) = processes_of(journal)
        os.kill(first, signal.SIGKILL)
        await job
        assert job.attempt == 2
    assert len(Beats(beats).pids) == 2


def test_a_second_kernel_is_refused_the_journal_and_leaves_the_job_alone(tmp_path: Path) -> None:
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    with dying(journal, ("beat", [str(beats), 600], {})) as kernel:
        wait_until(beats.exists, 30)
        with pytest.raises(JournalInUseError):
            JobQueue(journal=journal)
        (pid,) = processes_of(journal)
        kernel.kill()
    assert processes_of(journal) == [pid]
    assert main([str(journal), "--cancel", kernel.ids[0]]) == 0


async def test_code_of_another_python_is_not_run_again_and_its_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next kernel has another version: it cannot run the function, and need not."""
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    options = {"retries": 3}
    (job_id,) = killed(journal, ("beat", [str(beats), 3.0], options), after=beats.exists)
    monkeypatch.setattr(JournalReader, "why_lost", lambda *_: "code of another Python")
    async with running(journal) as queue:
        job = queue[job_id]
        assert job.status is JobStatus.running
        assert await job == Beats(beats).count


@pytest.mark.usefixtures("loop_of_the_client")
@pytest.mark.timeout(120)
def test_a_kernel_that_is_killed_and_one_that_is_shut_down(tmp_path: Path) -> None:
    """Real ones, as a notebook has them: the first is killed, the second shut down."""
    journal, beats = tmp_path / "runs.db", tmp_path / "beats"
    lines = [
        "from jobqueue_widget import JobQueue",
        "from tests.crash.detached import beat",
        f"queue = await JobQueue.open({str(journal)!r}).start()",
    ]
    begin = "\n".join(lines)
    submit = f"job = queue.options(detached=True).submit_nowait(beat, {str(beats)!r}, 12.0)"
    moments: list[float] = []
    first = Kernel("7.4")
    try:
        first.run(begin)
        first.run(submit)
        wait_until(beats.exists, 20)
        os.kill(first.value_of("__import__('os').getpid()"), signal.SIGKILL)
        first.until_dead()
    finally:
        first.close()
    second = Kernel("7.4")
    try:
        second.run(begin)
        assert second.value_of("queue.jobs()[0].status.value") == "running"
        wait_until(lambda: second.value_of("queue.jobs()[0].progress") > 0, 1.0)
        moments.append(time.monotonic())
        second.shut_down()
    finally:
        second.close()
    third = Kernel("7.4")
    try:
        third.run(begin)
        third.run("count = await queue.jobs()[0]")
        told = Beats(beats)
        assert third.value_of("count") == told.count
        assert len(told.pids) == 1
        assert told.gap_at(*moments) < GAP
    finally:
        third.close()
