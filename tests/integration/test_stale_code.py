"""Jobs run the user's modules as they are now, whatever a warm worker has imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, NotRestorableError
from jobqueue_widget.testing import inspect
from jobqueue_widget.workers.definitions import Definition
from tests.conditions import until
from tests.kernels import VERSIONS, Kernel

NEWS = "trainer_of_mine.py has changed since it was imported"


def source(answer: int) -> str:
    return f"ANSWER = {answer}\n\n\ndef train():\n    import os\n    return ANSWER, os.getpid()\n"


def edit(path: Path) -> None:
    path.write_text(source(2))


def edit_and_keep_the_time(path: Path) -> None:
    status = path.stat()
    path.write_text(source(2))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_text(source(2))
    new.replace(path)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # of the same second and size it would count
    path = tmp_path / "trainer_of_mine.py"
    path.write_text(source(1))
    yield path
    sys.modules.pop("trainer_of_mine", None)


def inside() -> tuple[int, int]:
    """A function of its own that imports it."""
    answer: tuple[int, int] = importlib.import_module("trainer_of_mine").train()
    return answer


@pytest.mark.parametrize("change", [edit, edit_and_keep_the_time, replace])
@pytest.mark.parametrize("by", ["reference", "import"])
async def test_a_changed_module_costs_the_warm_worker_and_is_told_once(
    by: str, change: Callable[[Path], None], module: Path
) -> None:
    train = importlib.import_module("trainer_of_mine").train if by == "reference" else inside
    async with JobQueue() as queue:
        first = await queue.submit_nowait(train)
        assert await queue.submit_nowait(train) == first
        assert first[0] == 1
        change(module)
        jobs = [queue.submit_nowait(train) for _ in range(3)]
        results = [await job for job in jobs]
        assert len(set(results)) == 1
        assert results[0][0] == 2
        assert results[0][1] != first[1]
        assert [NEWS in job.logs() for job in jobs] == [True, False, False]


async def test_what_is_changed_while_its_job_runs_is_new_for_the_next(
    module: Path, tmp_path: Path
) -> None:
    def runs_long() -> int:
        import time

        answer, _ = inside()
        (tmp_path / "imported").touch()
        while not (tmp_path / "go").exists():
            time.sleep(0.01)
        return answer

    async with JobQueue() as queue:
        job = queue.submit_nowait(runs_long)
        await until((tmp_path / "imported").exists)
        edit(module)
        (tmp_path / "go").touch()
        assert await job == 1
        assert (await queue.submit_nowait(inside))[0] == 2


async def test_installed_modules_and_our_own_are_not_looked_at() -> None:
    def imports() -> int:
        for name in ("json", "numpy", "pandas", "jobqueue_widget", "jobqueue_widget.queue"):
            importlib.import_module(name)
        return os.getpid()

    async with JobQueue() as queue:
        pid = await queue.submit_nowait(imports)
        (worker,) = (one.process for one in inspect(queue).workers if one.pid == pid)
        assert [path for path in worker.sources._stamps if "site-packages" in path] == []
        assert [path for path in worker.sources._stamps if "jobqueue_widget" in path] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[Kernel]:
    kernel = Kernel(VERSIONS[0], cwd=folder, environ={"PYTHONDONTWRITEBYTECODE": "1"})
    yield kernel
    kernel.close()


@pytest.mark.parametrize("way", ["importlib.reload(mine)", "%autoreload 2"])
def test_a_notebook_that_reloads_its_module_gets_the_new_one_in_jobs(
    way: str, kernel: Kernel, folder: Path
) -> None:
    name = "mine_1" if way.startswith("%") else "mine_2"
    path = folder / f"{name}.py"
    path.write_text(source(1))
    if way.startswith("%"):
        kernel.run(f"%load_ext autoreload\n{way}")
    kernel.run(
        f"import importlib, {name} as mine\n"
        "from jobqueue_widget import JobQueue\n"
        "queue = await JobQueue().start()\n"
        "first = await queue.submit_nowait(mine.train)"
    )
    path.write_text(source(2) + "def added():\n    return 'added'\n")
    if not way.startswith("%"):
        kernel.run(way)
    kernel.run(
        "second = await queue.submit_nowait(mine.train)\n"
        "third = await queue.submit_nowait(mine.added)\n"
        "await queue.stop()"
    )
    assert kernel.value_of("(first[0], second[0], third)") == (1, 2, "added")


# -- a function that was fixed in its cell ---------------------------------------------------------

FIRST = """
def helper(x):
    return x + 1

def train(x):
    return helper(x) / 0
