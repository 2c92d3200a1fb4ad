"""Who listens: what this process and its children have open, for the tests that nothing does."""

from __future__ import annotations

from typing import Any

import psutil


def family() -> list[psutil.Process]:
    """This process and all that it has started."""
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def listening(process: psutil.Process) -> set[Any]:
    """Its sockets that wait for somebody to connect."""
    return {c for c in process.net_connections("all") if c.status == psutil.CONN_LISTEN}


class Listeners:
    """What listens beyond what did when this was made: engines of other tests have ports."""

    def __init__(self) -> None:
        self._before = {process: listening(process) for process in family()}

    def new(self, *more: psutil.Process) -> dict[psutil.Process, set[Any]]:
        """Sockets by process, of this family and of some others."""
        found = {p: listening(p) - self._before.get(p, set()) for p in {*family(), *more}}
        return {process: sockets for process, sockets in found.items() if sockets}
