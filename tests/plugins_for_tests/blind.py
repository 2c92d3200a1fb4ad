"""An interpreter on a system that does not list the children of a process: what macOS does."""

from __future__ import annotations

import os
import runpy
import sys

there = os.path.exists


def exists(path: object) -> bool:
    """As there, but for the list."""
    return not str(path).endswith("/children") and there(path)  # type: ignore[arg-type]


if __name__ == "__main__":
    os.path.exists = exists
    if hasattr(os, "waitid"):
        del os.waitid
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
