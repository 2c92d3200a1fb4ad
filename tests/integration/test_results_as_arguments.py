"""Jobs among the arguments of others: kept, passed on as packed, refused or told as lost."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import threading
import time
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from jobqueue_widget import (
    InvalidArgumentError,
    InvalidOptionError,
    Job,
    JobCancelled,
    JobQueue,
    by_handle,
)
from jobqueue_widget._core import events as ev
from jobqueue_widget._core.jobs import Outcome
from jobqueue_widget._runtime.storage.filling import Filling
from jobqueue_widget._runtime.storage.forwarding import Forwarding
from jobqueue_widget._runtime.storage.keeper import Keeper
from jobqueue_widget.errors import JobNotRunningError
from jobqueue_widget.executors import process as process_module
from jobqueue_widget.testing import MemoryJournal, inspect
from tests.conditions import until
from tests.journals import as_if_killed, running
from tests.threads import no_threads

MIB = 1 << 20
ANY: Any = list
UNPICKLED_HERE: list[int] = []


class Traced:
    """Says in which process it was unpickled."""

    def __init__(self, size: int) -> None:
        self.data = bytes(size)
        self.loaded_in = os.getpid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, loaded_in=os.getpid())
        UNPICKLED_HERE.append(len(self.data))


class Gate:
    """Waits, wherever it is unpickled in this process, until it is let through."""

    opened = threading.Event()
    reached = threading.Event()

    def __init__(self, kernel: int) -> None:
        self.kernel = kernel

    def __setstate__(self, state: dict[str, Any]) -> None:
        if os.getpid() == state["kernel"]:
            Gate.reached.set()
            Gate.opened.wait(30)


class Fleeting:
    """Takes its file along when it goes, in the worker that has made it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = bytes(40 * MIB)

    def __del__(self) -> None:
        for path in self.folder.glob("result-*"):
            path.unlink()


class Pair(NamedTuple):
    one: object
    other: object


def traced(size: int) -> Traced:
    return Traced(size)


def gate(kernel: int) -> Gate:
    return Gate(kernel)


def look(*found: Traced) -> list[tuple[int, bool]]:
    return [(len(one.data), one.loaded_in == os.getpid()) for one in found]


def echo(value: object) -> object:
    return value


class Aside:
    """Goes as bytes beside its pickle, as arrays do, and may be changed."""

    def __init__(self, data: object) -> None:
        UNPICKLED_HERE.append(os.getpid())
        self.data = data if type(data) is bytearray else memoryview(data)  # type: ignore[arg-type]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Aside, (pickle.PickleBuffer(self.data),)


def aside(size: int) -> list[Aside]:
    return [Aside(bytearray(size)), Aside(bytes(size))]


def sizes_of(found: list[Aside]) -> list[int]:
    return [len(one.data) for one in found]


def are_one(first: object, second: list[object]) -> bool:
    return first is second[0]


def fail() -> None:
    raise ValueError("no such file")


async def no_more(queue: JobQueue) -> None:
    """All that runs has ended."""
    await queue.join(timeout=60)


async def test_the_kernel_does_not_unpickle_what_goes_from_worker_to_worker() -> None:
    UNPICKLED_HERE.clear()
    sizes = [10, 200_000, 40 * MIB]
    async with JobQueue(max_running=2) as queue:
        queue.pause()
        parents = [queue.submit_nowait(traced, size) for size in sizes]
        child = queue.submit_nowait(look, *parents)
        again = queue.submit_nowait(look, parents[2])
        queue.resume()
        assert await child == [(size, True) for size in sizes]
        assert await again == [(40 * MIB, True)]
        assert UNPICKLED_HERE == []
        assert len(parents[2].result.data) == 40 * MIB
        assert UNPICKLED_HERE == [40 * MIB], "when it is asked for"


