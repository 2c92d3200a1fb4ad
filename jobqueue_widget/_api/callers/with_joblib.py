"""Offers joblib a queue as its backend "jobqueue", which is loaded when it is first used."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ...errors import InvalidOptionError, MissingExtraError
from ..control import OptionsView

NAME = "jobqueue"


def offer() -> None:
    """Let joblib know the backend, now or as soon as it is imported. Quick: imports nothing."""
    register = getattr(sys.modules.get("joblib"), "register_parallel_backend", None)
    if register is not None:
        register(NAME, make)
    elif _WATCH not in sys.meta_path:
        sys.meta_path.insert(0, _WATCH)


class _Watch:
    """A finder that lets others find joblib, and notices that it is imported. Then it leaves."""

    def __init__(self) -> None:
        self._asks = False

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """Find joblib as the other finders do; nothing else."""
        if name != "joblib" or self._asks:
            return None
        self._asks = True
        try:
            spec = importlib.util.find_spec(name)
        except ValueError:  # what stands there was not imported in the usual way
            return None
        finally:
            self._asks = False
        loader: Any = None if spec is None else spec.loader
        with contextlib.suppress(AttributeError):  # one of another kind, or of somebody else
            loader.exec_module = functools.partial(self._import, loader.exec_module)
        return spec

    def _import(self, act: Callable[[ModuleType], None], module: ModuleType) -> None:
        act(module)
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        offer()


_WATCH = _Watch()


def make(queue: Any = None, **given: Any) -> Any:
    """Make the backend, as joblib does for `parallel_config(backend="jobqueue", queue=queue)`.

    Raises:
        InvalidOptionError: there is no queue among what was given.
    """
    from .joblib_backend import QueueBackend

    if not isinstance(queue, JoblibBackends):
        raise InvalidOptionError(
            f"the backend {NAME!r} needs a queue, not {type(queue).__name__}: "
            f"parallel_config(backend={NAME!r}, queue=queue)"
        )
    level = given.pop("nesting_level", None)
    return QueueBackend(queue, queue.options(**given), nesting_level=level)


class JoblibBackends:
    """The part of `JobQueue` that is for joblib."""

    def options(self, **options: Any) -> OptionsView:
        """Return the queue with options."""
        raise NotImplementedError

    def joblib_backend(self, **options: Any) -> Any:
        """Return this queue as a backend for joblib: `parallel_config(backend=…)` takes it.

        With `parallel_config(backend="jobqueue", queue=queue)` joblib makes one itself.

        Args:
            options: as in `options`; for the jobs.

        Raises:
            MissingExtraError: joblib is not installed.
            InvalidOptionError: an unknown option or a bad value.
        """
        try:
            import joblib  # noqa: F401 - what its backend needs
        except ImportError as error:
            raise MissingExtraError(
                "joblib is not installed; `pip install jobqueue_widget[joblib]` brings it"
            ) from error
        offer()
        return make(self, **options)
