"""Resets what libraries keep from one job to the next in a warm worker, and seeds them anew.

Loaded by path in the worker; standard library only. It handles what a job has imported and imports
nothing itself, so that a job that imports nothing pays nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
LIBRARIES = ("numpy", "scipy", "torch", "sklearn")  # they bring thread pools


def seed_anew() -> None:
    """Seed random numbers, so that no job repeats those of the job before."""
    _act(SEEDS)


def take_back() -> None:
    """Reset what `RESETS` names, such as figures, error states and modes of calculation."""
    _act(RESETS)


def _act(actions: dict[str, Callable[[Any], object]]) -> None:
    for name, act in actions.items():
        if name in sys.modules:
            with contextlib.suppress(Exception):  # a job may have changed it, or half imported it
                act(sys.modules[name])


def _numpy(numpy: Any) -> None:
    if numpy.geterr() != NUMPY_ERRORS:
        numpy.seterr(**NUMPY_ERRORS)
    if numpy.geterrcall() is not None:
        numpy.seterrcall(None)


def _pyplot(pyplot: Any) -> None:
    if pyplot.get_fignums():
        pyplot.close("all")


def _torch(torch: Any) -> None:
    if not torch.is_grad_enabled():
        torch.set_grad_enabled(True)


SEEDS: dict[str, Callable[[Any], object]] = {
    "random": lambda random: random.seed(int.from_bytes(os.urandom(16), "little")),
    "numpy.random": lambda random: random.seed(list(memoryview(os.urandom(16)).cast("I"))),
    "torch": lambda torch: torch.manual_seed(int.from_bytes(os.urandom(7), "little")),
}
RESETS: dict[str, Callable[[Any], object]] = {
    "socket": lambda socket: socket.setdefaulttimeout(None),
    "decimal": lambda decimal: decimal.setcontext(decimal.Context()),
    "numpy": _numpy,
    "matplotlib.pyplot": _pyplot,
    "torch": _torch,
}


class ThreadPools:
    """Sizes thread pools of BLAS and OpenMP to the processors that a job may use.

    A library that is loaded later reads the environment; a loaded one is told, if the worker's
    environment has threadpoolctl.
    """

    def __init__(self) -> None:
        self._size: int | None = None

    def resize(self, size: int | None) -> None:
        """Set the size of the pools; None leaves them, as the user has set it."""
        if size == self._size:
            return
        self._size = size
        if size is None or not any(name in sys.modules for name in LIBRARIES):
            return
        with contextlib.suppress(Exception):
            if importlib.util.find_spec("threadpoolctl") is not None:
                importlib.import_module("threadpoolctl").threadpool_limits(size)
        if "torch" in sys.modules:
            with contextlib.suppress(Exception):
                sys.modules["torch"].set_num_threads(size)


class Sources:
    """Finds the files of the user's own modules, which are not installed with the interpreter."""

    def __init__(self, own: str) -> None:
        installed = {sys.prefix, sys.base_prefix, sys.exec_prefix, own}
        self._installed = tuple(os.path.join(folder, "") for folder in installed)
        self._names = set(sys.modules)

    def new(self, begun: float) -> list[tuple[str, tuple[int, ...] | None]]:
        """List files of modules imported since the last call, with the stamps of their content.

        The stamp is None for a file changed after `begun`: what was read of it is not known.
        """
        if len(sys.modules) == len(self._names):
            return []
        found: list[tuple[str, tuple[int, ...] | None]] = []
        for name in sys.modules.keys() - self._names:
            path = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(path, str) and not path.startswith(self._installed):
                with contextlib.suppress(OSError, ValueError):
                    status = os.stat(path)
                    times = status.st_mtime_ns, status.st_ctime_ns
                    stamp = (*times, status.st_size, status.st_ino)
                    is_known = max(times) < begun * 1e9
                    found.append((os.path.abspath(path), stamp if is_known else None))
        self._names = set(sys.modules)
        return found
