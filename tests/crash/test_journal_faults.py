"""The disk fails, the file is damaged, the clock jumps: no job notices, and the user is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, JournalError, JournalWarning, SqliteJournal
from jobqueue_widget._persistence import recorder
from jobqueue_widget._runtime.engine import Clock, Engine, Settings
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.crash.disks import may_mount, small_disk
from tests.crash.processes import wait_until
from tests.journals import as_if_killed, let_go, opened, running

pytestmark = [
    pytest.mark.filterwarnings("ignore:the queue is not started"),
    pytest.mark.timeout(120),
]
REPOSITORY = str(Path(__file__).parents[2])
OUTCOMES = {"value": "completed", "error": "failed", "cancelled": "cancelled", "late": "completed"}


async def value() -> str:
    return "value"


async def error() -> None:
    raise ValueError("on purpose")


async def run_all(queue: JobQueue) -> dict[str | None, str]:
    """One job of each kind, moved and held on the way; how each ended."""
    view = queue.options
    view(label="value").submit_nowait(value)
    view(label="error").submit_nowait(error)
    unwanted = view(label="cancelled").submit_nowait(value)
    late = view(label="late", priority=-1).submit_nowait(value)
    queue.hold(late)
    queue.move(unwanted, to="top")
    queue.pause("a moment")
    await queue.start()
    unwanted.cancel()
    queue.release(late)
    queue.resume()
    await queue.join(timeout=30)
    return {job.label: job.status.value for job in queue.jobs()}


# -- writing fails ---------------------------------------------------------------------------------


class Failing(sqlite3.Connection):
    """Fails from the `first` statement on, `count` times, as SQLite does on an I/O error."""

    first, count, seen = 10**9, 1, 0

    @classmethod
    def plan(cls, first: int = 10**9, count: int = 1) -> None:
        """From now on; by default nothing fails."""
        cls.first, cls.count, cls.seen = first, count, 0

    def _step(self) -> None:
        Failing.seen += 1
        if Failing.first <= Failing.seen < Failing.first + Failing.count:
            raise sqlite3.OperationalError("disk I/O error")

    def execute(self, *args: Any) -> sqlite3.Cursor:
        if not str(args[0]).startswith("ROLLBACK"):
            self._step()
        return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        self._step()
        return super().executemany(*args)


class FailingJournal(SqliteJournal):
    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self.path, check_same_thread=False, isolation_level=None, factory=Failing
        )


@pytest.fixture
def failing() -> Iterator[Callable[[int, int], None]]:
    Failing.plan()
    yield Failing.plan
    Failing.plan()


async def test_an_io_error_at_any_statement_changes_no_outcome_and_is_told_once(
    failing: Callable[[int, int], None], tmp_path: Path, note: Callable[[str], None]
) -> None:
    with opened(FailingJournal(tmp_path / "whole.db")) as queue:
        failing(10**9, 1)
        assert await run_all(queue) == OUTCOMES
        await queue.stop()
    statements, refused = Failing.seen, 0
    assert statements > 50
    for first in range(1, statements + 1):
        path = tmp_path / f"{first}.db"
        failing(first, 1)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", JournalWarning)
            warnings.filterwarnings("ignore", message="the queue is not started")
            try:
                queue = JobQueue(journal=FailingJournal(path))
            except JournalError:
                refused += 1
                continue
            assert await run_all(queue) == OUTCOMES, first
            await queue.stop()
            let_go(queue)
        said = [one for one in told if one.category is JournalWarning]
        assert len(said) <= 1, [str(one.message) for one in said]
        with opened(path) as again:  # what was missing was written when the disk was well again
            found = {job.label: job.status.value for job in again.jobs()}
            assert found == OUTCOMES, first
    note(f"failed at each of {statements} statements, {refused} of them while opening")


async def test_a_journal_that_fails_for_good_is_told_once_and_kept_out_of_the_way(
    failing: Callable[[int, int], None], tmp_path: Path
) -> None:
    path = tmp_path / "runs.db"
    queue = JobQueue(journal=FailingJournal(path))
    failing(1, 10**9)
    with pytest.warns(JournalWarning, match="goes on without it") as told:
        assert await run_all(queue) == OUTCOMES
    assert len(told) == 1
    assert "goes on without it" in inspect(queue).notice
    await queue.stop()
    let_go(queue)
    failing(10**9, 1)
    with opened(path) as again:
        assert again.jobs() == []  # as old as it was when it failed


async def test_what_happened_while_the_disk_was_full_is_written_when_it_is_not(
    failing: Callable[[int, int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    monkeypatch.setattr(recorder, "RETRY_AFTER", 0.0)
    async with running(FailingJournal(path)) as queue:
        kinds: list[str] = []
        queue.subscribe(lambda event: kinds.append(event.type))
        failing(1, 3)
        with pytest.warns(JournalWarning):
            jobs = [queue.submit_nowait(value)]
        jobs += [queue.submit_nowait(value) for _ in range(10)]
        await queue.join()
        await until(lambda: "journal_recovered" in kinds)
        assert "journal_failed" in kinds
        assert inspect(queue).notice == ""
        with opened(as_if_killed(path)) as again:
            assert {job.id for job in again.jobs("completed")} == {job.id for job in jobs}


async def test_pending_jobs_of_a_journal_that_had_failed_are_reviewed_even_if_they_may_run(
    failing: Callable[[int, int], None], tmp_path: Path
) -> None:
    path = tmp_path / "runs.db"
    async with running(FailingJournal(path)) as queue:
        queue.pause()
        job = queue.submit_nowait(value)
        failing(1, 10**9)
        with pytest.warns(JournalWarning):
            queue.resume()
        assert await job == "value"
    failing(10**9, 1)
    with opened(path, on_restore="run") as again:
        pause = inspect(again).pause
        assert pause is not None
        assert "may have run since" in pause.reason


FULL = """
import asyncio, os, resource, sys, warnings
from jobqueue_widget import JobQueue
from jobqueue_widget.testing import inspect
from tests.crash.test_journal_faults import OUTCOMES, run_all
async def main():
    queue = JobQueue(journal=sys.argv[1])
    first = queue.submit_nowait(len, "abc")
    fill(queue)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert await run_all(queue) == {None: "completed", **OUTCOMES}
        jobs = [queue.submit_nowait(len, os.urandom(200).hex()) for _ in range(100)]
        await queue.join()
    said = [str(one.message) for one in told if "journal" in str(one.message)]
    assert len(said) == 1, said
    print(said[0].partition(" (")[2].partition(")")[0])
    make_room()
    await queue.stop()
    inspect(queue).let_go()
