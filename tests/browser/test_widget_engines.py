"""The widget over a queue here, on Dask and on Ray: one notebook whose cells differ by one line."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.lab import REPOSITORY, Notebook
from tests.browser.widget import press_in, until_value
from tests.engines.dask_processes import DaskProcesses, dask_processes

pytestmark = [pytest.mark.browser, pytest.mark.engine, pytest.mark.timeout(480)]

PLACES = {
    "here": '"process"',
    "Dask": "DaskExecutor(client)",
    "Ray": "RayExecutor()",
}
WHERE = {
    "here": re.compile(r"^None$"),
    "Dask": re.compile(r"^\S+ \(Dask worker tcp://127\.0\.0\.1:\d+\)$"),
    "Ray": re.compile(r"^\S+ \(Ray actor, process \d+\)$"),
}

ENGINES = """
import os, re, sys, time
sys.path.append({repository!r})
import distributed
from tests.engines.ray_processes import start_ray
from jobqueue_widget import DaskExecutor, JobCancelled, JobQueue, RayExecutor, current_job
client = distributed.Client(scheduler_file={file!r})
client.wait_for_workers(2)
ray = start_ray()
def counts(steps):
    for step in range(steps):
        current_job().report(step / steps, f"step {{step}}")
        print("line", step)
        time.sleep(0.1)
def in_c_for_ever():
    re.match("(a+)+$", "a" * 60 + "b")
def tidies_up(folder):
    try:
        while True:
            time.sleep(0.05)
    except JobCancelled:
        while not os.path.exists(folder + "/tidy"):
            time.sleep(0.05)
        raise
def fails(number):
    return 1 / (number - number)
async def queue_on(name, executor):
    queue = JobQueue(name=name, executor=executor, max_running=2, cancel_timeout=60.0)
    return await queue.start()
"""
CELL = """
executor = {executor}
queue = queues[{name!r}] = await queue_on({name!r}, executor)
failing = queue.options(label="fails").submit_nowait(fails, 7)
counting = queue.options(label="counts").submit_nowait(counts, 6000)
queue
"""

LOOKS = """row => [...row.querySelectorAll('[role="gridcell"]:not(.jqw-time)')].map(cell => {
  const copy = cell.cloneNode(true);
  copy.querySelectorAll(".jqw-where").forEach(part => part.remove());
  return copy.textContent.replace(/[0-9.]+/g, "#");
})"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DaskProcesses]:
    """A Dask scheduler and two workers; Ray is started by the notebook."""
    with dask_processes(tmp_path) as processes:
        yield processes


def view_of(notebook: Notebook, name: str) -> Locator:
    return notebook.page.get_by_role("region", name=f"Job queue {name}")


def row_of(notebook: Notebook, name: str, function: str) -> Locator:
    rows = view_of(notebook, name).get_by_role("row")
    return rows.filter(has=notebook.page.get_by_text(function, exact=True))


def submit(notebook: Notebook, function: str, *arguments: object) -> None:
    """One such job to each of the queues; wait until all of them run."""
    given = "".join(f", {argument!r}" for argument in arguments)
    for name in PLACES:
        options = f"queues[{name!r}].options(label={function!r})"
        notebook.value_of(f"str({options}.submit_nowait({function}{given}))")
    for name in PLACES:
        until_value(notebook, f"queues[{name!r}][{function!r}].started_at is not None", True)
        until_value(notebook, f"queues[{name!r}][{function!r}].phase", None)


def test_a_job_looks_the_same_here_on_dask_and_on_ray(
    open_notebook: Open, engine: DaskProcesses, tmp_path: Path
) -> None:
    setup = ENGINES.format(file=str(engine.file), repository=REPOSITORY)
    cells = [CELL.format(name=name, executor=executor) for name, executor in PLACES.items()]
    notebook = open_notebook(setup, "queues = {}", *cells, run=False)
    notebook.page.set_viewport_size({"width": 1000, "height": 2600})  # a view is drawn when seen
    notebook.run_all(patience=300_000)
    seen: dict[str, list[object]] = {name: [] for name in PLACES}

    def look(name: str, function: str, status: str) -> None:
        row = row_of(notebook, name, function)
        expect(row).to_have_attribute("data-status", status, timeout=20_000)
        seen[name].append((function, row.evaluate(LOOKS)))

    def press(name: str, what: str) -> None:
        press_in(view_of(notebook, name), what)
        notebook.page.mouse.move(2, 2)  # a row under the pointer waits before it changes

    for name in PLACES:
        until_value(notebook, f"queues[{name!r}]['counts'].progress > 0", True)
        look(name, "counts", "running")
        bar = row_of(notebook, name, "counts").get_by_role("progressbar")
        before = bar.get_attribute("aria-valuenow")
        expect(bar).not_to_have_attribute("aria-valuenow", str(before), timeout=20_000)
        row_of(notebook, name, "counts").click()
        tab = view_of(notebook, name).get_by_role("tab", name="Log")
        tab.click()
        expect(view_of(notebook, name).get_by_role("log")).to_contain_text("line 1")
    for name in PLACES:
        look(name, "fails", "failed")
        row_of(notebook, name, "fails").click()
        trace = view_of(notebook, name).get_by_label("Traceback", exact=True)
        expect(trace).to_contain_text("return 1 / (number - number)")
        seen[name].append(trace.inner_text())
    submit(notebook, "tidies_up", str(tmp_path))
    for name in PLACES:
        press(name, "Cancel tidies_up")
        look(name, "tidies_up", "stopping")
    (tmp_path / "tidy").touch()
    submit(notebook, "in_c_for_ever")
    for name in PLACES:
        look(name, "tidies_up", "cancelled")
        press(name, "Cancel in_c_for_ever")
        look(name, "in_c_for_ever", "stopping")
    for name in PLACES:
        press(name, "Force in_c_for_ever")
        look(name, "in_c_for_ever", "cancelled")
    for name in PLACES:
        row_of(notebook, name, "counts").click()
        view_of(notebook, name).get_by_role("tab", name="Overview").click()
        facts = view_of(notebook, name).get_by_role("tabpanel")
        where = notebook.value_of(f"queues[{name!r}]['counts'].where")
        assert WHERE[name].search(str(where)), where
        short = row_of(notebook, name, "counts").locator(".jqw-where")
        if where is None:
            expect(short).to_have_count(0)
            expect(facts.get_by_role("term").get_by_text("Where", exact=True)).to_have_count(0)
        else:
            expect(facts).to_contain_text(f"Where{where}")
            expect(short).to_have_text(f"on {platform.node()}")
    assert seen["Dask"] == seen["here"]
    assert seen["Ray"] == seen["here"]
