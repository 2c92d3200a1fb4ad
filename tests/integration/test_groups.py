"""Groups: one handle for what was submitted together, which counts each item once."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jobqueue_widget import (
    InvalidOptionError,
    Job,
    JobCancelledError,
    JobFailedError,
    JobGroup,
    JobNotFinishedError,
    JobQueue,
    JobStatus,
    NotKept,
    QueueIdleError,
    QueueStoppedError,
    ResultNotKeptError,
    WaitTimeoutError,
)
from jobqueue_widget._api.submission import Submission
from jobqueue_widget._core.jobs import JobRecord
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget.errors import UnknownGroupError, UnknownJobError
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.journals import as_if_killed, opened, running

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")
SOON = 20.0


async def double(number: int) -> int:
    return 2 * number


async def raises(error: Exception | None) -> str:
    if error is not None:
        raise error
    return "fine"


async def unless(marks: set[int], number: int) -> int:
    """Fails until its number is marked."""
    if number not in marks:
        raise ValueError(f"{number} is not marked")
    return number


def none(**counts: int) -> dict[str, int]:
    return {**{status.value: 0 for status in JobStatus}, **counts}


# -- a sequence of jobs --------------------------------------------------------------------------


async def test_a_map_gives_what_can_be_used_like_a_list_of_jobs() -> None:
    async with JobQueue() as queue:
        group = queue.map(double, range(5))
        assert isinstance(group, JobGroup)
        jobs = list(group)
        assert all(isinstance(job, Job) for job in jobs)
        assert len(group) == 5
        assert bool(group)
        assert group[0] is jobs[0]
        assert group[-1] is jobs[4]
        assert group[1:3] == jobs[1:3]
        assert type(group[1:3]) is list
        assert group[::-1] == list(reversed(group)) == jobs[::-1]
        assert group == jobs
        assert jobs == group
        assert group == queue.group(group.name)
        assert group != jobs[1:]
        assert group != tuple(jobs)
        assert group != "a text"
        assert type(group + jobs) is type(jobs + group) is type(group + group) is list
        assert group + jobs == jobs + group == group + group == jobs * 2 == group * 2
        assert jobs[2] in group
        assert "text" not in group
        assert group.index(jobs[3]) == 3
        assert group.count(jobs[3]) == 1
        more = [jobs[0]]
        more += group
        assert more == [jobs[0], *jobs]
        first, *_, last = group
        assert (first, last) == (jobs[0], jobs[4])
        assert sorted(group) == sorted(jobs)
        assert dict.fromkeys(group) == dict.fromkeys(jobs)
        assert [await job for job in group] == [0, 2, 4, 6, 8]
        with pytest.raises(IndexError):
            group[5]
        with pytest.raises(ValueError, match="not in list"):
            group.index(queue.submit_nowait(double, 1))
        assert copy.copy(group) is copy.deepcopy(group) is group


async def test_what_a_group_cannot_do_says_what_can() -> None:
    async with JobQueue() as queue:
        group = queue.map(double, [1])
        for method in (group.count, group.index):
            with pytest.raises(TypeError, match="counts"):
                method("failed")
        with pytest.raises(AttributeError, match=r"list\(group\)"):
            group.append(group[0])
        with pytest.raises(AttributeError, match="no 'nonsense'"):
            group.nonsense  # noqa: B018 - the error is meant
        with pytest.raises(TypeError, match="their place"):
            group["an id"]  # type: ignore[call-overload]
        with pytest.raises(IndexError, match=r"1 is no item of .*, which has 1"):
            group[1]
        with pytest.raises(IndexError, match=r"1 is no item of .*, which has 1"):
            queue.group(group.name)[1]
        for several in (group, [*group], {*group}):
            for act in (queue.wait, queue.cancel_nowait, queue.hold, queue.release, queue.position):
                with pytest.raises(InvalidOptionError, match="one job or its id is needed"):
                    act(several)  # type: ignore[arg-type]
            assert several not in queue
        for items in ([1, 2], 2), (3, [1, 2]), ([1, 2], [1, 2], None):
            with pytest.raises(TypeError, match=r"takes iterables, not .*functools\.partial"):
                queue.map(pow, *items)
        with pytest.raises(ValueError, match="or \"cancelled\", not 'faild'"):
            queue.jobs("faild")
        assert queue.jobs(JobStatus.failed) == queue.jobs("failed") == []
        with pytest.raises(TypeError, match="unhashable"):
            hash(group)
        with pytest.raises(TypeError, match="results"):
            pickle.dumps(group)
        with pytest.raises(TypeError):
            group + ("a tuple",)  # noqa: RUF005 - it is what is refused
        await group


async def test_an_empty_map_is_done() -> None:
    async with JobQueue() as queue:
        group = queue.map(double, [])
        assert group == []
        assert not group
        assert (group.done, group.progress, group.counts) == (True, 1.0, none())
        assert await group == []
        group.wait()
        assert group.failures() == {}
        assert group.retry_failed() == []
        assert (group.cancel(), group.hold(), group.release()) == (0, 0, 0)
        assert len(group.to_pandas()) == 0
        assert queue.groups() == []


# -- how it stands ---------------------------------------------------------------------------------


async def test_counts_and_progress_follow_the_jobs() -> None:
    gate = asyncio.Event()

    async def waits(number: int) -> int:
        await gate.wait()
        return number

    async with JobQueue(max_running=2) as queue:
        group = queue.map(waits, range(4))
        assert group.counts == none(pending=4)
        assert (group.done, group.progress) == (False, 0.0)
        await until(lambda: group.counts["running"] == 2)
        assert group.counts == none(pending=2, running=2)
        group[3].cancel()
        assert group.counts == none(pending=1, running=2, cancelled=1)
        assert group.progress == 0.25
        assert "1 cancelled, 2 running, 1 pending" in repr(group)
        gate.set()
        await queue.join()
        assert group.counts == none(completed=3, cancelled=1)
        assert (group.done, group.progress) == (True, 1.0)
        inspect(queue).validate()


async def test_attempts_of_one_job_are_one_item() -> None:
    marks: set[int] = set()
    async with JobQueue() as queue:
        group = queue.options(retries=1, backoff=0.0).map(unless, [marks] * 2, [1, 2])
        await queue.join()
        assert group.counts == none(failed=2)
        assert [job.attempt for job in group] == [2, 2]


# -- waiting ---------------------------------------------------------------------------------------


async def test_a_group_gives_its_results_in_order() -> None:
    async with JobQueue(max_running=3) as queue:
        assert await queue.map(pow, [2, 3, 4], [2, 2, 2]) == [4, 9, 16]


async def test_a_group_raises_when_all_have_ended_a_failure_before_a_cancellation() -> None:
    async with JobQueue() as queue:
        group = queue.map(raises, [None, None, KeyError("a"), ValueError("b")])
        group[0].cancel(reason="not needed")
        with pytest.raises(JobFailedError, match="KeyError") as raised:
            await group
        assert isinstance(raised.value.__cause__, KeyError)
        assert group.done
        with pytest.raises(JobFailedError, match="KeyError"):
            group.results()
        cancelled, fine, failed, _ = group.results("return")
        assert isinstance(cancelled, JobCancelledError)
        assert fine == "fine"
        assert isinstance(failed, JobFailedError)
        assert group.results("skip") == ["fine"]
        others = queue.map(raises, [None, None])
        others[1].cancel()
        with pytest.raises(JobCancelledError):
            await others
        with pytest.raises(InvalidOptionError, match="skip"):
            group.results("ignore")  # type: ignore[arg-type]


async def test_results_do_not_wait_and_say_how_many_are_left() -> None:
    async with JobQueue() as queue:
        queue.pause()
        group = queue.map(double, range(3))
        group[0].cancel()
        with pytest.raises(JobNotFinishedError, match="2 of 3 jobs"):
            group.results()
        assert group.cancel() == 2


async def test_a_result_that_was_not_kept_is_no_result() -> None:
    async with JobQueue() as queue:
        group = queue.map(lambda number: number or threading.Lock(), [1, 0])
        with pytest.raises(ResultNotKeptError):
            await group
        assert group.results("skip") == [1]
        assert isinstance(group[1].result, NotKept)


async def test_nobody_waits_for_ever_for_a_group() -> None:
    async with JobQueue() as queue:
        queue.pause("for lunch")
        group = queue.map(double, [1, 2])
        with pytest.raises(QueueIdleError, match="lunch"):
            await group
        with pytest.raises(QueueIdleError, match="lunch"):
            await asyncio.to_thread(group.wait)
        queue.resume()
        group[1].cancel()
        held = queue.map(double, [1])
        held.hold()
        with pytest.raises(QueueIdleError, match="held"):
            await held
        assert held.release() == 1
        assert await held == [2]
        assert not inspect(queue).engine.waiters._by_group


async def test_others_that_wait_or_run_do_not_keep_a_group_waiting() -> None:
    gate = asyncio.Event()
    async with JobQueue(max_running=2) as queue:
        running_on = queue.submit_nowait(gate.wait)
        held = queue.submit_nowait(double, 1)
        queue.hold(held)
        assert await queue.map(double, [1, 2]) == [2, 4]
        await asyncio.to_thread(queue.map(double, [3]).wait)
        assert not running_on.done
        gate.set()


async def test_a_stop_wakes_who_waits_for_a_group() -> None:
    gate = asyncio.Event()
    queue = await JobQueue().start()
    queue.submit_nowait(gate.wait)
    waits = queue.map(double, [1])
    waiting = asyncio.ensure_future(asyncio.wait_for(_results(waits), SOON))
    await asyncio.sleep(0)
    await queue.stop()
    with pytest.raises((QueueStoppedError, QueueIdleError)):
        await waiting


async def _results(group: JobGroup) -> list[Any]:
    return await group


async def test_a_wait_may_be_limited() -> None:
    gate = asyncio.Event()
    async with JobQueue() as queue:
        group = queue.map(double, [1])
        await group
        slow = queue.options(group="slow").submit_nowait(gate.wait)
        with pytest.raises(WaitTimeoutError, match=r"1 jobs of 'slow'.*0\.01 s"):
            await asyncio.to_thread(queue.group("slow").wait, 0.01)
        gate.set()
        await slow


async def test_a_job_may_wait_for_a_group_of_its_own_queue() -> None:
    async with JobQueue(max_running=2) as queue:

        async def outer() -> list[int]:
            found: list[int] = await queue.map(double, [1, 2])
            return found

        assert await queue.submit_nowait(outer) == [2, 4]


# -- as they end -----------------------------------------------------------------------------------


async def test_jobs_come_in_the_order_of_their_ends() -> None:
    gates = [asyncio.Event() for _ in range(4)]

    async def waits(number: int) -> int:
        await gates[number].wait()
        return number

    async with JobQueue(max_running=4) as queue:
        group = queue.map(waits, range(4))
        gates[2].set()
        await group[2]
        arrivals = group.as_completed()
        seen = []
        async for job in arrivals:
            seen.append(job.result)
            for number in (0, 3, 1)[len(seen) - 1 : len(seen)]:
                gates[number].set()
        assert seen == [2, 0, 3, 1]
        assert [job async for job in arrivals] == []
        again = [job.result async for job in queue.as_completed([*group, group[1].id])]
        assert again == [2, 0, 3, 1]
        assert [job async for job in queue.map(double, []).as_completed()] == []
        with pytest.raises(UnknownJobError):
            queue.as_completed(["nonsense"])
        with pytest.raises(InvalidOptionError, match="one job or its id is needed"):
            queue.as_completed([group])  # type: ignore[list-item]
        for one in (group[0], group[0].id):
            with pytest.raises(InvalidOptionError, match="of one"):
                queue.as_completed(one)  # type: ignore[arg-type]
        async with JobQueue() as other:
            with pytest.raises(UnknownJobError, match="another queue"):
                other.as_completed(group)


async def test_a_plain_loop_in_a_thread_gets_them_too() -> None:
    async with JobQueue(max_running=2) as queue:
        group = queue.map(double, range(20))
        seen = await asyncio.to_thread(lambda: [job.result for job in group.as_completed()])
        assert sorted(seen) == list(range(0, 40, 2))


async def test_nobody_waits_for_ever_for_the_next_end() -> None:
    gate = asyncio.Event()
    async with JobQueue() as queue:
        slow = queue.submit_nowait(gate.wait)
        with pytest.raises(WaitTimeoutError, match=r"1 of 1 jobs .* 0\.01 s"):
            async for _ in queue.as_completed([slow], timeout=0.01):
                pass
        with pytest.raises(WaitTimeoutError):
            await asyncio.to_thread(lambda: list(queue.as_completed([slow], timeout=0.01)))
        gate.set()
        group = queue.map(double, [1, 2])
        group[1].cancel()
        queue.hold(group[0])
        arrivals = group.as_completed()
        assert await anext(arrivals) is group[1]
        with pytest.raises(QueueIdleError, match="held"):
            await anext(arrivals)
        group.release()
        assert [job async for job in group.as_completed()][-1].result == 2
        assert not inspect(queue).engine.waiters._joiners


async def test_a_job_that_waits_for_jobs_that_get_no_lane_is_told() -> None:
    async with JobQueue(max_running=1) as queue:

        async def outer() -> int:
            return sum([job.result async for job in queue.map(double, [1, 2]).as_completed()])

        with pytest.raises(JobFailedError, match="WouldDeadlockError"):
            await queue.submit_nowait(outer)
        await queue.join()


# -- retrying --------------------------------------------------------------------------------------


async def test_retrying_keeps_the_group_and_counts_an_item_once() -> None:
    marks = {0, 1}
    async with JobQueue() as queue:
        group = queue.map(unless, [marks] * 4, range(4))
        await queue.join()
        assert group.counts == none(completed=2, failed=2)
        old = group[2]
        marks.add(2)
        again = group.retry_failed()
        assert isinstance(again, JobGroup)
        assert len(again) == 2
        assert len(group) == 4
        assert group[2:] == again
        assert old not in group
        assert (old.retried_by, again[0].retry_of) == (again[0].id, old.id)
        assert old.note == f"retried → {again[0].id.partition('-')[0]}"
        assert queue.get_job(old.id) is old
        await queue.join()
        assert group.counts == none(completed=3, failed=1)
        assert again.counts == none(completed=1, failed=1)
        assert group.results("skip") == [0, 1, 2]
        assert group.failures() == {"ValueError": [group[3]]}
        marks.add(3)
        single = group[3].retry()
        assert group[3] is single
        assert await group == [0, 1, 2, 3]
        assert await again == [2, 3]
        assert queue.group(group.name) == group
        inspect(queue).validate()


async def test_one_that_is_retried_twice_is_counted_once() -> None:
    marks: set[int] = set()
    async with JobQueue() as queue:
        group = queue.map(unless, [marks], [7])
        await queue.join()
        first = group[0]
        second = first.retry()
        await queue.join()
        third = first.retry()  # of the row that was clicked: the newest try is what it replaces
        assert (first.retried_by, second.retried_by) == (second.id, third.id)
        copied = first.retry()  # while the third waits or runs: a job of its own
        assert third.retried_by is None
        assert copied.group is None
        await queue.join()
        assert group[0] is third
        assert group.counts == none(failed=1)
        inspect(queue).validate()


@pytest.mark.parametrize("mine", ["group", "job"])
@pytest.mark.parametrize("others", ["group", "job"])
async def test_two_that_retry_at_once_submit_an_item_once(
    mine: str, others: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes while the jobs of this one are packed, as in another thread."""
    parents = Submission.parents_again
    found: list[Job] = []

    def retry(group: JobGroup, how: str) -> list[Job]:
        return [group[3].retry()] if how == "job" else list(group.retry_failed())

    def late(self: Submission, spec: JobSpec) -> tuple[JobRecord, ...]:
        monkeypatch.undo()
        found.extend(retry(group, others))
        return parents(self, spec)

    async with JobQueue() as queue:
        group = queue.options(group="mine").map(unless, [set[int]()] * 4, range(4))
        await queue.join()
        monkeypatch.setattr(Submission, "parents_again", late)
        found += retry(group, mine)
        is_copied = mine == "job"  # which was wanted, whatever others have done
        assert len(queue) == 4 + len(found)
        assert [job.group for job in found].count(None) == is_copied
        tried = [job.retry_of for job in found if job.group]
        assert len(tried) == len(set(tried)) == (4 if "group" in (mine, others) else 1)
        for known in (group, queue.group("mine")):
            assert sum(known.counts.values()) == len(known) == 4
        inspect(queue).validate()
        await queue.join()
        inspect(queue).validate()


