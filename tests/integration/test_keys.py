"""Keys: what is submitted again with a key that is known gives the job that is known."""

from __future__ import annotations

import asyncio
import functools
import operator
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import InvalidOptionError, Job, JobQueue
from jobqueue_widget.errors import ResultNotKeptError
from jobqueue_widget.testing import MemoryJournal, inspect
from tests.conditions import until
from tests.journals import as_if_killed, opened, running
from tests.own_manager import own_manager

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")
THREADS: dict[str, Any] = {"executor": "thread", "max_running": 4}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


class Calls:
    """Counts runs by argument; some wait for a gate, some fail."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.seen: list[object] = []

    def run(self, item: object) -> object:
        self.seen.append(item)
        if item == "waits":
            self.gate.wait(20)
        if item == "fails":
            raise ValueError(item)
        if item == "nothing":
            return None
        if item == "unkept":
            return threading.Lock()
        return "done" if isinstance(item, dict) else f"{item} done"


def work(item: object) -> object:
    return CALLS.run(item)


async def work_on_the_loop(item: object) -> object:
    return CALLS.run(item)


CALLS = Calls()


@pytest.fixture(autouse=True)
def calls() -> Iterator[Calls]:
    global CALLS
    CALLS = Calls()
    yield CALLS
    CALLS.gate.set()


def submit(queue: JobQueue, item: object, **options: Any) -> Job:
    return queue.options(key="one", **options).submit_nowait(work, item)


# -- the table: how the earlier job stands ---------------------------------------------------------


async def pending(queue: JobQueue) -> Job:
    queue.pause()
    return submit(queue, "x")


async def held(queue: JobQueue) -> Job:
    job = submit(queue, "x")
    queue.hold(job)
    return job


async def about_to_be_removed(queue: JobQueue) -> Job:
    queue.pause()
    job = submit(queue, "x")
    queue.hold(job, 60.0, "cancel")
    return job


async def after_another(queue: JobQueue) -> Job:
    first = queue.submit_nowait(work, "waits")
    return queue.options(key="one", after=first).submit_nowait(work, "x")


async def is_running(queue: JobQueue) -> Job:
    job = submit(queue, "waits")
    await until(lambda: job.status == "running")
    return job


async def asked_to_stop(queue: JobQueue) -> Job:
    job = await is_running(queue)
    job.cancel()
    return job


async def completed(queue: JobQueue) -> Job:
    job = submit(queue, "x")
    await job
    return job


async def completed_with_none(queue: JobQueue) -> Job:
    job = submit(queue, "nothing")
    await job
    return job


async def failed(queue: JobQueue) -> Job:
    job = submit(queue, "fails")
    await queue.join()
    return job


async def cancelled(queue: JobQueue) -> Job:
    job = await pending(queue)
    job.cancel()
    queue.resume()
    return job


async def let_go(queue: JobQueue) -> Job:
    job = queue.options(key="one", executor="process").submit_nowait(threading.Lock)
    await queue.join()
    assert type(job.result).__name__ == "NotKept"
    return job


async def forgotten(queue: JobQueue) -> Job:
    job = await completed(queue)
    assert queue.forget(job) == 1
    return job


async def evicted(queue: JobQueue) -> Job:
    job = await completed(queue)
    await asyncio.gather(*(queue.submit_nowait(work, n) for n in range(queue_keeps(queue) + 1)))
    assert queue.get_job(job.id) is None
    return job


def queue_keeps(queue: JobQueue) -> int:
    return inspect(queue).engine.settings.keep_ended


THE_SAME = [pending, held, about_to_be_removed, after_another, is_running, asked_to_stop]
THE_SAME += [completed, completed_with_none]
ANOTHER = [failed, cancelled, forgotten, evicted]


@pytest.mark.parametrize("with_journal", [False, True])
@pytest.mark.parametrize("stage", THE_SAME)
async def test_a_job_that_stands_is_given_again(
    stage: Callable[[JobQueue], Any], with_journal: bool
) -> None:
    journal = MemoryJournal() if with_journal else None
    async with JobQueue(journal=journal, **THREADS) as queue:
        job = await stage(queue)
        count, seen = len(queue), len(CALLS.seen)
        given = submit(queue, "another argument counts not")
        assert given is job
        assert await queue.options(key="one").submit(work, 3) == job.id
        assert queue.options(key="{0}").map(work, ["one", "one"]) == [job, job]
        assert len(queue) == count
        assert len(CALLS.seen) == seen
        inspect(queue).validate()
        CALLS.gate.set()
        await queue.close()


@pytest.mark.parametrize("stage", ANOTHER)
async def test_a_job_that_does_not_stand_is_followed_by_a_new_one(
    stage: Callable[[JobQueue], Any],
) -> None:
    async with JobQueue(keep_ended=5, max_history=5, **THREADS) as queue:
        job = await stage(queue)
        given = submit(queue, "new")
        assert given is not job
        assert await given == "new done"
        assert submit(queue, "x") is given
        inspect(queue).validate()


async def test_a_value_that_is_kept_no_longer_is_made_again() -> None:
    async with JobQueue(**THREADS) as queue:
        view = queue.options(key="lock", executor="process")
        job = view.submit_nowait(threading.Lock)
        await queue.join()
        with pytest.raises(ResultNotKeptError):
            await job
        assert view.submit_nowait(threading.Lock) is not job


async def test_a_job_about_to_be_removed_stays_if_it_is_asked_for_again() -> None:
    async with JobQueue(**THREADS) as queue:
        job = await about_to_be_removed(queue)
        assert submit(queue, "x") is job
        assert not job.held
        queue.resume()
        assert await job == "x done"


async def test_the_newest_job_of_a_key_counts() -> None:
    async with JobQueue(**THREADS) as queue:
        job = await completed(queue)
        anew = submit(queue, "fails", rerun=True)
        assert anew is not job
        await queue.join()
        third = submit(queue, "x")
        assert third not in (job, anew), "the last one has failed"
        await third
        again = third.retry()
        assert submit(queue, "x") is again
        await again
        assert queue.forget(again) == 1
        assert submit(queue, "x") is third
        inspect(queue).validate()


async def test_a_retry_makes_a_job_though_its_key_is_known() -> None:
    async with JobQueue(**THREADS) as queue:
        job = await completed(queue)
        assert job.retry() is not job
        assert job.retry(latest=True) is not job
        await queue.join()
        assert CALLS.seen == ["x"] * 3


async def test_a_key_belongs_to_function_and_queue() -> None:
    async with JobQueue(**THREADS) as queue, JobQueue(**THREADS) as other:
        job = submit(queue, "x")
        assert queue.options(key="one").submit_nowait(work_on_the_loop, "x") is not job
        assert queue.options(key="one").submit_nowait(operator.neg, 1) is not job
        assert submit(other, "x") is not job
        assert queue.options(key="one").submit_nowait(functools.partial(work), 1) is job
        assert queue.options(key="two").submit_nowait(work, "x") is not job
        await queue.join()
        await other.join()


# -- how keys are made -----------------------------------------------------------------------------


async def test_key_true_tells_arguments_apart_and_not_how_they_are_given() -> None:
    async with JobQueue(**THREADS) as queue:
        keyed = queue.options(key=True)
        job = keyed.submit_nowait(work, "x")
        assert keyed.submit_nowait(work, item="x") is job
        assert keyed.map(work, ["x"]) == [job]
        assert keyed.submit_nowait(work, b"x") is not job
        number = keyed.submit_nowait(work, 1)
        assert keyed.submit_nowait(work, 1.0) is not number
        assert keyed.submit_nowait(work, {"a", "b"}) is keyed.submit_nowait(work, {"b", "a"})
        assert keyed.submit_nowait(work, Path("x")) is not job
        await queue.join()


async def test_a_function_makes_keys() -> None:
    async with JobQueue(**THREADS) as queue:
        first = queue.options(key=lambda item: Path(item).stem).map(work, ["a.wav", "b.wav"])
        again = queue.options(key=lambda item: item[0]).map(work, ["b", "a"])
        assert again == [first[1], first[0]]
        by_size = queue.options(key=lambda item: (item, len(item)))
        assert by_size.submit_nowait(work, "cc") is by_size.submit_nowait(work, "cc")
        await queue.join()


def define(code: str, **variables: object) -> Callable[[int], object]:
    namespace: dict[str, Any] = {"__name__": "__main__", **variables}
    exec(code, namespace)
    found: Callable[[int], object] = namespace["f"]
    return found


async def test_changed_code_is_another_key_and_the_row_says_so() -> None:
    async with JobQueue(**THREADS) as queue:
        keyed = queue.options(key=True)
        job = keyed.submit_nowait(define("def f(x): return x + k", k=1), 3)
        same = keyed.submit_nowait(define("# anew\ndef f(x): return x + k", k=1), 3)
        assert same is job
        changed = keyed.submit_nowait(define("def f(x): return x + k", k=2), 3)
        assert changed is not job
        row = queue.window("pending", 0, 9).rows or queue.window("running", 0, 9).rows
        await queue.join()
        rows = {row["id"]: row for row in (*row, *queue.window("history", 0, 9).rows)}
        assert "the function has changed since" in rows[changed.id]["note"]
        assert rows[job.id]["note"] is None
        other = keyed.submit_nowait(define("def f(x): return x + k", k=2), 4)
        await queue.join()
        assert queue.window("history", 0, 1).rows[0]["id"] == other.id
        assert queue.window("history", 0, 1).rows[0]["note"] is None


def broken(item: object) -> str:
    raise ValueError(f"no {item}")


@pytest.mark.parametrize(
    ("options", "item", "why"),
    [
        ({"key": "plain"}, 1, "the same for each job of the map"),
        ({"key": "{other}"}, 1, "names 'other', and the arguments are: 0, item"),
        ({"key": "{1}"}, 1, "and the arguments are: 0, item"),
        ({"key": "{item"}, 1, "is no template"),
        ({"key": "{0.name}"}, 1, "cannot be filled in: AttributeError"),
        ({"key": "{0}"}, {1, 2}, "differs from kernel to kernel"),
        ({"key": "{0}"}, object(), "differs from kernel to kernel"),
        ({"key": "{0}"}, " ", "an empty text"),
        ({"key": ""}, 1, "an empty text"),
        ({"key": False}, 1, "key must be a text, True or a plain function"),
        ({"key": work_on_the_loop}, 1, "key must be a text, True or a plain function"),
        ({"key": 7}, 1, "key must be a text, True or a plain function"),
        ({"key": broken}, 1, "the function for the key raised ValueError: no 1"),
        ({"key": lambda item: None}, 1, "it must return what tells the jobs apart"),
        ({"key": lambda item: threading.Lock()}, 1, "let it return a text"),
        ({"key": True}, threading.Lock(), r"argument 'item' \(lock\).*name the job instead: key="),
        ({"rerun": True}, 1, "say which with key="),
        ({"key": "{0}", "rerun": 1}, 1, "rerun must be True or False"),
    ],
)
def test_bad_keys_are_refused_and_nothing_is_enqueued(
    options: dict[str, Any], item: object, why: str
) -> None:
    queue = JobQueue(**THREADS)
    with pytest.raises(InvalidOptionError, match=why):
        queue.options(**options).map(work, [item])
    assert len(queue) == 0


@pytest.mark.parametrize("key", ["{item}", "{0}", "{}", "of {item.name!r:>9}", "{0[a]}"])
def test_a_template_without_a_map_is_refused(key: str) -> None:
    queue = JobQueue(**THREADS)
    with pytest.raises(InvalidOptionError, match="filled in by map alone"):
        queue.options(key=key).submit_nowait(work, "a")
    with pytest.raises(InvalidOptionError, match="filled in by map alone"):
        queue.job(key=key)(work).submit("a")
    assert len(queue) == 0


@pytest.mark.parametrize("key", ["{rate}", "{steps:.1f}", "{more[0]}", "{most}"])
def test_a_template_of_a_parameter_that_is_not_given_is_refused_too(key: str) -> None:
    def train(item: object, rate: float = 0.1, *more: object, steps: int = 3, most: int = 4) -> int:
        return steps

    queue = JobQueue(**THREADS)
    with pytest.raises(InvalidOptionError, match="filled in by map alone"):
        queue.options(key=key).submit_nowait(train, "a", most=5)
    assert len(queue) == 0


@pytest.mark.parametrize("key", ['{"item": 1}', "{other}", "{1}", "{item", "{{item}}"])
def test_a_text_that_has_braces_is_a_key(key: str) -> None:
    queue = JobQueue(**THREADS)
    job = queue.options(key=key).submit_nowait(work, "a")
    assert queue.options(key=key).submit_nowait(work, "a") is job


def test_what_a_function_reads_and_cannot_be_digested_is_named() -> None:
    queue = JobQueue(**THREADS)
    function = define("def f(x): return lock", lock=threading.Lock())
    with pytest.raises(InvalidOptionError, match=r"its function.*global variable 'lock' of f"):
        queue.options(key=True).submit_nowait(function, 1)


def test_one_bad_item_of_a_map_enqueues_none() -> None:
    queue = JobQueue(**THREADS)
    with pytest.raises(InvalidOptionError):
        queue.options(key=lambda item: 1 / item and str(item)).map(work, [1, 2, 0])
    assert len(queue) == 0


# -- several at once -------------------------------------------------------------------------------


async def test_a_key_submitted_by_many_threads_gives_one_job() -> None:
    async with JobQueue(**THREADS) as queue:
        with ThreadPoolExecutor(8) as pool:
            for number in range(20):
                together = threading.Barrier(8)

                def one(key: str, together: threading.Barrier) -> Job:
                    together.wait()
                    return queue.options(key=key).submit_nowait(work, key)

                jobs = [pool.submit(one, f"key {number}", together) for _ in range(8)]
                assert len({job.result() for job in jobs}) == 1
        await queue.join()
        assert sorted(CALLS.seen, key=str) == sorted(f"key {number}" for number in range(20))
        inspect(queue).validate()


async def test_a_job_evicted_between_look_and_accept_is_looked_for_again() -> None:
    """What was found may be gone when it is to be given: then a new one is made."""
    async with JobQueue(**THREADS) as queue:
        job = await completed(queue)
        submission = inspect(queue)._submission
        make = submission.record

        def late(*args: Any) -> Any:
            made = make(*args)
            if queue.get_job(job.id) is not None:
                queue.forget(job)
            return made

        submission.record = late  # type: ignore[method-assign,assignment]
        given = submit(queue, "x")
        assert given is not job
        assert await given == "x done"


class TakesLong:
    """An argument while whose packing another job of the same key is submitted, and cancelled."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue
        self.between: Job | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self.between is None:
            self.between = self.queue.options(key="one", executor="thread").submit_nowait(work, 1)
            self.between.cancel()
        return str, ("packed",)


