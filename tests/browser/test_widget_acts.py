"""What a person does with the widget in a real JupyterLab, by mouse and by keyboard alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Fresh
from tests.browser.lab import Notebook
from tests.browser.widget import (
    SETUP,
    button,
    press,
    press_in,
    region,
    row,
    status,
    submit,
    until_status,
    until_value,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

QUEUED = "[job.label for job in queue.jobs('pending')]"


def four(fresh: Fresh) -> Notebook:
    """One job that runs and three that wait."""
    notebook = fresh(*(submit(name, "sleeper") for name in ("runs", "one", "two", "three")))
    until_status(notebook, "runs", "running")
    expect(row(notebook, "three")).to_be_visible()
    return notebook


def test_a_queued_job_is_dragged_to_the_front(fresh: Fresh) -> None:
    notebook = four(fresh)
    what = row(notebook, "one").locator(".jqw-what")
    row(notebook, "three").locator(".jqw-what").drag_to(what, target_position={"x": 20, "y": 2})
    until_value(notebook, QUEUED, ["three", "one", "two"])
    expect(row(notebook, "three")).to_have_attribute("aria-posinset", "1")


def test_ctrl_z_brings_a_removed_job_back(fresh: Fresh) -> None:
    notebook = four(fresh)
    row(notebook, "two").focus()
    notebook.page.keyboard.press("Delete")
    expect(row(notebook, "two")).to_contain_text("undo")
    notebook.page.keyboard.press("Control+z")
    until_value(notebook, "queue['two'].held", False)
    expect(row(notebook, "two")).to_be_focused()
    assert notebook.value_of(QUEUED) == ["one", "two", "three"]


def test_a_removed_job_is_cancelled_when_the_time_to_undo_is_over(fresh: Fresh) -> None:
    notebook = four(fresh)
    press(notebook, "Remove two")
    expect(row(notebook, "two")).to_contain_text("undo")
    assert status(notebook, "two") == "pending"
    until_status(notebook, "two", "cancelled")
    expect(region(notebook).get_by_role("rowgroup", name="Finished")).to_contain_text("two")


def test_a_new_priority_changes_the_order(fresh: Fresh) -> None:
    notebook = four(fresh)
    row(notebook, "three").locator(".jqw-what").click()
    region(notebook).get_by_label("Priority of three").fill("5")
    notebook.page.keyboard.press("Enter")
    until_value(notebook, QUEUED, ["three", "one", "two"])
    expect(row(notebook, "three")).to_contain_text("↑5")


def test_cancel_all_says_how_many_and_cancels_them(fresh: Fresh) -> None:
    notebook = four(fresh)
    press(notebook, "Cancel all…")
    for name in ("Cancel 3 queued", "Cancel 1 running"):
        expect(button(notebook, name)).to_be_visible()
    button(notebook, "Cancel 4 both").click()
    until_value(notebook, "len(queue.jobs('cancelled'))", 4)
    expect(region(notebook).get_by_role("rowgroup", name="Finished")).to_contain_text("three")


def test_shift_delete_ends_a_job_that_does_not_listen(fresh: Fresh) -> None:
    patient = SETUP.replace("cancel_timeout=1.0", "cancel_timeout=600.0")
    notebook = fresh(submit("deaf one", "deaf"), setup=patient)
    deaf = row(notebook, "deaf one")
    expect(deaf).to_have_attribute("data-status", "running")  # the page hears of it a bit later
    deaf.focus()
    notebook.page.keyboard.press("Shift+Delete")
    until_status(notebook, "deaf one", "cancelled")


def test_clear_history_hides_what_has_ended_in_every_view_until_it_is_undone(
    fresh: Fresh,
) -> None:
    notebook = fresh(submit("brief", "sleeper", 0), submit("unlucky", "fails"), "queue")
    until_status(notebook, "unlucky", "failed")
    views = notebook.page.get_by_role("region", name=re.compile("^Job queue"))
    expect(views).to_have_count(2)
    expect(row(notebook, "brief")).to_be_visible()
    press(notebook, "Clear history…")
    button(notebook, "Hide 2 ended").click()
    for number in range(2):
        expect(views.nth(number).get_by_role("row", level=2)).to_have_count(0)
        expect(views.nth(number).get_by_text("2 rows hidden", exact=True)).to_be_visible()
    assert notebook.value_of("queue.window('history', 0, 9).total") == 0
    assert notebook.value_of("len(queue.jobs())") == 2
    press_in(views.nth(1), "Undo")
    for number in range(2):
        expect(views.nth(number).get_by_role("row", level=2)).to_have_count(2)
        expect(views.nth(number).get_by_text("2 rows hidden", exact=True)).to_be_hidden()


def test_when_the_time_to_undo_is_over_the_offer_goes_and_the_rows_stay_hidden(
    fresh: Fresh,
) -> None:
    notebook = fresh("from jobqueue_widget.testing import inspect", submit("brief", "sleeper", 0))
    until_status(notebook, "brief", "completed")
    press(notebook, "Clear history…")
    button(notebook, "Hide 1 ended").click()
    told = region(notebook).get_by_text("1 row hidden", exact=True)
    expect(told).to_be_visible()
    expect(told).to_be_hidden(timeout=30_000)
    expect(region(notebook).get_by_role("row")).to_have_count(0)
    expect(region(notebook)).to_contain_text("No jobs to show")
    assert notebook.value_of("inspect(queue).undo_clear()") == 0


def test_the_filter_finds_jobs_by_text_and_by_how_they_ended(fresh: Fresh) -> None:
    notebook = fresh(
        *(submit(f"brief {n}", "sleeper", 0) for n in range(3)), submit("unlucky", "fails")
    )
    until_status(notebook, "unlucky", "failed")
    finished = region(notebook).get_by_role("rowgroup", name="Finished")
    expect(finished.get_by_role("row")).to_have_count(4)
    region(notebook).get_by_role("searchbox", name="Search jobs").fill("brief 1")
    expect(finished.get_by_role("row")).to_have_count(1)
    expect(finished).to_contain_text("brief 1")
    notebook.page.keyboard.press("Escape")
    expect(finished.get_by_role("row")).to_have_count(4)
    region(notebook).get_by_role("radio", name=re.compile("^Failed 1")).click()
    expect(finished.get_by_role("row")).to_have_count(1)
    expect(finished).to_contain_text("unlucky")


RESULTS = """
import base64
def text():
    return {"answer": 42}
