"""Who acts in a run: users in Python, people at the pages, and bad luck."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Protocol

from jobqueue_widget.child.job_context import current_job
from jobqueue_widget.job import Job
from jobqueue_widget.testing import inspect

from .world import Page, World

LISTS = ("running", "pending", "history")
SIGHT = 14  # rows


async def body(seed: int, slow: float) -> object:
    """A job: some steps, and any end."""
    dice = random.Random(seed)
    deaf = dice.random() < 0.1
    current_job().report(seed=seed)
    for step in range(dice.randint(0, 4)):
        current_job().report(dice.choice((None, step / 4)), f"step {step} of job {seed}")
        try:
            await asyncio.sleep(slow * dice.choice((0.0, 0.2, 1.0)))
        except asyncio.CancelledError:
            if not deaf:
                raise
    if dice.random() < 0.2:
        raise ValueError(f"job {seed} had no luck")
    return seed


class Actor(Protocol):
    """Goes on until it is cancelled."""

    async def act_for_ever(self) -> None:
        """One act after the other."""


class User:
    """Somebody at the notebook: everything that the API offers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = world.dice

    async def act_for_ever(self) -> None:
        """One act after the other."""
        while True:
            await asyncio.sleep(self.dice.choice((0.0, 0.01, 0.05, 0.3, 1.5)))
            name = self.dice.choices(list(ACTS), list(ACTS.values()))[0]
            self.world.note(f"user: {name}")
            getattr(self, f"_{name}")()

    def _some_job(self) -> Job | None:
        jobs = list(inspect(self.world.kernel.queue).records)
        return self.world.kernel.queue.get_job(self.dice.choice(jobs)) if jobs else None

    def submit(self, count: int) -> None:
        """That many jobs of one kind."""
        dice, queue = self.dice, self.world.kernel.queue
        options: dict[str, Any] = {"priority": dice.choice((0, 0, 0, 3, -2))}
        if dice.random() < 0.1:
            options["retries"] = 1
        if dice.random() < 0.2:
            options["label"] = f"label {dice.randrange(100)} " + "x" * dice.choice((0, 300))
        parent = self._some_job()
        if dice.random() < 0.1 and parent is not None:
            options["after"] = [parent]
        view = queue.options(**options)
        for _ in range(count):
            view.submit_nowait(body, dice.randrange(10_000), dice.choice((0.1, 1.0, 4.0)))

    def _map(self) -> None:
        """Many jobs at once, by a name that others may have, or by none."""
        dice = self.dice
        options: dict[str, Any] = {}
        if dice.random() < 0.7:
            options["group"] = f"sweep {dice.randrange(4)} <b>\u202e{'x' * dice.choice((0, 200))}"
        seeds = [dice.randrange(10_000) for _ in range(dice.choice((1, 5, 40)))]
        view = self.world.kernel.queue.options(**options)
        if "group" in options and dice.random() < 0.5:
            view.submit_nowait(body, seeds[0], 0.1)
        else:
            view.map(body, seeds, [dice.choice((0.1, 1.0))] * len(seeds))

    def _submit(self) -> None:
        self.submit(self.dice.choice((1, 1, 1, 5, 40)))

    def _cancel(self) -> None:
        if (job := self._some_job()) is not None:
            job.cancel(reason="by the user")

    def _cancel_all(self) -> None:
        self.world.kernel.queue.cancel_all(self.dice.choice(("pending", "running", "all")))

    def _move(self) -> None:
        job, other = self._some_job(), self._some_job()
        if job is not None and other is not None:
            queue = self.world.kernel.queue
            if self.dice.random() < 0.3:
                queue.move(job, to="top")
            else:
                queue.move(job, before=other)

    def _reorder(self) -> None:
        if (job := self._some_job()) is not None:
            self.world.kernel.queue.reorder(job, self.dice.choice((-1, 0, 5)))

    def _hold(self) -> None:
        if (job := self._some_job()) is not None:
            seconds = self.dice.choice((None, 0.5, 4.0))
            self.world.kernel.queue.hold(job, seconds, self.dice.choice(("release", "cancel")))

    def _release(self) -> None:
        if (job := self._some_job()) is not None:
            self.world.kernel.queue.release(job)

    def _pause(self) -> None:
        self.world.kernel.queue.pause("by the user")

    def _resume(self) -> None:
        self.world.kernel.queue.resume()

    def _retry(self) -> None:
        if (job := self._some_job()) is not None:
            job.retry()

    def _clear_history(self) -> None:
        self.world.kernel.queue.clear_history()

    def _block(self) -> None:
        self.world.busy(self.dice.choice((0.5, 3.0, 8.0)))


