"""JupyterLab and Chromium, once per module; a notebook with a kernel of its own per test."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import MISSING, chromium_path, launch
from tests.browser.lab import Lab, Notebook
from tests.browser.widget import SETTLED, SETUP

Open = Callable[..., Notebook]
Fresh = Callable[..., Notebook]
HARNESS = Path(__file__).parents[2] / "js" / "test" / "harness"


@pytest.fixture(autouse=True)
def nothing_left_behind() -> None:
    """Replaces the leak check: what Chromium and JupyterLab keep between tests is theirs."""


@pytest.fixture(scope="module")  # not for the session: its loop would stand in others' way
def browser() -> Iterator[Browser]:
    """The system's Chromium. Without one: skipped, and with CI=true a failure."""
    path = chromium_path()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        chromium = launch(playwright, path)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    """A JupyterLab server."""
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.close()


@pytest.fixture
def open_notebook(lab: Lab, browser: Browser) -> Iterator[Open]:
    """Makes a notebook of the given cells, opens it and runs all; `unfinished` at its end wait."""
    opened: list[tuple[Notebook, object]] = []
    contexts = []

    def make(
        *cells: str, run: bool = True, unfinished: int = 0, width: int = 1200, dark: bool = False
    ) -> Notebook:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        context.set_default_timeout(20_000)
        notebook = Notebook(lab, context, cells)
        opened.append((notebook, context))
        if run:
            notebook.run_all(unfinished)
        return notebook

    yield make
    for notebook, _ in opened:
        notebook.close()
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def standing_notebook(lab: Lab, browser: Browser) -> Iterator[Notebook]:
    """A notebook that stays open from test to test."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(20_000)
    notebook = Notebook(lab, context, ())
    yield notebook
    notebook.close()
    context.close()


@pytest.fixture
def fresh(standing_notebook: Notebook) -> Iterator[Fresh]:
    """Puts a new queue, a new view of it and these cells into the notebook that stays open."""

    def make(*cells: str, setup: str = SETUP, unfinished: int = 0) -> Notebook:
        standing_notebook.replace(setup, *cells, unfinished=unfinished)
        return standing_notebook

    yield make
    standing_notebook.replace("await queue.close()")
    said = standing_notebook.said
    assert [line for line in said if "jqw" in line or line.startswith("pageerror")] == []


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The harness page: the views against a kernel of its own."""
    folder = tmp_path_factory.mktemp("harness")
    subprocess.run(["node", str(HARNESS / "build.mjs"), str(folder)], check=True)
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


class Opener:
    """Draws a scene of the harness page; scripts that fail there fail the test."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser = browser
        self.address = address
        self.pages: list[Page] = []
        self.errors: list[str] = []

    def __call__(self, scene: str = "everyday", view: str = "queue", width: int = 1000) -> Page:
        page = self.browser.new_page(viewport={"width": width, "height": 700})
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(self.address)
        page.evaluate("([scene, view]) => void start(scene, view)", [scene, view])
        self.pages.append(page)
        page.wait_for_timeout(SETTLED)  # a person has not aimed at a button yet either
        return page


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Opener]:
    """Opens scenes; closes them."""
    opener = Opener(browser, address)
    yield opener
    for page in opener.pages:
        page.close()
    assert opener.errors == []
