"""The widget in nbclassic, the notebook before version 7, in Chromium."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect

from tests.browser.hosts import Server, Shown, need_hosts
from tests.browser.widget import check_that_progress_moves, press_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# It looks for what is not there: Voilà's button, and widgets as they were before version 5.
THEIRS = r"nbextensions/(voila|widgets)/|^error: Host is not attached\.$"
CELLS = (
    """
import os, time
from pathlib import Path
from jobqueue_widget import JobQueue, current_job
queue = await JobQueue(name="tests", cancel_timeout=0).start()
def steps():
    Path(str(os.getpid())).with_suffix(".pid").touch()
    for step in range(1_000_000):
        current_job().report(step % 1000 / 1000)
        time.sleep(0.05)
job = queue.options(label="endless").submit_nowait(steps)
""",
    "display(queue)",
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "jobs.ipynb")
    options = ("--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1")
    packages = need_hosts() / "nbclassic"
    server = Server(tmp_path, "nbclassic", *options, "--IdentityProvider.token=", packages=packages)
    yield server
    server.close()


def run_cell(page: Page, number: int) -> None:
    """Run it to its end, once the page can show widgets."""
    page.wait_for_function("() => window.Jupyter?.notebook?.kernel?.widget_manager")
    page.evaluate("number => void Jupyter.notebook.execute_cells([number])", number)
    page.wait_for_function(
        "number => Number.isInteger(Jupyter.notebook.get_cell(number).input_prompt_number)",
        arg=number,
    )


def test_progress_moves_and_cancel_ends_the_process(
    server: Server, tmp_path: Path, browser: Browser
) -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(30_000)
    shown = Shown(context, THEIRS)
    shown.page.goto(f"{server.url}/nbclassic/notebooks/jobs.ipynb")
    run_cell(shown.page, 0)
    region = shown.page.get_by_role("region", name="Job queue tests")
    for _ in range(4):  # it draws widgets anew up to 4 s after a page was opened, and may lose one
        run_cell(shown.page, 1)
        with contextlib.suppress(TimeoutError):
            region.wait_for(timeout=6_000)
            break
    check_that_progress_moves(region, "endless")
    [pid] = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert psutil.pid_exists(pid)
    press_in(region, "Cancel endless")
    row = region.get_by_role("row").filter(has_text="endless")
    expect(row).to_contain_text("cancelled in the widget")
    assert not psutil.pid_exists(pid)
    assert shown.complaints == []
    assert shown.asked_elsewhere == []
    context.close()
