"""Clicks while a cell runs, on three ipykernels: heard at once, or said to be heard later."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.lab import Lab, Notebook
from tests.browser.widget import SETTLED, until_value
from tests.kernels import VERSIONS, search_path

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SETUP = """
import asyncio, os, time
from jobqueue_widget import JobQueue, current_job
def steps():
    for step in range(1_000_000):
        current_job().report(step % 1000 / 1000)
        time.sleep(0.05)
ended = {}
order = []
queues = {
    "current": await JobQueue(name="current", max_running=20, cancel_timeout=0).start(),
    "private": JobQueue(name="private", max_running=20, cancel_timeout=0, loop="thread"),
}
await queues["private"].start()
display(*queues.values())
"""
RUN_FROM = """([first, sources]) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  sources.forEach((source, at) => content.widgets[first + at].model.sharedModel.setSource(source));
  content.activeCellIndex = first;
  window.jupyterapp.commands.execute("notebook:run-all-below");
  return null;
}"""
EXECUTE = """sources => {
  const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
  sources.forEach(code => kernel.requestExecute({ code }));
  return null;
}"""
INTERRUPT = "() => window.jupyterapp.commands.execute('notebook:interrupt-kernel').then(() => null)"
WAITS = ("await queue.join()", "await job", "queue.wait()")
CANCELLED = re.compile("cancelled")
SENT = re.compile("stop requested|asked to stop|forcing|ending|cancelled")
BUSY = "Kernel is busy; your request is sent and will be handled when the cell yields"


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    wanted: str = request.param
    return wanted


@pytest.fixture(scope="module")
def lab(version: str, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab whose only kernel is of that version."""
    folder = tmp_path_factory.mktemp("lab")
    spec = folder / "share" / "kernels" / "python3"
    spec.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    environ = {"PYTHONPATH": search_path(version)}
    described = {"argv": command, "display_name": "Python 3", "language": "python", "env": environ}
    (spec / "kernel.json").write_text(json.dumps(described))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(spec.parents[1]))
        server = Lab(folder)
    yield server
    server.close()


class Page:
    """A notebook that shows two queues, and cells below them that change from test to test."""

    def __init__(self, notebook: Notebook, folder: Path) -> None:
        self.page = notebook.page
        self.value_of = notebook.value_of
        self._notebook = notebook
        self._folder = folder
        self._count = 0
        self._show("current")

    def _show(self, queue: str) -> None:
        self._queue = f"queues[{queue!r}]"
        self._region = self.page.get_by_role("region", name=re.compile(f"^Job queue.*{queue}"))
        self.banner = self._region.locator(".jqw-banner")
        self.label = f"job {self._count}."
        self.row = self._region.get_by_role("row").filter(has_text=self.label).first
        self.bar = self.row.get_by_role("progressbar")
        self._flag = self._folder / f"end of {self._count}"

    def submit(self, queue: str = "current") -> None:
        """A new endless job, shown as running."""
        self._count += 1
        self._show(queue)
        submit = f"{self._queue}.options(label={self.label!r}).submit_nowait(steps)"
        assert self.value_of(f"bool({submit})")
        self.until(f"{self._queue}[{self.label!r}].status.value", "running")
        expect(self.bar).to_be_visible()

    def until(self, expression: str, wanted: object) -> None:
        """Wait until this has that value."""
        until_value(self._notebook, expression, wanted)

    def run(self, code: str) -> None:
        """Run a cell, and two behind it. `queue`, `job` and `flag()` are at hand; it has begun."""
        body = (
            f"queue = {self._queue}; job = queue[{self.label!r}]; order.clear()\n"
            f"flag = lambda: os.path.exists({str(self._flag)!r})\n"
            f"print('begun', {self._count}, flush=True)\n{code}\n"
            f"ended[job.label] = time.time()"
        )
        self.page.evaluate(RUN_FROM, [1, [body, "order.append(1)", "order.append(2)"]])
        output = self.page.locator(".jp-OutputArea-output")
        expect(output.filter(has_text=f"begun {self._count}")).to_be_visible()

    def send_two_cells(self) -> None:
        """At once, while the notebook sends its own one after the other."""
        self.page.evaluate(EXECUTE, ["order.append('sent')", "order.append('sent too')"])

    def cancel(self) -> None:
        """Click as a person does; on a slow machine a button may just have changed its meaning.

        Then the page ignores the click, and shows so by not saying that it was sent.
        """
        button = self.row.get_by_role("button", name=f"Cancel {self.label}")
        for _ in range(3):
            self.page.wait_for_timeout(SETTLED)
            button.click()
            with suppress(AssertionError):
                expect(self.row).to_contain_text(SENT, timeout=2_000)
                return
        raise AssertionError(f"three clicks on Cancel {self.label} were ignored")

    def end_cell(self) -> None:
        """Let a cell end that looks for its flag."""
        self._flag.touch()

    def check_cells_behind(self) -> None:
        """Each ran once, in order."""
        self.until("len(order)", 4)
        ran = self.value_of("order")
        assert [one for one in ran if one in (1, 2)] == [1, 2]
        assert [one for one in ran if one not in (1, 2)] == ["sent", "sent too"]

    def check_heard_meanwhile(self) -> None:
        """By the kernel's own clock, the job ended before the cell did."""
        job = f"{self._queue}[{self.label!r}]"
        self.until(f"{job}.status.value", "cancelled")
        assert self.value_of(f"{job}.completed_at <= ended[{self.label!r}]")