async def test_only_failures_of_one_kind_may_be_retried() -> None:
    async with JobQueue() as queue:
        group = queue.map(raises, [KeyError("a"), OSError("b"), KeyError("c"), None])
        late = queue.options(timeout=0.01, group="late").map(asyncio.sleep, [SOON])
        await queue.join()
        found = group.failures()
        assert list(found) == ["KeyError", "OSError"]
        assert found["KeyError"] == [group[0], group[2]]
        assert list(late.failures()) == ["time limit"]
        assert late[0].failure is not None
        assert late[0].failure.kind == "time limit"
        for wrong in ("KeyErorr", TypeError, LookupError, ""):
            with pytest.raises(InvalidOptionError, match=r"there are: 'KeyError' \(2\), 'OSErr"):
                group.retry_failed(wrong)
        assert len(queue) == 5
        again = group.retry_failed(OSError)
        assert [job.retry_of for job in again] == [found["OSError"][0].id]
        with pytest.raises(InvalidOptionError, match="failures"):
            group.retry_failed(3)  # type: ignore[arg-type]
        await queue.join()
        fine = queue.map(raises, [None])
        await queue.join()
        assert fine.retry_failed("KeyErorr") == [], "nothing has failed"


async def test_the_result_of_another_try_is_kept_as_long_as_its_group() -> None:
    marks: set[int] = set()
    async with JobQueue() as queue:
        group = queue.map(unless, [marks], [1])
        await queue.join()
        marks.add(1)
        group.retry_failed()
        gc.collect()
        record = inspect(queue).records[group[0].id]
        gc.collect()
        assert record.is_referenced
        await group