@pytest.mark.parametrize("is_killed", [False, True])
async def test_the_job_that_was_accepted_last_counts(path: Path, *, is_killed: bool) -> None:
    """It may have the lower number: that is given before a job is packed."""
    async with running(path) as queue:
        queue.pause()
        slow = TakesLong(queue)
        first = queue.options(key="one").submit_nowait(work, slow)
        assert slow.between is not None
        assert first.created_at >= slow.between.created_at
        copy = as_if_killed(path) if is_killed else path
        if not is_killed:
            assert queue.options(key="one").submit_nowait(work, 2) is first
    if is_killed:
        async with running(copy) as queue:
            assert queue.options(key="one").submit_nowait(work, 2).id == first.id


# -- a journal -------------------------------------------------------------------------------------


async def test_run_all_again_runs_nothing_twice(path: Path) -> None:
    items = [f"file {number}" for number in range(20)]
    async with running(path, **THREADS) as queue:
        jobs = queue.options(key="{item}").map(work, items)
        await queue.join()
        ids = [job.id for job in jobs]
    async with running(path, **THREADS) as queue:
        again = queue.options(key="{item}").map(work, [*items, "new"])
        assert [job.id for job in again[:-1]] == ids
        await queue.join()
        assert [await job for job in again] == [f"{item} done" for item in [*items, "new"]]
        assert len(queue) == 21
        assert not queue.paused
    assert sorted(CALLS.seen, key=str) == sorted([*items, "new"])