ACTS = {
    "submit": 30,
    "map": 4,
    "cancel": 8,
    "cancel_all": 1,
    "move": 8,
    "reorder": 5,
    "hold": 4,
    "release": 3,
    "pause": 1,
    "resume": 3,
    "retry": 2,
    "clear_history": 1,
    "block": 2,
}


class Person:
    """Somebody at the pages: scrolls, and acts on what is shown."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = world.dice

    async def act_for_ever(self) -> None:
        """One act after the other."""
        while True:
            await asyncio.sleep(self.dice.choice((0.01, 0.1, 0.4, 2.0)))
            pages = [page for page in self.world.pages if page.here]
            page = self.dice.choice(pages)
            view = self.dice.choice(page.views)
            if self.dice.random() < 0.5:
                self.scroll(page, view, self.dice.choice(LISTS))
            else:
                self._click(page, view)

    def scroll(self, page: Page, view: str, name: str) -> None:
        """To some place of a list, or away from it."""
        dice = self.dice
        total = self.world.kernel.widget.summary["counts"].get(name, 60)
        first = dice.randint(0, max(0, total - 1))
        last = dice.choice((0, first + SIGHT, first + SIGHT, first + 60))
        command = {"do": "scroll", "view": view, "list": name, "first": min(first, last)}
        self.world.note(f"{view} shows {name} {first} to {last}")
        self.world.tell(page, {**command, "last": last})

    def _click(self, page: Page, view: str) -> None:
        dice = self.dice
        kind = dice.choices(list(CLICKS), list(CLICKS.values()))[0]
        name = "history" if kind == "retry" else dice.choice(("running", "pending", "pending"))
        act = {"what": kind, "list": name, "index": dice.randrange(20)}
        act |= {"other": dice.randrange(20), "value": dice.randrange(10)}
        done = self.world.tell(page, {"do": "act", "view": view, "act": act})
        if done is not None:
            page.acts += 1
            self.world.note(f"{view}: {kind} {done['told']}")


CLICKS = {
    "cancel": 10,
    "remove": 8,
    "undo": 4,
    "release": 3,
    "retry": 4,
    "priority": 4,
    "move": 10,
    "pause": 2,
    "clear": 1,
    "find": 2,
    "cancel group": 2,
    "retry group": 4,
    "look back": 3,
    "kinds": 1,
    "open group": 4,
}


class Fate:
    """Reloads, second tabs, restarts."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = world.dice
        self.restart: asyncio.Task[None] | None = None

    async def act_for_ever(self) -> None:
        """Now and then."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.5, 8.0))
            here = [page for page in self.world.pages if page.here]
            fate = self.dice.random()
            if fate < 0.35:
                self.world.leave_page(self.dice.choice(here))
                self.world.open_page()
            elif fate < 0.6 and len(here) < 3:
                self.world.open_page()
            elif fate < 0.8:
                self.restart = asyncio.create_task(self._restart(here))
                await asyncio.shield(self.restart)

    async def _restart(self, pages: list[Page]) -> None:
        world, dice = self.world, self.dice
        old = world.kernel
        away = dice.random() < 0.5
        for page in pages:
            if away:
                world.cut(page)
        old.dead = True
        world.new_kernel()
        await old.end()
        await world.kernel.queue.start()
        User(world).submit(dice.choice((0, 3, 300)))
        if away:
            await asyncio.sleep(dice.choice((0.0, 1.0)))
        for page in pages:
            if page.here:
                world.reach_new_kernel(page)
