"""Ways in which a job, or an object on its way, comes to grief; what a worker imports for them."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Any


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
