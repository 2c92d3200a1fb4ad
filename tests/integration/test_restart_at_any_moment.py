"""Random acts on a queue, killed at any moment: what comes back is what was there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from jobqueue_widget import Job, JobQueue
from jobqueue_widget.testing import inspect
from tests.journals import as_if_killed, opened, running

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")
KEEP = 12


async def work(number: int, ends: str) -> int:
    if ends == "never":
        await asyncio.Event().wait()
    if ends == "badly":
        raise ValueError(str(number))
    return number


def act(queue: JobQueue, dice: random.Random) -> None:
    """One of the things that a user does."""
    pending = queue.jobs("pending")
    known = queue.jobs()
    kind = dice.randrange(12)
    if kind < 4 or not known:
        options: dict[str, Any] = {
            "label": f"job {dice.random():.6f}",
            "retries": dice.randrange(2),
        }
        options["idempotent"] = dice.random() < 0.5
        if known and dice.random() < 0.2:
            options["after"] = dice.choice(known)
        view = queue.options(**options, priority=dice.randrange(3))
        ends = dice.choice(["well", "well", "well", "badly", "never"])
        view.submit_nowait(work, dice.randrange(100), ends)
    elif kind == 4:
        dice.choice(known).cancel(reason="not wanted")
    elif kind == 5 and pending:
        queue.move(dice.choice(pending), before=dice.choice(pending))
    elif kind == 6 and pending:
        queue.reorder(dice.choice(pending), dice.randrange(3))
    elif kind == 7 and pending:
        then: Literal["release", "cancel"] = "cancel" if dice.random() < 0.5 else "release"
        queue.hold(dice.choice(pending), dice.choice([None, 1000.0]), then)
    elif kind == 8 and pending:
        queue.release(dice.choice(pending))
    elif kind == 9:
        queue.pause(dice.choice(["", "a reason"]))
    elif kind == 10:
        queue.resume()
    elif dice.random() < 0.2:
        queue.clear_history()
        if dice.random() < 0.5:
            inspect(queue).undo_clear()
        if dice.random() < 0.5 and (jobs := queue.jobs("completed")):
            queue.forget(*dice.sample(jobs, dice.randint(1, len(jobs))))
    else:
        dice.choice(known).retry()


def look(job: Job) -> dict[str, Any]:
    """All that must come back of a job that did not run."""
    row = job.as_row()
    kept = (
        "title",
        "args",
        "status",
        "priority",
        "attempt",
        "created_at",
        "started_at",
        "retry_of",
    )
    seen = {name: row[name] for name in kept}
    seen["error"], seen["held"], seen["retry_of"] = row["error"], row["held"], row["retry_of"]
    seen["result"] = job.result if job.done else None
    seen["completed_at"] = row["completed_at"]
    return seen


def expected(queue: JobQueue) -> tuple[list[str], dict[str, dict[str, Any]], set[str]]:
    """Order and rows of what did not run, and the ids of what did."""
    ran = {job.id for job in queue.jobs("running")}
    rows = {job.id: look(job) for job in queue.jobs() if job.id not in ran}
    return [job.id for job in queue.jobs("pending")], rows, ran


def compare(queue: JobQueue, copy: Path) -> tuple[int, int]:
    order, rows, ran = expected(queue)
    shown = [job.id for job in queue.get_history()]
    totals = queue.get_state()["stats"]
    with opened(copy, keep_ended=KEEP, max_history=KEEP) as again:
        inspect(again).validate()
        after = {job.id: job for job in again.jobs()}
        orphans = {  # their parent was interrupted
            job_id
            for job_id, row in rows.items()
            if row["status"] == "pending"
            and (after[job_id].cancel_reason or "").startswith("dependency ")
        }
        rerun = {job.id for job in again.jobs("pending")} & ran
        assert [job.id for job in again.jobs("pending") if job.id not in rerun] == [
            job_id for job_id in order if job_id not in orphans
        ]
        found = [job.id for job in again.get_history() if job.id not in ran | orphans]
        assert found == shown[: len(found)], "what was hidden stays so"
        for job_id, row in rows.items():
            if job_id in after and job_id not in orphans:
                assert look(after[job_id]) == row
        for job_id in ran & after.keys():
            job = after[job_id]
            assert job.status.value in ("failed", "cancelled") or job_id in rerun
            assert job.attempt == queue[job_id].attempt + (job_id in rerun)
        again_totals = again.get_state()["stats"]
        assert again_totals["total_accepted"] == totals["total_accepted"]
        assert again_totals["total_completed"] == totals["total_completed"]
    return len(rows), len(ran)


@pytest.mark.timeout(120)
async def test_what_comes_back_is_what_was_there(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    compared = ran = 0
    for turn in range(12):
        dice = random.Random(f"{seed} restart {turn}")
        path = tmp_path / str(turn) / "runs.db"
        path.parent.mkdir()
        async with running(path, max_running=2, keep_ended=KEEP, max_history=KEEP) as queue:
            for step in range(60):
                act(queue, dice)
                if dice.random() < 0.3:
                    await asyncio.sleep(0)
                if step % 10 == 9:
                    counts = compare(queue, as_if_killed(path, step))
                    compared, ran = compared + counts[0], ran + counts[1]
            queue.resume()
            queue.cancel_all("all")
            await asyncio.sleep(0)
    note(f"{compared} jobs compared, {ran} that ran")
