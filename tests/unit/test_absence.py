"""Since when nobody was at a page is told to each view that comes back, and to no other."""

from __future__ import annotations

from typing import Any, cast

import pytest

from jobqueue_widget.widget.answers.absence import FRESH, LONG, Absence


class Clock:
    """As much of a queue as is asked."""

    def __init__(self, away_since: float | None = None) -> None:
        self.now = 1_000_000.0
        self.away_since = away_since

    def _now(self) -> float:
        return self.now

    def _away_since(self) -> float | None:
        return self.away_since


def made(away_since: float | None = None) -> tuple[Clock, Absence]:
    clock = Clock(away_since)
    return clock, Absence(cast(Any, clock))


def test_a_page_of_a_new_queue_was_not_away() -> None:
    clock, absence = made()
    absence.heard()
    assert absence.ended_now() is None
    clock.now += LONG
    absence.heard()
    assert absence.ended_now() is None


@pytest.mark.parametrize("views", [1, 3])
def test_each_view_that_comes_back_is_told_since_when_nobody_was_there(views: int) -> None:
    clock, absence = made()
    absence.heard()
    left = clock.now
    clock.now += LONG + 1
    for _ in range(views):
        absence.heard()
        assert absence.ended_now() == left
        clock.now += 1
    clock.now += FRESH
    absence.heard()
    assert absence.ended_now() is None


def test_after_a_restart_the_end_of_the_kernel_before_counts() -> None:
    clock, absence = made(away_since=990_000.0)
    absence.heard()
    assert absence.ended_now() == 990_000.0
    clock.now += FRESH
    absence.heard()
    assert absence.ended_now() is None
