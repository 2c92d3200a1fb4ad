"""The table beside a view: it follows the queue, and is seen only when there is no view."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.browser.lab import Lab, Notebook, wait_for_kernel
from tests.browser.widget import SETUP, button, region, row, save, submit, until_status

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

WITH_JOURNAL = SETUP.replace('name="tests"', 'name="tests", journal="runs-of-pages.db"')
SHOW_JOB = submit("shown", "sleeper") + "\nqueue['shown']"
HTML = """() => {
  const outputs = window.jupyterapp.shell.currentWidget.content.widgets[0].model.outputs;
  return outputs.get(outputs.length - 1).data["text/html"];
}"""
LEAVE = """() => {
  Object.defineProperty(document, "visibilityState", { get: () => "hidden", configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
JUPYTERLABS_OWN = re.compile("model not found|Loading widget")
BACK = "Run the first cell to bring the queue back."


def until_html(notebook: Notebook, told: str) -> None:
    """Until the table beside the first cell's view, in the document, says so."""
    for _ in range(200):
        if told in notebook.page.evaluate(HTML):
            return
        notebook.page.wait_for_timeout(50)
    raise AssertionError(f"{told!r} is not in {notebook.page.evaluate(HTML)}")


def tables(page: Page) -> Locator:
    return page.locator(".jp-OutputArea .jqw-beside")


def test_a_saved_notebook_tells_how_it_ended(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("unlucky", "fails"))
    until_html(notebook, "1 failed")
    expect(row(notebook, "unlucky")).to_be_visible()
    notebook.value_of("queue.submit_nowait(fails).title")
    until_html(notebook, "2 failed")
    expect(button(notebook, "Pause queue")).to_be_visible()
    expect(tables(notebook.page)).to_be_hidden()
    assert notebook.page.get_by_role("region", name="Job queue").count() == 1


def test_a_view_is_left_as_it_is_while_its_table_follows(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("unlucky", "fails"))
    until_html(notebook, "1 failed")
    row(notebook, "unlucky").click()
    notebook.page.evaluate("() => { document.querySelector('.jqw').mark = 'the same'; }")
    notebook.value_of("queue.submit_nowait(fails).title")
    until_html(notebook, "2 failed")
    assert notebook.page.evaluate("() => document.querySelector('.jqw').mark") == "the same"
    expect(region(notebook).get_by_role("tablist", name="Details")).to_be_visible()


def test_each_table_is_hidden_while_its_view_lives(open_notebook: Open) -> None:
    both = "print('above')\ndisplay(queue, queue['shown'])\nprint('below')"
    notebook = open_notebook(SETUP, SHOW_JOB, both)
    page = notebook.page
    expect(page.locator(".jqw")).to_have_count(4)
    expect(tables(page)).to_have_count(4)
    for table in tables(page).all():
        expect(table).to_be_hidden()
    for said in ("above", "below"):
        expect(page.locator(".jp-OutputArea-output").filter(has_text=said).first).to_be_visible()


def test_what_runs_is_written_down_when_the_page_is_left(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("runs", "sleeper"), submit("waits", "sleeper"))
    until_status(notebook, "runs", "running")
    expect(row(notebook, "waits")).to_be_visible()
    notebook.page.evaluate(LEAVE)
    until_html(notebook, "1 running, 1 queued")


def test_a_page_that_was_reloaded_writes_it_into_its_notebook(
    open_notebook: Open, lab: Lab
) -> None:
    notebook = open_notebook(SETUP, submit("runs", "sleeper"))
    until_status(notebook, "runs", "running")
    save(notebook)
    notebook.page.reload()
    wait_for_kernel(notebook.page)
    expect(row(notebook, "runs")).to_be_visible()
    notebook.value_of("queue.cancel_all('all')")
    until_html(notebook, "0 running, 0 queued, 0 completed, 0 failed, 1 cancelled")
    assert notebook.page.locator(".jqw").count() == 1
    expect(tables(notebook.page)).to_be_hidden()
    save(notebook)
    (_, table) = nbformat.read(lab.root / notebook.name, as_version=4).cells[0].outputs
    assert "1 cancelled" in table["data"]["text/html"]
    assert "1 cancelled" in table["data"]["text/plain"]


def test_a_page_opened_again_is_not_changed_where_nothing_has(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("unlucky", "fails"))
    until_html(notebook, "1 failed")
    save(notebook)
    told = notebook.page.evaluate(HTML)
    notebook.page.reload()
    wait_for_kernel(notebook.page)
    expect(row(notebook, "unlucky")).to_be_visible()
    notebook.page.wait_for_timeout(3_500)  # it would have come by now
    assert notebook.page.evaluate(HTML) == told
    changed = "() => window.jupyterapp.shell.currentWidget.context.model.dirty"
    assert notebook.page.evaluate(changed) is False


@pytest.mark.parametrize("journal", [True, False])
def test_opened_without_its_kernel_a_notebook_shows_how_it_was(
    open_notebook: Open, journal: bool
) -> None:
    notebook = open_notebook(WITH_JOURNAL if journal else SETUP, SHOW_JOB)
    until_status(notebook, "shown", "running")
    until_html(notebook, "1 running")
    save(notebook)
    notebook.close()
    page = notebook.open_page()
    for table, what in zip(tables(page).all(), ("queue", "job"), strict=True):
        expect(table).to_be_visible()
        expect(table).to_contain_text("shown")
        expect(table).to_contain_text(re.compile(r"as of \d{4}-\d\d-\d\d \d\d:\d\d UTC"))
        expect(table).to_contain_text(f"reload the page to control the {what}")
        expect(table).to_contain_text("If the kernel is gone, this is the last known state")
        assert (BACK in table.inner_text()) is journal
    expect(page.get_by_text(JUPYTERLABS_OWN).filter(visible=True)).to_have_count(0)
    expect(page.locator(".jqw")).to_have_count(0)


def test_a_page_reloaded_while_a_cell_blocks_shows_the_tables_meanwhile(
    open_notebook: Open, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    blocks = f"import os\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.02)"
    notebook = open_notebook(SETUP, SHOW_JOB, blocks, unfinished=1)
    page = notebook.page
    until_html(notebook, "shown")  # queued still, where the cell blocks before it could start
    save(notebook)
    page.reload()
    expect(tables(page)).to_have_count(2, timeout=60_000)
    page.wait_for_timeout(2_000)  # what JupyterLab has to say, it has said by now
    for table in tables(page).all():
        expect(table).to_be_visible()
        expect(table).to_contain_text("shown")
    expect(page.get_by_text(JUPYTERLABS_OWN).filter(visible=True)).to_have_count(0)
    flag.touch()
    page.reload()  # as the table says: JupyterLab may have given up ("model not found") for good
    expect(page.locator(".jqw")).to_have_count(2, timeout=60_000)
    for table in tables(page).all():
        expect(table).to_be_hidden()


def test_who_is_not_trusted_with_the_view_sees_the_table_and_how_to_get_it(
    open_notebook: Open, lab: Lab
) -> None:
    """As who has a shared notebook open while another one runs its cells."""
    notebook = open_notebook(SETUP, SHOW_JOB)
    until_html(notebook, "1 running")
    save(notebook)
    saved = nbformat.read(lab.root / notebook.name, as_version=4)
    saved.cells[1].source += "  # nobody has signed this"
    nbformat.write(saved, lab.root / notebook.name)
    page = notebook.open_page()
    expect(tables(page)).to_have_count(2)
    for table, what in zip(tables(page).all(), ("queue", "job"), strict=True):
        expect(table).to_be_visible()
        expect(table).to_contain_text(f"reload the page to control the {what}")
    expect(page.locator(".jqw")).to_have_count(0)
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:trust')")
    page.get_by_role("dialog").get_by_role("button", name="Trust").click()
    expect(page.locator(".jqw")).to_have_count(2)
    for table in tables(page).all():
        expect(table).to_be_hidden()


def test_a_queue_in_a_box_has_its_table_when_the_box_is_gone(open_notebook: Open) -> None:
    box = "import ipywidgets\nipywidgets.VBox([ipywidgets.Label('above'), queue.widget])"
    notebook = open_notebook(SETUP.removesuffix("queue\n") + box, submit("shown", "sleeper"))
    until_html(notebook, "1 running")
    expect(region(notebook)).to_contain_text("shown")
    expect(tables(notebook.page)).to_be_hidden()
    save(notebook)
    notebook.close()
    page = notebook.open_page()
    expect(tables(page)).to_be_visible()
    expect(tables(page)).to_contain_text("shown")
    expect(page.get_by_text(JUPYTERLABS_OWN).filter(visible=True)).to_have_count(0)
