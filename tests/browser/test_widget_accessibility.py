"""What axe finds in the widget as it stands in a real JupyterLab, in its light and dark themes."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Fresh
from tests.browser.lab import Notebook
from tests.browser.widget import press, region, row, submit, until_status

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"
FOUND = "axe.run('.jqw').then(told => told.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def set_theme(notebook: Notebook, name: str) -> None:
    notebook.page.evaluate(
        "name => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })"
        ".then(() => null)",
        name,
    )
    light = "false" if "Dark" in name else "true"
    notebook.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached")


def test_axe_finds_no_violation_in_jupyterlab(fresh: Fresh) -> None:
    notebook = fresh(
        submit("unlucky", "fails"),
        "done = queue.options(label='table').submit_nowait(dict, a=1)\nawait done",
        submit("talks", "reporter"),
        submit("waits", "sleeper"),
        submit("gone", "sleeper"),
        "display(queue['talks'])",
    )
    page = notebook.page
    until_status(notebook, "talks", "running")
    press(notebook, "Remove gone")
    page.evaluate(AXE.read_text())
    panel = region(notebook).get_by_role("tabpanel")
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        set_theme(notebook, theme)
        for label, tab, text in (
            ("talks", "Log", "line"),
            ("talks", "Overview", "Started"),
            ("unlucky", "Error", "Traceback"),
            ("table", "Result", "{'a': 1}"),
            ("waits", "Overview", "Queued"),
        ):
            row(notebook, label).locator(".jqw-what").click()
            region(notebook).get_by_role("tab", name=tab).click()
            expect(panel).to_contain_text(text)
            assert page.evaluate(FOUND) == [], f"{theme}, {tab} of {label}"
            row(notebook, label).locator(".jqw-what").click()
    set_theme(notebook, "JupyterLab Light")