async def test_one_job_in_two_places_is_one_object_and_containers_stay_what_they_are() -> None:
    async with JobQueue() as queue:
        parent = queue.submit_nowait(echo, [1])
        assert await queue.submit_nowait(are_one, parent, [parent]) is True
        plain: list[object] = [1, [2]]
        given = {
            "pair": Pair(parent, plain),
            "ordered": OrderedDict(a=parent),
            "default": defaultdict(ANY, {"a": (parent, parent)}),
        }
        threads = queue.options(executor="thread")
        found: Any = await threads.submit_nowait(echo, given)
        assert found == {
            "pair": Pair([1], plain),
            "ordered": OrderedDict(a=[1]),
            "default": defaultdict(ANY, {"a": ([1], [1])}),
        }
        assert [type(one) for one in found.values()] == [Pair, OrderedDict, defaultdict]
        assert found["default"].default_factory is ANY
        assert found["pair"].other is plain, "what holds no job is not copied"
        assert given["pair"] == Pair(parent, plain), "nor is what was given changed"


async def test_a_group_stands_for_the_list_of_its_results() -> None:
    async with JobQueue(max_running=2) as queue:
        queue.pause()
        parts = queue.map(echo, [1, 2, 3])
        total = queue.submit_nowait(sum, parts)
        within = queue.submit_nowait(echo, {"all": parts, "one": parts[1]})
        threads = queue.options(executor="thread")
        handle = threads.submit_nowait(echo, by_handle(parts))
        assert total.block_reason == "waits for 3 jobs"
        queue.resume()
        assert await total == 6
        assert await within == {"all": [1, 2, 3], "one": 2}
        assert await handle is parts
        broken = queue.map(len, [[], 1])
        child = queue.submit_nowait(echo, broken)
        assert await queue.submit_nowait(sum, queue.map(len, [])) == 0
        await no_more(queue)
        assert child.cancel_reason == "dependency failed: len"
        again = child.retry()
        assert again.cancel_reason == "dependency failed: len"


@pytest.mark.parametrize("executor", ["process", "thread"])
async def test_a_job_is_found_among_thousands_of_arguments(executor: str) -> None:
    async with JobQueue() as queue:
        parent = queue.submit_nowait(echo, "made")
        many: list[object] = [*range(5_000), {"a": parent}]
        child = queue.options(executor=executor).submit_nowait(echo, many)
        assert await child == [*range(5_000), {"a": "made"}]
        round_about: list[object] = [*range(5_000)]
        round_about.append(round_about)
        if executor == "thread":
            assert await queue.options(executor=executor).submit_nowait(
                are_one, round_about, [round_about]
            )


async def test_what_cannot_be_put_in_its_place_is_refused_and_nothing_is_enqueued() -> None:
    async with JobQueue() as queue, JobQueue() as another:
        parent, foreign = queue.submit_nowait(echo, 1), another.submit_nowait(echo, 1)
        await no_more(queue)
        many = range(1_000)
        for wrong in ({parent}, {parent: 1}, [{(1, parent)}], [*many, {parent}], {(parent,): 2}):
            for executor in ("process", "thread"):
                with pytest.raises(InvalidArgumentError, match="by_handle"):
                    queue.options(executor=executor).submit_nowait(echo, wrong)
        with pytest.raises(InvalidArgumentError, match="another queue"):
            queue.submit_nowait(echo, [foreign])
        with pytest.raises(InvalidArgumentError, match="takes a job"):
            by_handle(1)  # type: ignore[arg-type]
        with pytest.raises(InvalidOptionError, match="after_failure"):
            queue.options(after_failure="run").submit_nowait(echo, parent)
        with pytest.raises(TypeError, match="for threads and coroutines alone"):
            queue.submit_nowait(echo, by_handle(parent))
        assert queue.jobs() == [parent]
        threads = queue.options(executor="thread")
        assert await threads.submit_nowait(echo, [by_handle(parent)]) == [parent]


