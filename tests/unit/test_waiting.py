"""Whoever waits wakes: once, from any thread, with the reason if it cannot happen."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jobqueue_widget._core import events as ev
from jobqueue_widget._core.jobs import JobFailure, JobRecord, Outcome
from jobqueue_widget._core.spec import JobOptions, JobSpec
from jobqueue_widget._runtime.engine import Engine, Settings
from jobqueue_widget._runtime.waiting import Waiter
from jobqueue_widget.errors import QueueIdleError, QueueStoppedError
from tests.conditions import until

WAIT = 10.0


def add(engine: Engine, **options: object) -> JobRecord:
    number, _ = engine.next_number()
    made = JobOptions(**options)  # type: ignore[arg-type]
    job = JobRecord(JobSpec(f"q-{number}", "function", len, "len", options=made), 0, number, 0.0)
    engine.submit([(job, ())])
    return job


def cancel(engine: Engine, job: JobRecord) -> None:
    assert engine.do(ev.CancelRequested(job, False, 3.0, ""))


def settled(waiter: Waiter) -> bool:
    return waiter.wait_blocking(0)


# -- one waiter ----------------------------------------------------------------------------------


def test_a_waiter_that_was_settled_before_does_not_wait() -> None:
    waiter = Waiter()
    assert not settled(waiter)
    waiter.settle()
    assert settled(waiter)
    asyncio.run(asyncio.wait_for(waiter.wait(), WAIT))


def test_only_the_first_settling_counts() -> None:
    waiter = Waiter()
    waiter.settle(QueueStoppedError("first"))
    waiter.settle()
    waiter.settle(ValueError("third"))
    with pytest.raises(QueueStoppedError, match="first"):
        waiter.wait_blocking(WAIT)


async def test_another_thread_wakes_a_coroutine() -> None:
    waiter = Waiter()
    task = asyncio.create_task(waiter.wait())
    await until(lambda: waiter._wake is not None)
    thread = threading.Thread(target=waiter.settle)
    thread.start()
    await asyncio.wait_for(task, WAIT)
    thread.join()


async def test_an_error_is_raised_where_it_is_waited() -> None:
    waiter = Waiter()
    task = asyncio.create_task(waiter.wait())
    await until(lambda: waiter._wake is not None)
    waiter.settle(QueueStoppedError("stopped"))
    with pytest.raises(QueueStoppedError, match="stopped"):
        await asyncio.wait_for(task, WAIT)


def test_a_coroutine_wakes_a_thread() -> None:
    waiter, woke = Waiter(), list[bool]()
    thread = threading.Thread(target=lambda: woke.append(waiter.wait_blocking(WAIT)))
    thread.start()
    waiter.settle()
    thread.join()
    assert woke == [True]


def test_settling_races_with_waiting_and_loses_nobody() -> None:
    for _ in range(300):
        waiter, barrier = Waiter(), threading.Barrier(2)

        def settle(waiter: Waiter = waiter, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            waiter.settle()

        thread = threading.Thread(target=settle)
        thread.start()
        barrier.wait()
        assert waiter.wait_blocking(WAIT)
        thread.join()


def test_nobody_waits_on_a_closed_loop_and_settling_is_no_error() -> None:
    waiter = Waiter()
    loop = asyncio.new_event_loop()
    task = loop.create_task(waiter.wait())
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    thread = threading.Thread(target=waiter.settle)
    thread.start()
    thread.join()
    assert settled(waiter)


# -- all waiters of a queue ----------------------------------------------------------------------


@pytest.fixture
def engine() -> Engine:
    return Engine(Settings())


def test_everybody_who_waits_for_a_job_wakes_when_it_ends_and_nobody_else(engine: Engine) -> None:
    job, other = add(engine), add(engine)
    waiters = [engine.waiters.for_job(job) for _ in range(3)]
    stranger = engine.waiters.for_job(other)
    cancel(engine, job)
    assert all(map(settled, waiters))
    assert not settled(stranger)


def test_who_waits_for_an_ended_job_does_not_wait(engine: Engine) -> None:
    job = add(engine)
    cancel(engine, job)
    assert settled(engine.waiters.for_job(job))


def test_who_gave_up_is_forgotten(engine: Engine) -> None:
    job = add(engine)
    kept, gone = engine.waiters.for_job(job), engine.waiters.for_job(job)
    engine.waiters.forget(gone, job)
    engine.waiters.forget(gone, job)
    assert engine.waiters._by_job == {job.id: [kept]}
    engine.waiters.forget(kept, job)
    assert engine.waiters._by_job == {}
    joiner = engine.waiters.for_all()
    engine.waiters.forget(joiner)
    assert not engine.waiters._joiners


def test_who_waits_for_all_goes_on_when_nothing_is_left() -> None:
    engine = Engine(Settings())
    assert settled(engine.waiters.for_all()), "an empty queue has nothing to wait for"


@pytest.mark.parametrize(
    ("hindrance", "told"),
    [
        ("not started", r"1 pending, none can start: queue not started; .*start\(\)"),
        ("held", r"2 pending, none can start: 2 jobs held, queue not started"),
        ("paused", r"1 pending, none can start: queue paused \(lunch\), queue not started"),
    ],
)
def test_who_waits_for_what_cannot_happen_by_itself_is_told_why(
    engine: Engine, hindrance: str, told: str
) -> None:
    jobs = [add(engine) for _ in range(2 if hindrance == "held" else 1)]
    if hindrance == "held":
        for job in jobs:
            engine.do(ev.Held(job, None, "release"))
    elif hindrance == "paused":
        engine.set_pause("lunch")
    with pytest.raises(QueueIdleError, match=told):
        engine.waiters.for_all().wait_blocking(0)


async def test_a_hold_that_leaves_nothing_to_start_tells_those_who_wait_already() -> None:
    engine = Engine(Settings())
    job = add(engine, retries=1)
    assert engine.do(ev.Launched(job, "none", True))  # it runs, as far as the state knows
    engine.life.start()
    try:
        joiner = engine.waiters.for_all()
        assert not settled(joiner)
        failed = Outcome.of_error(JobFailure("ValueError", "no"))
        engine.do(ev.Ended(job, 1, failed))
        assert not settled(joiner), "its next attempt comes by itself"
        engine.do(ev.Held(job, None, "release"))
        engine.do(ev.BackoffOver(job, 2))
        with pytest.raises(QueueIdleError, match="1 pending, none can start: 1 job held"):
            joiner.wait_blocking(0)
    finally:
        await engine.life.stop("cancel", 0.0)


def test_a_stop_wakes_everybody_but_those_whose_job_still_runs(engine: Engine) -> None:
    running, pending = add(engine), add(engine)
    assert engine.do(ev.Launched(running, "none", True))
    patient, impatient = engine.waiters.for_job(running), engine.waiters.for_job(pending)
    joiner = engine.waiters.for_all()
    engine.waiters.stop(QueueStoppedError("stopped"), pending_only=True)
    assert not settled(patient)
    for waiter in (impatient, joiner):
        with pytest.raises(QueueStoppedError):
            settled(waiter)
    engine.waiters.stop(QueueStoppedError("stopped"), pending_only=False)
    with pytest.raises(QueueStoppedError):
        settled(patient)
