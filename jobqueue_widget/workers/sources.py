"""Files of the user's own modules that a worker has imported, and whether one has changed since."""

from __future__ import annotations

import os

Stamp = tuple[int, ...]


def stamp_of(path: str) -> Stamp | None:
    """What changes with its content; None if it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


class Sources:
    """Sources that one worker has imported, as it tells them with the ends of its jobs."""

    def __init__(self) -> None:
        self._stamps: dict[str, Stamp | None] = {}

    def hear(self, told: object) -> None:
        """Pairs of a path and its stamp; None: it was changed while its job ran."""
        for pair in told if isinstance(told, list) else ():
            if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
                self._stamps[pair[0]] = tuple(pair[1]) if isinstance(pair[1], list) else None

    def changed(self) -> str | None:
        """The first that is another now, or is gone."""
        for path, stamp in self._stamps.items():
            if stamp is None or stamp_of(path) != stamp:
                return path
        return None
