"""The widget in a real JupyterLab in a real Chromium: what a person does, and what comes of it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.widget import (
    SETUP,
    add_cell,
    button,
    press,
    press_in,
    region,
    row,
    row_by_text,
    status,
    submit,
    until_status,
    until_value,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_a_submitted_job_is_shown_with_moving_progress(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("moves", "reporter"))
    expect(row(notebook, "moves")).to_be_visible()
    bar = row(notebook, "moves").get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"\d+"))
    first = int(bar.get_attribute("aria-valuenow") or 0)
    notebook.page.wait_for_timeout(1_500)
    assert int(bar.get_attribute("aria-valuenow") or 0) > first


def test_an_empty_list_has_lines_that_fill_it(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP)
    view = region(notebook)
    expect(view).to_contain_text("No jobs yet")
    lines = view.locator("pre").inner_text()
    assert len(lines.splitlines()) == 3
    expect(view.get_by_role("button", name="Copy these lines")).to_be_visible()
    add_cell(notebook, lines)
    expect(view.get_by_role("row").filter(has_text="sleep").first).to_be_visible()
    expect(view.locator("pre")).to_be_hidden()
    assert notebook.value_of("len(queue.jobs())") == 11


def test_cancel_of_a_running_job_ends_its_process(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("sleeps", "sleeper"))
    until_status(notebook, "sleeps", "running")
    press(notebook, "Cancel sleeps")
    until_status(notebook, "sleeps", "cancelled")
    grid = region(notebook).get_by_role("rowgroup", name="Finished")
    expect(grid).to_contain_text("sleeps")


def test_a_job_that_does_not_listen_is_shown_being_forced(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("deaf one", "deaf"))
    until_status(notebook, "deaf one", "running")
    press(notebook, "Cancel deaf one")
    expect(row(notebook, "deaf one")).to_contain_text(re.compile("asked to stop|forc|ending"))
    until_status(notebook, "deaf one", "cancelled")


def test_remove_of_a_queued_job_can_be_undone(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("first", "sleeper"), submit("second", "sleeper"))
    until_status(notebook, "first", "running")
    press(notebook, "Remove second")
    expect(row(notebook, "second")).to_contain_text("undo")
    assert notebook.value_of("queue['second'].held") is True
    press(notebook, re.compile("^Undo"))
    expect(row(notebook, "second")).not_to_contain_text("undo")
    assert notebook.value_of("queue['second'].held") is False


def test_a_paused_queue_says_so_and_resumes(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP)
    press(notebook, "Pause queue")
    expect(button(notebook, "Resume queue")).to_be_visible()
    assert notebook.value_of("queue.paused") is True
    press(notebook, "Resume queue")
    expect(button(notebook, "Pause queue")).to_be_visible()
    assert notebook.value_of("queue.paused") is False


def test_a_failed_job_shows_its_error_and_can_be_retried(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("unlucky", "fails"))
    until_status(notebook, "unlucky", "failed")
    expect(row(notebook, "unlucky")).to_contain_text("no luck at all")
    press(notebook, "Retry unlucky")
    until_value(notebook, "len(queue.jobs('failed'))", 2)


def test_details_show_the_log_and_the_traceback(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("unlucky", "fails"), submit("talks", "reporter"))
    until_status(notebook, "talks", "running")
    row(notebook, "unlucky").click()
    region(notebook).get_by_role("tab", name="Error").click()
    expect(region(notebook).get_by_role("tabpanel")).to_contain_text("ValueError: no luck at all")
    trace = region(notebook).get_by_label("Traceback", exact=True)
    expect(trace).to_have_css("padding-left", "10px")  # whatever JupyterLab has for pre and dl
    region(notebook).get_by_role("tab", name="Overview").click()
    facts = region(notebook).locator(".jqw-facts")
    expect(facts).to_have_count(2)
    for one in facts.all():
        expect(one).to_have_css("margin-left", "10px")
        expect(one.locator("dt").first).to_have_css("float", "none")
    row(notebook, "talks").click()
    region(notebook).get_by_role("tab", name="Log").click()
    expect(region(notebook).get_by_role("log")).to_contain_text(re.compile(r"line \d+"))


def test_a_queued_job_moves_by_keyboard(open_notebook: Open) -> None:
    cells = [submit(name, "sleeper") for name in ("runs", "one", "two", "three")]
    notebook = open_notebook(SETUP, *cells)
    until_status(notebook, "runs", "running")
    expect(row(notebook, "three")).to_be_visible()
    row(notebook, "three").focus()
    notebook.page.keyboard.press("Alt+ArrowUp")
    until_value(notebook, "[job.label for job in queue.jobs('pending')]", ["one", "three", "two"])


def test_a_click_is_heard_while_a_cell_awaits(open_notebook: Open) -> None:
    cells = [SETUP, submit("sleeps", "sleeper"), "await queue.join()", "print('the cell behind')"]
    notebook = open_notebook(*cells, unfinished=2)
    expect(row_by_text(notebook, "sleeps")).to_be_visible()
    press(notebook, "Cancel sleeps")
    output = notebook.page.locator(".jp-OutputArea-output", has_text="the cell behind")
    expect(output).to_be_visible()
    assert status(notebook, "sleeps") == "cancelled"


def test_a_progress_cell_shows_one_job(open_notebook: Open) -> None:
    notebook = open_notebook(
        SETUP.removesuffix("queue\n"),
        "job = queue.options(label='alone').submit_nowait(reporter)\ndisplay(job)",
    )
    cell = notebook.page.get_by_role("group", name="Job alone")
    expect(cell).to_be_visible()
    expect(cell.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile(r"\d"))
    until_status(notebook, "alone", "running")
    press_in(cell, "Cancel alone")
    until_status(notebook, "alone", "cancelled")


def test_a_reload_brings_the_widget_back_with_the_state_of_now(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("sleeps", "sleeper"))
    until_status(notebook, "sleeps", "running")
    notebook.page.evaluate(
        "() => window.jupyterapp.commands.execute('docmanager:save').then(() => null)"
    )
    notebook.page.reload()
    expect(row(notebook, "sleeps")).to_be_visible(timeout=60_000)
    press(notebook, "Cancel sleeps")
    until_status(notebook, "sleeps", "cancelled")


HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


def test_no_text_of_a_job_becomes_markup(open_notebook: Open) -> None:
    notebook = open_notebook(
        SETUP,
        f"def talks(text):\n    print(text); raise ValueError(text)\n"
        f"queue.options(label={HOSTILE!r}, tags=[{HOSTILE!r}]).submit_nowait(talks, {HOSTILE!r});",
    )
    finished = region(notebook).get_by_role("rowgroup", name="Finished")
    expect(finished).to_contain_text("<img src=x")
    finished.get_by_role("row").first.click()
    for tab in ("Error", "Log", "Overview"):
        region(notebook).get_by_role("tab", name=tab).click()
        notebook.page.wait_for_timeout(300)
    assert region(notebook).locator("img, script").count() == 0
    assert notebook.page.evaluate("() => window.hacked === undefined")


def test_nothing_is_said_on_the_console_in_anger(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, submit("talks", "reporter"))
    expect(row(notebook, "talks")).to_be_visible()
    ours = [line for line in notebook.said if "jqw" in line or line.startswith("pageerror")]
    assert ours == []
