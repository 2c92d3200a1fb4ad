"""A host may close the widget it was given, as marimo does with a cell: the next one works."""

from __future__ import annotations

import json
import threading
from typing import Any

import comm
import pytest

from jobqueue_widget import JobQueue
from jobqueue_widget._api.display_hook import provider
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
        await until(lambda: first._follower not in PACER._live)
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


class CountingComm(comm.DummyComm):
    """Counts what goes to pages."""

    sent = 0

    def publish_msg(self, msg_type: str, data: Any = None, *more: Any, **keys: Any) -> None:
        """Onto no wire."""
        type(self).sent += len(json.dumps(data))


async def test_cells_of_ended_jobs_cost_no_thread_and_little_to_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comm, "create_comm", CountingComm)
    async with JobQueue(max_running=2) as queue:
        queue.widget.flush()
        jobs = [queue.submit_nowait(noop) for _ in range(200)]
        await queue.join()
        threads, CountingComm.sent = threading.active_count(), 0
        cells = [provider().shown_job(queue, job).widget for job in jobs]
        assert threading.active_count() <= threads
        assert CountingComm.sent < 1_000_000
        assert not PACER._live.intersection(cell._follower for cell in cells)
        await queue.submit_nowait(noop)
        seen = cells[0].summary["rev"]
        hello = {"t": "req", "cid": "page", "rid": "1", "op": "hello", "a": {}}
        cells[0]._on_message(None, hello, [])
        await until(lambda: cells[0].summary["rev"] > seen)
        assert not cells[1].summary["counts"]["running"], "whom nobody need wait for"
        queue.widget.close()
        for cell in cells:
            cell.close()


async def test_the_last_state_of_a_job_s_cell_is_that_of_its_end() -> None:
    for _ in range(20):
        async with JobQueue() as queue:
            job = queue.submit_nowait(noop)
            cell = provider().shown_job(queue, job).widget
            await job
            await until(lambda: cell.job["status"] == "completed")  # noqa: B023 - in its turn
            assert cell._follower not in PACER._live
            queue.widget.close()
            cell.close()
