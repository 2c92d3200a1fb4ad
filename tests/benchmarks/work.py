"""What the jobs of the benchmarks do. Every system finds these by their module and name.

A new worker imports this file before its first job: it imports nothing that takes time.
"""

from __future__ import annotations

import os
import sys
import time


def nothing(*args: object) -> None:
    """The least a job can do."""


async def nothing_async(*args: object) -> None:
    """The same as a coroutine."""


def as_large(data: bytes) -> bytes:
    """Gives back another value of that size."""
    return bytes(len(data))


def ten_milliseconds() -> None:
    """Sleeps: any system that loses time between two jobs shows it."""
    time.sleep(0.01)


def hang(path: str) -> None:
    """Say which process it is, then do not end for a minute."""
    tell_pid(path)
    time.sleep(60)


def hang_in_c(path: str) -> None:
    """The same in C code that never lets go of the interpreter."""
    import re

    tell_pid(path)
    re.match(r"(a+)+$", "a" * 60 + "b")


def spin(path: str) -> None:
    """The same, busy in pure Python."""
    tell_pid(path)
    number = 0
    while True:
        number += 1


def tell_pid(path: str) -> None:
    """Write it in one step."""
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w") as file:
        file.write(str(os.getpid()))
    os.rename(draft, path)


def bar_seconds(iterations: int) -> float:
    """Seconds that a loop with a progress bar takes; the body does nothing."""
    from tqdm import tqdm

    begin = time.perf_counter()
    for _ in tqdm(range(iterations)):
        pass
    return time.perf_counter() - begin


if __name__ == "__main__":  # the bar without any queue around it
    sys.stdout.write(str(bar_seconds(int(sys.argv[1]))))
