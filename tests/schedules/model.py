"""What a queue promises, as lists and dicts: written from the documents, not from the code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
CALLED = {"WorkerDied": "worker died", "TimeLimitExceeded": "time limit"}


def chained(told: str, before: str) -> str:
    """What a job is told of the one before it, with what that was told; cut in the middle."""
    nearest, *others = before.split(" ← ")
    return " ← ".join([told, nearest, *(others if len(others) <= 3 else ["…", *others[-2:]])])


@dataclass(eq=False)
class PlainJob:
    """What a user knows of a job; `rank` is read from the order, which alone gives ranks."""

    number: int
    priority: int
    rank: int = 0
    retries: int = 0
    limit: float | None = None
    can_kill: bool = True
    parents: list[PlainJob] = field(default_factory=list)
    whatever: bool = False  # it runs after its parents, also after failed ones
    takes: list[PlainJob] = field(default_factory=list)  # those of them whose results it is given
    key: str | None = None
    let: bool = False  # asked for in a review, which keeps the others back
    delay: float | None = None
    deadline: float | None = None
    retry_on: tuple[str, ...] = ()
    first_wait: float | None = None
    too_late: bool = False
    status: str = "pending"
    attempt: int = 1
    held: bool = False
    then: str = "release"
    backing_off: bool = False
    blocked: str | None = None
    stop: str | None = None  # "asked" or "forcing"
    over_limit: bool = False
    phase: str | None = None
    has_lane: bool = False
    progress: float | None = 0.0
    message: str = ""
    reason: str = ""
    orphan: bool = False  # cancelled because a parent was not completed
    error: str | None = None
    result: object = None
    is_kept: bool = True  # its result, else there is only a word on it
    plugin: bool = False
    rescue: str | None = None  # "unloading", then "over": it ran out of memory once
    note: tuple[int, str] = (0, "")  # the attempt that begins with this message
    finished_before_cancel: bool = False
    group: str | None = None  # the name that it was submitted with
    names: set[str] = field(default_factory=set)  # the groups that it stands for an item of
    retried: PlainJob | None = None  # by which it was replaced
    timers: dict[str, float] = field(default_factory=dict)  # kind: when it is due

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")

    @property
    def done(self) -> bool:
        return self.status == "completed"

    @property
    def latest(self) -> PlainJob:
        """The last of the tries that began with this one."""
        return self if self.retried is None else self.retried.latest

    def gives(self, child: PlainJob) -> bool:
        """What another job waits for, now that this one has ended."""
        return self.done and (self.is_kept or self not in child.takes)

    @property
    def startable(self) -> bool:
        waits = any(not (one.ended if self.whatever else one.gives(self)) for one in self.parents)
        return self.status == "pending" and not (self.held or self.backing_off or waits)


class PlainQueue:
    """The queue as a user would explain it. Methods are what users, work and timers do to it."""

    def __init__(self, keep_ended: int, chance: Callable[[PlainJob, int], float]) -> None:
        self.keep_ended = keep_ended
        self.chance = chance  # how much of the wait after an attempt is left: a half to all
        self.now = 0.0
        self.jobs: list[PlainJob] = []  # all that there ever were
        self.order: list[PlainJob] = []  # pending ones, as they are shown
        self.running: list[PlainJob] = []
        self.ended: list[PlainJob] = []  # oldest first, those still kept
        self.awaited: list[PlainJob] = []  # older ones, whose results are still to be taken
        self.hidden: list[PlainJob] = []
        self.hidden_before: list[PlainJob] = []  # the last time
        self.counts = {"completed": 0, "failed": 0, "cancelled": 0}
        self.paused = False
        self.review = False  # paused, but for what is asked for again
        self.to_execution: list[tuple[str, int]] = []  # what this step tells executions
        self.maps: list[list[PlainJob]] = []  # the first tries of their items
        self.just_ended: list[PlainJob] = []
        self.just_forgotten: list[PlainJob] = []

    def begin_step(self) -> None:
        self.to_execution, self.just_ended, self.just_forgotten = [], [], []

    @property
    def next_to_start(self) -> PlainJob | None:
        return next(iter(self.may_start), None)

    @property
    def may_start(self) -> list[PlainJob]:
        return [job for job in self.order if job.startable and (job.let or not self.review)]

    @property
    def kept(self) -> list[PlainJob]:
        return [*self.order, *self.running, *self.ended, *self.awaited]

    @property
    def lanes_taken(self) -> int:
        return sum(job.has_lane for job in self.jobs)

    # -- users -----------------------------------------------------------------------------------

    def submit(self, job: PlainJob, repeats: PlainJob | None = None) -> None:
        """Behind all that have its priority or a higher one."""
        self.jobs.append(job)
        job.let = job.key is not None and self.review
        job.names = set() if job.group is None else {job.group}
        last = None if repeats is None else repeats.latest
        if last is not None and last.ended and last.group == job.group:
            job.names |= last.names
            last.names, last.retried = set(), job
        self.order.insert(sum(other.priority >= job.priority for other in self.order), job)
        if job.delay:
            job.backing_off = True
            job.timers["backoff"] = self.now + job.delay
        if job.deadline is not None:
            job.timers["deadline"] = self.now + job.deadline
        failed = any(parent.ended and not parent.gives(job) for parent in job.parents)
        if failed and not job.whatever:
            self._cancel_orphan(job)

    def newest(self, key: str) -> PlainJob | None:
        """The one that was accepted last with a key."""
        kept = set(self.kept)
        same = (job for job in reversed(self.jobs) if job.key == key and job in kept)
        return next(same, None)

    def standing(self, key: str) -> PlainJob | None:
        """The job that another submit with this key is given; None: a new one."""
        job = self.newest(key)
        if job is None or job.status in ("failed", "cancelled") or (job.done and not job.is_kept):
            return None
        return job

    def ask_again(self, job: PlainJob, group: str | None) -> None:
        """Its key was submitted again: it may start in a review, and is not removed."""
        if job.status == "pending":
            job.let = job.let or self.review
            if job.held and job.then == "cancel":
                self.release(job)
        if group is not None and job.latest in self.kept:
            job.latest.names.add(group)

    def end_review(self) -> None:
        """All was asked for again that could start, now or later."""
        if self.review and all(job.let or job.held for job in self.order):
            self.paused = self.review = False

    def let_go(self, job: PlainJob) -> None:
        """There is no more room for its result."""
        job.is_kept = False

    def join(self, job: PlainJob, items: list[PlainJob], name: str) -> None:
        """What is there already is an item of a map, too, and of the group of that name."""
        items.append(job)
        if job.latest in self.kept:
            job.latest.names.add(name)

    def in_group(self, name: str) -> list[PlainJob]:
        """What the queue keeps of a group; of an item the latest try."""
        return [job for job in self.kept if name in job.names]

    def reprioritize(self, job: PlainJob, priority: int) -> bool:
        if job.status != "pending":
            return False
        job.priority = priority
        self._file(job)
        return True

    def move(self, job: PlainJob, anchor: PlainJob | None, where: str) -> bool:
        if job.status != "pending" or (anchor is not None and anchor.status != "pending"):
            return False
        if anchor is None:
            anchor = self.order[0] if where == "top" else self.order[-1]
        if anchor is not job:
            self.order.remove(job)
            self.order.insert(self.order.index(anchor) + (where in ("after", "bottom")), job)
            job.priority = anchor.priority
        return True

    def hold(self, job: PlainJob, seconds: float | None, then: str) -> bool:
        if job.status != "pending":
            return False
        job.held, job.then, job.blocked = True, then, None
        job.timers.pop("hold", None)
        if seconds is not None:
            job.timers["hold"] = self.now + seconds
        return True

    def release(self, job: PlainJob) -> bool:
        if job.status != "pending":
            return False
        job.held = False
        job.timers.pop("hold", None)
        return True

    def cancel(self, job: PlainJob, force: bool, timeout: float, reason: str) -> bool:
        if job.ended:
            return False
        if job.status == "pending":
            job.reason = reason
            self._end(job, "cancelled")
            return True
        if job.stop is None or job.over_limit:
            job.reason, job.over_limit = reason, False
        if job.stop is None:
            self._want_stop(job, force or timeout <= 0, timeout)
        elif job.stop == "asked":
            if (force or timeout <= 0) and job.can_kill:
                self._force(job)
            else:
                self._tell("Ask", job)
        return True

    def clear_history(self) -> None:
        self.hidden_before, self.hidden = self.hidden, list(self.ended)

    def undo_clear(self) -> None:
        self.hidden = list(self.hidden_before)

    def forget(self, jobs: list[PlainJob]) -> None:
        self.just_forgotten = [job for job in self.ended if job in jobs]
        self.just_forgotten += [job for job in jobs if job in self.awaited]
        self.ended = [job for job in self.ended if job not in jobs]
        self.awaited = [job for job in self.awaited if job not in jobs]
        for job in self.just_forgotten:
            job.names = set()

    @property
    def shown(self) -> list[PlainJob]:
        """Newest first."""
        return [job for job in reversed(self.ended) if job not in self.hidden]

    # -- the dispatcher --------------------------------------------------------------------------

    def block(self, job: PlainJob, reason: str | None) -> None:
        job.blocked = reason

    def launch(self, job: PlainJob) -> None:
        self.order.remove(job)
        self.running.append(job)
        job.status, job.has_lane, job.blocked = "running", True, None
        job.progress, job.message = 0.0, job.note[1] if job.note[0] == job.attempt else ""
        job.result = None
        if job.limit is not None:
            job.timers["limit"] = self.now + job.limit
        self._tell("Launch", job)

    # -- the work --------------------------------------------------------------------------------

    def change_phase(self, job: PlainJob, phase: str | None) -> None:
        """The time limit counts from when the body runs."""
        if job.phase == phase:
            return
        job.phase = phase
        job.timers.pop("limit", None)
        if phase is None and job.limit is not None and job.stop is None:
            job.timers["limit"] = self.now + job.limit

    def report(self, job: PlainJob, fraction: float | None, message: str | None) -> None:
        job.progress = fraction
        job.message = job.message if message is None else message

    def finish(self, job: PlainJob, value: object, noticed: bool, is_kept: bool) -> None:
        """Finished work is kept, whatever was asked; what it cut short knowingly is a part."""
        job.result, job.error, job.is_kept = value, None, is_kept
        if noticed and job.stop is not None:
            self.break_off(job, None)
            return
        job.finished_before_cancel = job.stop is not None and not job.over_limit
        job.progress = 1.0
        self._gone(job)
        self._end(job, "completed")

    def break_off(self, job: PlainJob, error: str | None, idle: str | None = None) -> None:
        """It raised, died or stopped (`error` None); `idle` could go if that was for memory."""
        self._gone(job)
        if job.stop is not None and not job.over_limit:
            job.error = error
            self._end(job, "cancelled")
            return
        job.error = error or "CancelledError: the job was cancelled, but not by its queue"
        if job.over_limit and job.too_late:
            job.error = self._too_late(job)
            self._end(job, "failed")
            return
        if job.over_limit:
            job.error = f"TimeLimitExceeded: time limit {job.limit:g} s"
        rescued = (
            idle is not None
            and "out of memory" in job.error
            and job.rescue is None
            and (job.plugin or job.retries > 0)
            and job.attempt <= job.retries + 1
        )
        name = job.error.partition(":")[0]
        is_wanted = not job.retry_on or {name, CALLED.get(name)} & set(job.retry_on)
        if (job.attempt > job.retries or not is_wanted) and not rescued:
            self._end(job, "failed")
            return
        wait = 30.0 if rescued else self._wait_after(job, job.attempt)
        job.status, job.stop, job.phase, job.over_limit = "pending", None, None, False
        job.attempt += 1
        job.backing_off = True
        job.timers = {key: due for key, due in job.timers.items() if key == "deadline"}
        job.timers["backoff"] = self.now + wait
        if rescued:
            job.rescue, job.blocked = "unloading", f"out of memory: unloading {idle} to try again"
        self.order.append(job)
        self._file(job)

    def room_is_made(self, job: PlainJob, unloaded: str | None) -> None:
        """Or not: then nothing has changed, and only `retries` may try that again."""
        job.timers.pop("backoff", None)
        job.rescue, job.blocked = "over", None
        if unloaded is not None:
            job.message = f"out of memory: unloaded {unloaded}, trying again"
            job.note = (job.attempt, job.message)
            job.backing_off = False
        elif job.attempt > job.retries + 1:
            job.attempt -= 1
            self._end(job, "failed")
        else:
            job.timers["backoff"] = self.now + self._wait_after(job, job.attempt - 1)

    def _wait_after(self, job: PlainJob, attempt: int) -> float:
        first = FIRST_WAIT if job.first_wait is None else job.first_wait
        wait = min(first * 2.0 ** (attempt - 1), max(first, LONGEST_WAIT))
        return wait * self.chance(job, attempt)

    def cannot_be_killed(self, job: PlainJob, why: str) -> None:
        """The job is over, its work is not: it keeps its lane."""
        job.error = f"CouldNotBeEnded: could not be ended: {why}"
        self.running.remove(job)
        self._end(job, "failed")

    def gone_at_last(self, job: PlainJob) -> None:
        job.has_lane = False

    # -- timers ----------------------------------------------------------------------------------

    def hold_is_over(self, job: PlainJob) -> None:
        if job.then == "release":
            self.release(job)
        else:
            job.reason = "removed"
            self._end(job, "cancelled")

    def backoff_is_over(self, job: PlainJob) -> None:
        if job.rescue == "unloading":
            self.room_is_made(job, None)
        else:
            job.backing_off = False

    def limit_is_over(self, job: PlainJob, timeout: float) -> None:
        job.over_limit = True
        self._want_stop(job, timeout <= 0, timeout)

    def deadline_is_over(self, job: PlainJob, timeout: float) -> None:
        if job.status == "pending":
            job.error = self._too_late(job)
            self._end(job, "failed")
            return
        job.too_late = True
        if job.stop is None:
            job.over_limit = True
            self._want_stop(job, timeout <= 0, timeout)

    def _too_late(self, job: PlainJob) -> str:
        return f"DeadlineExceeded: deadline, {job.deadline:g} s after the submit"

    def grace_is_over(self, job: PlainJob) -> None:
        if job.can_kill:
            self._force(job)

    # -- pieces ----------------------------------------------------------------------------------

    def _file(self, job: PlainJob) -> None:
        self.order.sort(key=lambda other: (-other.priority, other.rank, other.number))

    def _tell(self, what: str, job: PlainJob) -> None:
        self.to_execution.append((what, job.number))

    def _want_stop(self, job: PlainJob, force: bool, timeout: float) -> None:
        job.timers.pop("limit", None)
        if force and job.can_kill:
            self._force(job)
            return
        job.stop = "asked"
        self._tell("Ask", job)
        if job.can_kill:
            job.timers["grace"] = self.now + timeout

    def _force(self, job: PlainJob) -> None:
        job.timers.pop("grace", None)
        job.stop = "forcing"
        self._tell("Kill", job)

    def _gone(self, job: PlainJob) -> None:
        self.running.remove(job)
        job.has_lane = False

    def _end(self, job: PlainJob, status: str) -> None:
        if job in self.order:
            self.order.remove(job)
        job.status = status
        job.held = job.backing_off = job.over_limit = False
        job.stop = job.phase = job.blocked = None
        job.timers = {}
        self.counts[status] += 1
        self.just_ended.append(job)
        for child in self.jobs:
            stays = child.whatever or job.gives(child)
            if job in child.parents and child.status == "pending" and not stays:
                self._cancel_orphan(child)

    def _cancel_orphan(self, job: PlainJob) -> None:
        job.orphan = True
        self._end(job, "cancelled")

    def keep(self, place_of: Callable[[PlainJob], int]) -> None:
        """Into the history what this step has ended; what ends together has no order of its own."""
        left = sorted(self.just_ended, key=place_of)
        while left:
            job = left.pop(0)
            for parent in job.parents:
                if parent in self.awaited and parent in job.takes and not self._taken(parent, left):
                    self.awaited.remove(parent)
                    self._leaves(parent)
            self.ended.append(job)
            while len(self.ended) > self.keep_ended:
                oldest = self.ended.pop(0)
                if self._taken(oldest, left):
                    self.awaited.append(oldest)
                else:
                    self._leaves(oldest)

    def _taken(self, job: PlainJob, ending: list[PlainJob]) -> bool:
        """True while somebody is still to be given its result; `ending`: in this step, later."""
        return any(job in one.takes and (one in ending or not one.ended) for one in self.jobs)

    def _leaves(self, job: PlainJob) -> None:
        self.just_forgotten.append(job)
        job.names = set()
