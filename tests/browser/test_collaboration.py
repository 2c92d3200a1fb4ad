"""The widget in one notebook that is open in two pages, by jupyter-collaboration, in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.hosts import Shown, need_hosts
from tests.browser.lab import Lab, Notebook, wait_for_kernel
from tests.browser.widget import check_that_progress_moves, press_in, save

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CELLS = (
    """
import os, time
from pathlib import Path
from jobqueue_widget import JobQueue, current_job
queue = await JobQueue(name="tests", max_running=2, cancel_timeout=0).start()
def steps():
    Path(str(os.getpid())).with_suffix(".pid").touch()
    for step in range(1_000_000):
        current_job().report(step % 1000 / 1000)
        time.sleep(0.05)
for label in ("first", "second"):
    queue.options(label=label).submit_nowait(steps)
""",
    "display(queue)",
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    server = Lab(tmp_path, packages=need_hosts() / "collaboration", base_url="/hub/user/me/")
    yield server
    server.close()


# What another page asks the kernel for is answered to each of them.
THEIRS = r"^Comm not found for comm id"


def test_two_pages_of_one_notebook_show_the_queue_and_hear_clicks(
    lab: Lab, browser: Browser
) -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(30_000)
    pages = [Shown(context, THEIRS) for _ in range(2)]
    notebook = Notebook(lab, context, CELLS, page=pages[0].page)
    notebook.open_page(pages[1].page)
    notebook.run_all()
    # JupyterLab trusts what another page has run when it loads it.
    expect(pages[1].page.locator(".jqw-static")).to_contain_text("reload the page")
    expect(pages[1].page.locator(".jqw-static")).to_contain_text("second")
    save(notebook)
    pages[1].page.reload()
    wait_for_kernel(pages[1].page)
    regions = [shown.page.get_by_role("region", name="Job queue tests") for shown in pages]
    for region in regions:
        region.wait_for()
    for clicked, label in zip(regions, ("first", "second"), strict=True):
        for region in regions:
            check_that_progress_moves(region, label)
        press_in(clicked, f"Cancel {label}")
        for region in regions:
            row = region.get_by_role("row").filter(has_text=label)
            expect(row).to_contain_text("cancelled in the widget")
    pids = [int(path.stem) for path in lab.root.glob("*.pid")]
    assert len(pids) == 2
    assert not any(map(psutil.pid_exists, pids))
    for shown in pages:
        assert shown.complaints == []
        assert shown.asked_elsewhere == []
    notebook.close()
    context.close()
