"""A journal that another Python has written: its code is told as unreadable, and never run."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import Job, JobQueue, NotKept, NotRestorableError
from jobqueue_widget._persistence import pythons
from jobqueue_widget.child import loading
from tests.journals import opened, running

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")

OTHER = "3.99"
SAYS = f"it holds code of Python {OTHER}, which Python {pythons.HERE} cannot run"


async def keep(value: Any) -> Any:
    return value


def typed_in_a_cell(source: str, name: str) -> Any:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(source, names)
    return names[name]


@dataclass
class Importable:
    number: int


CLASS = "class Point:\n    def norm(self): return 5\n"
MAKE = f"def make():\n    {CLASS.replace(chr(10), chr(10) + '    ')}\n    return Point()\n"
VALUES: dict[str, tuple[Callable[[], Any], bool]] = {
    "a number": (lambda: 3, False),
    "a text that names code": (lambda: "CodeType", False),
    "an object of a module": (lambda: Importable(3), False),
    "a function of a module": (lambda: keep, False),
    "a function of a cell": (lambda: typed_in_a_cell("def f(): return 1", "f"), True),
    "a lambda": (lambda: lambda: 1, True),
    "an object of a class of a cell": (lambda: typed_in_a_cell(MAKE, "make")(), True),
    "deep in a list": (lambda: [{"f": [lambda: 1]}], True),
}


async def written(path: Path, value: Any) -> None:
    async with running(path, executor="thread") as queue:
        await queue.options(label="its result").submit_nowait(keep, value)
        queue.pause()
        queue.options(label="its argument").submit_nowait(keep, value)
        if callable(value):
            queue.options(label="its function").submit_nowait(value)


def labelled(queue: JobQueue, label: str) -> Job:
    return next(job for job in queue.jobs() if job.label == label)


@pytest.mark.parametrize("what", VALUES)
async def test_code_of_another_python_is_told_and_stays_for_that_one(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, has_code = VALUES[what]
    path = tmp_path / "runs.db"
    with monkeypatch.context() as there:
        there.setattr(pythons, "HERE", OTHER)
        await written(path, make())
    unpickled: list[bytes] = []
    read = loading.read

    def noted(data: bytes, *args: Any) -> Any:
        unpickled.append(bytes(data))
        return read(data, *args)

    monkeypatch.setattr(loading, "read", noted)
    with opened(path) as queue:
        result = labelled(queue, "its result").result
        argument = labelled(queue, "its argument")
        assert (isinstance(result, NotKept) and SAYS in result.reason) is has_code
        assert (SAYS in (argument.block_reason or "")) is has_code
        assert argument.held is has_code
        if has_code:
            with pytest.raises(NotRestorableError, match="holds code of Python"):
                argument.retry()
            with pytest.raises(NotRestorableError, match="holds code of Python"):
                argument.args  # noqa: B018
        for job in queue.jobs():
            repr(job), job.as_row(), job.describe_arguments()
        if what in ("a function of a cell", "a lambda"):
            assert SAYS in str(labelled(queue, "its function").block_reason)
    assert not [one for one in unpickled if f"python {OTHER}".encode() in one]
    monkeypatch.setattr(loading, "read", read)
    with monkeypatch.context() as there:
        there.setattr(pythons, "HERE", OTHER)
        with opened(path) as queue:  # nothing was lost by looking
            assert not isinstance(labelled(queue, "its result").result, NotKept)
            assert not any(job.held for job in queue.jobs())


def test_a_mark_changes_nothing_for_who_reads_pickles() -> None:
    data = pickle.dumps(["CodeType", "_builtin_type"], 5)
    assert pythons.marked(data) != data
    assert pickle.loads(pythons.marked(data)) == ["CodeType", "_builtin_type"]
    assert pythons.unmarked(pythons.marked(data)) == data
    assert pythons.marked(pickle.dumps(1, 5)) == pickle.dumps(1, 5)