"""
WAYS = {
    "a limit of the file size": """
def fill(queue):
    size = os.path.getsize(sys.argv[1] + "-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
def make_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
""",
    "a full disk": """
def fill(queue):
    with open(os.path.dirname(sys.argv[1]) + "/filler", "wb", buffering=0) as file:
        try:
            while True: file.write(bytes(4096))
        except OSError: pass
def make_room(): os.unlink(os.path.dirname(sys.argv[1]) + "/filler")
""",
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def ways() -> list[str]:
    """A disk that is really full needs a file system of our own; the other way is for everybody."""
    return list(WAYS) if may_mount() else list(WAYS)[:1]


@pytest.mark.parametrize("way", ways())
def test_a_full_disk_changes_no_outcome(way: str, disk: Path, note: Callable[[str], None]) -> None:
    if way == "a full disk" and not os.path.ismount(disk):
        way = "a limit of the file size"  # a container without the right to mount
    path = disk / "runs.db"
    script = FULL + WAYS[way] + "\nasyncio.run(main())"
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    note(f"{way}: {ended.stdout.strip()}")
    with opened(path) as again:
        assert len(again.jobs()) == 105
        assert not again.jobs("pending")


@pytest.mark.parametrize(
    ("mode", "cure"), [(0o555, "folder that you may write"), (0o600, "folder that you may enter")]
)
def test_a_folder_that_may_not_be_used_is_refused_in_words(mode: int, cure: str) -> None:
    """As another user: root may write and enter every folder."""
    script = """
import os, sys
from jobqueue_widget import JobQueue, JournalError, read_journal
from jobqueue_widget._persistence import restore
if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)
try: JobQueue(journal=sys.argv[1])
except JournalError as error: print(error)
try: read_journal(sys.argv[1])
except JournalError: print("nor read")
"""
    # Not below the tests' folder, which no other user may enter.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, mode)
        ended = subprocess.run(
            [sys.executable, "-c", script, f"{folder}/runs.db"],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": REPOSITORY, "JOBQUEUE_DATA_DIR": "/nonexistent"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        os.chmod(folder, 0o700)
    assert cure in ended.stdout, ended.stderr
    assert "nor read" in ended.stdout, ended.stderr


def test_a_name_that_the_system_does_not_take_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="too long"):
        JobQueue(journal=tmp_path / ("n" * 300))


# -- the file is damaged ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a queue that said goodbye."""
    path = tmp_path_factory.mktemp("sound") / "runs.db"
    path.parent.joinpath("data").mkdir()

    async def make() -> None:
        async with running(path) as queue:
            for number in range(300):
                queue.options(label=f"job {number}").submit_nowait(value)
            await queue.join()
            queue.pause()
            for number in range(300):
                queue.options(label=f"later {number}", tags=["x" * 50]).submit_nowait(value)

    asyncio.run(make())
    return path


