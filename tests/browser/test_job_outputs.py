"""What a cell that is a job displays, in a real JupyterLab: below it, and in the saved notebook."""

from __future__ import annotations

import re

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.lab import Lab
from tests.browser.widget import save

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SETUP = "%load_ext jobqueue_widget\nimport os, time\nimport pandas as pd"
PLOTS = """%%job plots
import matplotlib.pyplot as plt
table = pd.DataFrame({"loss": [0.5, 0.25]})
display(table)
while not os.path.exists("gate"):
    time.sleep(0.02)
plt.plot(table.loss)
plt.show()
print("done")"""
RICH = """%%job rich
from IPython.display import HTML
HTML("<b id='mine' onclick='0'>bold</b>")"""


def test_a_table_and_a_figure_stand_below_the_live_cell(open_notebook: Open, lab: Lab) -> None:
    notebook = open_notebook(SETUP, PLOTS, RICH)
    page = notebook.page
    cell = page.locator(".jp-CodeCell").nth(1)
    expect(cell.locator(".jp-OutputArea-output table.dataframe")).to_be_visible()  # while it runs
    assert cell.locator("img").count() == 0
    notebook.value_of("open('gate', 'w').close()")
    picture = cell.locator(".jp-OutputArea-output img")
    expect(picture).to_be_visible()
    expect(picture).to_have_attribute("alt", re.compile("Figure size"))
    assert picture.evaluate("one => one.naturalWidth") > 300
    expect(cell.locator(".jqw table, .jqw img")).to_have_count(0)  # no markup in our widget
    expect(page.locator(".jp-CodeCell").nth(2).locator(".jp-RenderedHTML #mine")).to_be_visible()
    expect(page.get_by_role("group", name="Job plots").get_by_role("log")).to_contain_text("done")

    save(notebook)
    first, second = nbformat.read(lab.root / notebook.name, as_version=4).cells[1:]
    html = first.outputs[-1]["data"]["text/html"]
    assert "dataframe" in html
    assert '<img src="data:image/png;base64,' in html
    assert "onclick" in second.outputs[-1]["data"]["text/html"], "the only one, as it is"
