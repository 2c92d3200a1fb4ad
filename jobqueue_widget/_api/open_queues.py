"""Knows the queues of this process by their journals, so that each journal has one."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from .._persistence.restore import OnRestore, attach, journal_of
from ..errors import QueueExistsError

if TYPE_CHECKING:
    from .journaled import Journaled
    from .submission import Submission

_queues: weakref.WeakValueDictionary[str, Journaled] = weakref.WeakValueDictionary()
_lock = threading.RLock()


def queue_of(journal: object) -> Journaled | None:
    """Return the queue that has this journal and was not closed, or None."""
    with _lock:
        queue = _queues.get(journal_of(journal).place)
        return None if queue is None or queue._engine.life.phase == "closed" else queue


def give_journal(
    queue: Journaled, submission: Submission, given: object, on_restore: OnRestore
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
        attach(queue._engine, submission, journal, on_restore)
        if journal.place:
            _queues[journal.place] = queue
