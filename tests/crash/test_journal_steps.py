"""Whatever fails at whatever step of opening or closing a journal: told in words, nothing taken."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, JournalError, SqliteJournal, read_journal
from jobqueue_widget._persistence.sqlite import lock
from tests.journals import let_go, opened

pytestmark = [
    pytest.mark.filterwarnings("ignore:the queue is not started"),
    pytest.mark.timeout(300),
]

ERRNOS = [errno.EMFILE, errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS]
CALLS = ["open", "write", "lseek", "read", "fstat", "lstat", "stat", "chmod", "unlink", "mkdir"]
STATEMENTS = [
    sqlite3.OperationalError("database or disk is full"),
    sqlite3.OperationalError("unable to open database file"),
    MemoryError(),
    KeyboardInterrupt(),
]


class Plan:
    """Fails at call number `at` of those that it counts."""

    def __init__(self) -> None:
        self.at, self.seen, self.error = -1, 0, Exception()

    def begin(self, at: int, error: BaseException) -> None:
        self.at, self.seen, self.error = at, 0, error  # type: ignore[assignment]

    def step(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise self.error


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    """Of the system's calls, wherever they are made in this thread's tests."""
    plan = Plan()
    for name in CALLS:
        monkeypatch.setattr(os, name, _counted(plan, getattr(os, name)))
    yield plan
    plan.at = -1


def _counted(plan: Plan, call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def counted(*args: Any, **kwargs: Any) -> Any:
        if plan.at >= 0 and _is_of_a_journal(args[0] if args else None):
            plan.step()
        return call(*args, **kwargs)

    return counted


def _is_of_a_journal(target: object) -> bool:
    return target in _ours() if isinstance(target, int) else "runs.db" in str(target)


def _ours() -> set[int]:
    """Descriptors of a journal's files."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if "runs.db" in os.readlink(f"/proc/self/fd/{fd}"):
                found.add(int(fd))
    return found


def nothing_is_taken(path: Path) -> None:
    assert _ours() == set()
    assert lock._mine == {}
    with opened(path) as queue:
        assert len(queue.jobs()) == 1
    assert len(read_journal(path)) == 1


@pytest.mark.parametrize("number", ERRNOS, ids=errno.errorcode.get)
def test_an_error_at_any_call_of_opening_is_told_and_leaves_nothing_taken(
    number: int, plan: Plan, tmp_path: Path, note: Callable[[str], None]
) -> None:
    path = tmp_path / "runs.db"
    with opened(path) as queue:
        queue.submit_nowait(len, "abc")
    refused = 0
    for at in range(1, 200):
        plan.begin(at, OSError(number, os.strerror(number)))
        try:
            queue = JobQueue(journal=path)
        except JournalError:
            refused += 1
        else:
            let_go(queue)
        reached, plan.at = plan.seen >= at, -1
        nothing_is_taken(path)
        if not reached:
            break
    else:
        pytest.fail("it never got to its end")
    note(f"{errno.errorcode[number]}: {at - 1} calls, refused at {refused}")
    assert refused > 3


class Counted(sqlite3.Connection):
    plan = Plan()

    def execute(self, *args: Any) -> sqlite3.Cursor:
        self.plan.step()
        return super().execute(*args)

    def executescript(self, *args: Any) -> sqlite3.Cursor:
        self.plan.step()
        return super().executescript(*args)

    def close(self) -> None:
        try:
            self.plan.step()
        finally:
            super().close()


class CountedJournal(SqliteJournal):
    def _connect(self) -> sqlite3.Connection:
        Counted.plan.step()
        return sqlite3.connect(
            self.path, check_same_thread=False, isolation_level=None, factory=Counted
        )


@pytest.mark.parametrize("error", STATEMENTS, ids=repr)
@pytest.mark.parametrize("when", ["opening", "closing"])
@pytest.mark.parametrize("new", [True, False])
def test_an_error_at_any_statement_of_opening_or_closing_leaves_nothing_taken(
    error: BaseException, when: str, new: bool, tmp_path: Path
) -> None:
    for at in range(1, 60):
        folder = tmp_path / str(at)
        folder.mkdir()
        path = folder / "runs.db"
        if not new:
            with opened(path) as earlier:
                earlier.submit_nowait(len, "abc")
        if when == "opening":
            Counted.plan.begin(at, error)
        queue: JobQueue | None = None
        with contextlib.suppress(JournalError, MemoryError, KeyboardInterrupt):
            queue = JobQueue(journal=CountedJournal(path))
        if queue is not None:
            if when == "closing":
                Counted.plan.begin(at, error)
            with contextlib.suppress(KeyboardInterrupt):
                let_go(queue)
            let_go(queue)
        reached = Counted.plan.seen >= at
        Counted.plan.begin(-1, error)
        if not new:
            nothing_is_taken(path)
        else:
            assert _ours() == set()
            assert lock._mine == {}
            with opened(path):
                pass
        if not reached:
            return
    pytest.fail("it never got to its end")


FULL_AT_OPEN = """
import resource, sys
from jobqueue_widget import JobQueue, JournalError
from jobqueue_widget._persistence import restore
from jobqueue_widget.testing import inspect
def let_go(queue):
    inspect(queue).let_go()
path = sys.argv[1]
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for size in (0, 100, 5000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try: let_go(JobQueue(journal=path))
    except JournalError as error: print("told", error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    let_go(JobQueue(journal=path))
    print("again")
"""


async def test_a_full_disk_at_open_is_told_and_the_same_kernel_may_try_again(
    tmp_path: Path,
) -> None:
    ended = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", FULL_AT_OPEN, str(tmp_path / "runs.db")),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await ended.communicate()
    assert out.decode().count("again") == 3, err.decode()
    assert out.decode().count("told") >= 2, out.decode()
