"""Knows who draws a queue in a notebook; is told, so that this layer imports no widget."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from ..protocols import DisplayProvider

Hear = Callable[[], AbstractContextManager[object] | None]

_loaders: list[Callable[[], DisplayProvider]] = []
_hearers: list[Hear] = []


def register(load: Callable[[], DisplayProvider]) -> None:
    """Say how to get the provider; it is loaded at the first display."""
    _loaders[:] = [load]


def provider() -> DisplayProvider:
    """Return the registered provider, loaded at its first use."""
    return _loaders[0]()


def register_hearing(hear: Hear) -> None:
    """Say what keeps pages heard while a cell waits; told when there is a page to hear."""
    _hearers[:] = [hear]


def hearing() -> AbstractContextManager[object] | None:
    """Return the context in which a wait answers pages; None where that needs nothing."""
    return _hearers[0]() if _hearers else None
