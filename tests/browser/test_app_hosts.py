"""One queue in an app of Panel or Shiny: each session has a widget of its own, in its page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import anywidget
import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.hosts import Server, Shown, need_hosts
from tests.browser.widget import check_that_progress_moves, press_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

STEPS = """
import os, time
from pathlib import Path
from jobqueue_widget import current_job
def steps(folder):
    (Path(folder) / str(os.getpid())).touch()
    for step in range(1_000_000):
        current_job().report(step % 1000 / 1000)
        time.sleep(0.05)
"""
SHARED = """
from jobqueue_widget import JobQueue
from steps import steps
queue = JobQueue(name="tests", loop="thread", cancel_timeout=0)
queue.__enter__()
for n in range(3):
    queue.options(label=f"job {n}.").submit_nowait(steps, "jobs")
"""
PANEL = """
import panel as pn
from shared import queue
pn.extension("ipywidgets")
pn.pane.IPyWidget(queue.new_widget(), sizing_mode="stretch_width").servable()
"""
SHINY = """
from shared import queue
from shiny import App, reactive, ui
from shinywidgets import output_widget, render_widget
def server(input, output, session):
    @render_widget
    def jobs():
        return queue.new_widget()
    @reactive.effect
    def send():
        reactive.invalidate_later(0.2)
app = App(ui.page_fluid(output_widget("jobs")), server)
"""
APPS = {"panel": (PANEL, "serve", "/app"), "shiny": (SHINY, "run", "/")}
# Panel's bridge asks for this; from here the script is that of the Python package.
SCRIPT = re.compile(r"^https://unpkg\.com/anywidget@[^/]*/dist/index$")
# Fonts for icons.
PANELS_OWN = r"https://(cdnjs\.cloudflare\.com|cdn\.holoviz\.org)/.*font-awesome"


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Its folder and its address."""
    source, command, place = APPS[request.param]
    for name, text in {"steps": STEPS, "shared": SHARED, "app": source}.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "jobs").mkdir()
    packages = need_hosts() / "packages"
    server = Server(tmp_path, request.param, command, "app.py", packages=packages)
    yield tmp_path, f"{server.url}{place}"
    server.close()


def test_each_session_has_a_widget_that_moves_and_hears(
    app: tuple[Path, str], browser: Browser
) -> None:
    folder, address = app
    context = browser.new_context(viewport={"width": 1200, "height": 700})
    pages = [Shown(context, PANELS_OWN) for _ in range(2)]
    script = Path(anywidget.__file__).parent / "nbextension" / "index.js"
    context.route(SCRIPT, lambda route: route.fulfill(path=script))
    for shown in pages:
        shown.page.goto(address)
    first, second = (shown.page.get_by_role("region", name="Job queue tests") for shown in pages)
    for region in (first, second):
        region.wait_for(timeout=30_000)
        check_that_progress_moves(region, "job 0.")
    press_in(first, "Cancel job 0.")
    for region in (first, second):
        finished = region.get_by_role("row").filter(has_text="cancelled in the widget")
        expect(finished).to_contain_text("job 0.")
        check_that_progress_moves(region, "job 1.")
    pids = [int(path.name) for path in (folder / "jobs").iterdir()]
    assert len([pid for pid in pids if psutil.pid_exists(pid)]) == 1
    pages[0].page.close()
    check_that_progress_moves(second, "job 1.")
    for shown in pages:
        assert shown.complaints == []
        assert shown.asked_elsewhere == []
    context.close()