async def test_results_stay_until_they_are_taken_whatever_is_kept_else() -> None:
    queue = JobQueue(max_history=0, keep_ended=0, keep_bytes=0)
    async with queue:
        queue.pause()
        wanted = [queue.submit_nowait(traced, size).id for size in (10, 2 * MIB)]
        children = [queue.hold(queue.submit_nowait(look, *map(queue.get_job, wanted)))]
        assert children
        child = queue.jobs("pending")[-1]
        queue.resume()
        await until(lambda: queue.jobs("pending") == [child] and not queue.jobs("running"))
        await queue.submit_nowait(echo, 1)
        assert all(queue.get_job(one) is not None for one in wanted)
        queue.release(child)
        assert await child == [(10, True), (2 * MIB, True)]
        assert [queue.get_job(one) for one in wanted] == [None, None]
        await queue.submit_nowait(echo, 1)
        inspect(queue).engine.state.validate()
        assert not inspect(queue).engine.keeper.disk


async def test_a_result_that_was_moved_to_a_file_goes_on_with_the_code_of_its_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OfACell:
        __module__ = "__main__"
        __qualname__ = "OfACell"

        def __init__(self, size: int) -> None:
            self.data = bytes(size)

    monkeypatch.setattr(sys.modules["__main__"], "OfACell", OfACell, raising=False)
    async with JobQueue(keep_bytes=1_000) as queue:
        threads = queue.options(executor="thread")
        moved = await threads.submit(OfACell, MIB)
        await queue.wait_for_job(moved)  # without a handle it may be moved, at the next end
        await threads.submit_nowait(echo, 1)
        await until(lambda: inspect(queue).engine.keeper.disk > MIB)
        parent = queue.get_job(moved)
        assert await queue.submit_nowait(lambda one: len(one.data), parent) == MIB
        assert await queue.submit_nowait(lambda one: len(one.data), parent) == MIB


async def test_a_result_that_was_not_kept_cancels_the_job_with_the_chain() -> None:
    async with JobQueue(max_result_bytes=1_000) as queue:
        large = queue.options(label="large").submit_nowait(bytes, 2_000)
        child = queue.submit_nowait(len, large)
        last = queue.submit_nowait(echo, [child])
        await no_more(queue)
        late = queue.submit_nowait(len, large)
        why = "result not kept: large: it has 2,0"
        assert str(child.cancel_reason).startswith(why)
        assert str(late.cancel_reason).startswith(why)
        assert str(last.cancel_reason).startswith(f"dependency cancelled: len ← {why}")


async def test_a_chain_of_any_length_is_told_by_its_ends() -> None:
    async with JobQueue() as queue:
        queue.pause()
        job = queue.options(label="first").submit_nowait(fail)
        for number in range(100):
            job = queue.options(label=f"job {number}").submit_nowait(echo, job)
        queue.resume()
        await no_more(queue)
        told = "dependency cancelled: job 98 ← dependency cancelled: job 97 ← … ← "
        told += "dependency cancelled: job 0 ← dependency failed: first"
        assert job.cancel_reason == told


async def test_a_file_that_is_gone_cancels_the_job_before_it_begins() -> None:
    async with JobQueue() as queue:
        queue.pause()
        parent = queue.submit_nowait(traced, 2 * MIB)
        child = queue.options(executor="thread").submit_nowait(look, parent)
        queue.hold(child)
        queue.resume()
        await until(lambda: parent.done)
        folder = inspect(queue).folder
        assert folder is not None
        for path in folder.glob("kept-*"):
            path.unlink()
        queue.release(child)
        await no_more(queue)
        assert child.status.value == "cancelled"
        assert str(child.cancel_reason).startswith("result not kept: traced: its file was removed")


