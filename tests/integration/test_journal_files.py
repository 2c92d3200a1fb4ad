"""What stands at the names of a journal's files: nothing else is written, deleted or waited for."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue_widget import JobQueue, JournalError, SqliteJournal, read_journal
from jobqueue_widget._core.stored import KeptResult
from jobqueue_widget._persistence.sqlite.files import INLINE, ResultFiles
from jobqueue_widget._persistence.sqlite.signing import Signer
from jobqueue_widget.errors import InvalidOptionError
from tests.conditions import until
from tests.journals import opened, running

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")

REPOSITORY = str(Path(__file__).parents[2])
PRECIOUS = b"precious " * 900


async def small() -> str:
    return "small"


async def large() -> bytes:
    return os.urandom(INLINE + 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


# -- file kind x name ------------------------------------------------------------------------------


def as_file(path: Path, precious: Path) -> None:
    path.write_bytes(PRECIOUS)
    os.chown(path, 65534, 65534)


KINDS: dict[str, Callable[[Path, Path], object]] = {
    "symlink": lambda path, precious: path.symlink_to(precious),
    "symlink to a folder": lambda path, precious: path.symlink_to(precious.parent),
    "symlink to nothing": lambda path, precious: path.symlink_to(precious.with_name("new")),
    "symlink to itself": lambda path, precious: path.symlink_to(path),
    "hard link": lambda path, precious: os.link(precious, path),
    "FIFO": lambda path, precious: os.mkfifo(path),
    "folder": lambda path, precious: path.mkdir(),
    "other owner": as_file,
}
SUFFIXES = ["-wal", "-shm", "-journal", ".lock", ".results", ".learned.json"]
PLACES = [(kind, suffix) for kind in KINDS for suffix in SUFFIXES]
PLACES.remove(("folder", ".results"))


def tree(folder: Path) -> dict[str, object]:
    """All that stands there, links as links."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        found[str(path.relative_to(folder))] = (status.st_ino, status.st_mode, data)
    return found


@pytest.mark.parametrize("journal", ["none yet", "one with a job"])
@pytest.mark.parametrize(("kind", "suffix"), PLACES)
def test_what_is_no_file_of_ours_is_refused_and_left_alone(
    kind: str, suffix: str, journal: str, tmp_path: Path
) -> None:
    if kind == "other owner" and os.geteuid() != 0:
        kind = "symlink"  # only root can give a file away
    (tmp_path / "elsewhere").mkdir()
    precious = tmp_path / "elsewhere" / "0123abcd-1.pickle"
    precious.write_bytes(PRECIOUS)
    (tmp_path / "here").mkdir()
    path = tmp_path / "here" / "runs.db"
    if journal == "one with a job":
        with opened(path) as queue:
            queue.submit_nowait(small)
    odd = path.with_name(path.name + suffix)
    odd.unlink(missing_ok=True)
    KINDS[kind](odd, precious)
    before = tree(tmp_path)
    with pytest.raises(JournalError, match=f"runs.db{suffix}"):
        JobQueue(journal=path)
    with contextlib.suppress(JournalError):
        read_journal(path)
    assert tree(tmp_path) == before
    shutil.rmtree(odd) if odd.is_dir() and not odd.is_symlink() else odd.unlink()
    with opened(path) as queue:  # nothing was taken
        assert len(queue.jobs("pending")) == (journal == "one with a job")
    assert precious.read_bytes() == PRECIOUS


@pytest.mark.parametrize("kind", ["hard link", "FIFO", "folder", "symlink to itself"])
def test_a_journal_that_is_no_file_of_its_own_is_refused(kind: str, path: Path) -> None:
    precious = path.with_name("precious")
    with opened(precious) as queue:
        queue.submit_nowait(small)
    KINDS[kind](path, precious)
    before = tree(path.parent)
    with pytest.raises(JournalError):
        JobQueue(journal=path)
    assert tree(path.parent) == before
    if kind == "hard link":  # of a copy that was made to save room, one may look
        assert len(read_journal(path)) == 1


def test_a_rollback_journal_that_has_another_file_deleted_is_refused(path: Path) -> None:
    """SQLite deletes the file that a rollback journal names at its end."""
    with opened(path):
        pass
    precious = path.with_name("precious")
    precious.write_bytes(PRECIOUS)
    name = os.fsencode(precious)
    script = f"""
import sqlite3
connection = sqlite3.connect({str(path)!r})
connection.execute("PRAGMA journal_mode = DELETE")
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
connection.execute("CREATE TABLE filler AS WITH RECURSIVE n(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) SELECT hex(randomblob(200)) FROM n")
import os; os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    rollback = path.with_name(path.name + "-journal")
    head = len(name).to_bytes(4, "big") + (sum(name) & 0xFFFFFFFF).to_bytes(4, "big")
    with rollback.open("ab") as file:
        file.write(b"\0\0\0\1" + name + head + bytes.fromhex("d9d505f920a163d7"))
    with pytest.raises(JournalError, match="names other files"):
        JobQueue(journal=path)
    with contextlib.suppress(JournalError):
        read_journal(path)
    assert precious.read_bytes() == PRECIOUS


UNREADABLE = """
import os, sys
from pathlib import Path
from jobqueue_widget import JobQueue, JournalError, read_journal
from jobqueue_widget._persistence import restore  # as root: others may not read the interpreter
from jobqueue_widget.testing import inspect
if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)
path = Path(sys.argv[1]) / "runs.db"
def let_go(queue):
    inspect(queue).let_go()
