"""Looking at a journal: from Python, from a terminal, and while a kernel writes it; orphans."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobqueue_widget import (
    InvalidOptionError,
    JobCancelled,
    JobQueue,
    JournalError,
    read_journal,
)
from jobqueue_widget.__main__ import main
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.crash.processes import alive, wait_until
from tests.journals import as_if_killed, let_go, opened, running, words_of

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")
REPOSITORY = str(Path(__file__).parents[2])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def talk(text: str, password: str = "") -> str:
    print(f"{text} {password}")
    return text.upper()


def fail() -> None:
    raise ValueError("=on purpose")


async def some_jobs(path: Path) -> Path:
    """A journal with an ended, a failed, a running and a pending job, as a kill leaves it."""
    async with running(path) as queue:
        view = queue.options
        await view(label="first", tags=["a", "b"]).submit_nowait(talk, "hello")
        await queue.wait_for_job(view(label="second").submit_nowait(fail))
        held = view(label="third").submit_nowait(wait)
        view(label="fourth").submit_nowait(talk, "later", password="canary-77")
        await until(lambda: held.status.value == "running")
        copy = as_if_killed(path)
        held.cancel(force=True)
        await queue.join()
    return copy


def wait() -> None:
    time.sleep(600)


# -- from Python -----------------------------------------------------------------------------------


async def test_a_journal_is_read_without_changing_a_byte(path: Path) -> None:
    copy = await some_jobs(path)
    before = {file.name: file.read_bytes() for file in copy.parent.iterdir()}
    records = read_journal(copy)
    assert [(r.label, r.status) for r in records] == [
        ("first", "completed"),
        ("second", "failed"),
        ("third", "failed"),
        ("fourth", "pending"),
    ]
    first, second, third, fourth = records
    assert (first.result, first.log, first.tags) == ("'HELLO'", "hello \n", ("a", "b"))
    assert second.error == "ValueError: =on purpose"
    assert "in fail" in second.traceback
    assert third.error == "KernelDied: interrupted by kernel exit"
    assert fourth.arguments == "'later', password=•••"
    after = {file.name: file.read_bytes() for file in copy.parent.iterdir()}
    assert {name: after[name] for name in before if not name.endswith("-shm")} == before
    frame = records.to_pandas()
    assert list(frame["label"]) == ["first", "second", "third", "fourth"]


async def test_what_was_asked_to_stop_keeps_its_reason_as_in_the_queue(path: Path) -> None:
    async with running(path) as queue:
        job = queue.submit_nowait(is_deaf)
        await until(job.logs)
        job.cancel(reason="no time", timeout=60)
        copy = as_if_killed(path)
        job.cancel(force=True)
        await queue.join()
    (record,) = read_journal(copy)
    assert (record.status, words_of(record)) == ("cancelled", "no time")
    with opened(copy) as queue:
        assert words_of(queue.jobs()[0]) == words_of(record)


def is_deaf() -> None:
    print("begun", flush=True)
    while True:
        with contextlib.suppress(JobCancelled):
            time.sleep(60)


def test_a_journal_can_be_read_while_its_queue_lives(path: Path) -> None:
    with opened(path) as queue:
        job = queue.submit_nowait(talk, "x")
        assert [record.id for record in read_journal(path)] == [job.id]
        job.cancel(reason="no")
        assert [(one.error, one.cancel_reason) for one in read_journal(path)] == [(None, "no")]
        script = "import jobqueue_widget as j, sys; j.JobQueue(journal=sys.argv[1])"
        other = subprocess.run(
            [sys.executable, "-c", script, str(path)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "JournalInUseError" in other.stderr  # looking at it has not given it away


def test_what_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a,b\n" * 1000)
    (tmp_path / "empty").touch()
    for name, message in (
        ("text", "cannot be read"),
        ("empty", "another"),
        ("none", "there is no"),
    ):
        with pytest.raises(JournalError, match=message):
            read_journal(tmp_path / name)


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl"])
async def test_a_queue_is_exported_as_text_without_secrets(ending: str, tmp_path: Path) -> None:
    async with JobQueue() as queue:
        queue.options(label="one", tags=["a", "b"]).submit_nowait(talk, "hi", password="canary-77")
        queue.submit_nowait(fail)
        await queue.join()
        target = queue.export(tmp_path / f"jobs.{ending}")
        assert queue.jobs()[-1].logs() == "hi •••\n"
    text = target.read_text()
    assert "canary-77" not in text
    if ending == "csv":
        rows = list(csv.DictReader(text.splitlines()))
        assert rows[1]["label"] == "one"
        assert rows[1]["tags"] == "a b"
    elif ending == "json":
        rows = json.loads(text)
    else:
        rows = [json.loads(line) for line in text.splitlines()]
    assert [row["result"] for row in rows] == ["", "'HI'"]
    assert os.listdir(tmp_path) == [target.name]


async def test_an_export_is_refused_in_words_and_leaves_nothing(tmp_path: Path) -> None:
    queue = JobQueue()
    with pytest.raises(InvalidOptionError, match=r"\.csv, \.json, \.jsonl"):
        queue.export(tmp_path / "jobs.xlsx")
    with pytest.raises(FileNotFoundError):
        queue.export(tmp_path / "no folder" / "jobs.csv")
    assert not os.listdir(tmp_path)


async def test_what_came_back_is_exported_like_what_never_left(path: Path) -> None:
    async with running(path) as queue:
        await queue.submit_nowait(talk, "hi")
        before = json.loads(queue.export(path.with_name("before.json")).read_text())
    with opened(path) as queue:
        after = json.loads(queue.export(path.with_name("after.json")).read_text())
    assert after == before


def test_a_table_program_does_not_take_texts_for_formulas(tmp_path: Path) -> None:
    with opened(tmp_path / "runs.db") as queue:
        queue.options(label="=HYPERLINK(1)").submit_nowait(talk, "x")
        rows = list(csv.DictReader(queue.export(tmp_path / "x.csv").read_text().splitlines()))
    assert rows[0]["label"] == "'=HYPERLINK(1)"


# -- from a terminal -------------------------------------------------------------------------------


async def test_the_table_in_a_terminal(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = await some_jobs(path)
    assert main([str(copy)]) == 0
    head, *lines, counts = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "status", "job", "arguments", "submitted", "took"]
    assert [line.split()[1] for line in lines] == ["completed", "failed", "failed", "pending"]
    assert "ValueError: =on purpose" in lines[1]
    assert counts == "1 pending · 0 running · 1 completed · 2 failed · 0 cancelled"
    assert main([str(copy), "--status", "failed", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["label"] for record in told] == ["second", "third"]
    assert main([str(copy) + "x"]) == 1
    assert "there is no journal" in capsys.readouterr().err


def test_nothing_in_a_table_steers_the_terminal(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(path) as queue:
        queue.options(label="\x1b[2Jgone\r\n\x9b31m").submit_nowait(talk, "\x1b]0;title\x07")
        main([str(path)])
    told = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in told)


def test_a_journal_is_followed_from_another_process(path: Path) -> None:
    with opened(path) as queue:
        job = queue.submit_nowait(talk, "x")
        follower = subprocess.Popen(
            [sys.executable, "-m", "jobqueue_widget", str(path), "--follow"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        assert follower.stdout is not None
        try:
            assert follower.stdout.readline().split()[:2] == [job.id[:8], "pending"]
            job.cancel()
            assert follower.stdout.readline().split()[:2] == [job.id[:8], "cancelled"]
            assert queue[job.id[:8]] == job
        finally:
            follower.send_signal(signal.SIGINT)
            assert follower.wait(20) == 130
            follower.stdout.close()


# -- what earlier kernels have left ----------------------------------------------------------------


def test_workers_of_an_earlier_kernel_are_shown_and_ended_on_request(path: Path) -> None:
    with opened(path) as queue:
        run_id = inspect(queue).run_id
        copy = as_if_killed(path)
        assert queue.orphans() == []
    left = [
        subprocess.Popen(
            [sys.executable, "-c", "import time; x = bytes(30 << 20); time.sleep(600)"],
            env={**os.environ, "JOBQUEUE_RUN_ID": mark},
            start_new_session=True,
        )
        for mark in (run_id, run_id, "another")
    ]
    try:
        wait_until(lambda: all(marked(one.pid) for one in left), 10)
        with opened(copy) as queue:
            found = queue.orphans()
            assert {orphan.pid for orphan in found} == {one.pid for one in left[:2]}
            note = inspect(queue).notice
            assert note.startswith("2 workers from an earlier kernel hold ")
            assert queue.end_orphans() == 2
            for one in left[:2]:
                one.wait(10)
            assert inspect(queue).notice == ""
            assert queue.orphans() == []
        assert alive(left[2].pid)
    finally:
        for one in left:
            with contextlib.suppress(ProcessLookupError):
                one.kill()
            one.wait()


def marked(pid: int) -> bool:
    return b"JOBQUEUE_RUN_ID" in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_queue_that_ended_in_order_is_not_searched_for_orphans(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path):
        pass
    from jobqueue_widget._persistence import orphans

    monkeypatch.setattr(orphans, "find", lambda runs: pytest.fail("searched"))
    let_go(JobQueue(journal=path))
