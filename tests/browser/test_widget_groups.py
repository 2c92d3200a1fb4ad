"""Groups in a real JupyterLab: their rows, what these lead to, and what is done to all of one."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Fresh, Open
from tests.browser.lab import Notebook
from tests.browser.test_widget_accessibility import AXE, FOUND, set_theme
from tests.browser.widget import SETTLED, SETUP, button, press, press_in, region, until_value

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

LUCKY = """
import pathlib
lucky = pathlib.Path("lucky.txt").resolve()
lucky.write_text("1")
def unless(number, known):
    if str(number) not in known.read_text():
        raise ValueError(f"{number} had no luck")
    return number
runs = queue.options(group="sweep 7").map(unless, [1, 2, 3], [lucky] * 3)
await queue.join()"""
WAITING = """
slow = queue.options(group="overnight", label="night {0}").map(sleeper, [600] * 4)
others = queue.options(group="others", label="other {0}").map(sleeper, [600] * 3)"""


def group(notebook: Notebook, name: str) -> Locator:
    return region(notebook).locator(".jqw-group-row").filter(has_text=name)


def jobs_below(notebook: Notebook) -> Locator:
    """The rows of jobs that are in a group."""
    return region(notebook).get_by_role("row", level=3)


def test_a_group_is_one_row_and_what_failed_of_it_is_retried(fresh: Fresh) -> None:
    notebook = fresh(LUCKY)
    row = group(notebook, "sweep 7")
    expect(row).to_contain_text("3 of 3 · 2 failed")
    bar = row.get_by_role("progressbar", name="sweep 7")
    expect(bar).to_have_attribute("aria-valuenow", "100")
    expect(bar).to_have_attribute("aria-valuetext", "3 of 3 · 2 failed")
    notebook.value_of("lucky.write_text('123')")
    press(notebook, "Retry 2 failed of sweep 7")
    until_value(notebook, "runs.counts['completed']", 3)
    expect(row.locator(".jqw-info")).to_have_text("3 of 3")
    expect(button(notebook, re.compile("^Retry .* of sweep 7"))).to_have_count(0)


def test_all_of_a_group_is_cancelled_once_that_is_confirmed(fresh: Fresh) -> None:
    notebook = fresh(WAITING)
    row = group(notebook, "overnight")
    expect(row).to_contain_text("0 of 4 · 1 running")
    button(notebook, "Cancel overnight").dblclick()  # meant as one click
    expect(button(notebook, "Cancel overnight: stop 4 jobs?")).to_be_focused()
    notebook.page.keyboard.press("Escape")
    expect(button(notebook, "Cancel overnight: stop 4 jobs?")).to_have_count(0)
    assert notebook.value_of("slow.counts['cancelled']") == 0
    press(notebook, "Cancel overnight")
    press(notebook, "Cancel overnight: stop 4 jobs?")
    until_value(notebook, "slow.counts['cancelled']", 4)
    expect(row).to_contain_text("4 of 4 · 4 cancelled")
    until_value(notebook, "others.counts['running']", 1)


def test_a_click_on_a_group_opens_and_closes_it_and_its_jobs_can_be_reordered(
    fresh: Fresh,
) -> None:
    notebook = fresh(WAITING)
    expect(jobs_below(notebook)).to_have_count(7)  # small ones are open
    expect(group(notebook, "overnight")).to_have_attribute("aria-level", "2")
    group(notebook, "overnight").click()
    expect(group(notebook, "overnight")).to_have_attribute("aria-expanded", "false")
    expect(jobs_below(notebook)).to_have_count(3)
    last = jobs_below(notebook).nth(2)
    expect(last).to_contain_text("other 600")
    last.focus()
    job = last.get_attribute("data-job-id")
    notebook.page.keyboard.press("Alt+Home")
    until_value(notebook, "queue.jobs('pending')[0].id", job)
    expect(last).to_have_attribute("data-job-id", job or "")  # a group is in the order of its items
    expect(last.get_by_role("gridcell", name="next")).to_be_attached()
    group(notebook, "overnight").click()
    expect(group(notebook, "overnight")).to_have_attribute("aria-expanded", "true")
    expect(jobs_below(notebook)).to_have_count(7)


def test_groups_are_reached_opened_and_acted_on_by_keys(fresh: Fresh) -> None:
    notebook = fresh(LUCKY, WAITING)
    keys = notebook.page.keyboard
    expect(group(notebook, "sweep 7")).to_be_visible()
    expect(region(notebook).locator(".jqw-row[tabindex='0']")).to_have_count(1)
    group(notebook, "overnight").focus()
    keys.press("ArrowLeft")
    expect(group(notebook, "overnight")).to_have_attribute("aria-expanded", "false")
    keys.press("ArrowDown")
    expect(group(notebook, "others")).to_be_focused()
    keys.press("ArrowDown")
    expect(jobs_below(notebook).first).to_be_focused()
    keys.press("ArrowLeft")
    expect(group(notebook, "others")).to_be_focused()
    keys.press("Enter")
    expect(group(notebook, "others")).to_have_attribute("aria-expanded", "false")
    keys.press("ArrowDown")
    expect(group(notebook, "sweep 7")).to_be_focused()
    keys.press(" ")
    expect(group(notebook, "sweep 7")).to_have_attribute("aria-expanded", "false")
    keys.press("ArrowRight")
    expect(group(notebook, "sweep 7")).to_have_attribute("aria-expanded", "true")
    keys.press("ArrowRight")
    expect(button(notebook, "Retry 2 failed of sweep 7")).to_be_focused()
    keys.press("ArrowLeft")
    expect(group(notebook, "sweep 7")).to_be_focused()
    keys.press("ArrowUp")
    keys.press("Delete")
    keys.press("Enter")
    until_value(notebook, "others.counts['cancelled']", 3)


def test_buttons_of_a_group_work_while_a_cell_waits(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, WAITING, "others.wait()", "print('behind')", unfinished=2)
    expect(group(notebook, "others")).to_contain_text("0 of 3")
    press(notebook, "Cancel others")
    press(notebook, "Cancel others: stop 3 jobs?")
    expect(notebook.page.locator(".jp-OutputArea-output", has_text="behind")).to_be_visible()
    assert notebook.value_of("others.counts['cancelled']") == 3
    assert notebook.value_of("slow.counts['running']") == 1


def test_axe_finds_no_violation_in_groups(fresh: Fresh) -> None:
    notebook = fresh(LUCKY, WAITING)
    notebook.page.evaluate(AXE.read_text())
    expect(group(notebook, "sweep 7")).to_contain_text("2 failed")
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        set_theme(notebook, theme)
        assert notebook.page.evaluate(FOUND) == [], theme
        group(notebook, "overnight").click()
        button(notebook, "Cancel overnight").click()
        notebook.page.wait_for_timeout(SETTLED)
        assert notebook.page.evaluate(FOUND) == [], f"{theme}, chosen and asked"
        notebook.page.keyboard.press("Escape")
        group(notebook, "overnight").click()


def cell_of(notebook: Notebook, name: str) -> Locator:
    """The live cell of a group."""
    return notebook.page.get_by_role("group", name=f"Group {name}")


def test_a_group_in_a_cell_of_its_own_is_followed_retried_and_cancelled(fresh: Fresh) -> None:
    notebook = fresh(LUCKY, "runs", WAITING + "\ndisplay(others)")
    cell = cell_of(notebook, "sweep 7")
    expect(cell).to_contain_text("3 of 3 · 2 failed")
    expect(cell.get_by_role("listitem")).to_have_text(
        "2 of ValueError, as: ValueError: 2 had no luck"
    )
    press_in(cell_of(notebook, "others"), "Cancel others")
    press_in(cell_of(notebook, "others"), "Cancel others: stop 3 jobs?")
    until_value(notebook, "others.counts['cancelled']", 3)
    expect(cell_of(notebook, "others")).to_contain_text("3 of 3 · 3 cancelled")
    notebook.value_of("lucky.write_text('123')")
    press_in(cell, "Retry 2 failed of sweep 7")
    until_value(notebook, "runs.counts['pending']", 2)
    notebook.value_of("slow.cancel(force=True)")
    until_value(notebook, "runs.counts['completed']", 3)
    expect(cell.locator(".jqw-info")).to_have_text("3 of 3")
    expect(cell.get_by_role("listitem")).to_have_count(0)


def test_buttons_in_the_cell_of_a_group_work_while_a_cell_waits(open_notebook: Open) -> None:
    waits = ("others.wait()", "print('behind')")
    notebook = open_notebook(SETUP, WAITING, "others", *waits, unfinished=2)
    cell = cell_of(notebook, "others")
    expect(cell).to_contain_text("0 of 3")
    press_in(cell, "Cancel others")
    press_in(cell, "Cancel others: stop 3 jobs?")
    expect(notebook.page.locator(".jp-OutputArea-output", has_text="behind")).to_be_visible()
    assert notebook.value_of("others.counts['cancelled']") == 3


def test_axe_finds_no_violation_in_the_cell_of_a_group(fresh: Fresh) -> None:
    notebook = fresh(LUCKY, "runs", WAITING, "slow")
    expect(cell_of(notebook, "sweep 7")).to_contain_text("2 failed")
    notebook.page.evaluate(AXE.read_text())
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        set_theme(notebook, theme)
        cell_of(notebook, "overnight").get_by_role("button", name="Cancel overnight").click()
        notebook.page.wait_for_timeout(SETTLED)
        assert notebook.page.evaluate(FOUND) == [], theme
        notebook.page.keyboard.press("Escape")
