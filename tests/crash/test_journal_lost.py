"""A journal's files removed, truncated, replaced while in use: noticed, said, written anew."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, JournalWarning, NotRestorableError, read_journal
from jobqueue_widget._persistence import watch as journal_watch
from jobqueue_widget.errors import JournalInUseError
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.crash.processes import wait_until
from tests.journals import as_if_killed, opened, running

pytestmark = [
    pytest.mark.filterwarnings("ignore:the queue is not started"),
    pytest.mark.timeout(120),
]
REPOSITORY = str(Path(__file__).parents[2])
BALLAST = "x" * 100_000  # so that SQLite writes its log into the file on the way


async def value(number: int, ballast: str = "") -> int:
    return number


def say(text: str) -> set[str]:
    print(text)
    return {text}


async def large() -> bytes:
    return bytes(2_000_000)


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def remove_all(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".lock"):
        path.with_name(path.name + suffix).unlink()


def replace_by_another(path: Path) -> None:
    other = path.with_name("other.db")
    with opened(other) as queue:
        queue.submit_nowait(value, 77)
    other.replace(path)


def replace_by_text(path: Path) -> None:
    text = path.with_name("notes.txt")
    text.write_text("precious " * 900)
    text.replace(path)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:  # in place: the same inode
        file.write(os.urandom(path.stat().st_size))


def copied_over(path: Path) -> None:
    other = path.with_name("other.db")
    with opened(other):
        pass
    shutil.copyfile(other, path)
    other.unlink()


WHOLE: dict[str, Callable[[Path], object]] = {
    "removed": lambda path: path.unlink(),
    "removed with all that belongs to it": remove_all,
    "renamed": lambda path: path.rename(path.with_name("renamed.db")),
    "replaced by another journal": replace_by_another,
    "replaced by a text": replace_by_text,
    "its log removed": lambda path: wal(path).unlink(),
    "its log renamed": lambda path: wal(path).rename(path.with_name("renamed-wal")),
}
IN_PARTS: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: os.truncate(path, 0),
    "cut to a page": lambda path: os.truncate(path, 4096),
    "cut in half": lambda path: os.truncate(path, path.stat().st_size // 8192 * 4096),
    "overwritten": overwrite,
    "copied over": copied_over,
    "its log emptied": lambda path: os.truncate(wal(path), 0),
}


def told(queue: JobQueue) -> str:
    return inspect(queue).notice


def state_of(queue: JobQueue) -> list[tuple[object, ...]]:
    return sorted(
        (
            *(job.id, job.status.value, job.label, job.describe_arguments(), job.error),
            *(job.logs(), job.held, repr(job.result)),
        )
        for job in queue.jobs()
    )


@contextlib.contextmanager
def warned_once() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", JournalWarning)
        yield
    said = [str(one.message) for one in found if one.category is JournalWarning]
    assert len(said) == 1, said
    assert "is written anew" in said[0]


@pytest.mark.parametrize("what", [*WHOLE, *IN_PARTS])
async def test_what_somebody_does_to_the_file_is_noticed_and_made_good(
    what: str, tmp_path: Path
) -> None:
    path = tmp_path / "runs.db"
    async with running(path) as queue:
        for number in range(60):
            queue.options(label=f"job {number}").submit_nowait(value, number, BALLAST)
        queue.submit_nowait(say, "said")
        queue.submit_nowait(value, "wrong", "too", "many")
        queue.submit_nowait(large)
        await queue.join()
        inspect(queue).settle()
        queue.pause("by the test")
        held = queue.submit_nowait(value, 1)
        queue.hold(held)
        queue.submit_nowait(lambda number: number, 2)
        before = state_of(queue)
        with warned_once():
            {**WHOLE, **IN_PARTS}[what](path)
            await until(lambda: "is written anew" in told(queue))
            inspect(queue).settle()
        recorder = inspect(queue).engine.recorder
        assert recorder is not None
        assert not recorder.trouble
        assert state_of(queue) == before
        if what in WHOLE:
            assert "from what this kernel knows" not in told(queue)
        with opened(as_if_killed(path)) as again:
            assert state_of(again) == before
            assert not list(path.parent.glob("killed-1/*damaged*"))
        late = queue.submit_nowait(value, 3)
        assert late.id in {record.id for record in read_journal(path)}
    with opened(path) as again:
        assert [one for one in state_of(again) if one[0] != late.id] == before
    if what == "replaced by a text":
        (kept,) = path.parent.glob("runs.db.found-*")
        assert kept.read_text() == "precious " * 900
    if what == "replaced by another journal":
        (kept,) = path.parent.glob("runs.db.found-*")
        with opened(kept) as other:
            assert [job.args for job in other.jobs()] == [(77,)]
    if what == "renamed":
        with opened(path.with_name("renamed.db")) as other:
            assert [one[:-1] for one in state_of(other)] == [one[:-1] for one in before]


async def test_restored_jobs_are_carried_over_too(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with opened(path) as queue:
        job = queue.submit_nowait(lambda: {"made": "in a cell"})
    async with running(path) as queue:
        path.unlink()
        await until(lambda: "is written anew" in told(queue))
        queue.resume()
        assert await queue[job.id] == {"made": "in a cell"}
    with opened(path) as queue:
        assert queue[job.id].result == {"made": "in a cell"}


async def test_a_folder_that_comes_back_gets_its_journal_again(tmp_path: Path) -> None:
    folder = tmp_path / "branch"
    folder.mkdir()
    path = folder / "runs.db"
    async with running(path) as queue:
        done = queue.submit_nowait(value, 1)
        await done
        shutil.rmtree(folder)
        await until(lambda: "goes on without it" in told(queue))
        during = queue.submit_nowait(value, 2)
        assert await during == 2
        folder.mkdir()
        await until(lambda: "is written anew" in told(queue), 20)
    with opened(path) as again:
        assert [job.result for job in again.jobs()] in ([1, 2], [2, 1])


async def test_jobs_whose_arguments_were_let_go_are_written_anew_without_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    async with running(path, keep_bytes=1 << 20) as queue:
        jobs = [queue.submit_nowait(value, number, "x" * (1 << 20)) for number in range(3)]
        assert [await job for job in jobs] == [0, 1, 2]
        assert all(job._record.spec.lost for job in jobs)
        shown = [job.describe_arguments() for job in queue.jobs()]
        overwrite(path)
        await until(lambda: "is written anew" in told(queue), 20)
        assert await queue.submit_nowait(value, 3) == 3
    with opened(path) as again:
        restored = [job for job in again.jobs() if job.result != 3]
        assert [job.describe_arguments() for job in restored] == shown
        assert sorted(job.result for job in restored) == [0, 1, 2]


async def test_restored_jobs_whose_arguments_stood_there_only_say_so(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with running(path) as queue:
        assert await queue.submit_nowait(value, 1, "x" * 10_000) == 1
    async with running(path) as queue:
        (job,) = queue.jobs()
        assert job.result == 1
        shown = job.describe_arguments()
        overwrite(path)
        await until(lambda: "is written anew" in told(queue), 20)
        with pytest.raises(NotRestorableError, match=r"not in the journal any more|cannot be"):
            job.retry()
    with opened(path) as again:
        (job,) = again.jobs()
        assert (job.result, job.describe_arguments()) == (1, shown)
        with pytest.raises(NotRestorableError, match=r"not in the journal any more|cannot be"):
            job.retry()


@pytest.mark.parametrize(
    "harmless",
    [
        lambda path: os.utime(path),
        lambda path: read_journal(path),
        lambda path: path.chmod(0o640),
        lambda path: sqlite3.connect(path).execute("SELECT count(*) FROM jobs").connection.close(),
    ],
)
async def test_what_changes_nothing_is_no_alarm(
    harmless: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "runs.db"
    async with running(path) as queue:
        for number in range(5):
            await queue.submit_nowait(value, number)
            harmless(path)
            recorder = inspect(queue).engine.recorder
            assert recorder is not None
            recorder.look()
        assert told(queue) == ""


def test_the_thread_that_looks_ends_with_the_last_journal(tmp_path: Path) -> None:
    def running_threads() -> list[str]:
        return [one.name for one in threading.enumerate() if one.name == "jobqueue-journals"]

    with opened(tmp_path / "a.db"), opened(tmp_path / "b.db"):
        assert running_threads() == ["jobqueue-journals"]
    assert running_threads() == []
    with opened(tmp_path / "a.db"):
        assert running_threads() == ["jobqueue-journals"]
    assert journal_watch.INTERVAL < 0.5


# -- the lock file ---------------------------------------------------------------------------------

OTHER = """
import sys, time
from jobqueue_widget import JobQueue
from jobqueue_widget._persistence import watch as journal_watch
from jobqueue_widget.testing import inspect
if sys.argv[2] == "blind": journal_watch.INTERVAL = 1e9
queue = JobQueue(journal=sys.argv[1])
queue.submit_nowait(len, "abc")
print("open", flush=True)
sys.stdin.readline()
if sys.argv[2] == "blind":
    inspect(queue).let_go(); print("closed", flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def other_kernel(path: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    other = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", OTHER, str(path), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "open\n"
        yield other
    finally:
        other.kill()
        other.wait()
        other.stdin.close()
        other.stdout.close()


def test_a_living_kernel_whose_lock_file_was_deleted_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    lock = path.with_name("runs.db.lock")
    with other_kernel(path, "blind") as other:
        for _ in range(2):
            lock.unlink()
            with pytest.raises(JournalInUseError, match=f"process {other.pid}"):
                JobQueue(journal=path)
        path.rename(path.with_name("renamed.db"))
        wal(path).rename(wal(path.with_name("renamed.db")))
        with pytest.raises(JournalInUseError, match=f"process {other.pid}"):
            JobQueue(journal=path.with_name("renamed.db"))
        path.with_name("renamed.db").rename(path)
        wal(path.with_name("renamed.db")).rename(wal(path))
        with opened(as_if_killed(path)) as copy:  # a copy is another journal
            assert len(copy.jobs()) == 1
        lock.unlink()
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "closed\n"
        with opened(path) as queue:  # it lives, but has let go
            assert len(queue.jobs()) == 1


def test_a_dead_kernel_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with other_kernel(path, "blind"):
        path.with_name("runs.db.lock").unlink()
    with opened(path) as queue:
        assert len(queue.jobs()) == 1


def test_a_lock_file_that_was_deleted_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    lock = path.with_name("runs.db.lock")
    with other_kernel(path, "looks") as other:
        for _ in range(2):
            lock.unlink()
            wait_until(lock.exists, 20)
            with pytest.raises(JournalInUseError, match=f"process {other.pid}"):
                JobQueue(journal=path)


def test_two_queues_of_one_kernel_do_not_share_it_without_the_lock_either(tmp_path: Path) -> None:
    from jobqueue_widget import SqliteJournal
    from jobqueue_widget._core.stored import Session

    session = Session("0" * 8, os.getpid(), "here", "a test", 0.0, 0.0, None)
    first, second = SqliteJournal(tmp_path / "runs.db"), SqliteJournal(tmp_path / "runs.db")
    first.open(session)
    (tmp_path / "runs.db.lock").unlink()
    with pytest.raises(JournalInUseError):
        second.open(session._replace(run_id="1" * 8))
    first.close()
    second.open(session._replace(run_id="1" * 8))
    second.close()
