"""Calls the queue from finalizers or a signal handler, wherever its threads happen to be.

Run as `python -m tests.crash.finalizers HOW SECONDS SEED`; prints what came out, as JSON.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from jobqueue_widget import JobQueue, current_job
from jobqueue_widget.errors import JobQueueError, ReentrantCallError

HOW, SECONDS, SEED = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
faulthandler.dump_traceback_later(SECONDS + 60, exit=True)
draw = random.Random(SEED)
seen: Counter[str] = Counter()
wrong: list[str] = []
calls = itertools.count()
queue: JobQueue
ENDS = time.monotonic() + SECONDS


def prints() -> None:
    """Into the log of whichever job's thread this is."""
    print("from between")


def submits() -> None:
    queue.submit_nowait(pow, 2, 3)


def cancels() -> None:
    job = draw.choice(queue.jobs())
    job.cancel()


def asks() -> None:
    queue.get_state()
    len(queue.jobs())


def pauses() -> None:
    queue.pause("from between")


def resumes() -> None:
    queue.resume()


def reports() -> None:
    current_job().report(draw.random(), "from between")


ACTS: list[Callable[[], None]] = [prints, submits, cancels, asks, pauses, resumes, reports]


def act() -> None:
    """One call; a refusal is one of the two right answers."""
    chosen = draw.choice(ACTS)
    if chosen is submits and next(calls) % 4:
        return
    try:
        chosen()
        seen[chosen.__name__] += 1
    except ReentrantCallError:
        seen["refused"] += 1
    except IndexError:  # of no jobs
        pass
    except JobQueueError as error:
        wrong.append(repr(error))


class Finalized:
    """In a cycle of its own, so that the collector finds it, in whatever thread."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        if time.monotonic() < ENDS:
            act()


def works(number: int) -> int:
    for step in range(20):
        sys.stdout.write(f"line {number} {step}\n")  # in one piece: print() makes several
        current_job().report(step / 20, str(step))
        Finalized()
        time.sleep(0.001)
    return number


async def works_here(number: int) -> int:
    for step in range(20):
        sys.stdout.write(f"line {number} {step}\n")  # in one piece: print() makes several
        Finalized()
        await asyncio.sleep(0.001)
    return number


def on_signal(number: int, frame: FrameType | None) -> None:
    if time.monotonic() < ENDS:
        act()


def complain(unraisable: Any) -> None:
    wrong.append(f"{unraisable.exc_value!r} in {unraisable.object!r}")


async def main(folder: Path) -> None:
    global queue
    sys.unraisablehook = complain
    queue = JobQueue(name="between", journal=folder / "runs.db", max_running=6, cancel_timeout=0.5)
    async with queue:
        await queue.submit_nowait(pow, 2, 3)  # all is imported
        queue.subscribe(lambda event: Finalized())
        checked = []
        if HOW == "signal":
            signal.signal(signal.SIGALRM, on_signal)
            signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
        else:
            gc.set_threshold(10, 3, 3)
        while time.monotonic() < ENDS:
            number = next(calls)
            target: Any = works_here if number % 2 else works
            try:
                options = queue.options(executor=None if number % 2 else "thread", label="checked")
                checked.append(options.submit_nowait(target, number))
                Finalized()
                queue.get_state()
            except ReentrantCallError as error:
                wrong.append(f"a call that nothing was in the middle of: {error!r}")
            await asyncio.sleep(0.01)
            while sum(not job.status.ended for job in checked) > 20 and time.monotonic() < ENDS:
                await asyncio.sleep(0.01)
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.set_threshold(700, 10, 10)
        queue.resume()
        await asyncio.wait_for(queue.join(), 40)
        left = [job.status.value for job in queue.jobs() if not job.status.ended]
        lost = 0
        for job in checked:
            if job.status == "completed":
                number = job.result
                lines = [line for line in job.logs(1000).splitlines() if line.startswith("line")]
                lost += lines != [f"line {number} {step}" for step in range(20)]
    print(json.dumps({"left": left, "lost": lost, "wrong": wrong[:5], "seen": seen}))


with tempfile.TemporaryDirectory() as place:
    os.chdir(place)
    asyncio.run(main(Path(place)))
