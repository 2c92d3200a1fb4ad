"""The folder of a detached job: torn, missing, duplicated, reordered and foreign files."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget._core.jobs import COMPLETED, RUNNING, JobFailure, JobRecord
from jobqueue_widget._core.spec import JobOptions, JobSpec
from jobqueue_widget._core.stored import StoredState
from jobqueue_widget._persistence.detached import drop_folders, written
from jobqueue_widget.child import wire
from jobqueue_widget.child.detached import bounds
from jobqueue_widget.child.detached import folder as protocol
from jobqueue_widget.workers.detached.folders import GONE, Attempt, FolderError, Folders
from jobqueue_widget.workers.detached.follower import NOT_BEGUN, Follower
from jobqueue_widget.workers.task import Task
from tests.crash.processes import wait_until

ID = "0123abcd-0000-8000-8000-000000000001"


def seal(*parts: bytes) -> bytes:
    return protocol.seal_of(b"the user's key", parts)


class NoThread:
    """Calls at once, and later never: each look is the test's."""

    def call(self, callback: Callable[..., object], *args: object) -> None:
        callback(*args)

    def call_later(
        self, seconds: float, callback: Callable[..., object], *args: object
    ) -> Callable[[], None]:
        return lambda: None

    def watch(self, fd: int, on_readable: Callable[[], object]) -> None: ...
    def watch_writable(self, fd: int, on_writable: Callable[[], object] | None) -> None: ...
    def unwatch(self, fd: int) -> None: ...


