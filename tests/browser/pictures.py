"""Takes the pictures of the manual's page "What it looks like", in a real JupyterLab and Chromium.

    python -m tests.browser.pictures docs/pictures

Each state is reached as a person would reach it. Needs about a minute and half.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.browser.chromium import MISSING, chromium_path, launch
from tests.browser.lab import Lab, Notebook
from tests.browser.test_widget_accessibility import set_theme
from tests.browser.widget import add_cell, region, save

PICTURES = (
    *("empty", "running", "failed", "search", "picked", "overview", "curves", "log", "output"),
    *("result", "error", "timeline", "narrow", "dark", "cells", "away"),
)
WIDTH, NARROW = 1180, 640  # pixels of the page, JupyterLab's own parts included
PATIENCE = 60_000

OPENED = """
from jobqueue_widget import JobQueue
queue = await JobQueue(name="trainings", max_running=2).start()
queue
"""
FUNCTIONS = """
import math, random, time
from IPython.display import HTML, display
from jobqueue_widget import current_job

def train(rate, depth, steps=40, pause=0.05):
    loss = 4.0
    for step in range(steps):
        time.sleep(pause)
        if rate > 0.2 and step == 12:
            raise ValueError("the loss is not a number: the rate is too high")
        loss = 1 / depth + (loss - 1 / depth) * math.exp(-rate) + random.random() * rate / 3
        print(f"step {step + 1:2} of {steps}: loss {loss:.4f}")
        current_job().report((step + 1) / steps, f"loss {loss:.3f}", loss=loss, rate=rate)
    display(HTML("<table><tr><th>layer</th><th>weights</th></tr><tr><td>first</td>"
                 "<td>1,024</td></tr><tr><td>second</td><td>256</td></tr></table>"))
    return {"loss": round(loss, 4), "depth": depth, "checkpoints": ["first.pt", "last.pt"]}

def transcribe(path):
    for step in range(400):
        current_job().report(step / 400, "decoding")
        time.sleep(0.5)
"""
SWEPT = """
pairs = [(rate, depth) for rate in (0.03, 0.1, 0.3) for depth in (1, 2, 4)]
view = queue.options(group="sweep 7", label="rate={rate} depth={depth}")
sweep = view.map(train, *zip(*pairs))
try:
    await sweep
except Exception:
    pass
