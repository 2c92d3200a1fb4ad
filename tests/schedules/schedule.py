"""Runs one schedule: some event loops one after the other, users on each, then the reckoning."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from jobqueue_widget._runtime.storage import filling
from jobqueue_widget._runtime.storage.forwarding import Forwarding
from jobqueue_widget._threads.bridge import give_up

from . import promises, restart
from .loop import OtherThread, VirtualLoop
from .restart import Killed, Soon, sometimes_quick
from .users import User
from .world import World

A_WHILE = 12.0  # longer than anything here takes by itself
LONGEST_GATE = 4.0


@dataclass(frozen=True)
class Verdict:
    """What one schedule showed."""

    seed: str
    complaints: list[str]
    trace: list[str]
    jobs: int
    turns: int


def run_schedule(seed: str, thread: OtherThread) -> Verdict:
    """Everything that happens is decided by `seed`."""
    play = _Play(World(seed, thread), thread)
    for step in (play.run, play.clean_up):
        try:
            with played_aside(lambda: play.world):
                step()
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
            play.world.complain(f"{step.__name__}: {text}")
            if isinstance(error, KeyboardInterrupt) and not error.args:
                raise  # from the keyboard; those of jobs have an argument
    world = play.world
    trace = list(world.trace)  # a body on a lost loop ends when the collector finds it, later
    return Verdict(seed, world.complaints, trace, len(world.jobs), play.turns)


@contextmanager
def played_aside(world: Callable[[], World]) -> Iterator[None]:
    """Let the queue read results on the other thread, at moments that the dice give."""
    is_quick = Forwarding.__dict__["is_quick"]
    with (
        patch.object(filling, "Thread", Soon(world)),
        patch.object(Forwarding, "is_quick", sometimes_quick(world, is_quick)),
    ):
        yield


class _Play:
    def __init__(self, world: World, thread: OtherThread) -> None:
        self.world = world
        self.thread = thread
        self.earlier: World | None = None  # of the kernel that has died
        self.turns = 0
        self.is_last = False
        self.loops: list[VirtualLoop] = []

    def run(self) -> None:
        if self.world.journal is not None:
            self._until_it_is_killed()
        world, dice = self.world, self.world.dice
        for _ in range(dice.choice((0, 0, 0, 1, 2)) if self.earlier is None else 0):
            self._on_a_loop_that_ends()
        self.is_last = True
        self._on_a_loop(self._acts())
        world.loop.run_until_complete(self._end())
        self._close()
        promises.check_moment(world)
        promises.check_end(world)

    def _on_a_loop(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.world.note("a new loop")
        loop = self.world.new_loop()
        self.loops.append(loop)
        loop.run_until_complete(coroutine)

    def _on_a_loop_that_ends(self) -> None:
        """However it ends; now and then while a job that has its lane waits for its results."""
        world, dice = self.world, self.world.dice
        world.ends_with_a_reading = dice.random() < 0.5
        leave = dice.choice((self._leave_politely, self._leave_rudely, self._lose))
        try:
            self._on_a_loop(self._acts())
        except Killed:
            leave = self._lose
        world.ends_with_a_reading, world.turns_left = False, None
        leave()

    async def _acts(self) -> None:
        world, dice = self.world, self.world.dice
        if dice.random() < 0.7 and not world.engine.life._closing:
            await world.queue.start()
        if self.earlier is not None and dice.random() < 0.8:
            await self._run_all_again()
        users = [User(world).act(dice.randint(1, 12)) for _ in range(dice.randint(1, 3))]
        await asyncio.gather(*users)
        if not self.is_last and dice.random() < 0.3:
            return
        await self._rest()

    async def _run_all_again(self) -> None:
        """Submit all once more that had been asked for with a key."""
        world = self.world
        world.note("run all again")
        user = User(world)
        assert self.earlier is not None
        while texts := sorted(self.earlier.keys_asked - world.keys_asked):
            user.ask_for_all(texts, anyway=False)  # it may be refused, as any submit
        if self.earlier.keys_asked:
            restart.check_review(world)

    # -- the kernel dies ---------------------------------------------------------------------

    def _until_it_is_killed(self) -> None:
        """At any moment of a loop, or when all rests; then another kernel has the journal."""
        world, dice = self.world, self.world.dice
        world.turns_left = dice.choice((5, 10, 20, 40, 80))
        with suppress(Killed):
            self._on_a_loop(self._acts())
        world.turns_left = None
        world.note("the kernel dies")
        restart.note_death(world)
        self.earlier, self.world = world, World(f"{world.seed} again", self.thread, world)
        self.turns += world.loop.turns

    async def _rest(self) -> None:
        """Until nothing is in flight."""
        await asyncio.sleep(A_WHILE)
        state, seen = self.world.engine.state, -1
        while seen != state.revision:  # one job after the other may wait for a gate
            seen = state.revision
            await asyncio.sleep(LONGEST_GATE)
        self.world.note("at rest")
        promises.check_rest(self.world)

    # -- how a loop ends ---------------------------------------------------------------------

    def _leave_politely(self) -> None:
        """With `stop`; whoever waits is told."""
        self.world.note("stop, then another loop")
        self.world.loop.run_until_complete(self._stop_and_rest())
        self._end_what_is_left()
        self._close()

    async def _stop_and_rest(self) -> None:
        self.world.stops += 1
        await self.world.queue.stop()
        await self._rest()

    def _leave_rudely(self) -> None:
        """As `asyncio.run` does: every task is cancelled, and the queue notices."""
        self.world.note("the end of asyncio.run")
        self.world.stops += 1
        self._end_what_is_left()
        life = self.world.engine.life
        if life.phase == "started" and life.loop is self.world.loop:
            self.world.complain("the end of the loop did not stop the queue")
        self._close()

    def _lose(self) -> None:
        """The loop is closed under the queue."""
        self.world.note("the loop is closed")
        self.world.stops += 1
        for task in self.world.loop.open_tasks():
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._close()
        self.world.waits.clear()

    def _end_what_is_left(self) -> None:
        loop = self.world.loop
        self.world.over = True
        while tasks := loop.open_tasks():
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.wait(tasks))
        self._judge_waits()
        self.world.over = False

    def _judge_waits(self) -> None:
        """What went on in the background ended well, or was cancelled."""
        for task in self.world.waits:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                self.world.complain(f"in the background: {type(error).__name__}: {error}")
        self.world.waits.clear()

    def _close(self) -> None:
        self.turns += self.world.loop.turns
        self.world.loop.close()
        self.world.lose_what_hangs_on_the_loop()
        for complaint in self.world.loop.complaints:
            self.world.complain(complaint)

    # -- the end -----------------------------------------------------------------------------

    async def _end(self) -> None:
        """Everything that resists gives in; then every job ends and every waiter wakes."""
        world, queue = self.world, self.world.queue
        world.give_up()
        if not world.engine.life._closing:
            await queue.start()
            queue.resume()
            for job in queue.jobs("pending"):
                queue.release(job)
            await queue.join()
            if world.engine.state.open_count:
                world.complain("join returned, and something is left")
        if world.waits:
            await asyncio.wait(world.waits)
        self._judge_waits()
        await self._rest()
        await queue.stop()
        await queue.close()
        await asyncio.sleep(A_WHILE)
        left = [task for task in world.loop.open_tasks() if task is not asyncio.current_task()]
        if left:
            world.complain(f"tasks after the end: {left}")

    def clean_up(self) -> None:
        """After a complaint, too, nothing may be left behind."""
        for loop in self.loops:
            for task in loop.open_tasks():
                give_up(task)
            if not loop.is_closed():
                loop.close()
        for world in filter(None, (self.earlier, self.world)):
            world.engine.life.handle_lost_loop()