async def test_what_waits_after_a_restore_goes_on_when_it_is_asked_for_again(path: Path) -> None:
    with opened(path, **THREADS) as queue:
        keyed = queue.options(key="{0}")
        jobs = keyed.map(work, ["a", "b", "c"])
        other = queue.submit_nowait(work, "unkeyed")
        ids = [job.id for job in jobs]
    async with running(path, **THREADS) as queue:
        assert queue.paused
        keyed = queue.options(key="{0}")
        again = keyed.map(work, ["a", "b", "new"])
        assert [job.id for job in again[:2]] == ids[:2]
        assert [await job for job in again] == ["a done", "b done", "new done"]
        assert queue.paused, "others wait to be looked at"
        assert CALLS.seen == ["a", "b", "new"]
        waiting = queue.submit_nowait(work, "without a key")
        inspect(queue).validate()
        keyed.map(work, ["c"])
        assert queue.paused
        assert other.id in {job.id for job in queue.jobs("pending")}
        queue.cancel_nowait(other.id)
        queue.cancel_nowait(waiting.id)
        assert await keyed.map(work, ["c"])[0] == "c done"
        await until(lambda: len(CALLS.seen) == 4)


async def test_the_review_is_over_when_all_was_asked_for_again(path: Path) -> None:
    with opened(path, **THREADS) as queue:
        queue.options(key="{0}").map(work, ["a", "b"])
    async with running(path, **THREADS) as queue:
        queue.options(key="{0}").map(work, ["a"])
        assert inspect(queue).pause is not None
        queue.options(key="{0}").map(work, ["b"])
        assert inspect(queue).pause is None
        await queue.submit_nowait(work, "without a key")
        await queue.join()


