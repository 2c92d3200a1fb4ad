"""QueueState owns all that is true about jobs; `transitions.apply` changes them."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from . import effects as fx
from .jobs import COMPLETED, FAILED, JobRecord, JobStatus
from .order import PendingOrder
from .sweeps.groups import GroupsOfQueue
from .sweeps.keys import KeyIndex
from .sweeps.membership import is_grouped
from .sweeps.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of the queue: why and since when (epoch seconds) nothing new starts.

    One for a review of what a journal has brought back lets pass what is asked for again.
    """

    reason: str
    since: float
    for_review: bool = False


@dataclass(slots=True)
class Totals:
    """Exact counts since the queue was made; they never shrink, whatever is evicted.

    `retried`: how many of the failed ones were tried again, so that another job stands for them.
    """

    accepted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0

    @property
    def ended(self) -> int:
        """Completed, failed and cancelled jobs together."""
        return self.completed + self.failed + self.cancelled

    def count(self, status: JobStatus) -> None:
        """Add one job that ended this way."""
        if status is COMPLETED:
            self.completed += 1
        elif status is FAILED:
            self.failed += 1
        else:
            self.cancelled += 1


class QueueState:
    """All jobs of one queue, their order, lanes, history and counters.

    Not thread-safe by itself: the owner calls it under one lock. Jobs are changed by events alone
    (`transitions.apply`): at once, without a wait or a look at a clock (`now` is given).
    """

    def __init__(self, max_history: int, keep_ended: int) -> None:
        self.order = PendingOrder()
        self.running: dict[str, JobRecord] = {}
        self.zombies: dict[str, JobRecord] = {}  # jobs declared failed whose work still runs
        self.resting: dict[str, JobRecord] = {}  # jobs pending again, with which their lanes wait
        self.unstarted_in_a_row = 0  # jobs that failed because they could not be started
        self.jobs: dict[str, JobRecord] = {}
        self.groups = GroupsOfQueue()
        self.drawings = 0  # how many maps still have items to submit
        self.drawing_now = 0  # how many of them have room for more
        self.drawings_held = 0  # how many are held as a whole
        self.keys = KeyIndex()
        self.ended: deque[JobRecord] = deque()  # ended jobs that are kept, oldest first
        self.shelf = Shelf()  # what lists show of them
        self.awaited: dict[str, JobRecord] = {}  # older ones, whose results are still to be taken
        self.last_ended = 0  # the highest `ended_number` so far
        self.totals = Totals()
        self.lanes_taken = 0
        self.revision = 0
        self.pause: Pause | None = None
        self.now = 0.0
        self.max_history = max_history
        self._keep_ended = keep_ended

    # -- changing ---------------------------------------------------------------------------

    def set_pause(self, pause: Pause | None) -> bool:
        """Pause or resume; True if that changed anything. A review ends with any other pause."""
        changed = (pause is None) != (self.pause is None)
        if pause is not None and self.in_review and not pause.for_review:
            changed = True
        if changed:
            self.pause = pause
            self.order.let_only = self.in_review
            self.unstarted_in_a_row = 0
            self.revision += 1
        return changed

    def pause_now(self, reason: str) -> None:
        """Pause for a rule that lets nothing more start."""
        self.set_pause(Pause(reason, self.now))

    def count_forgotten(self, completed: int, failed: int, cancelled: int, retried: int) -> None:
        """Add the jobs that a journal has counted and forgotten, before the first job."""
        totals = self.totals
        totals.completed, totals.failed, totals.cancelled = completed, failed, cancelled
        totals.retried = min(retried, failed)
        totals.accepted = totals.ended

    def clear_history(self, up_to: int | None = None) -> None:
        """Show no ended jobs up to this number, or none of now; they are kept all the same."""
        hidden_to = max(self.last_ended, self.cleared_to) if up_to is None else up_to
        self.shelf.hide(hidden_to, self.ended)
        self.revision += 1

    def forget(self, jobs: Collection[JobRecord]) -> list[fx.Effect]:
        """Forget these ended jobs; users keep the handles that they hold."""
        leaving = set(jobs)
        gone = [job for job in self.ended if job in leaving]
        self.ended = deque(job for job in self.ended if job not in leaving)
        self.shelf.take_all(gone)
        gone += [self.awaited.pop(job.id) for job in jobs if job.id in self.awaited]
        for job in gone:
            self._leave(job)
        self.revision += 1
        return [fx.Evict(job) for job in gone]

    # -- for the rules ----------------------------------------------------------------------

    def accept(self, job: JobRecord) -> None:
        """Count a new job and make it known by id."""
        self.totals.accepted += 1
        self.jobs[job.id] = job
        if job.spec.options.key is not None:
            self.keys.add(job)

    def note_retry(self, job: JobRecord, *, hides: bool) -> None:
        """Note that a later try stands for an ended job; `hides`: it is listed no more."""
        self.totals.retried += job.status is FAILED
        if job.id in self.jobs:
            self.shelf.replace(job, hides=hides)

    def retire(self, job: JobRecord, out: list[fx.Effect]) -> None:
        """Put an ended job into the history, and drop the oldest beyond the limit."""
        number = job.ended_number or max(self.last_ended, self.cleared_to) + 1
        self.last_ended = job.ended_number = max(number, self.last_ended + 1)
        self.ended.append(job)
        self.shelf.put(job)
        while len(self.ended) > max(self._keep_ended, self.max_history):
            self._evict_oldest(out)

    def _evict_oldest(self, out: list[fx.Effect]) -> None:
        oldest = self.ended.popleft()
        self.shelf.take(oldest)
        if oldest.taken_by:
            self.awaited[oldest.id] = oldest
            return
        self._leave(oldest)
        out.append(fx.Evict(oldest))

    def let_go(self, job: JobRecord, out: list[fx.Effect]) -> None:
        """Drop a job that was kept for its result alone, which nobody takes any more."""
        if self.awaited.pop(job.id, None) is not None:
            self._leave(job)
            out.append(fx.Evict(job))

    def _leave(self, job: JobRecord) -> None:
        del self.jobs[job.id]
        if job.groups:
            self.groups.let_go(job)
        if job.spec.options.key is not None:
            self.keys.remove(job)

    # -- reading ----------------------------------------------------------------------------

    @property
    def cleared_to(self) -> int:
        """The number up to which ended jobs are kept but not shown."""
        return self.shelf.hidden_to

    @property
    def in_review(self) -> bool:
        """True if the queue is paused because of what a journal has brought back."""
        return self.pause is not None and self.pause.for_review

    @property
    def starts_nothing(self) -> bool:
        """True if the queue is paused, and no pending job may pass that."""
        return self.pause is not None and not (self.pause.for_review and self.order.let_count)

    @property
    def is_reviewed(self) -> bool:
        """True if all that a review could let start was asked for again."""
        order = self.order
        return order.let_count == order.ready_count and all(
            job.let_through or job.held for job in order.waiting()
        )

    @property
    def open_count(self) -> int:
        """Count pending and running jobs."""
        return len(self.order) + len(self.running)

    @property
    def waits_for_a_timer(self) -> bool:
        """True if a pending job will become startable, or end, by a timer."""
        bits = fx.TIMER_BITS["hold"] | fx.TIMER_BITS["backoff"]
        return any(job.timers & bits for job in self.order.waiting())

    def history(self) -> Iterator[JobRecord]:
        """Iterate over the ended jobs that are shown, newest first."""
        return islice(reversed(self.ended), self.history_count)

    @property
    def history_count(self) -> int:
        """Count the jobs of `history`."""
        return min(self.count_after(self.cleared_to), self.max_history)

    def count_after(self, number: int) -> int:
        """Count the kept jobs whose `ended_number` is larger."""
        ended = self.ended
        if not ended or ended[0].ended_number > number:
            return len(ended)
        return len(ended) - bisect_right(ended, number, key=lambda job: job.ended_number)

    def validate(self) -> None:
        """Raise AssertionError if anything contradicts anything (tests call it after each step)."""
        pending = self.order.slice(0)
        assert all(job.status is JobStatus.pending for job in pending)
        assert pending == sorted(pending, key=lambda job: (-job.priority, job.rank))
        assert all(self.order.position(job) == place for place, job in enumerate(pending))
        ready = {job.id for job in pending if job.startable}
        let = {job.id for job in pending if job.startable and job.let_through}
        assert {job.id for job in self.order.ready()} == (let if self.in_review else ready)
        assert self.order.let_count == len(let)
        assert self.order.ready_count == len(ready)
        keyed = {id for id, job in self.jobs.items() if job.spec.options.key is not None}
        assert {job.id for job in self.keys.jobs()} == keyed
        assert len(self.keys) == len(keyed)
        assert all(job.status is JobStatus.running for job in self.running.values())
        assert all(job.lane_taken for job in self.running.values())
        assert all(job.status is JobStatus.failed for job in self.zombies.values())
        assert all(job in pending and job.lane_taken for job in self.resting.values())
        assert self.lanes_taken == len(self.running) + len(self.zombies) + len(self.resting)
        assert all(job.status.ended and not job.timers for job in self.ended)
        numbers = [job.ended_number for job in self.ended]
        assert numbers == sorted(set(numbers)), f"not in the order of their ends: {numbers}"
        assert not numbers or numbers[-1] <= self.last_ended
        assert self.totals.accepted == self.open_count + self.totals.ended
        assert 0 <= self.totals.retried <= self.totals.failed
        self.groups.validate(self.jobs.values())
        self.shelf.validate(self.ended)
        assert self.order.single_count == sum(not is_grouped(job) for job in pending)
        assert 0 <= self.drawing_now <= self.drawings
        assert 0 <= self.drawings_held <= self.drawings
        assert all(job.taken_by for job in self.awaited.values())
        known = len(pending) + len(self.running) + len(self.ended) + len(self.awaited)
        assert len(self.jobs) == known, f"{len(self.jobs)} known, {known} placed"
