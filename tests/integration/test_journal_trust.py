"""A journal runs nothing that its user did not write, and keeps nothing that is secret."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import shutil
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, JobStatus, JournalError, NotRestorableError, read_journal
from jobqueue_widget._persistence.sqlite.signing import Signer
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.journals import as_if_killed, let_go, opened, running

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")

CANARY = "canary-3f9c2e"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


async def use(*args: object, **kwargs: object) -> str:
    return "used"


def talk(password: str, note: str = "") -> str:
    print("my password is", password)
    return f"I was given {password}"


def talk_of_nothing(note: str, password: str = "", token: str | None = None) -> None:
    print(note)


def complain(api_key: str) -> None:
    raise ValueError(f"{api_key} is not accepted")


class Client:
    def __init__(self, token: str) -> None:
        self.token = token

    def call(self, number: int) -> int:
        return number


@dataclass
class Login:
    user: str
    secret_key: str


# -- secrets ---------------------------------------------------------------------------------------


def bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.rglob("*")) if file.is_file())


def typed_in_a_cell(source: str, name: str, **variables: object) -> Callable[..., Any]:
    """A function whose globals are those of a notebook."""
    names: dict[str, object] = {"__name__": "__main__", **variables}
    exec(source, names)
    function = names[name]
    assert callable(function)
    return function


WAYS: dict[str, Callable[[JobQueue], object]] = {
    "secret=True": lambda q: q.options(secret=True).submit_nowait(use, CANARY),
    "secret by name": lambda q: q.options(secret="note").submit_nowait(talk, "-----", note=CANARY),
    "by position": lambda q: q.submit_nowait(talk, CANARY),
    "by keyword": lambda q: q.submit_nowait(use, password=CANARY),
    "in a mapping": lambda q: q.submit_nowait(use, {"login": {"api_key": CANARY}}),
    "in a list of mappings": lambda q: q.submit_nowait(use, [{"Authorization": CANARY}]),
    "in an object": lambda q: q.submit_nowait(use, Login("me", CANARY)),
    "in a bound method": lambda q: q.submit_nowait(Client(CANARY).call, 1),
    "in a partial": lambda q: q.submit_nowait(functools.partial(talk, password=CANARY)),
    "as bytes": lambda q: q.submit_nowait(use, token=CANARY.encode()),
    "as a default": lambda q: q.submit_nowait(
        typed_in_a_cell(f"def f(token={CANARY!r}): return 1", "f")
    ),
    "in a global of a cell": lambda q: q.submit_nowait(
        typed_in_a_cell("def f(): return len(my_token)", "f", my_token=CANARY)
    ),
    "in a function that it calls": lambda q: q.submit_nowait(
        typed_in_a_cell("def g(): return my_token\ndef f(): return len(g())", "f", my_token=CANARY)
    ),
    "in a closure": lambda q: q.submit_nowait(
        typed_in_a_cell(
            "def outer(secret):\n    def f(): return len(secret)\n    return f\n"
            f"f = outer({CANARY!r})",
            "f",
        )
    ),
    "in an error": lambda q: q.submit_nowait(complain, CANARY),
    "in a label": lambda q: q.options(label=f"as {CANARY}", tags=[CANARY]).submit_nowait(
        talk, CANARY
    ),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_secret_is_in_no_byte_of_the_journal(way: str, path: Path) -> None:
    async with running(path) as queue:
        WAYS[way](queue)
        await queue.join()
        if way in ("by position", "in an error"):
            assert "•••" in queue.jobs()[0].logs() + str(queue.jobs()[0].error)
        copy = as_if_killed(path)
        assert CANARY.encode() not in bytes_of(copy)
        assert CANARY.encode() not in bytes_of(path)
    assert CANARY.encode() not in bytes_of(path)
    with opened(path) as again:
        job = again.jobs()[0]
        with pytest.raises(NotRestorableError, match="secret values are never written"):
            job.retry()


LONG = "-----BEGIN KEY-----\n" + "".join(f"{n:03d}/" for n in range(120)) + "\n-----END KEY-----"


class Held:
    def __init__(self, key: str, room: int) -> None:
        self.key, self.room, self.lock = key, room, threading.Lock()

    def __repr__(self) -> str:
        return f"Held({'x' * self.room}{self.key!r}{'x' * self.room})"


@pytest.mark.parametrize("room", [0, 60, 185, 300])
@pytest.mark.parametrize(
    "act",
    [
        lambda room, api_key: Held(api_key, room),
        lambda room, api_key: ("x" * room + api_key) * 30,
        lambda room, api_key: print("x" * room + api_key),
        lambda room, api_key: {}["x" * (5_100 + room) + api_key + "x" * 9_000],
        lambda room, api_key: print(api_key + "x" * (1_000_000 - 500 + room)),
    ],
)
async def test_what_a_cut_leaves_of_a_long_secret_is_hidden_too(
    act: Callable[..., object], room: int, path: Path
) -> None:
    async with running(path, max_result_bytes=8_000) as queue:
        queue.submit_nowait(act, room, api_key=LONG)
        await queue.join()
    written = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    pieces = {LONG[at : at + 12] for at in range(len(LONG) - 12)}
    shown = [one for one in pieces if one.encode() in written]
    assert not shown


def test_a_pending_job_with_a_secret_says_that_it_cannot_come_back(path: Path) -> None:
    with opened(path) as queue:
        queue.submit_nowait(talk, CANARY, note="plain words")
        queue.submit_nowait(use, "authored", by="nobody")
        queue.submit_nowait(talk_of_nothing, "what is empty is no secret", password="")
    with opened(path) as again:
        lost, other, third = again.jobs("pending")
        assert lost.held
        assert lost.block_reason == (
            "arguments cannot be restored: secret values are never written; submit the job again"
        )
        assert "plain words" in lost.describe_arguments()
        assert "•••" in lost.describe_arguments()
        assert lost.as_dict()["args"] == (lost.describe_arguments(),)
        assert lost.cancel()
        assert (other.held, third.held) == (False, False)


async def test_a_job_that_cannot_come_back_fails_in_words_if_it_is_released(path: Path) -> None:
    with opened(path) as queue:
        queue.submit_nowait(talk, CANARY)
    async with running(path, on_restore="run") as again:
        job = again.jobs()[0]
        again.release(job)
        await again.wait_for_job(job)
        assert job.error == f"NotRestorableError: {job._record.spec.missing}"


# -- what may be unpickled -------------------------------------------------------------------------


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.mark),))


async def full(path: Path) -> list[str]:
    """A journal with a job of each kind at each place."""
    async with running(path, executor="thread") as queue:
        for target in (use, functools.partial(pow, 2), lambda x: {x}):
            await queue.submit_nowait(target, 3)
        await until(lambda: as_if_written(path) == 3)
        queue.pause()
        for target in (use, functools.partial(pow, 2), lambda x: {x}):
            queue.submit_nowait(target, 3)
        return [job.id for job in queue.jobs()]


def as_if_written(path: Path) -> int:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM results").fetchone()[0])
    finally:
        connection.close()


COLUMNS = [
    ("jobs", "call"),
    ("jobs", "function"),
    ("jobs", "options"),
    ("jobs", "shown"),
    ("jobs", "name"),
    ("functions", "data"),
    ("functions", "source"),
    ("results", "data"),
    ("results", "shown"),
    ("standings", "failure"),
    ("standings", "message"),
    ("logs", "tail"),
]


JSON_COLUMNS = [("jobs", "options"), ("standings", "failure"), ("results", "data")]


@pytest.mark.parametrize(("table", "column"), JSON_COLUMNS)
@pytest.mark.parametrize(
    "text", ["[]", "5", "null", '"text"', "[" * 100_000, '{"tags":5}', '{"label":[]}', "{"]
)
async def test_json_of_another_shape_costs_what_it_is_about_and_nothing_else(
    table: str, column: str, text: str, path: Path
) -> None:
    async with running(path) as queue:
        job = queue.submit_nowait(use, 1)
        await queue.join()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE results SET form = 'not kept'")
    connection.execute(f"UPDATE {table} SET {column} = ?", (text,))
    connection.commit()
    connection.close()
    async with running(path) as queue:
        restored = queue[job.id]
        assert restored.status is JobStatus.completed
        assert repr(restored.result)
        assert repr(restored.failure)
        assert await queue.submit_nowait(use, 1) == "used"
        assert len(queue.to_pandas()) == 2
    assert len(list(read_journal(path))) == 2


@pytest.mark.parametrize(("table", "column"), COLUMNS)
@pytest.mark.parametrize("as_text", [False, True])
async def test_a_pickle_in_any_column_is_not_run(
    table: str, column: str, as_text: bool, path: Path
) -> None:
    ids = await full(path)
    mark = path.with_name("mark")
    bomb: bytes | str = pickle.dumps(Bomb(mark), 0 if as_text else 5)
    if as_text:
        bomb = bytes(bomb).decode("latin-1")  # type: ignore[arg-type]
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f"UPDATE {table} SET {column} = ?", (bomb,))
    connection.close()
    await look_at_everything(path, ids)
    assert not mark.exists()


async def look_at_everything(path: Path, ids: list[str]) -> None:
    try:
        queue = JobQueue(journal=path, executor="thread")
    except JournalError:
        return
    await queue.start()
    for job_id in ids:
        job = queue.get_job(job_id)
        if job is None:
            continue
        repr(job), job.result, job.logs(), job.as_dict(), job.describe_arguments()
        with contextlib.suppress(NotRestorableError):
            assert job.args
        with contextlib.suppress(NotRestorableError):
            job.retry()
    inspect(queue).snapshot(10, 10, 10)
    queue.resume()
    for job in queue.jobs("pending"):
        queue.release(job)
    await queue.join(timeout=20)
    await queue.stop()
    let_go(queue)


async def test_a_journal_of_another_user_opens_and_says_what_is_missing(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ids = await full(path)
    monkeypatch.setenv("JOBQUEUE_DATA_DIR", str(tmp_path / "of another"))
    with opened(path, executor="thread") as queue:
        for job in queue.jobs("pending"):
            assert job.held
            assert "not sealed with this user's key" in (job.block_reason or "")
            with pytest.raises(NotRestorableError):
                job.args  # noqa: B018
        done = queue.jobs("completed")
        assert all("not sealed with this user's key" in repr(job.result) for job in done)
        assert [job.describe_arguments() for job in done] == ["3", "3", "3"]
        assert [job.id for job in queue.jobs()] == ids
    monkeypatch.undo()
    with opened(path, executor="thread") as queue:  # nothing was lost by looking
        assert [job.held for job in queue.jobs("pending")] == [False] * 3
        assert {repr(job.result) for job in queue.jobs("completed")} == {"'used'", "8", "{3}"}


async def test_a_file_of_another_user_is_not_trusted_even_with_our_seals(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    await full(path)
    os.chown(path, 65534, 65534)
    with opened(path, executor="thread") as queue:
        reasons = {job.block_reason for job in queue.jobs("pending")}
        assert reasons == {"arguments cannot be restored: the journal belongs to another user"}


async def test_a_seal_is_of_one_job_and_all_of_it(path: Path) -> None:
    await full(path)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE jobs SET options = '{\"timeout\": 5}' WHERE number = 4")
        connection.execute(
            "UPDATE jobs SET (call, seal) = (SELECT call, seal FROM jobs WHERE number = 4)"
            " WHERE number = 5"
        )
    connection.close()
    with opened(path, executor="thread") as queue:
        assert [job.held for job in queue.jobs("pending")] == [True, True, False]


# -- the key ---------------------------------------------------------------------------------------


def test_the_key_is_made_once_for_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBQUEUE_DATA_DIR", str(tmp_path / "data"))
    seal = Signer.of_this_user().seal(b"a", b"b")
    assert Signer.of_this_user().proves(seal, b"a", b"b")
    assert not Signer.of_this_user().proves(seal, b"ab", b"")
    key = tmp_path / "data" / "journal.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in key.parent.iterdir()] == ["journal.key"]


@pytest.mark.parametrize("trouble", ["others may read it", "it is short", "it cannot be made"])
def test_without_a_key_jobs_run_but_say_that_they_will_not_come_back(
    trouble: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    monkeypatch.setenv("JOBQUEUE_DATA_DIR", str(folder))
    if trouble == "it cannot be made":
        folder.write_text("no folder")
    else:
        Signer.of_this_user()
        key = folder / "journal.key"
        if trouble == "it is short":
            key.write_bytes(b"x")
        else:
            key.chmod(0o644)
    with opened(path) as queue:
        queue.submit_nowait(use, 1)
    if folder.is_dir():
        shutil.rmtree(folder)
    with opened(path) as queue:
        (job,) = queue.jobs("pending")
        assert job.held
        assert "there is no key to sign them with" in (job.block_reason or "")
