"""What a person finds and does in the widget of a notebook, for the browser tests."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, expect

from tests.browser.lab import Notebook

SETUP = """
import time
from jobqueue_widget import JobQueue, current_job
queue = await JobQueue(name="tests", cancel_timeout=1.0).start()
def sleeper(seconds=600):
    time.sleep(seconds)
def reporter():
    for step in range(1000):
        current_job().report(step / 1000, f"step {step}")
        print("line", step)
        time.sleep(0.05)
def deaf():
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
def fails():
    raise ValueError("no luck at all")
queue
"""

SETTLED = 700  # ms; a click sooner after a button changed its meaning is taken for the old one


def region(notebook: Notebook) -> Locator:
    return notebook.page.get_by_role("region", name=re.compile("^Job queue"))


def row(notebook: Notebook, label: str) -> Locator:
    job_id = notebook.value_of(f"queue[{label!r}].id")
    return region(notebook).locator(f'[data-job-id="{job_id}"]').first


def button(notebook: Notebook, name: str | re.Pattern[str]) -> Locator:
    return region(notebook).get_by_role("button", name=name).first


def press(notebook: Notebook, name: str | re.Pattern[str]) -> None:
    """Click as a person does: not in the instant in which the button has changed its meaning."""
    press_in(region(notebook), name)


def press_in(scope: Locator, name: str | re.Pattern[str]) -> None:
    """The same in another view."""
    found = scope.get_by_role("button", name=name).first
    expect(found).to_be_visible()
    scope.page.wait_for_timeout(SETTLED)
    found.click()


def bar_in(scope: Locator, label: str) -> Locator:
    return scope.get_by_role("row").filter(has_text=label).get_by_role("progressbar")


def check_that_progress_moves(scope: Locator, label: str) -> None:
    expect(bar_in(scope, label)).to_have_attribute("aria-valuenow", re.compile(r"\d"))
    before = bar_in(scope, label).get_attribute("aria-valuenow") or ""
    expect(bar_in(scope, label)).not_to_have_attribute("aria-valuenow", before)


def submit(label: str, target: str, *arguments: object) -> str:
    given = "".join(f", {argument!r}" for argument in arguments)
    return f"queue.options(label={label!r}).submit_nowait({target}{given});"


def status(notebook: Notebook, label: str) -> Any:
    return notebook.value_of(f"queue[{label!r}].status.value")


def until_status(notebook: Notebook, label: str, wanted: str) -> None:
    until_value(notebook, f"queue[{label!r}].status.value", wanted)


def until_value(notebook: Notebook, expression: str, wanted: object) -> None:
    """Wait until a Python expression has this value in the notebook's kernel."""
    for _ in range(200):
        if notebook.value_of(expression) == wanted:
            return
        notebook.page.wait_for_timeout(50)
    assert notebook.value_of(expression) == wanted


def row_by_text(notebook: Notebook, text: str) -> Locator:
    return region(notebook).get_by_role("row").filter(has_text=text).first


def save(notebook: Notebook) -> None:
    notebook.page.evaluate(
        "() => window.jupyterapp.commands.execute('docmanager:save').then(() => null)"
    )


def run_cell(notebook: Notebook, index: int) -> None:
    """Run one cell that is there already, and wait until it has ended."""
    notebook.page.evaluate(
        "index => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;"
        " return window.jupyterapp.commands.execute('notebook:run-cell').then(() => null); }",
        index,
    )


def add_cell(notebook: Notebook, source: str) -> None:
    """Add a cell at the end, run it and wait until it has ended; what is shown stays."""
    last = notebook.page.evaluate(
        "source => { const { content } = window.jupyterapp.shell.currentWidget;"
        " const shared = content.model.sharedModel;"
        " shared.insertCell(shared.cells.length, { cell_type: 'code', source, metadata: {} });"
        " return shared.cells.length - 1; }",
        source,
    )
    run_cell(notebook, last)
