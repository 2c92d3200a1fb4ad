"""The page to try this package on: JupyterLite, made of files only, in Chromium."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.hosts import Shown
from tests.browser.lab import wait_for_kernel
from tests.browser.widget import press_in
from tests.lite.made import ROOT, need_lite

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PATIENCE = 60_000  # ms; its Python and the packages of a notebook are loaded first


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Made as by `make try-it`, and served as any folder is."""
    folder = tmp_path_factory.mktemp("try") / "it"
    paths = (ROOT / ".ci" / "make-try-it", folder, need_lite())
    command = [*map(str, paths), sys.executable]
    made = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def shown(browser: Browser, site: str) -> Iterator[Shown]:
    """The notebook in its page, with a kernel that is ready."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    context.set_default_timeout(PATIENCE)
    shown = Shown(context, theirs=r"/favicon\.ico$")  # of the first page, whose own is elsewhere
    shown.page.goto(f"{site}/lab/index.html?path=try_it.ipynb")
    wait_for_kernel(shown.page)
    yield shown
    context.close()
    assert (shown.complaints, shown.asked_elsewhere) == ([], [])


def run_next(shown: Shown) -> None:
    shown.page.get_by_role("button", name=re.compile("Run this cell and advance")).click()


def test_a_job_in_a_page_without_a_server_moves_and_is_cancelled_by_a_click(shown: Shown) -> None:
    page = shown.page
    page.locator(".jp-Notebook .jp-Cell").first.click()
    for _ in range(5):  # of the seven cells, texts are some
        run_next(shown)
    view = page.get_by_role("region", name=re.compile("^Job queue")).first
    job = view.locator("[data-job-id]", has_text="counting: ").filter(has_text="200")
    expect(job).to_have_text(re.compile(r"counting: [1-9]\d*/200"), timeout=PATIENCE)
    number = job.get_attribute("data-job-id")
    press_in(job, re.compile("^Cancel"))
    ended = view.locator(f'[data-job-id="{number}"]')
    expect(ended).to_have_text(re.compile("cancelled"))
    page.locator(".jp-Notebook .jp-CodeCell").last.click()
    run_next(shown)
    last = page.locator(".jp-OutputArea-output").last
    expect(last).to_have_text(re.compile(r"Job.*cancelled"))
