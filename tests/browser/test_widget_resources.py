"""The line of resources in a real JupyterLab: real plugins, measured processes, and [Unload]."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Fresh
from tests.browser.lab import Notebook
from tests.browser.test_widget_accessibility import set_theme
from tests.browser.widget import press, region, row, until_status, until_value

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
PICTURES = os.environ.get("PICTURES")  # a folder, for who wants to look
SETUP = f"""
import sys, tempfile, time
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from jobqueue_widget import JobQueue, PluginManager
from jobqueue_widget.testing import machine_with
from tests.resources import SmallMachine, write_hoarders
machine = machine_with(SmallMachine(2048))
machine.__enter__()
folder = Path(tempfile.mkdtemp())
paths = [write_hoarders(folder / "m", whisper=900)]
manager = PluginManager(search_paths=paths, data_dir=folder)
manager.discover_manifests()
manager.load_all()
queue = await JobQueue(manager, name="tests", max_running=3).start()
queue
"""
JOBS = """
first = await queue.submit_nowait("whisper", 900)
queue.options(label="sweep", resources={"ram_mib": 400, "cpus": 1}).submit_nowait(time.sleep, 600)
queue.options(label="big", resources={"ram_mib": 1800}).submit_nowait(int)
"""
END = "manager.unload_all()\nmachine.__exit__(None, None, None)"


@pytest.fixture
def notebook(fresh: Fresh) -> Iterator[Notebook]:
    notebook = fresh(JOBS, setup=SETUP)
    yield notebook
    notebook.replace("await queue.close()\n" + END)


def look(notebook: Notebook, name: str) -> None:
    """Take pictures, if somebody wants them."""
    if PICTURES is None:
        return
    for theme in ("Light", "Dark"):
        set_theme(notebook, f"JupyterLab {theme}")
        notebook.page.wait_for_timeout(1_500)  # until the picture that hides the change is gone
        region(notebook).screenshot(path=f"{PICTURES}/{name}-{theme.lower()}.png")
    set_theme(notebook, "JupyterLab Light")


def test_what_is_in_use_is_shown_and_an_idle_plugin_is_unloaded(notebook: Notebook) -> None:
    until_status(notebook, "sweep", "running")
    line = region(notebook).get_by_role("group", name="Resources")
    expect(line).to_contain_text(re.compile(r"RAM [\d.]+ of 2 GB, 0.4 reserved"))
    expect(line).to_contain_text(re.compile(r"CPU [\d.]+ of \d+ cores, 1 reserved"))
    expect(line).to_contain_text(re.compile(r"whisper idle holds 0.9 GB"))
    expect(row(notebook, "big")).to_contain_text(
        re.compile("needs 1,800 MiB RAM, .* free; whisper")
    )
    look(notebook, "rows")
    row(notebook, "sweep").locator(".jqw-what").click()
    details = region(notebook).get_by_role("tabpanel")
    expect(details).to_contain_text("planned 0.39")
    look(notebook, "resources")
    press(notebook, "Unload whisper")
    expect(line).not_to_contain_text("whisper")
    until_value(notebook, "__import__('psutil').pid_exists(first)", False)
    expect(row(notebook, "big")).to_contain_text("; sweep holds 400")
    look(notebook, "unloaded")
    assert notebook.value_of("queue['big'].status.value") == "pending"
