"""Ctrl-C comes at any moment of a call: what was begun is finished, or nothing has begun."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from jobqueue_widget._threads.interrupts import PATIENCE, UNINTERRUPTED
from tests.kernels import REPOSITORY


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "turns", [pytest.param(40, id="short"), pytest.param(600, id="long", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("loop", ["thread", "current"])
def test_an_interrupted_call_leaves_a_queue_that_works(loop: str, turns: int, seed: int) -> None:
    program = [sys.executable, "-m", "tests.crash.interrupted", loop, str(turns), str(seed)]
    ran = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-6000:]
    assert json.loads(ran.stdout) == {"wrong": {}, "interrupts": turns}


def raises_interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_comes_after_the_block() -> None:
    done = []

    def play() -> None:
        with UNINTERRUPTED:
            with UNINTERRUPTED:
                raises_interrupt()
                done.append("inner")
            done.append("outer")
        done.append("after")

    with pytest.raises(KeyboardInterrupt):
        play()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_one_gets_through_when_the_block_hangs() -> None:
    done = []

    def play() -> None:
        with UNINTERRUPTED:
            raises_interrupt()
            raises_interrupt()  # in a hurry: the same
            done.append("at once")
            time.sleep(PATIENCE + 0.1)
            raises_interrupt()
            done.append("never")

    with pytest.raises(KeyboardInterrupt):
        play()
    assert done == ["at once"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_are_left_alone() -> None:
    inside, over = threading.Event(), threading.Event()

    def work() -> None:
        with UNINTERRUPTED:
            inside.set()
            over.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    with pytest.raises(KeyboardInterrupt):
        raises_interrupt()
    over.set()
    thread.join()


def test_who_ignores_interrupts_goes_on_to() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with UNINTERRUPTED:
            raises_interrupt()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