async def test_a_file_that_goes_before_it_is_taken_over_ends_both_jobs() -> None:
    async with JobQueue() as queue:
        await queue.submit_nowait(echo, 1)
        folder = inspect(queue).folder
        assert folder is not None
        parent = queue.submit_nowait(Fleeting, folder)
        child = queue.submit_nowait(echo, parent)
        await queue.wait_for_job(parent, timeout=20)
        await no_more(queue)
        assert parent.status.value == "completed"
        assert "cannot be read here: FileNotFoundError" in parent.result.reason
        assert str(child.cancel_reason).startswith("result not kept: Fleeting: ")


async def test_a_job_can_be_cancelled_while_its_results_are_read() -> None:
    async with JobQueue() as queue:
        queue.pause()
        parent = queue.submit_nowait(gate, os.getpid())
        child = queue.options(executor="thread").submit_nowait(echo, parent)
        packs = queue.submit_nowait(echo, parent)  # so that it stays packed
        queue.resume()
        await until(Gate.reached.is_set)
        assert child.phase == "reading the results of other jobs"
        with pytest.raises(JobNotRunningError, match="it is reading the results of other jobs"):
            child.stack()
        assert child.cancel()
        await no_more(queue)
        assert (child.status.value, packs.status.value) == ("cancelled", "completed")
        Gate.opened.set()
        assert await queue.submit_nowait(echo, 1) == 1


def test_a_job_is_not_launched_that_ended_with_its_loop_while_its_results_were_read() -> None:
    Gate.reached.clear()
    Gate.opened.clear()
    called: list[object] = []
    queue = JobQueue()
    loop = asyncio.new_event_loop()

    async def begin() -> Job:
        await queue.start()
        queue.pause()
        parent = queue.submit_nowait(gate, os.getpid())
        child = queue.options(executor="thread").submit_nowait(called.append, parent)
        queue.submit_nowait(echo, parent)  # so that it stays packed
        queue.resume()
        await until(Gate.reached.is_set)
        return child

    child = loop.run_until_complete(begin())
    (reader,) = (one for one in threading.enumerate() if one.name == f"results-{child.id}")
    left = asyncio.all_tasks(loop)
    loop.close()
    queue.submit_nowait(echo, 1)
    assert child.status.value == "failed"
    Gate.opened.set()
    reader.join(20)
    assert not reader.is_alive()
    for task in left:  # what the test itself left hanging on the closed loop
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asyncio.run(once_more(queue))
    assert called == []


async def once_more(queue: JobQueue) -> None:
    """What a thread still does is done before the queue has stopped."""
    async with queue:
        await queue.join()


def log_in(password: str) -> dict[str, str]:
    return {"session": f"{password}-1"}


def use(session: dict[str, str]) -> dict[str, str]:
    print("got", session)
    return {"again": session["session"]}


def show(key: str) -> str:
    print("key", key)
    return "shown"


@pytest.mark.parametrize("executor", ["process", "thread"])
async def test_what_a_job_hides_its_takers_hide_too(executor: str) -> None:
    async with JobQueue() as queue:
        here = queue.options(executor=executor)
        parent = here.submit_nowait(log_in, "open-sesame")
        child = here.submit_nowait(use, parent)
        last = here.submit_nowait(show, [child])
        secret = queue.options(executor=executor, secret=("key",))
        named = secret.submit_nowait(show, key=here.submit_nowait(str, "open-door"))
        other = here.submit_nowait(show, here.submit_nowait(str, "open-door"))
        free = queue.options(executor=executor, secret=False).submit_nowait(show, parent)
        assert await last == "shown"
        await no_more(queue)
        assert child.logs() == "got {'session': '•••-1'}\n"
        assert last.logs() == "key [{'again': '•••-1'}]\n"
        assert "door" not in named.logs()
        assert "•••" in named.describe_arguments()
        assert (other.logs(), free.logs()) == (
            "key open-door\n",
            "key {'session': 'open-sesame-1'}\n",
        )
        again = child.retry()
        await queue.wait_for_job(again)
        assert again.logs() == child.logs()
        assert child.result == {"again": "open-sesame-1"}


