"""The state as a whole: dependants, what keeps a job from starting, lanes, history, counters."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from jobqueue_widget._core import effects as fx
from jobqueue_widget._core import events as ev
from jobqueue_widget._core.jobs import JobFailure, JobRecord, Outcome
from jobqueue_widget._core.retrying import backoff_seconds, chance_of
from jobqueue_widget._core.spec import JobOptions, JobSpec
from jobqueue_widget._core.state import Pause, QueueState
from jobqueue_widget._core.transitions import apply

BROKEN = Outcome.of_error(JobFailure("ValueError", "no"))
DONE = Outcome.of_value(1)


class Queue:
    """A state and short words for what happens to it; each step leaves it without contradiction."""

    def __init__(self, max_history: int = 100, keep_ended: int = 10_000) -> None:
        self.state = QueueState(max_history, keep_ended)
        self.checked = True
        self.count = 0

    def apply(self, event: ev.Event) -> list[fx.Effect]:
        effects = apply(self.state, event, 5.0)
        assert effects is not None
        if self.checked:
            self.state.validate()
        return effects

    def submit(self, *parents: JobRecord, **options: object) -> JobRecord:
        self.count += 1
        made = JobOptions(**options)  # type: ignore[arg-type]
        spec = JobSpec(f"q-{self.count}", "function", len, f"job {self.count}", options=made)
        job = JobRecord(spec, 0, self.count, 0.0)
        self.apply(ev.Submitted(job, parents))
        return job

    def launch(self, job: JobRecord) -> list[fx.Effect]:
        return self.apply(ev.Launched(job, "process", True))

    def end(self, job: JobRecord, outcome: Outcome = DONE) -> list[fx.Effect]:
        return self.apply(ev.Ended(job, job.attempt, outcome))

    def run(self, job: JobRecord, outcome: Outcome = DONE) -> list[fx.Effect]:
        self.launch(job)
        return self.end(job, outcome)

    def cancel(self, job: JobRecord, *, force: bool = False) -> list[fx.Effect]:
        return self.apply(ev.CancelRequested(job, force, 3.0, "enough"))

    def hold(self, job: JobRecord) -> list[fx.Effect]:
        return self.apply(ev.Held(job, None, "release"))

    def startable(self) -> list[int]:
        return [job.number for job in self.state.order.ready()]


def of_kind(effects: list[fx.Effect], kind: type[fx.Effect]) -> list[int]:
    return [effect.job.number for effect in effects if type(effect) is kind]


def statuses(*jobs: JobRecord) -> list[str]:
    return [job.status.value for job in jobs]


# -- dependants ----------------------------------------------------------------------------------


def test_a_job_waits_for_all_its_parents() -> None:
    queue = Queue()
    left, right = queue.submit(), queue.submit()
    child = queue.submit(left, right)
    assert queue.startable() == [1, 2]
    assert of_kind(queue.run(right), fx.Wake) == [2], "nothing to look at but the free lane"
    assert queue.startable() == [1]
    assert of_kind(queue.run(left), fx.Wake) == [1, 3]
    assert queue.startable() == [child.number]


def test_a_parent_that_is_named_twice_is_waited_for_once() -> None:
    queue = Queue()
    parent = queue.submit()
    child = queue.submit(parent, parent)
    queue.run(parent)
    assert queue.startable() == [child.number]


def test_a_parent_that_was_completed_before_is_not_waited_for() -> None:
    queue = Queue()
    parent = queue.submit()
    queue.run(parent)
    child = queue.submit(parent)
    assert queue.startable() == [child.number]


@pytest.mark.parametrize("early", [True, False])
def test_a_job_whose_parent_failed_is_cancelled_and_says_why(early: bool) -> None:
    queue = Queue()
    parent = queue.submit(label="load")
    child = queue.submit(parent) if early else None
    queue.run(parent, BROKEN)
    child = child or queue.submit(parent)
    assert statuses(child) == ["cancelled"]
    assert child.cancel_reason == "dependency failed: load"


def test_an_orphan_does_not_wait_for_its_other_parents() -> None:
    queue = Queue()
    gone, slow = queue.submit(), queue.submit()
    queue.cancel(gone)
    child = queue.submit(slow, gone)
    assert statuses(child, slow) == ["cancelled", "pending"]
    queue.run(slow)
    assert queue.state.totals.ended == 3


def test_the_tip_of_a_diamond_ends_once() -> None:
    queue = Queue()
    top = queue.submit()
    sides = queue.submit(top), queue.submit(top)
    tip = queue.submit(*sides)
    effects = queue.cancel(top)
    assert sorted(of_kind(effects, fx.ReleaseWaiters)) == [1, 2, 3, 4]
    assert statuses(top, *sides, tip) == ["cancelled"] * 4
    assert queue.state.totals.cancelled == 4


def test_a_child_of_work_that_could_not_be_ended_is_cancelled() -> None:
    queue = Queue()
    parent = queue.submit()
    child = queue.submit(parent)
    queue.launch(parent)
    queue.apply(ev.KillFailed(parent, 1, "no"))
    assert child.cancel_reason == "dependency failed: job 1"


def test_a_child_goes_on_waiting_while_its_parent_is_tried_again() -> None:
    queue = Queue()
    parent = queue.submit(retries=1)
    child = queue.submit(parent)
    queue.run(parent, BROKEN)
    assert statuses(parent, child) == ["pending", "pending"]
    queue.apply(ev.BackoffOver(parent, 2))
    queue.run(parent)
    assert queue.startable() == [child.number]


@pytest.mark.parametrize("first", ["cancelled", "completed"])
def test_a_chain_of_ten_thousand_needs_no_recursion(first: str) -> None:
    queue = Queue(keep_ended=20_000)
    queue.checked = False  # after each of 30,000 steps it would take hours
    chain = [queue.submit()]
    for _ in range(10_000):
        chain.append(queue.submit(chain[-1]))
    if first == "cancelled":
        assert len(of_kind(queue.cancel(chain[0]), fx.ReleaseWaiters)) == 10_001
    else:
        for job in chain:
            assert queue.startable() == [job.number]
            queue.run(job)
    assert {job.status.value for job in chain} == {first}
    queue.state.validate()


# -- what keeps a job from starting --------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations(["release", "parent", "sibling"])))
def test_a_job_is_startable_when_the_last_of_its_hindrances_is_gone(order: tuple[str, ...]) -> None:
    queue = Queue()
    parent, sibling = queue.submit(), queue.submit()
    child = queue.submit(parent, sibling)
    queue.hold(child)
    lift: dict[str, Callable[[], object]] = {
        "release": lambda: queue.apply(ev.Released(child)),
        "parent": lambda: queue.run(parent),
        "sibling": lambda: queue.run(sibling),
    }
    for name in order:
        assert not child.startable
        lift[name]()
    assert queue.startable() == [child.number]


@pytest.mark.parametrize("order", list(itertools.permutations(["release", "back-off"])))
def test_a_hold_and_a_back_off_both_have_to_be_over(order: tuple[str, ...]) -> None:
    queue = Queue()
    job = queue.submit(retries=1)
    queue.run(job, BROKEN)
    queue.hold(job)
    for name in order:
        assert queue.startable() == []
        queue.apply(ev.Released(job) if name == "release" else ev.BackoffOver(job, 2))
    assert queue.startable() == [1]


def test_a_held_job_that_ends_is_held_no_more() -> None:
    queue = Queue()
    job = queue.submit()
    queue.apply(ev.Held(job, 8.0, "release"))
    note_the_end_of_the_hold(job)
    assert fx.DisarmTimer(job, "hold") in queue.cancel(job)
    assert (job.held, job.hold_until) == (False, None)


def note_the_end_of_the_hold(job: JobRecord) -> None:
    job.hold_until = 13.0  # it has the clock and notes when the hold is over


def test_it_says_whether_something_will_go_on_by_itself() -> None:
    queue = Queue()
    job = queue.submit(retries=1)
    told = []
    for event in (
        ev.Held(job, None, "release"),
        ev.Held(job, 8.0, "release"),
        ev.Released(job),
        ev.Launched(job, "process", True),
        ev.Ended(job, 1, BROKEN),
        ev.BackoffOver(job, 2),
    ):
        queue.apply(event)
        told.append(queue.state.waits_for_a_timer)
    assert told == [False, True, False, False, True, False]


def test_a_job_to_be_tried_again_keeps_its_place() -> None:
    queue = Queue()
    job = queue.submit(retries=1)
    queue.submit()
    queue.run(job, BROKEN)
    assert [one.number for one in queue.state.order.slice(0)] == [1, 2]
    assert queue.startable() == [2]
    queue.apply(ev.BackoffOver(job, 2))
    assert queue.startable() == [1, 2]


# -- attempts ------------------------------------------------------------------------------------


def test_a_job_gets_its_retries_each_with_a_time_limit_of_its_own_and_then_fails() -> None:
    queue = Queue()
    job = queue.submit(retries=2, timeout=60.0)
    waits = []
    for attempt in (1, 2, 3):
        assert fx.ArmTimer(job, "limit", 60.0) in queue.launch(job)
        queue.apply(ev.TimedOut(job, attempt, 3.0))
        effects = queue.end(job, Outcome.of_stop())
        waits += [effect.seconds for effect in effects if isinstance(effect, fx.ArmTimer)]
        if attempt < 3:
            queue.apply(ev.BackoffOver(job, attempt + 1))
    assert statuses(job) == ["failed"]
    assert str(job.failure) == "TimeLimitExceeded: time limit 60 s"
    assert (job.attempt, waits) == (3, [chance_of(job, 1), 2 * chance_of(job, 2)])
    assert queue.state.totals.accepted == queue.state.totals.failed == 1


def test_the_back_off_doubles_up_to_a_minute() -> None:
    job = Queue().submit()
    for attempt, nominal in zip((1, 2, 3, 6, 7, 8, 10_000), (1, 2, 4, 32, 60, 60, 60), strict=True):
        assert backoff_seconds(job, attempt) == nominal * chance_of(job, attempt)


def test_the_back_off_is_as_the_options_say() -> None:
    for first, longest, nominal in [
        (0.0, None, [0.0, 0.0, 0.0]),
        (5.0, 15.0, [5.0, 10.0, 15.0]),
        (90.0, None, [90.0, 90.0, 90.0]),
        (None, 1.5, [1.0, 1.5, 1.5]),
    ]:
        job = Queue().submit(backoff=first, backoff_max=longest)
        waits = [backoff_seconds(job, attempt) / chance_of(job, attempt) for attempt in (1, 2, 3)]
        assert waits == pytest.approx(nominal)


def test_chance_is_spread_evenly_from_a_half_to_one() -> None:
    queue = Queue()
    queue.checked = False
    found = sorted(chance_of(queue.submit(), attempt) for attempt in (1, 2) for _ in range(500))
    assert 0.5 <= found[0] < 0.51
    assert 0.99 < found[-1] <= 1.0
    assert found[500] == pytest.approx(0.75, abs=0.03)


# -- lanes ---------------------------------------------------------------------------------------


def test_running_jobs_are_told_in_the_order_of_their_start() -> None:
    queue = Queue()
    jobs = [queue.submit() for _ in range(3)]
    for job in reversed(jobs):
        queue.launch(job)
    assert list(queue.state.running.values()) == jobs[::-1]
    queue.end(jobs[2])
    assert list(queue.state.running.values()) == [jobs[1], jobs[0]]
    assert queue.state.lanes_taken == 2
    assert queue.state.open_count == 2


def test_a_lane_is_free_when_its_work_is_gone_even_if_the_job_is_forgotten() -> None:
    queue = Queue(max_history=1, keep_ended=1)
    stuck = queue.submit()
    queue.launch(stuck)
    queue.cancel(stuck, force=True)
    queue.apply(ev.KillFailed(stuck, 1, "no such process"))
    assert (queue.state.lanes_taken, queue.state.open_count) == (1, 0)
    queue.run(queue.submit())
    assert stuck.id not in queue.state.jobs
    assert queue.state.lanes_taken == 1
    assert of_kind(queue.end(stuck, Outcome.of_stop()), fx.Wake) == [1]
    assert queue.state.lanes_taken == 0
    assert queue.end(stuck) == [], "it can be gone once only"
    assert statuses(stuck) == ["failed"]


# -- history and counters ------------------------------------------------------------------------


def test_the_newest_are_shown_and_more_are_kept() -> None:
    queue = Queue(max_history=2, keep_ended=4)
    evicted = []
    for _ in range(7):
        evicted += of_kind(queue.run(queue.submit()), fx.Evict)
    assert [job.number for job in queue.state.history()] == [7, 6]
    assert queue.state.history_count == 2
    assert sorted(queue.state.jobs) == ["q-4", "q-5", "q-6", "q-7"]
    assert evicted == [1, 2, 3]


def test_what_is_shown_is_kept() -> None:
    queue = Queue(max_history=3, keep_ended=0)
    for _ in range(5):
        queue.run(queue.submit())
    assert [job.number for job in queue.state.history()] == [5, 4, 3]


def test_a_queue_may_keep_nothing() -> None:
    queue = Queue(max_history=0, keep_ended=0)
    job = queue.submit()
    assert of_kind(queue.run(job), fx.Evict) == [1]
    assert not queue.state.jobs
    assert job.result == 1, "a handle keeps the result"


def test_counters_never_shrink() -> None:
    queue = Queue(max_history=1, keep_ended=1)
    for outcome in (DONE, BROKEN, DONE):
        queue.run(queue.submit(), outcome)
    queue.cancel(queue.submit())
    queue.state.clear_history()
    queue.submit()
    totals = queue.state.totals
    assert (totals.completed, totals.failed, totals.cancelled) == (2, 1, 1)
    assert totals.accepted == 5 == totals.ended + queue.state.open_count


# -- hiding --------------------------------------------------------------------------------------


def shown(queue: Queue) -> list[int]:
    found = [job.number for job in queue.state.history()]
    assert queue.state.history_count == len(found)
    return found


def test_what_was_cleared_is_kept_and_what_ends_later_is_shown() -> None:
    queue = Queue(max_history=2, keep_ended=4)
    jobs = [queue.submit() for _ in range(3)]
    for job in jobs[:2]:
        queue.run(job)
    before = queue.state.cleared_to
    queue.state.clear_history()
    assert shown(queue) == []
    queue.run(jobs[2])
    assert shown(queue) == [3]
    assert sorted(queue.state.jobs) == ["q-1", "q-2", "q-3"]
    queue.state.clear_history(before)
    assert shown(queue) == [3, 2]
    assert queue.state.count_after(before) == 3


def test_the_oldest_leave_also_when_they_are_hidden() -> None:
    queue = Queue(max_history=2, keep_ended=2)
    for _ in range(2):
        queue.run(queue.submit())
    queue.state.clear_history()
    assert of_kind(queue.run(queue.submit()), fx.Evict) == [1]
    assert of_kind(queue.run(queue.submit()), fx.Evict) == [2]
    assert shown(queue) == [4, 3]
    queue.state.clear_history(0)
    assert shown(queue) == [4, 3]


# -- the revision --------------------------------------------------------------------------------


def test_whatever_users_can_see_gets_a_new_revision() -> None:
    queue = Queue()
    revisions = [queue.state.revision]

    def changed() -> bool:
        revisions.append(queue.state.revision)
        return revisions[-1] > revisions[-2]

    job = queue.submit()
    assert changed()
    for event in (
        ev.Held(job, None, "release"),
        ev.Released(job),
        ev.Reprioritized(job, 3),
        ev.Launched(job, "process", True),
        ev.PhaseChanged(job, 1, "starting"),
        ev.Progressed(job, 1, 0.5, None),
        ev.CancelRequested(job, False, 3.0, ""),
        ev.Ended(job, 1, DONE),
    ):
        queue.apply(event)
        assert changed(), event
        assert job.revision == queue.state.revision
    queue.state.clear_history()
    assert changed()
    assert queue.state.set_pause(Pause("lunch", 5.0))
    assert changed()
    assert not queue.state.set_pause(Pause("again", 6.0))
    assert not changed()


def test_a_job_that_ends_because_of_another_gets_the_new_revision_too() -> None:
    queue = Queue()
    parent = queue.submit()
    child, bystander = queue.submit(parent), queue.submit()
    before = bystander.revision
    queue.cancel(parent)
    assert parent.revision == child.revision == queue.state.revision
    assert bystander.revision == before


def test_what_changes_nothing_gets_no_new_revision() -> None:
    queue = Queue()
    job = queue.submit()
    before = queue.state.revision
    queue.apply(ev.Released(job))
    queue.apply(ev.HoldExpired(job))
    queue.apply(ev.Progressed(job, 1, 0.5, "late"))
    assert (queue.state.revision, job.revision) == (before, before)
