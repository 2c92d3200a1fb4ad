"""One run's world: a kernel, pages in Node, and a channel between them that loses and delays."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.schedules.loop import OtherThread, Outside, VirtualLoop

from .kernel import ACTS, Kernel
from .node import Node

EPOCH = 1_700_000_000.0
SLOWEST_FRAME = 0.2  # seconds until a page draws
LATE_AFTER = 1.0  # seconds until a page says that an act waits
LARGEST_UPDATE = 20_000  # bytes
LARGEST_ANSWER = 256 * 1024


@dataclass(eq=False)
class Page:
    """One browser tab, or what is left of it after a reload."""

    key: str
    views: list[str]
    by_name: bool
    kernel: Kernel  # that its comm leads to
    here: bool = True
    is_cut: bool = False  # its comm is closed
    acts: int = 0  # that people did on it
    rids: set[str] = field(default_factory=set)  # of acts that it sent
    lost: int = 0  # of the last updates, one after the other
    to_lose: int = 0  # of the next ones
    ends: int = 0  # that were lost
    rows: str = ""  # the last that was sent to it
    free_at: dict[str, float] = field(default_factory=dict)
    mail: deque[dict[str, Any]] = field(default_factory=deque)  # on its way to the kernel
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_left_alone(self) -> bool:
        """It lost the last state and its repetition, and knows of no job that should give signs."""
        return self.here and self.lost > 1 and not all(s["busy"] for s in self.shown.values())


class World:
    """Everything that one seed decides."""

    def __init__(self, seed: str, thread: OtherThread, node: Node) -> None:
        self.dice = dice = random.Random(seed)
        self.outside = Outside(thread)
        self.loop = VirtualLoop(self.outside, dice, self._after_turn)
        self.complaints: list[str] = []
        self.trace: list[str] = []
        self.node = node
        self.pages: list[Page] = []
        self.kernels: list[Kernel] = []
        self.epochs: list[str] = []
        self.healed = False
        self.loss = dice.choice((0.0, 0.05, 0.2, 0.4))
        self.reorders = dice.random() < 0.5
        self.slow = dice.choice((0.001, 0.02, 0.1))
        self.outages = [
            (start, start + dice.choice((0.5, 3.0, 6.0)))
            for start in (dice.uniform(0, 15) for _ in range(dice.choice((0, 0, 1, 2))))
        ]
        self.ends_lost = dice.choice((0, 0, 1, 2))  # flushes that say that all is over
        self.busy_until = 0.0
        self.messages = self.updates = self.largest = 0
        self.kernel: Kernel
        self._keys = 0
        self._inside = False
        self._stop_timer: Callable[[], None] = lambda: None
        self.ask({"do": "reset"})

    def wall(self) -> float:
        """The kernel's clock."""
        return EPOCH + self.outside.now

    def note(self, text: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.outside.now:.3f} {text}")

    def complain(self, text: str) -> None:
        """A promise was broken."""
        self.note(f"BROKEN: {text}")
        self.complaints.append(text)

    def later(self, seconds: float, act: Callable[..., object], *what: object) -> Any:
        """On another thread; returns what cancels it."""
        return self.outside.call_later(seconds, act, *what)

    def _after_turn(self) -> None:
        self.kernel.follower.look()

    # -- kernels -------------------------------------------------------------------------------

    def new_kernel(self) -> None:
        """The first one, or one after a restart."""
        dice = self.dice
        self.kernel = Kernel(
            self,
            max_running=dice.choice((1, 2, 4, 12)),
            max_history=dice.choice((5, 30, 100)),
            cancel_timeout=dice.choice((0.5, 3.0)),
        )
        self.kernels.append(self.kernel)  # kept: what is collected acts at a moment of its own
        self.epochs.append(self.kernel.epoch)
        self.note(f"kernel {len(self.epochs)}")

    def busy(self, seconds: float) -> None:
        """A cell keeps the kernel from hearing the pages."""
        self.busy_until = self.outside.now + seconds

    def in_the_middle(self) -> None:
        """While the kernel looks at its queue, a page's messages are handled on another thread."""
        if self._inside or self.dice.random() > 0.2:
            return
        waiting = [page for page in self.pages if page.mail and page.kernel is self.kernel]
        if waiting and self.outside.now >= self.busy_until:
            self._inside = True
            queue = self.kernel.queue
            for job in queue.jobs("pending")[:1]:
                queue.reorder(job, self.dice.randrange(10))
            mail = self.dice.choice(waiting).mail
            while mail:
                self.kernel.receives(mail.popleft())
            self._inside = False

    # -- the channel -----------------------------------------------------------------------------

    def loses(self) -> bool:
        """Is this message lost?"""
        if self.healed:
            return False
        now = self.outside.now
        return self.dice.random() < self.loss or any(a <= now < b for a, b in self.outages)

    def _carry(self, page: Page, lane: str, act: Callable[..., object], *what: object) -> None:
        """In order within a lane."""
        arrival = self.outside.now + self.dice.choice((0.0, self.slow, 2 * self.slow))
        arrival += 0.5 if lane == "echo" else 0.0
        arrival = max(arrival, page.free_at.get(lane, 0.0))
        page.free_at[lane] = arrival
        self.later(arrival - self.outside.now, self._land, page, page.kernel, act, what)

    def _land(
        self, page: Page, kernel: Kernel, act: Callable[..., object], what: tuple[object, ...]
    ) -> None:
        if page.kernel is kernel is self.kernel:
            act(page, *what)

    def sent(self, kind: str, data: dict[str, Any]) -> None:
        """The kernel sends to every page."""
        text = json.dumps(data, allow_nan=False)
        update = kind == "comm_msg" and data["method"] == "update"
        self.messages += 1
        self.updates += update
        if update:
            self.largest = max(self.largest, len(text))
        if len(text) > (LARGEST_UPDATE if update else LARGEST_ANSWER):
            self.complain(f"a message of {len(text)} bytes: {text[:200]}")
        content = data if update else data.get("content", {})
        if isinstance(content.get("id"), str):
            self.complain("a message has an id of its own: ipykernel keeps it for ever")
        if not update and content.get("e", {}).get("code") == "internal":
            self.complain(f"the kernel stumbled over a message: {content['e']['msg']}")
        for page in self.pages:
            if page.here and page.kernel is self.kernel:
                self._send(page, update, data, text)

    def _send(self, page: Page, update: bool, data: dict[str, Any], text: str) -> None:
        lost = self.loses()
        if update:
            lost = lost or page.to_lose > 0 or self._is_the_end(page, data["state"])
            page.to_lose = max(0, page.to_lose - 1)
            page.lost = page.lost + 1 if lost else 0
        if lost:
            return
        if not update and data["content"]["t"] == "rows":
            page.rows = text
        lane = "states" if update or not self.reorders else "messages"
        self._carry(page, lane, self._hears, text)
        if not self.healed and update and len(data["state"]) == 1 and self.dice.random() < 0.1:
            self._carry(page, "echo", self._hears, text)  # a heartbeat comes twice, or too late

    def _is_the_end(self, page: Page, state: dict[str, Any]) -> bool:
        """One that says that all is over, on a day when just those are lost."""
        counts = state["summary"]["counts"]
        over = self.healed and counts["running"] + counts["pending"] == 0
        if not over or page.ends >= self.ends_lost:
            return False
        page.ends += 1
        self.note(f"{page.key} does not hear of the end")
        return True

    def _hears(self, page: Page, text: str) -> None:
        self.tell(page, {"do": "hear", "byName": page.by_name}, text)

    def _post(self, key: str, content: dict[str, Any]) -> None:
        page = next(page for page in self.pages if page.key == key)
        if content["op"] in ACTS:
            page.rids.add(content["rid"])
        if isinstance(content.get("id"), str):
            self.complain("a page's message has an id of its own")
        if self.loses():
            return
        for _ in range(2 if not self.healed and self.dice.random() < 0.05 else 1):
            page.mail.append(content)
            self._carry(page, "up", self._arrive)

    def _arrive(self, page: Page) -> None:
        if self.outside.now < self.busy_until:
            wait = self.busy_until - self.outside.now
            self.later(wait, self._land, page, page.kernel, self._arrive, ())
        elif page.mail:  # else it was handled before its turn
            self.kernel.receives(page.mail.popleft())

    @property
    def at_rest(self) -> bool:
        """Nothing is on its way, and what has come is drawn."""
        latest = max((at for page in self.pages for at in page.free_at.values()), default=0.0)
        return self.outside.now > latest + SLOWEST_FRAME

    # -- pages -----------------------------------------------------------------------------------

    def open_page(self) -> None:
        """Another tab: with the state of now, with that of the output cell, or with none."""
        dice = self.dice
        self._keys += 1
        key = f"p{self._keys}"
        views = [f"{key}.{number}" for number in range(dice.choice((1, 2)))]
        page = Page(key, views, dice.random() < 0.3, self.kernel)
        state = dice.choice((self.kernel.state(), self.kernel.opened, {}))
        self.pages.append(page)
        self.note(f"{key} opens with {len(state)} traits")
        frame = dice.choice((0, 0, 16, 1000 * SLOWEST_FRAME))
        self.tell(page, {"do": "open", "state": state, "views": views, "frame": frame})

    def leave_page(self, page: Page) -> None:
        """Closed, or about to be loaded again."""
        self.note(f"{page.key} leaves")
        self.tell(page, {"do": "leave"})
        page.here = False

    def cut(self, page: Page) -> None:
        """Nothing that it sends gets away any more."""
        page.is_cut = True
        self.tell(page, {"do": "comm", "closed": True})

    def reach_new_kernel(self, page: Page) -> None:
        """The view that was there gets the state of another kernel."""
        page.kernel = self.kernel
        page.mail.clear()
        self.tell(page, {"do": "comm", "closed": False})
        whole = {"method": "update", "state": self.kernel.state()}
        self._hears(page, json.dumps(whole, allow_nan=False))
        page.is_cut = False
        if page.rows:  # from the kernel that has gone
            self._carry(page, "echo", self._hears, page.rows)

    def tell(self, page: Page, command: dict[str, Any], message: str = "null") -> Any:
        """Let something happen on a page and deal with what follows."""
        if not page.here:
            return None
        return self.ask({"page": page.key, **command}, message)

    def ask(self, command: dict[str, Any], message: str = "null") -> Any:
        """Let something happen in Node and deal with what follows."""
        command["now"] = self.outside.now
        answer = self.node.ask(f'{json.dumps(command)[:-1]}, "message": {message}}}')
        for error in answer["errors"]:
            self.complain(f"in the page: {error}")
        for view, seen in answer["seen"].items():
            self._judge(view, seen)
        for sent in answer["sent"]:
            self._post(sent["page"], sent["content"])
        self._stop_timer()
        if answer["next"] is not None:
            wait = max(0.0, answer["next"] - self.outside.now)
            self._stop_timer = self.later(wait, self.ask, {"do": "wait"})
        return answer["value"]

    def _judge(self, view: str, seen: dict[str, Any]) -> None:
        """What was just drawn: true once, and never older than what was drawn before."""
        page = next(page for page in self.pages if view in page.views)
        before = page.shown.get(view)
        page.shown[view] = seen
        if seen["late"] != (seen["waits"] > LATE_AFTER) and abs(seen["waits"] - LATE_AFTER) > 0.01:
            self.complain(f"{view}: an act waits {seen['waits']} s; late: {seen['late']}")
        if seen["gone"] and not page.is_cut:
            self.complain(f"{view} says that the kernel has gone")
        if seen["epoch"] == "":
            return
        place = [self.epochs.index(seen["epoch"]), seen["seq"], seen["rev"], *seen["windows"]]
        if before is not None and before["epoch"] != "":
            earlier = [self.epochs.index(before["epoch"]), before["seq"], before["rev"]]
            earlier += before["windows"]
            same = place[0] == earlier[0]
            older = any(new < old for new, old in zip(place, earlier, strict=True))
            if place[0] < earlier[0] or (same and older):
                self.complain(f"{view} went back from {earlier} to {place}")
        if seen["epoch"] != self.kernel.epoch:
            return
        now = self.kernel.queue.window("running", 0, 0).revision
        if max(seen["rev"], *seen["windows"]) > now:
            self.complain(f"{view} shows what will be: {seen['windows']}, and it is {now}")
        for rows in seen["lists"]:
            for row in rows:
                if row is not None:
                    self._judge_row(view, *row)

    def _judge_row(self, view: str, job_id: str, status: str, attempt: int) -> None:
        record = self.kernel.record_of(job_id)
        if record is None:
            self.complain(f"{view} shows {job_id}, which never was")
        elif status in ("completed", "failed", "cancelled") and record.status.value != status:
            self.complain(f"{view} shows {job_id} {status}, and it is {record.status.value}")
        elif status == "running" and record.started_at is None and record.attempt == attempt:
            self.complain(f"{view} shows {job_id} running, and it was never started")
