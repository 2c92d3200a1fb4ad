"""What a kernel that is killed would leave: its journal's files, copied at any moment."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from jobqueue_widget import JobQueue
from jobqueue_widget.testing import inspect


def as_if_killed(journal: Path, number: int = 1) -> Path:
    """A copy of the files as they are; the lock ends with the process, so it is left out."""
    folder = journal.with_name(f"killed-{number}")
    folder.mkdir()
    for suffix in ("", "-wal"):
        source = journal.with_name(journal.name + suffix)
        if source.exists():
            shutil.copy2(source, folder / source.name)
    results = journal.with_name(journal.name + ".results")
    if results.exists():
        shutil.copytree(results, folder / results.name)
    return folder / journal.name


def words_of(found: object) -> str:
    """What a cancelled job, or its record, says of itself: in whichever field a version has it."""
    told = (getattr(found, name, None) for name in ("error", "cancel_reason"))
    return " ".join(text for text in told if text)


@contextlib.contextmanager
def opened(journal: object, **settings: Any) -> Iterator[JobQueue]:
    """A queue that is not started, and whose journal is let go of at the end."""
    queue = JobQueue(journal=journal, **settings)
    try:
        yield queue
    finally:
        let_go(queue)


@contextlib.asynccontextmanager
async def running(journal: object, **settings: Any) -> AsyncIterator[JobQueue]:
    """A started queue; what is pending at the end stays so in its journal."""
    async with JobQueue(journal=journal, **settings) as queue:
        try:
            yield queue
        finally:
            await queue.stop()
            let_go(queue)


def let_go(queue: JobQueue) -> None:
    """Say goodbye as a kernel that ends in order does, without cancelling anything."""
    inside = inspect(queue)
    assert inside.journal is not None
    inside.let_go()
