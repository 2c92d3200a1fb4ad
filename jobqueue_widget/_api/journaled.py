"""What a queue can do about its journal, and which queue of this process has which one."""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from .._core.machine.learned import RunStats
from .._runtime.engine import Engine
from .._threads.threadless import HAS_THREADS, not_there
from ..errors import QueueExistsError
from .control import Control

if TYPE_CHECKING:
    from .._persistence.orphans import Orphan
    from .._persistence.restore import OnRestore
    from ..protocols import Journal
    from .submission import Submission


class Journaled:
    """The part of `JobQueue` that is about what outlives its kernel."""

    _engine: Engine
    _control: Control

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write all kept jobs as text into a .csv, .json or .jsonl file; secrets are left out.

        `jobqueue_widget.read_journal` gives the same records of a journal, without a queue.

        Raises:
            InvalidOptionError: the ending is none of those.
            OSError: the file cannot be written.
        """
        from .._persistence.export import export

        return export(self._control.all_records(), path)

    def learned(self) -> dict[str, RunStats]:
        """Return what is known of past runs, by the name of the function or plugin.

        Runs, success rate, mean duration in seconds and peaks of memory in MiB; with a journal
        also of earlier kernels. Each configuration of a plugin is counted by itself: its key is the
        plugin's name and a mark of the configuration, as "whisper#9f0c…".
        """
        return self._engine.learning.told()

    # -- what earlier kernels have left --------------------------------------------------------

    def orphans(self) -> list[Orphan]:
        """List processes that earlier kernels of the journal have left running (Linux).

        Those of detached jobs are of another kind: the queue has the jobs. Only one whose job its
        journal has lost, as when an older copy was put back, is listed here.
        """
        if self._engine.recorder is None:
            return []
        from .._persistence import detached, orphans

        return orphans.find_all(self._engine.earlier_runs, detached.lost(self._engine))

    def end_orphans(self) -> int:
        """Kill the processes of `orphans()`, and return how many there were."""
        if self._engine.recorder is None:
            return 0
        from .._persistence import detached, orphans

        count = orphans.end(self._engine.earlier_runs) + detached.end_lost(self._engine)
        self._engine.set_orphans(orphans.sentence(self.orphans()))
        return count


# -- each journal has one queue --------------------------------------------------------------------

_queues: weakref.WeakValueDictionary[str, Journaled] = weakref.WeakValueDictionary()
_lock = threading.RLock()


def queue_of(journal: object) -> Journaled | None:
    """Return the queue that has this journal and was not closed, or None."""
    with _lock:
        queue = _queues.get(_journal_of(journal).place)
        return None if queue is None or queue._engine.life.phase == "closed" else queue


def _journal_of(given: object) -> Journal:
    if not HAS_THREADS:
        raise not_there("journal= cannot be had", "leave journal= out: its jobs end with the page")
    from .._persistence.restore import journal_of

    return journal_of(given)


def give_journal(
    queue: Journaled, submission: Submission, given: object, on_restore: OnRestore
) -> None:
    """Give a journal to a new queue.

    Raises:
        QueueExistsError: another queue of this process has it.
        JournalError: it cannot be used.
    """
    journal = _journal_of(given)
    from .._persistence.restore import attach

    with _lock:
        if queue_of(journal) is not None:
            raise QueueExistsError(
                f"a queue of this kernel has the journal {journal.place!r} already; "
                f"JobQueue.open({journal.place!r}) gives that queue, and makes one if there is none"
            )
        attach(queue._engine, submission, journal, on_restore)
        if journal.place:
            _queues[journal.place] = queue
