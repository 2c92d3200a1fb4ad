"""Jobs that leave a mark on the disk when they begin and when they end; imported by kernels too."""

from __future__ import annotations

import os
import random
import time

from jobqueue_widget import JobQueue, current_job


def note(path: str, text: str) -> None:
    """Append one line, in one piece, whatever happens next."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


def work(path: str, seconds: float = 0.0) -> str:
    """In a worker."""
    job = current_job()
    note(path, f"begun {job.id}")
    time.sleep(seconds)
    note(path, f"done {job.id}")
    return str(job.id)


async def work_here(path: str) -> str:
    """On the loop."""
    return work(path)


def submit_and_tell(queue: JobQueue, path: str, dice: random.Random) -> None:
    """One job of some kind, moved, held or cancelled on the way; its id is told once accepted."""
    if dice.random() < 0.5:
        job = queue.submit_nowait(work_here, path)
    else:
        job = queue.submit_nowait(work, path, dice.choice([0.0, 0.0, 0.002, 0.02]))
    note(path, f"accepted {job.id}")
    act = dice.random()
    if act < 0.1:
        queue.move(job, to="top")
    elif act < 0.2:
        queue.hold(job)
        queue.release(job)
    elif act < 0.25:
        if job.cancel():
            note(path, f"cancel {job.id}")
    elif act < 0.3:
        queue.reorder(job, dice.randrange(3))


def tell_ends(queue: JobQueue, path: str) -> None:
    """Tell of each end that somebody who waits is told."""
    queue.subscribe(
        lambda event: (
            note(path, f"told {event.job_id} {event.payload['status']}")
            if event.type == "ended"
            else None
        )
    )
