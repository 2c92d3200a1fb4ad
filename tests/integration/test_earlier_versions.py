"""What earlier versions have written is read as they wrote it: journals, and saved notebooks.

The tables in `tests/data/VERSION/expected.json` were written by hand when that version was made; a
difference is a fault of the code that reads, never of the table.
"""

from __future__ import annotations

import dataclasses
import enum
import html
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jobqueue_widget import Job, JobEvictedError, JobQueue, JournalError, read_journal
from jobqueue_widget.__main__ import main
from jobqueue_widget._persistence.sqlite.records import VERSION, JournalRecord
from jobqueue_widget.errors import NotRestorableError
from jobqueue_widget.testing import inspect
from tests.journals import opened, running, words_of
from tests.own_manager import own_manager

pytestmark = pytest.mark.filterwarnings("ignore:the queue is not started")

DATA = Path(__file__).parents[1] / "data"
VERSIONS = sorted(path.parent.name for path in DATA.glob("*/expected.json"))
GOLDEN = Path(__file__).with_name("journal-1.sql")
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"

Row = dict[str, Any]


@dataclass
class Fixture:
    """What a version has left, as a copy that may be written."""

    journal: Path
    told: dict[str, Any]
    notebook: Any

    @property
    def runs_here(self) -> bool:
        """Bytecode of another Python must not run: it can crash the interpreter."""
        return bool(self.told["python"] == ".".join(map(str, sys.version_info[:2])))

    @property
    def rows(self) -> list[Row]:
        """What is expected of each job; `mine`: its values may be used on this Python."""
        rows = [{**self.told["usual"], **row} for row in self.told["jobs"]]
        return [{**row, "mine": self.runs_here or not row["code"]} for row in rows]

    @property
    def runnable(self) -> list[Row]:
        """Those whose functions may be called on this Python."""
        return [row for row in self.rows if self.runs_here or not row["by_value"]]


