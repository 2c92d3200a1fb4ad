"""Several widgets of one queue, one for each session of an app: each lives and ends by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernels import VERSIONS, Kernel

SETUP = """
import gc, time, weakref
from ipywidgets import VBox, Widget
from jobqueue_widget import JobQueue
from jobqueue_widget.widget.pacing import PACER
queue = JobQueue(name="shared", loop="thread")
await queue.start()
gc.collect()
before = len(Widget.widgets)
first, second = queue.new_widget(), queue.new_widget()
assert first is not second and queue.widget is queue.widget is not first
"""
pytestmark = pytest.mark.timeout(120)

WAIT = "while not ({}): time.sleep(0.01)"


@pytest.fixture(scope="module")
def running_kernel() -> Iterator[Kernel]:
    kernel = Kernel(VERSIONS[0])
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(running_kernel: Kernel) -> Iterator[Kernel]:
    yield running_kernel
    running_kernel.run("await queue.close()")


def of_comm(message: dict[str, Any], comm: str) -> bool:
    return bool(message["content"].get("comm_id") == comm)


def cancelled_in(message: dict[str, Any]) -> int:
    """How many, as a flush tells it."""
    summary = message["content"]["data"].get("state", {}).get("summary", {})
    return int(summary.get("counts", {}).get("cancelled", 0))


def test_each_is_clicked_and_told_by_itself(kernel: Kernel) -> None:
    kernel.run(SETUP)
    first, second = kernel.value_of("(first.model_id, second.model_id)")
    kernel.run("job = queue.options(label='runs').submit_nowait(time.sleep, 600)")
    kernel.run(WAIT.format("job.status == 'running'"))
    job = kernel.value_of("job.id")
    kernel.send_message("comm_close", {"comm_id": first, "data": {}})
    rid = kernel.click(second, "cancel", job=job)
    answer = kernel.until(
        lambda m: of_comm(m, second) and m["content"]["data"].get("content", {}).get("rid") == rid
    )
    assert answer["content"]["data"]["content"]["ok"]
    kernel.until(lambda m: of_comm(m, second) and cancelled_in(m) == 1)
    there = kernel.value_of("(first.comm, second.is_open, queue.widget.is_open)")
    assert there == (None, True, True)


@pytest.mark.parametrize(
    "end",
    [
        "first.close(); second.close()",
        "await queue.close()",
        "boxes = [VBox([first]), VBox([second])]; [box.close() for box in boxes]\n"
        "first.close(); second.close()\ndel boxes",
    ],
    ids=["closed", "the queue is closed", "closed in a box"],
)
def test_one_that_is_closed_is_gone(kernel: Kernel, end: str) -> None:
    kernel.run(SETUP + "seen = [weakref.ref(first), weakref.ref(second)]")
    kernel.run(end)
    kernel.run(WAIT.format("first.comm is None and second.comm is None"))
    kernel.run("del first, second")
    kernel.run(WAIT.format("gc.collect() is None or not any(one() for one in seen)"))
    kernel.run("assert queue.widget in Widget.widgets.values()")


def test_one_that_its_page_has_closed_is_gone(kernel: Kernel) -> None:
    kernel.run(SETUP + "seen = weakref.ref(first)")
    comm = kernel.value_of("first.model_id")
    kernel.run("del first")
    kernel.send_message("comm_close", {"comm_id": comm, "data": {}})
    kernel.run(WAIT.format("gc.collect() is None or seen() is None"))


def test_one_whose_page_cannot_be_told_any_more_is_gone(kernel: Kernel) -> None:
    """Panel ends a session without a word; then the comms of its widgets raise."""
    kernel.run(SETUP + "seen = weakref.ref(first)")
    kernel.run(
        "from comm import get_comm_manager\n"
        "def raises(*_, **__): raise AttributeError('no such document')\n"
        "for one in (first, first.layout):\n"
        "    one.comm.publish_msg = raises\n"
        "comms = {first.comm.comm_id, first.layout.comm.comm_id}\n"
        "del first, one\n"
        "queue.submit_nowait(pow, 2, 10)"
    )
    kernel.run(WAIT.format("gc.collect() is None or seen() is None"))
    kernel.run("assert not comms & set(get_comm_manager().comms)\nassert second.is_open")


def test_a_hundred_sessions_leave_nothing(kernel: Kernel) -> None:
    kernel.run(SETUP + "first.close(); second.close(); del first, second")
    kernel.run(
        "queue.new_widget().close()\n"
        "gc.collect()\nbegun = (len(Widget.widgets), len(PACER._live))\n"
        "for n in range(100):\n"
        "    one = queue.new_widget(); queue.submit_nowait(pow, 2, n); one.close()\n"
        "del one"
    )
    no_more = "len(Widget.widgets) <= begun[0] and len(PACER._live) <= begun[1]"
    kernel.run(WAIT.format(f"gc.collect() is None or ({no_more})"))
