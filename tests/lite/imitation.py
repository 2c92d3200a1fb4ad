"""Holds claims on Linux, with all taken away that the browser's Python lacks.

`python tests/lite/imitation.py [NAME…]` prints, as JSON, how each has failed ("" if it holds).
"""

from __future__ import annotations

import asyncio
import importlib.abc
import importlib.machinery
import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

ABSENT = {"_posixsubprocess", "fcntl", "mmap", "multiprocessing", "resource", "ssl", "termios"}
LEFT_OUT = {"fastjsonschema", "nest_asyncio2", "psutil", "yaml"}  # by pyproject.toml


class _Absence(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] in ABSENT | LEFT_OUT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def _no_thread(thread: threading.Thread) -> NoReturn:
    raise RuntimeError("can't start new thread")


def _no_process(*_: object) -> NoReturn:
    raise OSError(52, "Function not implemented")


def take_away() -> None:
    """Leave no more than the browser's Python has. What asyncio itself needs is there already."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ABSENT]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Absence())
    sys.platform = "emscripten"
    threading.Thread.start = _no_thread  # type: ignore[assignment, method-assign]
    os.fork = _no_process
    os.posix_spawn = _no_process  # type: ignore[assignment]


if __name__ == "__main__":
    take_away()
    sys.path.insert(0, str(Path(__file__).parent))
    import claims  # type: ignore[import-not-found]  # by its own name, as there

    names = sys.argv[1:] or list(claims.CLAIMS)
    json.dump({name: asyncio.run(claims.hold(name)) for name in names}, sys.stdout)