# -- acts ------------------------------------------------------------------------------------------


async def test_a_group_is_held_released_and_cancelled_as_one() -> None:
    gate = asyncio.Event()
    async with JobQueue(max_running=1) as queue:
        other = queue.submit_nowait(gate.wait)
        group = queue.map(asyncio.Event.wait, [gate] * 3)
        await until(lambda: other.status == "running")
        assert group.hold() == 3
        assert all(job.held for job in group)
        assert group.release() == 3
        assert not any(job.held for job in group)
        assert group.cancel(reason="enough") == 3
        assert {job.cancel_reason for job in group} == {"enough"}
        assert group.cancel() == 0
        with pytest.raises(InvalidOptionError, match="then"):
            group.hold(then="start")  # type: ignore[arg-type]
        gate.set()
        assert await other is True


async def test_none_that_waits_takes_the_lane_of_one_that_is_cancelled() -> None:
    started: list[int] = []

    async def waits(number: int) -> None:
        started.append(number)
        await asyncio.Event().wait()

    async with JobQueue(max_running=1, cancel_timeout=0) as queue:
        group = queue.map(waits, range(5))
        await until(lambda: group.counts["running"])
        assert group.cancel() == 5
        await queue.join()
        assert started == [0]
        assert group.counts == none(cancelled=5)


