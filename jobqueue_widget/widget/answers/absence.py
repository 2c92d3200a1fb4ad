"""Notes since when nobody has been at a page, for the moment in which somebody comes back."""

from __future__ import annotations

from ...queue import JobQueue

LONG = 600.0  # seconds without a word from any page, after which there is something to tell
FRESH = 30.0  # seconds in which each view that comes back is told


class Absence:
    """What the messages of pages tell of who is there; instants are of the queue's clock."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._heard_at: float | None = None
        self._since: float | None = None
        self._back_at = 0.0

    def heard(self) -> None:
        """Note that a page has said something."""
        now, before = self._queue._now(), self._heard_at
        self._heard_at = now
        if before is None:
            self._since, self._back_at = self._queue._away_since(), now
        elif now - before > LONG:
            self._since, self._back_at = before, now

    def ended_now(self) -> float | None:
        """Return since when nobody was there, if somebody has just come back."""
        is_fresh = self._heard_at is not None and self._heard_at - self._back_at < FRESH
        return self._since if is_fresh else None