"""
GOES_ON = """
late = queue.options(group="sweep 8", label="rate={rate} depth={depth}")
long = late.map(train, [0.02] * 4, [2, 4, 8, 16], [400] * 4, [0.4] * 4)
talks = queue.map(transcribe, ["garden.wav", "harbour.wav", "market.wav"])
queue.options(priority=5, label="the report").submit_nowait(transcribe, "report.wav");
"""
AWAY = 3.0  # seconds after which a summary is told; ten minutes for a person
COMES_BACK_SOON = f"""
import jobqueue_widget.widget.answers.absence as absence
absence.LONG = {AWAY}
"""


@contextmanager
def notebook_in(browser: Browser, lab: Lab, *cells: str) -> Iterator[Notebook]:
    """A notebook of these cells that have run."""
    context = browser.new_context(viewport={"width": WIDTH, "height": 1000})
    context.set_default_timeout(PATIENCE)
    notebook = Notebook(lab, context, cells)
    try:
        notebook.run_all(patience=PATIENCE)
        yield notebook
    finally:
        notebook.close()


class Photographer:
    """Brings one widget from state to state."""

    def __init__(self, notebook: Notebook, folder: Path) -> None:
        self._notebook = notebook
        self._folder = folder

    @property
    def view(self) -> Locator:
        """The widget."""
        return region(self._notebook)

    @property
    def page(self) -> Page:
        """What it is in."""
        return self._notebook.page

    def shoot(self, name: str, what: Locator | None = None) -> None:
        """Take one picture, without the pointer over anything and with nothing in motion."""
        assert name in PICTURES
        self.page.mouse.move(2, 2)
        self.page.wait_for_timeout(600)
        (what or self.view).screenshot(path=self._folder / f"{name}.png", animations="disabled")

    def press(self, name: str) -> None:
        """Click on a button of the widget."""
        self.view.get_by_role("button", name=name).first.click()

    def choose(self, name: str) -> None:
        """Choose what the list shows."""
        self.view.get_by_role("radio", name=re.compile(f"^{name}")).click(force=True)

    def select(self, text: str) -> None:
        """Open the details of the job in whose row this stands."""
        self.view.get_by_role("row").filter(has_text=text).last.click()
        expect(self.view.get_by_role("tab", name="Overview")).to_be_visible()

    def empty(self) -> None:
        """Nothing was submitted yet."""
        self.shoot("empty")

    def running(self) -> None:
        """A group that has ended, one that runs, and single jobs."""
        for cell in (COMES_BACK_SOON, FUNCTIONS, SWEPT, GOES_ON):
            add_cell(self._notebook, cell)
        moved = self.view.get_by_role("rowgroup", name="Running").get_by_role("progressbar")
        expect(moved.first).to_be_visible()
        self.page.wait_for_timeout(6_000)  # a few of its curves' points
        self.shoot("running")

    def found(self) -> None:
        """The failures of the sweep and their kinds; a search without a match."""
        self.choose("Failed")
        self.press("Kinds of failure")
        self.shoot("failed")
        self.page.keyboard.press("Escape")
        self.choose("All")
        self.view.get_by_role("searchbox").fill("violin")
        expect(self.view).to_contain_text("Clear")
        self.shoot("search")
        self.view.get_by_role("searchbox").fill("")

    def picked(self) -> None:
        """Several rows, and what can be done to them."""
        self.choose("Failed")
        rows = self.view.locator("[data-status=failed]")
        rows.nth(0).click(modifiers=["ControlOrMeta"])
        rows.nth(2).click(modifiers=["Shift"])
        self.shoot("picked")
        self.page.keyboard.press("Escape")
        self.choose("All")

    def details(self) -> None:
        """Each tab."""
        self.choose("Done")
        self.select("rate=0.1 depth=4")
        for name in ("Overview", "Curves", "Log", "Output", "Result"):
            self.view.get_by_role("tab", name=name).click()
            self.page.wait_for_timeout(1_000)
            self.shoot(name.lower())
        self.page.keyboard.press("Escape")
        self.choose("Failed")
        self.select("rate=0.3 depth=4")
        self.view.get_by_role("tab", name="Error").click()
        self.shoot("error")
        self.page.keyboard.press("Escape")
        self.choose("All")

    def timeline(self) -> None:
        """Lanes over time."""
        self.view.get_by_role("tab", name="Timeline").click()
        self.page.wait_for_timeout(2_500)
        self.shoot("timeline")
        self.view.get_by_role("tab", name="List", exact=True).click()

    def narrow(self) -> None:
        """Little room, and a dark page."""
        self.page.set_viewport_size({"width": NARROW, "height": 1000})
        self.shoot("narrow")
        self.page.set_viewport_size({"width": WIDTH, "height": 1000})
        set_theme(self._notebook, "JupyterLab Dark")
        self.shoot("dark")
        set_theme(self._notebook, "JupyterLab Light")

    def cells(self) -> None:
        """A group and a job that are displayed by themselves."""
        add_cell(self._notebook, "display(sweep, talks[0])")
        last = self.page.locator(".jp-Cell").last.locator(".jp-Cell-outputArea")
        expect(last.get_by_role("progressbar").last).to_be_visible()
        self.shoot("cells", last)

    def away(self) -> None:
        """Told who comes back."""
        self._notebook.value_of("queue.cancel_all('all')")
        self.view.scroll_into_view_if_needed()
        expect(self.view.locator(".jqw-row[data-status=running]")).to_have_count(0)
        save(self._notebook)
        address = self.page.url
        self.page.goto("about:blank")
        self._notebook.value_of(
            "[str(queue.options(executor='thread').submit_nowait(pow, *pair))"
            " for pair in ((2, 9), (3, 9), (2, 'x'), (2, 'y'))]"
        )
        self.page.wait_for_timeout(AWAY * 2_000)
        self.page.goto(address)
        expect(self.view.get_by_role("note", name="While you were away")).to_be_visible(
            timeout=PATIENCE
        )
        self.shoot("away")


SCENES: tuple[Callable[[Photographer], None], ...] = (
    Photographer.empty,
    Photographer.running,
    Photographer.found,
    Photographer.picked,
    Photographer.details,
    Photographer.timeline,
    Photographer.narrow,
    Photographer.cells,
    Photographer.away,
)


def take_all(chromium: str, folder: Path) -> None:
    """Take all of them."""
    with TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = launch(playwright, chromium)
        lab = Lab(Path(home))
        try:
            with notebook_in(browser, lab, OPENED) as notebook:
                photographer = Photographer(notebook, folder)
                for scene in SCENES:
                    scene(photographer)
        finally:
            lab.close()
            browser.close()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Take the pictures of the manual.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    chromium = chromium_path()
    if chromium is None:
        raise SystemExit(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    take_all(chromium, folder)


if __name__ == "__main__":
    main()
