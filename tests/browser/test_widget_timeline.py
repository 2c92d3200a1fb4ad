"""Lanes over time, and what has ended while nobody looked, in a real JupyterLab."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Fresh
from tests.browser.lab import Notebook
from tests.browser.test_widget_accessibility import AXE, FOUND, set_theme
from tests.browser.widget import SETUP, region, save, until_status, until_value

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

TWO_LANES = SETUP.replace("cancel_timeout=1.0", "cancel_timeout=1.0, max_running=2")
EVIL = "<img src=x onerror=window.hacked=1>"
JOBS = f"""
def naps(seconds):
    time.sleep(seconds)
napping = queue.options(group="naps", executor="thread").map(naps, [0.1] * 6)
await napping
unlucky = queue.options(label={EVIL!r}, executor="thread").submit_nowait(fails)
await queue.wait_for_job(unlucky)
queue.pause("the {EVIL} is full")
import asyncio
await asyncio.sleep(0.6)
queue.resume()
lasting = queue.options(label="lasts").submit_nowait(sleeper);
"""


def lanes(notebook: Notebook) -> Locator:
    return region(notebook).get_by_role("img", name=re.compile("^Timeline"))


def open_timeline(notebook: Notebook) -> Locator:
    region(notebook).get_by_role("tab", name="Timeline").click()
    expect(lanes(notebook).locator("[data-status=running]")).to_have_count(1, timeout=15_000)
    return lanes(notebook)


def test_the_timeline_shows_what_the_kernel_tells(fresh: Fresh) -> None:
    notebook = fresh(JOBS, setup=TWO_LANES)
    until_status(notebook, "lasts", "running")
    found = open_timeline(notebook)
    told = notebook.value_of("[(b.lane, b.status) for b in queue.timeline().bars]")
    bars = found.locator(".jqw-span")
    assert sorted(bars.evaluate_all("nodes => nodes.map(node => node.dataset.status)")) == sorted(
        status for _, status in told
    )
    expect(found.locator(".jqw-lane")).to_have_count(2)
    expect(found.locator(".jqw-gap")).to_have_count(1)
    table = region(notebook).get_by_role("table", name="Timeline as a table")
    expect(table.get_by_role("row")).to_have_count(len(told) + 1)
    expect(table).to_contain_text(EVIL)
    bars.locator("nth=0").hover()
    expect(region(notebook).locator(".jqw-bar-told")).to_contain_text("naps: completed")
    found.locator("[data-status=failed]").click()
    expect(region(notebook).get_by_role("tabpanel")).to_contain_text("no luck at all")
    found.locator("[data-status=failed]").hover()
    expect(region(notebook).locator(".jqw-bar-told")).to_contain_text(f"{EVIL}: failed")
    region(notebook).get_by_role("tab", name="List", exact=True).click()
    expect(region(notebook).get_by_role("treegrid", name="Jobs")).to_be_visible()
    expect(region(notebook).get_by_role("tabpanel")).to_have_count(0)
    assert notebook.page.evaluate("window.hacked") is None


def test_the_timeline_is_zoomed_and_moved_and_ends_where_all_is_seen(fresh: Fresh) -> None:
    notebook = fresh(JOBS, setup=TWO_LANES)
    until_status(notebook, "lasts", "running")
    found = open_timeline(notebook)
    view, page = region(notebook), notebook.page
    whole, closer = (view.get_by_role("button", name=name) for name in ("Show all", "Zoom in"))
    expect(whole).to_be_disabled()
    for _ in range(3):
        closer.click()
    expect(whole).to_be_enabled()
    ticks = view.locator(".jqw-axis")
    shown = ticks.inner_html()
    found.focus()
    page.keyboard.press("ArrowLeft")
    assert ticks.inner_html() != shown
    page.keyboard.press("0")
    expect(whole).to_be_disabled()
    found.locator("[data-status=failed]").hover()
    page.mouse.wheel(0, -120)
    expect(whole).to_be_enabled()  # the plot has the focus: the wheel is its own
    view.get_by_role("button", name="Show all").click()
    expect(whole).to_be_disabled()


def test_who_comes_back_is_told_what_has_ended(fresh: Fresh) -> None:
    notebook = fresh(
        "import jobqueue_widget.widget.answers.absence as absence\nabsence.LONG = 3.0",
        setup=SETUP,
    )
    view, page = region(notebook), notebook.page
    save(notebook)
    note = view.get_by_role("note", name="While you were away")
    address = page.url
    page.goto("about:blank")
    notebook.value_of(
        "[str(queue.options(label=label, executor='thread').submit_nowait(fails))"
        f" for label in ('unlucky', {EVIL!r})]"
        "+ [str(queue.options(executor='thread').submit_nowait(pow, 2, n)) for n in range(3)]"
    )
    until_value(notebook, "sum(job.status.ended for job in queue.jobs())", 5)
    page.wait_for_timeout(3_500)  # nobody is there for that long
    page.goto(address)
    expect(note).to_be_visible(timeout=30_000)
    expect(note).to_contain_text("3 done · 2 failed (2 ValueError)")
    page.evaluate(AXE.read_text())
    assert page.evaluate(FOUND) == []
    note.get_by_role("button", name="Show failed").click()
    failed = view.get_by_role("radio", name=re.compile("^Failed"))
    expect(failed).to_be_checked()
    notebook.value_of("queue.pause()")
    note.get_by_role("button", name="Retry failed (2)").click()
    expect(view.get_by_role("radio", name="Queued 2")).to_be_visible()
    expect(failed).to_have_accessible_name("Failed 0")
    expect(note).to_contain_text(": 3 done")
    for name in ("Retry failed", "Show failed"):
        expect(note.get_by_role("button", name=name)).to_be_hidden()
    expect(note.get_by_role("button", name="Dismiss")).to_be_focused()
    expect(view.get_by_role("button", name="Undo")).to_be_visible()
    note.get_by_role("button", name="Dismiss").press("Enter")
    expect(note).to_be_hidden()
    expect(view.get_by_role("searchbox", name="Search jobs")).to_be_focused()
    assert page.evaluate("window.hacked") is None


def test_axe_finds_no_violation_in_the_timeline(fresh: Fresh) -> None:
    notebook = fresh(JOBS, setup=TWO_LANES)
    until_status(notebook, "lasts", "running")
    found, page = open_timeline(notebook), notebook.page
    page.evaluate(AXE.read_text())
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        set_theme(notebook, theme)
        assert page.evaluate(FOUND) == [], theme
        found.locator("[data-status=failed]").click()
        expect(region(notebook).get_by_role("tabpanel")).to_contain_text("no luck at all")
        assert page.evaluate(FOUND) == [], f"{theme}, with details"
        region(notebook).get_by_role("button", name="Close details").click()
    set_theme(notebook, "JupyterLab Light")
