"""The executors that the contract holds for, and what each of them claims to be able to do."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jobqueue_widget import JobQueue
from jobqueue_widget.compat.cjm.executor import PluginHostExecutor
from jobqueue_widget.executors.coroutine import CoroutineExecutor
from jobqueue_widget.executors.dask.executor import DaskExecutor
from jobqueue_widget.executors.futures.executor import FuturesExecutor
from jobqueue_widget.executors.plugin_launching import LaunchingHostExecutor
from jobqueue_widget.executors.process import ProcessExecutor
from jobqueue_widget.executors.ray.executor import RayExecutor
from jobqueue_widget.executors.thread import ThreadExecutor
from jobqueue_widget.protocols import Executor
from jobqueue_widget.testing import FakePluginHost
from tests.conditions import until
from tests.contract import bodies
from tests.own_manager import own_manager
from tests.reference import load, reference_manager

ONE_LANE = {"max_running": 1}  # not as many as there are places
Call = tuple[Any, ...]  # what follows `submit(`: a target and its arguments


@dataclass(frozen=True)
class Subject:
    """One kind of executor. The flags are its claims; each is put to the test."""

    name: str
    make: Callable[[], Executor]
    make_queue: Callable[..., JobQueue]
    target: Callable[[int], Call]  # of the n-th place that can be at work at the same time
    wrong: Call  # what cannot be run
    refused: dict[str, object] = field(default_factory=dict)  # keywords `prepare` refuses
    listens: bool = True  # a request to stop reaches the body
    can_kill: bool = True
    in_kernel: bool = False  # the body runs in this process
    free_of_the_loop: bool = True  # works while the queue's loop is blocked
    knows_the_job: bool = True  # `current_job()` is the job in the body
    heard: bool = True  # what it reports and logs is known here while it runs
    names_errors: bool = True  # the class of an exception gets as far as the queue
    reads_any_progress: bool = True  # what is no number gets as far as the queue

    def call(self, body: str, *args: object, place: int = 0) -> Call:
        """The body, in one of its places."""
        return (*self.target(place), body, *args)

    def queue(self, **settings: Any) -> JobQueue:
        """A new queue that runs the calls here."""
        return self.make_queue(**settings)


@contextmanager
def coroutines(folder: Path) -> Iterator[Subject]:
    yield Subject(
        "coroutine",
        CoroutineExecutor,
        JobQueue,
        target=lambda place: (bodies.in_coroutine,),
        wrong=(bodies.in_coroutine,),
        can_kill=False,
        in_kernel=True,
        free_of_the_loop=False,
    )


@contextmanager
def threads(folder: Path) -> Iterator[Subject]:
    yield Subject(
        "thread",
        ThreadExecutor,
        lambda **settings: JobQueue(executor="thread", **settings),
        target=lambda place: (bodies.in_function,),
        wrong=(bodies.in_function,),
        can_kill=False,
        in_kernel=True,
    )


@contextmanager
def processes(folder: Path) -> Iterator[Subject]:
    yield Subject(
        "process",
        ProcessExecutor,
        JobQueue,
        target=lambda place: (bodies.in_function,),
        wrong=(bodies.in_function,),
        refused={"file": sys.stdout},
    )


def futures(name: str, pool: Any) -> Subject:
    """Jobs on the pool of a library, which cannot stop what runs."""
    return Subject(
        name,
        lambda: FuturesExecutor(pool),
        lambda **settings: JobQueue(executor=FuturesExecutor(pool), **(ONE_LANE | settings)),
        target=lambda place: (bodies.in_function,),
        wrong=(bodies.in_function,),
        refused={"file": sys.stdout},
        can_kill=False,
    )


@contextmanager
def process_pool(folder: Path) -> Iterator[Subject]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(time.sleep, [0.05] * 4))  # its processes are there
        yield futures("ProcessPoolExecutor", pool)


@contextmanager
def thread_pool(folder: Path) -> Iterator[Subject]:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(time.sleep, [0.05] * 4))
        subject = futures("ThreadPoolExecutor", pool)
        yield replace(subject, in_kernel=True)


@contextmanager
def loky(folder: Path) -> Iterator[Subject]:
    from loky.process_executor import ProcessPoolExecutor as LokyPool

    with LokyPool(2) as pool:
        list(pool.map(time.sleep, [0.05] * 4))
        yield futures("loky ProcessPoolExecutor", pool)


ENGINES: dict[str, Any] = {}
"""The client of each engine that was started for this session."""


@contextmanager
def dask(folder: Path) -> Iterator[Subject]:
    client = ENGINES["dask"]
    yield Subject(
        "dask",
        lambda: DaskExecutor(client),
        lambda **settings: JobQueue(executor=DaskExecutor(client), **(ONE_LANE | settings)),
        target=lambda place: (bodies.in_function,),
        wrong=(bodies.in_function,),
        refused={"file": sys.stdout},
    )


@contextmanager
def ray(folder: Path) -> Iterator[Subject]:
    yield Subject(
        "ray",
        RayExecutor,
        lambda **settings: JobQueue(executor=RayExecutor(), **(ONE_LANE | settings)),
        target=lambda place: (bodies.in_function,),
        wrong=(bodies.in_function,),
        refused={"file": sys.stdout},
    )


@contextmanager
def fake_host(folder: Path) -> Iterator[Subject]:
    host = FakePluginHost(one=bodies.in_plugin, two=bodies.in_plugin)
    yield Subject(
        "plugin of a fake host",
        lambda: PluginHostExecutor(host),
        lambda **settings: JobQueue(host, **settings),
        target=lambda place: (("one", "two")[place % 2],),
        wrong=("no-such-plugin",),
        knows_the_job=False,
        heard=False,
    )


@contextmanager
def reference(folder: Path) -> Iterator[Subject]:
    with reference_manager(folder, plugins=["workload"]) as manager:

        def target(place: int) -> Call:
            if place % 2 and manager.get_plugin("monitor") is None:
                load(manager, "monitor")
            return (("workload", "monitor")[place % 2], "body")

        yield Subject(
            "plugin of the reference manager",
            lambda: PluginHostExecutor(manager),
            lambda **settings: JobQueue(manager, **settings),
            target=target,
            wrong=("no-such-plugin",),
            refused={"self": 1},
            knows_the_job=False,
            listens=False,
            heard=False,
            names_errors=False,
            reads_any_progress=False,
        )


@contextmanager
def own(folder: Path) -> Iterator[Subject]:
    with own_manager(folder) as manager:
        yield Subject(
            "plugin of our manager",
            lambda: LaunchingHostExecutor(manager),
            lambda **settings: JobQueue(manager, **settings),
            target=lambda place: (("workload", "monitor")[place % 2], "function"),
            wrong=("no-such-plugin",),
            refused={"file": sys.stdout},
        )


SUBJECTS: dict[str, Callable[[Path], AbstractContextManager[Subject]]] = {
    "coroutine": coroutines,
    "thread": threads,
    "process": processes,
    "process-pool": process_pool,
    "thread-pool": thread_pool,
    "loky": loky,
    "dask": dask,
    "ray": ray,
    "fake-host": fake_host,
    "reference-manager": reference,
    "own-manager": own,
}

ON_WINDOWS = ("coroutine", "thread", "process", "thread-pool", "fake-host", "own-manager")
"""Those that run in Wine, where `multiprocessing` hangs, with what `.ci/make-wine` installs."""


async def until_beating(folder: Path) -> None:
    """Until the body shows signs of life, or further ones."""
    before = bodies.beats(folder)
    await until(lambda: bodies.beats(folder) > before + 2, 60)  # Wine may start a process in 20 s
