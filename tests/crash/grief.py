"""Ways in which a job, or an object on its way, comes to grief; what a worker imports for them."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from typing import Any

SLEEPER = ("/bin/sh", "-c", "trap '' HUP INT TERM; echo $$; exec sleep 600")
DAEMON = f"""
import subprocess
child = subprocess.Popen({SLEEPER}, start_new_session=True, stdout=subprocess.PIPE)
print(int(child.stdout.readline()), flush=True)
"""
FAMILY = ("child", "session", "daemon", "fork", "no environment", "closed stdin")


def come_to_grief(how: str) -> None:
    """End, or hang, in this way."""
    if how == "error":
        raise ValueError("on purpose")
    if how == "base exception":
        raise KeyboardInterrupt
    if how == "sys.exit":
        raise SystemExit(3)
    if how == "os._exit":
        os._exit(7)
    if how == "segfault":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "kill -9":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    if how == "in C with the GIL held":
        ctypes.PyDLL(None).sleep(60)
    raise AssertionError(f"still here after {how}")


class WhenPacked:
    """Comes to grief when it is pickled."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        come_to_grief(self.how)


class WhenUnpacked:
    """Comes to grief when it is unpickled."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return come_to_grief, (self.how,)

    def __call__(self) -> None:
        """Never reached: it is also a function that cannot be unpickled."""


def wait_for(path: str) -> str:
    """Until there is such a file."""
    while not os.path.exists(path):
        time.sleep(0.01)
    return path


class WaitsWhenUnpacked:
    """Is unpickled to `path`, once there is such a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return wait_for, (self.path,)


def start_sleeper(**options: Any) -> int:
    """A process that ignores polite signals for ten minutes; its pid."""
    child = subprocess.Popen(SLEEPER, stdout=subprocess.PIPE, **options)
    assert child.stdout is not None
    return int(child.stdout.readline())


def start_one_of_the_family(kind: str) -> int:
    """A process that will not end by itself, started in this way; its pid."""
    if kind == "child":
        return start_sleeper()
    if kind == "session":
        return start_sleeper(start_new_session=True)
    if kind == "no environment":
        return start_sleeper(env={})
    if kind == "closed stdin":
        return start_sleeper(stdin=subprocess.DEVNULL, close_fds=True)
    if kind == "no environment, session":
        return start_sleeper(env={}, start_new_session=True)
    if kind == "daemon":
        out = subprocess.run([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE, check=True)
        return int(out.stdout)
    assert kind == "fork"
    pid = os.fork()
    if not pid:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(600)
        os._exit(0)
    return pid


def live_with_family(path: str, kinds: tuple[str, ...], then: str) -> list[int]:
    """Start them, write all pids down, then "return" or go on as `come_to_grief` says."""
    pids = [start_one_of_the_family(kind) for kind in kinds]
    with open(path + ".new", "w") as file:
        file.write(" ".join(map(str, [os.getpid(), *pids])))
    os.rename(path + ".new", path)
    if then == "sleep":
        time.sleep(600)
    while then == "busy":
        pass
    if then != "return":
        come_to_grief(then)
    return pids


def run_in_a_lane(folder: str, lanes: int, number: int, seconds: float) -> int:
    """Write the number down, once, then hold one of the lanes for a moment.

    A lane is a file lock, which the system takes back when its process has ended, not before.
    """
    gate = os.open(os.path.join(folder, "gate"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(gate, fcntl.LOCK_EX)
    held = [
        os.open(os.path.join(folder, f"lane {n}"), os.O_RDWR | os.O_CREAT) for n in range(lanes)
    ]
    if not any(takes(lane) for lane in held):
        raise AssertionError("more jobs run than there are lanes")
    os.close(gate)
    marks = os.open(os.path.join(folder, "marks"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(marks, f"{number}\n".encode())
    os.close(marks)
    time.sleep(seconds)
    for lane in held:
        os.close(lane)
    return number


def takes(lane: int) -> bool:
    """True if the lock was free, and is ours now."""
    try:
        fcntl.flock(lane, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
