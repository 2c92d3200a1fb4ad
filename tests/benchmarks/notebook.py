"""Notebooks in a real JupyterLab and Chromium, and what is read in their page."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the table is made without a browser stack
    from playwright.sync_api import Page

    from tests.browser.lab import Notebook

Open = Callable[..., "Notebook"]
PATIENCE = 60_000  # ms
PACE = 150  # ms between two clicks

RUN_CELL = """index => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  window.jupyterapp.commands.execute("notebook:run-cell");
  return null;
}"""
CELL_STATE = """([index, state]) => {
  const cell = window.jupyterapp.shell.currentWidget.content.widgets[index].model;
  return cell.executionState === state && (state === "running" || cell.executionCount !== null);
}"""
# Moments that Python put into a text, and how much later the page shows them.
WATCH = """selector => {
  const root = document.querySelector(selector);
  const told = () => /at (\\d+\\.\\d+)/.exec(root.textContent)?.[1] ?? "";
  let last = told();
  window.delays = [];
  new MutationObserver(() => {
    const moment = told();
    if (moment === last) return;
    last = moment;
    requestAnimationFrame(() => window.delays.push(Date.now() - 1000 * Number(moment)));
  }).observe(root, { subtree: true, childList: true, characterData: true });
}"""
# When the browser got each click, in epoch milliseconds.
LISTEN = """() => {
  if (window.clicks !== undefined) return void (window.clicks = []);
  window.clicks = [];
  const note = (event) => window.clicks.push(performance.timeOrigin + event.timeStamp);
  document.addEventListener("click", note, { capture: true });
}"""
# The ids of so many queued rows, or null while a removed one is still shown.
QUEUED_IN_VIEW = """count => {
  const rows = [...document.querySelectorAll(".jqw-row[data-job-id]")];
  const ids = (status) => rows.filter((row) => row.dataset.status === status)
    .map((row) => row.dataset.jobId);
  const queued = ids("queued");
  return ids("removed").length > 0 || queued.length < count ? null : queued.slice(0, count);
}"""
# Run a cell; milliseconds until the first row of a queue is painted.
PAINT = """index => new Promise((resolve) => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  const look = () => {
    if (document.querySelector(".jqw-row[data-job-id]") === null) requestAnimationFrame(look);
    else requestAnimationFrame(() => requestAnimationFrame(end));
  };
  const end = () => resolve(performance.now() - begin);
  const begin = performance.now();
  window.jupyterapp.commands.execute("notebook:run-cell");
  requestAnimationFrame(look);
})"""


@contextmanager
def opened_lab() -> Iterator[Open]:
    """Gives what opens a notebook of some cells, with a kernel of its own; none has run yet."""
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import MISSING, chromium_path, launch
    from tests.browser.lab import Lab, Notebook

    path = chromium_path()
    if path is None:
        raise FileNotFoundError(MISSING)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        browser = launch(stack.enter_context(sync_playwright()), path)
        stack.callback(browser.close)
        lab = Lab(Path(folder))
        stack.callback(lab.close)

        def open_notebook(*cells: str) -> Notebook:
            context = browser.new_context(viewport={"width": 1200, "height": 900})
            context.set_default_timeout(PATIENCE)
            notebook = Notebook(lab, context, cells)
            stack.callback(notebook.close)
            return notebook

        yield open_notebook


def start_cell(notebook: Notebook, index: int) -> None:
    """Run one cell; return when it runs."""
    notebook.page.evaluate(RUN_CELL, index)
    notebook.page.wait_for_function(CELL_STATE, arg=[index, "running"])


def end_cell(notebook: Notebook, index: int) -> None:
    """Return when a cell has ended."""
    notebook.page.wait_for_function(CELL_STATE, arg=[index, "idle"])


def delays_of(notebook: Notebook, selector: str, count: int) -> list[float]:
    """Milliseconds from each moment that Python tells until it stands below `selector`."""
    page = notebook.page
    page.wait_for_selector(selector)
    page.evaluate(WATCH, selector)
    page.wait_for_function(f"() => window.delays.length >= {count}")
    delays: list[float] = page.evaluate("() => window.delays")
    return delays


def click_each(page: Page, buttons: list[str]) -> list[float]:
    """Click these selectors, one after the other; when the browser got each, in epoch seconds."""
    page.evaluate(LISTEN)
    for button in buttons:
        page.wait_for_timeout(PACE)
        page.click(button)
    clicks: list[float] = page.evaluate("() => window.clicks")
    return [moment / 1e3 for moment in clicks]


class TaskMeter:
    """How much a page's main thread works, beyond what it does when nothing happens.

    In its own processor time: how long its tasks take also tells how busy the machine is.
    """

    def __init__(self, page: Page, idle_seconds: float) -> None:
        self._page = page
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable")
        self._idle = 0.0
        self.start()
        page.wait_for_timeout(idle_seconds * 1e3)
        self._idle = self.stop() / (time.monotonic() - self._began_at)
        self.start()

    def start(self) -> None:
        """From here on."""
        self._began_at = time.monotonic()
        self._before = self._task_seconds()

    def stop(self) -> float:
        """Seconds of work since the start."""
        worked = self._task_seconds() - self._before
        return worked - self._idle * (time.monotonic() - self._began_at)

    def _task_seconds(self) -> float:
        told: dict[str, Any] = self._session.send("Performance.getMetrics")
        named = {metric["name"]: float(metric["value"]) for metric in told["metrics"]}
        return named["ThreadTime"]
