"""A cell as a job in a real JupyterLab: what stands below it while it runs, and afterwards."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SETUP = "%load_ext jobqueue_widget\nimport os, time"
PRINTS = """%%job prints --out total
total = 0
for n in range(5):
    print("line", n)
    total += n
    while n == 1 and not os.path.exists("gate"):
        time.sleep(0.02)
total"""
FAILS = """%%job fails
def inner():
    return 1 / 0

inner()"""


def test_the_live_cell_shows_all_that_was_printed_and_the_error(open_notebook: Open) -> None:
    notebook = open_notebook(SETUP, PRINTS, FAILS)
    page = notebook.page
    prints = page.get_by_role("group", name="Job prints")
    log = prints.get_by_role("log")
    expect(log).to_contain_text("line 1")  # open by itself
    expect(page.get_by_text("total: set in the notebook when the job ends")).to_be_visible()
    page.wait_for_timeout(1_500)  # the log was read to its end of now
    notebook.value_of("open('gate', 'w').close()")
    expect(prints).to_have_attribute("data-status", "completed")
    expect(log).to_contain_text("line 4")
    expect(page.get_by_text("total: set in the notebook", exact=True)).to_be_visible()
    assert notebook.value_of("total") == 10

    fails = page.get_by_role("group", name="Job fails")
    traceback = fails.get_by_label("Traceback", exact=True)
    expect(traceback).to_contain_text("line 5, in <module>\n    inner()")
    expect(fails.get_by_role("tab", name="Error")).to_have_attribute("aria-selected", "true")