async def test_what_the_user_has_paused_stays_paused(path: Path) -> None:
    with opened(path, **THREADS) as queue:
        queue.pause("lunch")
        queue.options(key="{0}").map(work, ["a"])
    async with running(path, **THREADS) as queue:
        [job] = queue.options(key="{0}").map(work, ["a"])
        assert queue.paused
        assert not inspect(queue).lanes.taken
        queue.resume()
        assert await job == "a done"
    async with running(path, **THREADS) as queue:
        assert not queue.paused


async def test_a_pause_by_hand_stops_also_what_was_asked_for_again(path: Path) -> None:
    with opened(path, **THREADS) as queue:
        queue.options(key="{0}").map(work, ["waits", "b", "c"])
    async with running(path, executor="thread") as queue:
        jobs = queue.options(key="{0}").map(work, ["waits", "b"])
        await until(lambda: CALLS.seen)
        queue.pause("lunch")
        CALLS.gate.set()
        await jobs[0]
        await asyncio.sleep(0)
        assert CALLS.seen == ["waits"]
        queue.resume()
        await queue.join()


async def test_what_was_interrupted_is_made_anew(path: Path) -> None:
    async with running(path, **THREADS) as queue:
        job = await is_running(queue)
        copy = as_if_killed(path)
        CALLS.gate.set()
    async with running(copy, **THREADS) as queue:
        restored = queue.get_job(job.id)
        assert restored is not None
        assert "interrupted by kernel exit" in str(restored.error)
        again = submit(queue, "waits")
        assert again is not restored
        assert await again == "waits done"


