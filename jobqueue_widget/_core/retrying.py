"""Tries again: attempts that failed, starts that could not be made, work that lacked memory."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Sequence
from dataclasses import replace

from . import effects as fx
from . import events as ev
from .ending import Out, arm, back_off, disarm, end, free_lane, retry_payload, wait_again
from .jobs import FAILED, BlockReason, JobFailure, JobRecord
from .machine.rescue import PATIENCE, Rescue
from .state import QueueState

STARTS = 5  # failed starts of one attempt, after which the job has failed
IN_A_ROW = 2  # jobs that failed so one after the other, after which the queue pauses
LONGEST_WAIT = 30.0
FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
LONGEST_WISH = 3600.0  # seconds that a failure may ask for by its `retry_after`


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
        back_off(state, job, seconds, out)
        out.append(fx.Publish(job, "retrying", retry_payload(job, seconds, failure)))
        return
    free_lane(state, job, out)
    job.failure = replace(failure, message=f"{failure.message} (tried {STARTS} times)")
    end(state, job, FAILED, out)
    state.unstarted_in_a_row += 1
    if state.unstarted_in_a_row >= IN_A_ROW and (state.pause is None or state.in_review):
        state.pause_now(f"{IN_A_ROW} jobs in a row could not be started: {failure.message}")
        out.append(fx.Paused(job))


# -- attempts that failed --------------------------------------------------------------------------


def retry_or_fail(state: QueueState, job: JobRecord, out: Out, idle: tuple[str, ...] = ()) -> None:
    """Let a job try again if it may, after unloading `idle` if it lacked memory; else fail it."""
    rescued = _may_be_rescued(job, idle)
    if not (rescued or _may_be_tried_again(job)):
        end(state, job, FAILED, out)
        return
    seconds = backoff_seconds(job, job.attempt)
    if job.failure is not None and job.failure.retry_after is not None:
        seconds = max(seconds, min(job.failure.retry_after, LONGEST_WISH))
    job.attempt += 1
    job.failed_starts = 0
    wait_again(state, job, out)
    if rescued:
        job.rescue = Rescue(job.attempt, idle)
        job.block_reason = BlockReason(job.rescue.text)
        arm(job, "backoff", PATIENCE, out)  # the unloading may hang
        payload = {**retry_payload(job, 0.0), "unloading": idle}
        out += (fx.MakeRoom(job), fx.Publish(job, "retrying", payload))
        return
    back_off(state, job, seconds, out)
    out.append(fx.Publish(job, "retrying", retry_payload(job, seconds)))


def _may_be_tried_again(job: JobRecord) -> bool:
    options, failure = job.spec.options, job.failure
    if job.attempt > options.retries:
        return False
    return not options.retry_on or (failure is not None and failure.is_any_of(options.retry_on))


def backoff_seconds(job: JobRecord, attempt: int) -> float:
    """Return the seconds before attempt + 1: 1, 2, 4 … 60, or as the job's options say.

    Each is shortened by up to a half, lest all jobs that one outage has failed come back at once.
    """
    options = job.spec.options
    first = FIRST_BACKOFF if options.backoff is None else options.backoff
    longest = max(LONGEST_BACKOFF, first) if options.backoff_max is None else options.backoff_max
    return min(longest, first * 2.0 ** min(attempt - 1, 64)) * chance_of(job, attempt)


def chance_of(job: JobRecord, attempt: int) -> float:
    """Return a half to one, spread evenly over all jobs, and always the same for one attempt."""
    return 1 - zlib.crc32(f"{job.number} {attempt}".encode()) / 2**33


def backoff_over(state: QueueState, event: ev.BackoffOver, out: Out) -> None:
    """Let the next attempt start."""
    job = event.job
    if event.attempt == job.attempt and job.backing_off:
        job.timers &= ~fx.TIMER_BITS["backoff"]
        if job.rescue is not None and not job.rescue.over:
            _room_is_made(state, job, (), out)
            return
        job.backing_off = False
        job.starts_at = None
        if job.lane_taken:  # its start failed, and its lane waited with it
            free_lane(state, job, out)
            job.block_reason = None
        state.order.refile(job)
        out += (fx.Publish(job, "released"), fx.Wake(job))


# -- memory that others may give back --------------------------------------------------------------


def _may_be_rescued(job: JobRecord, idle: Sequence[str]) -> bool:
    """True if a job lacked memory, some can be freed, and it may run again.

    It may with `retries` or `idempotent=True`, and a call of a plugin also if `idempotent` is not
    set, as later versions of the reference system repeat any call of a plugin.
    """
    failure, options = job.failure, job.spec.options
    if not idle or failure is None or not failure.out_of_memory:
        return False
    if job.rescue is not None or job.attempt > options.retries + 1:
        return False
    if job.spec.kind == "plugin" and options.idempotent is not False:
        return True
    return bool(options.retries or options.idempotent)


def room_made(state: QueueState, event: ev.RoomMade, out: Out) -> None:
    """Let the job start again if memory was freed; else the attempt before was its last."""
    job, rescue = event.job, event.job.rescue
    if event.attempt == job.attempt and rescue is not None and not rescue.over:
        disarm(job, "backoff", out)
        _room_is_made(state, job, event.unloaded, out)


def _room_is_made(state: QueueState, job: JobRecord, unloaded: tuple[str, ...], out: Out) -> None:
    job.rescue = rescue = Rescue(job.attempt, unloaded, over=True)
    job.block_reason = None
    if unloaded:
        job.message = rescue.text
        job.backing_off = False
        state.order.refile(job)
        out += (fx.Publish(job, "released", {"unloaded": unloaded}), fx.Wake(job))
    elif job.attempt > job.spec.options.retries + 1:
        job.attempt -= 1  # the next attempt never began
        end(state, job, FAILED, out)
    else:
        seconds = backoff_seconds(job, job.attempt - 1)
        back_off(state, job, seconds, out)
        out.append(fx.Publish(job, "retrying", retry_payload(job, seconds)))
