"""Ctrl-C comes at any moment of a call: what was begun is finished, or nothing has begun."""

from __future__ import annotations

import json
import queue
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from jobqueue_widget._threads.interrupts import PATIENCE, UNINTERRUPTED
from tests.kernels import REPOSITORY, VERSIONS, Kernel


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


CELLS = """
import asyncio
from jobqueue_widget import JobQueue
def echo(value): return value
queue = await JobQueue(max_running=2{loop}).start()
view = queue.options(executor="thread")
"""
SUBMITS = """
while True:
    job = view.submit_nowait(echo, 1); queue.hold(job); queue.release(job); job.cancel()
"""
AFTERWARDS = """
for job in queue.jobs():
    if job.status == "pending": job.cancel()
assert await asyncio.wait_for(view.submit_nowait(echo, 7), 20) == 7
told = queue.get_state()["stats"]
assert told.pop("total_accepted") == sum(told.values()), told
"""


@pytest.mark.usefixtures("loop_of_the_client")
@pytest.mark.parametrize("loop", ["", ', loop="thread"'], ids=["its loop", "a thread's loop"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_cell_that_submits_is_interrupted(version: str, loop: str, seed: int) -> None:
    draw = random.Random(f"{seed} interrupts of cells")
    kernel = Kernel(version)
    try:
        kernel.run(CELLS.format(loop=loop))
        for _ in range(6):
            cell = kernel.send(SUBMITS)
            kernel.until(
                lambda m, cell=cell: (  # type: ignore[misc]
                    m["parent_header"].get("msg_id") == cell and m["msg_type"] == "execute_input"
                )
            )
            time.sleep(draw.uniform(0.05, 0.3))
            kernel.interrupt()
            try:
                reply = kernel.reply_to(cell)
            except queue.Empty:  # Python drops one that comes in a finalizer: a user tries again
                kernel.interrupt()
                reply = kernel.reply_to(cell)
            assert reply["ename"] == "KeyboardInterrupt"
            kernel.run(AFTERWARDS)
        kernel.run("await queue.close()")
    finally:
        kernel.close()


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