def table():
    import pandas
    return pandas.DataFrame({"word": ["first", "second"], "length": [5, 6]})
class Picture:
    def _repr_png_(self):
        return base64.b64decode(
            "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAAAAACoWZBhAAAADklEQVR4nGNogAMG2jMBvwQyARyn8w0A"
            "AAAASUVORK5CYII="
        )
def picture():
    return Picture()
jobs = [queue.options(label=f.__name__).submit_nowait(f) for f in (text, table, picture)]
import asyncio
await asyncio.gather(*jobs);
"""


def test_results_are_shown_as_text_table_or_picture(fresh: Fresh) -> None:
    notebook = fresh(RESULTS)
    panel = region(notebook).get_by_role("tabpanel")
    row(notebook, "text").locator(".jqw-what").click()
    region(notebook).get_by_role("tab", name="Result").click()
    expect(panel).to_contain_text("{'answer': 42}")
    row(notebook, "table").locator(".jqw-what").click()
    expect(panel.get_by_role("columnheader", name="length")).to_be_visible()
    expect(panel.get_by_role("cell", name="second")).to_be_visible()
    row(notebook, "picture").locator(".jqw-what").click()
    image = panel.get_by_role("img", name="Result of picture")
    expect(image).to_be_visible()
    assert image.evaluate("node => node.decode().then(() => node.naturalWidth)") == 10


def test_the_log_follows_only_while_its_end_is_in_view(fresh: Fresh) -> None:
    notebook = fresh(submit("talks", "reporter"))
    until_status(notebook, "talks", "running")
    row(notebook, "talks").locator(".jqw-what").click()
    region(notebook).get_by_role("tab", name="Log").click()
    log = region(notebook).get_by_role("log")
    expect(log).to_contain_text("line 40")
    distance = "node => node.scrollHeight - node.scrollTop - node.clientHeight"
    overflows = "node => node.scrollHeight > node.clientHeight + 100"
    assert log.evaluate(overflows)
    assert log.evaluate(distance) < 5
    log.evaluate("node => void (node.scrollTop = 20)")
    expect(log).to_contain_text("line 80")
    assert log.evaluate("node => node.scrollTop") == 20


def open_failed(notebook: Notebook, label: str) -> None:
    """Open the details of a job that the page knows to have failed: they show the error."""
    expect(row(notebook, label)).to_have_attribute("data-status", "failed")
    row(notebook, label).locator(".jqw-what").click()


def test_a_traceback_is_copied_as_it_is_shown(fresh: Fresh) -> None:
    notebook = fresh(submit("unlucky", "fails"))
    until_status(notebook, "unlucky", "failed")
    notebook.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_failed(notebook, "unlucky")
    copy = button(notebook, "Copy traceback")
    copy.click()
    expect(copy).to_have_text("Copied")
    copied = notebook.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("Traceback (most recent call last):")
    assert copied.rstrip().endswith("ValueError: no luck at all")


def test_where_the_clipboard_is_closed_the_traceback_is_selected(fresh: Fresh) -> None:
    notebook = fresh(submit("unlucky", "fails"))
    until_status(notebook, "unlucky", "failed")
    open_failed(notebook, "unlucky")
    notebook.page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})"
    )
    button(notebook, "Copy traceback").click()
    selected = notebook.page.evaluate("getSelection().toString()")
    notebook.page.evaluate("delete navigator.clipboard")
    assert "ValueError: no luck at all" in selected


def cells(notebook: Notebook) -> list[str]:
    found: list[str] = notebook.page.evaluate(
        "window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.map(c => c.source)"
    )
    return found


def test_a_whole_session_with_the_keyboard_alone(fresh: Fresh) -> None:
    notebook = four(fresh)
    before = cells(notebook)
    keys = notebook.page.keyboard
    notebook.page.evaluate("document.activeElement.blur()")
    inside = "document.activeElement.closest('.jqw') !== null"
    for _ in range(200):
        keys.press("Tab")
        if notebook.page.evaluate(inside):
            break
    assert notebook.page.evaluate(inside)
    for _ in range(8):
        if notebook.page.evaluate("document.activeElement.classList.contains('jqw-row')"):
            break
        keys.press("Tab")
    expect(row(notebook, "runs")).to_be_focused()
    for _ in range(3):
        keys.press("ArrowDown")
    expect(row(notebook, "three")).to_be_focused()
    keys.press("Alt+ArrowUp")
    until_value(notebook, QUEUED, ["one", "three", "two"])
    keys.press("Alt+Home")
    until_value(notebook, QUEUED, ["three", "one", "two"])
    expect(row(notebook, "three")).to_be_focused()
    keys.press("Delete")
    until_value(notebook, "queue['three'].held", True)
    keys.press("Control+z")
    until_value(notebook, "queue['three'].held", False)
    keys.press("p")
    until_value(notebook, "queue.paused", True)
    expect(button(notebook, "Resume queue")).to_be_visible()
    keys.press("p")
    until_value(notebook, "queue.paused", False)
    expect(row(notebook, "three")).to_be_focused()
    keys.press("Enter")
    expect(region(notebook).get_by_role("tabpanel")).to_be_visible()
    keys.press("Escape")
    expect(region(notebook).get_by_role("tabpanel")).to_be_hidden()
    expect(row(notebook, "three")).to_be_focused()
    keys.press("/")
    expect(region(notebook).get_by_role("searchbox", name="Search jobs")).to_be_focused()
    keys.type("dd two")
    expect(region(notebook).get_by_role("searchbox", name="Search jobs")).to_have_value("dd two")
    keys.press("Escape")
    row(notebook, "runs").focus()
    for key in ("a", "b", "d", "d", "x", "v", "y", "m", "1"):
        keys.press(key)
    expect(row(notebook, "runs")).to_be_focused()
    keys.press("Delete")
    until_status(notebook, "runs", "cancelled")
    keys.press("Escape")
    assert not notebook.page.evaluate(inside)
    assert cells(notebook) == before


NOTES = """() => {
    const Real = window.Notification;
    window.told = [];
    window.Notification = new Proxy(Real, {
        construct: (of, how) => (window.told.push(how[0]), new of(...how)),
    });
    window.undoNotes = () => void (window.Notification = Real);
}"""
HIDE = """() => Object.defineProperty(
    document, "visibilityState", { configurable: true, value: "hidden" },
)"""
LOOK = "() => { delete document.visibilityState; window.undoNotes(); }"


def test_a_page_that_nobody_looks_at_tells_of_the_first_failure_and_of_the_end(
    fresh: Fresh,
) -> None:
    notebook = fresh(submit("runs", "sleeper"), submit("bad", "fails"), submit("last", "sleeper"))
    page = notebook.page
    page.context.grant_permissions(["notifications"])
    page.evaluate(NOTES)
    bell = button(notebook, "Notify when done")
    expect(bell).to_have_attribute("aria-pressed", "false")
    press(notebook, "Notify when done")
    expect(bell).to_have_attribute("aria-pressed", "true")
    assert notebook.value_of("queue.widget.bell") is True
    try:
        page.evaluate(HIDE)
        notebook.value_of("queue['runs'].cancel()")
        page.wait_for_function("window.told.length == 1")
        until_status(notebook, "last", "running")
        notebook.value_of("queue['last'].cancel()")
        page.wait_for_function("window.told.length == 2")
        first, end = page.evaluate("window.told")
    finally:
        page.evaluate(LOOK)
    assert first == "tests: a job has failed"
    assert re.fullmatch(r"tests: \d+ done, \d+ failed, \d+ cancelled", end)
    press(notebook, "Notify when done")
    expect(bell).to_have_attribute("aria-pressed", "false")
