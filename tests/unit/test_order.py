"""The order of pending jobs: (-priority, rank), with positions, slices and moves."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue_widget._core.jobs import JobRecord
from jobqueue_widget._core.order import PendingOrder
from jobqueue_widget._core.spec import JobSpec


def record(number: int, priority: int = 0, *, held: bool = False) -> JobRecord:
    job = JobRecord(JobSpec(f"j-{number}", "function", len, "len"), priority, number, 0.0)
    job.held = held
    return job


def filled(count: int) -> tuple[PendingOrder, list[JobRecord]]:
    order, jobs = PendingOrder(), [record(number) for number in range(1, count + 1)]
    for job in jobs:
        order.add(job)
    return order, jobs


def numbers(jobs: Sequence[JobRecord]) -> list[int]:
    return [job.number for job in jobs]


def test_higher_priority_first_then_the_lower_number() -> None:
    order = PendingOrder()
    for number, priority in enumerate((0, 7, -1, 7, 0), 1):
        order.add(record(number, priority))
    assert numbers(order.slice(0)) == [2, 4, 1, 5, 3]


def test_an_empty_order_has_nothing() -> None:
    order = PendingOrder()
    assert order.first() is order.last() is order.first_ready() is None
    assert order.slice(0, 10) == []


def test_held_jobs_keep_their_place_and_are_not_ready() -> None:
    order = PendingOrder()
    jobs = [record(number, held=number % 2 == 1) for number in range(1, 7)]
    for job in jobs:
        order.add(job)
    assert numbers(order.slice(0)) == [1, 2, 3, 4, 5, 6]
    assert order.first_ready() is jobs[1]
    assert numbers(list(order.waiting())) == [1, 3, 5]
    assert order.ready_count == 3


def test_a_job_that_is_held_later_is_found_where_it_was_filed() -> None:
    order, jobs = filled(3)
    jobs[0].held = True
    order.refile(jobs[0])
    assert order.first_ready() is jobs[1]
    jobs[0].held = False
    order.remove(jobs[0])
    assert numbers(order.slice(0)) == [2, 3]
    assert jobs[0].entry is None


@pytest.mark.parametrize("before", [True, False])
def test_moving_into_the_same_gap_again_and_again_keeps_every_place(before: bool) -> None:
    order, jobs = filled(400)
    expected = list(jobs)
    anchor = jobs[0] if not before else jobs[-1]
    movable = [job for job in jobs if job is not anchor]
    for job in random.Random(1).sample(movable, 300):
        order.place_beside(job, anchor, before=before)
        expected.remove(job)
        expected.insert(expected.index(anchor) + (0 if before else 1), job)
        assert order.slice(0) == expected
        ranks = [one.rank for one in expected]
        assert len(set(ranks)) == len(ranks)


def test_making_room_relabels_few_of_many() -> None:
    order, jobs = filled(20_000)
    ranks = {job.number: job.rank for job in jobs}
    anchor = jobs[10_000]
    moved = jobs[:200]
    for job in moved:
        order.place_beside(job, anchor, before=False)
    changed = [job for job in jobs if job.rank != ranks[job.number] and job not in moved]
    assert len(changed) < 1_000


@pytest.mark.parametrize("moves", [2, 50, 1000])
def test_a_job_that_is_submitted_later_comes_behind_those_that_were_moved_to_the_end(
    moves: int,
) -> None:
    order, jobs = filled(20)
    for number in range(moves):
        job, last = jobs[number % 20], order.last()
        assert last is not None
        if job is not last:
            order.place_beside(job, last, before=number % 7 == 6)
    expected = order.slice(0)
    late = record(21)
    order.add(late)
    assert order.slice(0) == [*expected, late]


def test_a_moved_job_takes_the_priority_of_its_anchor() -> None:
    order = PendingOrder()
    low, high = record(1, 0), record(2, 5)
    order.add(low)
    order.add(high)
    order.place_beside(low, high, before=True)
    assert low.priority == 5
    assert numbers(order.slice(0)) == [1, 2]


acts = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "hold", "before", "after", "priority"]),
        st.integers(0, 30),
        st.integers(0, 30),
        st.integers(-1, 1),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(acts)
def test_it_agrees_with_a_sorted_list(acts: list[tuple[str, int, int, int]]) -> None:
    order = PendingOrder()
    model: list[JobRecord] = []  # in the order that a user sees
    made = 0
    for act, first, second, priority in acts:
        if act == "add" or not model:
            made += 1
            job = record(made, priority)
            order.add(job)
            place = sum(1 for other in model if other.priority >= priority)
            model.insert(place, job)
            model.sort(key=lambda one: (-one.priority, one.rank, one.number))
            continue
        job, other = model[first % len(model)], model[second % len(model)]
        if act == "remove":
            order.remove(job)
            model.remove(job)
        elif act == "hold":
            job.held = not job.held
            order.refile(job)
        elif act == "priority":
            order.remove(job)
            job.priority = priority
            order.add(job)
            model.sort(key=lambda one: (-one.priority, one.rank, one.number))
        elif job is not other:
            order.place_beside(job, other, before=act == "before")
            model.remove(job)
            model.insert(model.index(other) + (act == "after"), job)
        assert order.slice(0) == model
        assert [order.position(one) for one in model] == list(range(len(model)))
        low, high = sorted((first % (len(model) + 1), second % (len(model) + 1)))
        assert order.slice(low, high) == model[low:high]
        ready = [one for one in model if one.startable]
        assert list(order.ready()) == ready
        assert order.first() is (model[0] if model else None)
        assert order.last() is (model[-1] if model else None)
