"""The static part of an output follows the queue at rest; a view in use is left as it is."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.lab import Notebook
from tests.browser.widget import SETUP, button, region, row, submit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

HTML = """() => {
  const outputs = window.jupyterapp.shell.currentWidget.content.widgets[0].model.outputs;
  return outputs.get(outputs.length - 1).data["text/html"];
}"""


def until_html(notebook: Notebook, told: str) -> None:
    """Until the static part of the first cell's output, in the document, says so."""
    for _ in range(200):
        if told in notebook.page.evaluate(HTML):
            return
        notebook.page.wait_for_timeout(50)
    raise AssertionError(f"{told!r} is not in {notebook.page.evaluate(HTML)}")


def test_a_saved_notebook_tells_how_it_ended(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("unlucky", "fails"))
    until_html(notebook, "1 failed")
    expect(row(notebook, "unlucky")).to_be_visible()
    notebook.value_of("queue.submit_nowait(fails).title")
    until_html(notebook, "2 failed")
    expect(button(notebook, "Pause queue")).to_be_visible()
    assert notebook.page.get_by_role("region", name="Job queue").count() == 1


MANY = "queue.map(sleeper, [0] * 40);"


@pytest.mark.parametrize("use", ["open details", "focus", "scroll", "pointer"])
def test_a_view_in_use_is_left_as_it_is_until_it_is_not(open_notebook: Open, use: str) -> None:
    notebook = open_notebook(SETUP, MANY, "await queue.join()")
    until_html(notebook, "40 completed")
    page, grid = notebook.page, region(notebook).get_by_role("grid", name="Finished")
    first = grid.get_by_role("row").first
    scroller = region(notebook).locator(".jqw-scroller")
    if use == "open details":
        first.click()
        page.mouse.move(2, 2)
        first.blur()
    elif use == "focus":
        first.focus()
    elif use == "scroll":
        scroller.evaluate("node => { node.scrollTop = 300; }")
    else:
        first.hover()
    page.evaluate("() => { document.querySelector('.jqw').mark = 'the same'; }")
    notebook.value_of("queue.submit_nowait(fails).title")
    expect(region(notebook)).to_contain_text("1 failed")
    page.wait_for_timeout(3_500)  # it would have come by now
    assert "0 failed" in page.evaluate(HTML)
    assert page.evaluate("() => document.querySelector('.jqw').mark") == "the same"
    if use == "open details":
        expect(region(notebook).get_by_role("tablist")).to_be_visible()
        page.keyboard.press("Escape")
        region(notebook).get_by_role("button", name=re.compile("^Close")).click()
    scroller.evaluate("node => { node.scrollTop = 0; }")
    page.mouse.move(2, 2)
    page.evaluate("() => document.activeElement.blur()")
    until_html(notebook, "1 failed")
