"""The widget in Jupyter Notebook, marimo and Voilà, run for real in Chromium."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, expect

from tests.browser.hosts import Host, Marimo, NotebookHost, Shown, Voila
from tests.browser.widget import press_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SETUP = """
import os, time
from pathlib import Path
from jobqueue_widget import JobQueue, current_job
queue = await JobQueue(name="tests", cancel_timeout=0.5).start()
"""
# Jobs that hear no request to stop, each in a process that says which by making a file.
DEAF = """
def deaf(folder):
    (Path(folder) / str(os.getpid())).touch()
    for step in range(10_000):
        try:
            current_job().report(step / 10_000, f"step {step}")
            time.sleep(0.005)
        except BaseException:
            pass
for n in range(6):
    queue.options(label=f"deaf {n}").submit_nowait(deaf, "FOLDER")
"""
# All that happens happens before a page can listen, and nothing is said again.
EARLY = """
from jobqueue_widget.widget import sync
sync.SAY_AGAIN = 3600.0
queue.widget
early = await queue.options(label="early one").submit_nowait(time.sleep, 0)
"""
# A cell that runs until a file is there.
BUSY = """
import asyncio
while not (Path("FOLDER") / "go on").exists():
    await asyncio.sleep(0.05)
"""
HOSTS: dict[str, Callable[..., Host]] = {
    "notebook": NotebookHost,
    "marimo edit": lambda folder, notebooks: Marimo(folder, notebooks, "edit"),
    "marimo run": lambda folder, notebooks: Marimo(folder, notebooks, "run"),
    "voila": Voila,
}
BRIGHTNESS = """node => {
  const numbers = getComputedStyle(node).backgroundColor.match(/[\\d.]+/g).map(Number);
  return (numbers[0] + numbers[1] + numbers[2]) / 765;
}"""


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each job that runs leaves a file named like its process."""
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def host(
    request: pytest.FixtureRequest,
    jobs: Path,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Host]:
    deaf, busy = (cell.replace("FOLDER", str(jobs)) for cell in (DEAF, BUSY))
    notebooks = {
        "usual": (SETUP, deaf, "queue"),
        "early": (SETUP, EARLY, "queue"),
        "twice": (SETUP, deaf, "queue", "import marimo as mo\nmo.ui.anywidget(queue.widget)"),
        "busy": (SETUP, deaf, "queue", busy),
    }
    server = HOSTS[request.param](tmp_path_factory.mktemp("host"), notebooks)
    yield server
    server.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light")
    made.set_default_timeout(20_000)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shown(host: Host, browser: Browser) -> Iterator[Shown]:
    """The queue in this host, in one page for those tests that leave it as it was."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light")
    context.set_default_timeout(20_000)
    yield opened(host, context, "usual")
    context.close()


def opened(host: Host, context: BrowserContext, name: str) -> Shown:
    """Open it; return when the queue is there, however long the host takes to start a kernel."""
    shown = host.open(context, name)
    wait_for_queue(shown)
    return shown


def wait_for_queue(shown: Shown) -> None:
    region(shown).first.wait_for(timeout=90_000)


def in_hosts(*names: str) -> pytest.MarkDecorator:
    """In each of them; marimo's editor, whose pages are heavy, with the long tests."""
    edit = pytest.param("marimo edit", marks=pytest.mark.long)
    params = [edit if name == "marimo edit" else name for name in names]
    return pytest.mark.parametrize("host", params, indirect=True)


def region(shown: Shown) -> Locator:
    return shown.page.get_by_role("region", name="Job queue tests")


def row(shown: Shown, label: str) -> Locator:
    return region(shown).first.get_by_role("row").filter(has_text=label)


def bar(shown: Shown) -> Locator:
    return region(shown).first.get_by_role("progressbar", name=re.compile("^deaf"))


def progress(shown: Shown) -> float:
    expect(bar(shown)).to_have_attribute("aria-valuenow", re.compile(r"\d"))
    return float(bar(shown).get_attribute("aria-valuenow") or 0)


