"""What is easily forgotten when a job is submitted is said at once, and nothing is enqueued."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from jobqueue_widget import InvalidOptionError, InvalidTargetError, JobQueue
from jobqueue_widget._api.control import OptionsView
from jobqueue_widget._api.options import KNOWN
from tests.kernels import VERSIONS, Kernel

pytestmark = pytest.mark.filterwarnings("ignore::jobqueue_widget.queue.QueueNotStartedWarning")

ARGUMENTS: dict[str, tuple[object, ...]] = {
    "submit": (len, "abc"),
    "cancel": ("no id",),
    "wait_for_job": ("no id",),
}
COROUTINES = [
    (kind, name)
    for kind in (JobQueue, OptionsView)
    for name, method in vars(kind).items()
    if not name.startswith("_") and inspect.iscoroutinefunction(inspect.unwrap(method))
]


def call(kind: type, name: str) -> Coroutine[Any, Any, Any]:
    queue = JobQueue()
    owner = queue if kind is JobQueue else queue.options(label="x")
    made: Coroutine[Any, Any, Any] = getattr(owner, name)(*ARGUMENTS.get(name, ()))
    return made


def test_there_are_such_methods() -> None:
    names = {name for _, name in COROUTINES}
    assert {"submit", "cancel", "join", "start", "stop", "close", "wait_for_job"} <= names


@pytest.mark.parametrize(("kind", "name"), COROUTINES)
def test_what_is_not_awaited_says_so_in_its_repr_and_when_it_is_dropped(
    kind: type, name: str
) -> None:
    forgotten = call(kind, name)
    assert f"{name}(…) has done nothing yet: await it" in repr(forgotten)
    with pytest.warns(RuntimeWarning, match=r"did nothing, since it was not awaited") as told:
        del forgotten
    assert len(told) == 1


@pytest.mark.parametrize("how", ["await", "task", "gather", "run", "closed"])
def test_what_is_awaited_in_any_way_warns_of_nothing(how: str) -> None:
    async def main() -> None:
        queue = JobQueue()
        made = queue.cancel("no id")
        if how == "await":
            assert await made is False
        elif how == "task":
            assert await asyncio.create_task(made) is False
        elif how == "gather":
            assert not any(await asyncio.gather(made, queue.cancel("no id")))
        elif how == "closed":
            made.close()
        else:
            assert await asyncio.to_thread(asyncio.run, made) is False

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()


def plain(number: int = 0) -> int:
    return number


async def coroutine(number: int = 0) -> int:
    return number


class Callable_:
    def __call__(self, number: int = 0) -> int:
        return number


def positional(label: str, /) -> str:
    return label


def takes_all(**options: object) -> list[str]:
    return sorted(options)


def takes(priority=0, label="", tags=(), timeout=0, retries=0, idempotent=0, after=0):  # type: ignore[no-untyped-def]
    return label


@pytest.mark.parametrize("target", [plain, coroutine, Callable_(), positional, lambda: 0])
@pytest.mark.parametrize("option", KNOWN)
def test_an_option_given_to_a_function_that_does_not_take_it_is_refused(
    target: Callable[..., object], option: str
) -> None:
    queue = JobQueue()
    with pytest.raises(InvalidOptionError, match=rf"did you mean options\({option}=…\)"):
        queue.options().submit_nowait(target, **{option: 1})
    if option != "priority":  # which the queue itself takes
        with pytest.raises(InvalidOptionError, match=rf"did you mean options\({option}=…\)"):
            queue.submit_nowait(target, **{option: 1})
    assert queue.jobs() == []


async def test_an_argument_named_like_an_option_arrives_where_it_is_taken() -> None:
    async with JobQueue() as queue:
        assert await queue.submit_nowait(takes, label="x") == "x"
        assert await queue.submit_nowait(takes_all, label=1, fresh=2) == ["fresh", "label"]


@pytest.mark.parametrize("value", [plain(1), None, [1], {"a": 1}, "text", b"", 1.5, object()])
def test_a_call_in_the_place_of_a_function_is_named(value: object) -> None:
    queue = JobQueue()
    with pytest.raises(InvalidTargetError, match="you called the function"):
        queue.submit_nowait(value)
    assert queue.jobs() == []


def test_a_called_coroutine_function_is_named() -> None:
    with pytest.raises(InvalidTargetError, match="you called the function"):
        JobQueue().submit_nowait(coroutine(1))


@pytest.mark.usefixtures("loop_of_the_client")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_cell_that_forgets_to_await_says_so_at_its_end(version: str) -> None:
    kernel = Kernel(version)
    try:
        kernel.run("from jobqueue_widget import JobQueue\nqueue = JobQueue()")
        for line in ("queue.submit(len, 'abc')", "queue.join()", "queue.join(); 1"):
            cell = kernel.send(line)
            assert kernel.reply_to(cell)["status"] == "ok"
            kernel.until_idle_after(cell)
            assert "did nothing, since it was not awaited: await it" in kernel.printed(), line
            if line.endswith(")"):
                kernel.until(lambda m: "has done nothing yet" in str(m["content"].get("data")))
            kernel.heard.clear()
    finally:
        kernel.close()