# -- names -----------------------------------------------------------------------------------------


async def test_the_same_name_is_the_same_group() -> None:
    async with JobQueue() as queue:
        view = queue.options(group="sweep 7")
        first = view.map(double, [1, 2])
        single = view.submit_nowait(double, 3)
        second = view.map(double, [4])
        assert first.name == second.name == "sweep 7"
        assert single.group == "sweep 7"
        assert await first == [2, 4]
        assert await second == [8]
        whole = queue.group("sweep 7")
        assert await whole == [2, 4, 6, 8]
        assert whole == [*first, single, *second]
        view.submit_nowait(double, 5)
        assert len(whole) == 5, "also what comes later"
        unnamed, other = queue.map(double, [1]), queue.map(double, [1])
        assert unnamed.name != other.name
        assert [group.name for group in queue.groups()] == ["sweep 7", unnamed.name, other.name]
        await queue.join()


async def test_a_name_that_is_no_group_says_which_there_are() -> None:
    async with JobQueue() as queue:
        with pytest.raises(UnknownGroupError, match="none"):
            queue.group("sweep")
        queue.options(group="sweep 7").submit_nowait(double, 1)
        with pytest.raises(UnknownGroupError, match="'sweep 7'"):
            queue.group("swep 7")
        for wrong in (7, "", "  "):
            with pytest.raises(InvalidOptionError, match="group"):
                queue.options(group=wrong)


