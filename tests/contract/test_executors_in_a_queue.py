"""Any executor under the queue: order, lanes, limits, retries, cancellation, stop."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from jobqueue_widget import JobCancelledError, JobQueueError, JobStatus
from jobqueue_widget._core.jobs import Outcome
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.contract import bodies
from tests.contract.conftest import Promise
from tests.contract.subjects import Subject, until_beating

EXPECTED_PROGRESS = {
    "nan": -1.0,
    "inf": -1.0,
    "below": 0.0,
    "unknown": -1.0,
    "above": 1.0,
    "text": -1.0,
    "none": -1.0,
    "fine": 0.25,
}


async def test_priority_comes_first_and_then_the_order_of_submission(
    subject: Subject, tmp_path: Path
) -> None:
    async with subject.queue() as queue:
        queue.submit_nowait(*subject.call("ignore", str(tmp_path)))
        await until_beating(tmp_path)
        for number, priority in enumerate((0, 5, 0, 5, 9)):
            call = subject.call("mark", str(tmp_path), f"{priority}:{number}")
            queue.submit_nowait(*call, priority=priority)
        bodies.release(tmp_path)
        await queue.join(timeout=30)
    assert bodies.marks(tmp_path) == ["9:4", "5:1", "5:3", "0:0", "0:2"]


async def test_two_lanes_run_two_jobs_and_not_three(subject: Subject, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(3)]
    async with subject.queue(max_running=2) as queue:
        jobs = []
        for place, folder in enumerate(folders):
            folder.mkdir()
            jobs.append(queue.submit_nowait(*subject.call("ignore", str(folder), place=place)))
        for folder in folders[:2]:
            await until_beating(folder)
        assert jobs[2].status is JobStatus.pending
        bodies.release(folders[0])
        await until_beating(folders[2])
        for folder in folders:
            bodies.release(folder)
        assert [await job for job in jobs] == ["released"] * 3


async def test_an_error_of_any_class_fails_its_job_by_name_and_the_next_one_runs(
    subject: Subject,
) -> None:
    async with subject.queue() as queue:
        for name in bodies.ERRORS:
            failed = queue.submit_nowait(*subject.call("fail", name))
            await queue.wait_for_job(failed, timeout=30)
            assert failed.status is JobStatus.failed
            assert failed.error
            assert failed.failure is not None
            if subject.names_errors:
                assert name in failed.error, failed.error
            after = queue.submit_nowait(*subject.call("echo", name))
            await queue.wait_for_job(after, timeout=30)
            assert after.result == name


async def test_what_cannot_be_prepared_is_refused_and_nothing_is_enqueued(
    subject: Subject,
) -> None:
    async with subject.queue() as queue:
        if subject.refused:
            (keyword,) = subject.refused
            options = queue.options(label="odd")
            with pytest.raises(JobQueueError, match=keyword):
                options.submit_nowait(*subject.call("echo"), **subject.refused)
        assert queue.jobs() == []
        assert await queue.submit_nowait(*subject.call("echo", 1)) == 1


async def test_odd_progress_is_clamped_or_unknown_and_the_last_report_is_kept(
    subject: Subject,
) -> None:
    async with subject.queue(progress_poll_interval=0.05) as queue:
        for name, expected in EXPECTED_PROGRESS.items():
            job = queue.submit_nowait(*subject.call("report_and_fail", name))
            await queue.wait_for_job(job, timeout=30)
            assert "so that the report stays" in str(job.error)
            if subject.reads_any_progress or name == "fine":
                assert (job.progress, job.status_message) == (expected, f"said {name}")
            else:
                assert job.progress == -1.0 or 0.0 <= job.progress <= 1.0


async def test_what_it_measures_is_known_while_it_runs_and_is_of_its_latest_attempt(
    subject: Subject, promise: Promise, tmp_path: Path
) -> None:
    steps, peak = 3_000, 1_234
    if not subject.free_of_the_loop:
        bodies.release(tmp_path)
    async with subject.queue() as queue:
        target = queue.options(retries=1)
        job = target.submit_nowait(*subject.call("measure", str(tmp_path), steps, peak))
        if subject.knows_the_job:
            await until(lambda: "odd" in job.metrics)
        bodies.release(tmp_path)
        await queue.wait_for_job(job, timeout=30)
        if subject.knows_the_job:
            assert job.metrics.keys() == {"loss", "odd"}
            assert job.metrics["odd"] == [(steps, None)]
            loss = job.metrics["loss"]
            assert len(loss) <= 1_000
            assert loss == sorted(loss), "in the order of its steps"
            assert {(0, 0.0), (peak, 9.0), (steps - 1, 1 - 1 / steps)} <= set(loss)
            assert "[report(): text='text' is no number]" in job.logs()
        else:
            assert job.metrics == {}
    promise("what it measures while it runs", subject.knows_the_job)


async def test_a_time_limit_ends_what_it_can_and_says_so(
    subject: Subject, promise: Promise, tmp_path: Path
) -> None:
    async with subject.queue(cancel_timeout=0.2) as queue:
        job = queue.options(timeout=0.3).submit_nowait(*subject.call("ignore", str(tmp_path)))
        if not subject.can_kill:
            await until(lambda: job.cancel_phase == "asked")
            assert job.cancel_note == f"asked to stop; a {subject.name} cannot be forced"
            await until_beating(tmp_path)
            bodies.release(tmp_path)
            await queue.wait_for_job(job, timeout=30)
            hears = subject.name == "coroutine"  # CancelledError was raised in it
            assert (job.partial_result if hears else job.result) == "released", (
                "what it did is kept"
            )
            assert job.status is (JobStatus.failed if hears else JobStatus.completed)
        else:
            await queue.wait_for_job(job, timeout=30)
            assert job.error == "TimeLimitExceeded: time limit 0.3 s"
            assert await queue.submit_nowait(*subject.call("echo", 1)) == 1
    promise("a time limit holds for what does not listen", subject.can_kill)


async def test_a_retry_runs_it_again_under_the_same_id(subject: Subject, tmp_path: Path) -> None:
    async with subject.queue() as queue:
        retrying = queue.options(retries=1)
        job = retrying.submit_nowait(*subject.call("fail_once", str(tmp_path)))
        assert await asyncio.wait_for(job, 30) == "the second time"
        assert job.attempt == 2


async def test_a_pending_job_is_cancelled_at_once_and_never_begins(
    subject: Subject, tmp_path: Path
) -> None:
    never = tmp_path / "never"
    never.mkdir()
    async with subject.queue() as queue:
        queue.submit_nowait(*subject.call("ignore", str(tmp_path)))
        pending = queue.submit_nowait(*subject.call("listen", str(never)))
        await until_beating(tmp_path)
        assert pending.cancel()
        assert pending.status is JobStatus.cancelled
        bodies.release(tmp_path)
        await queue.join(timeout=30)
    assert bodies.times_begun(never) == 0


async def test_a_job_that_listens_ends_cancelled(subject: Subject, tmp_path: Path) -> None:
    async with subject.queue(cancel_timeout=0.3) as queue:
        job = queue.submit_nowait(*subject.call("listen", str(tmp_path)))
        await until_beating(tmp_path)
        assert job.cancel(reason="enough", timeout=20 if subject.listens else None)
        with pytest.raises(JobCancelledError):
            await asyncio.wait_for(job, 30)
        assert (job.error, job.cancel_reason) == (None, "enough")
        assert not job.cancel(), "it has ended"
        assert await queue.submit_nowait(*subject.call("echo", "next")) == "next"


async def test_what_a_job_returns_that_has_noticed_the_request_is_a_part(
    subject: Subject, tmp_path: Path
) -> None:
    async with subject.queue(cancel_timeout=0.3) as queue:
        job = queue.submit_nowait(*subject.call("cut_short", str(tmp_path)))
        child = queue.options(after=job).submit_nowait(*subject.call("echo", "never"))
        await until_beating(tmp_path)
        assert job.cancel(timeout=20 if subject.listens else None)
        await queue.wait_for_job(job, timeout=30)
        assert job.status is JobStatus.cancelled
        assert (job.result, job.error) == (None, None)
        assert job.partial_result == ("a part" if subject.listens else None)
        assert not job.finished_before_cancel
        assert child.cancel_reason == f"dependency cancelled: {job.title}"


async def test_a_request_to_stop_calls_what_the_job_has_registered_once(
    subject: Subject, tmp_path: Path
) -> None:
    if not subject.knows_the_job:
        return
    async with subject.queue(cancel_timeout=20) as queue:
        job = queue.submit_nowait(*subject.call("signalled", str(tmp_path)))
        await until_beating(tmp_path)
        asked = time.monotonic()
        job.cancel()
        await until(lambda: bodies.marks(tmp_path) == ["called-True", "again-True"])
        assert time.monotonic() - asked < 5
        job.cancel()
        await queue.wait_for_job(job, timeout=30)
        assert job.status is JobStatus.cancelled
        assert bodies.marks(tmp_path) == ["called-True", "again-True"], "each of them once"
        if subject.heard:
            await until(lambda: "ZeroDivisionError" in job.logs())


@pytest.mark.parametrize("force", [False, True], ids=["asked first", "forced at once"])
async def test_a_job_that_does_not_listen_is_forced_or_keeps_its_lane(
    subject: Subject, promise: Promise, force: bool, tmp_path: Path
) -> None:
    async with subject.queue(cancel_timeout=0.2) as queue:
        job = queue.submit_nowait(*subject.call("ignore", str(tmp_path)))
        following = queue.submit_nowait(*subject.call("echo", "next"))
        await until_beating(tmp_path)
        assert job.cancel(force=force)
        if subject.can_kill:
            assert await asyncio.wait_for(following, 30) == "next"
            assert job.status is JobStatus.cancelled
            count = bodies.beats(tmp_path)
            assert await queue.submit_nowait(*subject.call("echo", "later")) == "later"
            assert bodies.beats(tmp_path) == count, "the work is gone"
        else:
            await until_beating(tmp_path)
            assert job.cancel_phase == "asked"
            assert job.cancel_note == f"asked to stop; a {subject.name} cannot be forced"
            assert following.status is JobStatus.pending
            bodies.release(tmp_path)
            assert await following == "next"
            hears = subject.name == "coroutine"  # CancelledError was raised in it
            assert job.finished_before_cancel is not hears
            assert job.partial_result == ("released" if hears else None)
    promise("a row says when it cannot be forced", not subject.can_kill)


async def test_reports_after_the_end_are_counted_and_change_nothing(
    subject: Subject, tmp_path: Path
) -> None:
    async with subject.queue() as queue:
        job = queue.submit_nowait(*subject.call("ignore", str(tmp_path)))
        await until_beating(tmp_path)
        run = inspect(queue).engine.runs[job.id]  # what its execution reports to
        bodies.release(tmp_path)
        await queue.wait_for_job(job, timeout=30)
        before = job.as_dict()
        counted = inspect(queue).faults.late_reports
        run.progress(0.5, "late")
        run.phase("late")
        run.kill_failed("late")
        run.ended(Outcome.of_value("late"))
        assert inspect(queue).faults.late_reports == counted + 2
        assert inspect(queue).faults.bugs == 0
        assert job.as_dict() == before


async def test_a_stop_lets_running_work_finish_if_told_to(subject: Subject, tmp_path: Path) -> None:
    queue = subject.queue()
    await queue.start()
    job = queue.submit_nowait(*subject.call("ignore", str(tmp_path)))
    following = queue.submit_nowait(*subject.call("echo", "after the stop"))
    await until_beating(tmp_path)
    stopping = asyncio.create_task(queue.stop(running="wait", timeout=30))
    await until_beating(tmp_path)
    bodies.release(tmp_path)
    await stopping
    assert job.result == "released"
    assert following.status is JobStatus.pending
    await queue.start()
    assert await asyncio.wait_for(following, 30) == "after the stop"
    await queue.stop()


async def test_a_stop_cancels_running_work_and_what_is_pending_runs_after_a_start(
    subject: Subject, tmp_path: Path
) -> None:
    queue = subject.queue(cancel_timeout=0.3)
    await queue.start()
    job = queue.submit_nowait(*subject.call("listen", str(tmp_path)))
    following = queue.submit_nowait(*subject.call("echo", "after the stop"))
    await until_beating(tmp_path)
    await queue.stop(timeout=10)
    count = bodies.beats(tmp_path)
    assert job.status is JobStatus.cancelled
    assert following.status is JobStatus.pending
    await queue.start()
    assert await asyncio.wait_for(following, 30) == "after the stop"
    assert bodies.beats(tmp_path) == count
    await queue.stop()


def test_pending_jobs_run_on_another_loop(subject: Subject) -> None:
    queue = subject.queue()

    async def one_after_the_other() -> None:
        async with queue:
            first = queue.submit_nowait(*subject.call("echo", 1))
            assert await asyncio.wait_for(first, 30) == 1

    asyncio.run(one_after_the_other())
    asyncio.run(one_after_the_other())


def in_all_places(job: object) -> object:
    return {"a": [1, (job, {"b": job})], "c": [2, 3], "d": (job,), "e": job}


async def test_a_job_among_the_arguments_stands_for_its_result_also_in_a_retry(
    subject: Subject,
) -> None:
    async with subject.queue() as queue:
        parent = queue.submit_nowait(*subject.call("echo", ["made", 1]))
        child = queue.submit_nowait(*subject.call("echo", in_all_places(parent)))
        last = queue.submit_nowait(*subject.call("echo", child))
        as_value = queue.submit_nowait(*subject.call("echo", in_all_places(["made", 1])))
        found = await asyncio.wait_for(last, 60)
        assert found == child.result == await asyncio.wait_for(as_value, 60)
        assert "<result of" in child.describe_arguments()
        again = child.retry()
        assert await asyncio.wait_for(again, 60) == found


async def test_a_job_whose_argument_fails_is_cancelled_and_says_why(
    subject: Subject, tmp_path: Path
) -> None:
    async with subject.queue() as queue:
        parent = queue.submit_nowait(*subject.call("fail", "ValueError"))
        child = queue.submit_nowait(*subject.call("mark", str(tmp_path), parent))
        await queue.join(timeout=60)
        late = queue.submit_nowait(*subject.call("mark", str(tmp_path), [parent]))
        for job in (child, late, child.retry()):
            assert job.status is JobStatus.cancelled
            assert job.cancel_reason == f"dependency failed: {parent.title}"
    assert bodies.marks(tmp_path) == []