async def test_a_value_that_is_in_the_journal_as_text_only_is_made_again(path: Path) -> None:
    async with running(path, **THREADS) as queue:
        job = submit(queue, "unkept")
        await job
        assert submit(queue, "unkept") is job, "it is here"
    async with running(path, **THREADS) as queue:
        assert submit(queue, "x").id != job.id


async def test_a_job_whose_executor_is_gone_still_stands_for_its_result(path: Path) -> None:
    from jobqueue_widget.executors.futures.executor import FuturesExecutor

    with ThreadPoolExecutor(1) as pool:
        async with running(path, executor=FuturesExecutor(pool)) as queue:
            own = FuturesExecutor(pool)
            job = submit(queue, "x", executor=own)
            await job
        async with running(path, executor=FuturesExecutor(pool)) as queue:
            again = submit(queue, "x")
            assert again.id == job.id
            assert await again == "x done"


async def test_a_pending_job_that_cannot_come_back_is_replaced(path: Path) -> None:
    with opened(path, **THREADS) as queue:
        job = queue.options(key="one").submit_nowait(work, {"password": "hunter22"})
    async with running(path, **THREADS) as queue:
        lost = queue[job.id]
        assert lost.held
        again = submit(queue, "x")
        assert again.id != job.id
        assert lost.status == "cancelled"
        assert lost.cancel_reason == "submitted again, as it could not run"
        assert await again == "x done"


@pytest.mark.parametrize("is_released", [False, True])
async def test_a_job_that_cannot_come_back_is_replaced_though_it_was_held_once_more(
    path: Path, *, is_released: bool
) -> None:
    with opened(path, **THREADS) as queue:
        job = queue.options(key="one").submit_nowait(work, {"password": "hunter22"})
    async with running(path, **THREADS) as queue:
        lost = queue[job.id]
        why = lost.block_reason
        assert why
        if is_released:
            assert queue.release(lost)
        assert queue.hold(lost)
        assert is_released or lost.block_reason == why
        assert await submit(queue, "x") == "x done"
        assert lost.status == "cancelled"


@pytest.mark.parametrize("ahead", [2, 1])
async def test_what_waits_for_a_job_that_cannot_come_back_is_made_anew_with_it(
    path: Path, ahead: int
) -> None:
    """To replace the one cancels the other, which was found a moment ago."""
    with opened(path, **THREADS) as queue:
        lost = queue.options(key="x").submit_nowait(work, {"password": "hunter22"})
        waits = queue.options(key="y", after=lost).submit_nowait(work, "y")
    async with running(path, **THREADS) as queue:
        again = queue.options(key="{0}", ahead=ahead).map(work, ["x", "y"])
        await again.wait_drawn()
        assert await again == ["x done", "y done"]
        assert again[1].id != waits.id
        assert queue[waits.id].cancel_reason == f"dependency cancelled: {lost.title}"
        inspect(queue).validate()