async def test_a_queue_knows_groups_of_the_jobs_that_it_keeps_and_a_map_has_them_all() -> None:
    async with JobQueue(keep_ended=2, max_history=2) as queue:
        group = queue.map(double, range(5))
        named = queue.group(group.name)
        await queue.join()
        assert group.counts == none(completed=5)
        assert group.results() == [0, 2, 4, 6, 8]
        assert named.counts == none(completed=2)
        assert named == group[3:]
        queue.forget(*named)
        assert queue.groups() == []
        assert named == []
        assert named.done
        again = group[1].retry()
        assert group[1] is again
        assert await again == 2
        assert queue.group(group.name) == [again]
        inspect(queue).validate()


async def test_secrets_stay_out_of_names_and_reasons() -> None:
    async with JobQueue() as queue:
        queue.pause()
        view = queue.options(group="with hunter-2-hunter", secret=True)
        group = view.map(raises, ["hunter-2-hunter"])
        assert "hunter" not in group.name
        group.cancel(reason="hunter-2-hunter was wrong")
        assert "hunter" not in (group[0].cancel_reason or "")


# -- labels ----------------------------------------------------------------------------------------


async def test_the_label_of_a_map_is_a_template_or_a_function() -> None:
    async with JobQueue() as queue:
        queue.pause()

        def titles(label: object, *items: list[object]) -> list[str]:
            return [job.title for job in queue.options(label=label).map(train, *items)]

        assert titles("rate={rate:.1f} {0} {{}}", [0.25, 3]) == [
            "rate=0.2 0.25 {}",
            "rate=3.0 3 {}",
        ]
        assert titles("{} of {}", [1], [2]) == ["1 of 2"]
        assert titles("{0.name}", [Path("a/b.txt")]) == ["b.txt"]
        assert titles("plain", [1]) == ["plain"]
        assert titles(lambda rate: f"{rate:.0%}", [0.5]) == ["50%"]
        jobs = queue.options(label="first").map(train, [0.1])
        assert titles("{rate} {0!r:.4} {0.title}", [*jobs]) == ["<result of first> <Job first"]
        assert titles("{}", [jobs]) == [f"<results of {jobs.name}>"]
        single = queue.options(label="{rate}").submit_nowait(train, 0.1)
        assert single.label == "{rate}", "a template is of a map"
        named = queue.options(label=lambda rate, depth: f"{rate}/{depth}")
        assert named.submit_nowait(train, 0.1, depth=2).label == "0.1/2"
        secret = queue.options(label="by {token}", secret="token")

        def sign(token: str) -> str:
            return token

        assert "swordfish" not in secret.map(sign, ["swordfish-42"])[0].title
        queue.cancel_all("all")


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("{depth}", r"\{depth\} is nothing that this map gives; there are: \{rate\}, \{0\}"),
        ("{1}", r"\{1\} is nothing"),
        ("{rate", "no template"),
        ("{rate:{wide}}", r"\{wide\} is nothing"),
        ("{rate:d}", "ValueError"),
        ("{rate.nonsense}", "AttributeError"),
        (lambda rate: 1 / 0, "ZeroDivisionError"),
        (lambda rate: "", "not empty"),
        (lambda rate: rate, "not float"),
        (lambda: "", "TypeError"),
        (unless, "never awaited"),
    ],
)
async def test_a_label_that_does_not_fit_submits_nothing(label: object, told: str) -> None:
    async with JobQueue() as queue:
        with pytest.raises(InvalidOptionError, match=told):
            queue.options(label=label).map(train, [0.1, 0.2])
        assert queue.jobs() == []


