"""`@queue.job`: a call runs here, `submit` and `map` make jobs of the bare function."""

from __future__ import annotations

import asyncio
import copy
import functools
import importlib
import inspect
import os
import pickle
import pydoc
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from jobqueue_widget import InvalidOptionError, InvalidTargetError, Job, JobQueue
from jobqueue_widget.testing import MemoryJournal

HERE = os.getpid()


async def test_a_call_runs_here_and_submit_and_map_queue_it() -> None:
    async with JobQueue(max_running=2) as queue:

        @queue.job
        def where(number: int, more: int = 1) -> tuple[int, int]:
            return number + more, os.getpid()

        assert where(1) == (2, HERE)
        job = where.submit(1, more=4)
        assert isinstance(job, Job)
        value, process = await job
        assert value == 5
        assert process != HERE
        jobs = where.map([1, 2, 3], [10, 20, 30])
        assert [(await one)[0] for one in jobs] == [11, 22, 33]
        assert {one.plugin_name.rpartition(".")[2] for one in (job, *jobs)} == {"where"}
        assert (await queue.submit_nowait(where, 7))[0] == 8
        with queue.as_executor() as pool:
            future = pool.submit(where, 8)
            assert (await asyncio.wrap_future(future))[0] == 9


async def test_the_options_of_the_decorator_are_those_of_its_jobs() -> None:
    async with JobQueue() as queue:

        @queue.job(label="numbers", tags=["sweep"], priority=3)
        def double(number: int) -> int:
            return 2 * number

        (job,) = double.map([4])
        assert await job == 8
        assert (job.label, job.tags, job.priority) == ("numbers", ("sweep",), 3)
        other = queue.job(double, label="others").submit(5)
        assert (await other, other.label) == (10, "others")
        assert double.submit(1).label == "numbers", "the first one keeps its own"
        assert queue.submit_nowait(double, 6).label is None


async def test_its_help_and_signature_are_those_of_the_function() -> None:
    queue = JobQueue()

    def bare(number: int, *, more: str = "x") -> str:
        """Say it."""
        return more * number

    decorated = queue.job(bare)
    assert inspect.signature(decorated) == inspect.signature(bare)
    assert decorated.__doc__ == "Say it."
    assert decorated.__name__ == "bare"
    assert decorated.__wrapped__ is bare
    assert "Say it." in pydoc.render_doc(decorated)
    assert copy.deepcopy(decorated) is copy.copy(decorated) is decorated


async def test_a_coroutine_function_stays_one() -> None:
    async with JobQueue() as queue:

        @queue.job(label="later")
        async def later(value: int) -> tuple[int, int]:
            await asyncio.sleep(0)
            return value, os.getpid()

        assert inspect.iscoroutinefunction(later) or sys.version_info < (3, 12)
        assert await later(1) == (1, HERE)
        assert await later.submit(2) == (2, HERE)
        assert [await one for one in later.map([3, 4])] == [(3, HERE), (4, HERE)]


async def test_a_function_that_calls_itself_finds_the_bare_one_in_its_worker() -> None:
    async with JobQueue() as queue:

        @queue.job
        def factorial(number: int) -> int:
            return 1 if number < 2 else number * int(factorial(number - 1))

        @queue.job
        def kind_of_itself() -> str:
            return type(kind_of_itself).__name__

        assert await factorial.submit(6) == 720 == factorial(6)
        assert await kind_of_itself.submit() == "function"
        assert await queue.submit_nowait(lambda: factorial(5)) == 120, "and so do others"
        assert await queue.submit_nowait(lambda given: given(4), factorial) == 24, "as an argument"


async def test_methods_are_jobs_of_their_object() -> None:
    async with JobQueue() as queue:

        class Model:
            def __init__(self, factor: int) -> None:
                self.factor = factor

            @queue.job
            def times(self, number: int) -> int:
                return self.factor * number

            @queue.job
            @staticmethod
            def half(number: int) -> float:
                return number / 2

            @queue.job
            async def soon(self, number: int) -> int:
                return self.factor + number

        model: Any = Model(3)
        assert model.times(2) == 6
        assert await model.times.submit(4) == 12
        assert [await one for one in model.times.map([1, 2])] == [3, 6]
        assert await queue.submit_nowait(model.times, 5) == 15
        assert (model.half(3), await model.half.submit(5)) == (1.5, 2.5)
        assert (await model.soon(1), await model.soon.submit(2)) == (4, 5)


async def test_pickles_of_others_hold_the_bare_function() -> None:
    queue = JobQueue()

    @queue.job
    def double(number: int) -> int:
        return 2 * number

    found = pickle.loads(cloudpickle.dumps(double))
    assert type(found).__name__ == "function"
    assert found(4) == 8


MODULE = """
import threading
from jobqueue_widget import JobQueue
queue = JobQueue()
lock = threading.Lock()  # which no pickle can hold
@queue.job
def double(number):
    with lock:
        return 2 * number
"""


async def test_one_of_a_module_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "decorates.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("decorates")
    try:
        async with JobQueue() as queue:
            assert await queue.submit_nowait(module.double, 4) == 8
        assert pickle.loads(pickle.dumps(module.double)) is module.double
    finally:
        del sys.modules["decorates"]


async def test_a_cell_that_runs_again_makes_the_next_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    main = sys.modules["__main__"]
    async with JobQueue() as queue:

        def run_cell(code: str) -> None:
            names: dict[str, Any] = {"queue": queue, "__name__": "__main__"}
            exec(code, names)  # - a cell
            monkeypatch.setattr(main, "typed", names["typed"], raising=False)

        def typed() -> Any:
            return vars(main)["typed"]

        run_cell("@queue.job\ndef typed(x):\n    return 2 * x")
        first = typed().submit(1)
        assert await first == 2
        assert first.note is None
        run_cell("@queue.job\ndef typed(x):\n    return 3 * x")
        assert await typed().submit(1) == 3
        assert await first.retry() == 2
        assert await first.retry(latest=True) == 3
        assert "differs now" in str(first.note)


async def test_secrets_are_found_in_it() -> None:
    journal = MemoryJournal()
    password = "correct-horse-battery"
    async with JobQueue(journal=journal) as queue:

        @queue.job
        def log_in() -> str:
            return password

        with pytest.warns(UserWarning, match="password"):
            job = log_in.submit()
        assert await job == password
        again = queue.submit_nowait(lambda: log_in())
        await again
    assert password not in repr(vars(journal))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("whisper", "plugin's name"),
        (dict, "a class"),
        (classmethod(repr), "class method"),
        (functools.partial(len), "a partial"),
        (3, "not int"),
        (iter(()), "not tuple_iterator"),
    ],
    ids=str,
)
async def test_what_is_no_function_is_refused(what: Any, told: str) -> None:
    with pytest.raises(InvalidTargetError, match=told):
        JobQueue().job(what)


async def test_a_wrong_option_is_refused_where_it_stands() -> None:
    queue = JobQueue()
    with pytest.raises(InvalidOptionError, match="retires"):
        queue.job(retires=2)

    def generates() -> Any:
        yield 1

    with pytest.raises(InvalidTargetError, match="generator function"):
        queue.job(generates)
