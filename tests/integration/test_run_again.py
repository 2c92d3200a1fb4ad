"""A notebook cell that is run again does not lose a queue without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels import VERSIONS, Kernel

pytestmark = pytest.mark.timeout(120)

COUNT = """
import warnings
from jobqueue_widget import JobQueue
told = []
warnings.showwarning = lambda message, kind, *rest, **more: (
    told.append(str(message)) if kind.__name__ == "QueueReplacedWarning" else None)
warnings.simplefilter("always")
"""
CELL = "queue = await JobQueue().start()"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel(VERSIONS[0])
    yield kernel
    kernel.close()


def test_a_cell_that_replaces_a_queue_with_work_is_told_once(kernel: Kernel) -> None:
    kernel.run(COUNT)
    kernel.run(CELL)
    kernel.run(CELL)  # the first has nothing to do
    assert kernel.value_of("told") == []
    kernel.run("first = queue; queue.pause(); job = queue.submit_nowait(len, 'abc')")
    kernel.run("other = await JobQueue().start()")  # another name
    kernel.run("queues = [JobQueue() for _ in range(3)]")
    assert kernel.value_of("told") == []
    kernel.run(CELL)
    (told,) = kernel.value_of("told")
    assert "the queue that `queue` held still has 0 running and 1 pending jobs" in told
    assert "await queue.stop()" in told
    kernel.run("queue = first")
    kernel.run(CELL)
    assert len(kernel.value_of("told")) == 1
    kernel.run("await first.close(); await queue.close(); await other.close()")


def test_a_cell_that_opens_a_journal_gets_the_same_queue(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(COUNT)
    cell = f"queue = await JobQueue.open({str(tmp_path / 'runs.db')!r}).start()"
    kernel.run(cell)
    kernel.run("first = queue; queue.pause(); job = queue.submit_nowait(len, 'abc')")
    kernel.run(cell)
    assert kernel.value_of("queue is first")
    assert kernel.value_of("told") == []
    kernel.run("await queue.close()")