async def test_a_result_that_leaves_while_a_map_is_accepted_is_given_all_the_same() -> None:
    """The history is full, and what is accepted before it ends at once."""
    async with JobQueue(**THREADS, keep_ended=2, max_history=0) as queue:
        done = queue.options(key="y").submit_nowait(work, "y")
        await done
        failed = submit(queue, "fails")
        await queue.join()
        again = queue.options(key="{0}", after=failed).map(work, ["x", "y"])
        assert list(again)[1] is done
        assert [job.status for job in again] == ["cancelled", "completed"]
        inspect(queue).validate()


SECRET = "correct-horse-battery"


async def test_secrets_enter_a_key_as_what_cannot_be_read(path: Path) -> None:
    call = {"item": "x", "password": SECRET}

    def make(queue: JobQueue) -> list[Job]:
        view = queue.options
        return [
            view(key=True).submit_nowait(work, dict(call)),
            view(key="{0[password]}").map(work, [call])[0],
            view(key=lambda item: item["password"]).submit_nowait(work, call),
        ]

    async with running(path, **THREADS) as queue:
        jobs = make(queue)
        await queue.join()
    written = b"".join(one.read_bytes() for one in path.parent.glob("runs.db*") if one.is_file())
    assert SECRET.encode() not in written
    async with running(path, **THREADS) as queue:
        assert [job.id for job in make(queue)] == [job.id for job in jobs]
        await queue.join()


async def test_a_key_that_somebody_else_has_written_is_no_key(path: Path) -> None:
    import sqlite3

    async with running(path, **THREADS) as queue:
        one = submit(queue, "x")
        secret = queue.options(key="two").submit_nowait(work, {"password": SECRET})
        await queue.join()
    copy = path.with_name("forged.db")
    shutil.copy(path, copy)
    connection = sqlite3.connect(copy)
    connection.execute(
        "UPDATE jobs SET options = (SELECT options FROM jobs WHERE id = ?) WHERE id = ?",
        (one.id, secret.id),
    )
    connection.execute("DELETE FROM jobs WHERE id = ?", (one.id,))
    connection.execute("DELETE FROM standings WHERE id = ?", (one.id,))
    connection.commit()
    connection.close()
    async with running(copy, **THREADS) as queue:
        assert submit(queue, "x").id != secret.id


async def test_a_result_that_is_lost_is_made_again_the_next_time(path: Path) -> None:
    import sqlite3

    async with running(path, **THREADS) as queue:
        job = await completed(queue)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE results SET data = x'80054b2a2e'")  # 42, not sealed
    connection.commit()
    connection.close()
    async with running(path, **THREADS) as queue:
        again = submit(queue, "x")
        assert again.id == job.id
        with pytest.raises(ResultNotKeptError):
            await again
        assert await submit(queue, "x") == "x done"


async def test_of_many_that_are_done_only_the_others_are_submitted(path: Path) -> None:
    items = list(range(500))
    async with running(path, **THREADS) as queue:
        queue.options(key=True).map(work, items[:490])
        await queue.join()
    async with running(path, **THREADS) as queue:
        jobs = queue.options(key=True).map(work, items)
        assert len(queue) == 500
        assert await asyncio.gather(*jobs) == [f"{item} done" for item in items]
        assert len(CALLS.seen) == 500


# -- groups ----------------------------------------------------------------------------------------


async def test_a_map_that_is_run_again_is_the_same_group(path: Path) -> None:
    items = ["a", "fails", "c", "waits"]
    async with running(path, **THREADS) as queue:
        runs = queue.options(key="{0}").map(work, items)
        await until(lambda: runs.counts["completed"] == 2 and runs.counts["failed"] == 1)
        copy = as_if_killed(path)
        CALLS.gate.set()
    async with running(copy, **THREADS) as queue:
        assert [one.name for one in queue.groups()] == [runs.name]
        again = queue.options(key="{0}").map(work, [*items, "new"])
        await until(lambda: again.done)
        assert again.name == runs.name
        assert again.counts == {**dict.fromkeys(again.counts, 0), "completed": 4, "failed": 1}
        assert queue.group(runs.name).counts == again.counts
        assert [job.retry_of is not None for job in again] == [False, True, False, True, False]
        inspect(queue).validate()