def test_an_interrupt_that_arrives_while_results_are_put_in_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(self: Forwarding) -> None:
        raise KeyboardInterrupt

    ends: list[object] = []
    run: Any = SimpleNamespace(ended=ends.append)
    run.job = SimpleNamespace(spec=SimpleNamespace(takes={}), parents=())
    nothing: Any = None
    filling = Filling(run, nothing, nothing, nothing, nothing)
    monkeypatch.setattr(Forwarding, "spec", interrupted)
    with pytest.raises(KeyboardInterrupt):
        filling.fill()
    filling.fill(aside=True)  # in a thread it comes from the user's code
    assert [str(one) for one in ends] == ["Outcome('error', failure=KeyboardInterrupt)"]


async def test_what_a_thread_returns_and_no_worker_can_have_fails_the_job_by_name() -> None:
    async with JobQueue() as queue:
        lock = queue.options(executor="thread", label="lock").submit_nowait(threading.Lock)
        child = queue.submit_nowait(echo, lock)
        await no_more(queue)
        assert "the result of lock (lock) cannot be sent to a worker" in str(child.error)


async def test_the_line_of_arguments_reads_no_result_and_says_for_how_many_it_waits() -> None:
    UNPICKLED_HERE.clear()
    async with JobQueue() as queue:
        queue.pause()
        parents = [queue.options(label=f"part {n}").submit_nowait(traced, n) for n in (1, 2, 3)]
        child = queue.submit_nowait(look, *parents)
        assert child.describe_arguments() == "<result of part 1>, <result of part 2>, " + (
            "<result of part 3>"
        )
        assert child.block_reason == child.as_row()["block_reason"] == "waits for 3 jobs"
        queue.hold(parents[1])
        queue.resume()
        await until(lambda: parents[0].done and parents[2].done)
        assert child.as_row()["block_reason"] == "waits for 1 job"
        queue.release(parents[1])
        await child
        assert UNPICKLED_HERE == []


async def test_a_journal_brings_back_jobs_that_wait_for_results(tmp_path: Path) -> None:
    async with running(tmp_path / "runs.db", keep_ended=2) as queue:
        parents = [queue.submit_nowait(traced, size) for size in (5, 2 * MIB)]
        await no_more(queue)
        queue.pause()
        queue.options(label="look").submit_nowait(look, *parents)
        queue.options(label="thread", executor="thread").submit_nowait(echo, {"a": parents[:1]})
        chained = queue.options(label="first").submit_nowait(echo, 7)
        queue.options(label="second").submit_nowait(echo, [chained])
        del parents, chained
    async with running(tmp_path / "runs.db", keep_ended=2) as queue:
        inspect(queue).engine.state.validate()
        found = {job.label: job for job in queue.jobs("pending")}
        assert found["look"].describe_arguments() == "<result of traced>, <result of traced>"
        assert found["second"].block_reason == "waits for 1 job"
        queue.resume()
        await no_more(queue)
        assert found["look"].result == [(5, True), (2 * MIB, True)]
        assert len(found["thread"].result["a"][0].data) == 5
        assert found["second"].result == [found["first"].result]
        assert await found["look"].retry() == found["look"].result
        inspect(queue).engine.state.validate()


