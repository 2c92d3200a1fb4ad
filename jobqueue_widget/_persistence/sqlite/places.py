"""Refuses to put a journal on a file system that other machines write, too."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from ...errors import JournalError

_NETWORK_NAMES = """
    9p afs afpfs beegfs ceph cifs davfs fuse.ceph-fuse fuse.gcsfuse fuse.glusterfs fuse.rclone
    fuse.s3fs fuse.sshfs fuse.juicefs gfs2 glusterfs gpfs lustre nfs nfs4 ncpfs ocfs2 panfs
    prl_fs smb2 smb3 smbfs vboxsf wekafs webdav
"""
NETWORK = frozenset(_NETWORK_NAMES.split())
"""Types of file systems that other machines write; 9p are the host's in a virtual machine."""


def real_path(given: str | os.PathLike[str]) -> Path:
    """Return the path of a journal as the user names it, with links followed.

    Raises:
        JournalError: no file can have this name.
    """
    try:
        path = os.path.realpath(os.path.expanduser(given))
        check_name(path)
        return Path(path)
    except (ValueError, TypeError) as error:
        raise JournalError(
            f'{given!r} cannot be a journal ({error}); name a file, like "runs.db"'
        ) from error


def check_name(path: str | os.PathLike[str]) -> None:
    """Raise ValueError for what no file can be called: with a NUL, or half a character."""
    if b"\0" in os.fsencode(path):
        raise ValueError("embedded null byte")


def mode_of(path: Path) -> int:
    """Return the `st_mode` of what is at `path`; 0 if nothing is.

    Raises:
        JournalError: the system does not tell: a folder above it may not be entered, a name is
            too long.
    """
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        shut_out = isinstance(error, PermissionError)
        cure = "one in a folder that you may enter" if shut_out else "another"
        raise JournalError(
            f"{str(path)!r} cannot be a journal ({error.strerror}); choose {cure}"
        ) from error


def file_system_of(path: Path) -> str:
    """Return the type of the file system that holds `path`; "" if the system does not tell."""
    real = os.path.realpath(path)
    best = ("", "")
    try:
        partitions = psutil.disk_partitions(all=True)
    except OSError:
        return ""
    for partition in partitions:
        root = partition.mountpoint.rstrip("/\\")
        inside = real == root or real.startswith((root + "/", root + "\\"))
        if inside and len(root) >= len(best[0]):
            best = (root, partition.fstype)
    return best[1].lower()


def refuse_network(path: Path) -> None:
    """Refuse a network file system, where SQLite's promises do not hold.

    Its locks may fail silently, and then two kernels write one file ("How To Corrupt An SQLite
    Database File", section 2).

    Raises:
        JournalError: names the file system and the cures.
    """
    found = file_system_of(path)
    if found in NETWORK:
        raise JournalError(
            f"{str(path)!r} is on a network file system ({found}), where locks cannot be relied "
            "on and two kernels could write one journal; use a folder of this machine (for "
            "instance under ~/.local/share), or SqliteJournal(path, allow_network=True) if "
            "only one kernel ever opens it"
        )