let_go(JobQueue(journal=path))
for suffix in ("", "-wal", ".lock", ".results"):
    odd = path.with_name(path.name + suffix)
    if suffix == ".results": odd.mkdir()
    elif suffix == "-wal": odd.touch()
    odd.chmod(0)
    try: let_go(JobQueue(journal=path))
    except JournalError: print("refused", suffix)
    else: print("opened", suffix)
    try: read_journal(path)
    except JournalError: print("not read", suffix)
    odd.chmod(0o700)
    let_go(JobQueue(journal=path))
    print("again", suffix)
"""


def test_what_may_not_be_read_is_refused_in_words(tmp_path: Path) -> None:
    shared = Path("/tmp") if os.geteuid() == 0 else tmp_path
    folder = shared / f"jobqueue-unreadable-{os.getpid()}"
    folder.mkdir()
    try:
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", UNREADABLE, str(folder)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": REPOSITORY, "JOBQUEUE_DATA_DIR": str(folder / "d")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    told = ended.stdout.splitlines()
    for suffix in ("", "-wal", ".lock", ".results"):
        assert f"refused {suffix}" in told, ended.stdout + ended.stderr
        assert f"again {suffix}" in told, ended.stdout + ended.stderr


# -- results in files ------------------------------------------------------------------------------


async def test_only_names_of_ours_are_deleted_from_the_folder_of_results(path: Path) -> None:
    folder = path.with_name(path.name + ".results")
    folder.mkdir()
    ours = ["0123abcd-1.pickle", "0123abcd-2.new"]
    others = ["model.pickle", "notes.new", "a b-1.pickle", "x.txt", "-1.pickle"]
    for name in (*ours, *others):
        (folder / name).write_bytes(PRECIOUS)
    (folder / "0123abcd-3.pickle").mkdir()
    (folder / "0123abcd-4.pickle").symlink_to(folder / "model.pickle")
    with opened(path):
        pass
    assert sorted(os.listdir(folder)) == sorted([*others, "0123abcd-3.pickle"])


@pytest.mark.parametrize("kind", ["symlink", "hard link", "FIFO", "folder", "symlink to itself"])
async def test_a_result_that_is_no_file_of_its_own_is_not_read(
    kind: str, path: Path, tmp_path: Path
) -> None:
    async with running(path) as queue:
        job = queue.submit_nowait(large)
        result = await job
        file = path.with_name(path.name + ".results") / f"{job.id}.pickle"
        await until(file.exists)
    precious = tmp_path / "precious"
    precious.write_bytes(file.read_bytes())
    file.unlink()
    KINDS[kind](file, precious)
    with opened(path) as queue:
        assert "its file cannot be read" in repr(queue[job.id].result)
        queue.clear_history()
    with opened(path):
        pass
    assert precious.stat().st_size > len(result)


@pytest.mark.parametrize("kind", ["symlink", "symlink to a folder", "FIFO"])
async def test_a_folder_of_results_that_becomes_a_link_is_not_followed(
    kind: str, path: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    precious = elsewhere / "0123abcd-1.pickle"
    precious.write_bytes(PRECIOUS)
    files = ResultFiles(path)
    KINDS[kind](path.with_name(path.name + ".results"), precious)
    with pytest.raises(JournalError):
        files.put("0123abcd-1", KeptResult("pickle", bytes(INLINE + 1), "", b""), durable=True)
    files.remove(["0123abcd-1"])
    files.remove_all_but(())
    assert precious.read_bytes() == PRECIOUS
    assert os.listdir(elsewhere) == [precious.name]


# -- the key ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_is_no_file_of_this_user_seals_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "hard link" or (kind == "other owner" and os.geteuid() != 0):
        kind = "symlink"  # a key is made as a link to a new file: it may have two names
    monkeypatch.setenv("JOBQUEUE_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    precious = tmp_path / "elsewhere" / "precious"
    precious.write_bytes(bytes(32))
    precious.chmod(0o600)
    KINDS[kind](tmp_path / "data" / "journal.key", precious)
    before = tree(tmp_path)
    signer = Signer.of_this_user()
    assert signer.why_not
    assert signer.seal(b"x") is None
    assert tree(tmp_path) == before


def test_a_log_of_another_database_is_refused_in_words(path: Path) -> None:
    with opened(path) as queue:
        queue.submit_nowait(small)
    other = sqlite3.connect(path.with_name("other.db"))
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("CREATE TABLE precious (x)")
    log = path.with_name("runs.db-wal")
    shutil.copy(path.with_name("other.db-wal"), log)
    other.close()
    with pytest.raises(JournalError, match="another program"):
        JobQueue(journal=path)


NO_NAME = "cannot be a journal|is no name of a file|must be a path|export writes"


@pytest.mark.parametrize("name", ["x\0.db", "folder\0/x.db", "~\0", "\ud800.db", b"x.db"])
@pytest.mark.parametrize(
    "use",
    [
        lambda name: JobQueue(journal=name),
        lambda name: JobQueue.open(name),
        SqliteJournal,
        read_journal,
        lambda name: JobQueue().export(name + ".csv" if type(name) is str else "x.none"),
    ],
    ids=["a queue", "open", "a journal", "read", "export"],
)
def test_what_no_file_can_be_called_is_refused_in_words(
    use: Callable[[object], object], name: object
) -> None:
    with pytest.raises((JournalError, InvalidOptionError), match=NO_NAME):
        use(name)
