"""What a job leaves in its process, or beside it, never reaches the next job."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget import JobQueue, JobStatus
from jobqueue_widget.testing import inspect
from tests.conditions import until
from tests.crash.grief import FAMILY, come_to_grief, live_with_family
from tests.crash.processes import alive, pids_in

SOON = 20.0

# -- processes and threads -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*FAMILY, "no environment, session"])
async def test_processes_that_a_finished_job_left_are_gone_before_its_end_is_told(
    kind: str, tmp_path: Path
) -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(live_with_family, str(tmp_path / "pids"), (kind,), "return")
        pids = await job
        assert not any(map(alive, pids))
        assert "left running" in job.logs()


@pytest.mark.parametrize("kind", [*FAMILY, "no environment, session"])
@pytest.mark.parametrize("end", ["failed", "cancelled", "timed out"])
async def test_processes_of_a_job_that_failed_or_stopped_are_gone_before_its_end_is_told(
    end: str, kind: str, tmp_path: Path
) -> None:
    note = tmp_path / "pids"
    async with JobQueue() as queue:
        then = "error" if end == "failed" else "sleep"
        target = queue.options(timeout=1.0) if end == "timed out" else queue
        job = target.submit_nowait(live_with_family, str(note), (kind,), then)
        await until(note.exists)
        if end == "cancelled":
            job.cancel()
        await queue.wait_for_job(job, timeout=SOON)
        assert job.status is (JobStatus.cancelled if end == "cancelled" else JobStatus.failed)
        assert not any(map(alive, pids_in(note)))
        assert await queue.submit_nowait(pow, 2, 3) == 8


@pytest.mark.parametrize("kind", [*FAMILY, "no environment, session"])
async def test_processes_of_a_forced_job_are_gone_when_its_end_is_told(
    kind: str, tmp_path: Path
) -> None:
    note = tmp_path / "pids"
    async with JobQueue() as queue:
        job = queue.submit_nowait(live_with_family, str(note), (kind,), "sleep")
        await until(note.exists)
        await queue.cancel(job, force=True)
        await queue.wait_for_job(job, timeout=SOON)
        assert not any(map(alive, pids_in(note)))


@pytest.mark.parametrize("kind", FAMILY)
async def test_processes_of_a_job_whose_worker_died_are_gone_when_its_end_is_told(
    kind: str, tmp_path: Path
) -> None:
    note = tmp_path / "pids"
    async with JobQueue() as queue:
        job = queue.submit_nowait(live_with_family, str(note), (kind,), "kill -9")
        await queue.wait_for_job(job, timeout=SOON)
        assert "SIGKILL" in str(job.error)
        assert not any(map(alive, pids_in(note)))


async def test_a_thread_left_behind_costs_its_worker() -> None:
    def body() -> int:
        threading.Thread(target=time.sleep, args=(60,)).start()
        return os.getpid()

    async with JobQueue() as queue:
        pid = await queue.submit_nowait(body)
        assert not alive(pid)
        assert await queue.submit_nowait(os.getpid) != pid


async def test_a_forked_copy_of_the_job_that_returns_changes_nothing() -> None:
    def body() -> str:
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return "parent" if pid else "child"

    async with JobQueue() as queue:
        for _ in range(5):
            job = queue.submit_nowait(body)
            after = queue.submit_nowait(pow, 2, 3)
            assert await job == "parent"
            assert await after == 8
        assert inspect(queue).faults.bugs == 0


# -- the process itself ----------------------------------------------------------------------------


def look_around() -> dict[str, Any]:
    """What a job can see of what another may have changed."""
    import decimal
    import gc
    import locale
    import logging
    import resource
    import socket
    import warnings

    import numpy

    print("looking")
    sys.stderr.write("around\n")
    os.write(1, b"here\n")
    umask = os.umask(0)
    os.umask(umask)
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR2", "SIGCHLD", "SIGPIPE")
    return {
        "folder": os.getcwd(),
        "environment": {k: v for k, v in os.environ.items() if not k.startswith("JOBQUEUE_")},
        "seen by children": subprocess.run(
            ["/bin/sh", "-c", "echo $LEFT"], capture_output=True, text=True, check=True
        ).stdout,
        "path": list(sys.path),
        "argv": list(sys.argv),
        "recursion limit": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "handlers": {name: str(signal.getsignal(getattr(signal, name))) for name in names},
        "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "memory": resource.getrlimit(resource.RLIMIT_AS),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "umask": umask,
        "garbage": gc.isenabled(),
        "clock": time.strftime("%z"),
        "warnings": [entry[0] for entry in warnings.filters if entry[2] is Warning],
        "logging": logging.root.manager.disable,
        "socket": socket.getdefaulttimeout(),
        "calculation": (numpy.geterr(), numpy.geterrcall(), decimal.getcontext().prec),
        "traced": (sys.gettrace(), sys.getprofile()),
        "hooks": (sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__),
        "niceness": os.nice(0),
        "locale": locale.setlocale(locale.LC_ALL),
        "streams": (sys.stdin is None, sys.stdout.encoding, sys.stderr.encoding),
    }


def changes_the_environment() -> None:
    os.environ["LEFT"] = "over"
    os.environ.pop("PATH")


def replaces_the_environment() -> None:
    os.environ = {"LEFT": "over"}  # type: ignore[assignment] # noqa: B003


def replaces_the_lists() -> None:
    sys.path = ("/nowhere",)  # type: ignore[assignment]
    sys.argv = None  # type: ignore[assignment]


def replaces_the_streams() -> None:
    sys.stdout.close()
    sys.stdin = sys.stdout = sys.stderr = None


def closes_the_standard_ones() -> None:
    for fd in (0, 1, 2):
        os.close(fd)
    with suppress(OSError):
        print("to nowhere")


def sends_its_output_elsewhere() -> None:
    print("begun", end="")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - on purpose
    os.close(2)


def removes_its_folder() -> None:
    import shutil
    import tempfile

    folder = tempfile.mkdtemp()
    os.chdir(folder)
    shutil.rmtree(folder)


def limits_the_stack() -> None:
    sys.setrecursionlimit(60)


def keeps_the_interpreter() -> None:
    sys.setswitchinterval(1000)


def handles_signals() -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPIPE"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda *_: come_to_grief("error"))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)


def blocks_every_signal() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def limits_its_memory() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (1 << 34, 1 << 34))
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))


def limits_its_memory_for_good() -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)  # root could raise a hard limit again
    limits_its_memory()


def changes_small_switches() -> None:
    import gc

    gc.disable()
    os.umask(0o777)


def closes_what_it_can() -> None:
    os.closerange(3, 50)


def breaks_the_tools() -> None:
    import json
    import logging
    import pickle

    json.dumps = pickle.dumps = pickle.loads = logging.getLogger = None  # type: ignore[assignment]
    os.write = os.read = os.getcwd = time.monotonic = None  # type: ignore[assignment]


def breaks_the_builtins() -> None:
    import builtins

    for name in ("open", "len", "isinstance", "getattr", "print", "min", "set"):
        setattr(builtins, name, None)


def empties_the_module_table() -> None:
    for name in list(sys.modules):
        if name not in ("builtins", "sys"):
            del sys.modules[name]


def leaves_a_bomb() -> None:
    import atexit

    atexit.register(come_to_grief, "kill -9")
    atexit.register(come_to_grief, "error")


def traces() -> None:
    sys.settrace(lambda *_: come_to_grief("error"))
    threading.settrace(lambda *_: come_to_grief("error"))


async def test_random_numbers_of_a_job_are_no_repetition_of_another_s() -> None:
    """Whatever was seeded before; in a process of its own a job may seed as it likes."""

    def draws(seed: int | None) -> tuple[float, float]:
        import random

        import numpy

        if seed is not None:
            random.seed(seed)
            numpy.random.seed(seed)
        return random.random(), float(numpy.random.random())

    async with JobQueue() as queue:
        seeded = [await queue.submit_nowait(draws, 7) for _ in range(2)]
        assert len(set(seeded)) == 1
        free = [await queue.submit_nowait(draws, None) for _ in range(20)]
        assert len({number for pair in free for number in pair}) == 40


async def test_filters_of_warnings_that_an_imported_module_has_set_stay_with_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "quiet.py").write_text(
        "import warnings\nwarnings.filterwarnings('ignore', message='known')\n"
    )

    def imports() -> None:
        import importlib
        import warnings

        sys.path.insert(0, str(tmp_path))
        importlib.import_module("quiet")
        warnings.simplefilter("ignore")

    def warns() -> None:
        import warnings

        warnings.warn("known", stacklevel=1)
        warnings.warn("news", stacklevel=1)

    async with JobQueue() as queue:
        await queue.submit_nowait(imports)
        job = queue.submit_nowait(warns)
        await job
        assert "news" in job.logs()
        assert "known" not in job.logs()


def moves_the_clock() -> None:
    os.environ["TZ"] = "IST-5:30"
    time.tzset()


def silences_and_shouts() -> None:
    import logging
    import warnings

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error")
    warnings.showwarning = None  # type: ignore[assignment]


def calculates_in_its_own_way() -> None:
    import decimal
    import locale

    import numpy

    numpy.seterr(all="raise")
    numpy.seterrcall(lambda *_: come_to_grief("error"))
    decimal.getcontext().prec = 2
    locale.setlocale(locale.LC_ALL, "C.UTF-8")


def waits_for_no_one() -> None:
    import socket

    socket.setdefaulttimeout(0.001)


def hooks_itself_in() -> None:
    sys.excepthook = lambda *_: come_to_grief("error")
    sys.displayhook = lambda _: come_to_grief("error")
    sys.setprofile(lambda *_: None)
    threading.setprofile(lambda *_: None)


def stands_back() -> None:
    os.nice(5)


def stands_back_for_good() -> None:
    os.nice(5)
    if os.geteuid() == 0:
        os.seteuid(65534)  # root could come forward again


@pytest.mark.parametrize(
    "act",
    [
        moves_the_clock,
        silences_and_shouts,
        calculates_in_its_own_way,
        waits_for_no_one,
        hooks_itself_in,
        stands_back,
        stands_back_for_good,
        changes_the_environment,
        replaces_the_environment,
        replaces_the_lists,
        replaces_the_streams,
        closes_the_standard_ones,
        sends_its_output_elsewhere,
        removes_its_folder,
        limits_the_stack,
        keeps_the_interpreter,
        handles_signals,
        blocks_every_signal,
        limits_its_memory,
        limits_its_memory_for_good,
        changes_small_switches,
        closes_what_it_can,
        breaks_the_tools,
        breaks_the_builtins,
        empties_the_module_table,
        leaves_a_bomb,
        traces,
    ],
    ids=lambda act: act.__name__,
)
async def test_a_job_that_damages_its_process_harms_no_other_job(act: Callable[[], None]) -> None:
    async with JobQueue() as queue:
        before = await queue.submit_nowait(look_around)
        job = queue.submit_nowait(act)
        after, asked = queue.submit_nowait(look_around), queue.submit_nowait(time.sleep, 60)
        await queue.wait_for_job(job, timeout=SOON)
        assert job.status is JobStatus.completed or job.error
        assert await after == before
        assert after.logs() == "looking\naround\nhere\n"
        await until(lambda: asked.status is JobStatus.running and asked.phase is None)
        await asyncio.sleep(0.05)
        assert asked.cancel()
        await queue.wait_for_job(asked, timeout=SOON)
        assert asked.status is JobStatus.cancelled
        assert asked.failure is not None
        assert asked.failure.signal_name is None, "it heard the request, nobody had to force it"
