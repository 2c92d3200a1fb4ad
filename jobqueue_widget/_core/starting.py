"""Handles starts that fail through no fault of the job: tries again, then fails it and pauses."""

from __future__ import annotations

import errno
from dataclasses import replace

from . import effects as fx
from .ending import Out, again, arm, end, free_lane, wait_again
from .jobs import FAILED, BlockReason, JobFailure, JobRecord
from .state import QueueState

STARTS = 5  # failed starts of one attempt, after which the job has failed
IN_A_ROW = 2  # jobs that failed so one after the other, after which the queue pauses
LONGEST_WAIT = 30.0


def wait_seconds(count: int) -> float:
    """Return the seconds that a lane waits after `count` failed starts: 1, 2, 4 … 30."""
    return float(min(LONGEST_WAIT, 2 ** (count - 1)))


def lies_with_the_machine(error: BaseException) -> bool:
    """True if descriptors, processes, threads, memory, room or a program are missing.

    Any other exception of a start says that something is wrong with the job, or with us.
    """
    if isinstance(error, (OSError, MemoryError)):
        return not is_too_much(error)
    return isinstance(error, RuntimeError) and "new thread" in str(error)


def is_too_much(error: BaseException) -> bool:
    """True if arguments and environment are too large for the system, now and later."""
    return isinstance(error, OSError) and error.errno == errno.E2BIG


def reason_of(error: str, seconds: float) -> str:
    """Say why a job waits to be started once more."""
    return f"could not be started: {error}; next try after {seconds:g} s"


def start_again_or_fail(state: QueueState, job: JobRecord, failure: JobFailure, out: Out) -> None:
    """Try the same attempt again, with its lane, where other jobs would fail, too; or fail it."""
    job.failed_starts += 1
    if job.failed_starts < STARTS:
        seconds = wait_seconds(job.failed_starts)
        state.running.pop(job.id, None)
        state.resting[job.id] = job
        job.block_reason = BlockReason(reason_of(failure.message, seconds))
        wait_again(state, job, out)
        arm(job, "backoff", seconds, out)
        out.append(fx.Publish(job, "retrying", again(job, seconds, failure)))
        return
    free_lane(state, job, out)
    job.failure = replace(failure, message=f"{failure.message} (tried {STARTS} times)")
    end(state, job, FAILED, out)
    state.unstarted_in_a_row += 1
    if state.unstarted_in_a_row >= IN_A_ROW and state.pause is None:
        state.pause_now(f"{IN_A_ROW} jobs in a row could not be started: {failure.message}")
        out.append(fx.Paused(job))
