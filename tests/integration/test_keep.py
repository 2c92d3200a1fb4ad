"""`current_job().keep(key, load)`: what was loaded once is there for the next job."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from jobqueue_widget import FuturesExecutor, JobFailedError, JobQueue, current_job
from jobqueue_widget.child.keeping import OF_PROCESS, Kept
from jobqueue_widget.testing import machine_with
from tests.conditions import until
from tests.crash.processes import alive
from tests.resources import SmallMachine


def load() -> dict[str, Any]:
    return {"made": time.monotonic_ns(), "in": os.getpid()}


def use(size: str = "small") -> dict[str, Any]:
    return current_job().keep(("model", size), load)


def use_too(size: str = "small") -> dict[str, Any]:
    return current_job().keep(("model", size), load)


def where() -> int:
    return os.getpid()


# -- in workers ----------------------------------------------------------------------------------


async def test_the_next_job_of_the_function_finds_what_was_loaded() -> None:
    async with JobQueue() as queue:
        first = await queue.submit_nowait(use)
        assert first == await queue.submit_nowait(use) == await queue.submit_nowait(use, "small")
        assert first["in"] != os.getpid()
        assert await queue.submit_nowait(use, "large") != first, "by its key"
        assert await queue.submit_nowait(use_too) != first, "and by its function"
        assert await queue.submit_nowait(use) == first
        queue.restart_workers()
        assert await queue.submit_nowait(use) != first, "it goes with its worker"


async def test_a_function_of_a_cell_keeps_its_own_until_it_is_another() -> None:
    async with JobQueue() as queue:

        def made(again: int) -> Callable[[], Any]:
            def typed() -> Any:
                return current_job().keep("numbers", lambda: [again, time.monotonic_ns()])

            return typed

        first = await queue.submit_nowait(made(1))
        assert await queue.submit_nowait(made(1)) == first
        assert (await queue.submit_nowait(made(2)))[0] == 2, "it differs in what it captured"
        assert await queue.submit_nowait(made(1)) == first


@pytest.mark.parametrize("round_number", range(3))
async def test_a_job_prefers_a_worker_that_has_what_its_function_keeps(round_number: int) -> None:
    async with JobQueue(max_running=3) as queue:
        others = [queue.submit_nowait(time.sleep, 0.05) for _ in range(2)]
        kept = await queue.submit_nowait(use)
        for other in others:
            await other
        for _ in range(5):  # another function leaves its worker alone while there are others
            assert await queue.submit_nowait(where) != kept["in"]
        for _ in range(5):  # nor is it the one that was used last
            await queue.submit_nowait(where)
            assert await queue.submit_nowait(use) == kept
        assert (await queue.options(fresh=True).submit_nowait(use))["in"] != kept["in"]


async def test_what_is_kept_does_not_hold_a_lane() -> None:
    """A job that finds no free worker that has it makes its own."""
    async with JobQueue(max_running=2) as queue:
        await queue.submit_nowait(use)
        both = [queue.submit_nowait(keeps_for_a_while) for _ in range(2)]
        assert len({(await one)["in"] for one in both}) == 2


def keeps_for_a_while() -> dict[str, Any]:
    found: dict[str, Any] = current_job().keep("model", load)
    time.sleep(0.2)
    return found


async def test_threads_of_a_job_load_it_once() -> None:
    def in_threads() -> tuple[int, int]:
        calls: list[int] = []

        def slowly() -> object:
            calls.append(1)
            time.sleep(0.05)
            return object()

        found: list[int] = []
        threads = [
            threading.Thread(
                target=lambda: found.append(id(current_job().keep("one", slowly))), daemon=True
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(calls), len(set(found))

    async with JobQueue() as queue:
        assert await queue.submit_nowait(in_threads) == (1, 1)
        assert await queue.options(executor="thread").submit_nowait(in_threads) == (1, 1)


async def test_a_load_that_fails_or_is_cancelled_keeps_nothing() -> None:
    def fails_first(path: str) -> str:
        def load() -> str:
            if not os.path.exists(path):
                open(path, "w").close()
                raise OSError("no such model")
            return "loaded"

        return current_job().keep("it", load)

    def hangs_first(path: str) -> str:
        def load() -> str:
            if not os.path.exists(path):
                open(path, "w").close()
                time.sleep(60)
            return "loaded"

        return current_job().keep("it", load)

    async with JobQueue() as queue:
        folder = await queue.submit_nowait(make_folder)
        with pytest.raises(JobFailedError, match="no such model"):
            await queue.submit_nowait(fails_first, f"{folder}/failed")
        assert await queue.submit_nowait(fails_first, f"{folder}/failed") == "loaded"
        job = queue.submit_nowait(hangs_first, f"{folder}/hung")
        await until(lambda: os.path.exists(f"{folder}/hung"))
        job.cancel()
        await queue.wait_for_job(job)
        assert await queue.submit_nowait(hangs_first, f"{folder}/hung") == "loaded"


def make_folder() -> str:
    import tempfile

    return tempfile.mkdtemp()


@pytest.mark.parametrize(
    ("key", "what", "told"),
    [
        (["a", "list"], load, "hashable key"),
        ("key", 3, "calls it once"),
        ("key", asyncio.sleep, "never awaits"),
    ],
)
async def test_what_cannot_be_kept_is_refused(key: Any, what: Any, told: str) -> None:
    def keeps() -> object:
        return current_job().keep(key, what)

    with pytest.raises(TypeError, match=told):
        keeps()
    async with JobQueue() as queue:
        for executor in ("process", "thread"):
            with pytest.raises(JobFailedError, match=told):
                await queue.options(executor=executor).submit_nowait(keeps)


def test_outside_a_job_it_is_made_each_time() -> None:
    assert use() != use()


# -- in this process -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
async def test_threads_and_coroutines_keep_it_until_the_queue_stops(kind: str) -> None:
    async def in_a_task() -> Any:
        return current_job().keep("it", load)

    def in_a_thread() -> Any:
        return current_job().keep("it", load)

    queue = JobQueue()
    target: Any = in_a_task if kind == "coroutine" else in_a_thread
    view = queue.options(executor=kind)
    async with queue:
        first = await view.submit_nowait(target)
        assert await view.submit_nowait(target) is first
        queue.restart_workers()
        second = await view.submit_nowait(target)
        assert second is not first
    async with queue:
        assert await view.submit_nowait(target) is not second


def sized(size: str, also: object = None) -> Any:
    return current_job().keep("it", lambda: [size, also])


@pytest.mark.parametrize("executor", ["process", "thread"])
async def test_partials_with_other_arguments_keep_their_own(executor: str) -> None:
    async with JobQueue() as queue:
        view = queue.options(executor=executor)
        for size in ("small", "large", "small"):
            assert await view.submit_nowait(partial(sized, size)) == [size, None]
            assert await view.submit_nowait(partial(sized, size, also=1)) == [size, 1]


class Model:
    def __init__(self, size: str) -> None:
        self.size = size

    def run(self) -> Any:
        return current_job().keep("it", lambda: [self.size, "run"])

    def train(self) -> Any:
        return current_job().keep("it", lambda: [self.size, "train"])

    __call__ = run

    async def wait(self) -> Any:
        return current_job().keep("it", lambda: [self.size, "wait"])


def run_of(model: Model) -> Any:
    return current_job().keep("it", lambda: [model.size])


def closure_over(model: Model) -> Callable[[], Any]:
    return lambda: current_job().keep("it", lambda: [model.size])


def default_of(model: Model) -> Callable[[], Any]:
    def uses(model: Model = model) -> Any:
        return current_job().keep("it", lambda: [model.size])

    return uses


def global_of(model: Model) -> Callable[[], Any]:
    there: dict[str, Any] = {"model": model, "current_job": current_job}
    exec("def uses(): return current_job().keep('it', lambda: [model.size])", there)
    uses: Callable[[], Any] = there["uses"]
    return uses


@pytest.mark.parametrize("executor", ["process", "thread"])
@pytest.mark.parametrize(
    "made",
    [
        lambda model: model.run,
        lambda model: model,
        lambda model: partial(run_of, model),
        lambda model: partial(run_of, model=model),
        closure_over,
        default_of,
        global_of,
    ],
    ids=["method", "callable", "partial", "keyword", "closure", "default", "global"],
)
async def test_functions_of_two_objects_keep_their_own(executor: str, made: Any) -> None:
    small, large = Model("small"), Model("large")
    async with JobQueue() as queue:
        view = queue.options(executor=executor)
        first = await view.submit_nowait(made(small))
        assert (await view.submit_nowait(made(large)))[0] == "large"
        again = await view.submit_nowait(made(small))
        assert again == first
        assert executor == "process" or again is first


async def test_methods_of_one_object_keep_their_own() -> None:
    model = Model("small")
    async with JobQueue() as queue:
        for executor in ("process", "thread"):
            view = queue.options(executor=executor)
            assert await view.submit_nowait(model.run) == ["small", "run"]
            assert await view.submit_nowait(model.train) == ["small", "train"]
        assert await queue.submit_nowait(Model("large").wait) == ["large", "wait"]
        assert await queue.submit_nowait(Model("tiny").wait) == ["tiny", "wait"]


async def test_an_object_has_nothing_of_one_that_is_gone() -> None:
    async with JobQueue(executor="thread", keep_ended=0) as queue:
        for size in ("small", "large", "tiny"):  # each may stand where the one before stood
            assert await queue.submit_nowait(partial(run_of, Model(size))) == [size]


class ClearedAsSoonAsItHasAny(dict[Any, Any]):
    kept: Kept

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.kept.clear()


def test_what_is_cleared_while_it_is_loaded_is_returned_and_not_kept() -> None:
    kept = Kept()

    def load_meanwhile() -> str:
        kept.clear()  # as the stop of a queue does in another thread
        return "first"

    assert kept.get("f", "it", load_meanwhile) == "first"
    assert kept.get("f", "it", lambda: "second") == "second"
    kept.values = there = ClearedAsSoonAsItHasAny()
    there.kept = kept
    assert kept.get("f", "it", lambda: "third") == "third"
    assert not kept.values


async def test_a_pool_of_the_users_keeps_it_in_its_process() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        async with JobQueue(executor=FuturesExecutor(pool)) as queue:
            first = await queue.submit_nowait(use)
            assert await queue.submit_nowait(use) == first
            assert await queue.submit_nowait(use_too) != first
    OF_PROCESS.clear()


# -- memory --------------------------------------------------------------------------------------


def model(mib: int) -> tuple[int, int]:
    found = current_job().keep("model", lambda: bytearray(mib << 20))
    return id(found), os.getpid()


async def test_what_is_kept_counts_and_makes_room_for_others() -> None:
    """The job's own value is no reason to wait; that of others goes with its idle worker."""
    with machine_with(SmallMachine(2_000)):
        async with JobQueue(max_running=2) as queue:
            needs = queue.options(resources={"ram_mib": 1_200})
            first = await needs.submit_nowait(model, 800)
            for _ in range(3):
                assert await needs.submit_nowait(model, 800) == first
            other = await queue.options(resources={"ram_mib": 1_700}).submit_nowait(where)
            assert other != first[1]
            assert not alive(first[1])
            assert (await needs.submit_nowait(model, 800))[1] != first[1]
