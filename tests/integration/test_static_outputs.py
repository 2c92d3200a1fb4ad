"""A notebook that a program ran tells how its jobs ended, without any front end."""

from __future__ import annotations

import asyncio
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

MAKE = """
from jobqueue_widget import JobQueue
queue = await JobQueue(name="alone").start()
queue.pause()
def double(number):
    return 2 * number
def fails(text):
    raise ValueError(text)
good = queue.options(label="good").submit_nowait(double, 2)
bad = queue.options(label="bad").submit_nowait(fails, "<script>alert(1)</script>")
"""


def outputs_after(*cells: str) -> list[dict[str, Any]]:
    """The first output of each cell, by mime type, when all have run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    asyncio.run(NotebookClient(notebook, timeout=60, kernel_name="python3").async_execute())
    return [cell.outputs[0]["data"] if cell.outputs else {} for cell in notebook.cells]


RUN = "queue.resume(); await queue.join(); await queue.stop()"


@pytest.mark.parametrize("shown", ["queue", "display(queue)"])
def test_the_output_of_an_earlier_cell_tells_how_it_ended(shown: str) -> None:
    output = outputs_after(MAKE, shown, RUN)[1]
    assert "application/vnd.jupyter.widget-view+json" in output
    assert "0 running, 0 queued, 1 completed, 1 failed, 0 cancelled" in output["text/plain"]
    assert "1 completed, 1 failed" in output["text/html"]
    assert "<script>" not in output["text/html"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in output["text/html"]


def test_every_output_of_the_queue_follows_it_and_so_does_a_job() -> None:
    first, second, job = outputs_after(MAKE, "queue", "queue", "bad", RUN)[1:4]
    assert "1 failed" in first["text/html"]
    assert "1 failed" in second["text/html"]
    assert "failed" in job["text/plain"]
    assert ">failed<" in job["text/html"]


def test_an_output_shows_the_moment_of_its_display_while_jobs_run() -> None:
    waits = "import time; queue.submit_nowait(time.sleep, 600)"
    output = outputs_after(MAKE, waits, "queue.resume(); queue", "await good")[2]
    assert "0 completed, 0 failed" in output["text/html"]
