"""Owns the private folder of a queue for what is too large for a pipe or for memory."""

from __future__ import annotations

import contextlib
import os
import pickle
import stat
import sys
import time
import weakref
from pathlib import Path
from typing import Any

from ..._threads.locks import Lock
from ...child import byvalue, loading
from ...child.calls import references
from ...child.wire import ProtocolError, open_new

try:
    import fcntl
except ImportError:  # on Windows and in the browser's Python
    FOLDERS_HAVE_LOCKS = False
else:
    FOLDERS_HAVE_LOCKS = True

PREFIX = "jobqueue-spool-"  # of the names of folders that are locked while their owner lives
NEW = 60.0  # seconds for which a folder is left alone: its owner may not have locked it yet

_looked_in: set[Path] = set()  # folders where this process has looked for what killed ones left


class UnreadableError(Exception):
    """Raised for a file of a result of which no value can be made."""


class Spool:
    """A folder (0700) that is made when it is needed, and goes with this at the latest.

    It is made `within` another, or with those for temporary files; `kind` is part of its name. What
    a killed process has left there goes when another one makes its first folder (not on Windows).
    """

    def __init__(self, kind: str = "", within: str | None = None) -> None:
        self._where = PREFIX + kind, within
        self._lock = Lock()
        self._hold = _Hold()
        self._remove: weakref.finalize[Any, Any] | None = None
        self.made: Path | None = None

    def path(self) -> Path:
        """Return the folder; made, or made anew if another took its place."""
        with self._lock.held:
            if self.made is None or not is_there(self.made):
                self.made = new_folder(*self._where)
                self._remove = weakref.finalize(self, _remove, self.made, os.getpid(), self._hold)
                _look_once(self.made.parent)
            self._hold.take(self.made)
            return self.made

    def drop_if_empty(self) -> None:
        """Remove the folder unless there is something in it."""
        with self._lock.held:
            if self.made is not None and is_empty(self.made):
                self.remove()
                self.made = self._remove = None

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        if self._remove is not None:
            self._remove()


def new_folder(prefix: str, within: str | None = None) -> Path:
    """Make a folder (0700) for temporary files, and the one in which it stands if that is gone."""
    import tempfile  # many queues never need it; it brings eleven modules along

    try:
        return Path(tempfile.mkdtemp(prefix=prefix, dir=within))
    except FileNotFoundError:
        Path(within or tempfile.gettempdir()).mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=prefix, dir=within))


def is_there(path: Path) -> bool:
    """Make the folder anew if who cleans there has removed it; False if another took its place."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        path.mkdir(mode=0o700, parents=True)
        return True
    is_ours = sys.platform == "win32" or found.st_uid == os.getuid()
    return stat.S_ISDIR(found.st_mode) and is_ours


def is_empty(path: Path) -> bool:
    """True also if it is gone: what cleans the folder for temporary files removes old ones."""
    try:
        return not any(path.iterdir())
    except OSError:
        return True


class _Hold:
    """A lock of a folder that ends with its process, and the forks of that.

    Who cleans the folder for temporary files respects it, too (systemd-tmpfiles).
    """

    def __init__(self) -> None:
        self._fd = -1

    def take(self, path: Path) -> None:
        """Lock the folder, once more if it was made anew; not where folders have no locks."""
        if not FOLDERS_HAVE_LOCKS or (self._fd >= 0 and os.fstat(self._fd).st_nlink):
            return
        self.let_go()
        with contextlib.suppress(OSError):
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _look_once(parent: Path) -> None:
    """Not in a thread: notebooks of ipykernel 6 mistake the user's next one for it."""
    if FOLDERS_HAVE_LOCKS and parent not in _looked_in:
        _looked_in.add(parent)
        remove_left_behind(parent)


def remove_left_behind(parent: Path) -> None:
    """Remove folders of killed processes of this user: not locked, and not new."""
    import shutil

    try:
        names = [name for name in os.listdir(parent) if name.startswith(PREFIX)]
    except OSError:  # it lets us write, but not list
        return
    for name in names:
        path = parent / name
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            found = os.fstat(fd)
            if found.st_uid == os.getuid() and abs(time.time() - found.st_mtime) > NEW:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except OSError:  # its owner lives, or this file system cannot tell
            continue
        finally:
            os.close(fd)


def _remove(path: Path, owner: int, hold: _Hold) -> None:
    hold.let_go()
    if os.getpid() == owner:  # a forked child must not remove what its parent uses
        import shutil  # tempfile has imported it

        shutil.rmtree(path, ignore_errors=True)


def write_value(path: Path, value: object) -> int:
    """Pickle a value into a file, without a copy of it in memory; how many bytes that took.

    By the names of its classes where they have not changed: they live in this process.

    Raises:
        OSError: there is no room for it. As with any other exception nothing of it is left.
    """
    fd = open_new(path)
    try:
        with open(fd, "wb") as file:
            try:
                pickle.Pickler(file, 5).dump(value)
            except OSError:
                raise
            except Exception:
                file.seek(0)
                file.truncate()
                byvalue.pickler()(file, 5, None).dump(value)
        return path.stat().st_size
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def read_value(path: Path) -> object:
    """Return the value that `write_value` or a worker wrote. May run code of the user's classes.

    Raises:
        OSError: the file is not there, or cannot be read now.
        UnreadableError: it is something else, or its value cannot be made here.
    """
    try:
        head, *buffers = references.read_parts(str(path))
    except (EOFError, ProtocolError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error
    try:
        return loading.load(head, buffers)
    except BaseException as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error
