"""What jobs of the contract do, written once, and how each kind of place runs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from jobqueue_widget import JobCancelled, current_job
from jobqueue_widget.testing import FakePlugin

BEAT = 0.005  # seconds between two signs of life


class Stopped(Exception):
    """How a plugin answers a request to stop."""


class Unspeakable(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


class OnItsOwn(BaseException):
    """Passes every `except Exception`."""


ERRORS: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("as it was told"),
    "KeyError": lambda: KeyError(""),
    "Unspeakable": lambda: Unspeakable(),
    "StopIteration": lambda: StopIteration(1),
    "CancelledError": lambda: asyncio.CancelledError(),
    "GeneratorExit": lambda: GeneratorExit(),
    "OnItsOwn": lambda: OnItsOwn("so it is"),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": lambda: KeyboardInterrupt(),
}
ODD_PROGRESS = {
    "nan": float("nan"),
    "inf": float("inf"),
    "below": -0.5,
    "unknown": -1,
    "above": 7,
    "text": "half",
    "none": None,
    "fine": 0.25,
}
TOLD = (0.25, "told while it runs")


class Hand(Protocol):
    """What a body may do, wherever it runs."""

    def report(self, fraction: object, message: str) -> None: ...
    def log(self, text: str) -> None: ...
    def pause(self) -> None: ...
    def checkpoint(self) -> None: ...


# -- the bodies ----------------------------------------------------------------------------------


def echo(hand: Hand, value: object = None) -> object:
    return value


def fail(hand: Hand, name: str) -> None:
    raise ERRORS[name]()


def fail_once(hand: Hand, folder: str) -> str:
    if begin(folder) == 1:
        raise ValueError("the first time")
    return "the second time"


def report_and_fail(hand: Hand, name: str) -> None:
    hand.report(ODD_PROGRESS[name], f"said {name}")
    raise ValueError("so that the report stays")


def measure(hand: Hand, folder: str, steps: int, peak: int) -> str:
    """The first attempt measures something else, and fails."""
    if begin(folder) == 1:
        current_job().report(loss=-5.0, first=1)
        raise ValueError("the first time")
    for step in range(steps):
        current_job().report(step=step, loss=9.0 if step == peak else step / steps)
    current_job().report(step=steps, odd=float("inf"), text="text")
    while not released(folder):
        hand.pause()
        current_job().report()  # what was held back, too
    return "measured"


def say(hand: Hand, text: str) -> None:
    hand.log(text)


def mark(hand: Hand, folder: str, text: str) -> None:
    with open(Path(folder) / "marks", "a") as file:
        file.write(f"{text} ")


def listen(hand: Hand, folder: str) -> str:
    begin(folder)
    while not released(folder):
        beat(folder)
        hand.pause()
        hand.checkpoint()
    return "released"


def cut_short(hand: Hand, folder: str) -> str:
    begin(folder)
    try:
        while not released(folder):
            beat(folder)
            hand.pause()
            hand.checkpoint()
    except (JobCancelled, Stopped):  # of a worker's process it may come anywhere
        return "a part"
    return "all"


def ignore(hand: Hand, folder: str) -> str:
    begin(folder)
    while True:
        try:
            while not released(folder):
                beat(folder)
                hand.pause()
            return "released"
        except JobCancelled:
            continue


def tell(hand: Hand, folder: str) -> str:
    hand.report(*TOLD)
    hand.log(TOLD[1])
    return ignore(hand, folder)


def signalled(hand: Hand, folder: str) -> str:
    """Waits where no exception reaches it; three callbacks, of which one raises and one is gone."""
    heard = register_signals(folder)
    begin(folder)
    while not heard.is_set():
        with contextlib.suppress(JobCancelled):
            beat(folder)
            hand.pause()
    while any(thread.name == "jobqueue-cancel-signal" for thread in threading.enumerate()):
        with contextlib.suppress(JobCancelled):  # what they say after the end is nobody's
            hand.pause()
    return "what there was"


def register_signals(folder: str) -> threading.Event:
    heard, job = threading.Event(), current_job()

    def called(name: str) -> None:
        mark(FunctionHand(), folder, f"{name}-{current_job().id == job.id}")

    def last() -> None:
        called("again")
        heard.set()

    job.cancel_signal_to(lambda: 1 // 0)
    with job.cancel_signal_to(lambda: called("after its block")):
        job.cancel_signal_to(lambda: called("taken back"))()

    def first() -> None:
        called("called")
        job.cancel_signal_to(last)  # it has been asked already

    job.cancel_signal_to(first)
    return heard


BODIES: dict[str, Callable[..., Any]] = {
    body.__name__: body
    for body in (
        *(
            echo,
            fail,
            fail_once,
            report_and_fail,
            measure,
            say,
            mark,
            listen,
            cut_short,
            ignore,
            tell,
        ),
        signalled,
    )
}


# -- signs of life, in files: a body may run in another process ----------------------------------


def begin(folder: str) -> int:
    """Say who runs it; returns how often it has begun."""
    with open(Path(folder) / "began", "a") as file:
        file.write(f"{os.getpid()}\n")
    return times_begun(folder)


def times_begun(folder: str | Path) -> int:
    return len(pids(folder))


def pids(folder: str | Path) -> list[int]:
    path = Path(folder) / "began"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def beat(folder: str) -> None:
    with open(Path(folder) / "beats", "a") as file:
        file.write(".")


def beats(folder: str | Path) -> int:
    path = Path(folder) / "beats"
    return path.stat().st_size if path.exists() else 0


def release(folder: str | Path) -> None:
    (Path(folder) / "released").touch()


def released(folder: str) -> bool:
    return (Path(folder) / "released").exists()


def marks(folder: str | Path) -> list[str]:
    path = Path(folder) / "marks"
    return path.read_text().split() if path.exists() else []


# -- the places ----------------------------------------------------------------------------------


class FunctionHand:
    """In a thread, a worker process or a coroutine: through `current_job()`."""

    def report(self, fraction: object, message: str) -> None:
        current_job().report(fraction, message)

    def log(self, text: str) -> None:
        current_job().log(text)

    def pause(self) -> None:
        time.sleep(BEAT)

    def checkpoint(self) -> None:
        current_job().checkpoint()


def in_function(name: str, *args: Any) -> Any:
    return BODIES[name](FunctionHand(), *args)


async def in_coroutine(name: str, *args: Any) -> Any:
    if name == "tell":
        current_job().report(*TOLD)
        current_job().log(TOLD[1])
    if name == "signalled":
        heard = register_signals(args[0])
        return await _until_released(name, args[0], until=heard.is_set)
    if name in ("listen", "cut_short", "ignore", "tell"):
        return await _until_released(name, args[0])
    return in_function(name, *args)


async def _until_released(name: str, folder: str, until: Callable[[], bool] | None = None) -> str:
    begin(folder)
    while not (until() if until else released(folder)):
        beat(folder)
        try:
            await asyncio.sleep(BEAT)
        except asyncio.CancelledError:
            if name == "listen":
                raise
            if name == "cut_short":
                return "a part"
    return "released"


class PluginHand:
    """In a plugin of our fake host."""

    def __init__(self, plugin: FakePlugin) -> None:
        self._plugin = plugin
        self.report = plugin.report
        self.log = plugin.log

    def pause(self) -> None:
        self._plugin.pause(BEAT)

    def checkpoint(self) -> None:
        if self._plugin.cancel_requested:
            raise Stopped("as asked")


def in_plugin(plugin: FakePlugin, name: str, *args: Any) -> Any:
    return BODIES[name](PluginHand(plugin), *args)


class ReferenceHand:
    """In a worker of the reference manager, which hears nothing while it executes."""

    def __init__(self, plugin: Any) -> None:
        self.report = plugin.report_progress

    def log(self, text: str) -> None:
        print(text, flush=True)

    def pause(self) -> None:
        time.sleep(BEAT)

    def checkpoint(self) -> None:
        """Nobody can ask."""


def in_worker_of_the_reference(plugin: Any, name: str, *args: Any) -> Any:
    return BODIES[name](ReferenceHand(plugin), *args)
