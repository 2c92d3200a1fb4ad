"""One thread gives all widgets their turns, in time and one after another, and then it is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from jobqueue_widget.widget import pacing
from jobqueue_widget.widget.pacing import Pacer
from tests.crash.processes import wait_until
from tests.threads import no_threads

SOON = 10.0


class Turns:
    """Counts its turns."""

    def __init__(self, *patience: float | None, act: Callable[[], None] = lambda: None) -> None:
        self.count = 0
        self._patience = list(patience)
        self._act = act

    def turn(self) -> float | None:
        """One more."""
        self._act()
        self.count += 1
        return self._patience.pop(0) if self._patience else None


def now() -> float:
    return time.monotonic()


def threads() -> int:
    return sum(thread.name == "jobqueue-widget" for thread in threading.enumerate())


def test_many_share_one_thread_which_ends_with_the_last() -> None:
    pacer, many = Pacer(), [Turns(0.01, 0.02) for _ in range(50)]
    for one in many:
        pacer.join(one)
        pacer.ask(one, now())
    assert threads() == 1
    wait_until(lambda: all(one.count == 3 for one in many), SOON)
    for one in many:
        pacer.forget(one)
    assert threads() == 0
    pacer.ask(many[0], now())
    wait_until(lambda: many[0].count == 4 and threads() == 0, SOON)


def test_an_idle_thread_ends_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "LINGER", 0.05)
    pacer, one = Pacer(), Turns()
    pacer.join(one)
    for count in (1, 2, 3):
        pacer.ask(one, now())
        wait_until(lambda: one.count == count and threads() == 0, SOON)  # noqa: B023 - in its turn
    pacer.forget(one)


def test_the_earlier_of_two_wishes_counts() -> None:
    pacer, one, other = Pacer(), Turns(), Turns()
    pacer.ask(other, now() + 3600)
    pacer.ask(one, now() + 3600)
    pacer.ask(one, now())
    pacer.ask(one, now() + 3600)
    wait_until(lambda: one.count == 1, SOON)
    assert other.count == 0
    pacer.forget(one)
    pacer.forget(other)
    assert threads() == 0


def test_a_thread_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pacer, one = Pacer(), Turns()
    with monkeypatch.context() as patch:
        no_threads(patch)
        pacer.ask(one, now())
        pacer.ask(one, now())
    assert one.count == 0
    pacer.ask(one, now() + 3600)
    wait_until(lambda: one.count == 1, SOON)
    pacer.forget(one)


def test_who_is_in_a_hurry_waits_for_its_turn_and_for_no_other() -> None:
    pacer, one, other = Pacer(), Turns(), Turns()
    pacer.join(other)
    pacer.ask(one, now() + 3600)
    pacer.ask(other, now() + 3600)
    pacer.hurry(one, SOON)
    assert (one.count, other.count) == (1, 0)
    pacer.hurry(one, SOON)
    assert one.count == 1, "it has asked for nothing"
    pacer.forget(other)


def test_what_is_forgotten_has_no_turn_afterwards() -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        go_on.wait(SOON)

    pacer, one = Pacer(), Turns(0.0, 0.0, 0.0, 0.0, act=slow)
    pacer.join(one)
    pacer.ask(one, now())
    began.wait(SOON)
    threading.Timer(0.05, go_on.set).start()
    pacer.forget(one)
    count = one.count
    assert count >= 1, "it was waited for"
    assert threads() == 0
    assert one.count == count


@pytest.mark.parametrize("patience", [None, 0.0, 60.0])
def test_a_turn_that_forgets_its_own_widget_is_its_last(patience: float | None) -> None:
    """It waits for itself no more than it comes again, and nothing keeps the thread."""
    pacer = Pacer()
    one = Turns(patience, act=lambda: pacer.forget(one))
    pacer.join(one)
    pacer.ask(one, now())
    wait_until(lambda: one.count == 1 and threads() == 0, SOON)


def test_a_turn_that_outlasts_the_patience_of_who_forgets_it_is_its_last() -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        go_on.wait(SOON)

    pacer, one = Pacer(), Turns(60.0, act=slow)
    pacer.join(one)
    pacer.ask(one, now())
    began.wait(SOON)
    pacer.forget(one, patience=0.05)
    go_on.set()
    wait_until(lambda: one.count == 1 and threads() == 0, SOON)
