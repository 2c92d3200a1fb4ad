"""What becomes of the widget when views, queues, kernels and notebooks come and go."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Fresh, Open
from tests.browser.lab import REPOSITORY, Lab, Notebook
from tests.browser.widget import (
    SETUP,
    add_cell,
    button,
    press,
    press_in,
    region,
    row,
    run_cell,
    save,
    submit,
    until_status,
    until_value,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NO_VIEW = SETUP.removesuffix("queue\n")
RESTART = (
    "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    ".then(() => null)"
)
CLEAR = "() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"


def regions(page: Page) -> Locator:
    return page.get_by_role("region", name=re.compile("^Job queue"))


def test_two_views_of_one_queue_stay_equal_and_act_once(fresh: Fresh) -> None:
    notebook = fresh(submit("runs", "sleeper"), submit("waits", "sleeper"), "queue")
    until_status(notebook, "runs", "running")
    views = regions(notebook.page)
    expect(views).to_have_count(2)
    second = views.nth(1)
    press_in(second, "Pause queue")
    for view in (views.nth(0), second):
        expect(view.get_by_role("button", name="Resume queue")).to_be_visible()
    notebook.value_of("[queue.submit_nowait(pow, 2, n).id for n in range(5)]")
    for view in (views.nth(0), second):
        expect(view.get_by_role("row", name="Queued", exact=True)).to_have_text("Queued 6")
    titles = "nodes => nodes.map(node => node.innerText)"
    shown = [view.locator("[data-job-id] .jqw-what").evaluate_all(titles) for view in views.all()]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 7
    press_in(second, "Remove waits")
    for view in (views.nth(0), second):
        expect(view.get_by_role("button", name="Undo")).to_be_visible()
    press_in(second, "Undo")
    until_value(notebook, "queue['waits'].held", False)
    assert notebook.value_of("queue['waits'].status.value") == "pending"
    press_in(second, "Cancel runs")
    until_status(notebook, "runs", "cancelled")
    for view in (views.nth(0), second):
        expect(view.get_by_role("button", name="Retry runs")).to_be_visible()
    press_in(second, "Retry runs")
    until_value(notebook, "len(queue.find('runs'))", 2)
    for view in (views.nth(0), second):
        expect(view.get_by_role("row", name="Queued", exact=True)).to_have_text("Queued 7")
    assert notebook.value_of("len(queue.find('runs'))") == 2


def test_two_queues_in_one_notebook_do_not_mix(fresh: Fresh) -> None:
    notebook = fresh(
        "other = await JobQueue(name='others').start()\nother",
        submit("mine", "sleeper"),
        "other.options(label='theirs').submit_nowait(sleeper);",
    )
    mine = notebook.page.get_by_role("region", name="Job queue tests")
    theirs = notebook.page.get_by_role("region", name="Job queue others")
    expect(mine).to_contain_text("mine")
    expect(theirs).to_contain_text("theirs")
    expect(mine).not_to_contain_text("theirs")
    press_in(theirs, "Cancel theirs")
    until_value(notebook, "other['theirs'].status.value", "cancelled")
    assert notebook.value_of("queue['mine'].status.value") == "running"
    notebook.replace("await other.close()")


def test_the_widget_stands_in_a_box_and_in_a_tab(fresh: Fresh) -> None:
    notebook = fresh(
        submit("runs", "sleeper"),
        "import ipywidgets\n"
        "tabs = ipywidgets.Tab([ipywidgets.HTML('first'), queue.widget], titles=('a', 'b'))\n"
        "ipywidgets.VBox([ipywidgets.Label('above'), queue.widget, tabs])",
        setup=NO_VIEW,
    )
    until_status(notebook, "runs", "running")
    views = regions(notebook.page)
    expect(views.first).to_be_visible()
    notebook.page.get_by_role("tab", name="b", exact=True).click()
    shown = views.filter(visible=True)
    expect(shown).to_have_count(2)
    expect(shown.nth(1)).to_contain_text("runs")
    press_in(shown.nth(1), "Cancel runs")
    until_status(notebook, "runs", "cancelled")
    expect(shown.nth(0).get_by_role("rowgroup", name="Finished")).to_contain_text("runs")


def test_a_job_shown_after_its_end_tells_how_it_ended(fresh: Fresh) -> None:
    notebook = fresh(
        submit("unlucky", "fails"),
        "job = queue['unlucky']\nawait queue.join()\ndisplay(job)",
        setup=NO_VIEW,
    )
    cell = notebook.page.get_by_role("group", name="Job unlucky")
    expect(cell).to_contain_text("no luck at all")
    expect(cell.get_by_role("progressbar")).to_have_count(0)
    press_in(cell, "Retry unlucky")
    until_value(notebook, "len(queue.jobs('failed'))", 2)


def test_a_closed_queue_says_so_and_a_click_on_it_is_answered(fresh: Fresh) -> None:
    notebook = fresh(submit("unlucky", "fails"))
    until_status(notebook, "unlucky", "failed")
    expect(row(notebook, "unlucky")).to_contain_text("no luck at all")
    add_cell(notebook, "await queue.close()")
    expect(region(notebook).locator(".jqw-banner")).to_contain_text("Closed")
    press(notebook, "Retry unlucky")
    expect(region(notebook).locator(".jqw-banner")).to_contain_text("Could not retry")
    assert notebook.value_of("len(queue.find('unlucky'))") == 1


def test_a_queue_without_a_name_lives_on_in_its_widget(fresh: Fresh) -> None:
    notebook = fresh(
        "def shown():\n"
        "    global loose\n"
        "    loose = JobQueue(name='loose', loop='thread')\n"
        "    loose.__enter__()\n"
        "    loose.options(label='on its own').submit_nowait(sleeper)\n"
        "    display(loose)\n"
        "shown()\n"
        "job = loose['on its own']\n"
        "del loose\n"
        "import gc\n"
        "gc.collect();",
        setup=NO_VIEW,
    )
    view = notebook.page.get_by_role("region", name="Job queue loose")
    expect(view).to_contain_text("on its own")
    until_value(notebook, "job.status.value", "running")
    press_in(view, "Cancel on its own")
    until_value(notebook, "job.status.value", "cancelled")
    expect(view.get_by_role("rowgroup", name="Finished")).to_contain_text("on its own")


def test_a_cleared_output_leaves_nothing_and_can_be_shown_again(fresh: Fresh) -> None:
    notebook = fresh("queue", submit("runs", "sleeper"), setup=NO_VIEW)
    until_status(notebook, "runs", "running")
    press(notebook, "Pause queue")
    expect(button(notebook, "Resume queue")).to_be_visible()
    notebook.page.evaluate(CLEAR)
    expect(notebook.page.locator(".jqw")).to_have_count(0)
    run_cell(notebook, 1)
    expect(row(notebook, "runs")).to_be_visible()
    press(notebook, "Resume queue")
    until_value(notebook, "queue.paused", False)
    press(notebook, "Cancel runs")
    until_status(notebook, "runs", "cancelled")
    expect(region(notebook).get_by_role("rowgroup", name="Finished")).to_contain_text("runs")


def test_a_second_tab_of_the_notebook_lives_and_acts_once(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("runs", "sleeper"), submit("waits", "sleeper"))
    until_status(notebook, "runs", "running")
    save(notebook)
    second = notebook.open_page()
    there = regions(second)
    expect(there).to_contain_text("waits")
    press_in(there, "Remove waits")
    for view in (there, region(notebook)):
        expect(view.get_by_role("button", name="Undo")).to_be_visible()
    press(notebook, "Undo")
    until_value(notebook, "queue['waits'].held", False)
    press_in(there, "Cancel runs")
    for view in (there, region(notebook)):
        expect(view.get_by_role("rowgroup", name="Finished")).to_contain_text("runs")
    assert notebook.value_of("len(queue.jobs('cancelled'))") == 1
    second.close()


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
def test_after_a_restart_the_last_state_is_kept_and_said_to_be_old(
    open_notebook: Open, busy: bool
) -> None:
    cells = [submit("runs", "sleeper" if busy else "fails"), "await asyncio.sleep(0)"]
    notebook = open_notebook("import asyncio", SETUP, *cells)
    until_status(notebook, "runs", "running" if busy else "failed")
    name = "Cancel runs" if busy else "Retry runs"
    expect(button(notebook, name)).to_be_visible()
    notebook.page.evaluate(RESTART)
    banner = region(notebook).locator(".jqw-banner")
    expect(banner).to_contain_text("Kernel gone", timeout=15_000)
    expect(banner).to_contain_text("last known state")
    expect(region(notebook)).to_contain_text("runs")
    expect(region(notebook)).to_have_class(re.compile("jqw-dim"))
    expect(button(notebook, name)).to_have_attribute("aria-disabled", "true")
    for control in ("Pause queue", "Cancel all…"):
        expect(button(notebook, control)).to_have_attribute("aria-disabled", "true")
    assert [line for line in notebook.said if "jqw" in line or "pageerror" in line] == []


def test_a_saved_notebook_tells_how_it_was_without_a_kernel(open_notebook: Open, lab: Lab) -> None:
    """In a page made of the notebook, as in JupyterLab."""
    cells = submit("<b>brief</b>", "sleeper", 0) + "\nawait queue.join()\nqueue"
    notebook = open_notebook(NO_VIEW, cells)
    expect(region(notebook)).to_contain_text("brief")
    save(notebook)
    html = as_html(lab, notebook)
    assert html.count('class="jqw-static') == 1
    assert "&lt;b&gt;brief&lt;/b&gt;" in html
    assert "<b>brief" not in html
    assert "widget-view" not in html
    notebook.close()
    page = notebook.open_page()
    expect(page.locator(".jqw-static")).to_contain_text("<b>brief</b>")
    expect(page.locator(".jqw")).to_have_count(0)


def as_html(lab: Lab, notebook: Notebook) -> str:
    """The saved notebook as `nbconvert` makes a page of it."""
    command = [sys.executable, "-m", "nbconvert", "--to=html", "--stdout", notebook.name]
    environ = {**os.environ, "PYTHONPATH": REPOSITORY}
    done = subprocess.run(command, cwd=lab.root, env=environ, capture_output=True, check=True)
    return done.stdout.decode()


def save_widget_states(lab: Lab, wanted: bool) -> None:
    """JupyterLab's setting "Save Widget State Automatically"."""
    plugin = "@jupyter-widgets/jupyterlab-manager:plugin"
    body = json.dumps({"raw": json.dumps({"saveState": wanted})}).encode()
    address = f"{lab.url}/lab/api/settings/{plugin}?token={lab.token}"
    request = urllib.request.Request(address, body, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def test_a_state_saved_with_the_notebook_is_shown_as_what_it_is(
    open_notebook: Open, lab: Lab
) -> None:
    save_widget_states(lab, True)
    try:
        notebook = open_notebook(SETUP, submit("unlucky", "fails"))
        until_status(notebook, "unlucky", "failed")
        expect(row(notebook, "unlucky")).to_contain_text("no luck at all")
        save(notebook)
        notebook.close()
        page = notebook.open_page()
        view = regions(page)
        expect(view).to_contain_text("no luck at all")
        sentence = "the kernel or its connection is busy or gone"  # it cannot know which
        expect(view.locator(".jqw-banner")).to_contain_text(sentence, timeout=10_000)
    finally:
        save_widget_states(lab, False)