# -- a table ---------------------------------------------------------------------------------------


def train(rate: float, *, depth: int = 3) -> dict[str, float]:
    if rate > 0.5:
        raise ValueError("it diverges")
    return {"loss": 1 - rate, "depth": 0.0, "status": 1.0}


async def test_a_group_becomes_a_table() -> None:
    async with JobQueue() as queue:
        group = queue.map(train, [0.1, 0.2, 0.9])
        await queue.join()
        table = group.to_pandas()
        assert list(table.index) == [job.id for job in group]
        assert table.index.name == "id"
        assert list(table["rate"]) == [0.1, 0.2, 0.9]
        assert list(table["loss"][:2]) == [0.9, 0.8]
        assert list(table["result.status"][:2]) == [1.0, 1.0], "what is ours keeps its name"
        assert list(table["status"]) == ["completed", "completed", "failed"]
        assert table["error_type"].iloc[2] == "ValueError"
        assert table["error"].iloc[2] == "ValueError: it diverges"
        assert (table["seconds"] >= 0).all()
        assert isinstance(table["ended"].dtype, pd.DatetimeTZDtype)
        assert (table["ended"] >= table["started"]).all()
        assert table["memory_mib"].dtype == float
        again = group.retry_failed()
        await queue.join()
        table = group.to_pandas()
        assert len(table) == 3
        assert table.loc[again[0].id, "retry_of"] == again[0].retry_of