async def test_what_failed_and_is_submitted_again_takes_its_place() -> None:
    async with JobQueue(**THREADS) as queue:
        view = queue.options(key="{0}", group="sweep")
        runs = view.map(work, ["a", "fails"])
        await until(lambda: runs.done)
        failed = runs[1]
        again = view.map(work, ["a", "fails", "a"])
        await until(lambda: again.done)
        assert again[1] is not failed
        assert runs[1] is again[1]
        assert (again[0], again[2]) == (runs[0], runs[0])
        assert again.counts["completed"] == 2
        assert queue.group("sweep").counts == runs.counts
        assert [one.name for one in queue.groups()] == ["sweep"]
        inspect(queue).validate()


async def test_what_failed_is_followed_though_the_same_map_drives_it_out(path: Path) -> None:
    async with running(path, **THREADS) as queue:
        failed = queue.options(key="fails", group="sweep").submit_nowait(work, "fails")
        await queue.wait_for_job(failed)
        queue.pause()
        queue.options(key="x").submit_nowait(work, {"password": "hunter22"})
    async with running(path, max_history=1, keep_ended=1, **THREADS) as queue:
        before = queue[failed.id]
        view = queue.options(key="{0}", group="sweep")
        group = view.map(work, ["fails", "x"])  # the second takes the place of a lost one
        assert before.retried_by == group[0].id
        assert sum(group.counts.values()) == 2
        assert queue.group("sweep").counts["failed"] == 0
        queue.resume()
        await queue.join()


async def test_a_known_job_joins_the_group_of_another_submit() -> None:
    async with JobQueue(**THREADS) as queue:
        job = await completed(queue)
        for _ in range(2):
            assert submit(queue, "x", group="one") is job
        assert list(queue.group("one")) == [job]
        [given] = queue.options(key=lambda item: "one", group="two").map(work, ["x"])
        assert given is job
        assert list(queue.group("two")) == [job]
        queue.forget(job)
        assert queue.groups() == []
        inspect(queue).validate()


# -- long maps -------------------------------------------------------------------------------------


async def test_a_long_map_that_is_run_again_draws_what_is_known(path: Path) -> None:
    items = [*range(300), 7, "fails"]
    ahead: dict[str, Any] = {"key": "{0}", "ahead": 20}
    async with running(path, **THREADS) as queue:
        runs = queue.options(**ahead).map(work, iter(items[:250]))
        await runs.wait_drawn()
        await until(lambda: runs.done)
    async with running(path, **THREADS) as queue:
        again = queue.options(**ahead).map(work, items)
        await again.wait_drawn()
        await until(lambda: again.done)
        assert again.name == runs.name
        assert [job.id for job in again][:250] == [job.id for job in runs]
        assert again[300] is again[7]
        assert again.results("skip") == [f"{item} done" for item in items[:-1]]
        assert len(queue) == 301
        inspect(queue).validate()
        retried = again[301].retry()
        await until(lambda: retried.done)
        assert again[301] is retried
        once = again[7].retry()
        await once
        twice = once.retry()
        await twice
        assert again[7] is again[300] is twice
        inspect(queue).validate()
    assert len(CALLS.seen) == 304


async def test_a_later_item_without_a_key_fails_alone() -> None:
    async with JobQueue(**THREADS) as queue:
        runs = queue.options(key=lambda n: str(1 / n), ahead=2).map(work, [1, 2, 3, 0, 4])
        await runs.wait_drawn()
        await until(lambda: runs.done)
        assert runs.counts["completed"] == 4
        assert "the function for the key raised ZeroDivisionError" in str(runs[3].error)
        assert list(runs.failures()) == ["argument"]
        inspect(queue).validate()


async def test_a_known_job_that_leaves_while_a_map_is_drawn_is_made_anew() -> None:
    async with JobQueue(**THREADS) as queue:
        view = queue.options(key="{0}", ahead=1)
        known = view.map(work, ["a", "b", "c"])
        await known.wait_drawn()
        await until(lambda: known.done)
        submission = inspect(queue)._submission
        make = submission.record

        def late(target: object, args: Any, *more: Any) -> Any:
            made = make(target, args, *more)
            if args == ("b",):
                queue.forget(status="completed")
            return made

        submission.record = late  # type: ignore[method-assign,assignment]
        again = view.map(work, ["a", "b", "c"])
        await again.wait_drawn()
        await until(lambda: again.done)
        assert again.results() == ["a done", "b done", "c done"]
        assert len(CALLS.seen) == 5


