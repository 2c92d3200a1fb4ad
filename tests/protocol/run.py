"""Plays one run: a time of trouble, one in which the channel is good, then the reckoning."""

from __future__ import annotations

import asyncio
import logging
import traceback
from dataclasses import dataclass
from unittest.mock import patch

from jobqueue_widget.child import job_context
from jobqueue_widget.testing import inspect
from jobqueue_widget.widget.sync import SAY_AGAIN
from tests.schedules.loop import OtherThread

from . import promises
from .node import Node
from .people import LISTS, Actor, Fate, Person, User
from .world import World

FEW = 60  # pending jobs that may all run before the end
A_WHILE = 45.0  # longer than a window's lease, and than the last repeat of a request
SOON = 2.5  # less than it takes until the last state is sent again


@dataclass(frozen=True)
class Verdict:
    """What one run showed."""

    seed: str
    complaints: list[str]
    trace: list[str]
    messages: int
    updates: int
    largest: int
    seconds: float


class _Listener(logging.Handler):
    """Whatever is logged is a complaint: nobody here does anything that must be logged."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.WARNING)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.complain(f"logged: {record.name}: {self.format(record)}")


def play(seed: str, thread: OtherThread, node: Node) -> Verdict:
    """Everything that happens is decided by `seed`."""
    world = World(seed, thread, node)
    listener = _Listener(world)
    logging.getLogger().addHandler(listener)
    try:
        with patch.object(job_context, "time", world.outside):  # thins what jobs report
            world.new_kernel()
            world.loop.run_until_complete(_play(world))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        world.complain(text)
    finally:
        logging.getLogger().removeHandler(listener)
        _close(world)
    return Verdict(
        seed,
        world.complaints,
        world.trace,
        world.messages,
        world.updates,
        world.largest,
        world.outside.now,
    )


async def _play(world: World) -> None:
    dice = world.dice
    await world.kernel.queue.start()
    if dice.random() < 0.2:
        world.kernel.queue.pause("from the start")
    User(world).submit(dice.choice((0, 0, 3, 30, 300, 2_000)))
    world.open_page()
    fate = Fate(world)
    actors: list[Actor] = [User(world), Person(world), Person(world), fate]
    tasks = [asyncio.create_task(actor.act_for_ever()) for actor in actors]
    await asyncio.sleep(dice.choice((1.0, 4.0, 10.0)))
    failed = [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in failed:
        world.complain(f"an actor failed: {task.exception()!r}")
    if fate.restart is not None:
        await fate.restart
    await _calm(world)
    promises.check_end(world)
    await _late(world)
    promises.check_end(world)
    await world.kernel.end()


async def _calm(world: World) -> None:
    """The channel is good; what can end ends; everybody looks somewhere."""
    world.note("calm")
    dice, queue = world.dice, world.kernel.queue
    world.healed = True
    person = Person(world)
    for page in world.pages:
        if page.here:
            if page.kernel is not world.kernel:
                world.reach_new_kernel(page)
            name = dice.choice(LISTS)
            for view in page.views:
                person.scroll(page, view, name)
    if world.ends_lost or dice.random() < 0.5:
        if len(queue.jobs("pending")) > FEW:
            queue.cancel_all("pending")
        while queue.jobs("pending") or queue.jobs("running"):
            for job in queue.jobs("pending"):  # what people asked for may still be on its way
                queue.release(job)
            queue.resume()
            await asyncio.sleep(1.0)
    else:
        queue.pause("at the end")
        while queue.jobs("running"):
            await asyncio.sleep(1.0)
    await asyncio.sleep(A_WHILE / 2)
    while queue.jobs("running"):
        await asyncio.sleep(A_WHILE)
    if dice.random() < 0.2:
        world.note("what has ended is hidden, which nobody undoes")
        queue.clear_history()
    if any(page.is_left_alone for page in world.pages):
        world.note("who lost the last state and its repetition hears of the next change")
        queue.submit_nowait(_nothing).cancel()
    await asyncio.sleep(A_WHILE + dice.uniform(0.0, 20.0))
    await _rest(world)


async def _late(world: World) -> None:
    """What happens to a queue that has been quiet is soon known everywhere."""
    world.note("late")
    dice, queue = world.dice, world.kernel.queue
    world.ends_lost = 0
    queue.pause("late")
    pending = queue.jobs("pending")
    if len(pending) > 1 and dice.random() < 0.5:
        queue.move(pending[-1], to="top")
    for _ in range(dice.choice((0, 0, 1, 2))):
        await _lose_one(world)
    await asyncio.sleep(SOON)
    await _rest(world)


async def _rest(world: World) -> None:
    while not world.at_rest:  # a heartbeat may be on its way
        await asyncio.sleep(0.05)


async def _lose_one(world: World) -> None:
    """A page that loses a flush learns of it by the next one, or by its repetition."""
    world.note("one flush is lost")
    for page in world.pages:
        page.to_lose = world.dice.choice((0, 1))
    queue = world.kernel.queue
    queue.options(priority=100).submit_nowait(_nothing)
    if world.dice.random() < 0.3:
        await asyncio.sleep(SAY_AGAIN)
        return
    await asyncio.sleep(0.3)
    queue.resume()
    queue.pause("late")  # a flush without the rows that were in the lost one
    await asyncio.sleep(0.3)


async def _nothing() -> None:
    pass


def _close(world: World) -> None:
    for task in world.loop.open_tasks():
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    world.kernel.dead = True
    world.kernel.widget.close()
    world.loop.close()
    inspect(world.kernel.queue).engine.life.handle_lost_loop()
