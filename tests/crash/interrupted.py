"""Interrupts calls of a queue with Ctrl-C at any moment; run as `… interrupted HOW TURNS SEED`."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from jobqueue_widget import JobQueue

HOW, TURNS, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
draw = random.Random(SEED)
wrong: Counter[str] = Counter()
interrupts = 0


def echo(value: object) -> object:
    return value


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def dropped(told: sys.UnraisableHookArgs) -> None:
    """Python drops one that comes in a weakref callback or in a finalizer; it comes again then."""
    if not issubclass(told.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(told)
        return
    threading.Timer(0.01, interrupt).start()


sys.unraisablehook = dropped


def submits(queue: Any, view: Any) -> None:
    view.submit_nowait(echo, 1)


def holds(queue: Any, view: Any) -> None:
    job = view.submit_nowait(echo, 1)
    queue.hold(job)
    queue.release(job)


def cancels(queue: Any, view: Any) -> None:
    view.submit_nowait(echo, 1).cancel()
    queue.move(view.submit_nowait(echo, 1), to="top")


def pauses(queue: Any, view: Any) -> None:
    queue.pause()
    view.submit_nowait(echo, 1)
    queue.resume()


ACTS: list[Callable[[Any, Any], None]] = [submits, holds, cancels, pauses]


def play(queue: Any) -> None:
    """Call it until the interrupt comes."""
    global interrupts
    view, act = queue.options(executor="thread"), draw.choice(ACTS)
    timer = threading.Timer(draw.uniform(0.0005, 0.01), interrupt)
    try:
        timer.start()
        while True:
            act(queue, view)
    except KeyboardInterrupt:
        interrupts += 1


def judge(queue: Any, last: Any) -> None:
    if last.status.value != "completed":
        wrong[f"a later job is {last.status.value}"] += 1
    left = {job.status.value for job in queue.jobs() if not job.status.ended}
    if left:
        wrong[f"left: {left}"] += 1
    told = queue.get_state()["stats"]
    if told.pop("total_accepted") != sum(told.values()):
        wrong["counts do not agree"] += 1


def on_a_thread() -> None:
    for _ in range(TURNS):
        faulthandler.dump_traceback_later(60, exit=True)
        with JobQueue(max_running=2, loop="thread", max_history=100) as queue:
            play(queue)
            queue.resume()
            for job in queue.jobs():
                if job.status == "pending":
                    queue.release(job)
            last = queue.options(executor="thread").submit_nowait(echo, 2)
            queue.wait(timeout=30)
            judge(queue, last)


async def on_this_loop() -> None:
    """As in a cell: the loop is that of the main thread, and stands still while it is called."""
    for _ in range(TURNS):
        faulthandler.dump_traceback_later(60, exit=True)
        async with JobQueue(max_running=2, max_history=100) as queue:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            play(queue)
            queue.resume()
            for job in queue.jobs():
                if job.status == "pending":
                    queue.release(job)
            last = queue.options(executor="thread").submit_nowait(echo, 2)
            await asyncio.wait_for(queue.join(), 30)
            judge(queue, last)


if HOW == "thread":
    on_a_thread()
else:
    asyncio.run(on_this_loop())
print(json.dumps({"wrong": wrong, "interrupts": interrupts}), flush=True)