@pytest.mark.parametrize("size", [10, 30_000, 20 * MIB])
async def test_nor_does_the_kernel_unpickle_it_for_its_journal(tmp_path: Path, size: int) -> None:
    UNPICKLED_HERE.clear()
    async with running(tmp_path / "runs.db") as queue:
        queue.pause()
        parents = [queue.submit_nowait(traced, size).id, queue.submit_nowait(aside, size).id]
        children = [
            queue.submit_nowait(function, queue.get_job(parent))
            for function, parent in zip((look, sizes_of), parents, strict=True)
        ]
        queue.resume()
        assert [await child for child in children] == [[(size, True)], [size, size]]
        recorder: Any = inspect(queue).engine.recorder
        recorder.settle(60)
        assert UNPICKLED_HERE == []
    async with running(tmp_path / "runs.db") as queue:
        again = [queue.submit_nowait(look, queue[parents[0]])]
        again.append(queue.submit_nowait(sizes_of, queue[parents[1]]))
        assert [await child for child in again] == [[(size, True)], [size, size]]
        assert UNPICKLED_HERE == [], "nor what came back"
        found = [queue.get_job(parent).result for parent in parents]  # type: ignore[union-attr]
        assert len(found[0].data) == size
        changed, fixed = found[1]
        changed.data[-1] = 1
        assert (len(fixed.data), memoryview(fixed.data).readonly) == (size, True)


async def test_a_full_spool_lets_go_of_no_result_that_the_journal_has(tmp_path: Path) -> None:
    for kernel in range(2):
        async with running(tmp_path / "runs.db", spool_bytes=300_000) as queue:
            keyed = queue.options(key="{0}")
            for size in (200_000, 200_001, 200_002):
                queue.pause()
                taken = keyed.map(traced, [size])
                child = queue.submit_nowait(look, *taken)
                queue.resume()
                assert await child == [(size, True)]
                del taken, child
            await queue.submit_nowait(echo, 1)
            for size in (200_000, 200_001, 200_002):
                (job,) = keyed.map(traced, [size])
                assert len(job.result.data) == size
            assert len(queue.find("traced")) == 3, "they ran once in both kernels"
            inspect(queue).engine.state.validate()
            assert inspect(queue).engine.keeper.disk <= 300_000, kernel


async def test_a_result_that_was_not_written_before_the_kill_is_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "runs.db") as queue:
        with monkeypatch.context() as patch:
            no_threads(patch, "*-results")
            queue.pause()
            parent = queue.options(key="parent").submit_nowait(traced, 30_000)
            child = queue.submit_nowait(echo, parent)
            queue.hold(child)
            queue.resume()
            await queue.wait_for_job(parent)
            killed = as_if_killed(tmp_path / "runs.db")
    async with running(killed, on_restore="run") as queue:
        (restored,) = queue.jobs("completed")
        assert "its kernel ended before it was written" in restored.result.reason
        (waits,) = queue.jobs("pending")
        queue.release(waits)
        await queue.wait_for_job(waits)
        assert str(waits.cancel_reason).startswith("result not kept: traced: ")
        again = queue.options(key="parent").submit_nowait(traced, 30_000)
        assert again != restored
        await again


async def test_a_job_whose_result_is_lost_with_the_journal_says_so() -> None:
    journal = MemoryJournal()
    async with running(journal) as queue:
        parent = queue.submit_nowait(echo, 1)
        await parent
        queue.pause()
        queue.submit_nowait(echo, parent)
        lost = parent.id
        assert queue.forget(parent) == 1
    async with running(journal) as queue:
        (child,) = queue.jobs("pending")
        told = f"it takes the result of job {lost}, which is no longer kept"
        assert child.held
        assert child.block_reason == told


def test_a_job_that_was_taken_by_many_counts_down() -> None:
    with JobQueue(loop="thread", max_running=4) as queue:
        parent: Job = queue.submit_nowait(echo, 2)
        children = [queue.submit_nowait(echo, [parent, n]) for n in range(20)]
        queue.wait(*children)
        assert [job.result for job in children] == [[2, n] for n in range(20)]
        assert (parent._record.taken_by, parent._record.needed_by) == (0, 0)


# -- no file of a result outlives those who may ask for it ----------------------------------------


def large() -> Traced:
    return Traced(40 * MIB)


def at_the_second_time(mark: Path) -> Traced:
    """The first time it returns when its time is over, and what it has by then."""
    try:
        time.sleep(0 if mark.exists() else 60)
    except JobCancelled:
        mark.touch()
        return Traced(40 * MIB)
    return Traced(30 * MIB)


