"""Checks a file before SQLite opens it as a journal, and keeps damaged ones aside."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from ...child.wire import open_new
from ...errors import JournalError
from .beside import check_files, sibling
from .places import mode_of, refuse_network
from .records import APPLICATION, VERSION

MAGIC = b"SQLite format 3\x00"


def check_place(path: Path, *, allow_network: bool) -> None:
    """Raise JournalError for a place where no journal can be; it says why, and what to do."""
    mode = mode_of(path)
    if stat.S_ISDIR(mode):
        raise JournalError(f"{str(path)!r} is a folder; name a file in it, like runs.db")
    if not stat.S_ISDIR(mode_of(path.parent)):
        raise JournalError(
            f"there is no folder {str(path.parent)!r}; make it, or choose another place"
        )
    if mode and not stat.S_ISREG(mode):
        raise JournalError(f"{str(path)!r} is no ordinary file; choose another")
    check_files(path)
    if not allow_network:
        refuse_network(path.parent)


def check_header(path: Path, *, was_ours: bool) -> None:
    """Check the header before SQLite opens the file, as that may write; make a missing file.

    A damaged file passes if it was ours (`was_ours`, or a log beside it): reading it will tell.

    Raises:
        JournalError: it is no journal, or one of a newer version; nothing was changed.
        OSError: it cannot be read or made.
    """
    if not path.exists():
        make_empty(path)
        return
    with path.open("rb") as file:
        header = file.read(100)
    if not header or len(header) < 100 or not header.startswith(MAGIC):
        if not header or was_ours or sibling(path, "-wal").exists():
            return
        raise JournalError(f"{str(path)!r} is no journal and was left alone; choose another")
    application = int.from_bytes(header[68:72], "big")
    if application == 0 and was_ours:
        return  # a kernel died while it made the file: reading will tell if anything is there
    check_application(path, application)
    check_version(path, int.from_bytes(header[60:64], "big"))
    if is_owned(path) and sys.platform != "win32":
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)


def check_application(path: Path, application: int) -> None:
    """Raise JournalError for a database that is no journal of ours."""
    if application != APPLICATION:
        raise JournalError(
            f"{str(path)!r} is a database of another program and was left alone; "
            "choose another file"
        )


def check_version(path: Path, version: int) -> None:
    """Raise JournalError for a version that is not known here."""
    if not 0 <= version <= VERSION:
        raise JournalError(
            f"{str(path)!r} was written by a newer jobqueue_widget (its version {version}, "
            f"known here {VERSION}) and was left alone; update the package, or use another file"
        )


def is_owned(path: Path) -> bool:
    """True if the file belongs to this user."""
    return sys.platform == "win32" or path.stat().st_uid == os.geteuid()


def make_empty(path: Path) -> None:
    """Make a new empty file, readable by its owner only."""
    os.close(open_new(path))


def keep_aside(
    path: Path, word: str, with_it: Iterable[str] = ("-wal", "-shm", "-journal")
) -> Path:
    """Rename a file and those that belong to it to `<name>.<word>-<time>`."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    kept = sibling(path, f".{word}-{stamp}")
    number = 1
    while os.path.lexists(kept):
        number += 1
        kept = sibling(path, f".{word}-{stamp}-{number}")
    for suffix in (*with_it, ""):
        source = sibling(path, suffix)
        if os.path.lexists(source):
            source.rename(sibling(kept, suffix))
    return kept