@pytest.fixture(params=VERSIONS)
def fixture(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Fixture:
    return unpacked(DATA / request.param, tmp_path, monkeypatch)


def unpacked(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fixture:
    """A copy of one folder; its key is this user's from now on."""
    work = tmp_path / "work"
    with tarfile.open(folder / "journal.tar.gz") as archive:
        archive.extractall(work, filter="data")
    (tmp_path / "data").mkdir(mode=0o700)
    (work / "journal.key").rename(tmp_path / "data" / "journal.key")
    monkeypatch.setenv("JOBQUEUE_DATA_DIR", str(tmp_path / "data"))
    told = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return Fixture(work / "runs.db", told, nbformat.read(folder / "notebook.ipynb", as_version=4))


def fulfils(value: object, checks: list[str]) -> None:
    """Each check holds for the value."""
    if checks == ["not kept"]:
        assert type(value).__name__ == "NotKept"
        return
    for check in checks:
        assert eval(check, {"value": value, "dataclasses": dataclasses, "enum": enum}), check


def compare(job: Job, row: Row) -> None:
    """The job is what the row says."""
    found = {
        "id": job.id,
        "kind": job._record.spec.kind,
        "name": job.plugin_name,
        "label": job.label,
        "tags": list(job.tags),
        "arguments": job.describe_arguments(),
        "status": job.status.value,
        "attempt": job.attempt,
        "priority": job.priority,
        "held": job.held,
        "message": job.status_message,
        "retry_of": job.retry_of,
        "finished_before_cancel": job.finished_before_cancel,
        "log": job.logs() if row["log"] is not None else None,
    }
    assert found == {name: row[name] for name in found}
    metrics = {name: [value for _, value in points] for name, points in job.metrics.items()}
    assert metrics == row.get("metrics", {})
    assert [output.data["text/html"] for output in job.outputs] == row.get("outputs", [])
    assert {*row.get("usage", [])} <= job.usage.keys()
    if row.get("progress") is not None:
        assert job.progress == row["progress"]
    compare_end(job, row, "" if job.failure is None else job.failure.traceback)
    if row["block"] is not None:
        assert job.block_reason == row["block"]
    for name, value in (row["failure"] or {}).items():
        assert getattr(job.failure, name) == value
    if row["mine"]:
        completed = row["status"] == "completed"
        fulfils(job.result, row["result"] if completed else ["value is None"])


def compare_end(found: Job | JournalRecord, row: Row, traceback: str) -> None:
    """How it ended, in words."""
    if row["status"] == "cancelled":
        assert all(word in words_of(found) for word in row["words"])
    else:
        assert found.error == row["error"]
    assert row["traceback"] in traceback


def job_of(queue: JobQueue, row: Row) -> Job:
    job = queue.get_job(row["id"])
    assert job is not None, row["key"]
    return job


# -- journals --------------------------------------------------------------------------------------


def test_every_job_is_there_as_it_was(fixture: Fixture) -> None:
    every_job_is_there(fixture)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_so_it_is_in_a_fixture_that_is_written_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "tests.data.write_fixture", "today", str(tmp_path)]
    subprocess.run(command, cwd=DATA.parents[1], check=True)
    every_job_is_there(unpacked(tmp_path / "today", tmp_path, monkeypatch))


def every_job_is_there(fixture: Fixture) -> None:
    with opened(fixture.journal) as queue:
        rows = {row["key"]: row for row in fixture.rows}
        assert {job.id for job in queue.jobs()} == {row["id"] for row in rows.values()}
        statuses = dict(fixture.told["forgotten"])
        for key, row in rows.items():
            job = job_of(queue, row)
            if row["needs"]:
                assert "this queue has no plugin manager" in str(job.block_reason), key
                row["held"] = True
            if not row["soon"]:
                compare(job, row)
            statuses[job.status.value] = statuses.get(job.status.value, 0) + 1
        stats = queue.get_state()["stats"]
        ended = ("completed", "failed", "cancelled")
        assert [stats[f"total_{status}"] for status in ended] == [statuses[s] for s in ended]
        assert stats["total_accepted"] == sum(statuses.values())
        keys = {row["id"]: key for key, row in rows.items() if not row["soon"]}
        order = [keys[job.id] for job in queue.jobs("pending") if job.id in keys]
        assert order == fixture.told["order"]
        pause = inspect(queue).pause
        assert pause is not None
        assert fixture.told["paused"] in pause.reason
    assert list(fixture.journal.parent.glob("*damaged*")) == []


async def test_a_job_that_was_forgotten_is_known_as_such(fixture: Fixture) -> None:
    async with running(fixture.journal) as queue:
        with pytest.raises(JobEvictedError):
            await queue.wait_for_job(fixture.told["one_forgotten"])
        new = queue.submit_nowait(len, "abc")
        assert new.id not in {row["id"] for row in fixture.rows}
        assert new.cancel()


def test_arguments_come_back_but_for_secret_ones(fixture: Fixture) -> None:
    with opened(fixture.journal) as queue:
        for row in fixture.rows:
            if "•••" in row["arguments"]:
                with pytest.raises(NotRestorableError, match="secret values are never written"):
                    job_of(queue, row).args  # noqa: B018
            elif row["args"] and row["mine"]:
                fulfils(job_of(queue, row).args, row["args"])
    secret = fixture.told["secret"].encode()
    assert all(secret not in file.read_bytes() for file in files_of(fixture.journal))


async def test_what_waited_runs_after_the_review_and_is_kept(
    fixture: Fixture, tmp_path: Path
) -> None:
    with own_manager(tmp_path / "plugins", plugins=["toolbox"]) as manager:
        async with running(fixture.journal, manager=manager, max_running=4) as queue:
            assert queue.paused
            for row in fixture.rows:
                if row["needs"]:
                    assert job_of(queue, row).block_reason is None
            afterwards = []
            for row in fixture.rows:
                if row["by_value"] and not fixture.runs_here:
                    queue.hold(row["id"])
            queue.resume()
            for row in fixture.runnable:
                if row["status"] == "pending" and row["later"] is not None:
                    if row["held"] and not row["soon"]:
                        assert queue.release(row["id"])
                    await queue.wait_for_job(row["id"], timeout=20)
                    row = {**row, "result": ["value is None"], **row["later"]}
                    assert job_of(queue, row).status.value == row["status"], row["key"]
                    fulfils(job_of(queue, row).result, row["result"])
                    afterwards.append(row)
    with opened(fixture.journal) as queue:  # which is of today's format now
        assert len(afterwards) > (20 if fixture.runs_here else 1)
        for row in afterwards:
            compare(job_of(queue, row), {**row, "failure": None, "traceback": ""})
        for row in fixture.rows:
            if row["status"] in ("completed", "failed", "cancelled"):
                compare(job_of(queue, row), row)
    assert format_of(fixture.journal) == VERSION


async def test_what_has_completed_gives_the_same_when_it_is_retried(
    fixture: Fixture, tmp_path: Path
) -> None:
    with own_manager(tmp_path / "plugins", plugins=["toolbox"]) as manager:
        async with running(fixture.journal, manager=manager, max_running=4) as queue:
            again = []
            for row in fixture.runnable:
                if row["status"] != "completed" or not row["again"]:
                    continue
                if "•••" in row["arguments"]:
                    with pytest.raises(NotRestorableError, match="secret values"):
                        queue.retry(row["id"])
                else:
                    again.append((queue.retry(row["id"]), row))
            for row in fixture.rows:
                if row["status"] == "pending":
                    queue.hold(row["id"])
            queue.resume()
            for job, row in again:
                await queue.wait_for_job(job, timeout=20)
                assert (job.status.value, job.error) == ("completed", None), row["key"]
                if row["result"] != ["not kept"]:
                    fulfils(job.result, row["result"])
                assert job.retry_of == row["id"]
                assert job.logs() == row["log"]
            assert len(again) > (30 if fixture.runs_here else 4)
            queue.cancel_all("all")


def test_with_another_key_nothing_is_unpickled(fixture: Fixture, tmp_path: Path) -> None:
    key = tmp_path / "data" / "journal.key"
    key.write_bytes(bytes(32))
    with nothing_unpickled(), opened(fixture.journal) as queue:
        for row in fixture.rows:
            job = job_of(queue, row)
            repr(job), job.as_row(), job.logs(), job.describe_arguments()
            with pytest.raises(NotRestorableError):
                job.retry()
            if row["status"] == "pending" and not row["soon"]:
                assert job.held
                assert str(job.block_reason).startswith("arguments cannot be restored: ")
            if row["shown"]:
                completed = row["status"] == "completed"
                assert "cannot be restored" in repr(job.result if completed else job.partial_result)


_watched: list[list[str]] = []


def _watch(event: str, details: tuple[object, ...]) -> None:
    """Every class or function that a pickle names; the hook itself stays for ever."""
    if event == "pickle.find_class" and _watched:
        _watched[-1].append(".".join(map(str, details)))


@contextmanager
def nothing_unpickled() -> Iterator[None]:
    """Fail if a pickle made or called anything meanwhile."""
    sys.addaudithook(_watch)
    _watched.append([])
    try:
        yield
    finally:
        found = _watched.pop()
    assert found == []


def test_the_watch_for_pickles_sees_one() -> None:
    import pickle

    with pytest.raises(AssertionError, match="builtins"), nothing_unpickled():
        pickle.loads(pickle.dumps(len))


# -- read as text ----------------------------------------------------------------------------------


def files_of(journal: Path) -> list[Path]:
    return [path for path in sorted(journal.parent.rglob("*")) if path.is_file()]


def test_a_journal_is_read_as_text_without_changing_it(fixture: Fixture) -> None:
    kept = [path for path in files_of(fixture.journal) if path.suffix != ".db-shm"]
    before = [path.read_bytes() for path in kept]
    with nothing_unpickled():
        records = {record.id: record for record in read_journal(fixture.journal)}
    assert [path.read_bytes() for path in kept] == before
    assert len(records) == len(fixture.rows)
    for row in fixture.rows:
        record = records[row["id"]]
        row = {**row, **(row["read"] or {})}
        found = {
            "name": record.name,
            "label": record.label,
            "tags": list(record.tags),
            "arguments": record.arguments,
            "status": record.status,
            "attempt": record.attempt,
            "priority": record.priority,
            "message": record.message,
            "shown": record.result,
            "retry_of": record.retry_of,
            "log": record.log if row["log"] is not None else None,
        }
        assert found == {name: row[name] for name in found}
        compare_end(record, row, record.traceback)


def is_short_for(shown: str, job_id: str) -> bool:
    return shown == (job_id[:8] if len(job_id) == 36 else job_id)


def test_the_terminal_shows_it(fixture: Fixture, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(fixture.journal), "--json"]) == 0
    ids = [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(ids) == sorted(row["id"] for row in fixture.rows)
    command = [sys.executable, "-m", "jobqueue_widget", str(fixture.journal)]
    told = subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout
    for row in fixture.rows:
        (line,) = (line for line in told.splitlines() if is_short_for(line.split()[0], row["id"]))
        assert row["label"][:10] in line
        assert line.split()[1] == (row["read"] or row).get("status", row["status"])


# -- the number of the format ----------------------------------------------------------------------


def format_of(journal: Path) -> int:
    """The number that stands in it."""
    with closing(sqlite3.connect(journal)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def formats_without_fixture(newest: int) -> set[int]:
    """Those of 1 … newest that nothing in `tests/data` (or the first one's text) is written in."""
    (first,) = re.findall(r"user_version = (\d+)", GOLDEN.read_text(encoding="utf-8"))
    tables = [json.loads((DATA / name / "expected.json").read_text("utf-8")) for name in VERSIONS]
    return set(range(1, newest + 1)) - {int(first), *(table["format"] for table in tables)}


def test_each_format_of_journals_has_a_fixture() -> None:
    """Who raises VERSION adds one: `tests/data/README.md` says how."""
    assert formats_without_fixture(VERSION) == set()
    assert formats_without_fixture(VERSION + 1) == {VERSION + 1}
    assert VERSIONS[0] == "0.1.0"


def test_a_fixture_is_of_the_format_that_its_table_says(fixture: Fixture) -> None:
    assert format_of(fixture.journal) == fixture.told["format"]


def test_the_number_is_in_the_header_and_a_higher_one_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with opened(path):
        assert int.from_bytes(path.read_bytes()[60:64], "big") == VERSION
    newer = tmp_path / "newer.db"
    shutil.copy(path, newer)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        connection.execute("PRAGMA journal_mode = DELETE")
    before = newer.read_bytes()
    for look in (lambda: JobQueue(journal=newer), lambda: read_journal(newer)):
        with pytest.raises(JournalError, match=rf"newer jobqueue_widget.*version {VERSION + 1}"):
            look()
    assert newer.read_bytes() == before


# -- saved notebooks -------------------------------------------------------------------------------


def texts(cells: str) -> list[str]:
    return [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", cells)]


def test_a_saved_notebook_tells_how_it_was_without_scripts(fixture: Fixture) -> None:
    nbformat.validate(fixture.notebook)
    told = fixture.told["notebook"]
    shown, job, last = (cell.outputs[0].data for cell in fixture.notebook.cells[1:])
    assert shown["text/html"] == last["text/html"]
    assert told["heading"] in shown["text/plain"]
    assert told["heading"] in shown["text/html"]
    rows = re.findall(r"<tr>(.*?)</tr>", shown["text/html"])[1:]
    assert [texts(row) for row in rows] == told["rows"]
    assert all(words in " ".join(texts(job["text/html"])) for words in told["job"])
    for output in (shown, job):
        assert "<script" not in output["text/html"]
        assert "<b>gone" not in output["text/html"]


def test_the_state_of_a_saved_widget_fits_todays_model(fixture: Fixture) -> None:
    """What a page makes of it: `js/test/unit/earlier_versions.test.ts`."""
    models = fixture.notebook.metadata["widgets"][STATE]["state"].values()
    found = {model.state["view"]: model for model in models if "view" in model.state}
    told = fixture.told["notebook"]["states"]
    assert found.keys() == told.keys()
    queue = JobQueue()
    widget = queue.widget
    try:
        now = widget.get_state()
        for view, model in found.items():
            state = model.state
            assert model.model_module == now["_model_module"]
            assert model.model_name == now["_model_name"]
            for name in state.keys() & {*widget.traits(sync=True)} - {"layout", "tabbable"}:
                trait = widget.traits()[name]
                trait._validate(widget, state[name])
            assert {*told[view]} <= state.keys() & now.keys()
        cells = fixture.notebook.cells
        for view, cell in fixture.told["notebook"].get("views", {"queue": 1, "job": 2}).items():
            model_id = cells[cell].outputs[0].data[VIEW]["model_id"]
            assert fixture.notebook.metadata["widgets"][STATE]["state"][model_id] == found[view]
    finally:
        widget.close()