async def test_jobs_as_arguments_are_told_apart() -> None:
    async with JobQueue(**THREADS) as queue:
        first, second = queue.map(work, ["a", "b"])
        keyed = queue.options(key=True)
        one, other = keyed.map(work, [first, second])
        assert await one == "a done done"
        assert await other == "b done done"
        assert keyed.submit_nowait(work, first) is one
        with pytest.raises(InvalidOptionError, match="a job as an argument has no text"):
            queue.options(key="{0}").map(work, [first, second])


@pytest.mark.parametrize(
    "key",
    [
        lambda item: str(item),
        lambda item: f"of {item}",
        lambda item: item,
        lambda item: ("all", {"of": item}),
        lambda item: item["parents"][0].id,
        "{0}",
        "{item[parents][0].id}",
    ],
)
async def test_a_key_of_a_job_as_an_argument_tells_it_from_others_in_each_kernel(
    key: Any, path: Path
) -> None:
    known: list[str] = []
    for _ in range(3):
        async with running(path, **THREADS) as queue:
            parents = queue.options(key="{0}", label="same").map(work, ["a", "b"])
            given = [{"parents": [one]} for one in parents]
            first, other = queue.options(key=key).map(work, given)
            await queue.join()
            assert first is not other
            known = known or [first.id, other.id]
            assert [first.id, other.id] == known
            without = queue.options(label="same").submit_nowait(work, "a")
            assert queue.options(key=key).map(work, [{"parents": [without]}])[0].id not in known


@pytest.mark.parametrize("key", [lambda job: job.title, lambda job: hash(job), "{0.title}"])
async def test_a_key_can_know_no_more_of_a_job_than_its_id(key: Any) -> None:
    async with JobQueue(**THREADS) as queue:
        parent = queue.submit_nowait(work, "a")
        with pytest.raises(InvalidOptionError, match=r"its id, or key=True|unhashable type"):
            queue.options(key=key).map(work, [parent])


async def test_key_true_tells_configurations_and_versions_of_a_plugin_apart(
    path: Path, tmp_path: Path
) -> None:
    ids: list[str] = []
    for number in range(2):
        with own_manager(tmp_path / str(number), plugins=["toolbox"]) as manager:
            async with running(path, manager=manager) as queue:
                keyed = queue.options(key=True)
                plain = await keyed.submit("toolbox", "echo", 3)
                await queue.wait_for_job(plain)
                assert manager.update_plugin_config("toolbox", {"flavour": "odd"})
                odd = keyed.submit_nowait("toolbox", "echo", 3)
                await odd
                ids = ids or [plain, odd.id]
                assert [plain, odd.id] == ids, "also after a restart"
                assert (
                    str(odd.as_row()["note"]).startswith("the plugin has changed since") or number
                )
                assert manager.update_plugin_config("toolbox", {"flavour": "plain"})
                assert keyed.submit_nowait("toolbox", "echo", 3).id == plain
                again = odd.retry()  # it runs as it is configured by now
                await again
                assert keyed.submit_nowait("toolbox", "echo", 3) == again
                assert manager.update_plugin_config("toolbox", {"flavour": "odd"})
                assert keyed.submit_nowait("toolbox", "echo", 3) == odd
                queue.forget(again)
                manager.plugins["toolbox"].version = "3.0"
                assert keyed.submit_nowait("toolbox", "echo", 3) not in (odd, plain)
                await queue.join()


async def test_key_true_of_a_plugin_whose_configuration_nobody_knows_is_refused(
    tmp_path: Path,
) -> None:
    with own_manager(tmp_path, plugins=[]) as manager:
        queue = JobQueue(manager)
        with pytest.raises(InvalidOptionError, match="load it first; or name the job instead"):
            queue.options(key=True).submit_nowait("toolbox", "echo", 3)
    queue = JobQueue(Manager())
    with pytest.raises(InvalidOptionError, match="does not tell how plugin 'any' is configured"):
        queue.options(key=True).submit_nowait("any", 3)
    assert queue.options(key="one").submit_nowait("any", 3).status.value == "pending"


class Manager:
    """As small as one may be."""

    def get_plugin(self, name: str) -> object:
        return None

    async def execute_plugin_async(self, name: str, *args: Any, **kwargs: Any) -> object:
        return None

    def reload_plugin(self, name: str) -> bool:
        return False
