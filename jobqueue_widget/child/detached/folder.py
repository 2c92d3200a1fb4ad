"""What stands in the folder of a detached job, and how its process writes it there.

Version 1 of the protocol. The folder is its user's alone (0700), and holds one attempt of one job:

- `token`, empty: the attempt has not begun. One process removes it to begin. A kernel that finds
  no process renames it to `withdrawn` instead, and then none can begin.
- `claim`, JSON: which process it is, proved with the key of the attempt, and of which attempt.
  Written once, before `token` goes.
- `frames`: what it tells, one frame after the other as in a worker's pipe (`child/wire.py`). Where
  there are many, another file takes its place, which tells in fewer what all of them do.
- `progress`: the latest report, overwritten in place: length, CRC-32, JSON.
- `log`: what it prints. Where that is much its beginning is freed: there the file has a hole.
- `control`, a named pipe: requests to stop and questions, as frames.
- `outcome`: how it ended, sealed with the key of the attempt: HMAC-SHA256, then the payload of an
  END frame. It appears whole or not at all.
- `stop`, JSON: somebody has asked it to stop while there was no kernel, and why.
- `asked`, empty: a request to stop has reached it.
- `alarm`: a line of JSON, the type and text of the limit that comes first. What stands behind it
  was written by the watchdog of the interpreter as that ended the process: where its threads were.

What is not named here is not looked at. `<name>.new` is a file that is being written. This module
needs the standard library only.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import struct
import threading
import time
import zlib
from collections.abc import Sequence
from typing import Any

from ..wire import end_parts, lost, noted, write_new
from .bounds import written_anew

VERSION = 1
TOKEN, WITHDRAWN, CLAIM, FRAMES = "token", "withdrawn", "claim", "frames"
PROGRESS_FILE, LOG, CONTROL, OUTCOME_FILE, STOP = "progress", "log", "control", "outcome", "stop"
ASKED, ALARM = "asked", "alarm"
SIGNS = FRAMES, PROGRESS_FILE, LOG  # files that tell when there was still a sign of life
KEY_BYTES = SEAL_BYTES = 32
ROOM = 4096  # bytes that are kept for an outcome on a disk that is full by then
TERMS = b"L"  # the frame before the job: its limits, and what the claim says of it
JOB_NUMBER = 1  # of the only job of its process, in frames
REPORT = struct.Struct(">II")  # length and CRC-32 of a report

Meta = dict[str, Any]
Parts = Sequence[Any]  # bytes or memoryview


def seal_of(key: bytes, parts: Parts) -> bytes:
    """Prove the payload of an outcome."""
    proof = hmac.new(key, b"outcome", "sha256")
    for part in parts:
        proof.update(part)
    return proof.digest()


def claim_seal(key: bytes, pid: object, birth: object) -> str:
    """Prove which process has the attempt, whatever that does to its environment."""
    return hmac.new(key, b"claim" + json.dumps([pid, birth]).encode(), "sha256").hexdigest()


def report_bytes(text: bytes) -> bytes:
    """Make the contents of `progress`."""
    return REPORT.pack(len(text), zlib.crc32(text)) + text


def read_report(data: bytes) -> bytes | None:
    """Return the JSON of a report; None if it is torn, or is none."""
    if len(data) < REPORT.size:
        return None
    length, check = REPORT.unpack_from(data)
    text = data[REPORT.size : REPORT.size + length]
    return text if len(text) == length and zlib.crc32(text) == check else None


def put(folder: str, name: str, parts: Parts) -> None:
    """Write a file of the folder so that it appears whole.

    Raises:
        OSError: there is no room for it, or no folder.
    """
    new = os.path.join(folder, f"{name}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    write_new(new, parts)
    os.replace(new, os.path.join(folder, name))


def birth_of(pid: int) -> tuple[str, int] | None:
    """Return what tells a process from all others that had its number; None if unknown.

    On Linux: the boot, and the clock ticks from there to its start.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return boot, int(stat.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def age_of(birth: Sequence[Any] | None) -> float | None:
    """Return the seconds since a process began, whatever clocks were set to; None if unknown."""
    here = birth_of(os.getpid())
    if birth is None or here is None or birth[0] != here[0] or type(birth[-1]) is not int:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - birth[-1] / os.sysconf("SC_CLK_TCK")


class Place:
    """The folder as the job's process has it."""

    def __init__(self, folder: str, key: bytes) -> None:
        self._folder, self._key = folder, key
        self._lock = threading.RLock()
        self._report = self._room = -1
        self._begun = time.monotonic()  # when the process was started
        self.is_told = False  # the outcome stands there
        self.limit: tuple[str, str] | None = None  # type and text of the limit that has ended it

    def begin(self, terms: Meta) -> bool:
        """Claim the attempt; False if it was withdrawn.

        Raises:
            OSError: the folder cannot be written.
        """
        pid = os.getpid()
        birth = birth_of(pid)
        claim = {**terms, "version": VERSION, "pid": pid, "birth": birth}
        self._begun -= age_of(birth) or 0.0
        claim["seal"] = claim_seal(self._key, pid, birth)
        put(self._folder, CLAIM, [json.dumps(claim).encode()])
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        self._report = os.open(self._path(PROGRESS_FILE), flags, 0o600)
        self._room = os.open(self._path("room.new"), flags, 0o600)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._room, 0, ROOM)
        try:
            os.unlink(self._path(TOKEN))
        except FileNotFoundError:
            return False
        return True

    def close(self) -> None:
        """Let go of the files, in a process that goes on, or in a fork of the job."""
        for fd in (self._report, self._room):
            if fd >= 0:
                os.close(fd)
        self._report = self._room = -1

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def report(self, text: bytes) -> None:
        """Replace the latest report; one for which there is no room is lost."""
        with contextlib.suppress(OSError):
            os.pwrite(self._report, report_bytes(text), 0)

    def write_frames_anew(self, fd: int) -> int:
        """Put fewer frames in the place of those in the folder, open as `fd`; return their size.

        Raises:
            OSError, ValueError, TypeError, ProtocolError: they stay as they are.
        """
        with open(self._path(FRAMES), "rb") as file:
            parts = written_anew(file.read(), JOB_NUMBER)
        put(self._folder, FRAMES, parts)
        new = os.open(self._path(FRAMES), os.O_WRONLY | os.O_APPEND)
        os.dup2(new, fd, inheritable=False)
        os.close(new)
        return os.fstat(fd).st_size

    def note_asked(self) -> None:
        """Note that it was asked to stop, so that no later kernel asks again."""
        with contextlib.suppress(OSError):
            os.close(os.open(self._path(ASKED), os.O_WRONLY | os.O_CREAT, 0o600))

    def open_alarm(self, limit: Sequence[str]) -> int:
        """Open what is written into when this limit ends what holds the interpreter.

        Raises:
            OSError: there is no room for it.
        """
        put(self._folder, ALARM, [json.dumps(limit).encode() + b"\n"])
        return os.open(self._path(ALARM), os.O_WRONLY | os.O_APPEND)

    def tell(self, meta: Meta, parts: Parts) -> None:
        """Write how the job ended, once; in few words where there is no room for more."""
        with self._lock:
            if self.is_told:
                return
            if self.limit is not None and not is_whole(meta):
                meta, parts = limited(meta, self.limit), []
            took = {"took": time.monotonic() - self._begun}
            try:
                self._write(OUTCOME_FILE, end_parts({**meta, **took}, parts))
            except OSError as error:
                self._write_in_the_room({**short(meta, error), **took})
            self.is_told = True

    def _write(self, name: str, parts: Parts) -> None:
        new = self._path(f"{name}.new")
        for folder in (os.path.dirname(self._folder), self._folder):
            with contextlib.suppress(FileExistsError):  # else somebody has removed it
                os.mkdir(folder, 0o700)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        write_new(new, [seal_of(self._key, parts), *parts])
        fd = os.open(new, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(new, self._path(name))

    def _write_in_the_room(self, meta: Meta) -> None:
        parts = end_parts(meta, [])
        data = seal_of(self._key, parts) + b"".join(parts)
        with contextlib.suppress(OSError):  # else its process is gone without a word
            os.pwrite(self._room, data, 0)
            os.ftruncate(self._room, len(data))
            os.fsync(self._room)
            os.replace(self._path("room.new"), self._path(OUTCOME_FILE))


def limited(meta: Meta, limit: tuple[str, str]) -> Meta:
    """Make the end of a job that its limit has ended, which may have told more on its way."""
    traceback = str(meta.get("traceback", ""))
    return {**meta, "kind": "error", "type": limit[0], "message": limit[1], "traceback": traceback}


def is_whole(meta: Meta) -> bool:
    """True for finished work, of which no limit changes anything."""
    return meta["kind"] == "value" and not meta.get("noticed")


def short(meta: Meta, error: OSError) -> Meta:
    """Make an outcome that has room: without its value, with the end of its words."""
    if meta["kind"] == "value":
        end = lost(meta.get("lost"), f"it could not be written: {error.strerror}")
        end["lost"]["type"] = _end_of(end["lost"]["type"])
        return noted(end, meta.get("noticed") is True)
    words = {name: _end_of(str(meta[name])) for name in ("type", "message", "traceback")}
    return {"kind": meta["kind"], **words}


def _end_of(text: str) -> str:
    """Cut a text to its end, so that three of them have room, whatever letters they are of."""
    while len(json.dumps(text)) > ROOM // 4:
        text = text[len(text) // 8 + 1 :]
    return text
