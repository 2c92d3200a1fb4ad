"""Estimates when jobs start and when they are done, from how long their like have taken.

Nothing is said of what has no like that is done. The lanes are played through a few times with
durations drawn from those seen: with means alone the last lane would always end too early.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

MOST_KEYS = 1_000
MOST_SEEN = 100  # durations of one key: the latest count
JUST_BEGUN = 10.0  # seconds in which progress says nothing of the rest: data are loaded
LEAST_PROGRESS = 0.02
PLAYS = 12
MOST_PLAYED = 20_000  # jobs times plays; beyond, there are fewer plays


class Seen:
    """How long the last runs of one kind have taken, in seconds."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=MOST_SEEN)
        self._sorted: list[float] | None = None

    def note(self, seconds: float) -> None:
        """Note one that is done."""
        self._latest.append(max(0.0, seconds))
        self._sorted = None

    @property
    def ascending(self) -> Sequence[float]:
        """All that count, the shortest first."""
        if self._sorted is None:
            self._sorted = sorted(self._latest)
        return self._sorted


class Durations:
    """What was seen, by key; those longest unused are forgotten. Not thread-safe."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Hashable, Seen] = OrderedDict()

    def note(self, key: Hashable, seconds: float) -> None:
        """Note how long a run of this key has taken."""
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = Seen()
            if len(self._seen) > MOST_KEYS:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(key)
        seen.note(seconds)

    def of(self, *keys: Hashable) -> Sequence[float]:
        """Return what was seen of the first of these keys that has been; () if of none."""
        for key in keys:
            seen = self._seen.get(key)
            if seen is not None:
                return seen.ascending
        return ()


@dataclass(slots=True)
class Run:
    """A job that runs or will, and the ascending durations of its like; none: unknown.

    In seconds: `elapsed` of one that runs, and its `progress` from 0.0 to 1.0; `not_before`, from
    now, of one that waits for a time, infinite if for its user. `after` are jobs that must end
    before it.
    """

    id: str
    seen: Sequence[float]
    groups: Sequence[Hashable] = ()
    elapsed: float = 0.0
    progress: float | None = None
    after: Sequence[str] = ()
    not_before: float = 0.0

    @property
    def is_known(self) -> bool:
        """True if anything is known of how long it takes."""
        return bool(self.seen) or self.left is not None

    @property
    def left(self) -> float | None:
        """How long it still runs at its pace so far; None while that says nothing."""
        done = self.progress or 0.0
        if self.elapsed < JUST_BEGUN or not LEAST_PROGRESS <= done <= 1.0:
            return None
        return self.elapsed * (1.0 - done) / done


@dataclass(slots=True)
class Forecast:
    """When jobs start, groups are done and all is done, in seconds from now; else unknown."""

    starts: dict[str, float] = field(default_factory=dict)
    groups: dict[Hashable, float] = field(default_factory=dict)
    done: float | None = None


def forecast(
    running: Sequence[Run], ready: Sequence[Run], waiting: Sequence[Run], lanes: int
) -> Forecast:
    """Play the lanes through: jobs that run, then those that are ready, then those that wait.

    Unknown are: a job of unknown duration, whatever starts behind or after it or waits for its
    user, and each group with such a job.
    """
    lit = _known(ready, waiting) if lanes and all(run.is_known for run in running) else []
    plays = max(1, min(PLAYS, MOST_PLAYED // (len(lit) + 1)))
    starts, groups, done = [0.0] * len(lit), dict[Hashable, float](), 0.0
    for number in range(plays):
        play = _Play(running, lanes, random.Random(number).random)
        for i, run in enumerate(lit):
            starts[i] += play.add(run)
        for group, end in play.groups.items():
            groups[group] = groups.get(group, 0.0) + end
        done += max(play.ends.values(), default=0.0)
    known = {run.id for run in (*running, *lit) if run.is_known}
    dark = [run for run in (*running, *ready, *waiting) if run.id not in known]
    unknown = {group for run in dark for group in run.groups}
    return Forecast(
        {run.id: start / plays for run, start in zip(lit, starts, strict=True)},
        {group: end / plays for group, end in groups.items() if group not in unknown},
        None if dark else done / plays,
    )


def _known(ready: Sequence[Run], waiting: Sequence[Run]) -> list[Run]:
    """Return those whose start can be known, in the order of the play."""
    lit = list(takewhile(lambda run: run.seen, ready))
    if len(lit) < len(ready):
        return lit  # nobody knows what is free when
    pending = {run.id for run in waiting}
    for run in waiting:  # parents were submitted before their children
        if run.seen and run.not_before < math.inf and pending.isdisjoint(run.after):
            pending.discard(run.id)
            lit.append(run)
    return lit


class _Play:
    """One way in which it may go on, with durations drawn from those that were seen."""

    def __init__(self, running: Sequence[Run], lanes: int, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._pools: dict[int, list[float]] = {}
        self.ends: dict[str, float] = {}
        self.groups: dict[Hashable, float] = {}
        for run in running:
            if run.is_known:
                rest = _rest(run, draw())
                self._end(run, rest)
                pool = self._pools.setdefault(id(run.seen), list(run.seen))
                pool.append(run.elapsed + rest)  # or short ones, which end first, weighed more
        self._free = [*self.ends.values(), *[0.0] * (lanes - len(running))]
        heapq.heapify(self._free)

    def add(self, run: Run) -> float:
        """Start one in the lane that is free first; return when."""
        pool = self._pools.get(id(run.seen), run.seen)
        start = max(self._free[0], run.not_before, *map(self._end_of, run.after))
        end = start + pool[int(self._draw() * len(pool))]
        heapq.heapreplace(self._free, end)
        self._end(run, end)
        return start

    def _end_of(self, job_id: str) -> float:
        return self.ends.get(job_id, 0.0)

    def _end(self, run: Run, end: float) -> None:
        self.ends[run.id] = end
        for group in run.groups:
            if end > self.groups.get(group, 0.0):
                self.groups[group] = end


def _rest(run: Run, share: float) -> float:
    """Return how long a job still runs: at its pace, else as those that took longer than it has.

    One that has run longer than all before it is taken for halfway.
    """
    left = run.left
    if left is not None:
        return left
    first = bisect_right(run.seen, run.elapsed)
    longer = len(run.seen) - first
    if not longer:
        return run.elapsed
    return run.seen[first + int(share * longer)] - run.elapsed