@pytest.fixture(scope="module")
def page(lab: Lab, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 1400})
    context.set_default_timeout(20_000)
    notebook = Notebook(lab, context, (SETUP, "", "", ""))
    notebook.run_all(3)
    yield Page(notebook, tmp_path_factory.mktemp("flags"))
    notebook.close()
    context.close()


def test_a_click_on_an_idle_kernel_is_acted_on(page: Page) -> None:
    page.submit()
    page.cancel()
    expect(page.row).to_contain_text(CANCELLED)


@pytest.mark.parametrize("queue", ["current", "private"])
@pytest.mark.parametrize("wait", WAITS)
def test_a_click_is_acted_on_while_a_cell_waits(page: Page, wait: str, queue: str) -> None:
    page.submit(queue)
    page.run(f"try:\n    {wait}\nexcept Exception:\n    pass")
    page.send_two_cells()
    page.cancel()
    page.check_cells_behind()
    page.check_heard_meanwhile()


@pytest.mark.parametrize("wait", WAITS)
def test_an_interrupt_of_a_wait_leaves_the_job_running(page: Page, wait: str) -> None:
    page.submit()
    page.run(wait)
    page.page.evaluate(INTERRUPT)
    expect(page.page.locator(".jp-OutputArea-output").filter(has_text="Traceback")).to_be_visible()
    page.cancel()
    expect(page.row).to_contain_text(CANCELLED)


@pytest.mark.parametrize(
    ("cell", "queue"),
    [
        ("while not flag(): await asyncio.sleep(0.02)", "current"),
        ("while not flag(): time.sleep(0.02)", "current"),
        ("while not flag(): time.sleep(0.02)", "private"),
    ],
    ids=["awaits something else", "blocks", "blocks, private loop"],
)
def test_a_click_in_a_busy_cell_is_acted_on_or_said_to_be_late(
    page: Page, version: str, cell: str, queue: str
) -> None:
    page.submit(queue)
    page.run(cell)
    page.send_two_cells()
    shown = page.bar.get_attribute("aria-valuenow") or ""
    expect(page.bar).not_to_have_attribute("aria-valuenow", shown)  # progress goes on
    page.cancel()
    if version == "6.31":
        expect(page.banner).to_contain_text(BUSY)
        expect(page.row).not_to_contain_text(CANCELLED)
        page.end_cell()
    else:
        expect(page.row).to_contain_text(CANCELLED)
        page.end_cell()
        page.check_heard_meanwhile()
    expect(page.row).to_contain_text(CANCELLED)
    expect(page.banner).not_to_contain_text(BUSY)
    page.check_cells_behind()


def test_a_click_is_acted_on_in_a_cell_that_blocks_before_the_page_has_loaded(
    lab: Lab, browser: Browser, version: str, tmp_path: Path
) -> None:
    context = browser.new_context()
    context.set_default_timeout(20_000)
    job = "job = queues['private'].submit_nowait(steps)\n"
    blocks = f"while not os.path.exists({str(tmp_path / 'flag')!r}): time.sleep(0.02)"
    notebook = Notebook(lab, context, (SETUP + job, blocks))
    try:
        notebook.run_all(2)  # whether the page knows yet that the first has ended does not matter
        row = notebook.page.get_by_role("row").filter(has_text="steps").first
        button = row.get_by_role("button", name="Cancel steps")
        button.wait_for(timeout=60_000)
        notebook.page.wait_for_timeout(SETTLED)
        button.click()
        if version == "6.31":
            expect(notebook.page.locator(".jqw-banner").last).to_contain_text(BUSY)
        else:
            expect(row).to_contain_text(CANCELLED)
        (tmp_path / "flag").touch()
        until_value(notebook, "job.status.value", "cancelled")
    finally:
        notebook.close()
        context.close()
