"""`queue.wait()` in whatever a loop calls: it waits, and the loop lives on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from jobqueue_widget import JobQueue
from jobqueue_widget.errors import UnsupportedLoopError
from tests.kernels import REPOSITORY, VERSIONS, Kernel

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("loop_of_the_client")]

SETUP = """
import asyncio, os, signal, time
from jobqueue_widget import JobQueue
loop = asyncio.get_running_loop()
queue = await JobQueue(max_running=2).start()
waited, seconds = [], 0.1
def wait(*_):
    if waited: return
    waited.append("waits")
    job = queue.submit_nowait(time.sleep, seconds)
    try:
        print("waits", flush=True)
        queue.wait(job)
    except KeyboardInterrupt:
        waited.append("interrupted")
    waited.append(job.status.value); print("waited", flush=True)
async def over():
    while len(waited) < 2: await asyncio.sleep(0.01)
class Finalized:
    def __del__(self): wait()
"""
BEHIND = "for _ in range(5): loop.call_soon(int)"
WAYS = {
    "a subscriber": (
        "queue.subscribe(lambda event: event.type == 'ended' and wait())\n"
        "await queue.wait_for_job(queue.submit_nowait(time.sleep, 0))"
    ),
    "a subscriber, of a job of a thread's": (
        "queue.subscribe(lambda e: e.type == 'submitted' and (wait(), queue.wait(e.job_id)))\n"
        "await asyncio.to_thread(queue.submit_nowait, asyncio.sleep, 0)\nawait queue.join()"
    ),
    "call_soon": f"loop.call_soon(wait)\n{BEHIND}",
    "call_soon, of a future": (
        f"queue.wait = lambda job: job.future().result()\nloop.call_soon(wait)\n{BEHIND}"
    ),
    "call_later": "for call in (wait, *(5 * [int])): loop.call_later(0.05, call)",
    "a task that is done": (
        "task = asyncio.ensure_future(queue.submit_nowait(time.sleep, 0))\n"
        "task.add_done_callback(wait)\nawait task"
    ),
    "a task": f"async def body(): wait()\ntask = asyncio.ensure_future(body())\n{BEHIND}",
    "a coroutine's job": f"async def body(): wait()\nqueue.submit_nowait(body)\n{BEHIND}",
    "a handler of the loop's": (
        "loop.add_signal_handler(signal.SIGUSR1, wait)\n"
        f"os.kill(os.getpid(), signal.SIGUSR1)\n{BEHIND}"
    ),
    "a handler of a signal": (
        "signal.signal(signal.SIGALRM, wait); signal.setitimer(signal.ITIMER_REAL, 0.1)"
    ),
    "a finalizer": f"loop.call_soon(lambda it: None, Finalized())\n{BEHIND}",
    "a plain cell": f"{BEHIND}\nwait()",
}
SLEEPING_LOOP = """
import asyncio, signal
from jobqueue_widget._threads.kernel import run_nested
event = asyncio.Event()
async def sets(): event.set()
signal.signal(signal.SIGALRM, lambda *_: run_nested(sets))
signal.setitimer(signal.ITIMER_REAL, 0.1)
await event.wait()
for _ in range(9): await asyncio.sleep(0)
"""
NEXT_IN_LINE = """
import asyncio
from jobqueue_widget._threads.bridge import LoopBridge
from jobqueue_widget._threads.kernel import run_nested
bridge, event = LoopBridge(asyncio.get_running_loop()), asyncio.Event()
bridge.post(run_nested, event.wait)
bridge.post(event.set)
await event.wait()
"""
BUTTON = """
import ipywidgets
button = ipywidgets.Button()
button.on_click(wait)
"""
PROGRAM = """
import ast, asyncio, sys
cell = compile(sys.argv[1], "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
async def main(): await eval(cell, {})
asyncio.run(main())
"""


@pytest.fixture(params=[VERSIONS[0], VERSIONS[-1]])
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    kernel = Kernel(request.param)
    kernel.run(SETUP)
    yield kernel
    kernel.close()


def is_alive(kernel: Kernel) -> bool:
    """It runs cells, what they start, and no interrupt between them ends it."""
    cell = kernel.send("await asyncio.sleep(0.01)")
    assert kernel.reply_to(cell)["status"] == "ok"
    kernel.until_idle_after(cell)  # ipykernel ends if one comes between a cell's reply and that
    kernel.interrupt()
    kernel.run("assert await queue.submit_nowait(pow, 2, 3) == 8")
    return kernel.is_alive


@pytest.mark.parametrize("way", WAYS)
def test_a_wait_in_a_kernel(kernel: Kernel, way: str) -> None:
    kernel.run(WAYS[way])
    kernel.run("await over()")
    assert kernel.value_of("waited") == ["waits", "completed"]
    assert is_alive(kernel)


def said_by(script: str) -> str:
    """What a program prints whose loop runs this."""
    program = [sys.executable, "-c", PROGRAM, script]
    ran = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True, timeout=30)
    return ran.stdout + ran.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_wait_in_a_script(way: str) -> None:
    said = said_by(f"{SETUP}\n{WAYS[way]}\nawait over()\nawait queue.close()\nprint(waited)")
    assert said.removeprefix("waits\nwaited\n") == "['waits', 'completed']\n"


@pytest.mark.parametrize(
    "script", [SLEEPING_LOOP, NEXT_IN_LINE], ids=["a loop that sleeps", "calls of other threads"]
)
def test_a_wait_holds_up_nothing_else(script: str) -> None:
    assert said_by(script) == ""


async def test_a_loop_that_cannot_run_within_itself_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = asyncio.run
    async with JobQueue() as queue:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "get_running_loop", object)
            with pytest.raises(UnsupportedLoopError, match=r"a loop of builtins .*queue.join"):
                queue.wait()
    assert asyncio.run is usual, "it was patched in vain"


@pytest.mark.parametrize("ends", ["by itself", "by an interrupt", "by a click"])
@pytest.mark.parametrize("begins", ["a click", "a click while a cell waits", "a timer"])
def test_a_wait_between_cells(kernel: Kernel, begins: str, ends: str) -> None:
    kernel.run(BUTTON)
    kernel.run(f"seconds = {0.1 if ends == 'by itself' else 600}")
    page = kernel.value_of("queue.widget.comm.comm_id")
    if begins == "a timer":
        kernel.run(f"loop.call_later(0.2, wait)\n{BEHIND}")
    else:
        button = kernel.value_of("button.comm.comm_id")
        if begins == "a click while a cell waits":
            kernel.run("job = queue.submit_nowait(time.sleep, 600)")
            kernel.send("print('sleeps', flush=True); queue.wait(job)")
            kernel.until_printed("sleeps")
        kernel.send_comm(button, {"method": "custom", "content": {"event": "click"}})
    kernel.until_printed("waits")
    if ends == "by an interrupt":
        kernel.interrupt()
    if ends == "by a click" or (ends, begins) == ("by an interrupt", "a timer"):
        kernel.click(page, "cancel_many", scope="all")  # no cell runs that an interrupt could end
    kernel.until_printed("waited")
    if begins == "a click while a cell waits":
        kernel.click(page, "cancel_many", scope="all")
    said = {"by itself": "completed", "by an interrupt": "interrupted", "by a click": "cancelled"}
    expected = "cancelled" if begins == "a timer" and ends != "by itself" else said[ends]
    assert kernel.value_of("waited[1]") == expected
    kernel.run("queue.cancel_all('all'); await queue.join()")
    assert is_alive(kernel)