class Told(Task):
    """Notes what it is told, as plain values."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.failure: JobFailure | None = None

    def on_starting(self) -> None: ...
    def on_started(self) -> None:
        self.heard.append("ready")

    def on_progress(self, fraction: object, message: object) -> None:
        self.heard.append((fraction, message))

    def on_metrics(self, points: Any, *, anew: bool = False) -> None:
        self.heard.append({"anew": True} if anew else dict(points))

    def on_log(self, data: bytes) -> None:
        self.heard.append(bytes(data))

    def on_output(self, told: dict[str, Any], body: bytes) -> None:
        self.heard.append((told, body))

    def on_returned(self, told: object) -> None:
        self.heard.append(told)

    def on_end(self, meta: dict[str, Any], parts: Any) -> bool:
        raise AssertionError("an end was believed that is not sealed")

    def on_free(self) -> None: ...
    def on_death(self, failure: JobFailure) -> None:
        self.failure = failure

    def on_not_started(self, failure: JobFailure) -> None:
        self.failure = failure


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "runs.db.detached", seal)


def full(attempt: Attempt) -> None:
    """A folder as a job leaves it that has told of everything and returned."""
    attempt.make()
    place = protocol.Place(str(attempt.folder), attempt.key)
    assert place.begin({"job": ID, "attempt": 1, "run": "r", "grace": 1.0})
    of_a_dead_process(attempt)
    place.report(b'[0.5, "half"]')
    with open(place.open_alarm(["TimeLimitExceeded", "time limit 1 s"]), "wb") as alarm:
        alarm.write(b"Timeout (0:00:03)!\n")
    frames = [
        wire.frame(wire.READY, 0, [b"{}"]),
        wire.frame(wire.METRICS, 1, [b'{"loss": [[0.0, 1.0]]}']),
        wire.frame(wire.RETURNED, 1, [b'{"type": "int", "noticed": false}']),
    ]
    (attempt.folder / protocol.FRAMES).write_bytes(b"".join(b"".join(one) for one in frames))
    (attempt.folder / protocol.LOG).write_bytes(b"printed\n")
    place.tell({"kind": "value", "plain": True}, [b"\x80\x05K*."])
    place.close()


def of_a_dead_process(attempt: Attempt) -> None:
    """The claim as of a process that has ended, and whose number another has now."""
    claim = json.loads((attempt.folder / protocol.CLAIM).read_text())
    claim["birth"][1] -= 1
    claim["seal"] = protocol.claim_seal(attempt.key, claim["pid"], claim["birth"])
    (attempt.folder / protocol.CLAIM).write_text(json.dumps(claim))


def followed(attempt: Attempt) -> Told:
    """What is told of a folder whose process is gone."""
    told = Told()
    follower = Follower(NoThread(), attempt, told)
    follower.find()
    assert follower.gone
    assert told.failure is not None
    return told


def test_all_that_was_written_is_read_and_the_outcome_is_proved(folders: Folders) -> None:
    attempt = folders.attempt(ID, 1)
    full(attempt)
    told = followed(attempt)
    assert "ready" in told.heard
    assert b"printed\n" in told.heard
    assert (0.5, "half") in told.heard
    meta, parts = attempt.outcome() or ({}, [])
    assert meta.pop("took") >= 0
    assert (meta, [*map(bytes, parts)]) == ({"kind": "value", "plain": True}, [b"\x80\x05K*."])


def test_no_other_key_attempt_or_journal_proves_it(folders: Folders, tmp_path: Path) -> None:
    attempt = folders.attempt(ID, 1)
    full(attempt)
    others = [
        folders.attempt(ID, 2),
        folders.attempt(ID.replace("1", "2"), 1),
        Folders(tmp_path / "other", seal).attempt(ID, 1),
        Folders(folders.root, lambda *parts: seal(b"another", *parts)).attempt(ID, 1),
    ]
    assert len({one.id for one in (attempt, *others)}) == 5
    for other in others:
        outcome = Attempt(attempt.folder, other.id, other.key).outcome()
        assert outcome is not None
        assert outcome[0]["kind"] == "error"
        assert "cannot be believed" in outcome[0]["message"]


@pytest.mark.parametrize("round_", range(40))
def test_whatever_stands_in_it_nothing_is_raised_and_only_what_is_sealed_is_believed(
    folders: Folders, round_: int, seed: int
) -> None:
    """Files cut, doubled, shuffled, changed, or with a link, a folder or a pipe in their place."""
    dice = random.Random(f"{seed} {round_}")
    attempt = folders.attempt(ID, 1)
    full(attempt)
    original = attempt.outcome()
    hostile = [wire.frame(kind, 1, [b"\x80\x05K\x01."]) for kind in (wire.END, wire.VALUE)]
    for name in dice.sample(sorted(os.listdir(attempt.folder)), dice.randint(1, 4)):
        path = attempt.folder / name
        if not path.is_file():
            continue
        data = path.read_bytes()
        at, other = sorted((dice.randint(0, len(data)), dice.randint(0, len(data))))
        harm = dice.randrange(8)
        path.unlink()
        if harm == 0:
            path.write_bytes(data[:at])
        elif harm == 1:
            path.write_bytes(data + data)
        elif harm == 2:
            path.write_bytes(data[at:other] + data[:at] + data[other:])
        elif harm == 3:
            path.write_bytes(data[:at] + dice.randbytes(9) + data[at:])
        elif harm == 4:
            path.symlink_to("/etc/passwd")
        elif harm == 5:
            path.mkdir()
        elif harm == 6:
            os.mkfifo(path)
        else:
            path.write_bytes(b"".join(dice.choice(hostile)) + data)
    (attempt.folder / "foreign").write_bytes(dice.randbytes(50))
    told = followed(attempt)
    assert all(type(one) in (str, tuple, dict, bytes) for one in told.heard)
    assert not any(b"root:" in one for one in told.heard if isinstance(one, bytes))
    alarm = attempt.alarm()
    assert alarm is None or alarm.type_name == "TimeLimitExceeded"
    outcome = attempt.outcome()
    assert outcome is None or outcome == original or outcome[0]["type"] == "Unreadable"
    attempt.drop()
    assert not attempt.folder.exists()
    assert Path("/etc/passwd").exists()


class Followed:
    """A folder that is followed look by look, as of a process that runs: this one."""

    def __init__(self, folders: Folders) -> None:
        self.attempt = folders.attempt(ID, 1)
        self.attempt.make()
        self.place = protocol.Place(str(self.attempt.folder), self.attempt.key)
        assert self.place.begin({})
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self.frames, self.log = (
            os.open(self.attempt.folder / name, flags, 0o600)
            for name in (protocol.FRAMES, protocol.LOG)
        )
        self.told = Told()
        self.follower = Follower(NoThread(), self.attempt, self.told)
        self.follower.find()

    def look(self) -> list[Any]:
        """Look once; what is told then."""
        self.told.heard.clear()
        self.follower._look()
        return self.told.heard

    def close(self) -> None:
        self.follower.leave()
        self.place.close()
        os.close(self.frames)
        os.close(self.log)


@pytest.fixture
def one(folders: Folders) -> Iterator[Followed]:
    found = Followed(folders)
    yield found
    found.close()


def metrics(step: int, size: int = 1) -> bytes:
    points = {"loss": [[step, 1.0]] * size}
    return b"".join(wire.frame(wire.METRICS, 1, [json.dumps(points).encode()]))


@pytest.mark.parametrize("size", [1, 20_000], ids=["small", "large"])
def test_a_frame_that_had_no_room_costs_no_frame_behind_it(one: Followed, size: int) -> None:
    """Its part that was written is cut off again, and was read in between."""
    os.write(one.frames, metrics(1))
    assert one.look() == [{"loss": [(1, 1.0)]}]
    end, whole = os.fstat(one.frames).st_size, metrics(2, size)
    for part in (5, wire.HEADER.size, len(whole) // 2, len(whole) - 1):
        os.write(one.frames, whole[:part])
        assert one.look() == []
        os.ftruncate(one.frames, end)
    os.write(one.frames, metrics(3))
    assert one.look() == [{"loss": [(3, 1.0)]}]


def test_frames_that_are_written_anew_are_told_anew(one: Followed) -> None:
    output = wire.join_parts([b'{"id": "a", "update": false}', b'[{"text/html": "1"}, {}]'])
    shown = b"".join(wire.frame(wire.DISPLAY, 1, output))
    os.write(one.frames, metrics(1) + shown)
    assert len(one.look()) == 2
    os.write(one.frames, metrics(2))  # not looked at, and told all the same
    size = one.place.write_frames_anew(one.frames)
    assert size == os.fstat(one.frames).st_size
    os.write(one.frames, metrics(3))
    assert one.look() == [
        *({"loss": [(2, 1.0)]}, {"anew": True}, {"loss": [(1, 1.0), (2, 1.0)]}),
        *(({"clear": False}, b""), ({"id": "a", "update": False}, b'[{"text/html": "1"}, {}]')),
        {"loss": [(3, 1.0)]},
    ]


def test_a_log_that_is_freed_while_it_is_read_is_told_to_the_byte(
    one: Followed, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A writer and whoever frees, as fast as they can, in a thread beside the reader."""
    monkeypatch.setattr(bounds, "LOG_KEPT", 1 << 20)
    monkeypatch.setattr(bounds, "BLOCK", 1 << 16)
    total, over = 12 << 20, threading.Event()

    def write() -> None:
        freed, dice = 0, random.Random(seed)
        while (at := os.fstat(one.log).st_size) < total:
            number = dice.randint(1, 30_000)
            os.write(one.log, content(at, number))
            if dice.random() < 0.2:
                freed = bounds.free_log(one.log, freed)
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    at = dropped = 0
    try:
        while True:
            is_last = over.is_set()
            for part in one.look():
                assert isinstance(part, bytes)
                if found := re.fullmatch(rb"\n\[\.\.\. (\d+) bytes were dropped .*\]\n", part):
                    dropped += int(found[1])
                    at += int(found[1])
                else:
                    assert part == content(at, len(part)), "it is torn"
                    at += len(part)
            if is_last and not one.follower._log_waits:
                break
    finally:
        writer.join()
    assert at == os.fstat(one.log).st_size
    assert os.fstat(one.log).st_blocks * 512 < 4 << 20


