"""What threads and subscribers of the user print and display stays in its cell beside a widget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import VERSIONS, Kernel

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("loop_of_the_client")]

SETUP = """
import asyncio, threading, time
from pathlib import Path
import ipywidgets
from IPython.display import display
from jobqueue_widget import JobQueue
queue = await JobQueue().start()
job = queue.submit_nowait(time.sleep, 600)
comm = queue.widget.comm.comm_id
other = ipywidgets.Button()
gone = ipywidgets.Button()
gone_comm = gone.comm.comm_id
gone.close()
"""
BEGIN = """
display(queue)
def tick():
    number = 0
    while True:
        while not (FOLDER / f"tick{number}").exists():
            time.sleep(0.005)
        print(f"printed {number}.", flush=True)
        display({"text/plain": f"displayed {number}."}, raw=True)
        number += 1
threading.Thread(target=tick, daemon=True).start()
stop = queue.subscribe(lambda event: print(f"told {event.type}.", flush=True))
"""


@pytest.fixture(params=VERSIONS)
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    kernel = Kernel(request.param)
    yield kernel
    kernel.close()


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return str(content.get("text") or content.get("data", {}).get("text/plain", ""))


def cell_of(kernel: Kernel, text: str) -> str:
    """The cell in whose output this stands."""
    found = kernel.until(
        lambda m: m["msg_type"] in ("stream", "display_data") and text in text_of(m)
    )
    return str(found["parent_header"].get("msg_id"))


def test_after_each_message_of_a_page_threads_and_subscribers_keep_their_cell(
    kernel: Kernel, tmp_path: Path
) -> None:
    kernel.run(f"{SETUP}FOLDER = Path({str(tmp_path)!r})")
    comm, gone = str(kernel.value_of("comm")), str(kernel.value_of("gone_comm"))
    job = str(kernel.value_of("job.id"))
    cell = kernel.send(BEGIN)
    assert kernel.reply_to(cell)["status"] == "ok"
    control = {"comm_id": "control", "target_name": "jupyter.widget.control", "data": {}}

    def answered(op: str, **arguments: object) -> None:
        rid = kernel.click(comm, op, **arguments)
        kernel.until(lambda m: rid in str(m["content"].get("data", {}).get("content", "")))

    def idle_after(kind: str, content: dict[str, Any]) -> None:
        kernel.until_idle_after(kernel.send_message(kind, content))

    messages: list[Callable[[], object]] = [
        lambda: answered("hello"),
        lambda: answered("rows", list="history", start=0, end=5),
        lambda: answered("log", job=job, **{"from": 0}),
        lambda: answered("pause"),
        lambda: answered("nonsense"),
        lambda: idle_after("comm_open", control),
        lambda: idle_after(
            "comm_msg", {"comm_id": "control", "data": {"method": "request_states"}}
        ),
        lambda: idle_after("comm_close", {"comm_id": "control"}),
        lambda: idle_after("comm_msg", {"comm_id": gone, "data": {"method": "custom"}}),
        lambda: idle_after("comm_info_request", {}),
        lambda: idle_after("kernel_info_request", {}),
        lambda: answered("cancel", job=job),
    ]
    for number, message in enumerate(messages):
        message()
        (tmp_path / f"tick{number}").touch()
        assert cell_of(kernel, f"printed {number}.") == cell, number
        assert cell_of(kernel, f"displayed {number}.") == cell, number
    assert cell_of(kernel, "told paused.") == cell
    assert cell_of(kernel, "told ended.") == cell


def test_messages_of_other_widgets_are_the_parent_of_what_they_cause(kernel: Kernel) -> None:
    kernel.run(SETUP + "display(queue)")
    kernel.run("other.on_msg(lambda *_: display({'text/plain': 'theirs'}, raw=True))")
    other = str(kernel.value_of("other.comm.comm_id"))
    content = {"comm_id": other, "data": {"method": "custom", "content": {}}}
    message = kernel.send_message("comm_msg", content)
    assert cell_of(kernel, "theirs") == message


def test_a_subscriber_prints_in_the_cell_that_subscribed_it(kernel: Kernel) -> None:
    kernel.run(SETUP + "display(queue)")
    cell = kernel.send("queue.subscribe(lambda event: print(f'told {event.type}.', flush=True))")
    kernel.run("queue.pause()")
    assert cell_of(kernel, "told paused.") == cell
    kernel.click(str(kernel.value_of("comm")), "resume")
    assert cell_of(kernel, "told resumed.") == cell
    kernel.click(str(kernel.value_of("comm")), "cancel", job=kernel.value_of("job.id"))
    assert cell_of(kernel, "told ended.") == cell
