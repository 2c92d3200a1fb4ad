"""The folders of detached jobs beside a journal, as a kernel makes and reads them.

What stands in one is `child/detached/folder.py`'s to say. Nothing in it is believed but texts and
numbers, and an outcome that the key of its attempt proves. That key, and the id by which the
attempt's processes are found, follow from the user's own key, so that a folder cannot bring them.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ..._core.jobs import JobFailure
from ...child import wire
from ...child.detached import folder as protocol
from ...child.guardian import WORKER, carriers
from ..cleanup import ID_VARIABLE, is_alive

NAME = re.compile(r"([0-9a-z]{1,40}(?:-[0-9a-z]{1,20}){1,4})\.([1-9][0-9]{0,8})")  # job id, attempt
MOST_JSON = 1 << 20  # bytes of a claim, a report or a request that are read
_SAFE = wire.BINARY | sum(
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK")
)

GONE = "its process is gone, without a word"
REBOOTED = f"{GONE}: this machine was started again meanwhile"

Seal = Callable[..., bytes | None]


class FolderError(Exception):
    """What stands at the place of a folder of ours is something else."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The folder of one attempt, with the id of its processes and the key of its outcome."""

    folder: Path
    id: str
    key: bytes

    def make(self) -> None:
        """Make the folder anew, with the token that its process takes to begin.

        Raises:
            OSError, FolderError: it cannot be made.
        """
        self.folder.parent.mkdir(mode=0o700, exist_ok=True)
        check_private(self.folder.parent)
        self.drop()
        self.folder.mkdir(mode=0o700)
        wire.write_new(str(self.folder / protocol.TOKEN), [])

    def drop(self) -> None:
        """Remove the folder, and no more than it."""
        if self.folder.is_symlink():
            self.folder.unlink(missing_ok=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def withdraw(self) -> bool:
        """See to it that an attempt without a process never begins; False if it has begun."""
        withdrawn = self.folder / protocol.WITHDRAWN
        with contextlib.suppress(OSError):
            os.rename(self.folder / protocol.TOKEN, withdrawn)
        return withdrawn.exists()

    def open(self, name: str) -> int:
        """Open an ordinary file to read; -1 if there is none."""
        try:
            fd = os.open(self.folder / name, os.O_RDONLY | _SAFE)
        except OSError:
            return -1
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        return -1

    def changed_at(self, name: str) -> float | None:
        """Return when a file was written, in epoch seconds; None if there is none."""
        try:
            return os.lstat(self.folder / name).st_mtime
        except OSError:
            return None

    def read(self, name: str, most: int = MOST_JSON) -> bytes:
        """Read the beginning of a file; empty if there is none."""
        fd = self.open(name)
        if fd < 0:
            return b""
        with os.fdopen(fd, "rb") as file, contextlib.suppress(OSError):
            return file.read(most)
        return b""

    def told(self, name: str) -> dict[str, Any]:
        """Read a JSON object; an empty one if it is none, or of another version."""
        try:
            found = json.loads(self.read(name))
        except (ValueError, RecursionError):
            return {}
        is_ours = isinstance(found, dict) and found.get("version") == protocol.VERSION
        return found if is_ours else {}

    def process(self) -> psutil.Process | None:
        """Find the living process of the attempt: as it has claimed with the key, else by its id.

        A claim is not there yet when it has just begun, and no longer when its folder is gone.
        """
        claim = self.told(protocol.CLAIM)
        pid, birth = claim.get("pid"), claim.get("birth")
        proof = str(claim.get("seal")).encode()
        if birth is None or not hmac.compare_digest(
            proof, protocol.claim_seal(self.key, pid, birth).encode()
        ):
            found = filter(None, map(self._if_ours, carriers({WORKER + self.id.encode()})))
            return min(found, key=psutil.Process.create_time, default=None)
        try:
            process = psutil.Process(pid)
            is_the_one = is_alive(process) and protocol.birth_of(process.pid) == tuple(birth)
            return process if is_the_one else None
        except psutil.Error:
            return None

    def has(self, name: str) -> bool:
        """True if there is a file of this name."""
        return os.path.lexists(self.folder / name)

    def gone(self) -> JobFailure:
        """Say that its process is not there and has told nothing."""
        return JobFailure("WorkerDied", REBOOTED if self.is_of_another_boot() else GONE)

    def is_of_another_boot(self) -> bool:
        """True if the machine was started again since the attempt was claimed."""
        claimed, now = self.told(protocol.CLAIM).get("birth"), protocol.birth_of(os.getpid())
        return isinstance(claimed, list) and now is not None and claimed[:1] != [now[0]]

    def devices(self) -> tuple[str, ...]:
        """Return the GPUs that its kernel has reserved for it, as CUDA names them."""
        told = self.told(protocol.CLAIM).get("devices")
        return tuple(map(str, told)) if isinstance(told, list) else ()

    # -- its times, which no setting of a clock changes ------------------------------------------

    def age(self) -> float | None:
        """Return for how many seconds its process has been there, or would have been."""
        birth = self.told(protocol.CLAIM).get("birth")
        return protocol.age_of(birth) if isinstance(birth, list) else None

    def deadline_left(self) -> float | None:
        """Return the seconds until the deadline that its process keeps, if it has one."""
        told = self.told(protocol.CLAIM).get("deadline")
        if self.age() is None or not isinstance(told, list) or not _is_number(told[:1]):
            return None
        return float(told[0]) - time.monotonic()

    def took(self, end: dict[str, Any]) -> float | None:
        """Return the seconds from its start to its end, as that says or the last sign of life."""
        if _is_number([end.get("took")]):
            return float(end["took"])
        begun, *signs = map(self.changed_at, (protocol.CLAIM, *protocol.SIGNS))
        known = [one for one in signs if one is not None]
        return None if begun is None or not known else max(0.0, max(known) - begun)

    def _if_ours(self, pid: int) -> psutil.Process | None:
        """Return the process if it was started for the attempt, not by its job."""
        try:
            process = psutil.Process(pid)
            has_id = process.environ().get(ID_VARIABLE) == self.id
            is_first = process.cmdline()[-1:] == [str(self.folder)] and os.getsid(pid) == pid
            return process if has_id and is_first and is_alive(process) else None
        except (psutil.Error, OSError):
            return None

    def outcome(self) -> tuple[dict[str, Any], list[memoryview]] | None:
        """Read how it ended; None if it has not told. Never raises."""
        fd = self.open(protocol.OUTCOME_FILE)
        if fd < 0:
            return None
        try:
            with os.fdopen(fd, "rb") as file:
                data = memoryview(file.read())
            seal, body = data[: protocol.SEAL_BYTES], data[protocol.SEAL_BYTES :]
            if bytes(seal) != protocol.seal_of(self.key, [body]):
                return _unread("it is not sealed by its process, or with another key")
            return wire.read_end(body)
        except (OSError, ValueError, MemoryError, wire.ProtocolError) as error:
            return _unread(str(error))

    def alarm(self) -> JobFailure | None:
        """Return how its limit has ended what held its interpreter; None if that did not happen."""
        line, _, where = self.read(protocol.ALARM).partition(b"\n")
        try:
            name, text = json.loads(line)
        except (ValueError, TypeError, RecursionError):
            return None
        if not where or not isinstance(name, str) or not isinstance(text, str):
            return None
        return JobFailure(name, text, where.decode("utf-8", "backslashreplace"))

    def ask_to_stop(self, reason: str) -> None:
        """Note for the next kernel that somebody wants it to stop.

        Raises:
            OSError: the folder cannot be written.
        """
        told = {"version": protocol.VERSION, "reason": reason}
        protocol.put(str(self.folder), protocol.STOP, [json.dumps(told).encode()])

    def say(self, frame: bytes) -> bool:
        """Write a small frame to its process; False if that does not listen."""
        try:
            fd = os.open(self.folder / protocol.CONTROL, os.O_WRONLY | _SAFE)
        except OSError:
            return False
        try:
            return stat.S_ISFIFO(os.fstat(fd).st_mode) and os.write(fd, frame) == len(frame)
        except OSError:
            return False
        finally:
            os.close(fd)


def _is_number(told: list[Any]) -> bool:
    return bool(told) and type(told[0]) in (int, float) and 0 <= told[0] < 1e12


def _unread(why: str) -> tuple[dict[str, Any], list[memoryview]]:
    text = f"it has ended, and how cannot be believed: {why}"
    return {"kind": "error", "type": "Unreadable", "message": text, "traceback": ""}, []


def check_private(folder: Path) -> None:
    """Accept a folder of this user that nobody else may look into.

    Raises:
        OSError, FolderError: it is something else.
    """
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise FolderError(f"{str(folder)!r} is no folder: remove it")
    if status.st_uid != os.geteuid():
        raise FolderError(f"{str(folder)!r} belongs to another user")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise FolderError(f"{str(folder)!r} is open to others: chmod 700 it, or remove it")


class Folders:
    """The folder `<journal>.detached`, made with the first detached job."""

    def __init__(self, root: Path, seal: Seal) -> None:
        self.root = root
        self._seal = seal

    def attempt(self, job_id: str, number: int) -> Attempt:
        """Return the folder of an attempt, which may not be there.

        Raises:
            FolderError: there is no key of this user, or no name.
        """
        parts = (os.fsencode(self.root), job_id.encode(), b"%d" % number)
        id, key = self._seal(b"detached id", *parts), self._seal(b"detached key", *parts)
        name = f"{job_id}.{number}"
        if id is None or key is None or not NAME.fullmatch(name):
            raise FolderError("there is no key of yours to seal its outcome with")
        return Attempt(self.root / name, id.hex()[:32], key)

    def listed(self) -> Iterator[tuple[str, int]]:
        """List the jobs and attempts that have a folder; nothing if the place is not ours."""
        try:
            check_private(self.root)
            names = os.listdir(self.root)
        except (OSError, FolderError):
            return
        for name in sorted(names):
            if found := NAME.fullmatch(name):
                yield found[1], int(found[2])

    def lost(self, known: Collection[tuple[str, int]]) -> Iterator[tuple[str, Attempt]]:
        """List the attempts that run and are none of the known ones, each with its job's id."""
        for job_id, number in self.listed():
            if (job_id, number) not in known:
                attempt = self.attempt(job_id, number)
                if attempt.process() is not None:
                    yield job_id, attempt

    def drop(self, job_id: str) -> None:
        """Remove what is left of a job whose end is written in the journal."""
        for listed, number in self.listed():
            if listed == job_id:
                self.attempt(job_id, number).drop()
        self.drop_if_empty()

    def drop_if_empty(self) -> None:
        """Remove the folder of all attempts if there is none."""
        with contextlib.suppress(OSError):
            self.root.rmdir()
