"""Who draws a queue in a notebook; told by the package, so that this layer imports no widget."""

from __future__ import annotations

from collections.abc import Callable

from .protocols import DisplayProvider

_loaders: list[Callable[[], DisplayProvider]] = []


def register(load: Callable[[], DisplayProvider]) -> None:
    """Say how to get the provider; it is loaded at the first display."""
    _loaders[:] = [load]


def provider() -> DisplayProvider:
    """The registered one."""
    return _loaders[0]()
