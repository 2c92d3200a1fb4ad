"""Tells if a file of the user's own modules has changed since a worker imported it."""

from __future__ import annotations

import os

Stamp = tuple[int, ...]


def stamp_of(path: str) -> Stamp | None:
    """Return values of a file that change with its content; None if there is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


class Sources:
    """The sources that one worker has imported, as told with the ends of its jobs."""

    def __init__(self) -> None:
        self._stamps: dict[str, Stamp | None] = {}

    def hear(self, told: object) -> None:
        """Take pairs of a path and its stamp; the stamp is None if the file changed meanwhile."""
        for pair in told if isinstance(told, list) else ():
            if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
                self._stamps[pair[0]] = tuple(pair[1]) if isinstance(pair[1], list) else None

    def changed(self) -> str | None:
        """Return the first file that was changed or removed; None if none was."""
        for path, stamp in self._stamps.items():
            if stamp is None or stamp_of(path) != stamp:
                return path
        return None