def copy_of(sound: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in sound.parent.iterdir():
        if file.is_file():
            shutil.copy2(file, folder)
    return folder / sound.name


LOGS = ("-wal", "-shm")  # kept aside with the file


def open_damaged(path: Path, before: bytes, note: list[str]) -> None:
    """It opens, or is kept aside as it was and begins anew with one warning; never a crash."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", JournalWarning)
        queue = JobQueue(journal=path)
        inspect(queue).validate()
        kept = [one for one in path.parent.glob("*.damaged-*") if one.name[-4:] not in LOGS]
        note.append("aside" if kept else "opened")
        said = [str(one.message) for one in told if one.category is JournalWarning]
        assert len(said) == len(kept), said
        if kept:
            assert kept[0].read_bytes() == before
            assert kept[0].name in said[0]
            assert kept[0].name in inspect(queue).notice
        let_go(queue)


@pytest.mark.parametrize("how", ["page", "bits", "cut", "noise"])
def test_a_damaged_file_is_kept_aside_and_said_so(
    how: str, sound: Path, tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    dice = random.Random(f"{seed} damage {how}")
    told: list[str] = []
    for number in range(30):
        path = copy_of(sound, tmp_path / str(number))
        data = bytearray(path.read_bytes())
        if how == "page":
            page = dice.randrange(len(data) // 4096)
            data[page * 4096 : (page + 1) * 4096] = dice.randbytes(4096)
        elif how == "bits":
            for _ in range(20):
                data[dice.randrange(100, len(data))] ^= 1 << dice.randrange(8)
        elif how == "cut":
            del data[dice.randrange(1, len(data)) :]
        else:
            data = bytearray(dice.randbytes(dice.randrange(1, 20_000)))
        path.write_bytes(data)
        open_damaged(path, bytes(data), told)
    note(f"{how}: {told.count('aside')} kept aside, {told.count('opened')} opened")
    assert "aside" in told


async def test_a_log_of_sqlite_that_was_cut_gives_a_moment_that_was(
    tmp_path: Path, seed: int, note: Callable[[str], None]
) -> None:
    path = tmp_path / "runs.db"
    dice = random.Random(f"{seed} cut log")
    async with running(path) as queue:
        for _ in range(40):
            queue.submit_nowait(value)
        await queue.join()
        copies = [as_if_killed(path, number) for number in range(40)]
    counts = set()
    for copy in copies:
        wal = copy.with_name(copy.name + "-wal")
        os.truncate(wal, dice.randrange(wal.stat().st_size))
        with opened(copy) as again:
            inspect(again).validate()
            numbers = sorted(job._record.number for job in again.jobs())
            assert numbers == list(range(1, len(numbers) + 1))
            counts.add(len(numbers))
    note(f"{len(counts)} different moments")
    assert len(counts) > 5


def test_a_newer_journal_and_a_foreign_file_are_left_alone(sound: Path, tmp_path: Path) -> None:
    newer = copy_of(sound, tmp_path / "newer")
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE precious (x)")
    connection.close()
    text = tmp_path / "data.csv"
    text.write_text("a,b\n" * 100)
    for path, message in ((newer, "newer"), (other, "another program"), (text, "no journal")):
        before = path.read_bytes()
        with pytest.raises(JournalError, match=message):
            JobQueue(journal=path)
        assert path.read_bytes() == before


def test_a_place_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("folder", "is a folder"),
        ("pipe", "no ordinary file"),
        ("missing/runs.db", "there is no folder"),
    ):
        with pytest.raises(JournalError, match=message):
            JobQueue(journal=tmp_path / name)
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with opened(tmp_path / "link.db"):
        assert (tmp_path / "real.db").exists()


def test_a_network_file_system_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobqueue_widget._persistence.sqlite import places

    monkeypatch.setattr(places, "file_system_of", lambda path: "nfs4")
    with pytest.raises(JournalError, match=r"network file system \(nfs4\).*allow_network=True"):
        JobQueue(journal=tmp_path / "runs.db")
    with opened(SqliteJournal(tmp_path / "runs.db", allow_network=True)) as queue:
        queue.submit_nowait(value)
    with opened(SqliteJournal(tmp_path / "runs.db", allow_network=True)) as queue:
        assert len(queue.jobs("pending")) == 1


def test_the_type_of_a_file_system_is_that_of_the_innermost_mount() -> None:
    from jobqueue_widget._persistence.sqlite.places import file_system_of

    assert file_system_of(Path("/proc/self")) == "proc"


# -- time ------------------------------------------------------------------------------------------


class Jumping(JobQueue):
    """Its wall clock says what the test wants."""

    wall = 1_000_000.0

    def _make_engine(self, settings: Settings) -> Engine:
        return Engine(settings, Clock(lambda: Jumping.wall, time.monotonic))


@pytest.mark.parametrize("jump", [3600.0, -3600.0, -1_000_000.0, 10**10])
async def test_a_clock_that_jumps_changes_neither_order_nor_holds(
    jump: float, tmp_path: Path
) -> None:
    Jumping.wall = 1_000_000.0
    path = tmp_path / "runs.db"
    queue = Jumping(journal=path)
    jobs = [queue.submit_nowait(value)]
    Jumping.wall += jump
    jobs += [queue.submit_nowait(value) for _ in range(3)]
    held = queue.submit_nowait(value)
    queue.hold(held, seconds=60)
    await queue.start()
    for job in jobs:
        await job
    ended = [job.id for job in queue.jobs("completed")]
    await queue.stop()
    let_go(queue)
    Jumping.wall -= jump
    again = Jumping(journal=path)
    assert [job.id for job in again.jobs("completed")] == ended
    left = inspect(again).seconds_left(again[held.id], "hold")
    assert left is None or 0 <= left <= 60  # never longer than it was
    assert "1 job restored from " in (inspect(again).pause or pytest.fail("not paused")).reason
    again.release(held)
    let_go(again)


def test_a_kernel_that_was_stopped_keeps_its_journal_and_goes_on(tmp_path: Path) -> None:
    import signal

    path = tmp_path / "runs.db"
    script = """
import sys, time
from jobqueue_widget import JobQueue
from jobqueue_widget.testing import inspect
with JobQueue(journal=sys.argv[1], loop="thread", name="the other") as queue:
    for number in range(10**9):
        print(queue.submit_nowait(len, "abc").id, flush=True)
        queue.wait()
        if sys.stdin.readline() == "": break
    inspect(queue).engine.recorder.close()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    try:
        assert other.stdout.readline()
        os.kill(other.pid, signal.SIGSTOP)
        with pytest.raises(JournalError, match=rf"in use by .*process {other.pid} on"):
            JobQueue(journal=path)
        os.kill(other.pid, signal.SIGCONT)
        other.stdin.write("go on\n")
        other.stdin.flush()
        assert other.stdout.readline()
        other.stdin.close()
        assert other.wait(20) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(other.pid, signal.SIGKILL)
        other.wait()
        other.stdout.close()
    with opened(path) as again:
        assert [job.result for job in again.jobs()] == [3, 3]


def test_a_child_that_was_forked_writes_nothing_and_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with opened(path) as queue:
        job = queue.submit_nowait(value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(BaseException):
                job.cancel()
                recorder = inspect(queue).engine.recorder
                assert recorder is not None
                recorder.close()
                code = 0
            os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert status == 0
        queue.submit_nowait(value)
    with opened(path) as again:
        assert len(again.jobs("pending")) == 2


def test_the_log_tells_what_the_warning_tells(
    failing: Callable[[int, int], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(FailingJournal(tmp_path / "runs.db")) as queue, caplog.at_level(logging.ERROR):
        failing(1, 1)
        queue.submit_nowait(value)  # where warnings are errors, as here, nothing is raised
    assert "goes on without it" in caplog.text
    assert wait_until(lambda: True, 1) >= 0
