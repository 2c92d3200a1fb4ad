"""A function job runs in the folder and the environment of its submit, whenever it starts."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import InvalidOptionError, JobQueue, JobStatus, PluginManager
from jobqueue_widget.errors import NotRestorableError
from jobqueue_widget.testing import inspect
from tests.journals import opened, running
from tests.kernels import VERSIONS, Kernel

LAYERS = ("before", "queue", "submit", "options")  # the later one wins
PREFIXES = ("PLAIN", "CUDA", "OMP", "PYTHON")  # the last three are read when a process starts


def seen(names: tuple[str, ...]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


def born_with(name: str) -> tuple[str | None, str | None, int]:
    """A variable now and as it was when the process was started."""
    with open("/proc/self/environ") as file:
        started = dict(entry.split("=", 1) for entry in file.read().split("\0") if entry)
    return os.environ.get(name), started.get(name), os.getpid()


def combinations() -> Iterator[tuple[str, tuple[str | None, ...]]]:
    """A variable for each way in which the layers may set it, or remove it where they can."""
    ways = itertools.product(
        (None, "before"), (None, "queue"), (None, "submit", "removed"), (None, "options", "removed")
    )
    for number, way in enumerate(ways):
        yield f"{PREFIXES[number % len(PREFIXES)]}_RANK_{number}", way


def expected(way: tuple[str | None, ...]) -> str | None:
    before, queue, submit, options = way
    if submit == "removed" and before is None:
        submit = None  # there is nothing to remove, so nothing was changed
    last = [layer for layer in (before, queue, submit, options) if layer is not None][-1:]
    return None if last in ([], ["removed"]) else last[0]


async def test_who_sets_a_variable_last_in_the_order_of_rank_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways = dict(combinations())
    for name, (before, *_) in ways.items():
        if before is not None:
            monkeypatch.setenv(name, before)
    given = {name: queue for name, (_, queue, *_) in ways.items() if queue is not None}
    async with JobQueue(env=given) as queue:
        for name, (_, _, submit, _) in ways.items():
            if submit == "removed":
                monkeypatch.delenv(name, raising=False)
            elif submit is not None:
                monkeypatch.setenv(name, submit)
        env = {
            name: None if options == "removed" else options
            for name, (*_, options) in ways.items()
            if options is not None
        }
        job = queue.options(env=env).submit_nowait(seen, tuple(ways))
        for name in ways:
            monkeypatch.setenv(name, "too late")
        assert await job == {name: expected(way) for name, way in ways.items()}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    kernel = Kernel(VERSIONS[0], cwd=tmp_path_factory.mktemp("notebook"))
    kernel.run("import os\nfrom jobqueue_widget import JobQueue\nhere = os.getcwd()")
    yield kernel
    kernel.close()


TRAIN = """
def train():
    with open("/proc/self/environ") as file:
        started = file.read().split("\\0")
    device = os.environ["CUDA_VISIBLE_DEVICES"]
    is_born_so = f"CUDA_VISIBLE_DEVICES={device}" in started
    return device, os.environ["RUN"], os.getcwd() == here, is_born_so
