"""Users of the queue who do anything the API allows, at any moment, and judge the answers."""

from __future__ import annotations

import asyncio
import random
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jobqueue_widget._core.jobs import JobStatus
from jobqueue_widget.child.job_context import current_job
from jobqueue_widget.errors import (
    InvalidOptionError,
    JobQueueError,
    JournalError,
    NotRestorableError,
    QueueClosedError,
)
from jobqueue_widget.testing import inspect

from .executor import Broken, VeryBroken
from .keyed import Asker
from .taking import Handed, thrown

if TYPE_CHECKING:
    from .world import Tracked, World

Act = Callable[["User"], Awaitable[None]]


def do_nothing(*given: object, **named: object) -> None:
    """What the diced executors are given; they never call it."""


async def body(
    of: Callable[[], World | None], seed: int, *given: object, **named: object
) -> object:
    """A coroutine job: steps, deafness, every kind of end."""
    world = of()
    assert world is not None
    dice = random.Random(seed)
    current_job().report(dice.random(), "begun")
    deaf, endless = dice.random() < 0.15, dice.random() < 0.1
    for _ in range(dice.randint(0, 3)) if not endless else iter(int, 1):
        try:
            await asyncio.sleep(dice.choice((0, 0, 0.1, 1.0, 2.0)) if not endless else 1.0)
        except asyncio.CancelledError:
            if not deaf or world.over:
                raise
        if world.over:
            break
    fate = dice.random()
    if fate < 0.7:
        return f"value {seed}"
    kinds = (Broken, VeryBroken, SystemExit, KeyboardInterrupt, asyncio.CancelledError)
    raise dice.choice(kinds)("a job")


