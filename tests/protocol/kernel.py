"""The kernel's half of a run: a real queue and its real widget on the run's clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import comm
from comm.base_comm import BaseComm

from jobqueue_widget._api.listed.listing import Found, PartName
from jobqueue_widget._api.rows import Rows
from jobqueue_widget._api.schema import SCHEMA
from jobqueue_widget._core.jobs import JobRecord
from jobqueue_widget._runtime.engine import Clock, Engine, Settings
from jobqueue_widget.queue import JobQueue
from jobqueue_widget.testing import inspect
from jobqueue_widget.widget.commands import READS, Commands
from jobqueue_widget.widget.model import QueueSource, Source, State
from jobqueue_widget.widget.sync import FLUSH_INTERVAL, CommPort, Sync
from jobqueue_widget.widget.view import QueueWidget, _StateWidget
from tests.schedules.loop import OutsideIo

if TYPE_CHECKING:
    from .world import World

LISTED = ("running", "head", "history", "groups")
TRAITS = ("view", "job_id", "summary", *LISTED, "job", "resources", "features")
ACTS = frozenset(SCHEMA["ops"]) - READS


class FuzzQueue(JobQueue):
    """The queue on the run's clock; others may act in the middle of a read."""

    def __init__(self, world: World, **settings: Any) -> None:
        self._world = world
        super().__init__(**settings)

    def _make_engine(self, settings: Settings) -> Engine:
        outside, world = self._world.outside, self._world
        io = OutsideIo(outside, world.dice)
        engine = Engine(settings, Clock(world.wall, outside.monotonic), io.call_later)
        engine.io = io  # type: ignore[assignment]
        return engine

    def _part(
        self, name: PartName, start: int, stop: int, number: int = 0, found: Found | None = None
    ) -> Rows:
        """As the real one."""
        self._world.in_the_middle()
        rows = super()._part(name, start, stop, number, found)
        self._world.in_the_middle()
        return rows


class FuzzSource(QueueSource):
    """The real source, after which others may act before what it told is sent."""

    def __init__(self, world: World, queue: FuzzQueue) -> None:
        super().__init__(queue)
        self._world = world

    def state(self) -> State:
        """As the real one."""
        state = super().state()
        self._world.in_the_middle()
        return state


class PacedSync(Sync):
    """The real one; what its thread waits for are calls of the run's clock."""

    def __init__(self, source: Source, port: CommPort, world: World) -> None:
        super().__init__(source, port, world.outside.monotonic)
        self._world = world
        self._waits = False
        self._forget: Callable[[], None] = lambda: None

    def start(self) -> None:
        """As the thread begins."""
        self._rested()

    def look(self) -> None:
        """After each turn of the loop: was it woken?"""
        if self._waits and self._wanted.is_set():
            self._forget()
            self._waits = False
            self._world.later(self._world.dice.choice((0.0, 0.0, 0.002)), self._wake, True)

    def _rested(self) -> None:
        self._waits = True
        patience = self._patience()
        if patience is not None:
            self._forget = self._world.later(patience, self._impatient)

    def _impatient(self) -> None:
        if self._waits:
            self._waits = False
            self._wake(False)

    def _wake(self, changed: bool) -> None:
        self._wanted.clear()
        if self._closing:
            return
        self._turn(changed)
        self._world.later(FLUSH_INTERVAL, self._rested)


class ChannelComm(BaseComm):
    """What the widget sends goes into the world's channel."""

    def __init__(self, kernel: Kernel, **arguments: Any) -> None:
        self._kernel = kernel
        super().__init__(**arguments)

    def publish_msg(
        self,
        msg_type: str,
        data: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        buffers: list[bytes] | None = None,
        **keys: Any,
    ) -> None:
        """Onto the wire."""
        self._kernel.sends(msg_type, data or {})


class FuzzWidget(QueueWidget):
    """The real widget on that clock."""

    def __init__(self, world: World, queue: FuzzQueue) -> None:
        self._world = world
        _StateWidget.__init__(self, FuzzSource(world, queue), view="queue")

    def _make_follower(self, source: Source, port: CommPort) -> Sync:
        return PacedSync(source, port, self._world)


class Kernel:
    """From its start to its restart: a queue, its widget, and what was carried out for whom."""

    def __init__(self, world: World, **settings: Any) -> None:
        self.world = world
        self.dead = False
        self.opened: dict[str, Any] = {}
        self.carried: dict[str, int] = {}
        self.records: dict[str, JobRecord] = {}
        self._asked: dict[str, Any] = {}
        self.queue = FuzzQueue(world, **settings)
        with patch.object(comm, "create_comm", self._make_comm):
            self.widget = FuzzWidget(world, self.queue)
        self._count_acts(self.widget._commands)

    def _make_comm(self, **arguments: Any) -> BaseComm:
        is_ours = arguments["data"]["state"]["_model_name"] == "AnyModel"  # the other is its layout
        return ChannelComm(self, **arguments) if is_ours else comm.DummyComm(**arguments)

    @property
    def epoch(self) -> str:
        """Of its state."""
        epoch: str = self.widget.summary["epoch"]
        return epoch

    @property
    def follower(self) -> PacedSync:
        """Who keeps the pages in step."""
        follower = self.widget._follower
        assert isinstance(follower, PacedSync)
        return follower

    def _count_acts(self, commands: Commands) -> None:
        def counting(op: Callable[..., Any]) -> Callable[..., Any]:
            def act(*arguments: Any) -> Any:
                rid = self._asked["rid"]
                self.carried[rid] = self.carried.get(rid, 0) + 1
                if self._asked["epoch"] not in ("", self.epoch):  # "": nothing was drawn yet
                    self.world.complain(f"request {rid} was not meant for this kernel")
                return op(*arguments)

            return act

        for name in ACTS:
            commands._ops[name] = counting(commands._ops[name])

    def state(self) -> dict[str, Any]:
        """All traits that a page gets when it opens."""
        state: dict[str, Any] = self.widget.get_state(TRAITS)
        return state

    def receives(self, content: dict[str, Any]) -> None:
        """A message of a page has arrived."""
        if self.dead or self.widget.comm is None:
            return
        outer, self._asked = self._asked, content
        message = {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
        self.widget.comm.handle_msg(message)
        self._asked = outer

    def sends(self, kind: str, data: dict[str, Any]) -> None:
        """A message to the pages."""
        if kind == "comm_open":
            self.opened = {name: data["state"][name] for name in TRAITS}
        elif not self.dead:
            self.world.sent(kind, data)

    def record_of(self, job_id: str) -> JobRecord | None:
        """Every job that was ever accepted, also those that the queue keeps no more."""
        if job_id not in self.records:
            self.remember()
        return self.records.get(job_id)

    def remember(self) -> None:
        """Note the jobs of now."""
        self.records.update(inspect(self.queue).records)

    async def end(self) -> None:
        """Without a word to anybody, as a kernel that is killed; its parts are given back."""
        self.dead = True
        self.widget.close()
        await self.queue.stop(timeout=0.1)


def as_json(value: object) -> Any:
    """As it is after the wire."""
    return json.loads(json.dumps(value, allow_nan=False))