"""


def test_cells_that_set_a_device_and_submit_in_turn(kernel: Kernel) -> None:
    kernel.run(f"queue = await JobQueue().start()\nqueue.pause()\njobs = []\n{TRAIN}")
    kernel.run(
        "for turn in range(6):\n"
        "    os.environ['CUDA_VISIBLE_DEVICES'] = str(turn % 3)\n"
        "    os.environ['RUN'] = str(turn)\n"
        "    jobs.append(queue.submit_nowait(train))"
    )
    kernel.run("del os.environ['RUN']\nos.chdir('/')\nqueue.resume()")
    kernel.run("results = [await job for job in jobs]\nawait queue.stop()\nos.chdir(here)")
    assert kernel.value_of("results") == [(str(n % 3), str(n), True, True) for n in range(6)]


async def test_what_a_process_reads_at_its_start_means_another_worker_and_the_rest_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with JobQueue() as queue:
        _, _, warm = await queue.submit_nowait(born_with, "PLAIN_NAME")
        plain = await queue.options(env={"PLAIN_NAME": "1"}).submit_nowait(born_with, "PLAIN_NAME")
        assert plain == ("1", None, warm)
        assert await queue.submit_nowait(born_with, "PLAIN_NAME") == (None, None, warm)
        for name in ("CUDA_X", "OMP_X", "MKL_X", "OPENBLAS_X", "PYTHONX", "LD_X", "PATH"):
            value = "/bin:/usr/bin" if name == "PATH" else "1"
            now, at_start, pid = await queue.options(env={name: value}).submit_nowait(
                born_with, name
            )
            assert (now, at_start) == (value, value)
            assert pid != warm
        assert len(inspect(queue).workers) <= 2


async def test_the_clock_is_that_of_the_submit_too() -> None:
    def zone() -> str:
        import time

        return time.strftime("%z")

    async with JobQueue() as queue:
        for wanted in ("Asia/Kolkata", "UTC"):
            offset = {"Asia/Kolkata": "+0530", "UTC": "+0000"}[wanted]
            fixed = {"Asia/Kolkata": "IST-5:30", "UTC": "UTC0"}[wanted]
            assert await queue.options(env={"TZ": fixed}).submit_nowait(zone) == offset
            assert await queue.submit_nowait(zone) == __import__("time").strftime("%z")


@pytest.mark.filterwarnings("ignore:the queue is not started")
def test_ten_thousand_jobs_share_one_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = JobQueue()
    jobs = [queue.submit_nowait(os.getpid) for _ in range(10_000)]
    assert len({id(job._record.spec.surroundings) for job in jobs}) == 1
    for turn in range(100):
        monkeypatch.setenv("TURN", str(turn % 2))
        jobs.append(queue.submit_nowait(os.getpid))
    assert len({id(job._record.spec.surroundings) for job in jobs}) == 3
    monkeypatch.delenv("TURN")
    again = queue.submit_nowait(os.getpid)
    assert again._record.spec.surroundings is jobs[0]._record.spec.surroundings


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"env": "A=1"}, "mapping"),
        ({"env": {"A=B": "1"}}, "hold no"),
        ({"env": {"": "1"}}, "not empty"),
        ({"env": {"A\0": "1"}}, "NUL"),
        ({"env": {1: "1"}}, "must be texts"),
        ({"env": {"A": 1}}, "must be texts"),
        ({"env": {"A": "1\0"}}, "has a NUL"),
        ({"env": {"A": "\ud800"}}, "cannot be encoded"),
        ({"env": {"JOBQUEUE_RUN_ID": "x"}}, "the queue's own"),
        ({"cwd": 3}, "must be a folder"),
        ({"cwd": ""}, "must be a folder"),
        ({"cwd": "a\0b"}, "must be a folder"),
        ({"cwd": b"/"}, "must be a folder"),
    ],
)
def test_what_cannot_be_an_environment_or_a_folder_is_refused(
    options: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(InvalidOptionError, match=said):
        JobQueue().options(**options)


@pytest.mark.parametrize("option", [{"env": {"A": "1"}}, {"cwd": "/"}], ids=["env", "cwd"])
def test_jobs_without_a_process_of_their_own_have_no_surroundings_of_their_own(
    option: Mapping[str, Any], tmp_path: Path
) -> None:
    async def body() -> None: ...

    with PluginManager(search_paths=[tmp_path], data_dir=tmp_path) as manager:
        queue = JobQueue(manager)
        for options, target, said in (
            (option, body, "a coroutine shares"),
            ({**option, "executor": "thread"}, os.getpid, "a thread shares"),
            (option, "whisper", "its manifest"),
        ):
            with pytest.raises(InvalidOptionError, match=f"{next(iter(option))}= .*{said}"):
                queue.options(**options).submit_nowait(target)
        assert queue.jobs() == []


async def test_a_folder_of_one_s_own_is_there_at_the_submit_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    async with JobQueue() as queue:
        monkeypatch.chdir(tmp_path)
        here = queue.options(cwd="data")
        monkeypatch.chdir("/")
        assert await here.submit_nowait(os.getcwd) == str(tmp_path / "data")
        assert await queue.submit_nowait(os.getcwd) == "/"
        with pytest.raises(InvalidOptionError, match="is no folder"):
            queue.options(cwd=tmp_path / "none").submit_nowait(os.getcwd)
        queue.pause()
        job = here.submit_nowait(os.getcwd)
        shutil.rmtree(tmp_path / "data")
        queue.resume()
        await queue.wait_for_job(job)
        assert job.status is JobStatus.failed
        assert f"its folder {str(tmp_path / 'data')!r} is not there" in str(job.error)
        assert await queue.submit_nowait(os.getcwd) == "/"


# -- in a journal ----------------------------------------------------------------------------------


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


CANARY = "yranac"[::-1]  # as it is it stands in this file, whose lines a journal keeps
SECRETS = {
    "OPENAI_API_KEY": f"sk-{CANARY}-1",
    "DB_PASSWORD": f"{CANARY}-2",
    "HF_TOKEN": f"hf_{CANARY}_3",
    "DATABASE_URL": f"postgres://u:{CANARY}-4@db",
}


@pytest.mark.filterwarnings("ignore:the queue is not started")
async def test_a_journal_brings_back_what_differed_and_takes_secrets_from_its_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.setenv("ALWAYS", "here")
    journal = tmp_path / "runs.db"
    names = ("CHANGED", "ALWAYS", "OPTION", "OPTION_TOKEN", *SECRETS)

    def look() -> tuple[str, dict[str, str | None]]:
        print(os.environ["OPENAI_API_KEY"])
        return os.getcwd(), {name: os.environ.get(name) for name in names}

    env = {"OPTION": "kept", "OPTION_TOKEN": f"{CANARY}-5"}
    with opened(journal) as first:
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CHANGED", "in a cell")
        monkeypatch.delenv("ALWAYS")
        monkeypatch.chdir(tmp_path / "there")
        first.options(env=env, label="all").submit_nowait(look)
        first.submit_nowait(os.getcwd)
    monkeypatch.chdir("/")
    for name in (*SECRETS, "CHANGED"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("ALWAYS", "here")

    with opened(journal) as again:
        for job in again.jobs():
            assert job.held
            assert all(name in str(job.block_reason) for name in SECRETS)
        assert "OPTION_TOKEN" in str(again["all"].block_reason)

    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value.replace(CANARY, "other"))
    monkeypatch.setenv("OPTION_TOKEN", "other-5")
    told: dict[str, str | None] = {
        **{name: value.replace(CANARY, "other") for name, value in SECRETS.items()},
        **{"CHANGED": "in a cell", "ALWAYS": None, "OPTION": "kept", "OPTION_TOKEN": "other-5"},
    }
    async with running(journal) as third:
        assert not any(job.held for job in third.jobs())
        third.resume()
        assert await third["all"] == (str(tmp_path / "there"), told)
        monkeypatch.delenv("HF_TOKEN")
        with pytest.raises(NotRestorableError, match="HF_TOKEN"):
            third.retry(third["all"])
    written = bytes_below(tmp_path)
    assert b"OPENAI_API_KEY" in written
    assert CANARY.encode() not in written
    assert b"-".join((b"sk", b"other")) not in written


@pytest.mark.filterwarnings("ignore:the queue is not started")
async def test_a_restored_job_whose_folder_is_gone_is_held_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "of the kernel", tmp_path / "of the job"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])
    with opened(tmp_path / "runs.db") as first:
        first.submit_nowait(os.getcwd)
        first.options(cwd=folders[1]).submit_nowait(os.getcwd)
    monkeypatch.chdir(tmp_path)
    for folder in folders:
        folder.rmdir()
    async with running(tmp_path / "runs.db", on_restore="run") as again:
        jobs = again.jobs()
        for job, folder in zip(jobs, folders, strict=True):
            assert job.held
            assert str(folder) in str(job.block_reason)
        folders[0].mkdir()
        for job in jobs:
            again.release(job)
        assert await jobs[0] == str(folders[0])
        await again.wait_for_job(jobs[1])
        assert str(folders[1]) in str(jobs[1].error)
