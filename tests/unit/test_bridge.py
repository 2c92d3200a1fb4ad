"""The one door to the owner loop: every call once and in order, from any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from jobqueue_widget._threads.bridge import LoopBridge


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def turn(loop: asyncio.AbstractEventLoop) -> None:
    """Let what is posted happen."""
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))


def test_calls_of_many_threads_arrive_once_and_in_the_order_of_each(
    loop: asyncio.AbstractEventLoop,
) -> None:
    bridge = LoopBridge(loop)
    seen: list[tuple[int, int]] = []

    def post(name: int) -> None:
        for number in range(500):
            assert bridge.post(seen.append, (name, number))

    threads = [threading.Thread(target=post, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    turn(loop)
    assert len(seen) == 4000
    for name in range(8):
        assert [number for who, number in seen if who == name] == list(range(500))


def test_a_callback_that_raises_is_reported_and_the_others_go_on(
    loop: asyncio.AbstractEventLoop,
) -> None:
    told: list[str] = []
    loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
    bridge = LoopBridge(loop)
    seen: list[int] = []
    bridge.post(lambda: 1 / 0)
    bridge.post(seen.append, 1)
    turn(loop)
    assert seen == [1]
    assert told == ["division by zero"]


def test_an_interrupt_ends_one_call_and_not_those_behind_it(
    loop: asyncio.AbstractEventLoop,
) -> None:
    bridge = LoopBridge(loop)
    seen: list[int] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    bridge.post(seen.append, 1)
    bridge.post(interrupt)
    bridge.post(seen.append, 2)
    bridge.post(seen.append, 3)
    with pytest.raises(KeyboardInterrupt):
        turn(loop)
    turn(loop)
    assert seen == [1, 2, 3]


def test_a_closed_loop_takes_nothing_and_says_so(loop: asyncio.AbstractEventLoop) -> None:
    bridge = LoopBridge(loop)
    loop.close()
    assert not bridge.post(print)
    assert not bridge.post(print)


def test_it_knows_its_own_thread(loop: asyncio.AbstractEventLoop) -> None:
    bridge = LoopBridge(loop)
    answers = [bridge.is_here]
    thread = threading.Thread(target=lambda: answers.append(bridge.is_here))
    thread.start()
    thread.join()
    assert answers == [True, False]