async def test_a_table_has_plain_results_and_no_secrets() -> None:
    async with JobQueue() as queue:
        assert list((await _done(queue.map(double, [1, 2]))).to_pandas()["result"]) == [2, 4]
        view = queue.options(secret="token")

        def sign(token: str, number: int) -> str:
            return f"{token}{number}"

        table = (await _done(view.map(sign, ["swordfish-42"] * 2, [1, 2]))).to_pandas()
        assert list(table["number"]) == [1, 2]
        assert "swordfish" not in table.to_string()


async def _done(group: JobGroup) -> JobGroup:
    await group
    return group


# -- a journal -------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def fails_at(number: int) -> int:
    if number == 2:
        raise ValueError("two")
    return number


async def test_groups_and_retries_come_back(path: Path) -> None:
    async with running(path) as queue:
        group = queue.map(fails_at, range(4))
        await queue.join()
        again = group.retry_failed()
        await queue.join()
        queue.pause()
        waits = queue.options(group="later").map(fails_at, [5, 6])
        copied = as_if_killed(path)
        ids, old = [job.id for job in group], again[0].retry_of
    async with running(copied) as restored:
        assert [one.name for one in restored.groups()] == [group.name, "later"]
        back = restored.group(group.name)
        assert [job.id for job in back] == ids
        assert back.counts == none(completed=3, failed=1)
        assert old is not None
        first = restored.get_job(old)
        assert first is not None
        assert first.retried_by == back[2].id
        assert first.note is not None
        assert first.note.startswith("retried")
        assert restored.group("later").counts == none(pending=2)
        third = back.retry_failed()
        assert [job.retry_of for job in third] == [ids[2]]
        copy_of = first.retry()
        assert copy_of.group is None
        restored.resume()
        await restored.join()
        assert await restored.group("later") == [5, 6]
        assert back[2] == third[0]
        assert waits.name == "later"
        last = [job.id for job in back]
    with opened(copied) as restored:
        assert [job.id for job in restored.group(group.name)] == last
        inspect(restored).validate()


async def test_a_group_is_over_though_none_of_its_jobs_is_kept() -> None:
    async with JobQueue(max_running=3, keep_ended=0, max_history=0) as queue:
        other = queue.submit_nowait(asyncio.sleep, 60)
        queue.options(group="sweep").submit_nowait(asyncio.sleep, 0.01)
        await asyncio.to_thread(queue.group("sweep").wait, 10)
        assert not other.done
        assert queue.groups() == []
        queue.hold(queue.submit_nowait(double, 1))
        group = queue.options(ahead=1).map(double, iter(range(3)))
        await asyncio.to_thread(group.wait, 10)
        assert group.counts == none(completed=3)
        other.cancel()
