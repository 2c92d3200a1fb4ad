"""The line of the machine: looked at while a page shows it and jobs are there, and not else."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Collection

import pytest

from jobqueue_widget import JobQueue, QueueNotStartedWarning
from jobqueue_widget._core.machine.resources import MachineStats
from jobqueue_widget._runtime import queue_resources
from jobqueue_widget.testing import inspect, machine_with
from tests.conditions import until
from tests.integration.test_widget_model import Page, shown
from tests.resources import Machine

LONG = 2.3  # seconds: two ticks would be over


class Watched(Machine):
    """Notes in which threads it is read."""

    def __init__(self, gpus: Collection[float] = ()) -> None:
        super().__init__(gpus=gpus)
        self.threads: set[str] = set()

    def read(self, pids: Collection[int]) -> MachineStats:
        self.threads.add(threading.current_thread().name)
        return super().read(pids)


def in_a_thread(queue: JobQueue, gate: threading.Event) -> None:
    queue.options(executor="thread").submit_nowait(gate.wait, 30)


async def test_nothing_is_looked_at_before_a_page_asks() -> None:
    machine, gate = Watched(), threading.Event()
    with machine_with(machine):
        async with shown() as (queue, page):  # a widget that nobody has drawn
            in_a_thread(queue, gate)
            await until(lambda: page.widget.running)
            await asyncio.sleep(LONG)
            assert (machine.looks, page.widget.resources) == (0, {})
            gate.set()


async def test_while_a_page_asks_and_jobs_run_the_machine_is_shown() -> None:
    machine, gate = Watched(gpus=[8_192]), threading.Event()
    machine.taken = 4_096
    with machine_with(machine):
        async with shown() as (queue, page):
            assert page.ask("machine")["ok"]
            await asyncio.sleep(LONG)
            assert machine.looks == 0, "there are no jobs"
            in_a_thread(queue, gate)
            began = time.monotonic()
            page.ask("machine")
            await until(lambda: machine.looks >= 4)
            assert machine.looks <= time.monotonic() - began + 2, "one a second"
            items = {one["name"]: one for one in page.widget.resources["items"]}
            assert list(items) == ["CPU", "RAM", "GPU"]
            ram = {"used": 4, "reserved": 0, "unused": 0, "total": 15.6, "unit": "GB"}
            assert items["RAM"] == {"name": "RAM", **ram}
            assert page.widget.resources["idle"] == []
            assert abs(page.widget.resources["at"] - time.time()) < 3
            assert machine.threads == {"jobqueue-resources"}
            machine.taken = 8_192
            gate.set()
            await queue.join()
            await until(lambda: page.widget.resources["items"][1]["used"] == 8)  # the last look
            await asyncio.sleep(1.2)
            looks = machine.looks
            await asyncio.sleep(LONG)
            page.ask("machine")
            assert machine.looks == looks, "nothing runs any more"
            assert page.widget.resources["items"][1]["used"] == 8, "it stays, as of then"


async def test_it_ends_some_time_after_a_page_has_asked_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue_resources, "WATCH", 1.5)
    machine, gate = Watched(), threading.Event()
    with machine_with(machine):
        async with shown() as (queue, page):
            in_a_thread(queue, gate)
            await until(lambda: page.widget.running)
            page.ask("machine")
            await until(lambda: machine.looks >= 2)
            await asyncio.sleep(1.6)
            looks = machine.looks
            await asyncio.sleep(LONG)
            assert machine.looks == looks
            page.ask("machine")
            await until(lambda: machine.looks > looks)
            gate.set()


async def test_while_jobs_only_wait_each_question_is_one_look_at_most_one_a_second() -> None:
    machine = Watched()
    with machine_with(machine):
        async with shown() as (queue, page):
            queue.pause()
            queue.submit_nowait(int)
            for _ in range(20):
                page.ask("machine")
            await until(lambda: page.widget.resources)
            await asyncio.sleep(LONG)
            assert machine.looks == 1
            page.ask("machine")
            await until(lambda: machine.looks == 2)


async def test_a_driver_that_hangs_holds_up_neither_page_nor_loop() -> None:
    machine, gate = Watched(), threading.Event()
    machine.hangs.clear()
    with machine_with(machine):
        async with shown() as (queue, page):
            in_a_thread(queue, gate)
            await until(lambda: page.widget.running)
            began = time.monotonic()
            for _ in range(5):
                assert page.ask("machine")["ok"]
            await asyncio.sleep(0)
            assert time.monotonic() - began < 1
            await until(lambda: machine.looks == 1)
            assert page.widget.resources == {}
            machine.hangs.set()
            gate.set()
            await until(lambda: page.widget.resources)


async def test_what_is_sent_is_bounded() -> None:
    machine = Watched(gpus=[81_920.0] * 16)
    with machine_with(machine):
        async with shown() as (queue, page):
            queue.pause()
            queue.submit_nowait(int)
            page.ask("machine")
            await until(lambda: page.widget.resources)
            names = [one["name"] for one in page.widget.resources["items"]]
            assert names == ["CPU", "RAM", *(f"GPU {number}" for number in range(10))]
            assert len(json.dumps(page.widget.resources)) < 1_400


async def test_a_queue_that_is_not_started_or_is_closed_looks_at_nothing() -> None:
    machine = Watched()
    with machine_with(machine):
        queue = JobQueue()
        page = Page(queue)
        with pytest.warns(QueueNotStartedWarning):
            queue.submit_nowait(int)
        assert page.ask("machine")["ok"]
        await queue.start()
        await queue.join()
        await queue.close()
        assert page.ask("machine")["ok"]
        assert machine.looks <= 1  # while the job ran
        assert inspect(queue).processes == {}
        page.widget.close()
