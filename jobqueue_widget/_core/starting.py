"""Starts that fail through no fault of the job: whose matter that is, and how often it is tried."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING

from . import effects as fx
from .ending import Out, again, arm, end, free_lane, wait_again
from .jobs import FAILED, BlockReason, JobFailure, JobRecord

if TYPE_CHECKING:
    from .state import QueueState

STARTS = 5  # of one attempt that fail so, one after the other: then the job has failed
IN_A_ROW = 2  # jobs that have failed so: then the queue pauses
LONGEST_WAIT = 30.0


def wait_seconds(count: int) -> float:
    """Seconds that a lane waits after so many failed starts of one attempt: 1, 2, 4 … 30."""
    return float(min(LONGEST_WAIT, 2 ** (count - 1)))


def lies_with_the_machine(error: BaseException) -> bool:
    """True for want of descriptors, processes, threads, memory, room or a program that was there.

    Whatever else an exception of a start says is wrong with the job, or with us.
    """
    if isinstance(error, (OSError, MemoryError)):
        return not is_too_much(error)
    return isinstance(error, RuntimeError) and "new thread" in str(error)


def is_too_much(error: BaseException) -> bool:
    """True if the system takes no such arguments and environment, now or later."""
    return isinstance(error, OSError) and error.errno == errno.E2BIG


def reason_of(error: str, seconds: float) -> str:
    """Put into words why a job waits to be started once more."""
    return f"could not be started: {error}; next try after {seconds:g} s"


def start_again_or_fail(state: QueueState, job: JobRecord, failure: JobFailure, out: Out) -> None:
    """Try the same attempt once more; its lane waits with it, for others would fail there, too."""
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
