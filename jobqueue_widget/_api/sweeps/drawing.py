"""Draws the items of a long map as there is room for them, on a thread of the queue's own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from ..._core import effects as fx
from ..._core import events as ev
from ..._core.jobs import JobFailure, JobRecord, JobStatus
from ..._runtime.sweeps.keyed import accept_prepared, end_review, is_new, prepare
from ..._runtime.waiting import Waiter
from ..._threads.interrupts import UNINTERRUPTED
from ..._threads.threadless import Thread
from ...errors import DrawingFailedError, InvalidOptionError, JobQueueError, QueueClosedError
from .drawn import Drawn

if TYPE_CHECKING:
    from ..._core.spec import JobOptions
    from ..._core.sweeps.group import Group
    from ..._runtime.engine import Engine
    from ..._runtime.storage.learning import Kind
    from ...job import Job

AT_A_TIME = 50  # items that are packed and accepted together: the queue's lock is taken for those
Then = Literal["release", "cancel"]
Items = Iterator[tuple[Any, ...]]
Made = tuple[JobRecord, tuple[JobRecord, ...]]
PATIENCE = 0.02  # seconds after which what was drawn is accepted before the next item is asked for
KIND = "argument"  # of the failure of a job whose item cannot be submitted


class Drawing(Drawn):
    """The items of one map that are not submitted yet. Any thread.

    Args:
        engine: of the queue.
        kind: of its jobs.
        group: counts the jobs; its pending ones tell what room there is.
        items: what is left to draw; it is read in one thread at a time.
        options: of its jobs; `ahead` of them may be pending.
        total: how many items there are in all; None: nobody knows.
        make: makes a job of an item at a place.
        refused: makes one that can never run, of an item that `make` does not take.
        handle: makes the handle of a job.
        beside: all drawings of the queue; under its lock.
    """

    def __init__(
        self,
        engine: Engine,
        kind: Kind,
        group: Group,
        items: Items,
        options: JobOptions,
        total: int | None,
        make: Callable[[tuple[Any, ...], int], Made],
        refused: Callable[[tuple[Any, ...], int, str], JobRecord],
        handle: Callable[[JobRecord], Job],
        beside: list[Drawing],
    ) -> None:
        super().__init__(engine, group, total)
        self.kind = kind
        self._items: Items | None = items
        self._ahead = options.ahead
        self._has_keys = options.key is not None and not options.rerun
        self.tags = options.tags
        self._make = make
        self._refused = refused
        self._handle = handle
        self._beside = beside
        self._groups: tuple[Group, ...] = ()  # that are not done before all is drawn
        self._is_at_work = self._is_exhausted = self._is_held = False
        self._held_until = math.inf
        self._then: Then = "release"
        self._waiters: list[Waiter] = []
        self._asking: list[Waiter] = []  # those who wait for one more item
        self._stop_listening: Callable[[], None] = lambda: None

    # -- drawing ---------------------------------------------------------------------------------

    def begin(self, first: list[Made]) -> bool:
        """Submit the first jobs, all or none, and draw on from now on. False: look again."""
        return self._submit(first, {}, self._register)

    def _register(self) -> None:  # under the lock, in which the first jobs are accepted
        self._beside.append(self)
        named = self._engine.state.groups.named.get(self.group.name)
        self._groups = (self.group,) if named is None else (self.group, named)
        for group in self._groups:
            group.drawings += 1
        self._engine.state.drawings = len(self._beside)
        self._stop_listening = self._engine.publisher.on_change(self._look)
        self._look()

    async def wait(self) -> None:
        """Wait until nothing more will be drawn, but for nothing that cannot happen."""
        engine = self._engine
        engine.life.handle_lost_loop()
        waiter = engine.waiters.for_all()
        try:
            with engine.lock.held:
                if self.is_over:
                    return
                self._waiters.append(waiter)
            await waiter.wait()
        finally:
            engine.waiters.forget(waiter)
            with engine.lock.held:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def more(self, known: int) -> Waiter:
        """Return one that settles when more than these are drawn, or nothing more will be."""
        waiter = Waiter()
        with self._engine.lock.held:
            if not self.is_over and len(self._numbers) <= known:
                self._asking.append(waiter)
                return waiter
        waiter.settle()
        return waiter

    def end(self, error: Exception | None = None) -> None:
        """Draw nothing more; what is drawn stays."""
        engine = self._engine
        with engine.lock.held:
            if self.is_over:
                return
            self.is_over, self.error = True, error
            engine.state.drawing_now -= self._is_at_work and not self._is_held
            engine.state.drawings_held -= self._is_held
            for group in self._groups:
                group.drawings -= 1
                engine.state.groups.drop_empty(group)
            self._stop_listening()
            self._beside.remove(self)
            engine.state.drawings = len(self._beside)
            waiters, self._waiters = self._waiters + self._asking, []
            self._asking = []
            for follower in self._followers:
                follower.add([])
            self._followers.clear()
            left = None if self._is_at_work else self._items
            self._items = self._items if self._is_at_work else None
            engine.publisher.touch()
        for waiter in waiters:
            waiter.settle()
        for group in self._groups:
            engine.waiters.release_group(group)
        engine.waiters.check_idle()
        del left  # a generator is closed here: its code may wait for others who use the queue

    def hold(self, seconds: float | None, then: Then) -> None:
        """Draw nothing until it is released, or that time is over; what comes now is held."""
        engine = self._engine
        with engine.lock.held:
            self._then, self._held_until = then, math.inf
            self._note_change(is_at_work=self._is_at_work, is_held=True)
            if seconds is not None:
                self._held_until = engine.monotonic() + seconds
                engine.call_later(seconds, self._look_again)
        engine.waiters.check_idle()

    def release(self) -> None:
        """Draw on."""
        with self._engine.lock.held:
            self._note_change(is_at_work=self._is_at_work, is_held=False)
            self._look()

    # -- on the thread, and where it is started --------------------------------------------------

    def _look(self) -> None:
        """Start the thread if there is room. Under the queue's lock, at each of its changes."""
        few = min(AT_A_TIME, (self._ahead + 1) // 2)
        if self._is_held and self._engine.monotonic() >= self._held_until:
            if self._then == "cancel":
                self._engine.aside.call(self.end)  # where a generator may be closed
                return
            self._note_change(is_at_work=self._is_at_work, is_held=False)
        if self._is_at_work or self.is_over or self._room() < few:
            return
        self._note_change(is_at_work=True, is_held=self._is_held)
        name = f"{self._engine.title}-drawing"
        thread = Thread(target=self._work, name=name, daemon=True)
        if not self._engine.threads.start(thread, self._look_again):
            self._note_change(is_at_work=False, is_held=self._is_held)

    def _look_again(self) -> None:
        with self._engine.lock.held:
            self._look()

    def _note_change(self, *, is_at_work: bool, is_held: bool) -> None:  # under the lock
        if not self.is_over:
            state, was = self._engine.state, self._is_at_work and not self._is_held
            state.drawings_held += is_held - self._is_held
            state.drawing_now += (is_at_work and not is_held) - was
        self._is_at_work, self._is_held = is_at_work, is_held

    def _room(self) -> int:
        if self._is_held:
            return 0
        return self._ahead - self.group.counts[JobStatus.pending] + self.group.held_count

    def _work(self) -> None:
        try:
            while True:
                with self._engine.lock.held:
                    room = self._room()
                    if self.is_over or room <= 0:
                        self._note_change(is_at_work=False, is_held=self._is_held)
                        break
                self._engine.life.check_open()
                self._draw(min(room, AT_A_TIME))
            self._engine.waiters.check_idle()  # what is left may be unable to start
        except QueueClosedError as error:
            self._give_up(error)
        except BaseException as error:  # of the user's iterable
            self._give_up(_told(error, len(self._numbers)))
        finally:
            if self.is_over:
                self._items = None  # a generator is closed here, where it has run

    def _give_up(self, error: Exception) -> None:
        self.end(error)
        if not isinstance(error, QueueClosedError):
            self._engine.logger.error("%s: %s", self.group.name, error)

    def _draw(self, count: int) -> None:
        items: list[tuple[Any, ...]] = []
        made, refused, failure = self._jobs_of(self._taken(count, items))
        while not self._submit(made, refused):
            made, refused, _ = self._jobs_of(items)
        if failure is not None:  # the jobs made before it are submitted all the same
            raise failure
        if self._is_exhausted:
            self.end()

    def _taken(self, count: int, into: list[tuple[Any, ...]]) -> Items:
        """Give the next items; few of an iterable that takes its time: none waits for the next."""
        assert self._items is not None
        late = self._engine.monotonic() + PATIENCE
        for item in noted(islice(self._items, count), into):
            yield item
            if self._engine.monotonic() >= late:
                return
        self._is_exhausted = len(into) < count

    def _jobs_of(
        self, items: Iterable[tuple[Any, ...]]
    ) -> tuple[list[Made], dict[JobRecord, JobFailure], BaseException | None]:
        """Make jobs; return them, those that can never run, and what has stopped the making."""
        made: list[Made] = []
        refused: dict[JobRecord, JobFailure] = {}
        try:
            for place, item in enumerate(items, len(self._numbers)):
                try:
                    made.append(self._make(item, place))
                except JobQueueError as error:
                    why = (
                        f"{error}. It is item {place:,} of the map, from 0 on; the {place:,} "
                        "before it are submitted, and the others go on"
                    )
                    record = self._refused(item, place, why)
                    made.append((record, ()))
                    refused[record] = JobFailure(KIND, why, exception=error)
        except BaseException as error:
            return made, refused, error
        return made, refused, None

    def _submit(
        self,
        made: list[Made],
        refused: dict[JobRecord, JobFailure],
        then: Callable[[], object] = lambda: None,
    ) -> bool:
        """Submit jobs, unless somebody has ended the drawing meanwhile: they never were, then.

        False: a job that was to stand for a known key does so no more; look again.
        """
        engine = self._engine
        new = [record for record, _ in made if is_new(record)]
        for record in new:
            record.groups = (self.group,)
        held = [self._handle(record) for record, _ in made] if self._has_keys else None
        prepare(engine, made)
        outside: list[fx.Effect] = []
        records: list[JobRecord] | None
        with UNINTERRUPTED:
            with engine.lock.held:
                if self.is_over:
                    return True
                if held is not None:
                    records = accept_prepared(engine, made, self.group, outside)
                else:
                    outside += engine.accept(made, ev.NONE_REPEATED)
                    records = [record for record, _ in made]
                if records is not None:
                    self._accepted(records, new, refused, outside)
                    then()
            engine.perform(outside)
            end_review(engine)
        return records is not None

    def _accepted(
        self,
        records: list[JobRecord],
        new: list[JobRecord],
        refused: dict[JobRecord, JobFailure],
        outside: list[fx.Effect],
    ) -> None:  # under the lock
        engine = self._engine
        for record, failure in refused.items():
            outside += engine.apply_inside(ev.Refused(record, failure))
        if self._is_held:
            left = max(0.0, self._held_until - engine.monotonic())
            seconds = left if left < math.inf else None
            for record in new:
                outside += engine.apply_inside(ev.Held(record, seconds, self._then))
        self._note(records)

    def _note(self, records: list[JobRecord]) -> None:
        self._numbers.extend(record.number for record in records)
        asking, self._asking = self._asking, []
        for waiter in asking:
            waiter.settle()
        if self._held is not None:
            self._held += map(self._handle, records)
        if self._has_keys:  # an item may have the job of an earlier one, which was told of
            times = Counter(records)
            records = [job for job in times if job.groups.count(self.group) <= times[job]]
        for follower in self._followers:
            if records:
                follower.add(records)


def iterator_of(items: Iterable[Any]) -> Iterator[Any]:
    """Return what draws the items that a map was given.

    Raises:
        InvalidOptionError: it is no iterable.
    """
    try:
        return iter(items)
    except TypeError:
        raise InvalidOptionError(
            f"map takes iterables, not {type(items).__name__}; an argument that is the same for "
            "all goes into a functools.partial, as in map(partial(f, depth=2), rates)"
        ) from None


def noted(items: Items, into: list[tuple[Any, ...]]) -> Items:
    """Give items one by one, as a user's generator may change what it gave before."""
    for item in items:
        into.append(item)
        yield item


def _told(error: BaseException, drawn: int) -> Exception:
    said = f"{type(error).__name__}: {error}"
    told = DrawingFailedError(
        f"the iterable of this map has failed after {drawn:,} items ({said}); those run"
    )
    told.__cause__ = error
    return told
