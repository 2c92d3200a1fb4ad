"""The I/O thread: calls in order, timers on time and once, fds watched, nothing left behind."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from jobqueue_widget._threads.supervisor import Supervisor

WAIT = 10.0


@pytest.fixture
def io() -> Iterator[Supervisor]:
    supervisor = Supervisor("test-io")
    yield supervisor
    supervisor.close()


def test_there_is_no_thread_before_the_first_use(io: Supervisor) -> None:
    assert all(thread.name != "test-io" for thread in threading.enumerate())


def test_calls_run_in_order_on_the_thread(io: Supervisor) -> None:
    seen: list[object] = []
    done = threading.Event()
    for number in range(1000):
        io.call(seen.append, number)
    io.call(lambda: seen.append(io.is_current_thread))
    io.call(done.set)
    assert done.wait(WAIT)
    assert seen == [*range(1000), True]


def test_timers_fire_once_in_order_of_their_instants(io: Supervisor) -> None:
    seen: list[str] = []
    all_set, done = threading.Event(), threading.Event()
    io.call(all_set.wait)
    for seconds, name in ((0.03, "c"), (0.02, "b"), (0.01, "a"), (0.0, "now")):
        io.call_later(seconds, seen.append, name)
    wanted = [timer[2][1] for timer in sorted(io._timers, key=lambda timer: timer[:2])]
    io.call_later(0.04, done.set)
    all_set.set()
    assert done.wait(WAIT)
    assert [(name,) for name in seen] == wanted
    assert len(wanted) == 4


def test_a_cancelled_timer_never_fires_and_leaves_nothing(io: Supervisor) -> None:
    fired = threading.Event()
    for _ in range(1000):
        io.call_later(0.02, fired.set)()
    done = threading.Event()
    io.call_later(0.05, done.set)
    assert done.wait(WAIT)
    assert not fired.is_set()
    assert len(io._timers) <= 64


def test_an_earlier_timer_is_not_kept_waiting_by_a_later_one(io: Supervisor) -> None:
    io.call_later(1000, lambda: None)
    done = threading.Event()
    io.call_later(0.01, done.set)
    assert done.wait(WAIT)


def test_a_callback_that_raises_ends_only_itself(
    io: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    done = threading.Event()
    io.call(lambda: 1 / 0)
    io.call(done.set)
    assert done.wait(WAIT)
    assert "ZeroDivisionError" in caplog.text


def test_a_readable_fd_calls_back_until_it_is_unwatched(io: Supervisor) -> None:
    reading, writing = os.pipe()
    seen: list[bytes] = []
    got = threading.Semaphore(0)

    def on_readable() -> None:
        seen.append(os.read(reading, 100))
        got.release()

    io.watch(reading, on_readable)
    for text in (b"one", b"two"):
        os.write(writing, text)
        assert got.acquire(timeout=WAIT)
    io.unwatch(reading)
    os.write(writing, b"three")
    done = threading.Event()
    io.call_later(0.02, done.set)
    assert done.wait(WAIT)
    assert seen == [b"one", b"two"]
    os.close(reading)
    os.close(writing)


class Holder:
    """What a callback belongs to."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def act(self, *args: object) -> None:
        self.done.set()


def by_call(io: Supervisor, act: Callable[..., None]) -> None:
    io.call(act)


def by_timer(io: Supervisor, act: Callable[..., None]) -> None:
    io.call_later(0.001, act)


def by_reader(io: Supervisor, act: Callable[..., None]) -> None:
    reading, writing = os.pipe()

    def on_readable() -> None:
        io.unwatch(reading)
        os.close(reading)
        os.close(writing)
        act()

    io.watch(reading, on_readable)
    os.write(writing, b"x")


def by_writer(io: Supervisor, act: Callable[..., None]) -> None:
    reading, writing = os.pipe()

    def on_writable() -> None:
        io.unwatch(writing)
        os.close(reading)
        os.close(writing)
        act()

    io.watch_writable(writing, on_writable)


@pytest.mark.parametrize("way", [by_call, by_timer, by_reader, by_writer])
def test_nothing_is_held_of_the_last_callback_while_the_thread_waits(
    way: Callable[[Supervisor, Callable[..., None]], None], io: Supervisor
) -> None:
    holder = Holder()
    way(io, holder.act)
    assert holder.done.wait(WAIT)
    is_there = weakref.ref(holder)
    del holder
    until = time.monotonic() + 1.0
    while is_there() is not None and time.monotonic() < until:
        time.sleep(0.001)
    assert is_there() is None


def test_a_writable_fd_calls_back(io: Supervisor) -> None:
    reading, writing = os.pipe()
    done = threading.Event()

    def on_writable() -> None:
        io.watch_writable(writing, None)
        done.set()

    io.watch_writable(writing, on_writable)
    assert done.wait(WAIT)
    io.unwatch(writing)
    os.close(reading)
    os.close(writing)


def test_close_runs_what_was_called_before_and_ends_the_thread() -> None:
    io = Supervisor("closing-io")
    seen: list[int] = []
    for number in range(100):
        io.call(seen.append, number)
    io.close()
    assert seen == list(range(100))
    assert all(thread.name != "closing-io" for thread in threading.enumerate())


def test_it_can_be_used_again_after_close() -> None:
    io = Supervisor("again-io")
    for _ in range(20):
        done = threading.Event()
        io.call(done.set)
        assert done.wait(WAIT)
        io.close()


def test_calls_from_many_threads_all_arrive(io: Supervisor) -> None:
    seen: list[tuple[int, int]] = []

    def call_many(thread: int) -> None:
        for number in range(500):
            io.call(seen.append, (thread, number))

    threads = [threading.Thread(target=call_many, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = threading.Event()
    io.call(done.set)
    assert done.wait(WAIT)
    assert len(seen) == 4000
    for wanted in range(8):
        assert [number for thread, number in seen if thread == wanted] == list(range(500))


class SetsATimerMeanwhile(Supervisor):
    """Another thread sets a timer between the thread's look at the timers and its sleep."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.fired = threading.Event()

    def _fire_timers(self) -> None:
        super()._fire_timers()
        if threading.current_thread().name == "test-io" and not self.fired.is_set():
            other = threading.Thread(target=self.call_later, args=(0.0, self.fired.set))
            other.start()
            other.join()


def test_a_timer_that_is_set_just_before_the_thread_sleeps_is_not_overslept() -> None:
    io = SetsATimerMeanwhile("test-io")
    io.call(lambda: None)
    assert io.fired.wait(WAIT)
    io.close()


@pytest.mark.parametrize("seconds", [1e12, 1e300])
def test_a_timer_in_a_far_future_stops_nothing(io: Supervisor, seconds: float) -> None:
    io.call_later(seconds, lambda: None)
    for _ in range(3):
        done = threading.Event()
        io.call(done.set)
        assert done.wait(WAIT)
