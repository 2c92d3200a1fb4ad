"""A journal's files read in the kernel's own process: no lock is lost, by whatever reads them.

The system drops a process's record locks of a file once that process closes any descriptor of it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue_widget import read_journal
from jobqueue_widget.errors import JournalInUseError
from tests.journals import let_go, opened

pytestmark = [
    pytest.mark.filterwarnings("ignore:the queue is not started"),
    pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's"),
    pytest.mark.timeout(120),
]
REPOSITORY = str(Path(__file__).parents[2])
FILES = ("", "-wal", "-shm", ".lock")
HAS_IT_OPEN, USES_IT = (0x40000002, 510), (128, 1)  # SQLite's own, in the file and in -shm


def mapped(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        hashlib.sha256(view).digest()


READERS: dict[str, Callable[[Path], object]] = {
    "read": lambda path: path.read_bytes(),
    "copied": lambda path: shutil.copy2(path, path.with_name("copy")),
    "mapped": mapped,
    "opened to be written": lambda path: path.open("r+b").close(),
    "opened by number": lambda path: os.close(os.open(path, os.O_RDONLY)),
}
WHOLE: dict[str, Callable[[Path], object]] = {
    "its folder copied": lambda path: shutil.copytree(path.parent, path.parent.with_name("copy")),
    "its folder in an archive": lambda path: shutil.make_archive(
        str(path.parent.with_name("made")), "tar", path.parent
    ),
    "its records read": lambda path: read_journal(path),
    "read by sqlite3": lambda path: (
        sqlite3.connect(path).execute("SELECT count(*) FROM jobs").connection.close()
    ),
}


def python(code: str, *arguments: object) -> str:
    """What another process prints, with `-c`."""
    given = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    ended = subprocess.run(given, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


OPEN = """
import sys
from jobqueue_widget import JobQueue
from jobqueue_widget.errors import JournalInUseError
try:
    queue = JobQueue(journal=sys.argv[1])
except JournalInUseError:
    print("refused")
else:
    print("opened")
"""
LOCK = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
try:
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, int(sys.argv[3]), int(sys.argv[2]))
except OSError:
    print("refused")
else:
    print("locked")
"""


def assert_ours(path: Path) -> None:
    """Assert that no other process gets any lock which is ours as long as the journal is open."""
    assert python(LOCK, f"{path}.lock", 0, 0) == "refused"  # as a kernel of 0.1 asks for it
    assert python(LOCK, path, *HAS_IT_OPEN) == "refused"  # before it deletes -wal
    assert python(LOCK, f"{path}-shm", *USES_IT) == "refused"  # before it cuts -shm
    assert python(OPEN, path) == "refused"


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("how", READERS)
def test_reading_one_of_its_files_loses_no_lock(how: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with opened(path) as queue:
        queue.submit_nowait(len, "abc")
        READERS[how](path.with_name(path.name + suffix))
        assert_ours(path)
        queue.submit_nowait(len, "abcd")
        assert len(read_journal(path)) == 2
    assert not path.with_name("runs.db-wal").exists()  # SQLite was the last to leave
    assert python(OPEN, path) == "opened"


@pytest.mark.parametrize("how", WHOLE)
def test_reading_all_of_it_loses_no_lock(how: str, tmp_path: Path) -> None:
    path = tmp_path / "work" / "runs.db"
    path.parent.mkdir()
    with opened(path) as queue:
        queue.submit_nowait(len, "abc")
        WHOLE[how](path)
        assert_ours(path)
        queue.submit_nowait(len, "abcd")
    with opened(path) as again:
        assert len(again.jobs()) == 2


def test_a_foreign_sqlite_that_comes_and_goes_leaves_its_log(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with opened(path) as queue:
        queue.submit_nowait(len, "abc")
        shutil.copytree(tmp_path, tmp_path.with_name("copy"))
        log = path.with_name("runs.db-wal").stat()
        python("import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT 1')", path)
        assert path.with_name("runs.db-wal").stat().st_ino == log.st_ino
        assert path.with_name("runs.db-wal").stat().st_size == log.st_size


def test_a_kernel_is_not_killed_by_a_reader_after_a_backup(tmp_path: Path) -> None:
    """The reader's SQLite cut `-shm`, which the kernel had mapped: SIGBUS."""
    writer = f"""
import shutil, subprocess, sys
from jobqueue_widget import JobQueue
queue = JobQueue(journal="work/runs.db")
queue.submit_nowait(len, "abc")
shutil.copytree("work", "copy")
reader = subprocess.Popen([sys.executable, "-c", {READ!r}])
while reader.poll() is None:
    queue.pause()
    queue.resume()
print(reader.returncode)
"""
    (tmp_path / "work").mkdir()
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", writer],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": REPOSITORY},
        check=False,
    )
    assert ended.returncode != -signal.SIGBUS, ended.stderr
    assert ended.stdout == "0\n", ended.stderr


READ = """
from jobqueue_widget import read_journal
for _ in range(200):
    assert read_journal("work/runs.db")
"""


def test_a_kernel_of_an_older_version_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with opened(path):
        pass
    older = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; file = open(sys.argv[1], 'r+b');"
            "fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()",
            f"{path}.lock",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with older:
        assert older.stdout is not None
        older.stdout.readline()
        with pytest.raises(JournalInUseError):
            opened(path).__enter__()
        older.kill()
    with opened(path):
        pass


FORKS = """
import os, signal, sys
from jobqueue_widget import JobQueue
queue = JobQueue(journal=sys.argv[1])
queue.submit_nowait(len, "abc")
pid = os.fork()
if pid == 0:
    os.close(1), os.close(2)
    signal.pause()
print(pid, flush=True)
os._exit(0)
"""


def test_a_fork_that_outlives_its_kernel_keeps_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    pid = int(python(FORKS, path))
    try:
        with opened(path) as queue:
            assert len(queue.jobs()) == 1
        assert not path.with_name("runs.db-wal").exists()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_end_of_a_fork_takes_no_lock_from_its_kernel(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with opened(path) as queue:
        queue.submit_nowait(len, "abc")
        pid = os.fork()
        if pid == 0:
            try:
                let_go(queue)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert_ours(path)
