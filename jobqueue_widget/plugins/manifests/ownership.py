"""Refuses files that somebody else than this user or the administrator may have written."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def check_owner(path: Path, *, named: bool) -> None:
    """Refuse a file that decides what runs and that somebody else may write.

    With `named` the user has named its folder, and so trusts whoever that belongs to.

    Raises:
        PermissionError: naming who may write it, and what to do.
        OSError: it is no file, or cannot be looked at.
    """
    file = path.stat()
    if not stat.S_ISREG(file.st_mode):
        raise OSError("it is no regular file")
    if os.name != "posix":
        return
    folder = path.parent.stat()
    if file.st_mode & stat.S_IWOTH:
        raise PermissionError("every user may change this file; chmod o-w it")
    for above in dict.fromkeys((*path.absolute().parents, *path.resolve().parents)):
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            which = "its folder" if above == path.absolute().parent else str(above)
            raise PermissionError(f"every user may change {which}; chmod o-w it")
    trusted = {0, os.geteuid(), *([folder.st_uid] if named else [])}
    if file.st_uid not in trusted or (not named and folder.st_uid not in trusted):
        whose = "it" if file.st_uid not in trusted else "its folder"
        raise PermissionError(
            f"{whose} belongs to another user; chown it, or name the folder yourself: "
            f"PluginManager(search_paths=[{str(path.parent)!r}])"
        )