class User(Asker):
    """One who also changes it."""

    async def act(self, count: int) -> None:
        """That many random acts."""
        for _ in range(count):
            act = self.dice.choices(ACTS, WEIGHTS)[0]
            self.world.note(act.__name__)
            try:
                await act(self)
            except QueueClosedError:
                if not self.world.engine.life._closing:
                    self.world.complain(f"{act.__name__}: closed, but the queue is not")
            await self.world.dawdle()

    # -- submitting --------------------------------------------------------------------------

    async def submit(self) -> None:
        """A job of either kind, with any options."""
        dice, world = self.dice, self.world
        options: dict[str, Any] = {}
        after: tuple[Tracked, ...] = ()
        if dice.random() < 0.25 and world.jobs:
            several = [self.some_job() for _ in range(dice.choice((1, 1, 2, 3)))]
            after = tuple({parent.number: parent for parent in several if parent}.values())
            options["after"] = [parent.job for parent in after]
        if dice.random() < 0.2:
            options["timeout"] = dice.choice((0.05, 0.5, 2.0))
        if dice.random() < 0.2:
            options["retries"] = dice.choice((1, 2))
        if dice.random() < 0.2:
            options["tags"] = "tagged"
        options["priority"] = dice.choice((-1, 0, 0, 0, 5))
        handed = self.some_results() if dice.random() < 0.25 else Handed()
        target: object = do_nothing
        if dice.random() < 0.4:
            own = (weakref.ref(world), dice.randrange(1 << 30))  # nobody looks into a reference
            target, handed = body, Handed((*own, *handed.args), handed.kwargs)
            options["executor"] = world.coroutines
        elif world.journal is None or dice.random() < 0.1:
            options["executor"] = dice.choice(world.executors)
        accepted = world.engine.state.totals.accepted
        try:
            view = self.queue.options(**options)
        except InvalidOptionError:  # the parent is no longer kept
            return
        args, kwargs = handed.with_each(lambda one: one.job)
        try:
            job = self.call(view.submit_nowait, target, *args, **kwargs)
        except Broken:
            self.expect(world.engine.state.totals.accepted, accepted, "a refused submit")
            return
        world.track(job, after, handed)

    def some_results(self) -> Handed:
        """Arguments with the results of some jobs, also of those that have ended, or left."""
        one, other = self.some_job(), self.some_job()
        return Handed() if one is None or other is None else thrown(self.dice, one, other)

    async def map_several(self) -> None:
        """Several at once, all or none."""
        accepted = self.world.engine.state.totals.accepted
        name = self.dice.choice((None, "a", "b"))
        executor = self.dice.choice(self.world.executors) if self.world.journal is None else None
        view = self.queue.options(executor=executor, group=name)
        try:
            jobs = self.call(view.map, len, ["one", "two", "three"])
        except Broken:
            self.expect(self.world.engine.state.totals.accepted, accepted, "a refused map")
            return
        for job in jobs:
            self.world.track(job)
        self.world.groups.append(jobs)

    async def retry(self) -> None:
        """The same again; another try takes the place of the latest one, once that has ended."""
        if (old := self.some_job()) is not None:
            last = old.latest
            replaces = last.record.status.ended
            after = self.still_before(old)
            try:
                job = self.call(old.job.retry)
            except NotRestorableError:
                self.expect(self.may_be_refused(old), True, "a retry was refused")
                return
            new = self.world.track(job, after, old.handed, old.text, is_anyway=True)
            last.next = new if replaces else None

    def may_be_refused(self, old: Tracked) -> bool:
        """True if what another try needs went with its kernel, or has left the queue since."""
        known = self.world.engine.state.jobs
        taken = old.handed.jobs if old.before is not None else ()
        return old.cannot_run or any(one.record.id not in known for one in taken)

    def still_before(self, old: Tracked) -> tuple[Tracked, ...]:
        """What another try waits for, but for those whose results it takes."""
        return tuple(one for one in old.after if not one.record.status.ended)

    async def retry_failed(self) -> None:
        """All of a group, again; as many as had failed."""
        if not self.world.groups:
            return
        group = self.dice.choice(self.world.groups)
        failed = len({job.id for job in group if job.status is JobStatus.failed})
        by_id = {tracked.job.id: tracked for tracked in self.world.jobs.values()}
        before = {job_id: self.still_before(tracked) for job_id, tracked in by_id.items()}
        try:
            again = self.call(group.retry_failed)
        except NotRestorableError:
            cannot = any(map(self.may_be_refused, by_id.values()))
            self.expect(cannot, True, "retry_failed was refused")
            return
        self.expect(len(again), failed, "retry_failed")
        for job in again:
            old = by_id[job.retry_of]
            after = before[job.retry_of]
            old.next = self.world.track(job, after, old.handed, old.text, is_anyway=True)
        self.world.groups.append(again)

    async def cancel_group(self) -> None:
        """What has not ended of it; none that waits takes a lane meanwhile."""
        if not self.world.groups:
            return
        self.world.engine.life.handle_lost_loop()
        group = self.dice.choice(self.world.groups)
        by_id = {tracked.job.id: tracked for tracked in self.world.jobs.values()}
        pending = [job for job in group if job.status is JobStatus.pending]
        for job in group:
            if job.status is JobStatus.running:
                by_id[job.id].told_asked = True
        self.call(group.cancel)
        for job in pending:
            self.expect(job.status, JobStatus.cancelled, "the cancel of a pending one of a group")

    # -- changing ----------------------------------------------------------------------------

    async def cancel(self) -> None:
        """Any kind of cancel; the answer must be true now and in the end."""
        tracked = self.some_job()
        if tracked is None or (key := self.as_key(tracked)) is None:
            return
        before = tracked.record.status
        answer = self.call(
            self.queue.cancel_nowait,
            key,
            force=self.dice.random() < 0.3,
            timeout=self.dice.choice((None, None, 0.0, 1.0)),
            reason=self.dice.choice(("", "because")),
        )
        self.expect(answer, not before.ended, f"cancel of a {before} job")
        if before is JobStatus.pending:
            self.expect(tracked.record.status, JobStatus.cancelled, "cancel of a pending job")
        elif before is JobStatus.running:
            tracked.told_asked = True

    async def cancel_all(self) -> None:
        """Everything, or all of one kind."""
        self.world.engine.life.handle_lost_loop()  # as it does itself: what ran there is not asked
        scope = self.dice.choice(("pending", "pending", "running", "all"))
        tag = self.dice.choice((None, "tagged", "tagged"))
        chosen = [
            t for t in self.world.jobs.values() if tag is None or tag in t.record.spec.options.tags
        ]
        pending = [t for t in chosen if t.record.status is JobStatus.pending]
        running = [t for t in chosen if t.record.status is JobStatus.running]
        if scope != "pending":
            for tracked in running:
                tracked.told_asked = True
        self.call(self.queue.cancel_all, scope, tag)
        if scope != "running":
            for tracked in pending:
                self.expect(tracked.record.status, JobStatus.cancelled, "cancel_all of a pending")

    async def reorder(self) -> None:
        """Another priority."""
        if (tracked := self.some_job()) is not None:
            pending = tracked.record.status is JobStatus.pending
            answer = self.call(self.queue.reorder, tracked.job, self.dice.choice((-1, 0, 0, 5)))
            self.expect(answer, pending, "reorder")

    async def move(self) -> None:
        """Beside another, or to an end; it must stand there."""
        tracked, other = self.some_job(), self.some_job()
        if tracked is None or other is None:
            return
        place: dict[str, Any] = self.dice.choice(
            ({"to": "top"}, {"to": "bottom"}, {"before": other.job}, {"after": other.job})
        )
        beside = "to" not in place
        both = [tracked, other] if beside else [tracked]
        possible = all(t.record.status is JobStatus.pending for t in both)
        life = self.world.engine.life
        was_lost = life.loop is not None and life.loop_is_closed
        answer = self.call(self.queue.move, tracked.job, **place)
        self.expect(answer, possible, f"move {list(place)}")
        still_there = all(t.record.status is JobStatus.pending for t in both)
        # Whoever notices a lost loop cancels dependants and lets retries wait for their turn.
        if possible and answer and still_there and not was_lost:
            self._judge_place(tracked, other if beside else None, next(iter(place.values())))

    def _judge_place(self, tracked: Tracked, other: Tracked | None, where: object) -> None:
        pending = [job.id for job in self.queue.jobs("pending")]
        mine = pending.index(tracked.job.id)
        if other is None:
            self.expect(mine, 0 if where == "top" else len(pending) - 1, f"move to {where}")
        elif other is not tracked:
            self.expect(abs(mine - pending.index(other.job.id)), 1, "move beside")
        self.expect(self.queue.position(tracked.job), mine, "position")

    async def hold(self) -> None:
        """For ever, or for a time."""
        if (tracked := self.some_job()) is not None:
            pending = tracked.record.status is JobStatus.pending
            seconds = self.dice.choice((None, None, 0.0, 0.5, 4.0))
            then = self.dice.choice(("release", "release", "cancel"))
            answer = self.call(self.queue.hold, tracked.job, seconds, then)
            self.expect(answer, pending, "hold")

    async def release(self) -> None:
        """Lift a hold, if there is one."""
        if (tracked := self.some_job()) is not None:
            pending = tracked.record.status is JobStatus.pending
            self.expect(self.call(self.queue.release, tracked.job), pending, "release")

    async def pause(self) -> None:
        """Nothing new starts."""
        self.call(self.queue.pause, "a break")

    async def resume(self) -> None:
        """It goes on."""
        self.call(self.queue.resume)

    async def clear_history(self) -> None:
        """Hide what has ended, and perhaps not for long."""
        self.call(self.queue.clear_history)
        if self.dice.random() < 0.5:
            self.call(inspect(self.queue).undo_clear)

    async def forget(self) -> None:
        """Delete one of those that have ended, or all of a kind."""
        if (tracked := self.some_job()) is None:
            return
        if self.dice.random() < 0.5:
            with suppress(JournalError):  # it is closed
                self.call(self.queue.forget, status=self.dice.choice(("failed", "cancelled")))
            return
        kept = tracked.job.id in inspect(self.queue).records and tracked.job.done
        try:
            count = self.call(self.queue.forget, tracked.job)
        except JournalError:
            self.expect(self.world.engine.life.phase, "closed", "nothing is deleted any more")
            return
        except JobQueueError:
            count = 0
        if count:
            self.world.forgotten.add(tracked.number)
        self.expect(count, int(kept), "forget")

    # -- the queue's life --------------------------------------------------------------------

    async def start(self) -> None:
        """Idempotent."""
        await self.queue.start()

    async def stop(self) -> None:
        """In the background, so that others can act meanwhile."""
        self._in_background(self._stop())

    async def _stop(self) -> None:
        world = self.world
        world.stops += 1
        begun, timeout = world.outside.now, self.dice.choice((0.0, 0.5, 5.0))
        await self.queue.stop(self.dice.choice(("cancel", "wait")), timeout)
        took = world.outside.now - begun
        if took > timeout + 3.0 + 1.0 + 8.0:  # grace, patience, executors that dawdle
            world.complain(f"stop took {took} s, its timeout was {timeout} s")

    async def close(self) -> None:
        """For good."""
        if self.dice.random() < 0.15:
            self.world.stops += 1
            self._in_background(self.queue.close())

    # -- the world ---------------------------------------------------------------------------

    async def block_the_loop(self) -> None:
        """A cell that sleeps or computes."""
        self.world.outside.block(self.dice.choice((0.05, 0.6, 2.5)))

    async def change_the_clock(self) -> None:
        """Somebody sets the computer's clock."""
        self.world.wall_offset = self.dice.choice((0.0, 3600.0, -1e9))


CHOICES: dict[Act, int] = {
    User.submit: 30,
    User.map_several: 3,
    User.submit_with_key: 6,
    User.map_with_keys: 3,
    User.retry: 2,
    User.retry_failed: 2,
    User.cancel_group: 1,
    User.cancel: 10,
    User.cancel_all: 1,
    User.reorder: 4,
    User.move: 6,
    User.hold: 6,
    User.release: 3,
    User.pause: 1,
    User.resume: 3,
    User.clear_history: 1,
    User.forget: 1,
    User.start: 5,
    User.stop: 2,
    User.close: 1,
    User.wait_for_job: 8,
    User.wait_by_id: 1,
    User.join: 3,
    User.wait_for_group: 3,
    User.stop_waiting: 3,
    User.read_events: 3,
    User.subscribe: 1,
    User.look: 3,
    User.block_the_loop: 2,
    User.change_the_clock: 1,
}
ACTS, WEIGHTS = list(CHOICES), list(CHOICES.values())
