"""Makes the private folder of a queue for what is too large for a pipe or for memory."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any


def private_folder(keeper: object) -> tuple[Path, weakref.finalize[Any, Any]]:
    """Make a folder (0700), and what removes it: at the latest when `keeper` is collected."""
    import tempfile  # many queues never need it; it brings eleven modules along

    path = Path(tempfile.mkdtemp(prefix="jobqueue-"))
    return path, weakref.finalize(keeper, _remove, path, os.getpid())


def is_empty(path: Path) -> bool:
    """True also if it is gone: what cleans the folder for temporary files removes old ones."""
    try:
        return not any(path.iterdir())
    except OSError:
        return True


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child must not remove what its parent uses
        import shutil  # tempfile has imported it

        shutil.rmtree(path, ignore_errors=True)
