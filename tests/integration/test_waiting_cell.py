"""A cell that waits: clicks are heard meanwhile, on each ipykernel, and no other cell is harmed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from jobqueue_widget.widget.pump import Hearing
from tests.kernels import VERSIONS, Kernel

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("loop_of_the_client")]

SETUP = """
import asyncio, time
from jobqueue_widget import JobQueue
from IPython import get_ipython
def sleeper():
    time.sleep(600)
async def start():
    job = queue.submit_nowait(sleeper)
    while job.status.value == "pending":
        await asyncio.sleep(0.01)
    return job
queue = {queue}
comm = queue.widget.comm.comm_id
job = await start()
kernel = get_ipython().kernel
thread = getattr(kernel, "shell_channel_thread", None)
stream = thread.manager._shell_channel_to_main.to_stream if thread else kernel.shell_stream
usual = stream._recv_callback
"""
CURRENT = "await JobQueue().start()"
PRIVATE = "JobQueue(loop='thread').__enter__()"
AWAITS = (
    "await queue.join()",
    "await job",
    "await asyncio.gather(queue.join(), queue.wait_for_job(job), queue.join())",
)
PLAIN = ("queue.wait()", "queue.wait(job)")


@pytest.fixture(params=VERSIONS)
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    kernel = Kernel(request.param)
    yield kernel
    kernel.close()


class Shown:
    """A queue with one endless job, shown in a kernel."""

    def __init__(self, kernel: Kernel, queue: str = CURRENT) -> None:
        self.kernel = kernel
        kernel.run(SETUP.format(queue=queue))
        self.comm: str = kernel.value_of("comm")
        self.job: str = kernel.value_of("job.id")

    def wait(self, code: str) -> str:
        """A cell that waits, and has begun to."""
        cell = self.kernel.send(
            f"print('begins', flush=True)\ntry:\n    {code}\n"
            "except Exception:\n    pass\nfinally:\n    print('over')"
        )
        self.kernel.until_printed("begins")
        return cell

    def click(self, op: str, **arguments: object) -> None:
        """A request of a page, which was answered."""
        rid = self.kernel.click(self.comm, op, **arguments)
        self.kernel.until(
            lambda message: (
                message["msg_type"] == "comm_msg"
                and message["content"]["data"].get("content", {}).get("rid") == rid
            )
        )

    def cancel(self) -> None:
        self.click("cancel", job=self.job, force=True)

    def again(self) -> None:
        """Another endless job, and nothing said so far."""
        self.kernel.run("job = await start()")
        self.job = self.kernel.value_of("job.id")
        self.kernel.heard.clear()


@pytest.mark.parametrize(
    ("queue", "waits"),
    [(CURRENT, AWAITS), (CURRENT, PLAIN), (PRIVATE, PLAIN)],
    ids=["await", "plain", "plain, private loop"],
)
def test_a_click_ends_the_wait_and_cells_behind_it_run_once_in_order(
    kernel: Kernel, queue: str, waits: tuple[str, ...]
) -> None:
    shown = Shown(kernel, queue)
    for wait in waits:
        shown.wait(wait)
        behind = [kernel.send(f"print('cell {number}', flush=True)") for number in range(3)]
        shown.cancel()
        for cell in behind:
            assert kernel.reply_to(cell)["status"] == "ok"
        kernel.until_printed("cell 2")
        lines = kernel.printed().splitlines()
        assert lines == ["begins", "over", "cell 0", "cell 1", "cell 2"], wait
        shown.again()


def test_an_interrupt_ends_the_wait_and_nothing_else(kernel: Kernel) -> None:
    shown = Shown(kernel)
    for wait in (*AWAITS[:2], *PLAIN):
        cell = shown.wait(wait)
        behind = kernel.send("print('behind', flush=True)")
        shown.click("job", job=shown.job)
        kernel.interrupt()
        assert kernel.reply_to(cell)["status"] == "error", wait
        assert kernel.reply_to(behind)["status"] == "ok", wait
        kernel.until_printed("behind")
        kernel.until_idle_after(behind)
        kernel.interrupt()  # of a kernel that does nothing: it must not notice
        assert kernel.value_of("job.status.value") == "running", wait
        kernel.heard.clear()


def test_what_a_cell_prints_after_a_click_is_its_own(kernel: Kernel) -> None:
    shown = Shown(kernel)
    for wait in (AWAITS[0], PLAIN[0]):
        cell = shown.wait(wait)
        shown.cancel()
        assert kernel.reply_to(cell)["status"] == "ok"
        assert kernel.until_printed("over")["parent_header"]["msg_id"] == cell
        shown.again()


def test_a_wait_in_the_background_holds_up_no_cell(kernel: Kernel) -> None:
    shown = Shown(kernel)
    kernel.run("background = asyncio.create_task(queue.join())\nawait asyncio.sleep(0)")
    for number in range(3):
        kernel.run(f"print('cell {number}', flush=True)")
    shown.cancel()
    kernel.run("await background")


def test_after_a_wait_the_kernel_is_as_it_was(kernel: Kernel) -> None:
    shown = Shown(kernel)
    for wait in (AWAITS[2], PLAIN[0], "await queue.join(timeout=0.01)"):
        cell = shown.wait(wait)
        shown.cancel()
        assert kernel.reply_to(cell)["status"] == "ok"
        assert kernel.value_of("stream._recv_callback is usual"), wait
        shown.again()


@pytest.mark.parametrize("kernel", ["7.4"], indirect=True)
def test_a_limit_is_told_as_it_was_given(kernel: Kernel) -> None:
    shown = Shown(kernel)
    for wait in ("queue.wait(job, timeout=0.1)", "queue.wait(timeout=0.1)"):
        told = kernel.reply_to(kernel.send(wait))["evalue"]
        assert " after 0.1 s; " in told, told
    shown.cancel()


@pytest.mark.parametrize("kernel", ["6.31"], indirect=True)
def test_a_click_from_before_the_wait_is_not_held_up_by_it(kernel: Kernel) -> None:
    shown = Shown(kernel)
    shown.wait("while kernel.msg_queue.qsize() < 2: await asyncio.sleep(0.01)\n    " + AWAITS[0])
    behind = kernel.send("print('behind', flush=True)")
    shown.cancel()
    assert kernel.reply_to(behind)["status"] == "ok"
    kernel.until_printed("behind")
    assert kernel.printed().splitlines() == ["begins", "over", "behind"]


@pytest.mark.parametrize("kernel", ["7.4"], indirect=True)
def test_an_unknown_kernel_is_left_alone_with_one_notice(kernel: Kernel) -> None:
    kernel.run(SETUP.format(queue=CURRENT) + "kernel._parent_ident = {}\njob.cancel(force=True)")
    for _ in range(2):
        kernel.run("queue.wait()\nprint('over', flush=True)")
        assert kernel.value_of("stream._recv_callback is usual")
    kernel.until(lambda _: kernel.printed().count("over") == 2)
    assert kernel.printed().count("not built as expected") == 1


async def test_outside_of_a_kernel_nothing_is_done() -> None:
    assert Hearing()() is None
    assert await asyncio.to_thread(Hearing()) is None