def until(shown: Shown, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        shown.page.wait_for_timeout(50)


def running(jobs: Path) -> set[int]:
    """The processes of jobs that are there still."""
    pids = {int(path.name) for path in jobs.iterdir() if path.name.isdecimal()}
    return {pid for pid in pids if psutil.pid_exists(pid)}


@in_hosts(*HOSTS)
def test_a_jobs_progress_moves(shown: Shown) -> None:
    before = progress(shown)
    until(shown, lambda: progress(shown) > before)


@in_hosts(*HOSTS)
def test_the_table_that_stands_beside_the_view_is_not_seen(shown: Shown) -> None:
    expect(region(shown)).to_be_visible()
    expect(shown.page.locator(".jqw-static").filter(visible=True)).to_have_count(0)


@in_hosts(*HOSTS)
def test_cancel_in_the_page_ends_the_process(shown: Shown, jobs: Path) -> None:
    until(shown, lambda: running(jobs))
    ours = running(jobs)
    label = bar(shown).get_attribute("aria-label") or ""
    press_in(region(shown), f"Cancel {label}")
    until(shown, lambda: not ours & running(jobs))
    expect(row(shown, label)).to_contain_text("cancelled in the widget")
    shown.page.mouse.move(0, 0)  # under the pointer a row stays where it was
    expect(region(shown).get_by_role("rowgroup", name="Finished")).to_contain_text(label)


@in_hosts(*HOSTS)
def test_rows_are_dragged_and_moved_by_keys(shown: Shown) -> None:
    moved = row(shown, "deaf 5")
    place = int(moved.get_attribute("aria-posinset") or 0)
    moved.drag_to(row(shown, "deaf 4"), target_position={"x": 60, "y": 2})
    expect(moved).to_have_attribute("aria-posinset", str(place - 1))
    moved.focus()
    shown.page.keyboard.press("Alt+ArrowDown")
    expect(moved).to_have_attribute("aria-posinset", str(place))
    shown.page.keyboard.press("ArrowUp")
    expect(row(shown, "deaf 4")).to_be_focused()
    shown.page.keyboard.press("p")
    expect(region(shown).get_by_role("button", name="Resume queue")).to_be_visible()
    shown.page.keyboard.press("p")
    expect(region(shown).get_by_role("button", name="Pause queue")).to_be_visible()


@in_hosts(*HOSTS)
def test_light_and_dark_are_those_of_the_host(host: Host, shown: Shown) -> None:
    def brightness() -> float:
        found: float = region(shown).first.evaluate(BRIGHTNESS)
        return found

    assert brightness() > 0.9
    host.darken(shown)
    wait_for_queue(shown)
    until(shown, lambda: brightness() < 0.2)


@in_hosts("notebook", "marimo edit")
def test_a_reloaded_page_shows_the_jobs_that_went_on(host: Host, shown: Shown) -> None:
    label, before = bar(shown).get_attribute("aria-label") or "", progress(shown)
    host.reload(shown)
    wait_for_queue(shown)
    expect(bar(shown)).to_have_attribute("aria-label", label)
    assert progress(shown) > before
    test_a_jobs_progress_moves(shown)


@in_hosts("marimo run", "voila")
def test_a_reloaded_page_of_an_app_starts_anew(host: Host, shown: Shown, jobs: Path) -> None:
    until(shown, lambda: running(jobs))
    before = running(jobs)
    host.reload(shown)
    until(shown, lambda: running(jobs) - before)
    wait_for_queue(shown)
    test_a_jobs_progress_moves(shown)
    if isinstance(host, Marimo):  # Voilà keeps the kernel of a page that is gone
        until(shown, lambda: not before & running(jobs))


@in_hosts(*HOSTS)
def test_nothing_is_complained_of_and_nothing_asked_elsewhere(shown: Shown) -> None:
    expect(region(shown)).to_be_visible()
    assert shown.complaints == []
    assert shown.asked_elsewhere == []


@in_hosts("marimo run", "voila")
def test_what_happened_before_the_page_listened_is_shown(
    host: Host, context: BrowserContext
) -> None:
    shown = opened(host, context, "early")
    finished = region(shown).get_by_role("rowgroup", name="Finished")
    expect(finished).to_contain_text("early one")


@pytest.mark.parametrize("host", ["marimo edit"], indirect=True)
def test_a_marimo_cell_run_again_shows_the_queue_again(host: Host, context: BrowserContext) -> None:
    shown = opened(host, context, "twice")
    expect(region(shown)).to_have_count(2)
    for again in (2, 3):
        cell = shown.page.locator(".marimo-cell").nth(again)
        cell.hover()
        cell.get_by_test_id("run-button").first.click()
        test_a_jobs_progress_moves(shown)
        expect(region(shown)).to_have_count(2)
    assert shown.complaints == []


@in_hosts("marimo edit")
def test_a_click_while_a_marimo_cell_runs_is_told_and_then_acted_on(
    host: Host, context: BrowserContext, jobs: Path
) -> None:
    shown = opened(host, context, "busy")
    before = progress(shown)
    until(shown, lambda: progress(shown) > before)
    press_in(region(shown), "Cancel deaf 0")
    expect(region(shown)).to_contain_text("Kernel is busy")
    until(shown, lambda: progress(shown) > before)
    (jobs / "go on").touch()
    expect(row(shown, "deaf 0")).to_contain_text("cancelled in the widget")
    expect(region(shown)).not_to_contain_text("Kernel is busy")
