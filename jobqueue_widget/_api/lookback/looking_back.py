"""The part of `JobQueue` that tells what has happened."""

from __future__ import annotations

import operator
from datetime import datetime

from ..._runtime.engine import Engine
from ...errors import InvalidOptionError
from .instants import instant
from .since import Since, since
from .timeline import MOST_BARS, Timeline, timeline


class LookingBack:
    """The part of `JobQueue` that tells what has happened. Any thread."""

    _engine: Engine

    def timeline(
        self,
        start: float | datetime | None = None,
        end: float | datetime | None = None,
        *,
        limit: int = MOST_BARS,
    ) -> Timeline:
        """Return which attempt ran when on which lane, and when the queue was paused.

        It has all jobs that are kept, and the newest 10,000 attempts beyond those: jobs that were
        forgotten or are kept no more have bars without an id. What earlier kernels ran comes from
        the journal, the last attempt of each job, on as few lanes as the times allow.

        Args:
            start: only what was not over then; epoch seconds or a datetime (local time if it has no
                zone). None: from the first one on.
            end: only what had begun by then. None: up to now.
            limit: at most so many bars. If there are more attempts, neighbours on a lane become one
                bar, which says how many they are and how many of them failed.

        Raises:
            InvalidOptionError: an instant is none, `end` is before `start`, or `limit` is not a
                number from 1 on.

        """
        first = None if start is None else instant("start", start)
        last = None if end is None else instant("end", end)
        if first is not None and last is not None and last < first:
            raise InvalidOptionError(f"end is before start: {last:g} < {first:g}")
        try:
            most = 0 if isinstance(limit, bool) else operator.index(limit)
        except TypeError:
            most = 0
        if most < 1:
            raise InvalidOptionError(f"limit must be a number from 1 on, not {limit!r}")
        return timeline(self._engine, first, last, most)

    def since(self, moment: float | datetime) -> Since:
        """Return what has ended since an instant: counts, kinds of failures, the slowest job.

        It counts jobs that are kept, of earlier kernels too if the queue has a journal. A job that
        the end of its kernel cut off counts as of the restart, when that was found.

        Args:
            moment: epoch seconds or a datetime (local time if it has no zone).

        Raises:
            InvalidOptionError: it is no instant.

        """
        return since(self._engine, instant("moment", moment))