def content(at: int, count: int) -> bytes:
    """What stands at a place of an endless text without zeros."""
    first = at // 8
    text = b"".join(
        b"%08d" % (10_000_000 + number) for number in range(first, first + count // 8 + 2)
    )
    return text[at % 8 : at % 8 + count]


def test_a_disk_that_fails_keeps_nobody_from_seeing_the_end(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = folders.attempt(ID, 1)
    full(attempt)

    def fails(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    for name in ("read", "pread"):
        monkeypatch.setattr(f"jobqueue_widget.workers.detached.follower.os.{name}", fails)
    assert followed(attempt).failure == JobFailure("WorkerDied", GONE)


def test_one_process_begins_or_a_kernel_withdraws_never_both(folders: Folders) -> None:
    attempt = folders.attempt(ID, 1)
    attempt.make()
    told = followed(attempt)
    assert told.failure == JobFailure("WorkerDied", NOT_BEGUN)
    late = protocol.Place(str(attempt.folder), attempt.key)
    assert not late.begin({})
    late.close()
    assert attempt.withdraw(), "it is remembered"
    attempt.make()
    place = protocol.Place(str(attempt.folder), attempt.key)
    assert place.begin({})
    place.close()
    assert not attempt.withdraw()
    of_a_dead_process(attempt)
    assert followed(attempt).failure == JobFailure("WorkerDied", GONE)


def test_a_claim_of_another_process_is_not_believed(folders: Folders) -> None:
    attempt = folders.attempt(ID, 1)
    full(attempt)
    claim = attempt.told(protocol.CLAIM)
    births = protocol.birth_of(os.getpid()), claim["birth"], None, 3
    pids = (os.getpid(), 1, 0, -1, True, "1", 2**40, None)
    for pid, birth in itertools.product(pids, births):
        for forged in ("", claim["seal"], protocol.claim_seal(b"another", pid, birth)):
            told = {**claim, "pid": pid, "birth": birth, "seal": forged}
            (attempt.folder / protocol.CLAIM).write_text(json.dumps(told))
            assert attempt.process() is None


def test_a_process_is_found_by_what_it_has_claimed(folders: Folders) -> None:
    attempt = folders.attempt(ID, 1)
    attempt.make()
    place = protocol.Place(str(attempt.folder), attempt.key)
    assert place.begin({})
    place.close()
    found = attempt.process()
    assert found is not None
    assert found.pid == os.getpid()
    of_a_dead_process(attempt)
    assert attempt.process() is None, "another has its number"


def test_a_newer_version_is_left_alone(folders: Folders) -> None:
    attempt = folders.attempt(ID, 1)
    full(attempt)
    (attempt.folder / protocol.CLAIM).write_text(json.dumps({"version": 2, "pid": os.getpid()}))
    assert attempt.told(protocol.CLAIM) == {}


def test_a_folder_that_is_open_to_others_is_refused(folders: Folders, tmp_path: Path) -> None:
    folders.root.mkdir(mode=0o755)
    with pytest.raises(FolderError, match="chmod 700"):
        folders.attempt(ID, 1).make()
    folders.root.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folders.root.symlink_to(elsewhere)
    with pytest.raises(FolderError, match="is no folder"):
        folders.attempt(ID, 1).make()
    assert list(folders.listed()) == []


def test_only_names_of_ours_are_removed(folders: Folders) -> None:
    full(folders.attempt(ID, 1))
    full(folders.attempt(ID, 2))
    strange = folders.root / "notes"
    strange.mkdir()
    assert list(folders.listed()) == [(ID, 1), (ID, 2)]
    folders.drop(ID)
    assert os.listdir(folders.root) == ["notes"]
    strange.rmdir()
    folders.drop(ID)


def on_a_full_disk(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> tuple[Attempt, protocol.Place]:
    """An attempt that has begun, and finds no room for anything new from then on."""
    attempt = folders.attempt(ID, 1)
    attempt.make()
    place = protocol.Place(str(attempt.folder), attempt.key)
    place.begin({})

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(protocol, "write_new", no_room)
    return attempt, place


def test_a_full_disk_costs_the_value_and_not_the_end(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, place = on_a_full_disk(folders, monkeypatch)
    place.tell({"kind": "value", "plain": True}, [bytes(1_000_000)])
    place.close()
    outcome = attempt.outcome()
    assert outcome is not None
    assert outcome[0]["kind"] == "value"
    assert "No space left" in outcome[0]["lost"]["reason"]


@pytest.mark.parametrize("letter", ["a", "я", "😀", "\udc80"])
@pytest.mark.parametrize("kind", ["error", "value"])
def test_the_room_on_a_full_disk_is_enough_in_any_language(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, letter: str, kind: str
) -> None:
    attempt, place = on_a_full_disk(folders, monkeypatch)
    text = letter * 5_000
    if kind == "error":
        place.tell({"kind": "error", "type": text, "message": text, "traceback": text}, [])
    else:
        told = {"kind": "value", "plain": False, "noticed": True}
        place.tell({**told, "lost": {"type": text, "reason": ""}}, [])
    place.close()
    assert (attempt.folder / protocol.OUTCOME_FILE).stat().st_size <= protocol.ROOM
    outcome = attempt.outcome()
    assert outcome is not None
    assert outcome[0]["kind"] == kind
    if kind == "error":
        assert outcome[0]["message"].endswith(letter * 50)
    else:
        assert outcome[0]["noticed"] is True


def test_a_folder_that_was_removed_is_made_again_for_the_outcome(folders: Folders) -> None:
    attempt = folders.attempt(ID, 1)
    attempt.make()
    place = protocol.Place(str(attempt.folder), attempt.key)
    place.begin({})
    shutil.rmtree(folders.root)
    place.tell({"kind": "value", "plain": True}, [b"N."])
    place.close()
    outcome = attempt.outcome()
    assert outcome is not None
    assert outcome[0]["kind"] == "value"
    assert attempt.folder.parent.stat().st_mode & 0o077 == 0


def test_a_folder_goes_only_when_the_end_of_its_job_was_written(folders: Folders) -> None:
    """Its state may be from before its end, or its result still to come."""
    full(folders.attempt(ID, 1))
    options = JobOptions(detached=True)
    job = JobRecord(JobSpec(ID, "function", len, "len", options=options), 0, 1, 0.0)
    job.status = COMPLETED
    before = state_of(job, RUNNING.value, None)
    after = state_of(job, COMPLETED.value, 1)
    for states, to_come in (([before], set[str]()), ([after], {ID})):
        drop_folders(folders, {ID: job}, written([job], states, to_come))
        assert list(folders.listed()) == [(ID, 1)]
    drop_folders(folders, {ID: job}, written([job], [after], set()))
    assert not folders.root.exists()


def state_of(job: JobRecord, status: str, ended: int | None) -> StoredState:
    found = dict.fromkeys(StoredState._fields)
    told = {"number": job.number, "id": job.id, "status": status, "ended_number": ended}
    return StoredState(**{**found, **told})  # type: ignore[arg-type]


def test_how_a_process_ended_is_not_taken_from_whoever_follows_it(
    folders: Folders, tmp_path: Path
) -> None:
    """Another queue of this kernel looks for a job of its own just then."""
    one, other = folders.attempt(ID, 1), Folders(tmp_path / "other.detached", seal).attempt(ID, 1)
    one.make()
    full(other)
    told = Told()
    follower = Follower(NoThread(), one, told)
    terms = dict.fromkeys(("timeout", "deadline"))
    follower.start(dict(os.environ), "run", terms, [])  # no job: it ends itself by SIGKILL
    seen = os.WEXITED | os.WNOHANG | os.WNOWAIT
    wait_until(lambda: os.waitid(os.P_PID, follower.pid, seen), 20)
    followed(other)
    follower._look()
    follower._on_exit()
    assert told.failure is not None
    assert told.failure.signal_name == "SIGKILL"
