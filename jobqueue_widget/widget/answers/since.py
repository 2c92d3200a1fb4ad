"""Makes what happened while a page was away: counts, kinds of failures, the slowest job."""

from __future__ import annotations

from typing import Any

from ...queue import JobQueue
from ..model import shorten

MOST_KINDS = 20
TITLE = 80  # characters


def since_of(queue: JobQueue, moment: float) -> dict[str, Any]:
    """Return what has ended since an instant of the queue's clock."""
    told = queue.since(moment)
    kinds = list(told.kinds.items())
    slowest = None if told.slowest is None else queue.get_job(told.slowest)
    return {
        "moment": told.moment,
        "now": told.now,
        "completed": told.completed,
        "failed": told.failed,
        "cancelled": told.cancelled,
        "kinds": [[shorten(kind), count] for kind, count in kinds[:MOST_KINDS]],
        "more_kinds": sum(count for _, count in kinds[MOST_KINDS:]),
        "slowest": None
        if slowest is None
        else {
            "job": slowest.id,
            "title": shorten(slowest.title, TITLE),
            "seconds": round(told.slowest_seconds, 3),
        },
        "whole": told.whole,
        "restarted": told.restarted,
    }
