"""VS Code's own widget manager, in Chromium, on a kernel of a real Jupyter server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anywidget
import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, TimeoutError, expect

from tests.browser.hosts import Shown, need_hosts
from tests.browser.lab import Lab
from tests.browser.widget import press_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

HERE = Path(__file__).parent
SETUP = """
import asyncio, os, time
from pathlib import Path
from jobqueue_widget import JobQueue, current_job
queue = await JobQueue(name="tests", max_running=20, cancel_timeout=0).start()
def steps(folder):
    (Path(folder) / str(os.getpid())).touch()
    for step in range(1_000_000):
        current_job().report(step % 1000 / 1000)
        time.sleep(0.05)
display(queue)
"""
SUBMIT = "job = queue.options(label={label!r}).submit_nowait(steps, {folder!r})"
# Cells that run until a file is there, and one that waits for its jobs.
BUSY = {
    "sleeps": "while not Path({flag!r}).exists(): time.sleep(0.02)",
    "awaits": "while not Path({flag!r}).exists(): await asyncio.sleep(0.02)",
    "waits for the jobs": "await queue.join()",
}
# As VS Code puts them on its page, of its themes "Light Modern" and "Dark Modern".
THEMES = {
    "light": {
        "editor-background": "#ffffff",
        "sideBar-background": "#f8f8f8",
        "foreground": "#3b3b3b",
        "descriptionForeground": "#3b3b3b",
        "panel-border": "#e5e5e5",
        "focusBorder": "#005fb8",
    },
    "dark": {
        "editor-background": "#1f1f1f",
        "sideBar-background": "#181818",
        "foreground": "#cccccc",
        "descriptionForeground": "#9d9d9d",
        "panel-border": "#2b2b2b",
        "focusBorder": "#0078d4",
    },
}
PUT_THEME = """([kind, colours]) => {
  document.body.className = document.body.dataset.vscodeThemeKind = `vscode-${kind}`;
  for (const [name, value] of Object.entries(colours)) {
    document.documentElement.style.setProperty(`--vscode-${name}`, value);
  }
}"""
KERNEL_IS_BUSY = "Kernel is busy; your request is sent and will be handled when the cell yields"


class VSCode:
    """A page that shows a queue by this manager; `comms`: whether clicks go over subshells."""

    def __init__(self, lab: Lab, context: BrowserContext, comms: str, jobs: Path) -> None:
        self._jobs = jobs
        self._count = 0
        self.shown = Shown(context, r"^$")
        self.page = self.shown.page
        self.page.goto(f"{lab.url}/static/vscode.html?token={lab.token}&comms={comms}")
        try:
            self.page.wait_for_function("() => window.run !== undefined")
        except TimeoutError as error:
            error.add_note("\n".join(self.shown.complaints))
            raise
        self.put_theme("light")
        self.run(SETUP)
        self.region = self.page.get_by_role("region", name="Job queue tests")

    def put_theme(self, kind: str) -> None:
        """As VS Code does when its theme changes."""
        self.page.evaluate(PUT_THEME, [kind, THEMES[kind]])

    def run(self, code: str) -> None:
        """Run a cell to its end."""
        self._check(self.page.evaluate("code => run(code)", code))

    def begin(self, code: str) -> None:
        """Begin a cell; `end` waits for its end."""
        self.page.evaluate("code => { window.cell = run(code); return null; }", code)

    def end(self) -> None:
        self._check(self.page.evaluate("() => window.cell"))

    def _check(self, reply: dict[str, Any]) -> None:
        assert reply["status"] == "ok", reply

    def submit(self) -> str:
        """A new endless job, shown as running; returns its label."""
        self._count += 1
        label = f"job {self._count}."
        self.run(SUBMIT.format(label=label, folder=str(self._jobs)))
        expect(self.bar(label)).to_have_attribute("aria-valuenow", re.compile(r"\d"))
        return label

    def row(self, label: str) -> Locator:
        return self.region.get_by_role("row").filter(has_text=label).first

    def bar(self, label: str) -> Locator:
        return self.row(label).get_by_role("progressbar")

    def check_that_progress_moves(self, label: str) -> None:
        before = self.bar(label).get_attribute("aria-valuenow") or ""
        expect(self.bar(label)).not_to_have_attribute("aria-valuenow", before)

    def cancel(self, label: str) -> None:
        press_in(self.row(label), f"Cancel {label}")

    def running(self) -> set[int]:
        """The processes of jobs that are there still."""
        return {pid for path in self._jobs.iterdir() if psutil.pid_exists(pid := int(path.name))}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    """A server that has the page, npm's packages, and the scripts of widgets' Python packages."""
    folder = tmp_path_factory.mktemp("lab")
    served = [str(HERE), str(need_hosts()), str(Path(anywidget.__file__).parent)]
    (folder / "config").mkdir()
    settings = {"ServerApp": {"extra_static_paths": served}}
    (folder / "config" / "jupyter_server_config.json").write_text(json.dumps(settings))
    server = Lab(folder)
    yield server
    server.close()


@pytest.fixture(scope="module", params=["perCommTarget", "disabled"])
def comms(request: pytest.FixtureRequest) -> str:
    """As JupyterLab's client has it, and without subshells: VS Code's does not ask for them."""
    wanted: str = request.param
    return wanted


@pytest.fixture(scope="module")
def vscode(
    comms: str, lab: Lab, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VSCode]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(20_000)
    yield VSCode(lab, context, comms, tmp_path_factory.mktemp("jobs"))
    context.close()


@pytest.fixture
def flag(tmp_path: Path) -> Iterator[Path]:
    """The file that a cell waits for; it is there after the test, however that ends."""
    yield tmp_path / "flag"
    (tmp_path / "flag").touch()


def test_progress_moves_and_cancel_ends_the_process(vscode: VSCode) -> None:
    label = vscode.submit()
    vscode.check_that_progress_moves(label)
    assert len(vscode.running()) == 1
    vscode.cancel(label)
    expect(vscode.row(label)).to_contain_text("cancelled in the widget")
    assert not vscode.running()


@pytest.mark.parametrize("cell", BUSY)
def test_a_click_while_a_cell_runs_is_acted_on_or_said_to_be_late(
    vscode: VSCode, comms: str, cell: str, flag: Path
) -> None:
    label = vscode.submit()
    vscode.begin(BUSY[cell].format(flag=str(flag)))
    vscode.check_that_progress_moves(label)
    vscode.cancel(label)
    if comms == "disabled" and cell == "sleeps":
        expect(vscode.region).to_contain_text(KERNEL_IS_BUSY)
        expect(vscode.row(label)).not_to_contain_text("cancelled")
        vscode.check_that_progress_moves(label)
        flag.touch()
    expect(vscode.row(label)).to_contain_text("cancelled in the widget")
    flag.touch()
    vscode.end()
    expect(vscode.region).not_to_contain_text(KERNEL_IS_BUSY)


def test_its_colours_are_those_of_vs_code(vscode: VSCode) -> None:
    expect(vscode.region).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(vscode.region).to_have_css("color", "rgb(59, 59, 59)")
    vscode.put_theme("dark")
    expect(vscode.region).to_have_css("background-color", "rgb(31, 31, 31)")
    expect(vscode.region).to_have_css("color", "rgb(204, 204, 204)")
    expect(vscode.region).to_have_css("color-scheme", "dark")
    vscode.put_theme("light")


def test_nothing_is_complained_of_and_nothing_asked_elsewhere(vscode: VSCode) -> None:
    expect(vscode.region).to_be_visible()
    assert vscode.shown.complaints == []
    assert vscode.shown.asked_elsewhere == []
