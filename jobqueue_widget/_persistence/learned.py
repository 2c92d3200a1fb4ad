"""Keeps what a queue has learned of its runs in a file beside its journal."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import sys
from pathlib import Path

from .._core.machine.learned import LearnedKey, RunStats, as_plain, from_plain
from .sqlite.beside import open_safely

logger = logging.getLogger(__name__)

FORMAT = 1
LARGEST = 4 << 20  # bytes of a file that is read


class LearnedFile:
    """The file `<journal>.learned.json` (0600) of numbers and names. Links are not followed.

    Nothing depends on it: if it cannot be read or written, the log says so. A file of a newer
    version is left alone.
    """

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(journal.name + ".learned.json")
        self._may_write = True

    def load(self) -> list[tuple[LearnedKey, RunStats]]:
        """Read the entries of the file that are sound."""
        try:
            told = json.loads(self._read())
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError) as error:
            logger.warning("what was learned is not read from %s: %s", self.path, error)
            return []
        if not isinstance(told, dict) or not isinstance(told.get("runs"), list):
            logger.warning("what was learned is not read from %s: it is another file", self.path)
            return []
        if told.get("format") != FORMAT:
            self._may_write = False
            logger.warning("%s was written by another version and is left alone", self.path)
            return []
        return [entry for entry in map(from_plain, told["runs"]) if entry is not None]

    def _read(self) -> bytes:
        with open(self.path, "rb", opener=open_safely) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is no ordinary file")
            if sys.platform != "win32" and status.st_uid != os.geteuid():
                raise ValueError("it belongs to another user")
            if status.st_size > LARGEST:
                raise ValueError(f"it has {status.st_size} bytes")
            return file.read()

    def save(self, entries: list[tuple[LearnedKey, RunStats]]) -> None:
        """Replace the file in one step, so that a reader finds the old one or the new one."""
        if not self._may_write:
            return
        runs = [as_plain(key, stats) for key, stats in entries]
        new = self.path.with_name(self.path.name + ".new")
        try:
            new.unlink(missing_ok=True)  # left by a kernel that died
            fd = open_safely(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(fd, "w", encoding="ascii") as file:
                json.dump({"format": FORMAT, "runs": runs}, file, separators=(",", ":"))
            new.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            logger.warning("what was learned is not kept in %s: %s", self.path, error)
