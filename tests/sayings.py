"""Every way in which code says something, in every kind of thread that a job may start."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jobqueue_widget import current_job


def prints(text: str) -> None:
    print(text)


def writes(text: str) -> None:
    sys.stderr.writelines([text, "\n"])


def logs(text: str) -> None:
    logging.getLogger("some.library").warning("%s", text)


def warns(text: str) -> None:
    warnings.warn(text, stacklevel=1)


def tells(text: str) -> None:
    job: Any = current_job()
    job.log(text)


WAYS: dict[str, Callable[[str], None]] = {
    one.__name__: one for one in (prints, writes, logs, warns, tells)
}


def here(act: Callable[[], None]) -> None:
    act()


def in_a_thread(act: Callable[[], None]) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def in_a_thread_of_a_thread(act: Callable[[], None]) -> None:
    in_a_thread(lambda: in_a_thread(act))


def in_a_subclass(act: Callable[[], None]) -> None:
    class Own(threading.Thread):
        def run(self) -> None:
            act()

    thread = Own()
    thread.start()
    thread.join()


def in_a_timer(act: Callable[[], None]) -> None:
    timer = threading.Timer(0, act)
    timer.start()
    timer.join()


def in_a_pool(act: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(act).result()


def on_a_loop(act: Callable[[], None]) -> None:
    """A loop of the job's own, in a thread where there is one already, and its pool."""

    async def both() -> None:
        await asyncio.get_running_loop().run_in_executor(None, act)

    in_a_thread(lambda: asyncio.run(both()))


PLACES: dict[str, Callable[[Callable[[], None]], None]] = {
    one.__name__: one
    for one in (
        *(here, in_a_thread, in_a_thread_of_a_thread, in_a_subclass, in_a_timer, in_a_pool),
        on_a_loop,
    )
}


def everything(mark: str) -> None:
    """Each way in each place."""
    for way, place in itertools.product(WAYS, PLACES):
        PLACES[place](lambda way=way, place=place: WAYS[way](f"<{mark} {way} {place}>"))  # type: ignore[misc]


def missing(log: str, mark: str) -> list[str]:
    """What is not in a log that should be, or is of another job."""
    own = [f"<{mark} {way} {place}>" for way, place in itertools.product(WAYS, PLACES)]
    others = [line for line in log.splitlines() if line.startswith("<") and f"<{mark} " not in line]
    return [text for text in own if text not in log] + others
