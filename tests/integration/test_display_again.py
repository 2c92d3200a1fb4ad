"""A host may close the widget it was given, as marimo does with a cell: the next one works."""

from __future__ import annotations

from jobqueue_widget import JobQueue
from jobqueue_widget.widget.pacing import PACER
from tests.conditions import until


async def noop() -> None:
    pass


async def test_a_widget_closed_by_its_host_is_replaced() -> None:
    async with JobQueue() as queue:
        first = queue.widget
        assert queue.widget is first
        first.comm.close()
        second = queue.widget
        assert second is not first
        await queue.submit_nowait(noop)
        await until(lambda: second.summary["counts"]["completed"] == 1)
        second.close()


async def test_a_widget_closed_by_its_host_follows_the_queue_no_more() -> None:
    async with JobQueue() as queue:
        widget = queue.widget
        widget.comm.close()
        await queue.submit_nowait(noop)
        await until(lambda: widget._follower not in PACER._live)


async def test_each_marimo_cell_is_given_a_widget_of_its_own() -> None:
    async with JobQueue() as queue:
        job = queue.submit_nowait(noop)
        cells = [queue._display_(), queue._display_(), job._display_(), job._display_()]
        assert len({id(widget) for widget in (*cells, queue.widget)}) == 5
        for widget in (*cells, queue.widget):
            widget.close()
