"""The queues of this process by their journals."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from .._persistence.restore import OnRestore, attach, journal_of
from ..errors import QueueExistsError

if TYPE_CHECKING:
    from .._runtime.engine import Engine
    from ..queue import JobQueue
    from .submission import Submission

_queues: weakref.WeakValueDictionary[str, JobQueue] = weakref.WeakValueDictionary()
_lock = threading.RLock()


def queue_of(journal: object) -> JobQueue | None:
    """Return the queue that has this journal and was not closed, or None."""
    with _lock:
        queue = _queues.get(journal_of(journal).place)
        return None if queue is None or queue._engine.life.phase == "closed" else queue


def give_journal(
    queue: JobQueue,
    engine: Engine,
    submission: Submission,
    given: object,
    on_restore: OnRestore,
) -> None:
    """Give a journal to a new queue.

    Raises:
        QueueExistsError: another queue of this process has it.
        JournalError: it cannot be used.

    """
    journal = journal_of(given)
    with _lock:
        if queue_of(journal) is not None:
            raise QueueExistsError(
                f"a queue of this kernel has the journal {journal.place!r} already; "
                f"JobQueue.open({journal.place!r}) gives that queue, and makes one if there is none"
            )
        attach(engine, submission, journal, on_restore)
        if journal.place:
            _queues[journal.place] = queue
