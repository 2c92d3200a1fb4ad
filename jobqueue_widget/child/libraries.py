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
    """Seed random numbers, so that no job repeats those of the job before; reset `SWITCHES`."""
    _act(SEEDS)
    _act(SWITCHES)


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


def _decimal(decimal: Any) -> None:
    default = decimal.DefaultContext  # which every new context is a copy of
    default.prec, default.rounding, default.capitals, default.clamp = 28, "ROUND_HALF_EVEN", 1, 0
    default.Emin, default.Emax = -999999, 999999
    traps = (decimal.DivisionByZero, decimal.Overflow, decimal.InvalidOperation)
    for signal in default.traps:
        default.traps[signal] = signal in traps
    decimal.setcontext(decimal.Context())


def _faulthandler(faulthandler: Any) -> None:
    faulthandler.cancel_dump_traceback_later()
    for number in range(1, 32):
        with contextlib.suppress(ValueError, RuntimeError):  # those of `enable` stay
            faulthandler.unregister(number)


def _tempfile(tempfile: Any) -> None:
    if tempfile.tempdir is None or tempfile.tempdir is _found_folder[0]:
        return
    told = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    if tempfile.tempdir != next(filter(None, told), "/tmp"):
        tempfile.tempdir = None  # found anew
    _found_folder[0] = tempfile.tempdir


def _tracemalloc(tracemalloc: Any) -> None:
    if tracemalloc.is_tracing():
        tracemalloc.stop()


def _torch(torch: Any) -> None:
    if not torch.is_grad_enabled():
        torch.set_grad_enabled(True)


_found_folder: list[Any] = [None]
SEEDS: dict[str, Callable[[Any], object]] = {
    "random": lambda random: random.seed(int.from_bytes(os.urandom(16), "little")),
    "numpy.random": lambda random: random.seed(list(memoryview(os.urandom(16)).cast("I"))),
    "torch": lambda torch: torch.manual_seed(int.from_bytes(os.urandom(7), "little")),
}
SWITCHES: dict[str, Callable[[Any], object]] = {
    "socket": lambda socket: socket.setdefaulttimeout(None),
    "decimal": _decimal,
    "faulthandler": _faulthandler,
    "tempfile": _tempfile,
    "tracemalloc": _tracemalloc,
    "multiprocessing": lambda module: module.set_start_method(None, force=True),
    "asyncio.events": lambda events: setattr(events, "_event_loop_policy", None),
}
RESETS: dict[str, Callable[[Any], object]] = {
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
