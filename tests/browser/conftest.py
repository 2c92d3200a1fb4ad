"""JupyterLab and Chromium, once per module; a notebook with a kernel of its own per test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.lab import Lab, Notebook
from tests.browser.widget import SETUP

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Open = Callable[..., Notebook]
Fresh = Callable[..., Notebook]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> None:
    """Replaces the leak check: what Chromium and JupyterLab keep between tests is theirs."""


@pytest.fixture(scope="module")  # not for the session: its loop would stand in others' way
def browser() -> Iterator[Browser]:
    """The system's Chromium. Without one: skipped, and with CI=true a failure."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        why = "no Chromium here: set CHROMIUM, or install Debian's package chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
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