"""
SAID = "train differs now"


def test_a_retry_after_the_cell_was_fixed_says_so_and_runs_either(kernel: Kernel) -> None:
    kernel.run(
        "import asyncio\nfrom jobqueue_widget import JobQueue, JobFailedError\n"
        "queue = await JobQueue().start()\n"
        "async def end(job):\n"
        "    await queue.wait_for_job(job)\n"
        "    row, = (row for row in queue.window('history', 0, 9).rows if row['id'] == job.id)\n"
        "    return job.status.value, job.result, row['note'], job.logs()"
    )
    kernel.run(FIRST)
    kernel.run("job = queue.submit_nowait(train, 1)\ntold = await end(job)")
    assert kernel.value_of("told") == ("failed", None, None, "")
    kernel.run(FIRST + "\nanother_line = 1")
    kernel.run("told = await end(job), await end(job.retry())")
    assert kernel.value_of("told") == (("failed", None, None, ""),) * 2

    kernel.run("job = queue.submit_nowait(train, 1)\ntold = await end(job)")  # not retried yet
    kernel.run(FIRST.replace("/ 0", "/ 1"))
    kernel.run("told = await end(job), await end(job.retry()), await end(job.retry(latest=True))")
    old, again, latest = kernel.value_of("told")
    assert old == ("failed", None, "train differs now; Retry runs it as it was", "")
    assert again[:2] == ("failed", None)
    assert SAID in again[3]
    assert latest == ("completed", 2.0, None, "")

    kernel.run("def helper(x):\n    return 41")
    kernel.run(
        "job = queue.jobs()[0]\n"
        "told = await end(job.retry()), await end(queue.retry(job, latest=True))\n"
        "del train\n"
        "try:\n    job.retry(latest=True)\nexcept TypeError as error:\n    said = str(error)\n"
        "await queue.stop()"
    )
    again, latest = kernel.value_of("told")
    assert again[:2] == ("completed", 2.0)
    assert SAID in again[3]
    assert latest == ("completed", 41.0, None, "")
    assert "stands for nothing" in kernel.value_of("said")


def test_at_the_end_of_the_cell_that_fixed_it_the_widget_says_so(kernel: Kernel) -> None:
    kernel.run("import asyncio\nfrom jobqueue_widget import JobQueue\nqueue = JobQueue()\nqueue")
    kernel.run(f"await queue.start()\n{FIRST}\njob = queue.submit_nowait(train, 1)\njob")
    kernel.run(
        "await queue.join()\nfollower = queue.widget._follower\n"
        "while follower._say_again_at is not None:\n    await asyncio.sleep(0.05)\n"  # all rests
        "told = [row['differs'] for row in queue.widget.history]"
    )
    assert kernel.value_of("told") == [False]
    kernel.run(FIRST.replace("/ 0", "/ 1"))
    kernel.run("told = [row['differs'] for row in queue.widget.history]\nawait queue.stop()")
    assert kernel.value_of("told") == [True]


def total(numbers: list[int]) -> tuple[int, str | None]:
    return sum(numbers), os.environ.get("SET_SINCE")


async def test_a_latest_retry_has_the_arguments_of_its_submit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = [1, 2]
    async with JobQueue() as queue:
        job = queue.options(label="sum").submit_nowait(total, numbers)
        numbers.append(3)
        monkeypatch.setenv("SET_SINCE", "yes")
        assert await job == (3, None)
        assert await job.retry() == (3, None)
        latest = job.retry(latest=True)
        assert await latest == (3, "yes")
        assert (latest.label, latest.retry_of) == ("sum", job.id)


def weigh(data: bytes) -> int:
    return len(data)


async def test_a_row_whose_arguments_were_let_go_says_that_its_function_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with JobQueue(keep_bytes=1 << 20) as queue:
        jobs = [queue.submit_nowait(weigh, bytes(1 << 20)) for _ in range(3)]
        await queue.join()
        monkeypatch.setattr(sys.modules[__name__], "weigh", total)
        rows = {row["id"]: row for row in queue.window("history", 0, 9).rows}
        assert all("differs now" in rows[job.id]["note"] for job in jobs)
        assert queue.to_html()
        with pytest.raises(NotRestorableError, match="let go"):
            jobs[0].retry()
        with pytest.raises(NotRestorableError, match="let go"):
            jobs[0].retry(latest=True)


def test_a_global_object_that_was_let_go_is_another_one_now() -> None:
    there: dict[str, Any] = {}
    exec("class Model: pass\nmodel = Model()\ndef predict(): return model", there)
    then = Definition(there["predict"])
    assert then.is_still(there["predict"])
    there["model"] = None
    assert not then.is_still(there["predict"])