def over_before(patch: pytest.MonkeyPatch, queue: JobQueue) -> None:
    """Its run is ended by somebody else just before its result is there."""
    told = vars(process_module)["outcome_of"]

    def outcome_of(*args: Any) -> Any:
        outcome = told(*args)
        (run,) = inspect(queue).engine.runs.values()
        inspect(queue).engine.end_run(run, Outcome.of_stop())
        return outcome

    patch.setattr(process_module, "outcome_of", outcome_of)


def over_while_kept(patch: pytest.MonkeyPatch, queue: JobQueue) -> None:
    """Its run is ended by somebody else while its result is put into its place."""
    keep = Keeper.keep_packed

    def keep_packed(keeper: Keeper, job: Any, packed: Any) -> object:
        (run,) = inspect(queue).engine.runs.values()
        kept = keep(keeper, job, packed)
        inspect(queue).engine.end_run(run, Outcome.of_stop())
        return kept

    patch.setattr(Keeper, "keep_packed", keep_packed)


def declared_ended(patch: pytest.MonkeyPatch, queue: JobQueue) -> None:
    """It could not be ended, as far as is known, and ends by itself after that."""
    keep = Keeper.keep_packed

    def keep_packed(keeper: Keeper, job: Any, packed: Any) -> object:
        (run,) = inspect(queue).engine.runs.values()
        job.can_kill = False
        inspect(queue).engine.do(ev.CancelRequested(job, False, 1.0, ""))
        run.kill_failed("it does not listen")
        return keep(keeper, job, packed)

    patch.setattr(Keeper, "keep_packed", keep_packed)


def no_decoding(patch: pytest.MonkeyPatch, queue: JobQueue) -> None:
    no_threads(patch, "decode-*")
    patch.setattr(process_module, "wait_seconds", lambda count: 0.01)


ENDS: list[tuple[bool, Any, str]] = [
    (True, None, "completed"),
    (False, None, "completed"),
    (True, no_decoding, "completed"),
    (False, no_decoding, "completed"),
    (True, over_before, "failed"),
    (False, over_before, "failed"),
    (True, over_while_kept, "failed"),
    (True, declared_ended, "failed"),
]


@pytest.mark.parametrize(("takes", "prepare", "end"), ENDS)
async def test_no_file_is_left_whatever_the_end(
    takes: bool, prepare: Any, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with JobQueue() as queue:
        await queue.submit_nowait(echo, 1)
        folder = inspect(queue).folder
        assert folder is not None
        with monkeypatch.context() as patch:
            if prepare is not None:
                prepare(patch, queue)
            queue.pause()
            parent = await queue.submit(large)
            child = queue.submit_nowait(echo, queue.get_job(parent)) if takes else None
            if child is not None:
                queue.hold(child)
            queue.resume()
            await queue.wait_for_job(parent, timeout=30)
            assert queue[parent].status.value == end
            await until(lambda: not inspect(queue).engine.runs)
        del child
        queue.cancel_all("pending")
        assert await queue.submit_nowait(echo, 1) == 1
        queue.forget(*queue.jobs())
        deadline = time.monotonic() + 30  # a thread may hold it on when its run has ended
        while any(folder.iterdir()) and time.monotonic() < deadline:
            assert await queue.submit_nowait(echo, 1) == 1  # each end looks for dropped handles
        assert [path.name for path in folder.iterdir()] == []


async def test_what_an_attempt_returned_when_its_time_was_over_is_not_passed_on(
    tmp_path: Path,
) -> None:
    async with JobQueue() as queue:
        limited = queue.options(timeout=3.0, retries=1)
        parent = limited.submit_nowait(at_the_second_time, tmp_path / "mark")
        assert await queue.submit_nowait(look, parent) == [(30 * MIB, True)]
        assert len(parent.result.data) == 30 * MIB
        assert parent.attempt == 2
