"""At most one timer per job and kind, and only the one that is armed may act."""

from __future__ import annotations

from collections.abc import Callable

from jobqueue_widget._core.jobs import JobRecord
from jobqueue_widget._core.spec import JobSpec
from jobqueue_widget._threads.timers import Timers


class ManualTime:
    """A clock that moves when told, and calls what is due, also what was cancelled too late."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[float, Callable[..., object], tuple[object, ...]]] = []

    def call_later(
        self, seconds: float, callback: Callable[..., object], *args: object
    ) -> Callable[[], None]:
        call = (self.now + seconds, callback, args)
        self.calls.append(call)
        return lambda: self.calls.remove(call) if call in self.calls else None

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [call for call in self.calls if call[0] <= self.now]
        self.calls = [call for call in self.calls if call[0] > self.now]
        for _, callback, args in due:
            callback(*args)


def job() -> JobRecord:
    return JobRecord(JobSpec("q-1", "function", len, "len"), 0, 1, 0.0)


class Fixture:
    def __init__(self) -> None:
        self.time = ManualTime()
        self.fired: list[str] = []
        self.timers = Timers(self.time.call_later, self.fire, lambda: self.time.now)

    def fire(self, job: JobRecord, kind: str, token: int) -> None:
        if self.timers.take(job, kind, token):  # type: ignore[arg-type]
            self.fired.append(kind)


def test_a_timer_fires_once() -> None:
    fixture, one = Fixture(), job()
    fixture.timers.arm(one, "hold", 5)
    assert fixture.timers.seconds_left(one, "hold") == 5
    fixture.time.advance(5)
    fixture.time.advance(50)
    assert fixture.fired == ["hold"]
    assert fixture.timers.seconds_left(one, "hold") is None


def test_arming_again_replaces_the_first() -> None:
    fixture, one = Fixture(), job()
    fixture.timers.arm(one, "hold", 5)
    fixture.timers.arm(one, "hold", 50)
    fixture.time.advance(10)
    assert not fixture.fired
    fixture.time.advance(40)
    assert fixture.fired == ["hold"]


def test_a_timer_that_fired_too_late_to_be_disarmed_does_not_count() -> None:
    fixture, one = Fixture(), job()
    fixture.timers.arm(one, "hold", 5)
    late = fixture.time.calls[0]
    fixture.timers.disarm(one, "hold")
    fixture.timers.arm(one, "hold", 50)
    late[1](*late[2])  # its thread was already on the way
    assert not fixture.fired
    assert fixture.timers.seconds_left(one, "hold") == 50


def test_kinds_do_not_disturb_one_another() -> None:
    fixture, one = Fixture(), job()
    fixture.timers.arm(one, "limit", 5)
    fixture.timers.arm(one, "grace", 3)
    fixture.timers.disarm(one, "grace")
    fixture.time.advance(5)
    assert fixture.fired == ["limit"]


def test_a_suspended_clock_keeps_the_instants() -> None:
    fixture, one = Fixture(), job()
    fixture.timers.arm(one, "hold", 5)
    fixture.timers.suspend()
    fixture.time.advance(2)
    assert not fixture.time.calls
    fixture.timers.resume()
    fixture.time.advance(2.9)
    assert not fixture.fired
    fixture.time.advance(0.1)
    assert fixture.fired == ["hold"]
